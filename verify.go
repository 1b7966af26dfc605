package slidingjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"math/big"
	"strings"
	"unicode/utf8"
)

const maxHeaderBytes = 2 << 10

// joseHeader is what a token's header says (RFC 7515 4). What it says of keys beside the kid is not read.
type joseHeader struct {
	alg, kid, typ string

	// The only key that tokens with this header meet while the keys are of this version; nil if there are more.
	only    *key
	version int64
}

// verify decides on a token (RFC 7519 7.2, RFC 8725): form and times first, which cost little, then the
// signature, then whether its claims suffice. It is given what the memory has of it, and tells the memory last.
func verify(s *settings, token string, e *entry, version int64, now float64) (*entry, *refusal, int) {
	if e != nil {
		if r := checkTimes(s, e, now); r != nil {
			return nil, r, 0
		}
		if e.version != version {
			e = confirm(s, token, e, version)
		}
		if e != nil {
			return e, e.refused, 0
		}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, refuseMalformed, 0
	}
	e, r, retryAfter := verifyAnew(s, token, parts, version, now)
	if r != nil {
		return nil, r, retryAfter
	}
	remember(s.memory, "Bearer "+token, e)
	return e, e.refused, 0
}

// confirm returns an entry of an older version as one of this version if its key is still there, else nil.
func confirm(s *settings, token string, e *entry, version int64) *entry {
	if !keyRemains(s, e) {
		return nil
	}
	confirmed := *e
	confirmed.version = version
	remember(s.memory, "Bearer "+token, &confirmed)
	return &confirmed
}

// verifyAnew verifies a token that is not remembered.
//
// Yaegi: what is rare is in functions of its own, and what is usual is a loop where it can be: a variable of a
// function costs as much as a call of the standard library, used or not.
func verifyAnew(s *settings, token string, parts []string, version int64, now float64) (*entry, *refusal, int) {
	s.memory.mu.RLock()
	header := s.memory.headers[parts[0]]
	s.memory.mu.RUnlock()
	var r *refusal
	if header == nil {
		if header, r = parseHeader(s, parts[0]); r != nil {
			return nil, r, 0
		}
	}
	claims, signature, unchecked := decodeParts(token, parts)
	if claims == nil {
		return nil, refuseMalformed, 0
	}
	e := &entry{typ: header.typ, version: version}
	if r = readRegistered(e, claims); r != nil {
		return nil, r, 0
	}
	if r = checkTimes(s, e, now); r != nil {
		return nil, r, 0
	}
	k := header.only
	if k == nil || header.version != version {
		found, from, r, wait := findKey(s, claims, header, token[:len(token)-len(parts[2])-1], signature, now)
		if r != nil {
			return nil, r, wait
		}
		k, e.from = found, from
		rememberHeader(s, parts[0], header, version)
	} else if !verifySignature(k, header.alg, token[:len(token)-len(parts[2])-1], signature) {
		return nil, refuseSignature, 0
	}
	if unchecked != "" && checkMembers(unchecked) != nil {
		return nil, refuseMalformed, 0
	}
	if s.expects {
		if r = checkParties(s, claims); r != nil {
			return nil, r, 0
		}
	}
	e.keyID = k.id
	if s.restricts {
		e.refused = checkAccess(s, claims)
	}
	e.names, e.values = forwarded(s, claims)
	if k.own && s.config.Renew.Before != "" {
		scheduleRenewal(s, e, claims)
	}
	setFresh(s, e)
	return e, nil, 0
}

// decodeParts decodes a token's payload and signature; nil claims are malformed. What is costly to check of the
// payload is left for when it is known that we, or an issuer, wrote it: the text whose members are unchecked.
func decodeParts(token string, parts []string) (claims map[string]any, signature []byte, unchecked string) {
	if strings.ContainsAny(token, "\r\n") { // A decoder of base64 passes over them.
		return nil, nil, ""
	}
	payload, err := b64.DecodeString(parts[1])
	if err != nil {
		return nil, nil, ""
	}
	if signature, err = b64.DecodeString(parts[2]); err != nil {
		return nil, nil, ""
	}
	text := string(payload)
	claims, isStrict := decodeObject(text)
	if isStrict {
		text = ""
	}
	return claims, signature, text
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
		if _, ok := claim.(string); !ok {
			return wrongType(name, claim)
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

// wrongType refuses a claim that is no string, but for an aud that is a list of strings.
func wrongType(name string, claim any) *refusal {
	if _, ok := audiences(claim); ok && name == "aud" {
		return nil
	}
	return refuseClaims
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

// findKey finds the key that signed a token, among those that may: a trusted issuer's for its own tokens, ours
// and jwksUrl's for all others. Ours are tried first, so that what they can answer waits for nobody.
func findKey(s *settings, claims map[string]any, h *joseHeader, input string, signature []byte, now float64) (*key, *keyURL, *refusal, int) {
	if len(s.trusted) > 0 {
		if issuer, ok := claims["iss"].(string); ok && s.trusted[issuer] != nil {
			endpoint := s.trusted[issuer]
			k, r, wait := tryEndpoint(endpoint, h, input, signature, maxSignatures, now)
			return k, endpoint, r, wait
		}
	}
	own := currentRing(s.keys)
	k, r, left := tryKeys(own.set, h, input, signature, maxSignatures)
	if k != nil {
		return k, nil, nil, 0
	}
	if s.others != nil {
		k, theirs, wait := tryEndpoint(s.others, h, input, signature, left, now)
		if k != nil || theirs == refuseUnavailable {
			return k, s.others, theirs, wait
		}
		if theirs == refuseSignature || r == refuseUnknownKey {
			r = theirs
		}
	}
	if own.incomplete {
		return nil, nil, refuseUnavailable, 1
	}
	return nil, nil, r, 0
}

// tryKeys tries the signature with the keys that fit the token, up to a limit, and returns what is left of it.
func tryKeys(set *keySet, h *joseHeader, input string, signature []byte, limit int) (k *key, r *refusal, left int) {
	keys := candidates(set, h.alg, h.kid)
	for i, k := range keys {
		if i == limit {
			return nil, refuseSignature, 0
		}
		if verifySignature(k, h.alg, input, signature) {
			return k, nil, limit
		}
	}
	if len(keys) > 0 {
		return nil, refuseSignature, limit - len(keys)
	}
	if h.kid != "" && !set.kids[h.kid] {
		return nil, refuseUnknownKey, limit
	}
	return nil, refuseAlgorithm, limit
}

// verifySignature checks a signature with a key that is bound to the algorithm (RFC 7518 3, RFC 8037 3.1).
//
// Yaegi: the primitives are called directly; through golang-jwt's interpreted methods each costs 7 to 15 µs more,
// and its PSS takes a salt of any length.
func verifySignature(k *key, alg, input string, signature []byte) bool {
	if k.rsa != nil && len(signature) != k.rsa.Size() {
		return false
	}
	if k.rsa != nil && alg == "RS256" {
		sum := sha256.Sum256([]byte(input))
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, sum[:], signature) == nil
	}
	if k.ed != nil {
		return ed25519.Verify(k.ed, []byte(input), signature)
	}
	return verifyOther(k, alg, input, signature)
}

// verifyOther is the less usual part of verifySignature.
func verifyOther(k *key, alg, input string, signature []byte) bool {
	var digest []byte
	var kind crypto.Hash
	var newHash func() hash.Hash
	switch alg[2:] {
	case "256":
		kind, newHash = crypto.SHA256, sha256.New
	case "384":
		kind, newHash = crypto.SHA384, sha512.New384
	default:
		kind, newHash = crypto.SHA512, sha512.New
	}
	if k.secret != nil {
		mac := hmac.New(newHash, k.secret)
		_, _ = mac.Write([]byte(input)) // It never fails (package hash).
		digest = mac.Sum(nil)
		return hmac.Equal(signature, digest)
	}
	sum := newHash()
	_, _ = sum.Write([]byte(input))
	digest = sum.Sum(nil)
	if k.ecdsa != nil {
		size := (k.ecdsa.Curve.Params().BitSize + 7) / 8
		if len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(k.ecdsa, digest, r, s)
	}
	if alg[0] == 'P' {
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: kind}
		return rsa.VerifyPSS(k.rsa, kind, digest, signature, options) == nil
	}
	return rsa.VerifyPKCS1v15(k.rsa, kind, digest, signature) == nil
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

// forwarded derives the headers that a token sets.
func forwarded(s *settings, claims map[string]any) (names []string, values [][]string) {
	for _, header := range s.forward {
		text, ok := claims[header.path[0]].(string)
		if !ok || len(header.path) > 1 {
			text, ok = structuredValue(claims[header.path[0]], header.path)
		}
		// Space at an end is lost on the way, and "ada " would arrive as ada.
		if ok && len(text) <= maxHeaderValueBytes && !strings.ContainsAny(text, controls) && strings.Trim(text, " ") == text {
			names = append(names, header.name)
			values = append(values, []string{text})
		}
	}
	return names, values
}

// setFresh notes the whole seconds in which a token is valid for sure and nothing is due.
func setFresh(s *settings, e *entry) {
	if e.refused != nil {
		return
	}
	until, since := e.exp+s.leeway, e.nbf
	if e.due > 0 && e.due < until {
		until = e.due
	}
	if until > farAway {
		until = farAway
	}
	if e.iat > since {
		since = e.iat
	}
	since -= s.leeway
	if since < 0 {
		since = 0
	}
	e.freshUntil, e.freshSince = int64(until), int64(since)+1
}

// farAway is a NumericDate that no clock will show, and that an int64 can hold.
const farAway = 1e15

var errNotStrict = errors.New("not one JSON object with distinct members")

// strictObject reads one JSON object: valid UTF-8, no member twice at any depth, nothing behind it, numbers as
// they are written (RFC 8259 4, RFC 8725 3.1).
func strictObject(text string) (map[string]any, error) {
	object, isStrict := decodeObject(text)
	if object == nil || !isStrict && checkMembers(text) != nil {
		return nil, errNotStrict
	}
	return object, nil
}

// decodeObject reads a JSON object, nil if there is none, and says whether it is strict for sure. If not,
// checkMembers decides.
//
// Yaegi: checkMembers costs 30 µs. Writing the object again costs 4, and shows it as well: what is written is as
// long as what was read if and only if no member was dropped and there is no white space, provided that nothing in
// it is written in more than one way.
func decodeObject(text string) (object map[string]any, isStrict bool) {
	if !utf8.ValidString(text) {
		return nil, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, false
	}
	if strings.ContainsAny(text, "<>&\\\u2028\u2029\ufffd") {
		return object, false
	}
	written, err := json.Marshal(object)
	return object, err == nil && len(written) == len(text)
}

// checkMembers walks over a JSON text and refuses a member that is there twice, and anything behind the text.
func checkMembers(text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()        // Else a number beyond float64 is an error.
	var open []map[string]bool // the members of each open object; nil for a list
	isName := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errNotStrict
		}
		inObject := len(open) > 0 && open[len(open)-1] != nil
		if name, ok := token.(string); ok && inObject && isName {
			if open[len(open)-1][name] {
				return errNotStrict
			}
			open[len(open)-1][name] = true
			isName = false
			continue
		}
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{':
				open = append(open, map[string]bool{})
				isName = true
				continue
			case '[':
				var list map[string]bool // Yaegi: an untyped nil cannot be appended.
				open = append(open, list)
				continue
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) == 0 {
			if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
				return errNotStrict
			}
			return nil
		}
		isName = open[len(open)-1] != nil
	}
}
