package slidingjwt

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
)

// judge gives a token's verdict (RFC 7519 7.2): what is known of it if it is valid now and its claims suffice, else why it is
// refused. A token that is remembered is not verified again.
func judge(in *instance, token string, at time.Duration) (*verified, *refusal) {
	if len(token) > jose.MaxTokenBytes {
		return nil, refuseTooLong
	}
	lookAtKeys(in, at)
	key := in.settings.memoryKey(token)
	v, former, generation := in.memory.find(key)
	if v == nil && former != nil && keyRemains(in, former) {
		v = former
		in.memory.remember(key, v, generation)
	}
	if v == nil {
		found, _, r := verify(in, token, at, generation)
		if r != nil {
			return nil, r
		}
		v = found
		in.memory.remember(key, v, generation)
	}
	if r := v.times.compare(at, in.settings.leeway); r != nil {
		return nil, r
	}
	if v.denied != nil {
		return nil, v.denied
	}
	return v, nil
}

// keyRemains says whether the key that verified a token is still there.
func keyRemains(in *instance, v *verified) bool {
	if v.from == nil {
		return in.own.Current().Set.Has(v.key)
	}
	set := v.from.Known()
	return set != nil && set.Has(v.key)
}

// verify verifies a token (RFC 8725 3): its form and times first, which cost little, then the signature, and only behind it
// whatever a stranger could make costly. It returns the claims as well.
func verify(in *instance, token string, at time.Duration, generation int64) (*verified, map[string]any, *refusal) {
	s := in.settings
	parts, r := split(token)
	if r != nil {
		return nil, nil, r
	}
	header, r := readHeader(in, parts[0])
	if r != nil {
		return nil, nil, r
	}
	payload, err := jose.Base64.DecodeString(parts[1])
	if err != nil {
		return nil, nil, refuseMalformed
	}
	signature, err := jose.Base64.DecodeString(parts[2])
	if err != nil {
		return nil, nil, refuseMalformed
	}

	v := &verified{typ: header.Typ}
	var all map[string]any
	isHeavy := hasManyElements(payload)
	if isHeavy {
		all = issuerAlone(payload)
	} else {
		all, r = readClaims(v, payload, at, s.leeway)
		if r != nil {
			return nil, nil, r
		}
	}
	k, from, r := findKey(in, all, header, token[:strings.LastIndexByte(token, '.')], signature, at)
	if r != nil {
		return nil, nil, r
	}
	v.key = k
	v.from = from

	if !header.IsStrict {
		if !jose.StrictHeader(parts[0]) {
			return nil, nil, refuseMalformed
		}
		strict := *header
		strict.IsStrict = true
		in.memory.rememberHeader(strings.Clone(parts[0]), &strict, generation) // The text is part of a request's.
	}
	if isHeavy {
		all, r = readClaims(v, payload, at, s.leeway)
		if r != nil {
			return nil, nil, r
		}
	}
	if !jose.IsStrict(all, payload) {
		return nil, nil, refuseMalformed
	}
	if r := checkParties(in, all); r != nil {
		return nil, nil, r
	}
	v.denied = checkAccess(s, all)
	deriveHeaders(s, v, all)
	scheduleRenewal(s, v, all)
	v.since, v.until = undisputed(s, v)
	return v, all, nil
}

// undisputed returns from when to when a token needs nothing but its headers.
func undisputed(s *settings, v *verified) (since, until time.Duration) {
	if v.denied != nil {
		return farAway, 0
	}
	first := later(v.times.notBefore, v.times.issuedAt) - s.leeway
	last := v.times.expires + s.leeway
	if v.renewAt < last {
		last = v.renewAt
	}
	return first, last
}

func later(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

// split splits a token in compact form (RFC 7515 3.1).
func split(token string) ([]string, *refusal) {
	if strings.ContainsAny(token, " \t\r\n,") { // A decoder of base64 passes over line breaks.
		return nil, refuseMalformed
	}
	if strings.Count(token, ".") != 2 {
		return nil, refuseMalformed
	}
	return strings.Split(token, "."), nil
}

// readHeader reads a token's header, which may demand only what is done here.
func readHeader(in *instance, part string) (*jose.Header, *refusal) {
	if known := in.memory.header(part); known != nil {
		return known, nil
	}
	header, problem := jose.ParseHeader(part)
	switch problem {
	case jose.Malformed:
		return nil, refuseMalformed
	case jose.Unsupported:
		return nil, refuseCritical
	}
	s := in.settings
	if !contains(s.types, jose.MediaType(header.Typ)) {
		return nil, refuseType
	}
	if !jose.IsKnown(header.Alg) || (len(s.algorithms) > 0 && !jose.Allows(s.algorithms, header.Alg)) {
		return nil, refuseAlgorithm
	}
	return header, nil
}

// A payload that is longer than this, and has more elements, is read once its signature was found right: to read it takes
// longer than to check a signature.
const (
	lightBytes    = 1 << 10
	lightElements = 200
)

func hasManyElements(payload []byte) bool {
	if len(payload) <= lightBytes {
		return false
	}
	return bytes.Count(payload, []byte(","))+bytes.Count(payload, []byte("["))+bytes.Count(payload, []byte("{")) > lightElements
}

// issuerAlone reads the one claim that decides which keys a token meets.
func issuerAlone(payload []byte) map[string]any {
	all := map[string]any{}
	var members map[string]json.RawMessage
	if json.Unmarshal(payload, &members) != nil {
		return all
	}
	var issuer string
	if json.Unmarshal(members["iss"], &issuer) == nil {
		all["iss"] = issuer
	}
	return all
}

// readClaims reads the claims, and compares the times among them with this request's clock.
func readClaims(v *verified, payload []byte, at, leeway time.Duration) (map[string]any, *refusal) {
	all, err := jose.Object(payload)
	if err != nil {
		return nil, refuseMalformed
	}
	registered, r := readRegistered(all)
	if r != nil {
		return nil, r
	}
	if r := registered.compare(at, leeway); r != nil {
		return nil, r
	}
	v.times = registered
	return all, nil
}

// times are a token's NumericDates (RFC 7519 2), since 1970. What no clock will show is farAway.
type times struct{ expires, notBefore, issuedAt time.Duration }

const farAway = 6e9 * time.Second // The year 2160: an int64 holds its nanoseconds, and those of any option beyond.

// date is a NumericDate as the clock shows it, which began in 1970.
func date(seconds float64) time.Duration {
	if seconds > farAway.Seconds() {
		return farAway
	}
	if seconds < 0 {
		return 0
	}
	return time.Duration(seconds * 1e9)
}

// compare says why a token is not valid at a time. Only here are a token's times compared with the clock; the remembered path
// compares what undisputed makes of them.
func (t times) compare(at, leeway time.Duration) *refusal {
	if at >= t.expires+leeway {
		return refuseExpired
	}
	if at < t.notBefore-leeway {
		return refuseNotYet
	}
	if at < t.issuedAt-leeway {
		return refuseIssuedLate
	}
	return nil
}

// readRegistered reads exp, nbf and iat, which are finite numbers (RFC 7519 4.1.4 to 4.1.6), and checks the types of the claims
// that say from whom and for whom a token is. What is in a list is not looked at: see checkParties.
func readRegistered(all map[string]any) (times, *refusal) {
	t := times{}
	exp, there := all["exp"]
	if !there {
		return t, refuseNoExpiry
	}
	seconds, isNumber := claims.Number(exp)
	if !isNumber {
		return t, refuseClaims
	}
	t.expires = date(seconds)
	if nbf, there := all["nbf"]; there {
		seconds, isNumber := claims.Number(nbf)
		if !isNumber {
			return t, refuseClaims
		}
		t.notBefore = date(seconds)
	}
	if iat, there := all["iat"]; there {
		seconds, isNumber := claims.Number(iat)
		if !isNumber {
			return t, refuseClaims
		}
		t.issuedAt = date(seconds)
	}
	for _, name := range []string{"iss", "sub", "aud"} {
		claim, there := all[name]
		if !there {
			continue
		}
		_, isText := claim.(string)
		_, isList := claim.([]any)
		if !isText && !(isList && name == "aud") {
			return t, refuseClaims
		}
	}
	if _, there := all["cnf"]; there {
		return t, refuseBound
	}
	return t, nil
}

// checkParties checks whom a token is from and for.
func checkParties(in *instance, all map[string]any) *refusal {
	s := in.settings
	audiences, isRight := claims.Texts(all["aud"])
	if _, there := all["aud"]; there && !isRight {
		return refuseClaims
	}
	if s.issuer != "" && all["iss"] != s.issuer {
		issuer, _ := all["iss"].(string)
		if in.trusted[issuer] == nil {
			return refuseIssuer
		}
	}
	if len(s.audience) == 0 {
		return nil
	}
	for _, audience := range audiences {
		if contains(s.audience, audience) {
			return nil
		}
	}
	return refuseAudience
}

// checkAccess decides whether a token's claims suffice. Time does not change its answer.
func checkAccess(s *settings, all map[string]any) *refusal {
	if len(s.scopes) > 0 {
		granted := scopesOf(all)
		for _, scope := range s.scopes {
			if !contains(granted, scope) {
				return refuseScope
			}
		}
	}
	if s.condition != nil && !claims.Holds(s.condition, all) {
		return refusePolicy
	}
	return nil
}

// scopesOf reads the scope string (RFC 8693 4.2), or the scp list that others have.
func scopesOf(all map[string]any) []string {
	if _, isText := all["scope"].(string); isText {
		return claims.Words(all["scope"])
	}
	return claims.Words(all["scp"])
}

// findKey finds the key that signed a token, among those that may have: a trusted issuer's for its own tokens, the operator's
// and jwksUrl's for all others. The operator's are tried first, so that what they can answer waits for nobody.
func findKey(in *instance, all map[string]any, h *jose.Header, input string, signature []byte, at time.Duration) (*jose.Key, *keysource.Endpoint, *refusal) {
	if issuer, isText := all["iss"].(string); isText && in.trusted[issuer] != nil {
		endpoint := in.trusted[issuer]
		k, r := tryEndpoint(endpoint, h, input, signature, maxSignatures, at)
		return k, endpoint, r
	}
	own := in.own.Current()
	k, r, left := tryKeys(own.Set, h, input, signature, maxSignatures)
	if k != nil {
		return k, nil, nil
	}
	if in.jwksURL != nil {
		k, theirs := tryEndpoint(in.jwksURL, h, input, signature, left, at)
		if k != nil {
			return k, in.jwksURL, nil
		}
		if theirs.isUnavailable() {
			return nil, nil, theirs
		}
		if theirs == refuseSignature || r == refuseUnknownKey {
			r = theirs
		}
	}
	if own.IsIncomplete {
		return nil, nil, unavailable(time.Second)
	}
	return nil, nil, r
}

// tryEndpoint tries a signature with the keys of an endpoint. What the known ones can answer waits for no fetch.
func tryEndpoint(endpoint *keysource.Endpoint, h *jose.Header, input string, signature []byte, limit int, at time.Duration) (*jose.Key, *refusal) {
	if strings.HasPrefix(h.Alg, "HS") {
		return nil, refuseAlgorithm // A key set from a URL holds no secret.
	}
	known := endpoint.Refreshed(at)
	left := limit
	var refused *refusal
	if known != nil {
		k, r, rest := tryKeys(known, h, input, signature, limit)
		if k != nil || h.KID == "" || known.HasKID(h.KID) {
			return k, r
		}
		refused = r
		left = rest
	}
	set, retryAfter := endpoint.KeysFor(h.KID, at)
	if set == nil {
		return nil, unavailable(retryAfter)
	}
	if set == known {
		return nil, refused
	}
	k, r, _ := tryKeys(set, h, input, signature, left)
	return k, r
}

// maxSignatures bounds how many signatures are tried for one token.
const maxSignatures = 16

// tryKeys tries the signature with the keys that fit the token, up to a limit, and returns what is left of it.
func tryKeys(set *jose.KeySet, h *jose.Header, input string, signature []byte, limit int) (*jose.Key, *refusal, int) {
	keys := set.For(h.Alg, h.KID)
	for i, k := range keys {
		if i == limit {
			return nil, refuseSignature, 0
		}
		if k.Verify(h.Alg, input, signature) {
			return k, nil, limit
		}
	}
	if len(keys) > 0 {
		return nil, refuseSignature, limit - len(keys)
	}
	if h.KID != "" && !set.HasKID(h.KID) {
		return nil, refuseUnknownKey, limit
	}
	return nil, refuseAlgorithm, limit
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}
