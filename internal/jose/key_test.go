package jose_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// A secret serves the algorithms whose hash is not longer (RFC 7518 3.2).
func TestNewSecret(t *testing.T) {
	for length, want := range map[int]string{0: "", 1: "", 31: "", 32: "HS256", 47: "HS256", 48: "HS256 HS384", 63: "HS256 HS384", 64: "HS256 HS384 HS512", 1000: "HS256 HS384 HS512"} {
		k, err := jose.NewSecret([]byte(strings.Repeat("x", length)), "a")
		if (err == nil) != (want != "") {
			t.Fatalf("%d bytes: got the error %v, want algorithms %q", length, err, want)
		}
		if err != nil {
			continue
		}
		k.Bind(nil, true)
		if got := strings.Join(k.Algs, " "); got != want || k.SignAlg != "HS256" || !k.IsPrivate() || k.PublicKID() != "a" {
			t.Errorf("%d bytes: got the key %+v, want the algorithms %s", length, k, want)
		}
	}
}

func TestRSALength(t *testing.T) {
	for bits, isLongEnough := range map[int]bool{1024: false, 2047: false, 2048: true} {
		pair, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		for from, read := range map[string]func() error{
			"a PEM":         func() error { _, err := jose.ParsePEM(minted.PEM(t, "PKIX", pair)); return err },
			"a private PEM": func() error { _, err := jose.ParsePEM(minted.PEM(t, "PKCS1", pair)); return err },
			"a JWK": func() error {
				_, err := jose.ParseSet(minted.JWKSet(t, minted.PublicJWK(t, pair)), "a test", false)
				if err != nil && !errors.Is(err, jose.ErrTooWeak) {
					t.Errorf("%d bits: got %v, want %v", bits, err, jose.ErrTooWeak)
				}
				return err
			},
		} {
			if err := read(); (err == nil) != isLongEnough {
				t.Errorf("%s of %d bits: got %v, want it accepted: %t", from, bits, err, isLongEnough)
			}
		}
	}
}

// A key is narrowed to what is configured, never widened, and signs as its JWK says, else with the first that is configured.
func TestBind(t *testing.T) {
	rs, ed := minted.PrivateJWK(t, minted.Key(t, "RSA")), minted.PrivateJWK(t, minted.Key(t, "Ed25519"))
	tests := []struct {
		jwk              jwk
		configured       string
		algs, signingAlg string
	}{
		{rs, "", "RS256 RS384 RS512 PS256 PS384 PS512", "RS256"},
		{rs, "PS384 RS512", "RS512 PS384", "PS384"},
		{rs, "ES256 RS512", "RS512", "RS512"},
		{rs, "ES256", "", ""},
		{rs.With(jwk{"alg": "PS256"}), "", "PS256", "PS256"},
		{rs.With(jwk{"alg": "PS256"}), "RS256 PS256", "PS256", "PS256"},
		{rs.With(jwk{"alg": "PS256"}), "RS256", "", ""},
		{ed, "", "EdDSA Ed25519", "EdDSA"},
		{ed, "Ed25519", "EdDSA Ed25519", "Ed25519"},
		{ed, "EdDSA", "EdDSA Ed25519", "EdDSA"},
		{ed.With(jwk{"alg": "Ed25519"}), "", "Ed25519 EdDSA", "Ed25519"},
		{ed.With(jwk{"alg": "Ed25519"}), "EdDSA", "Ed25519 EdDSA", "Ed25519"},
		{ed.With(jwk{"d": nil}), "", "EdDSA Ed25519", ""},
		{rs.With(jwk{"key_ops": []string{"verify"}}), "", "RS256 RS384 RS512 PS256 PS384 PS512", ""},
		{rs.With(jwk{"key_ops": []string{"sign"}}), "", "RS256 RS384 RS512 PS256 PS384 PS512", "RS256"},
		{minted.SecretJWK(minted.Secret), "HS512 HS384", "HS384 HS512", "HS512"},
		{minted.SecretJWK(minted.Secret[:32]), "HS512", "", ""},
	}
	for i, test := range tests {
		keys, err := jose.ParseSet(minted.JWKSet(t, test.jwk), "a test", false)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		k := keys[0]
		k.Bind(strings.Fields(test.configured), false)
		if got := strings.Join(k.Algs, " "); got != test.algs || k.SignAlg != test.signingAlg || k.IsOwn {
			t.Errorf("%d, a key of kty %v, narrowed to %q: got %q and signs with %q, want %q and %q", i, test.jwk["kty"], test.configured, got, k.SignAlg, test.algs, test.signingAlg)
		}
	}
}

// Keys that would treat a token differently have different IDs, and those that would not have the same.
func TestKeyID(t *testing.T) {
	bound := func(key jwk, configured string, isOwn bool) string {
		keys, err := jose.ParseSet(minted.JWKSet(t, key), "a test", false)
		if err != nil {
			t.Fatal(err)
		}
		keys[0].Bind(strings.Fields(configured), isOwn)
		return keys[0].ID
	}
	one := minted.PublicJWK(t, minted.Key(t, "RSA"))
	id := bound(one, "", true)
	if again := bound(one.With(jwk{"use": "sig", "x5t": "a"}), "", true); again != id {
		t.Errorf("the same key: got %q, want %q", again, id)
	}
	if narrowed := bound(one.With(jwk{"alg": "RS256"}), "", true); narrowed != bound(one, "RS256", true) {
		t.Errorf("the same algorithm, by its JWK and by the options: got %q, want the same", narrowed)
	}
	for name, other := range map[string]string{
		"another key":        bound(minted.PublicJWK(t, minted.Key(t, "RSA of a stranger")), "", true),
		"an external key":    bound(one, "", false),
		"other algorithms":   bound(one, "RS256 RS384", true),
		"another kid":        bound(one.With(jwk{"kid": "a"}), "", true),
		"a kid like a name":  bound(one.With(jwk{"kid": "RS256"}), "", true),
		"a secret":           bound(minted.SecretJWK(minted.Secret), "", true),
		"a shorter secret":   bound(minted.SecretJWK(minted.Secret[:40]), "", true),
		"a secret's own kid": bound(minted.SecretJWK(minted.Secret).With(jwk{"kid": "a"}), "", true),
	} {
		if other == id {
			t.Errorf("%s: got the same ID %q, want another", name, id)
		}
	}
}
