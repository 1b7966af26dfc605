package jose_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// Any text is a key set or an error; a set from a URL holds nothing secret, and every key of a set can be used.
func FuzzKeySet(f *testing.F) {
	writer := log.Writer()
	log.SetOutput(io.Discard) // Each key that is left out is a line.
	f.Cleanup(func() { log.SetOutput(writer) })
	const point = `"crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"` // RFC 7517 A.1
	for _, text := range []string{
		``, `{}`, `{"keys":[]}`, `{"keys":[1]}`, `{"keys":[{}]}`, `{"keys":[{"kty":1}]}`, `{"keys":[{"kty":"EC",` + point + `,"use":"sig","kid":"1"}]}`, `{"keys":[{"kty":"EC",` + point + `,"alg":"ES256","key_ops":["verify"]}]}`,
		`{"keys":[{"kty":"EC",` + point + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}]}`, `{"keys":[{"kty":"EC",` + point + `,"use":"enc"},{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, remote bool) {
		keys, err := jose.ParseSet(text, "a test", remote)
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%q: got %d keys and the error %v", text, len(keys), err)
		}
		for _, k := range keys {
			k.Bind(nil, !remote)
			if remote && (k.IsPrivate() || strings.HasPrefix(k.Thumbprint, "oct ") || k.SignAlg != "" || k.IsOwn) {
				t.Errorf("%q: got a secret key from a URL", text)
			}
			if len(k.Algs) == 0 || k.Thumbprint == "" || (k.SignAlg != "") != k.IsPrivate() {
				t.Errorf("%q: got the key %+v", text, k)
			}
			for _, alg := range k.Algs {
				if !jose.IsKnown(alg) || jose.Verify(k, alg, "a.b", bytes.Repeat([]byte{1}, 64)) {
					t.Errorf("%q: got the algorithm %s, or any signature accepted", text, alg)
				}
			}
		}
	})
}

// A set is read whole or not at all, but for keys that contradict themselves; from a URL, secrets count as such.
func TestParseSet(t *testing.T) {
	good := minted.PublicJWK(t, minted.Key(t, "P-256"))
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	one := string(text)
	weak, private, secret := `{"kty":"oct","k":"c2hvcnQ"}`, minted.PrivateJWK(t, minted.Key(t, "Ed25519")), minted.SecretJWK(minted.Secret)
	tests := []struct {
		name, text    string
		remote        bool
		keys, leftOut int
		problem       string
	}{
		{name: "one", text: minted.JWKSet(t, good), keys: 1},
		{name: "one from a URL", text: minted.JWKSet(t, good), remote: true, keys: 1},
		{name: "other members", text: `{"keys":[` + one + `],"issuer":1}`, keys: 1},
		{name: "a thousand", text: `{"keys":[` + strings.Repeat(one+",", 999) + one + `]}`, keys: 1000},
		{name: "more", text: `{"keys":[` + strings.Repeat(one+",", 1000) + one + `]}`, problem: "more than 1000 keys"},
		{name: "a bare key", text: one, problem: `no list "keys"`},
		{name: "no list", text: `{"keys":{}}`, problem: `no list "keys"`},
		{name: "none", text: `{"keys":[]}`, problem: "no key that can be used"},
		{name: "twice a list", text: `{"keys":[],"keys":[` + one + `]}`, problem: "not a JSON object"},
		{name: "text behind it", text: minted.JWKSet(t, good) + "x", problem: "not a JSON object"},
		{name: "a key that is no object", text: `{"keys":[` + one + `,1]}`, problem: "its key 1 is not a JSON object"},
		{name: "a weak key", text: `{"keys":[` + one + `,` + weak + `]}`, problem: "its key 1: " + jose.ErrTooWeak.Error()},
		{name: "a weak key from a URL", text: `{"keys":[` + one + `,{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, remote: true, keys: 1, leftOut: 1},
		{name: "secrets", text: minted.JWKSet(t, good, private, secret), keys: 3},
		{name: "secrets from a URL", text: minted.JWKSet(t, good, private, secret), remote: true, keys: 1, leftOut: 2},
		{name: "nothing else from a URL", text: minted.JWKSet(t, private), remote: true, leftOut: 1, problem: "no key that can be used"},
		{name: "many for something else", text: `{"keys":[` + strings.Repeat(`{"kty":"X"},`, 100) + one + `]}`, keys: 1, leftOut: 10},
		{name: "many for something else, and one that contradicts itself", text: `{"keys":[` + strings.Repeat(`{"kty":"X"},`, 100) + `{"kty":"EC"},{"kty":"RSA"},` + one + `]}`, keys: 1, leftOut: 11},
		{name: "many that contradict themselves", text: `{"keys":[` + strings.Repeat(`{"kty":"RSA"},`, 100) + one + `]}`, keys: 1, leftOut: 10},
	}
	for _, test := range tests {
		var keys []*jose.Key
		var err error
		logged := bothways.Native.Logged(t, func() { keys, err = jose.ParseSet(test.text, "a test", test.remote) })
		if len(keys) != test.keys || len(logged) != test.leftOut {
			t.Errorf("%s: got %d keys and the log %q, want %d keys and %d lines", test.name, len(keys), logged, test.keys, test.leftOut)
		}
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v, want an error %q", test.name, err, test.problem)
		}
		for _, line := range logged {
			if !strings.Contains(line, " of a test is left out: ") {
				t.Errorf("%s: got the line %q, want one that says from where the key is", test.name, line)
			}
		}
	}
}

// The public set holds the halves that others may know, under the kids of the tokens that they verify, and nothing else.
func TestPublicSet(t *testing.T) {
	keys := setOf(t,
		minted.PrivateJWK(t, minted.Key(t, "RSA")), minted.PrivateJWK(t, minted.Key(t, "P-521")).With(jwk{"kid": "a", "alg": "ES512"}),
		minted.PublicJWK(t, minted.Key(t, "Ed25519")).With(jwk{"kid": "\"\\"}), minted.SecretJWK(minted.Secret),
	)
	want := minted.JWKSet(t,
		minted.NamedJWK(t, minted.Thumbprint(t, minted.Key(t, "RSA")), minted.Key(t, "RSA")).With(jwk{"use": "sig"}),
		minted.NamedJWK(t, "a", minted.Key(t, "P-521")).With(jwk{"use": "sig", "alg": "ES512"}),
		minted.NamedJWK(t, "\"\\", minted.Key(t, "Ed25519")).With(jwk{"use": "sig"}),
	)
	if got, want := canonical(t, string(jose.PublicSet(keys))), canonical(t, want); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	narrowed := parsed(t, minted.PEM(t, "PKIX", minted.Key(t, "RSA")), "ES256")
	if got := jose.PublicSet([]*jose.Key{secretKey(t, minted.Secret), narrowed}); got != nil {
		t.Errorf("without a key that verifies: got %s, want nothing", got)
	}
}

// canonical writes a JSON text with its members in the order of their names.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	ordered, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(ordered)
}

// A JWK whose members disagree is left out, with a log line; the others of its set stay.
func TestContradictingJWKs(t *testing.T) {
	rs, ec, ed := minted.Key(t, "RSA"), minted.Key(t, "P-256"), minted.Key(t, "Ed25519")
	tests := []struct {
		name string
		jwk  jwk
		key  any
		alg  string
	}{
		{"use enc", minted.PublicJWK(t, rs).With(jwk{"use": "enc"}), rs, "RS256"},
		{"use a number", minted.PublicJWK(t, rs).With(jwk{"use": 1}), rs, "RS256"},
		{"use empty", minted.PublicJWK(t, rs).With(jwk{"use": ""}), rs, "RS256"},
		{"key_ops encrypt", minted.PublicJWK(t, rs).With(jwk{"key_ops": []string{"encrypt"}}), rs, "RS256"},
		{"key_ops sign without a private half", minted.PublicJWK(t, rs).With(jwk{"key_ops": []string{"sign"}}), rs, "RS256"},
		{"key_ops a string", minted.PublicJWK(t, rs).With(jwk{"key_ops": "verify"}), rs, "RS256"},
		{"use and key_ops", minted.PublicJWK(t, rs).With(jwk{"use": "sig", "key_ops": []string{"encrypt"}}), rs, "RS256"},
		{"kty another's", minted.PublicJWK(t, ec).With(jwk{"kty": "RSA"}), ec, "ES256"},
		{"kty unknown", minted.PublicJWK(t, ec).With(jwk{"kty": "EC2"}), ec, "ES256"},
		{"kty absent", minted.PublicJWK(t, ec).With(jwk{"kty": nil}), ec, "ES256"},
		{"kty a number", minted.PublicJWK(t, ec).With(jwk{"kty": 2}), ec, "ES256"},
		{"kty in lower case", minted.PublicJWK(t, ec).With(jwk{"kty": "ec"}), ec, "ES256"},
		{"kty oct of a public key", minted.PublicJWK(t, rs).With(jwk{"kty": "oct"}), rs, "RS256"},
		{"crv another", minted.PublicJWK(t, ec).With(jwk{"crv": "P-384"}), ec, "ES256"},
		{"crv secp256k1", minted.PublicJWK(t, ec).With(jwk{"crv": "secp256k1"}), ec, "ES256"},
		{"crv absent", minted.PublicJWK(t, ec).With(jwk{"crv": nil}), ec, "ES256"},
		{"crv Ed448", minted.PublicJWK(t, ed).With(jwk{"crv": "Ed448"}), ed, "EdDSA"},
		{"crv X25519", minted.PublicJWK(t, ed).With(jwk{"crv": "X25519"}), ed, "EdDSA"},
		{"alg of another kind", minted.PublicJWK(t, ec).With(jwk{"alg": "RS256"}), ec, "ES256"},
		{"alg of another curve", minted.PublicJWK(t, ec).With(jwk{"alg": "ES384"}), ec, "ES256"},
		{"alg HS256 of a public key", minted.PublicJWK(t, rs).With(jwk{"alg": "HS256"}), rs, "RS256"},
		{"alg for encryption", minted.PublicJWK(t, rs).With(jwk{"alg": "RSA-OAEP"}), rs, "RS256"},
		{"alg none", minted.PublicJWK(t, rs).With(jwk{"alg": "none"}), rs, "RS256"},
		{"alg empty", minted.PublicJWK(t, rs).With(jwk{"alg": ""}), rs, "RS256"},
		{"alg a number", minted.PublicJWK(t, rs).With(jwk{"alg": 256}), rs, "RS256"},
		{"kid a number", minted.PublicJWK(t, rs).With(jwk{"kid": 1}), rs, "RS256"},
		{"kid a list", minted.PublicJWK(t, rs).With(jwk{"kid": []string{"a"}}), rs, "RS256"},
		{"n absent", minted.PublicJWK(t, rs).With(jwk{"n": nil}), rs, "RS256"},
		{"n padded", minted.PublicJWK(t, rs).With(jwk{"n": minted.PublicJWK(t, rs)["n"].(string) + "=="}), rs, "RS256"},
		{"n with a line break", minted.PublicJWK(t, rs).With(jwk{"n": minted.PublicJWK(t, rs)["n"].(string) + "\n"}), rs, "RS256"},
		{"e absent", minted.PublicJWK(t, rs).With(jwk{"e": nil}), rs, "RS256"},
		{"e 1", minted.PublicJWK(t, rs).With(jwk{"e": "AQ"}), rs, "RS256"},
		{"e even", minted.PublicJWK(t, rs).With(jwk{"e": "AQAA"}), rs, "RS256"},
		{"e a number", minted.PublicJWK(t, rs).With(jwk{"e": 65537}), rs, "RS256"},
		{"e large", minted.PublicJWK(t, rs).With(jwk{"e": "AQAAAAE"}), rs, "RS256"},
		{"x absent", minted.PublicJWK(t, ec).With(jwk{"x": nil}), ec, "ES256"},
		{"x short", minted.PublicJWK(t, ec).With(jwk{"x": "AQAB"}), ec, "ES256"},
		{"y another", minted.PublicJWK(t, ec).With(jwk{"y": minted.PublicJWK(t, minted.Key(t, "P-256 of a stranger"))["y"]}), ec, "ES256"},
		{"Ed25519's x short", minted.PublicJWK(t, ed).With(jwk{"x": "AQAB"}), ed, "EdDSA"},
		{"Ed25519's d another's", minted.PrivateJWK(t, ed).With(jwk{"d": minted.PrivateJWK(t, minted.Key(t, "Ed25519 of a stranger"))["d"]}), ed, "EdDSA"},
		{"Ed25519's d short", minted.PrivateJWK(t, ed).With(jwk{"d": "AQAB"}), ed, "EdDSA"},
		{"P-256's d another's", minted.PrivateJWK(t, ec).With(jwk{"d": minted.PrivateJWK(t, minted.Key(t, "P-256 of a stranger"))["d"]}), ec, "ES256"},
		{"P-256's d zero", minted.PrivateJWK(t, ec).With(jwk{"d": minted.Base64(make([]byte, 32))}), ec, "ES256"},
		{"RSA's d another's", minted.PrivateJWK(t, rs).With(jwk{"d": minted.PrivateJWK(t, minted.Key(t, "RSA of a stranger"))["d"]}), rs, "RS256"},
		{"RSA's primes absent", minted.PrivateJWK(t, rs).With(jwk{"p": nil, "q": nil}), rs, "RS256"},
		{"oct with an RSA alg", minted.SecretJWK(minted.Secret).With(jwk{"alg": "RS256"}), []byte(minted.Secret), "HS256"},
		{"oct too short for its alg", minted.SecretJWK(minted.Secret[:32]).With(jwk{"alg": "HS512"}), []byte(minted.Secret[:32]), "HS256"},
		{"oct without k", jwk{"kty": "oct"}, []byte(minted.Secret), "HS256"},
	}
	good := minted.Key(t, "P-384")
	goodToken := minted.Signed(t, good, claims{"alg": "ES384"}, minted.Valid())
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			var handler http.Handler
			logged := e.Logged(t, func() {
				handler, _ = e.Middleware(t, options{"jwksFile": minted.JWKSet(t, test.jwk, minted.PublicJWK(t, good)), "realm": distinct()})
			})
			if got := bothways.Verdict(t, handler, goodToken); got != "served" {
				t.Errorf("%s: the key beside it: got %s, want served", test.name, got)
			}
			if got := bothways.Verdict(t, handler, minted.Signed(t, test.key, claims{"alg": test.alg}, minted.Valid())); got != "401 wrong_algorithm" {
				t.Errorf("%s: got %s, want 401 wrong_algorithm", test.name, got)
			}
			if len(logged) != 1 || !strings.Contains(logged[0], "key 0 of jwksFile is left out") {
				t.Errorf("%s: got the log %q, want a line that it is left out", test.name, logged)
			}
		}
	})
}

// The key of RFC 7638 3.1 has the thumbprint that the RFC gives: it is the kid under which its JWK is published.
func TestThumbprint(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"publishJwks": true, "jwksFile": minted.JWKSet(t, jwk{"kty": "RSA", "n": n, "e": "AQAB"})})
		rec := bothways.Send(t, handler, "GET", "/", nil, nil)
		if want := `"kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`; !strings.Contains(rec.Body.String(), want) {
			t.Errorf("got %s, want it to hold %s", rec.Body, want)
		}
	})
}
