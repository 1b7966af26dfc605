// Package probe asks the plugin about one bare signature. It is compiled with the tests of its parent, and interpreted with the
// plugin's own packages.
package probe

import (
	"github.com/slidingjwt/slidingjwt/internal/jose"
)

// Valid is the answer to a right signature.
const Valid = "valid"

// Signature says whether a signature is one of a message under a JWK Set, as a token with this alg and kid would have it:
// Valid, or why it is not.
func Signature(set, alg, kid, message, signature string) string {
	keys, err := jose.ParseSet(set, "the vector", false)
	if err != nil {
		return "no key: " + err.Error()
	}
	for _, key := range keys {
		key.Bind(nil, true)
	}
	key, tried := jose.Find(jose.NewKeySet(keys), &jose.Header{Alg: alg, KID: kid}, message, []byte(signature), len(keys))
	if key != nil {
		return Valid
	}
	if tried == 0 {
		return "no candidate"
	}
	return "wrong"
}
