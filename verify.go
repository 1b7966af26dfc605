package slidingjwt

import (
	"encoding/json"
	"math"
	"strconv"
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

// verify decides on a token (RFC 7519 7.2, RFC 8725) that may be remembered; the line is what the memory knows it by.
func verify(s *settings, line, token string, now float64) (*entry, *refusal) {
	if strings.ContainsAny(token, "\r\n") { // A decoder of base64 passes over them.
		return nil, refuseMalformed
	}
	e, version := recall(s, line, now)
	if e != nil {
		known, r := verifyAgain(s, line, e, version, now)
		if known != nil {
			return known, r
		}
	}
	e, r := verifyAnew(s, line, token, now)
	return e, r
}

// verifyAgain decides on a token that is remembered. It returns no entry if its key is gone.
func verifyAgain(s *settings, line string, e *entry, version int64, now float64) (*entry, *refusal) {
	if r := checkTimes(s, e, now); r != nil {
		return e, r
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
	setValidity(s, &confirmed)
	remember(s.memory, line, &confirmed)
	return &confirmed
}

// reading is a token whose form and times are right.
type reading struct {
	line, token string
	parts       []string
	header      *joseHeader
	text        string // of the claims
	claims      map[string]any
}

// verifyAnew verifies a token that has no line break, and no entry of the keys' version: form and times first, which
// cost little, then the signature.
//
// Yaegi: a call costs, and so does each variable and expression of the function called, used or not. So what is usual is
// in few functions, whose results have names, and what is rare in others.
func verifyAnew(s *settings, line, token string, now float64) (e *entry, r *refusal) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, refuseMalformed
	}
	m := s.memory
	m.mu.RLock()
	e = m.former[line]
	version := m.version
	header := m.headers[parts[0]]
	m.mu.RUnlock()
	if e != nil {
		e, r = verifyAgain(s, line, e, version, now)
		if e != nil {
			return e, r
		}
	}
	if header == nil {
		header, r = readHeader(s, parts[0])
		if r != nil {
			return nil, r
		}
	}

	payload, err := b64.DecodeString(parts[1])
	if err != nil {
		return nil, refuseMalformed
	}
	text := string(payload)
	claims := decodeObject(text)
	if claims == nil {
		return nil, refuseMalformed
	}
	e = &entry{typ: header.typ, version: version, verifiedAt: now}
	r = readRegistered(e, claims)
	if r != nil {
		return nil, r
	}
	r = checkTimes(s, e, now)
	if r != nil {
		return nil, r
	}
	return prove(s, e, &reading{line: line, token: token, parts: parts, header: header, text: text, claims: claims})
}

// readRegistered reads exp, nbf and iat, which are finite numbers (RFC 7519 4.1.4 to 4.1.6), and checks the types
// of the claims that decide who a token is from and for.
func readRegistered(e *entry, claims map[string]any) *refusal {
	var claim any
	var number json.Number
	var there, fits bool
	var err error
	dates := []float64{0, 0, 0}
	for i, name := range dateClaims {
		claim, there = claims[name]
		if there {
			number, fits = claim.(json.Number)
			if !fits {
				return refuseClaims
			}
			dates[i], err = strconv.ParseFloat(string(number), 64)
			if err != nil { // It is out of range, and so not finite.
				return refuseClaims
			}
		}
	}
	e.exp, e.nbf, e.iat = dates[0], dates[1], dates[2]
	for _, name := range textClaims {
		claim, there = claims[name]
		if there {
			_, fits = claim.(string)
			if !fits {
				if !isAudienceList(name, claim) {
					return refuseClaims
				}
			}
		}
	}
	if claims["exp"] == nil {
		return refuseNoExpiry
	}
	_, there = claims["cnf"]
	if there {
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

// prove verifies a token's signature, derives all that a request needs of it, and remembers that. What costs more than
// the signature is only for those who can sign.
func prove(s *settings, e *entry, t *reading) (_ *entry, r *refusal) {
	signature, err := b64.DecodeString(t.parts[2])
	if err != nil {
		return nil, refuseMalformed
	}
	input := t.token[:len(t.token)-len(t.parts[2])-1]
	k := t.header.only
	if t.header.version != e.version {
		k = nil
	}
	if k == nil {
		k, r = searchKey(s, e, t, input, signature)
		if r != nil {
			return nil, r
		}
	} else if !verifySignature(k, t.header.alg, input, signature) {
		return nil, refuseSignature
	}
	e.keyID = k.id

	isPlain := others.Replace(t.text) == t.text
	if !isStrict(t.claims, t.text, isPlain) {
		return nil, refuseMalformed
	}
	if s.expects {
		r = checkParties(s, t.claims)
		if r != nil {
			return nil, r
		}
	}
	if s.restricts {
		e.refused = checkAccess(s, t.claims)
	}
	if len(s.forward) > 0 {
		deriveHeaders(s, e, t, isPlain)
	}
	if s.renews {
		if k.own {
			scheduleRenewal(s, e, t.claims)
		}
	}
	setValidity(s, e)
	remember(s.memory, t.line, e)
	return e, e.refused
}

// searchKey finds the key that signed a token whose header alone does not decide which it is.
func searchKey(s *settings, e *entry, t *reading, input string, signature []byte) (*key, *refusal) {
	k, from, r := findKey(s, t.claims, t.header, input, signature, e.verifiedAt)
	if r != nil {
		return nil, r
	}
	e.from = from
	rememberHeader(s, t.parts[0], t.header, e.version)
	return k, nil
}

// readHeader reads a header that no verified token had: perhaps it was the last one that was read.
func readHeader(s *settings, text string) (header *joseHeader, r *refusal) {
	m := s.memory
	m.mu.RLock()
	if m.lastHeaderText == text {
		header = m.lastHeader
	}
	m.mu.RUnlock()
	if header != nil {
		return header, nil
	}
	header, r = parseHeader(s, text)
	if r == nil {
		m.mu.Lock()
		m.lastHeaderText = strings.Clone(text) // It is part of a request's text.
		m.lastHeader = header                  // Yaegi: of several assigned values those beside a call are lost.
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
	if err != nil {
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

// setValidity notes between when a token that was just found valid stays so for sure, and from when on it is due for renewal:
// in whole milliseconds.
func setValidity(s *settings, e *entry) {
	if e.refused == nil {
		until := math.Min(e.exp+s.leeway, farAway)
		e.validSince = time.Duration(e.verifiedAt*1000+1) * time.Millisecond
		e.validUntil = time.Duration(until*1000) * time.Millisecond
		e.dueFrom = e.validUntil
		if e.due > 0 {
			if e.due < until {
				e.dueFrom = time.Duration(e.due*1000) * time.Millisecond
			}
		}
	}
}

// farAway is a NumericDate that no clock will show, and whose nanoseconds an int64 can hold.
const farAway = 9e9
