package slidingjwt

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// judge gives a token's verdict (RFC 7519 7.2): what is known of it if it is valid now and its claims suffice, else why it is
// refused. A token that is remembered is not verified again. The key is the token's key in the memory: the line of its usual header.
func judge(in *instance, key string, at time.Duration) (*verified, *refusal) {
	m := in.memory
	m.mu.RLock()
	v := m.known[key]
	former := m.former[key]
	isLookDue := m.isLookDue
	m.mu.RUnlock()
	if isLookDue {
		lookAtKeys(in, at)
		v, former = recall(m, key)
	}
	if v == nil && former != nil {
		again, r := recallFormer(in, key, former, at)
		if r != nil {
			return nil, r
		}
		v = again
	}
	if v == nil {
		found, _, r := verify(in, key[len(in.settings.prefix):], at)
		if r != nil {
			return nil, r
		}
		remember(m, key, found)
		v = found
	}
	if in.confirmations != nil && hasEnded(in.confirmations, key[len(in.settings.prefix):]) {
		return v, refuseEnded
	}
	if at < v.since || at >= v.until {
		r := dispute(in.settings, v, at)
		if r != nil {
			return nil, r
		}
	}
	return v, nil
}

// dispute says why a verified token is refused at a time outside of since and until; nil if it is only due for renewal.
func dispute(s *settings, v *verified, at time.Duration) *refusal {
	if r := compare(v.times, at, s.leeway); r != nil {
		return r
	}
	if v.denied == nil && s.stepUp.maxAge > 0 && isStale(s, v, at) {
		return refuseStepUp
	}
	return v.denied
}

// recallFormer makes a token of a former generation known again, if its key is still in its set and it was not revoked since. It
// returns nil if the key is not there.
func recallFormer(in *instance, key string, former *verified, at time.Duration) (*verified, *refusal) {
	m := in.memory
	m.mu.RLock()
	set := m.ring.Set
	generation := m.generation
	m.mu.RUnlock()
	if former.from != nil {
		set = former.from.Known()
	}
	if set == nil || !set.Has(former.key) {
		return nil, nil
	}
	if in.revocations != nil {
		r := checkRevokedAgain(in, former, at)
		if r != nil {
			return nil, r
		}
	}
	again := *former
	again.generation = generation
	remember(in.memory, key, &again)
	return &again, nil
}

// verify verifies a token (RFC 8725 3): its form and times first, which cost little, then the signature, and only behind it
// whatever a stranger could make costly. It returns the claims as well, with numbers as float64 or as they are written.
//
// Yaegi: a call costs as much as ten of these lines, so this is one function, and what is rare is in others.
func verify(in *instance, token string, at time.Duration) (*verified, map[string]any, *refusal) {
	var r *refusal
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 {
		return nil, nil, refuseMalformed
	}
	m := in.memory
	m.mu.RLock()
	header := m.headers[parts[0]]
	ring := m.ring
	v := &verified{generation: m.generation, renewAt: farAway}
	m.mu.RUnlock()
	if header == nil {
		header, r = readHeader(in, parts[0])
		if r != nil {
			return nil, nil, r
		}
	}
	payload, err := jose.Base64.DecodeString(parts[1])
	if err != nil {
		return nil, nil, refuseMalformed
	}
	signature, err := jose.Base64.DecodeString(parts[2])
	if err != nil {
		return nil, nil, refuseMalformed
	}
	input := token[:len(token)-len(parts[2])-1]
	if len(payload) > lightBytes {
		r = findHeavy(in, ring, v, header, payload, input, signature, at)
		if r != nil {
			return nil, nil, r
		}
	}
	var all map[string]any
	err = json.Unmarshal(payload, &all)
	if err != nil {
		all, _ = jose.Object(payload) // Perhaps a number is beyond float64.
	}
	r = readRegistered(v, all, at, in.settings.leeway)
	if r != nil {
		return nil, nil, r
	}
	if v.key == nil {
		r = findKey(in, ring, v, all, header, input, signature, at)
		if r != nil {
			return nil, nil, r
		}
	}
	v.typ = header.Typ
	if !header.IsStrict {
		if !acceptHeader(in, header, parts[0], v.generation) {
			return nil, nil, refuseMalformed
		}
	}
	r = readClaims(in, v, all, payload)
	if r != nil {
		return nil, nil, r
	}
	if in.revocations != nil {
		v.facts = factsOf(all)
		r = checkRevoked(in, v, at)
		if r != nil {
			return nil, nil, r
		}
	}
	return v, all, nil
}

// readClaims checks the claims of a token whose signature was found right, and derives what a request needs of them.
func readClaims(in *instance, v *verified, all map[string]any, payload []byte) *refusal {
	s := in.settings
	isUsual, isStrict := jose.Strictness(all, payload)
	if !isStrict {
		return refuseMalformed
	}
	if s.needsExactNumbers {
		all, _ = jose.Object(payload)
	}
	if s.checksParties || all["aud"] != nil {
		r := checkParties(in, all)
		if r != nil {
			return r
		}
	}
	if s.restricts {
		v.denied = checkAccess(s, all)
	}
	if len(s.forwarded) > 0 {
		deriveHeaders(s, v, all, payload, isUsual)
	}
	if s.renewal.isOn {
		scheduleRenewal(in, v, all)
	}
	if s.username != nil {
		nameUser(s, v, payload)
	}
	// In between, the token needs nothing but its headers.
	v.since = v.times.notBefore - s.leeway
	if v.times.issuedAt > v.times.notBefore {
		v.since = v.times.issuedAt - s.leeway
	}
	v.until = v.times.expires + s.leeway
	if v.renewAt < v.until {
		v.until = v.renewAt
	}
	if s.stepUp.isOn {
		checkStepUp(s, v, all)
	}
	if v.denied != nil || s.username != nil {
		v.until = 0
	}
	return nil
}

// unwanted may be in no token: a decoder of base64 passes over line breaks.
const unwanted = " \t\r\n,"

func later(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

// readHeader reads the header of a token, which may demand only what is done here: perhaps it was the last one that was read.
func readHeader(in *instance, part string) (*jose.Header, *refusal) {
	known := recallLastHeader(in.memory, part)
	if known != nil {
		return known, nil
	}
	s := in.settings
	header, problem := jose.ParseHeader(part)
	switch problem {
	case jose.Malformed:
		return nil, refuseMalformed
	case jose.Unsupported:
		return nil, refuseCritical
	}
	if !contains(s.types, jose.MediaType(header.Typ)) {
		return nil, refuseType
	}
	if !jose.IsKnown(header.Alg) || (len(s.algorithms) > 0 && !jose.Allows(s.algorithms, header.Alg)) {
		return nil, refuseAlgorithm
	}
	rememberLastHeader(in.memory, part, header)
	return header, nil
}

// acceptHeader says whether the header of a token that was verified is strict JSON, and remembers it.
func acceptHeader(in *instance, header *jose.Header, part string, generation int64) bool {
	if !jose.StrictHeader(part) {
		return false
	}
	strict := *header
	strict.IsStrict = true
	rememberHeader(in.memory, strings.Clone(part), &strict, generation) // The text is part of a request's.
	return true
}

// A payload that is longer and has more elements than this is read only after its signature was verified, since reading it takes
// longer than that.
const (
	lightBytes    = 1 << 10
	lightElements = 200
)

// findHeavy finds the key of a token whose payload has many elements, before they are read.
func findHeavy(in *instance, ring *keysource.Ring, v *verified, h *jose.Header, payload []byte, input string, signature []byte, at time.Duration) *refusal {
	if bytes.Count(payload, []byte(","))+bytes.Count(payload, []byte("["))+bytes.Count(payload, []byte("{")) <= lightElements {
		return nil
	}
	r := findKey(in, ring, v, issuerAlone(payload), h, input, signature, at)
	return r
}

// issuerAlone reads nothing but iss, which decides with which keys a token is verified.
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

// times are a token's NumericDates (RFC 7519 2), as durations since 1970. Later dates than farAway become farAway.
type times struct{ expires, notBefore, issuedAt time.Duration }

const (
	farSeconds = 6e9                      // The year 2160: an int64 holds its nanoseconds …
	farAway    = farSeconds * time.Second // … and those of any option beyond.
)

// compare says why a token is not valid at a time. A token's times are compared with the clock only here; the remembered path compares
// since and until, which verify derives from them.
func compare(t times, at, leeway time.Duration) *refusal {
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
// that name the token's issuer, subject and audience. Null is absent, but for exp. The elements of a list are left to checkParties,
// which runs after the signature. Then the times are compared with this request's clock.
func readRegistered(v *verified, all map[string]any, at, leeway time.Duration) *refusal {
	if all == nil {
		return refuseMalformed
	}
	if _, there := all["exp"]; !there {
		return refuseNoExpiry
	}
	dates := []time.Duration{0, 0, 0}
	for i, name := range dateClaims {
		claim, there := all[name]
		if there && (claim != nil || name == "exp") {
			seconds, isNumber := claim.(float64)
			if !isNumber {
				seconds, isNumber = claims.Number(claim)
				if !isNumber {
					return refuseClaims
				}
			}
			if seconds < 0 {
				seconds = 0
			}
			if seconds > farSeconds {
				seconds = farSeconds
			}
			dates[i] = time.Duration(seconds * 1e9)
		}
	}
	v.times = times{expires: dates[0], notBefore: dates[1], issuedAt: dates[2]}
	for _, name := range textClaims {
		claim := all[name]
		if claim != nil {
			_, isText := claim.(string)
			if !isText && !isList(name, claim) {
				return refuseClaims
			}
		}
	}
	if _, there := all["cnf"]; there {
		return refuseBound
	}
	r := compare(v.times, at, leeway)
	return r
}

var (
	dateClaims = []string{"exp", "nbf", "iat"}
	textClaims = []string{"iss", "sub", "aud"}
)

// isList says whether a claim is an aud that is a list.
func isList(name string, claim any) bool {
	_, ok := claim.([]any)
	return ok && name == "aud"
}

// checkParties checks a token's issuer and audience.
func checkParties(in *instance, all map[string]any) *refusal {
	s := in.settings
	aud := all["aud"]
	if aud == nil && len(s.audience) > 0 {
		return refuseAudience
	}
	if aud != nil {
		if r := checkAudience(s, aud); r != nil {
			return r
		}
	}
	if s.issuer != "" && all["iss"] != s.issuer {
		return checkIssuer(in, all)
	}
	return nil
}

// checkAudience checks an aud, which is a string or a list of strings (RFC 7519 4.1.3).
func checkAudience(s *settings, aud any) *refusal {
	audiences, isRight := claims.Texts(aud)
	if !isRight {
		return refuseClaims
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

// checkIssuer checks an iss that is not the configured one: it may be a trusted issuer's.
func checkIssuer(in *instance, all map[string]any) *refusal {
	issuer, _ := all["iss"].(string)
	if in.trusted[issuer] == nil {
		logOtherIssuer(in, issuer)
		return refuseIssuer
	}
	return nil
}

// logOtherIssuer says which issuer a token has, and which ones it may have: the two often differ by a slash.
func logOtherIssuer(in *instance, issuer string) {
	expected := []string{}
	if in.settings.issuer != "" && !in.hasOnlyTrusted {
		expected = append(expected, in.settings.issuer)
	}
	for trusted := range in.trusted {
		expected = append(expected, trusted)
	}
	sort.Strings(expected)
	logline.Debug("the token's issuer is %s, and not one of %+q", logline.Quote(issuer), expected)
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

// scopesOf reads scope (RFC 8693 4.2), or scp in its place, as some issuers call it, each a string or a list.
func scopesOf(all map[string]any) []string {
	scope := all["scope"]
	if scope == nil {
		scope = all["scp"]
	}
	words := claims.Words(scope)
	return words
}

// findKey finds the key that signed a token, among those that may have: a trusted issuer's for its own tokens, the operator's
// and jwksUrl's for all others. The operator's are tried first, so that their tokens never wait for a fetch.
func findKey(in *instance, own *keysource.Ring, v *verified, all map[string]any, h *jose.Header, input string, signature []byte, at time.Duration) *refusal {
	if len(in.trusted) > 0 {
		isTrusted, r := findTrusted(in, v, all, h, input, signature, at)
		if isTrusted {
			return r
		}
	}
	k, tried := jose.Find(own.Set, h, input, signature, maxSignatures)
	if k == nil {
		r := findElsewhere(in, own, v, h, input, signature, tried, at)
		return r
	}
	v.key = k
	return nil
}

// findTrusted finds the key of a token that says it is a trusted issuer's, or refuses one that should be. It is false where other
// keys may have signed the token.
func findTrusted(in *instance, v *verified, all map[string]any, h *jose.Header, input string, signature []byte, at time.Duration) (bool, *refusal) {
	issuer, _ := all["iss"].(string)
	endpoint := in.trusted[issuer]
	if endpoint == nil && in.hasOnlyTrusted {
		logOtherIssuer(in, issuer)
		return true, refuseIssuer
	}
	if endpoint == nil {
		return false, nil
	}
	k, r, _ := tryEndpoint(endpoint, h, input, signature, maxSignatures, at)
	v.key = k
	v.from = endpoint
	return true, r
}

// findElsewhere tries the keys of jwksUrl, and of trusted issuers without a name, behind the operator's own, of which some were
// tried.
func findElsewhere(in *instance, own *keysource.Ring, v *verified, h *jose.Header, input string, signature []byte, tried int, at time.Duration) *refusal {
	refused := refusedBy(own.Set, h, tried)
	left := maxSignatures - tried
	for _, endpoint := range in.unnamed {
		k, r, triedThere := tryEndpoint(endpoint, h, input, signature, left, at)
		left -= triedThere
		if k != nil {
			v.key = k
			v.from = endpoint
			return nil
		}
		if isUnavailable(r) || !isUnavailable(refused) && (r == refuseSignature || refused == refuseUnknownKey) {
			refused = r
		}
	}
	if own.IsIncomplete && !isUnavailable(refused) {
		refused = unavailable(time.Second)
	}
	return refused
}

// tryEndpoint tries a signature with the keys of an endpoint, and says how many were tried. It waits for a fetch only if no known key
// can have signed the token.
func tryEndpoint(endpoint *keysource.Endpoint, h *jose.Header, input string, signature []byte, limit int, at time.Duration) (*jose.Key, *refusal, int) {
	if strings.HasPrefix(h.Alg, "HS") {
		return nil, refuseAlgorithm, 0 // A key set from a URL holds no secret.
	}
	known := endpoint.Refreshed(at)
	total := 0
	var refused *refusal
	if known != nil {
		k, tried := jose.Find(known, h, input, signature, limit)
		if k != nil {
			return k, nil, tried
		}
		refused = refusedBy(known, h, tried)
		if h.KID == "" || known.HasKID(h.KID) {
			return nil, refused, tried
		}
		total = tried
	}
	set, retryAfter := endpoint.KeysFor(h.KID, at)
	if set == nil {
		r := unavailable(retryAfter)
		return nil, r, total
	}
	if set == known {
		return nil, refused, total
	}
	k, tried := jose.Find(set, h, input, signature, limit-total)
	if k != nil {
		return k, nil, total + tried
	}
	r := refusedBy(set, h, tried)
	return nil, r, total + tried
}

// maxSignatures bounds how many signatures are tried for one token.
const maxSignatures = 16

// refusedBy says why none of a set's keys verified a token; so many of them were tried.
func refusedBy(set *jose.KeySet, h *jose.Header, tried int) *refusal {
	if tried > 0 {
		return refuseSignature
	}
	if h.KID != "" && !set.HasKID(h.KID) {
		return refuseUnknownKey
	}
	return refuseAlgorithm
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}
