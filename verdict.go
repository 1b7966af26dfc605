package slidingjwt

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
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
