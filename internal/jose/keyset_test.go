package jose_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// A token meets the keys of its algorithm and kid, then those without a kid, up to a limit.
func TestFind(t *testing.T) {
	a, b, c := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger"), minted.Key(t, "P-384")
	set := jose.NewKeySet(setOf(t, minted.NamedJWK(t, "a", a), minted.PublicJWK(t, b), minted.NamedJWK(t, "a", c), minted.NamedJWK(t, "z", minted.Key(t, "RSA"))))
	tests := []struct {
		key, alg, kid string
		limit         int
		want          string // the thumbprint's key
		tried         int
	}{
		{"P-256", "ES256", "a", 16, "P-256", 0},
		{"P-256", "ES256", "", 16, "P-256", 0},
		{"P-256", "ES256", "", 1, "P-256", 0},
		{"P-256", "ES256", "", 0, "", 0},
		{"P-256", "ES256", "b", 16, "", 1}, // It meets the one without a kid.
		{"P-256", "ES256", "z", 16, "", 1},
		{"P-256", "ES256", "A", 16, "", 1},
		{"P-256 of a stranger", "ES256", "", 16, "P-256 of a stranger", 1},
		{"P-256 of a stranger", "ES256", "", 1, "", 1},
		{"P-256 of a stranger", "ES256", "a", 16, "P-256 of a stranger", 1}, // Behind the kid's own.
		{"P-256 of a stranger", "ES256", "a", 1, "", 1},
		{"P-256 of a stranger", "ES256", "b", 1, "P-256 of a stranger", 0},
		{"P-384", "ES384", "a", 16, "P-384", 0},
		{"P-384", "ES384", "b", 16, "", 0},
		{"P-384", "ES384", "ES384 a", 16, "", 0},
		{"RSA", "RS256", "z", 16, "RSA", 0},
		{"RSA", "PS512", "", 16, "RSA", 0},
		{"RSA", "RS256", "a", 16, "", 0},
		{"RSA of a stranger", "RS256", "z", 16, "", 1},
		{"P-521", "ES512", "", 16, "", 0},
		{"Ed25519", "EdDSA", "a", 16, "", 0},
	}
	for _, test := range tests {
		header := claims{"alg": test.alg}
		if test.kid != "" {
			header["kid"] = test.kid
		}
		h, input, signature := split(t, minted.Signed(t, minted.Key(t, test.key), header, claims{"sub": "ada"}))
		k, tried := jose.Find(set, h, input, signature, test.limit)
		got, want := "", ""
		if k != nil {
			got = k.Thumbprint
		}
		if test.want != "" {
			want = minted.Thumbprint(t, minted.Key(t, test.want))
		}
		if got != want || tried != test.tried {
			t.Errorf("%s, alg %s, kid %q, at most %d: got %q after %d, want %q after %d", test.key, test.alg, test.kid, test.limit, got, tried, want, test.tried)
		}
	}
}

func TestKeySet(t *testing.T) {
	keys := setOf(t, minted.NamedJWK(t, "a", minted.Key(t, "P-256")), minted.PublicJWK(t, minted.Key(t, "RSA")))
	set := jose.NewKeySet(keys)
	again := jose.NewKeySet(setOf(t, minted.NamedJWK(t, "a", minted.Key(t, "P-256"))))
	if !set.Has(keys[0]) || !set.Has(keys[1]) || !again.Has(keys[0]) {
		t.Error("got a key missing that is in the set")
	}
	if again.Has(keys[1]) || again.Has(setOf(t, minted.NamedJWK(t, "b", minted.Key(t, "P-256")))[0]) {
		t.Error("got a key in the set that would treat a token differently")
	}
	for kid, want := range map[string]bool{"a": true, "": false, "b": false, keys[1].Thumbprint: false} {
		if got := set.HasKID(kid); got != want {
			t.Errorf("kid %q: got %t, want %t", kid, got, want)
		}
	}
	for alg, want := range map[string]bool{"ES256": true, "PS384": true, "ES384": false, "HS256": false, "none": false, "": false} {
		if got := set.Serves(alg); got != want {
			t.Errorf("%s: got %t, want %t", alg, got, want)
		}
	}
}

// A token with a kid meets the keys of that kid and those without one; a token without one meets every key.
func TestKeyIDs(t *testing.T) {
	a, b, c, r := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger"), minted.Key(t, "P-384"), minted.Key(t, "RSA")
	named := options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "a"}), minted.PublicJWK(t, b).With(jwk{"kid": "b"}), minted.PublicJWK(t, c).With(jwk{"kid": "c"}))}
	unnamed := options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "a"}), minted.PublicJWK(t, b))}
	emptyName := options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "a"}), minted.PublicJWK(t, b).With(jwk{"kid": ""}))}
	twins := options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "x"}), minted.PublicJWK(t, b).With(jwk{"kid": "x"}), minted.PublicJWK(t, r).With(jwk{"kid": "x"}))}
	pemAndSet := options{"publicKey": minted.PEM(t, "PKIX", b), "jwksFile": minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "a"}))}
	secretAndSet := options{"signingSecret": minted.Secret, "jwksFile": minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "a"}))}
	tests := []struct {
		name    string
		options options
		key     any
		header  claims
		want    string
	}{
		{"its own kid", named, a, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"another's kid", named, b, claims{"alg": "ES256", "kid": "a"}, "401 bad_signature"},
		{"the kid of a key of another alg", named, a, claims{"alg": "ES256", "kid": "c"}, "401 wrong_algorithm"},
		{"unknown kid", named, a, claims{"alg": "ES256", "kid": "z"}, "401 unknown_key"},
		{"kid in another case", named, a, claims{"alg": "ES256", "kid": "A"}, "401 unknown_key"},
		{"no kid, first key", named, a, claims{"alg": "ES256"}, "served"},
		{"no kid, second key", named, b, claims{"alg": "ES256"}, "served"},
		{"no kid, another alg", named, c, claims{"alg": "ES384"}, "served"},
		{"no kid, no key", named, r, claims{"alg": "RS256"}, "401 wrong_algorithm"},
		{"empty kid", named, b, claims{"alg": "ES256", "kid": ""}, "served"},
		{"kid like a composed name", named, a, claims{"alg": "ES256", "kid": "ES256 a"}, "401 unknown_key"},
		{"key without a kid, any kid", unnamed, b, claims{"alg": "ES256", "kid": "z"}, "served"},
		{"key without a kid, another's kid", unnamed, b, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"key with a kid beside one without", unnamed, a, claims{"alg": "ES256", "kid": "z"}, "401 bad_signature"},
		{"key with an empty kid", emptyName, b, claims{"alg": "ES256", "kid": "z"}, "served"},
		{"first of one kid", twins, a, claims{"alg": "ES256", "kid": "x"}, "served"},
		{"second of one kid", twins, b, claims{"alg": "ES256", "kid": "x"}, "served"},
		{"third of one kid", twins, r, claims{"alg": "PS256", "kid": "x"}, "served"},
		{"PEM, any kid", pemAndSet, b, claims{"alg": "ES256", "kid": "z"}, "served"},
		{"PEM, another's kid", pemAndSet, b, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"PEM, a kid that is a path", pemAndSet, b, claims{"alg": "ES256", "kid": "../../../dev/null"}, "served"},
		{"PEM beside the kid's own", pemAndSet, a, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"PEM, the other's unknown kid", pemAndSet, a, claims{"alg": "ES256", "kid": "z"}, "401 bad_signature"},
		{"secret, any kid", secretAndSet, []byte(minted.Secret), claims{"alg": "HS256", "kid": "z"}, "served"},
		{"secret, another's kid", secretAndSet, []byte(minted.Secret), claims{"alg": "HS256", "kid": "a"}, "served"},
		{"secret beside a set, unknown kid", secretAndSet, a, claims{"alg": "ES256", "kid": "z"}, "401 unknown_key"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, test.options)
			if got := bothways.Verdict(t, handler, minted.Signed(t, test.key, test.header, minted.Valid())); got != test.want {
				t.Errorf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
	})
}

// At most 16 signatures are tried for a token.
func TestCandidates(t *testing.T) {
	var named, unnamed []jwk
	var pairs []crypto.Signer
	for i := range [17]int{} {
		_, pair, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair)
		named = append(named, minted.PublicJWK(t, pair).With(jwk{"kid": fmt.Sprint("k", i+1)}))
		unnamed = append(unnamed, minted.PublicJWK(t, pair))
	}
	late := minted.Key(t, "Ed25519")
	tests := []struct {
		name    string
		options options
		key     crypto.Signer
		kid     any
		want    string
	}{
		{"the first of 17", options{"jwksFile": minted.JWKSet(t, unnamed...)}, pairs[0], nil, "served"},
		{"the 16th of 17", options{"jwksFile": minted.JWKSet(t, unnamed...)}, pairs[15], nil, "served"},
		{"the 17th of 17", options{"jwksFile": minted.JWKSet(t, unnamed...)}, pairs[16], nil, "401 bad_signature"},
		{"the 17th of 17 whose kid it names", options{"jwksFile": minted.JWKSet(t, named...)}, pairs[16], "k17", "served"},
		{"the 17th of 17, without naming it", options{"jwksFile": minted.JWKSet(t, named...)}, pairs[16], nil, "401 bad_signature"},
		{"the kid's own before 16 without one", options{"jwksFile": minted.JWKSet(t, append(unnamed[:16:16], minted.PublicJWK(t, late).With(jwk{"kid": "late"}))...)}, late, "late", "served"},
		{"another option's, behind 16", options{"jwksFile": minted.JWKSet(t, unnamed[:16]...), "publicKey": minted.PEM(t, "PKIX", late)}, late, nil, "401 bad_signature"},
		{"another option's, behind 15", options{"jwksFile": minted.JWKSet(t, unnamed[:15]...), "publicKey": minted.PEM(t, "PKIX", late)}, late, nil, "served"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, test.options)
			if got := bothways.Verdict(t, handler, minted.Signed(t, test.key, claims{"alg": "EdDSA"}.With(claims{"kid": test.kid}), minted.Valid())); got != test.want {
				t.Errorf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
	})
}
