package slidingjwt_test

import (
	"compress/gzip"
	"crypto"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func compressed(rw http.ResponseWriter, text string) {
	rw.Header().Set("Content-Encoding", "gzip")
	writer := gzip.NewWriter(rw)
	_, _ = io.WriteString(writer, text)
	_ = writer.Close()
}

var tokenCount atomic.Int64

// es256 makes a token that no other is equal to.
func es256(t testing.TB, kid string, pair crypto.Signer, c claims) string {
	t.Helper()
	header := claims{"alg": "ES256"}
	if kid != "" {
		header["kid"] = kid
	}
	return minted.Signed(t, pair, header, c.With(claims{"nonce": tokenCount.Add(1)}))
}

// once is a client that does not repeat a fetch by itself, and waits for a second.
var once = map[string]any{"maxRetries": 0, "timeoutSeconds": 1}

// What a key endpoint can answer, to a gateway that knows no keys and to one that does: the verdict on a token
// under the new key, one fetch, and tokens under the key that is known do not notice.
func TestBrokenKeyEndpoint(t *testing.T) {
	known, rotated := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	elsewhere := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "known", known), minted.NamedJWK(t, "new", rotated)))
	set := func(keys ...jwk) http.HandlerFunc {
		return minted.Says(minted.JWKSet(t, append(keys, minted.NamedJWK(t, "known", known))...))
	}
	alone := func(keys ...jwk) http.HandlerFunc { return minted.Says(minted.JWKSet(t, keys...)) }
	both := minted.JWKSet(t, minted.NamedJWK(t, "known", known), minted.NamedJWK(t, "new", rotated))
	discovery := func(change func(document map[string]string, issuer string)) http.HandlerFunc {
		return func(rw http.ResponseWriter, req *http.Request) {
			if !strings.HasSuffix(req.URL.Path, "/openid-configuration") {
				_, _ = io.WriteString(rw, both)
				return
			}
			document := map[string]string{"issuer": "http://" + req.Host, "jwks_uri": "http://" + req.Host + "/keys"}
			change(document, "http://"+req.Host)
			_ = json.NewEncoder(rw).Encode(document)
		}
	}
	const down, unknown = "503 keys_unavailable", "401 unknown_key"
	tests := []struct {
		name          string
		answer        http.HandlerFunc
		discovered    bool
		without, with string // earlier keys
		fetches       int64
	}{
		{"hangs", minted.Hangs, false, down, unknown, 1},
		{"hangs in the middle", func(rw http.ResponseWriter, req *http.Request) {
			_, _ = io.WriteString(rw, both[:20])
			_ = http.NewResponseController(rw).Flush()
			<-req.Context().Done()
		}, false, down, unknown, 1},
		{"resets", func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}, false, down, unknown, 1},
		{"answers 500", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, both, http.StatusInternalServerError) }, false, down, unknown, 1},
		{"answers 404", http.NotFound, false, down, unknown, 1},
		{"answers 204", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }, false, down, unknown, 1},
		{"HTML", minted.Says("<!doctype html><title>Sign in</title>"), false, down, unknown, 1},
		{"nothing", minted.Says(""), false, down, unknown, 1},
		{"null", minted.Says("null"), false, down, unknown, 1},
		{"{}", minted.Says("{}"), false, down, unknown, 1},
		{"an empty set", minted.Says(`{"keys":[]}`), false, down, unknown, 1},
		{"a set twice", minted.Says(both + both), false, down, unknown, 1},
		{"a duplicate member", minted.Says(strings.Replace(both, `{"keys"`, `{"keys":[],"keys"`, 1)), false, down, unknown, 1},
		{"half a set", minted.Says(both[:len(both)/2]), false, down, unknown, 1},
		{"2 MiB", minted.Says(strings.Replace(both, `{`, `{"filler":"`+strings.Repeat("x", 2<<20)+`",`, 1)), false, down, unknown, 1},
		{"1 MiB", minted.Says(strings.Replace(both, `{`, `{"filler":"`+strings.Repeat("x", 1<<20-len(both)-len(`"filler":"",`))+`",`, 1)), false, "served", "served", 1},
		{"1 MiB and a byte", minted.Says(strings.Replace(both, `{`, `{"filler":"`+strings.Repeat("x", 1<<20-len(both)-len(`"filler":"",`)+1)+`",`, 1)), false, down, unknown, 1},
		{"2 MiB, compressed", func(rw http.ResponseWriter, _ *http.Request) {
			compressed(rw, strings.Replace(both, `{`, `{"filler":"`+strings.Repeat("x", 2<<20)+`",`, 1))
		}, false, down, unknown, 1},
		{"a redirect to another host", http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP, false, down, unknown, 1},
		{"a redirect in a circle", func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "/", http.StatusFound)
		}, false, down, unknown, 5},
		{"another issuer", discovery(func(document map[string]string, _ string) { document["issuer"] = "https://issuer.example" }), true, down, unknown, 0},
		{"an issuer with a slash more", discovery(func(document map[string]string, issuer string) { document["issuer"] = issuer + "/" }), true, down, unknown, 0},
		{"no issuer", discovery(func(document map[string]string, _ string) { delete(document, "issuer") }), true, down, unknown, 0},
		{"no jwks_uri", discovery(func(document map[string]string, _ string) { delete(document, "jwks_uri") }), true, down, unknown, 0},
		{"a jwks_uri that is a file", discovery(func(document map[string]string, _ string) { document["jwks_uri"] = "file:///etc/passwd" }), true, down, unknown, 0},
		{"a discovery that is no object", minted.Says("[]"), true, down, unknown, 1},

		{"an oct key", alone(minted.SecretJWK(minted.Secret).With(jwk{"kid": "new"})), false, down, unknown, 1},
		{"an oct key beside", set(minted.SecretJWK(minted.Secret).With(jwk{"kid": "new"})), false, unknown, unknown, 1},
		{"private members", alone(minted.PrivateJWK(t, rotated).With(jwk{"kid": "new"})), false, down, unknown, 1},
		{"private members beside", set(minted.PrivateJWK(t, rotated).With(jwk{"kid": "new"})), false, unknown, unknown, 1},
		{"an unknown curve", alone(minted.NamedJWK(t, "new", rotated).With(jwk{"crv": "secp256k1"})), false, down, unknown, 1},
		{"an unknown curve beside", set(minted.NamedJWK(t, "new", rotated).With(jwk{"crv": "secp256k1"})), false, unknown, unknown, 1},
		{"an unknown kind beside", set(jwk{"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AAAA"}), false, unknown, unknown, 1},
		{"a point off the curve beside", set(minted.NamedJWK(t, "new", rotated).With(jwk{"x": minted.PublicJWK(t, known)["x"]})), false, unknown, unknown, 1},
		{"a key for encryption beside", set(minted.NamedJWK(t, "new", rotated).With(jwk{"use": "enc"})), false, unknown, unknown, 1},

		{"the new key", set(minted.NamedJWK(t, "new", rotated)), false, "served", "served", 1},
		{"the new key, discovered", set(minted.NamedJWK(t, "new", rotated)), true, "served", "served", 1},
		{"duplicate kids", set(minted.NamedJWK(t, "new", known), minted.NamedJWK(t, "new", rotated)), false, "served", "served", 1},
		{"the same key twice", set(minted.NamedJWK(t, "new", rotated), minted.NamedJWK(t, "new", rotated)), false, "served", "served", 1},
		{"a key without a kid", set(minted.PublicJWK(t, rotated)), false, "served", "served", 1},
		{"unknown members", minted.Says(strings.Replace(both, `"kty"`, `"x5c":[],"ext":true,"kty"`, 1)), false, "served", "served", 1},
		{"a redirect on the same host", func(rw http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/moved" {
				http.Redirect(rw, req, "/moved", http.StatusMovedPermanently)
				return
			}
			_, _ = io.WriteString(rw, both)
		}, false, "served", "served", 2},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				setup := func(first http.HandlerFunc) (*minted.KeyServer, http.Handler, claims) {
					endpoint := minted.NewKeyServer(t, first)
					endpoint.Start()
					o, c := options{"jwksUrl": endpoint.URL + "/", "clientConfig": once}, minted.Valid()
					if test.discovered {
						delete(o, "jwksUrl")
						o["trustedIssuers"] = []any{map[string]any{"issuer": endpoint.URL}}
						c["iss"] = endpoint.URL
					}
					handler, _ := e.Middleware(t, o)
					return endpoint, handler, c
				}

				t.Run("without earlier keys", func(t *testing.T) {
					t.Parallel()
					endpoint, handler, c := setup(test.answer)
					endpoint.WantFetches(t, 0) // New does not fetch.
					var settled time.Time
					for i := range 3 {
						rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(es256(t, "new", rotated, c)), nil)
						if got := bothways.Outcome(t, rec); got != test.without {
							t.Errorf("got %s, want %s", got, test.without)
						}
						if after := rec.Header().Get("Retry-After"); (rec.Code == 503) != (after == "1" || after == "2") {
							t.Errorf("got %d with Retry-After %q, want 1 or 2 with a 503", rec.Code, after)
						}
						if i == 0 {
							settled = time.Now()
						}
						if time.Since(settled) < 900*time.Millisecond { // Then the next attempt may be under way.
							endpoint.WantFetches(t, test.fetches)
						}
					}
				})

				t.Run("with earlier keys", func(t *testing.T) {
					t.Parallel()
					endpoint, handler, c := setup(minted.Says(minted.JWKSet(t, minted.NamedJWK(t, "known", known))))
					remembered := es256(t, "known", known, c)
					if got := bothways.Verdict(t, handler, remembered); got != "served" {
						t.Fatalf("before: got %s, want served", got)
					}
					endpoint.Answer(test.answer)
					endpoint.ForgetFetches()
					under := make(chan string)
					go func() { under <- bothways.Verdict(t, handler, es256(t, "new", rotated, c)) }()
					for range 20 {
						start := time.Now()
						if got := bothways.Verdict(t, handler, remembered); got != "served" {
							t.Errorf("a remembered token: got %s, want served", got)
						}
						if got := bothways.Verdict(t, handler, es256(t, "known", known, c)); got != "served" {
							t.Errorf("a token under the known key: got %s, want served", got)
						}
						if took := time.Since(start); test.name == "hangs" && took > 900*time.Millisecond {
							t.Errorf("valid requests took %s while a fetch hung", took)
						}
					}
					if got := <-under; got != test.with {
						t.Errorf("got %s, want %s", got, test.with)
					}
					for range 5 {
						if got := bothways.Verdict(t, handler, es256(t, "new", rotated, c)); got != test.with {
							t.Errorf("again: got %s, want %s", got, test.with)
						}
					}
					endpoint.WantFetches(t, test.fetches)
				})
			})
		}
	})
	elsewhere.WantFetches(t, 0)
}

// New asks nobody, and whoever comes first asks for all.
func TestSingleFetch(t *testing.T) {
	pair := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint := minted.Serving(t, "")
		endpoint.Answer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			_, _ = io.WriteString(rw, minted.JWKSet(t, minted.NamedJWK(t, "one", pair)))
		}))
		o := options{"jwksUrl": endpoint.URL}
		var handlers []http.Handler
		for i := range 10 {
			// Other options, the same endpoint.
			handler, _ := e.Middleware(t, o.With(options{"realm": strconv.Itoa(i)}))
			handlers = append(handlers, handler)
		}
		endpoint.WantFetches(t, 0)
		var wg sync.WaitGroup
		for i := range 50 {
			line := es256(t, "one", pair, minted.Valid())
			wg.Add(1)
			go func() {
				defer wg.Done()
				if got := bothways.Verdict(t, handlers[i%len(handlers)], line); got != "served" {
					t.Errorf("got %s, want served", got)
				}
			}()
		}
		wg.Wait()
		endpoint.WantFetches(t, 1)

		// Reloads change nothing.
		for range 3 {
			handler, _ := e.Middleware(t, o)
			if got := bothways.Verdict(t, handler, es256(t, "one", pair, minted.Valid())); got != "served" {
				t.Errorf("after a reload: got %s, want served", got)
			}
		}
		endpoint.WantFetches(t, 1)

		// Another client is another matter.
		handler, _ := e.Middleware(t, o.With(options{"clientConfig": map[string]any{"timeoutSeconds": 2}}))
		if got := bothways.Verdict(t, handler, es256(t, "one", pair, minted.Valid())); got != "served" {
			t.Errorf("with another client: got %s, want served", got)
		}
		endpoint.WantFetches(t, 2)
	})
}

// However many unknown key IDs arrive, one fetch finds out.
func TestUnknownKeyIDs(t *testing.T) {
	pair, stranger := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "one", pair)))
		handler, _ := e.Middleware(t, options{"jwksUrl": endpoint.URL})
		if got := bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid())); got != "served" {
			t.Fatalf("got %s, want served", got)
		}
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range 50 {
					if got := bothways.Verdict(t, handler, es256(t, fmt.Sprintf("%d-%d", worker, i), stranger, minted.Valid())); got != "401 unknown_key" {
						t.Errorf("got %s, want 401 unknown_key", got)
					}
					if got := bothways.Verdict(t, handler, es256(t, "one", pair, minted.Valid())); got != "served" {
						t.Errorf("got %s, want served", got)
					}
				}
			}()
		}
		wg.Wait()
		endpoint.WantFetches(t, 2)
		// A secret is in no set from a URL, and a token without a kid or with a known one has met its keys.
		for _, line := range []string{
			minted.HS256(minted.Segment(t, claims{"alg": "HS256", "kid": "another"}) + "." + minted.Segment(t, minted.Valid())),
			es256(t, "", stranger, minted.Valid()), es256(t, "one", stranger, minted.Valid()),
		} {
			if got := bothways.Verdict(t, handler, line); got != "401 wrong_algorithm" && got != "401 bad_signature" {
				t.Errorf("got %s, want 401", got)
			}
		}
		endpoint.WantFetches(t, 2)
	})
}

// Keys without a kid meet every token, so its kid asks for nothing more.
func TestKeyWithoutKeyID(t *testing.T) {
	pair := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint := minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, pair)))
		handler, _ := e.Middleware(t, options{"jwksUrl": endpoint.URL})
		for _, kid := range []string{"a", "b", "", "a"} {
			if got := bothways.Verdict(t, handler, es256(t, kid, pair, minted.Valid())); got != "served" {
				t.Errorf("kid %q: got %s, want served", kid, got)
			}
		}
		endpoint.WantFetches(t, 1)
	})
}

// What your own keys can answer waits for no endpoint.
func TestOwnKeysNeverWait(t *testing.T) {
	pair := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint := minted.NewKeyServer(t, minted.Hangs)
		endpoint.Start()
		start := time.Now()
		handler, _ := e.Middleware(t, options{
			"signingSecret": minted.Secret, "jwksUrl": endpoint.URL, "clientConfig": once,
			"trustedIssuers": []any{map[string]any{"issuer": "https://issuer.example", "jwksUrl": endpoint.URL}},
		})
		for _, test := range []struct{ token, want string }{
			{minted.Token(t, minted.Valid()), "served"},
			{hs256With(t, minted.Secret+"x"), "401 bad_signature"},
			{minted.Token(t, minted.Valid().With(claims{"exp": 1})), "401 token_expired"},
			{minted.Token(t, minted.Valid().With(claims{"iss": "https://issuer.example"})), "401 wrong_algorithm"},
			{"", "401 token_missing"},
		} {
			var header http.Header
			if test.token != "" {
				header = bothways.Bearer(test.token)
			}
			if got := bothways.Outcome(t, bothways.Send(t, handler, "GET", "/", header, nil)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		}
		if took := time.Since(start); took > 900*time.Millisecond {
			t.Errorf("New and the requests took %s, want no wait", took)
		}
		endpoint.WantFetches(t, 0)

		start = time.Now()
		if got := bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid())); got != "503 keys_unavailable" {
			t.Errorf("got %s, want 503", got)
		}
		if took := time.Since(start); took < 900*time.Millisecond || took > 3*time.Second {
			t.Errorf("waited for %s, want timeoutSeconds: 1 s", took)
		}
		start = time.Now()
		if got := bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid())); got != "503 keys_unavailable" {
			t.Errorf("got %s, want 503", got)
		}
		if took := time.Since(start); took > 900*time.Millisecond {
			t.Errorf("the next request waited for %s, want none before the next attempt", took)
		}
	})
}

// A trusted issuer's keys count for its tokens, which meet no others.
func TestTrustedIssuers(t *testing.T) {
	a, b := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	other := minted.Key(t, "P-384")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpointA, endpointB := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "1", a))), minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "1", b)))
		rest := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "1", other)))
		issuerB := endpointB.URL + "/realms/b"
		handler, _ := e.Middleware(t, options{
			"signingSecret": minted.Secret, "issuer": "https://own.example", "jwksUrl": rest.URL,
			"trustedIssuers": []any{
				map[string]any{"issuer": "a", "jwksUrl": endpointA.URL},
				map[string]any{"issuer": issuerB}, // discovery
			},
			"renew": map[string]any{"before": "59m"},
		})
		from := func(issuer any) claims { return minted.Valid().With(claims{"iss": issuer}) }
		es384 := func(c claims) string { return minted.Signed(t, other, claims{"alg": "ES384", "kid": "1"}, c) }
		for _, test := range []struct{ name, token, want string }{
			{"a under its key", es256(t, "1", a, from("a")), "served"},
			{"a without a kid", es256(t, "", a, from("a")), "served"},
			{"a under b's key", es256(t, "1", b, from("a")), "401 bad_signature"},
			{"a under the own secret", minted.HS256(minted.Segment(t, claims{"alg": "HS256"}) + "." + minted.Segment(t, from("a"))), "401 wrong_algorithm"},
			{"a under jwksUrl's key", es384(from("a")), "401 wrong_algorithm"},
			{"b under its key", es256(t, "1", b, from(issuerB)), "served"},
			{"b under a's key", es256(t, "1", a, from(issuerB)), "401 bad_signature"},
			{"b with a slash more", es256(t, "1", b, from(issuerB+"/")), "401 wrong_algorithm"},
			{"nobody under a's key", es256(t, "1", a, from(nil)), "401 wrong_algorithm"},
			{"own issuer under a's key", es256(t, "1", a, from("https://own.example")), "401 wrong_algorithm"},
			{"own issuer under the own secret", minted.Token(t, from("https://own.example")), "served"},
			{"own issuer under jwksUrl's key", es384(from("https://own.example")), "served"},
			{"another issuer under the own secret", minted.Token(t, from("A")), "401 wrong_issuer"},
		} {
			for range 2 { // The second time it is remembered.
				rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(test.token), nil)
				if got := bothways.Outcome(t, rec); got != test.want {
					t.Errorf("%s: got %s, want %s", test.name, got, test.want)
				}
			}
		}
		endpointA.WantFetches(t, 1)
		endpointB.WantFetches(t, 1)
		rest.WantFetches(t, 1)

		// An external issuer's session is not renewed.
		due := claims{"iat": time.Now().Unix() - 1800, "exp": time.Now().Unix() + 1800}
		for name, line := range map[string]string{
			"a trusted issuer's": es256(t, "1", a, from("a").With(due)), "jwksUrl's": es384(from("https://own.example").With(due)),
		} {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(line), nil)
			if got := rec.Header().Get("Authorization"); rec.Code != 200 || got != "" {
				t.Errorf("%s token: got %d and %q, want 200 and no renewal", name, rec.Code, got)
			}
		}
		rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, from("https://own.example").With(due))), nil)
		if rec.Header().Get("Authorization") == "" {
			t.Error("the token of the own issuer was not renewed")
		}
	})
}

// A failed fetch is tried again without a request that asks for it, and told once.
func TestFetchIsRepeated(t *testing.T) {
	pair := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint := minted.NewKeyServer(t, http.NotFound)
		endpoint.Start()
		handler, _ := e.Middleware(t, options{"jwksUrl": endpoint.URL, "clientConfig": map[string]any{"maxRetries": 2}})
		logged := e.Logged(t, func() {
			start := time.Now()
			if got := bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid())); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503", got)
			}
			for endpoint.Fetches() < 2 && time.Since(start) < 20*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			endpoint.Answer(minted.Says(minted.JWKSet(t, minted.PublicJWK(t, pair))))
			if took := time.Since(start); took < 900*time.Millisecond {
				t.Errorf("tried again after %s, want 1 s", took)
			}
			for endpoint.Fetches() < 3 && time.Since(start) < 20*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(start); took < 2900*time.Millisecond {
				t.Errorf("tried a third time after %s, want 1 s and 2 s", took)
			}
			bothways.Eventually(t, handler, es256(t, "", pair, minted.Valid()), "served")
		})
		endpoint.WantFetches(t, 3)
		if got := strings.Count(strings.Join(logged, "\n"), "cannot be fetched: the answer is 404"); got != 1 {
			t.Errorf("got %d lines on the failure, want 1: %q", got, logged)
		}
		if !strings.Contains(strings.Join(logged, "\n"), "are fetched again") {
			t.Errorf("got %q, want a line on the recovery", logged)
		}
	})
}

// A private CA and a client certificate, as content and from files that may change.
func TestKeyEndpointTLS(t *testing.T) {
	pair, client := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, http2 := range []bool{false, true} {
			endpoint := minted.NewKeyServer(t, minted.Says(minted.JWKSet(t, minted.PublicJWK(t, pair))))
			endpoint.EnableHTTP2 = http2
			endpoint.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			endpoint.StartTLS()
			mutual := minted.NewKeyServer(t, minted.Says(minted.JWKSet(t, minted.PublicJWK(t, pair))))
			mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
			mutual.StartTLS()
			dir := t.TempDir()
			ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: endpoint.Certificate().Raw}))
			caFile := writeFile(t, filepath.Join(dir, "ca.pem"), ca)
			cert, key := minted.PEM(t, "certificate", client), minted.PEM(t, "PKCS8", client)
			certFile, keyFile := writeFile(t, filepath.Join(dir, "cert.pem"), cert), writeFile(t, filepath.Join(dir, "key.pem"), key)
			const down = "503 keys_unavailable"
			for _, test := range []struct {
				name string
				url  string
				tls  map[string]any
				want string
			}{
				{"no CA", endpoint.URL, nil, down},
				{"a CA", endpoint.URL, map[string]any{"ca": ca}, "served"},
				{"a CA in a file", endpoint.URL, map[string]any{"ca": caFile}, "served"},
				{"another CA", endpoint.URL, map[string]any{"ca": cert}, down},
				{"insecureSkipVerify", endpoint.URL, map[string]any{"insecureSkipVerify": true}, "served"},
				{"no client certificate", mutual.URL, map[string]any{"ca": ca}, down},
				{"a client certificate", mutual.URL, map[string]any{"ca": ca, "cert": cert, "key": key}, "served"},
				{"a client certificate in files", mutual.URL, map[string]any{"ca": caFile, "cert": certFile, "key": keyFile}, "served"},
				{"a missing client certificate", mutual.URL, map[string]any{"ca": ca, "cert": certFile + "x", "key": keyFile}, down},
			} {
				handler, _ := e.Middleware(t, options{"jwksUrl": test.url, "clientConfig": map[string]any{"tls": test.tls, "maxRetries": 0}})
				if got := bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid())); got != test.want {
					t.Errorf("%s: got %s, want %s", test.name, got, test.want)
				}
			}
			// The file is read anew for each fetch.
			late := filepath.Join(dir, "late.pem")
			handler, _ := e.Middleware(t, options{"jwksUrl": endpoint.URL, "clientConfig": map[string]any{"tls": map[string]any{"ca": late}, "maxRetries": 0}})
			line := es256(t, "", pair, minted.Valid())
			if got := bothways.Verdict(t, handler, line); got != down {
				t.Errorf("before the CA is there: got %s, want %s", got, down)
			}
			writeFile(t, late, ca)
			bothways.Eventually(t, handler, line, "served")

			// A discovery over https does not lead to keys over http.
			plain := minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, pair)))
			endpoint.Answer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": endpoint.URL, "jwks_uri": plain.URL})
			}))
			handler, _ = e.Middleware(t, options{
				"trustedIssuers": []any{map[string]any{"issuer": endpoint.URL}},
				"clientConfig":   map[string]any{"tls": map[string]any{"ca": ca}, "maxRetries": 0},
			})
			if got := bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid().With(claims{"iss": endpoint.URL}))); got != down {
				t.Errorf("from https to http: got %s, want %s", got, down)
			}
			plain.WantFetches(t, 0)
		}
	})
}

// The goroutine of a fetch ends with it, whatever came of it.
func TestFetchLeavesNothing(t *testing.T) {
	pair := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		before := runtime.NumGoroutine()
		func() {
			plain := minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, pair)))
			secure := minted.NewKeyServer(t, minted.Says(minted.JWKSet(t, minted.PublicJWK(t, pair))))
			secure.EnableHTTP2 = true
			secure.StartTLS()
			slow := minted.NewKeyServer(t, minted.Hangs)
			slow.Start()
			broken := minted.NewKeyServer(t, http.NotFound)
			broken.Start()
			defer func() {
				for _, s := range []*minted.KeyServer{plain, secure, slow, broken} {
					s.Close()
				}
			}()
			for i := range 20 {
				for _, s := range []*minted.KeyServer{plain, secure, slow, broken} {
					if s == slow && i > 0 {
						continue
					}
					handler, _ := e.Middleware(t, options{
						"jwksUrl":      s.URL + "/" + strconv.Itoa(i),
						"clientConfig": map[string]any{"maxRetries": 0, "timeoutSeconds": 1, "tls": map[string]any{"insecureSkipVerify": true}},
					})
					bothways.Verdict(t, handler, es256(t, "", pair, minted.Valid()))
				}
			}
		}()
		after := runtime.NumGoroutine()
		for wait := 0; after > before && wait < 500; wait++ {
			time.Sleep(10 * time.Millisecond)
			after = runtime.NumGoroutine()
		}
		if after > before {
			stacks := make([]byte, 1<<20)
			t.Errorf("got %d goroutines, %d before:\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
		}
	})
}

// panicWriter is a log that panics when a key is left out: in the goroutine of a fetch.
type panicWriter struct{ panics atomic.Int64 }

func (w *panicWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "is left out") {
		w.panics.Add(1)
		panic("no log")
	}
	return len(p), nil
}

// A panic in a fetch ends the fetch, and nothing else.
func TestPanicInFetch(t *testing.T) {
	pair := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		w := &panicWriter{}
		e = e.LoggingTo(t, w)
		endpoint := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "x", pair).With(jwk{"alg": "RS256"}), minted.PublicJWK(t, pair)))
		handler, _ := e.Middleware(t, options{"jwksUrl": endpoint.URL, "clientConfig": once})
		line := es256(t, "", pair, minted.Valid())
		if got := bothways.Verdict(t, handler, line); got != "503 keys_unavailable" {
			t.Errorf("got %s, want 503", got)
		}
		if w.panics.Load() != 1 {
			t.Errorf("got %d panics, want 1", w.panics.Load())
		}
		endpoint.Answer(minted.Says(minted.JWKSet(t, minted.PublicJWK(t, pair))))
		bothways.Eventually(t, handler, line, "served")
	})
}
