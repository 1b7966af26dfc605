package slidingjwt

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"strings"
	"time"
)

const maxHeaderBytes = 2 << 10

// joseHeader is what a token's header says (RFC 7515 4). What it says of keys beside the kid is not read.
type joseHeader struct {
	alg, kid, typ string
	isStrict      bool // it was found to be strict JSON

	// Of a header that a verified token had, where it alone decides which key a token meets.
	only        *key                    // that key; nil if there may be others
	certificate *x509.Certificate       // the key's; nil if it has none
	algorithm   x509.SignatureAlgorithm // the alg in X.509; 0 if it has none
}

// scheme begins the text that a token is known by: its line of Authorization, wherever it came from.
//
// Yaegi: the length of a constant is a call.
const (
	scheme       = "Bearer "
	schemeSpace  = 6 // where its space is
	schemeBytes  = 7
	maxLineBytes = schemeBytes + maxTokenBytes
)

// verify decides on a token (RFC 7519 7.2, RFC 8725) that may be remembered.
func verify(s *settings, line string, at time.Duration) (*entry, *refusal) {
	e := entryOf(s, line, at)
	if e.validSince == never {
		if e.refused == nil {
			return nil, refuseMalformed
		}
		return nil, e.refused
	}
	if r := checkTimes(s, e, at); r != nil {
		return nil, r
	}
	return e, e.refused
}

// entryOf returns what is remembered of a token, or what verifying it gives.
func entryOf(s *settings, line string, at time.Duration) *entry {
	e := recall(s, line, at)
	if e == nil {
		e = verifyAnew(s, line, at)
	}
	return e
}

// What verifyAnew returns for tokens of which there is nothing to say but that.
var (
	unread         = &entry{validSince: never} // The line is not "Bearer " and a token.
	malformed      = &entry{validSince: never, refused: refuseMalformed}
	wrongSignature = &entry{validSince: never, refused: refuseSignature}
)

// verifyAnew verifies a token that the memory does not have: form and times first, which cost little, then the signature,
// and only for those who can sign what costs more than that. It derives all that a request needs of the token, and
// remembers it. The entry of a token that is refused, and not remembered, is valid since never.
//
// Yaegi: a call costs, and so does each variable and expression of the function called, used or not. So what is usual is
// in few functions, and what is rare in others.
func verifyAnew(s *settings, line string, at time.Duration) (e *entry) {
	if len(line) > maxLineBytes {
		return unread
	}
	if strings.LastIndexAny(line, " \t\r\n,") != schemeSpace { // A decoder of base64 passes over line breaks.
		return unread
	}
	if strings.Count(line, ".") != 2 {
		return unread
	}
	parts := strings.Split(line, ".")
	m := s.memory
	m.mu.RLock()
	e = m.entries[line] // Another request's look may have brought it back.
	if e == nil {
		e = m.former[line]
	}
	version := m.version
	header := m.headers[parts[0]]
	m.mu.RUnlock()
	if version == 0 { // A look at the keys is due.
		return entryOf(s, line, at)
	}
	if e != nil {
		e = recall(s, line, at)
		if e != nil {
			return e
		}
		header = nil // Its key is gone, and perhaps what the header decided with it.
	}
	if header == nil {
		header, e = readHeader(s, line)
		if header == nil {
			return e
		}
	}

	payload, err := b64.DecodeString(parts[1])
	if err != nil {
		return malformed
	}
	var claims map[string]any
	isPlain := json.Unmarshal(payload, &claims) == nil // Else a number is beyond float64, or there are no claims at all.
	e = &entry{key: header.only, typ: header.typ, version: version, validSince: never, dueFrom: never}
	e.refused = readRegistered(s, e, claims, at)
	if e.refused != nil {
		return e
	}

	signature, err := b64.DecodeString(parts[2])
	if err != nil {
		return malformed
	}
	if header.certificate != nil {
		if header.certificate.CheckSignature(header.algorithm, []byte(line[schemeBytes:len(line)-len(parts[2])-1]), signature) != nil {
			return wrongSignature
		}
	} else {
		verifyOtherwise(s, e, header, claims, line, signature, at)
		if e.refused != nil {
			return e
		}
	}

	if bytes.Count(payload, memberEnd) != len(claims) { // As in isStrict; without objects in it there is nothing to write.
		if hasLost(claims, payload) {
			isPlain = false
		}
	}
	if bytes.ContainsAny(payload, unusual) {
		isPlain = false
	}
	if bytes.Contains(payload, spaceBehind) {
		isPlain = false
	}
	if isPlain {
		if s.reckons {
			claims = exactObject(payload)
		}
	} else {
		claims, err = strictObject(payload)
		if err != nil {
			return malformed
		}
	}
	if _, isText := claims["aud"].(string); !isText && claims["aud"] != nil {
		if _, fits := audiences(claims["aud"]); !fits {
			e.refused = refuseClaims
			return e
		}
	}
	if s.forwards {
		deriveHeaders(s, e, claims, payload, isPlain)
	}
	if s.demands {
		if isForOthers(s, e, claims) {
			return e
		}
	}
	if s.renews {
		scheduleRenewal(s, e, claims)
	}
	e.validSince = at // Nothing lets it pass before this.
	remember(m, line, e)
	return e
}

// readRegistered reads exp, nbf and iat, which are finite numbers (RFC 7519 4.1.4 to 4.1.6), checks the types of the claims
// that decide who a token is from and for, and compares its times with this request's clock as checkTimes does.
func readRegistered(s *settings, e *entry, claims map[string]any, at time.Duration) *refusal {
	var claim any
	var there, fits bool
	e.exp, fits = claims["exp"].(float64)
	if !fits {
		return refuseWithoutExpiry(claims)
	}
	claim, there = claims["nbf"]
	if there {
		e.nbf, fits = claim.(float64)
		if !fits {
			return refuseClaims
		}
	}
	claim, there = claims["iat"]
	if there {
		e.iat, fits = claim.(float64)
		if !fits {
			return refuseClaims
		}
	}
	for _, name := range textClaims {
		claim, there = claims[name]
		if there {
			_, fits = claim.(string)
			if !fits {
				if !isList(name, claim) {
					return refuseClaims
				}
			}
		}
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
	e.validUntil = time.Duration(until) * 1e9
	return nil
}

// farAway is a NumericDate that no clock will show, and whose nanoseconds an int64 can hold.
const farAway = 9e9

var textClaims = []string{"iss", "sub", "aud"}

// refuseWithoutExpiry says why claims have no exp that is a number. Null is for one that is out of range, too.
func refuseWithoutExpiry(claims map[string]any) *refusal {
	if claims == nil { // They are no object.
		return refuseMalformed
	}
	if _, there := claims["exp"]; there {
		return refuseClaims
	}
	return refuseNoExpiry
}

// isList says whether a claim is an aud that is a list. What is in it is looked at once the signature was found right:
// a stranger can make it long.
func isList(name string, claim any) bool {
	_, ok := claim.([]any)
	return ok && name == "aud"
}

// verifyOtherwise verifies a token by a key that is no certificate, or that its header alone does not decide, and notes in
// the entry if it is refused.
func verifyOtherwise(s *settings, e *entry, h *joseHeader, claims map[string]any, line string, signature []byte, at time.Duration) {
	if h.only == nil {
		searchKey(s, e, h, claims, line, signature, at)
		return
	}
	if !verifySignature(h.only, h.alg, line[schemeBytes:strings.LastIndexByte(line, '.')], signature) {
		e.refused = refuseSignature
	}
}

// searchKey finds the key that signed a token, and notes it in the entry, or why there is none.
func searchKey(s *settings, e *entry, h *joseHeader, claims map[string]any, line string, signature []byte, at time.Duration) {
	k, from, r := findKey(s, claims, h, line[schemeBytes:strings.LastIndexByte(line, '.')], signature, at.Seconds())
	e.key, e.from, e.refused = k, from, r
	if r == nil && !h.isStrict {
		if !isStrictHeader(line) {
			e.refused = refuseMalformed
			return
		}
		rememberHeader(s, line[:strings.IndexByte(line, '.')], h, e.version)
	}
}

// isStrictHeader says whether a token's header is strict JSON. It is asked behind the signature: to walk over what a stranger
// wrote costs the interpreter a thousand times what it costs the stranger.
func isStrictHeader(line string) bool {
	decoded, err := b64.DecodeString(line[schemeBytes:strings.IndexByte(line, '.')])
	if err != nil {
		return false
	}
	_, err = strictObject(decoded)
	return err == nil
}

// readHeader reads a token's header that no verified token had: perhaps it was the last one that was read. Without a
// header it returns the entry that says why.
func readHeader(s *settings, line string) (*joseHeader, *entry) {
	if !strings.HasPrefix(line, scheme) {
		return nil, unread
	}
	text := line[:strings.IndexByte(line, '.')]
	var header *joseHeader
	m := s.memory
	m.mu.RLock()
	if m.lastHeaderText == text {
		header = m.lastHeader
	}
	m.mu.RUnlock()
	if header != nil {
		return header, nil
	}
	header, r := parseHeader(s, text[schemeBytes:])
	if r != nil {
		return nil, &entry{validSince: never, refused: r}
	}
	m.mu.Lock()
	m.lastHeaderText = strings.Clone(text) // It is part of a request's text.
	m.lastHeader = header                  // Yaegi: of several assigned values those beside a call are lost.
	m.mu.Unlock()
	return header, nil
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
	var members map[string]any
	if json.Unmarshal(decoded, &members) != nil || members == nil { // See isStrictHeader.
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

// isForOthers says whether a token is from or for others than the options want, and notes in the entry what they say of
// its claims.
func isForOthers(s *settings, e *entry, claims map[string]any) bool {
	e.refused = checkParties(s, claims)
	if e.refused != nil {
		return true
	}
	e.refused = checkAccess(s, claims)
	if e.refused != nil {
		e.validUntil = 0 // It is not for the fast path.
	}
	return false
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
