package slidingjwt

import (
	"crypto/x509"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

const maxHeaderBytes = 2 << 10

// joseHeader is what a token's header says (RFC 7515 4). What it says of keys beside the kid is not read.
type joseHeader struct {
	alg, kid, typ string

	algorithm x509.SignatureAlgorithm // the alg in X.509; 0 if it has none

	only *key // that tokens with this header meet; nil if there may be others
}

// verify decides on a token (RFC 7519 7.2, RFC 8725) that may be remembered; the line is what the memory knows it by.
func verify(s *settings, line string, at time.Duration) (*entry, *refusal) {
	if strings.ContainsAny(line, "\r\n") { // A decoder of base64 passes over them.
		return nil, refuseMalformed
	}
	e, version := recall(s, line, at)
	if e != nil {
		known, r := verifyAgain(s, line, e, version, at)
		if known != nil {
			return known, r
		}
	}
	e, r := verifyAnew(s, line, at)
	return e, r
}

// verifyAgain decides on a token that is remembered. It returns no entry if its key is gone.
func verifyAgain(s *settings, line string, e *entry, version int64, at time.Duration) (*entry, *refusal) {
	if r := checkTimes(s, e, at); r != nil {
		return e, r
	}
	if e.version != version {
		e = confirm(s, line, e, version)
		if e == nil {
			return nil, nil
		}
	}
	return e, e.refused
}

// confirm returns an entry of an older version as one of this version if its key is still there, else nil.
func confirm(s *settings, line string, e *entry, version int64) *entry {
	if !keyRemains(s, e) {
		return nil
	}
	confirmed := *e
	confirmed.version = version
	remember(s.memory, line, &confirmed)
	return &confirmed
}

// verifyAnew verifies a token that has no line break, and no entry of the keys' version: form and times first, which
// cost little, then the signature, and only for those who can sign what costs more than that. It derives all that a
// request needs of the token, and remembers it. The line is "Bearer " and the token.
//
// Yaegi: a call costs, and so does each variable and expression of the function called, used or not. So what is usual is
// in few functions, and what is rare in others.
func verifyAnew(s *settings, line string, at time.Duration) (e *entry, r *refusal) {
	parts := strings.Split(line, ".")
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
		e, r = verifyAgain(s, line, e, version, at)
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
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&claims) != nil {
		return nil, refuseMalformed
	}
	if claims == nil {
		return nil, refuseMalformed
	}
	e = &entry{typ: header.typ, version: version, dueFrom: never}
	r = readRegistered(s, e, claims, at)
	if r != nil {
		return nil, r
	}

	signature, err := b64.DecodeString(parts[2])
	if err != nil {
		return nil, refuseMalformed
	}
	k := header.only
	if k == nil {
		k, r = searchKey(s, e, header, claims, line, signature, at)
		if r != nil {
			return nil, r
		}
	} else {
		input := line[len("Bearer ") : len(line)-len(parts[2])-1]
		if k.certificate != nil {
			if k.certificate.CheckSignature(header.algorithm, []byte(input), signature) != nil {
				return nil, refuseSignature
			}
		} else if !verifySignature(k, header.alg, input, signature) {
			return nil, refuseSignature
		}
	}
	e.keyID = k.id

	isPlain := others.Replace(text) == text
	written, _ := json.Marshal(claims)
	if len(written) != len(text) {
		isPlain = false
	}
	if !isPlain {
		if !isStrict(claims, text) {
			return nil, refuseMalformed
		}
	}
	if s.demands {
		r = checkDemands(s, e, claims)
		if r != nil {
			return nil, r
		}
	}
	if s.forwards {
		deriveHeaders(s, e, claims, text, isPlain)
	}
	if s.renews {
		if k.own {
			scheduleRenewal(s, e, claims)
		}
	}
	remember(m, line, e)
	return e, e.refused
}

// readRegistered reads exp, nbf and iat, which are finite numbers (RFC 7519 4.1.4 to 4.1.6), checks the types of the claims
// that decide who a token is from and for, and compares its times with this request's clock as checkTimes does.
func readRegistered(s *settings, e *entry, claims map[string]any, at time.Duration) *refusal {
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

	now := float64(at) / 1e9
	until := e.exp + s.leeway
	if now >= until {
		return refuseExpired
	}
	if now < e.nbf-s.leeway {
		return refuseNotYet
	}
	if now < e.iat-s.leeway {
		return refuseIssuedLate
	}
	if until > farAway {
		until = farAway
	}
	e.validSince = at
	e.validUntil = time.Duration(until) * time.Second
	return nil
}

// farAway is a NumericDate that no clock will show, and whose nanoseconds an int64 can hold.
const farAway = 9e9

var (
	dateClaims = []string{"exp", "nbf", "iat"}
	textClaims = []string{"iss", "sub", "aud"}
)

// isAudienceList says whether a claim is an aud that is a list of strings.
func isAudienceList(name string, claim any) bool {
	_, ok := audiences(claim)
	return ok && name == "aud"
}

// searchKey finds the key that signed a token whose header alone does not decide which it is.
func searchKey(s *settings, e *entry, h *joseHeader, claims map[string]any, line string, signature []byte, at time.Duration) (*key, *refusal) {
	k, from, r := findKey(s, claims, h, line[len("Bearer "):strings.LastIndexByte(line, '.')], signature, at.Seconds())
	if r != nil {
		return nil, r
	}
	e.from = from
	rememberHeader(s, line[:strings.IndexByte(line, '.')], h, e.version)
	return k, nil
}

// readHeader reads a header, with "Bearer " before it, that no verified token had: perhaps it was the last one that was read.
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
	header, r = parseHeader(s, text[len("Bearer "):])
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
	h.algorithm = signatureAlgorithms[h.alg]
	return h, nil
}

// mediaType is a typ in lower case and without "application/" (RFC 7515 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// checkTimes compares the times of a token that is remembered with this request's clock.
func checkTimes(s *settings, e *entry, at time.Duration) *refusal {
	now := float64(at) / 1e9
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

// checkDemands checks what the options demand of the claims of a token.
func checkDemands(s *settings, e *entry, claims map[string]any) *refusal {
	if r := checkParties(s, claims); r != nil {
		return r
	}
	e.refused = checkAccess(s, claims)
	if e.refused != nil {
		e.validUntil = 0 // It is not for the fast path.
	}
	return nil
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
