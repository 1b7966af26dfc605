package slidingjwt

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
)

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
