package slidingjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
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
// Yaegi: the primitives are called directly; through golang-jwt's interpreted methods each costs 7 to 15 µs more,
// and its PSS takes a salt of any length.
func verifySignature(k *key, alg, input string, signature []byte) bool {
	if alg == "RS256" {
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
