// Package interop exchanges tokens and key sets with two other implementations, go-jose and lestrrat-go/jwx: what they sign
// and publish verifies here, and what is renewed, issued and published here verifies there, every algorithm. It has tests
// only.
package interop

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"

	"github.com/slidingjwt/slidingjwt/demo/conformance/tally"
)

func TestMain(m *testing.M) { bothways.Main(m) }

type options = bothways.Options

// library is an implementation of JOSE that is not the plugin's.
type library struct {
	name string
	// knows says whether it has an algorithm by this name.
	knows func(alg string) bool
	// sign makes a token of claims under a private key, or a secret's octets; the kid may be empty.
	sign func(t *testing.T, alg, kid string, key any, claims []byte) string
	// verify returns the payload of a token whose signature is right under a set of keys. It chooses the key by the kid.
	verify func(token string, set []byte) ([]byte, error)
	// publish writes a set of one key: its public half, or a secret.
	publish func(t *testing.T, alg, kid string, key any) string
}

var libraries = []library{
	{
		name:    "go-jose",
		knows:   func(alg string) bool { return alg != "Ed25519" },
		sign:    signByGoJose,
		verify:  verifyByGoJose,
		publish: publishByGoJose,
	},
	{
		name:    "jwx",
		knows:   func(string) bool { return true },
		sign:    signByJWX,
		verify:  verifyByJWX,
		publish: publishByJWX,
	},
}

func signByGoJose(t *testing.T, alg, kid string, key any, claims []byte) string {
	t.Helper()
	signingKey := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}
	if kid != "" {
		signingKey.Key = jose.JSONWebKey{Key: key, KeyID: kid}
	}
	signer, err := jose.NewSigner(signingKey, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatalf("go-jose, %s: %v", alg, err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatalf("go-jose, %s: %v", alg, err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifyByGoJose(token string, set []byte) ([]byte, error) {
	var all []jose.SignatureAlgorithm
	for _, a := range minted.Algorithms {
		all = append(all, jose.SignatureAlgorithm(a.Alg))
	}
	signed, err := jose.ParseSigned(token, all)
	if err != nil {
		return nil, err
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		return nil, err
	}
	candidates := keys.Keys
	if kid := signed.Signatures[0].Protected.KeyID; kid != "" {
		candidates = keys.Key(kid)
	}
	for _, candidate := range candidates {
		payload, err := signed.Verify(candidate)
		if err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("none of %d keys verifies it", len(candidates))
}

func publishByGoJose(t *testing.T, alg, kid string, key any) string {
	t.Helper()
	if signer, ok := key.(crypto.Signer); ok {
		key = signer.Public()
	}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func signByJWX(t *testing.T, alg, kid string, key any, claims []byte) string {
	t.Helper()
	algorithm, ok := jwa.LookupSignatureAlgorithm(alg)
	if !ok {
		t.Fatalf("jwx does not know %s", alg)
	}
	header := jws.NewHeaders()
	if err := header.Set("typ", "JWT"); err != nil {
		t.Fatal(err)
	}
	if kid != "" {
		if err := header.Set("kid", kid); err != nil {
			t.Fatal(err)
		}
	}
	token, err := jws.Sign(claims, jws.WithKey(algorithm, key, jws.WithProtectedHeaders(header)))
	if err != nil {
		t.Fatalf("jwx, %s: %v", alg, err)
	}
	return string(token)
}

func verifyByJWX(token string, set []byte) ([]byte, error) {
	keys, err := jwk.Parse(set)
	if err != nil {
		return nil, err
	}
	return jws.Verify([]byte(token), jws.WithKeySet(keys, jws.WithInferAlgorithmFromKey(true), jws.WithRequireKid(false)))
}

func publishByJWX(t *testing.T, alg, kid string, key any) string {
	t.Helper()
	imported, err := jwk.Import(key)
	if err != nil {
		t.Fatal(err)
	}
	if signer, ok := key.(crypto.Signer); ok {
		if imported, err = jwk.Import(signer.Public()); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{"alg": alg, "kid": kid, "use": "sig"} {
		if value == "" {
			continue
		}
		if err := imported.Set(name, value); err != nil {
			t.Fatalf("jwx, %s %s: %v", name, value, err)
		}
	}
	keys := jwk.NewSet()
	if err := keys.AddKey(imported); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// payload is a payload of claims with what encoders write differently.
func payload(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(minted.Valid().With(minted.Claims{
		"aud": []string{"api"}, "iss": "https://login.example.com", "name": "Žofie <z@example.com> & \"co\"", "n": json.Number("9007199254740993"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Their tokens and their key sets verify here: a set as one's own and from a URL, each with and without alg and kid.
func TestTheirsVerifyHere(t *testing.T) {
	s := tally.Of(t, "interop: tokens and key sets of go-jose and jwx here")
	for _, signs := range libraries {
		for _, publishes := range libraries {
			for _, a := range minted.Algorithms {
				for _, names := range []struct{ alg, kid string }{{"", ""}, {a.Alg, "k"}, {"", "k"}} {
					if !signs.knows(a.Alg) || (names.alg != "" && !publishes.knows(a.Alg)) {
						continue
					}
					key := minted.SigningKey(t, a.Key)
					set := publishes.publish(t, names.alg, names.kid, key)
					token := signs.sign(t, a.Alg, names.kid, key, payload(t))
					name := fmt.Sprintf("%s by %s under the set of %s %+v", a.Alg, signs.name, publishes.name, names)
					ways := map[string]options{"jwksFile": {"jwksFile": set}}
					if a.Key != "secret" { // A secret from a URL would be everybody's.
						ways["jwksUrl"] = options{"jwksUrl": minted.Serving(t, set).URL, "audience": "api"}
						ways["trustedIssuers"] = options{"audience": "api", "trustedIssuers": []any{map[string]any{"issuer": "https://login.example.com", "jwksUrl": minted.Serving(t, set).URL}}}
					}
					for way, o := range ways {
						var got, forged []string
						for _, e := range bothways.Engines(t) {
							handler, service := e.Middleware(t, o.With(options{"forwardHeaders": map[string]any{"X-Name": "name", "X-N": "n"}}))
							verdict := bothways.Verdict(t, handler, token)
							if verdict == "served" {
								verdict += " " + service.Request().Header.Get("X-Name") + " " + service.Request().Header.Get("X-N")
							}
							got = append(got, verdict)
							forged = append(forged, bothways.Verdict(t, handler, token[:strings.LastIndexByte(token, '.')+1]+minted.Base64("forged")))
						}
						s.Compare(name+" as "+way, "served Žofie <z@example.com> & \"co\" 9007199254740993", "", got...)
						s.Compare(name+" as "+way+", forged", "401 bad_signature", "", forged...)
					}
				}
			}
		}
	}
}

// Tokens renewed and issued here, and the key set published here, verify there.
func TestOursVerifyThere(t *testing.T) {
	s := tally.Of(t, "interop: renewed and issued tokens and the published set at go-jose and jwx")
	for _, a := range minted.Algorithms {
		for source, o := range sources(t, a.Alg, a.Key) {
			o = o.With(options{"algorithms": []any{a.Alg}})
			tokens := map[string][]string{}
			var sets []string
			for _, e := range bothways.Engines(t) {
				tokens["renewed"] = append(tokens["renewed"], renewed(t, e, o, a.Alg, a.Key))
				tokens["issued"] = append(tokens["issued"], issued(t, e, o))
				set := publishByGoJose(t, "", "", minted.SigningKey(t, a.Key))
				if a.Key != "secret" {
					set = published(t, e, o)
				}
				sets = append(sets, set)
			}
			for kind, each := range tokens {
				for _, verifies := range libraries {
					name := fmt.Sprintf("%s %s by %s, at %s", kind, a.Alg, source, verifies.name)
					if !verifies.knows(minted.Header(t, each[0])["alg"].(string)) {
						s.Unexpressed(verifies.name + " does not know the name Ed25519 (RFC 9864)")
						continue
					}
					var got []string
					for i, token := range each {
						verdict := "verified"
						claims, err := verifies.verify(token, []byte(sets[i]))
						if err != nil {
							verdict = err.Error()
						} else if !bytes.Contains(claims, []byte(`"ada"`)) {
							verdict = "other claims: " + string(claims)
						}
						got = append(got, verdict)
					}
					s.Compare(name, "verified", "", got...)
				}
			}
		}
	}
}

// sources are the ways to give the middleware a key that signs with an algorithm.
func sources(t *testing.T, alg, name string) map[string]options {
	t.Helper()
	if name == "secret" {
		return map[string]options{
			"signingSecret": {"signingSecret": minted.Secret},
			"jwksFile":      {"jwksFile": minted.JWKSet(t, minted.SecretJWK(minted.Secret).With(minted.JWK{"alg": alg}))},
		}
	}
	key := minted.Key(t, name)
	return map[string]options{
		"privateKey":             {"privateKey": minted.PEM(t, "PKCS8", key)},
		"jwksFile":               {"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, key))},
		"jwksFile, alg and kid":  {"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, key).With(minted.JWK{"alg": alg, "kid": "k"}))},
		"jwksFile among several": {"jwksFile": minted.JWKSet(t, minted.NamedJWK(t, "old", minted.Key(t, name+" of a stranger")), minted.PrivateJWK(t, key).With(minted.JWK{"kid": "new"}))},
	}
}

// renewed is the token that comes back for one of another implementation that is due.
func renewed(t *testing.T, e bothways.Engine, o options, alg, name string) string {
	t.Helper()
	claims, err := json.Marshal(minted.Due())
	if err != nil {
		t.Fatal(err)
	}
	presented := signByJWX(t, alg, "", minted.SigningKey(t, name), claims)
	handler, _ := e.Middleware(t, o.With(options{"renew": map[string]any{"before": "90%"}}))
	rec := bothways.Send(t, handler, http.MethodGet, "/", bothways.Bearer(presented), nil)
	token, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer ")
	if got := bothways.Outcome(t, rec); got != "served" || !ok || token == presented {
		t.Fatalf("%s, %s: got %s and the header %q, want a renewed token", e.Name, alg, got, rec.Header().Get("Authorization"))
	}
	if exp, _ := minted.Payload(t, token)["exp"].(float64); exp <= float64(time.Now().Unix()+600) {
		t.Fatalf("%s, %s: got a token that lasts until %v, want one that lasts longer than the presented one", e.Name, alg, exp)
	}
	return token
}

// issued is the token of a login.
func issued(t *testing.T, e bothways.Engine, o options) string {
	t.Helper()
	login := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Issue-Claims", `{"sub":"ada"}`)
		_, _ = io.WriteString(rw, "welcome")
	})
	handler := e.InFront(t, login, o.With(options{"issue": map[string]any{"header": "X-Issue-Claims"}}))
	rec := bothways.Send(t, handler, http.MethodPost, "/login", nil, nil)
	token, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer ")
	if !ok {
		t.Fatalf("%s: got %d %v, want an issued token", e.Name, rec.Code, rec.Header())
	}
	return token
}

// published is the key set that publishJwks answers with.
func published(t *testing.T, e bothways.Engine, o options) string {
	t.Helper()
	handler, service := e.Middleware(t, o.With(options{"publishJwks": true}))
	rec := bothways.Send(t, handler, http.MethodGet, "/keys", nil, nil)
	if rec.Code != http.StatusOK || service.Calls() > 0 {
		t.Fatalf("%s: got %d and %d calls of the service, want a key set", e.Name, rec.Code, service.Calls())
	}
	return rec.Body.String()
}
