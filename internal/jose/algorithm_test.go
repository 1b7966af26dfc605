package jose_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// keyNamed is a key that signs and verifies, of the names in minted.Algorithms.
func keyNamed(t testing.TB, name string, configured ...string) *jose.Key {
	t.Helper()
	if name == "secret" {
		return secretKey(t, minted.Secret, configured...)
	}
	return parsed(t, minted.PEM(t, "PKCS8", minted.Key(t, name)), configured...)
}

func TestAlgorithmNames(t *testing.T) {
	var want []string
	for _, a := range minted.Algorithms {
		want = append(want, a.Alg)
	}
	slices.Sort(want)
	if got := jose.AlgorithmNames(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, name := range want {
		if !jose.IsKnown(name) {
			t.Errorf("%s: got it unknown, want it known", name)
		}
	}
	for _, name := range []string{"", "none", "None", "hs256", "HS1", "ES256K", "RSA-OAEP", "Ed448", "HS256 "} {
		if jose.IsKnown(name) {
			t.Errorf("%q: got it known, want it unknown", name)
		}
	}
}

func TestAllows(t *testing.T) {
	tests := []struct {
		list, name string
		want       bool
	}{
		{"HS256", "HS256", true},
		{"RS256 ES256", "ES256", true},
		{"RS256", "PS256", false},
		{"", "HS256", false},
		{"EdDSA", "Ed25519", true},
		{"Ed25519", "EdDSA", true},
		{"ES256", "EdDSA", false},
		{"none", "none", false}, // It is no algorithm, whoever lists it.
		{"RS256", "", false},
	}
	for _, test := range tests {
		if got := jose.Allows(strings.Fields(test.list), test.name); got != test.want {
			t.Errorf("%q in %q: got %t, want %t", test.name, test.list, got, test.want)
		}
	}
	if jose.Allows([]string{""}, "HS256") { // An empty name is not the alias of those that have none.
		t.Error("HS256 in a list of an empty name: got true, want false")
	}
}

// A key verifies what it signed, by the algorithm that signed it, and by no other.
func TestAlgorithmsSignAndVerify(t *testing.T) {
	same := map[string]string{"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
	for _, signing := range minted.Algorithms {
		k := keyNamed(t, signing.Key, signing.Alg)
		if k.SignAlg != signing.Alg {
			t.Fatalf("%s: got a key that signs with %q", signing.Alg, k.SignAlg)
		}
		token, err := k.Sign("", `{"sub":"ada"}`)
		if err != nil {
			t.Fatalf("%s: %v", signing.Alg, err)
		}
		h, input, signature := split(t, token)
		if h.Alg != signing.Alg {
			t.Errorf("%s: got a header with %s", signing.Alg, h.Alg)
		}
		unbound, all := keyNamed(t, signing.Key), jose.AlgorithmNames()
		for _, alg := range all {
			want := alg == signing.Alg || alg == same[signing.Alg]
			if got := jose.Verify(unbound, alg, input, signature); got != want {
				t.Errorf("a signature by %s, verified as %s: got %t, want %t", signing.Alg, alg, got, want)
			}
			// A key that is narrowed to others verifies nothing by this one.
			if got := jose.Verify(k, alg, input, signature); got != want {
				t.Errorf("a signature by %s, verified as %s by a key for it alone: got %t, want %t", signing.Alg, alg, got, want)
			}
		}
		for _, alg := range []string{"", "none", strings.ToLower(signing.Alg)} {
			if jose.Verify(unbound, alg, input, signature) {
				t.Errorf("a signature by %s, verified as %q: got true, want false", signing.Alg, alg)
			}
		}
	}
}
