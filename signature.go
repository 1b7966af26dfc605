package slidingjwt

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"hash"
	"math/big"
	"net/http"
)

// findKey finds the key that signed a token, among those that may: a trusted issuer's for its own tokens, ours
// and jwksUrl's for all others. Ours are tried first, so that what they can answer waits for nobody.
func findKey(s *settings, claims map[string]any, h *joseHeader, input string, signature []byte, now float64) (*key, *keyURL, *refusal) {
	if len(s.trusted) > 0 {
		if issuer, ok := claims["iss"].(string); ok && s.trusted[issuer] != nil {
			endpoint := s.trusted[issuer]
			k, r := tryEndpoint(endpoint, h, input, signature, maxSignatures, now)
			return k, endpoint, r
		}
	}
	own := currentRing(s.keys)
	k, r, left := tryKeys(own.set, h, input, signature, maxSignatures)
	if k != nil {
		return k, nil, nil
	}
	if s.others != nil {
		k, theirs := tryEndpoint(s.others, h, input, signature, left, now)
		if k != nil || theirs.status == http.StatusServiceUnavailable {
			return k, s.others, theirs
		}
		if theirs == refuseSignature || r == refuseUnknownKey {
			r = theirs
		}
	}
	if own.incomplete {
		return nil, nil, unavailable(1)
	}
	return nil, nil, r
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
// Yaegi: one compiled call hashes and verifies; through golang-jwt's interpreted methods it costs 7 to 15 µs more, and its
// PSS takes a salt of any length.
func verifySignature(k *key, alg, input string, signature []byte) bool {
	switch {
	case k.certificate != nil:
		return k.certificate.CheckSignature(signatureAlgorithms[alg], []byte(input), signature) == nil
	case k.secret != nil:
		return verifyHMAC(k, alg, input, signature)
	}
	return verifyECDSA(k, alg, input, signature)
}

// signatureAlgorithms are the algorithms of RSA and Ed25519 by their names in X.509. Its PSS has salts as long as the hash.
var signatureAlgorithms = map[string]x509.SignatureAlgorithm{
	"RS256": x509.SHA256WithRSA, "RS384": x509.SHA384WithRSA, "RS512": x509.SHA512WithRSA,
	"PS256": x509.SHA256WithRSAPSS, "PS384": x509.SHA384WithRSAPSS, "PS512": x509.SHA512WithRSAPSS,
	"EdDSA": x509.PureEd25519, "Ed25519": x509.PureEd25519,
}

// hashes are those of HMAC and ECDSA.
var hashes = map[string]func() hash.Hash{
	"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New,
	"ES256": sha256.New, "ES384": sha512.New384, "ES512": sha512.New,
}

// verifyHMAC checks a signature with a secret (RFC 7518 3.2).
func verifyHMAC(k *key, alg, input string, signature []byte) bool {
	mac := hmac.New(hashes[alg], k.secret)
	_, _ = mac.Write([]byte(input)) // It never fails (package hash).
	return hmac.Equal(signature, mac.Sum(nil))
}

// verifyECDSA checks a signature that X.509 would write in another form (RFC 7518 3.4).
func verifyECDSA(k *key, alg, input string, signature []byte) bool {
	size := (k.ecdsa.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	sum := hashes[alg]()
	_, _ = sum.Write([]byte(input))
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k.ecdsa, sum.Sum(nil), r, s)
}

// maxSignatures bounds how many signatures are tried for one token.
const maxSignatures = 16

// candidates are the keys that a token meets: those of its kid and those without one, or all if it has none.
func candidates(set *keySet, alg, kid string) []*key {
	if kid == "" {
		return set.byAlg[alg]
	}
	named, unnamed := set.byKid[alg+" "+kid], set.noKid[alg]
	if len(unnamed) == 0 {
		return named
	}
	return append(append([]*key{}, named...), unnamed...)
}
