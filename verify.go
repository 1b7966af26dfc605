package slidingjwt

import (
	"encoding/json"
	"strings"
	"time"
)

const maxHeaderBytes = 2 << 10

// joseHeader is what a token's header says (RFC 7515 4). What it says of keys beside the kid is not read.
type joseHeader struct {
	alg, kid, typ string

	// The only key that tokens with this header meet while the keys are of this version; nil if there are more.
	only    *key
	version int64
}

// verify decides on a token (RFC 7519 7.2, RFC 8725): form and times first, which cost little, then the signature,
// then whether its claims suffice. It asks the memory first, and tells it last; the line is what it knows the token by.
func verify(s *settings, line, token string, now float64) (*entry, *refusal) {
	e, version := recall(s, line, now)
	if e != nil {
		known, r := verifyAgain(s, line, e, version, now)
		if r != nil || known != nil {
			return known, r
		}
	}
	e, r := verifyAnew(s, token, version, now)
	if r != nil {
		return nil, r
	}
	remember(s.memory, line, e)
	return e, e.refused
}

// verifyAgain decides on a token that is remembered. It returns neither an entry nor a refusal if its key is gone.
func verifyAgain(s *settings, line string, e *entry, version int64, now float64) (*entry, *refusal) {
	if r := checkTimes(s, e, now); r != nil {
		return nil, r
	}
	if e.version != version || now < e.verifiedAt-1 { // A request may have read its clock earlier, and come later.
		e = confirm(s, line, e, version, now)
		if e == nil {
			return nil, nil
		}
	}
	return e, e.refused
}

// confirm returns an entry of an older version, or of a later clock, as one of now if its key is still there, else nil.
func confirm(s *settings, line string, e *entry, version int64, now float64) *entry {
	if !keyRemains(s, e) {
		return nil
	}
	confirmed := *e
	confirmed.version, confirmed.verifiedAt = version, now
	setFresh(s, &confirmed)
	remember(s.memory, line, &confirmed)
	return &confirmed
}

// verifyAnew verifies a token that is not remembered.
//
// Yaegi: what is rare is in functions of its own, and what is usual is a loop where it can be: a variable of a
// function costs as much as a call of the standard library, used or not.
func verifyAnew(s *settings, token string, version int64, now float64) (*entry, *refusal) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, refuseMalformed
	}
	header, r := readHeader(s, parts[0])
	if r != nil {
		return nil, r
	}
	text, claims := decodePayload(parts[1])
	if claims == nil {
		return nil, refuseMalformed
	}
	e := &entry{typ: header.typ, version: version, verifiedAt: now}
	if r = readRegistered(e, claims); r != nil {
		return nil, r
	}
	if r = checkTimes(s, e, now); r != nil {
		return nil, r
	}
	k, r := checkSignature(s, e, header, claims, token, parts)
	if r != nil {
		return nil, r
	}
	// What costs more than the signature is only for those who can sign.
	if !isStrict(claims, text) {
		return nil, refuseMalformed
	}
	if s.expects {
		if r = checkParties(s, claims); r != nil {
			return nil, r
		}
	}
	if s.restricts {
		e.refused = checkAccess(s, claims)
	}
	if len(s.forward) > 0 {
		e.names, e.values = forwarded(s, claims, isPlainPayload(text))
	}
	if k.own && s.config.Renew.Before != "" {
		scheduleRenewal(s, e, claims)
	}
	setFresh(s, e)
	return e, nil
}

// decodePayload decodes a token's claims; nil claims are malformed.
func decodePayload(part string) (text string, claims map[string]any) {
	payload, err := b64.DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") { // A decoder of base64 passes over them.
		return "", nil
	}
	text = string(payload)
	claims = decodeObject(text)
	return text, claims
}

// checkSignature finds the key that signed a token, and notes it.
func checkSignature(s *settings, e *entry, h *joseHeader, claims map[string]any, token string, parts []string) (*key, *refusal) {
	signature, err := b64.DecodeString(parts[2])
	if err != nil || strings.ContainsAny(parts[2], "\r\n") {
		return nil, refuseMalformed
	}
	input := token[:len(token)-len(parts[2])-1]
	if h.version != e.version || h.only == nil {
		k, r := searchKey(s, e, h, claims, parts[0], input, signature)
		return k, r
	}
	if !verifySignature(h.only, h.alg, input, signature) {
		return nil, refuseSignature
	}
	e.keyID = h.only.id
	return h.only, nil
}

// searchKey is checkSignature where the header alone does not decide which key it is.
func searchKey(s *settings, e *entry, h *joseHeader, claims map[string]any, header, input string, signature []byte) (*key, *refusal) {
	k, from, r := findKey(s, claims, h, input, signature, e.verifiedAt)
	if r != nil {
		return nil, r
	}
	e.keyID, e.from = k.id, from
	rememberHeader(s, header, h, e.version)
	return k, nil
}

// readHeader returns a token's header: remembered, if a token with it was verified or it was the last one that was read.
func readHeader(s *settings, text string) (*joseHeader, *refusal) {
	m := s.memory
	m.mu.RLock()
	header := m.headers[text]
	if header == nil {
		if m.lastHeaderText == text {
			header = m.lastHeader
		}
	}
	m.mu.RUnlock()
	if header != nil {
		return header, nil
	}
	header, r := parseHeader(s, text)
	if r == nil {
		m.mu.Lock()
		m.lastHeaderText, m.lastHeader = strings.Clone(text), header // It is part of a request's text.
		m.mu.Unlock()
	}
	return header, r
}

// parseHeader reads a header that demands nothing that is not done here: no crit (RFC 7515 4.1.11), no zip, no b64.
func parseHeader(s *settings, text string) (*joseHeader, *refusal) {
	if len(text) > maxHeaderBytes {
		return nil, refuseMalformed
	}
	decoded, err := b64.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, refuseMalformed
	}
	members, err := strictObject(string(decoded))
	if err != nil {
		return nil, refuseMalformed
	}
	for _, name := range []string{"crit", "zip", "b64"} {
		if _, there := members[name]; there {
			return nil, refuseCritical
		}
	}
	h := &joseHeader{}
	var isString bool
	if h.alg, isString = members["alg"].(string); !isString {
		return nil, refuseMalformed
	}
	if kid, there := members["kid"]; there {
		if h.kid, isString = kid.(string); !isString {
			return nil, refuseMalformed
		}
	}
	if typ, there := members["typ"]; there {
		if h.typ, isString = typ.(string); !isString {
			return nil, refuseMalformed
		}
	}
	if !contains(s.tokenTypes, mediaType(h.typ)) {
		return nil, refuseType
	}
	if !knownAlgorithms[h.alg] || (len(s.config.Algorithms) > 0 && !allows(s.config.Algorithms, h.alg)) {
		return nil, refuseAlgorithm
	}
	return h, nil
}

// mediaType is a typ in lower case and without "application/" (RFC 7515 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// readRegistered reads exp, nbf and iat, which are finite numbers (RFC 7519 4.1.4 to 4.1.6), and checks the types
// of the claims that decide who a token is from and for.
func readRegistered(e *entry, claims map[string]any) *refusal {
	dates := make([]float64, len(dateClaims))
	for i, name := range dateClaims {
		claim, there := claims[name]
		if !there {
			continue
		}
		number, ok := claim.(json.Number)
		if !ok {
			return refuseClaims
		}
		date, err := number.Float64() // Out of range, and so not finite, is an error.
		if err != nil {
			return refuseClaims
		}
		dates[i] = date
	}
	e.exp, e.nbf, e.iat = dates[0], dates[1], dates[2]
	for _, name := range textClaims {
		claim, there := claims[name]
		if !there {
			continue
		}
		if _, ok := claim.(string); !ok && !isAudienceList(name, claim) {
			return refuseClaims
		}
	}
	if claims["exp"] == nil {
		return refuseNoExpiry
	}
	if _, isBound := claims["cnf"]; isBound {
		return refuseBound
	}
	return nil
}

var (
	dateClaims = []string{"exp", "nbf", "iat"}
	textClaims = []string{"iss", "sub", "aud"}
)

// isAudienceList says whether a claim is an aud that is a list of strings.
func isAudienceList(name string, claim any) bool {
	_, ok := audiences(claim)
	return ok && name == "aud"
}

// checkTimes compares a token's times with this request's clock.
func checkTimes(s *settings, e *entry, now float64) *refusal {
	if now >= e.exp+s.leeway {
		return refuseExpired
	}
	if now < e.nbf-s.leeway {
		return refuseNotYet
	}
	if now < e.iat-s.leeway {
		return refuseIssuedLate
	}
	return nil
}

// audiences reads an aud: a string or a list of strings (RFC 7519 4.1.3).
func audiences(aud any) ([]string, bool) {
	if isString(aud) {
		return []string{aud.(string)}, true
	}
	list, ok := aud.([]any)
	if !ok {
		return nil, false
	}
	texts := make([]string, 0, len(list))
	for _, element := range list {
		if !isString(element) {
			return nil, false
		}
		texts = append(texts, element.(string))
	}
	return texts, true
}

// checkParties checks whom a token is from and for.
func checkParties(s *settings, claims map[string]any) *refusal {
	if s.config.Issuer != "" && claims["iss"] != s.config.Issuer {
		issuer, ok := claims["iss"].(string)
		if !ok || s.trusted[issuer] == nil {
			return refuseIssuer
		}
	}
	if len(s.config.Audience) == 0 {
		return nil
	}
	texts, _ := audiences(claims["aud"])
	for _, text := range texts {
		if contains(s.config.Audience, text) {
			return nil
		}
	}
	return refuseAudience
}

// checkAccess decides whether a token's claims suffice. Time does not change its answer.
func checkAccess(s *settings, claims map[string]any) *refusal {
	if len(s.config.Scopes) > 0 {
		granted := scopesOf(claims)
		for _, scope := range s.config.Scopes {
			if !contains(granted, scope) {
				return refuseScope
			}
		}
	}
	if s.policy != nil && !holds(s.policy, claims) {
		return refusePolicy
	}
	return nil
}

// scopesOf reads the scope string (RFC 8693 4.2), or the scp list that others have.
func scopesOf(claims map[string]any) []string {
	if isString(claims["scope"]) {
		return strings.Fields(claims["scope"].(string))
	}
	scp := claims["scp"]
	if isString(scp) {
		return strings.Fields(scp.(string))
	}
	texts, _ := audiences(scp)
	return texts
}

// setFresh notes between when a token that was just found valid stays so for sure, and nothing is due: in whole
// milliseconds.
func setFresh(s *settings, e *entry) {
	if e.refused == nil {
		until := e.exp + s.leeway
		if e.due > 0 {
			if e.due < until {
				until = e.due
			}
		}
		if until > farAway {
			until = farAway
		}
		e.freshSince = time.Duration(e.verifiedAt*1000+1) * time.Millisecond
		e.freshUntil = time.Duration(until*1000) * time.Millisecond
	}
}

// farAway is a NumericDate that no clock will show, and whose nanoseconds an int64 can hold.
const farAway = 9e9
