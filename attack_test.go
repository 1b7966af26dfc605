package slidingjwt_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// Attacks that once came through, each as a table of its whole kind.

// TestTrailersOfBodies sends claim headers behind a chunked body, where net/http adds them to the request when the body ends.
func TestTrailersOfBodies(t *testing.T) {
	const (
		spoofed = "X-User-Id: admin\r\nX_user_id: admin\r\nx.user.id: admin\r\nX-Sum: 7\r\n"
		form    = "Content-Type: application/x-www-form-urlencoded\r\n"
	)
	tests := []struct {
		name, headers, body, trailers string
		options                       options
		want                          string // X-User-Id as the service sees it
	}{
		{"a form token, announced", form + "Trailer: X-Other, X-User-Id\r\n", "access_token=TOKEN", spoofed, nil, "ada"},
		{"a form token, another announced", form + "Trailer: X-Other\r\n", "access_token=TOKEN", spoofed, nil, "ada"},
		{"a form token, not announced", form, "access_token=TOKEN", spoofed, nil, "ada"},
		{"a header's token, announced", "Authorization: Bearer TOKEN\r\nTrailer: X-User-Id, X-Sum\r\n", "body", spoofed, nil, "ada"},
		{"a header's token, not announced", "Authorization: Bearer TOKEN\r\n", "body", spoofed, nil, "ada"},
		{"a cookie's token", "Cookie: session=TOKEN\r\nTrailer: X-User-Id\r\n", "body", spoofed, nil, "ada"},
		{"no token", "Trailer: X-Other\r\n", "body", spoofed, options{"optional": true}, ""},
		{"no token, a form", form + "Trailer: X-Other\r\n", "a=b", spoofed, options{"optional": true}, ""},
		{"a token that lacks the claim", "Authorization: Bearer NAMELESS\r\nTrailer: X-Other\r\n", "body", spoofed, nil, ""},
		{"an empty body", "Authorization: Bearer TOKEN\r\nTrailer: X-Other\r\n", "", spoofed, nil, "ada"},
		{"a body of many reads", "Authorization: Bearer TOKEN\r\nTrailer: X-Other\r\n", strings.Repeat("x", 100_000), spoofed, nil, "ada"},
		{"a preflight", "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\nTrailer: X-User-Id\r\n", "", spoofed, options{"optional": true}, ""},
	}
	// Whoever reads the body in front of the service: nobody, one who copied the request before (as Traefik does), one who
	// reads it whole (as its buffering and mirroring do), and one who closes it unread.
	readers := map[string]func(http.Handler) http.Handler{
		"the service": func(next http.Handler) http.Handler { return next },
		"a copy": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { next.ServeHTTP(rw, req.WithContext(req.Context())) })
		},
		"a buffer": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				clone := req.Clone(req.Context())
				clone.Body = io.NopCloser(strings.NewReader(string(body)))
				next.ServeHTTP(rw, clone)
			})
		},
		"one who closes it": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				_ = req.Body.Close()
				next.ServeHTTP(rw, req.Clone(req.Context()))
			})
		},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for reader, reads := range readers {
			for _, test := range tests {
				t.Run(reader+"/"+test.name, func(t *testing.T) {
					service := &bothways.Spy{}
					o := sourceOptions.With(options{"forwardHeaders": map[string]any{"X-User-Id": "sub"}}).With(test.options)
					inner := e.InFront(t, reads(service), o)
					// The request that net/http completes is another than the one that the plugin gets, as behind Traefik.
					for _, isCopied := range []bool{false, true} {
						server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
							if isCopied {
								req = req.WithContext(req.Context())
							}
							inner.ServeHTTP(rw, req)
						}))
						replace := strings.NewReplacer("TOKEN", minted.Token(t, minted.Valid()), "NAMELESS", minted.Token(t, minted.Valid().With(claims{"sub": nil})))
						body := replace.Replace(test.body)
						raw := "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n" + replace.Replace(test.headers) + "\r\n"
						if body != "" {
							raw += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
						}
						raw += "0\r\n" + test.trailers + "\r\n"
						if got := exchangeRaw(t, server.Listener.Addr().String(), raw); got != 200 {
							t.Errorf("got %d, want 200", got)
						}
						server.Close()
						request := service.Request()
						if got := strings.Join(request.Header["X-User-Id"], "|"); got != test.want {
							t.Errorf("X-User-Id: got %q, want %q", got, test.want)
						}
						for name, values := range request.Trailer {
							if isSpelling(name, "x-user-id") {
								t.Errorf("the service got the trailer %s: %q", name, values)
							}
						}
						service.Forget()
					}
				})
			}
		}
	})
}

// A trailer that is not a claim's reaches the service.
func TestOtherTrailersStay(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-User-Id": "sub"}})
		server := httptest.NewServer(handler)
		defer server.Close()
		raw := "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nAuthorization: Bearer " +
			minted.Token(t, minted.Valid()) + "\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\n\r\n"
		if got := exchangeRaw(t, server.Listener.Addr().String(), raw); got != 200 {
			t.Fatalf("got %d, want 200", got)
		}
		if got := service.Request().Trailer.Get("X-Sum"); got != "7" || service.Body() != "body" {
			t.Errorf("got the trailer %q and the body %q, want 7 and body", got, service.Body())
		}
	})
}

// isSpelling says whether a header's name is one that a service may take for another.
func isSpelling(name, of string) bool {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(name)) == of
}

// exchangeRaw sends a request as it stands and returns the answer's status.
func exchangeRaw(t *testing.T, address, raw string) int {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// The claims header of a login route reaches the login service by no trailer.
func TestSpoofedTrailersOfLogin(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		service := &bothways.Spy{}
		server := httptest.NewServer(e.InFront(t, service, issueOptions))
		defer server.Close()
		for _, announced := range []string{"Trailer: X-Issue-Claims\r\n", "Trailer: X-Other\r\n", ""} {
			raw := "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n" + announced +
				"\r\n4\r\nbody\r\n0\r\nX-Issue-Claims: {}\r\nX_issue_claims: {}\r\n\r\n"
			if got := exchangeRaw(t, server.Listener.Addr().String(), raw); got != 200 {
				t.Fatalf("got %d, want 200", got)
			}
			for name := range service.Request().Trailer {
				if isSpelling(name, "x-issue-claims") {
					t.Errorf("%q: the service got the trailer %s", announced, name)
				}
			}
		}
	})
}

// A gRPC answer, which is a 200, is for gRPC calls alone.
func TestGRPCAnswers(t *testing.T) {
	tests := []struct {
		method, kind string
		major        int
		want         string
	}{
		{"POST", "application/grpc", 2, "gRPC 16"},
		{"POST", "application/grpc", 3, "gRPC 16"},
		{"POST", "application/grpc+proto", 2, "gRPC 16"},
		{"POST", "application/grpc", 1, "401 token_missing"},
		{"GET", "application/grpc", 1, "401 token_missing"},
		{"GET", "application/grpc", 2, "401 token_missing"},
		{"PUT", "application/grpc", 2, "401 token_missing"},
		{"post", "application/grpc", 2, "401 token_missing"},
		{"HEAD", "application/grpc", 2, "401"},
		{"POST", "application/grpc; charset=utf-8", 2, "401 token_missing"},
		{"POST", "application/grpc-web", 2, "401 token_missing"},
		{"POST", "application/grpcx", 2, "401 token_missing"},
		{"POST", "Application/GRPC", 2, "401 token_missing"},
		{"POST", " application/grpc", 2, "401 token_missing"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		for _, test := range tests {
			req := httptest.NewRequest(test.method, "/", http.NoBody)
			req.ProtoMajor = test.major
			req.Header["Content-Type"] = []string{test.kind}
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			if got := bothways.Outcome(t, rec); got != test.want {
				t.Errorf("%s %q over HTTP/%d: got %s, want %s", test.method, test.kind, test.major, got, test.want)
			}
		}
	})
}

// A private or huge key in a set is left out without anything computed with it: a check of the first of these would take
// minutes, and the test with it.
func TestCostlyKeys(t *testing.T) {
	ones := func(octets int) string {
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", octets)))
	}
	huge := jwk{"kty": "RSA", "e": "AQAB", "n": ones(50_000), "d": ones(50_000), "p": ones(25_000), "q": ones(25_000)}
	good := minted.PublicJWK(t, minted.Key(t, "P-256"))
	sets := []struct {
		name string
		key  jwk
		log  string
	}{
		{"private", huge, "it is a secret or private key"},
		{"private, with a small modulus", huge.With(jwk{"n": ones(256)}), "it is a secret or private key"},
		{"public", huge.With(jwk{"d": nil, "p": nil, "q": nil}), "longer than 8192"},
		{"with one prime", huge.With(jwk{"d": nil, "q": nil}), "it is a secret or private key"},
		{"a curve's", jwk{"kty": "EC", "crv": "P-256", "x": ones(50_000), "y": ones(50_000), "d": ones(50_000)}, "it is a secret or private key"},
		{"an octet key's", jwk{"kty": "OKP", "crv": "Ed25519", "x": ones(50_000)}, "32 bytes"},
		{"with an exponent as long", jwk{"kty": "RSA", "n": ones(256), "e": ones(50_000)}, "its e is too large"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, set := range sets {
			server := minted.Serving(t, minted.JWKSet(t, set.key, good))
			handler, _ := e.Middleware(t, options{"jwksUrl": server.URL, "audience": []any{"api"}})
			token := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Valid().With(claims{"aud": "api"}))
			logged := e.Logged(t, func() {
				if got := bothways.Verdict(t, handler, token); got != "served" {
					t.Errorf("%s: got %s, want served", set.name, got)
				}
			})
			if text := strings.Join(logged, "\n"); !strings.Contains(text, set.log) {
				t.Errorf("%s: got the lines %q, want one that holds %q", set.name, logged, set.log)
			}
		}
		local := huge.With(jwk{"n": base64.RawURLEncoding.EncodeToString(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes())})
		for name, key := range map[string]jwk{"long": huge, "with long private members": local} {
			if err := e.Refusal(options{"jwksFile": minted.JWKSet(t, key)}); err == nil {
				t.Errorf("a local key that is %s: got no error", name)
			}
		}
	})
}

// A cookie that browsers would drop is a failure to issue: else the browser keeps that of whoever was logged in before.
func TestIssuedCookieTooLong(t *testing.T) {
	tests := []struct {
		bytes int
		want  string
	}{{100, "served"}, {2500, "served"}, {3000, "502 issue_failed"}, {5000, "502 issue_failed"}, {7000, "502 issue_failed"}}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			service := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("X-Issue-Claims", `{"sub":"`+strings.Repeat("x", test.bytes)+`"}`)
			})
			handler := e.InFront(t, service, issueOptions.With(options{"cookie": map[string]any{"name": "session"}}))
			rec := bothways.Send(t, handler, "POST", "/", nil, nil)
			if got := bothways.Outcome(t, rec); got != test.want {
				t.Errorf("%d bytes: got %s, want %s", test.bytes, got, test.want)
			}
			if isSet := len(rec.Header()["Set-Cookie"]) > 0; isSet != (test.want == "served") {
				t.Errorf("%d bytes: got a cookie: %t", test.bytes, isSet)
			}
			if got := rec.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("%d bytes: got Cache-Control %q, want no-store", test.bytes, got)
			}
		}
	})
}

// TestCrossSiteRules asks what other sites may make a browser send with the cookie.
func TestCrossSiteRules(t *testing.T) {
	https, http1 := "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"
	tests := []struct {
		name, method string
		sent         lines
		want         string
	}{
		{"no hint", "POST", lines{https}, "served"},
		{"same origin", "POST", lines{https, "Sec-Fetch-Site: same-origin"}, "served"},
		{"the user's own", "POST", lines{https, "Sec-Fetch-Site: none"}, "served"},
		{"the same site's other host", "POST", lines{https, "Sec-Fetch-Site: same-site"}, "403 cross_site"},
		{"another site", "POST", lines{https, "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"an unknown value", "POST", lines{https, "Sec-Fetch-Site: same-party"}, "403 cross_site"},
		{"another case", "POST", lines{https, "Sec-Fetch-Site: Same-Origin"}, "403 cross_site"},
		{"an empty value", "POST", lines{https, "Sec-Fetch-Site: "}, "403 cross_site"},
		{"two values", "POST", lines{https, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"Sec-Fetch-Site before Origin", "POST", lines{https, "Sec-Fetch-Site: cross-site", "Origin: https://example.com"}, "403 cross_site"},
		{"Sec-Fetch-Site before Origin, the other way", "POST", lines{https, "Sec-Fetch-Site: same-origin", "Origin: https://evil.example"}, "served"},
		{"its own origin", "POST", lines{https, "Origin: https://example.com"}, "served"},
		{"its own origin with the port", "POST", lines{https, "Origin: https://example.com:443"}, "served"},
		{"its own host by http", "POST", lines{https, "Origin: http://example.com"}, "403 cross_site"},
		{"its own host by https", "POST", lines{http1, "Origin: https://example.com"}, "403 cross_site"},
		{"http throughout", "POST", lines{http1, "Origin: http://example.com"}, "served"},
		{"no X-Forwarded-Proto", "POST", lines{"Origin: http://example.com"}, "served"},
		{"an unknown scheme", "POST", lines{"X-Forwarded-Proto: gopher", "Origin: gopher://example.com"}, "403 cross_site"},
		{"two schemes", "POST", lines{https, http1, "Origin: https://example.com"}, "403 cross_site"},
		{"another port", "POST", lines{https, "Origin: https://example.com:8443"}, "403 cross_site"},
		{"another host", "POST", lines{https, "Origin: https://evil.example"}, "403 cross_site"},
		{"a longer host", "POST", lines{https, "Origin: https://example.com.evil.example"}, "403 cross_site"},
		{"the host as a user", "POST", lines{https, "Origin: https://evil@example.com"}, "403 cross_site"},
		{"a path", "POST", lines{https, "Origin: https://example.com/"}, "403 cross_site"},
		{"null", "POST", lines{https, "Origin: null"}, "403 cross_site"},
		{"an empty origin", "POST", lines{https, "Origin: "}, "403 cross_site"},
		{"two origins", "POST", lines{https, "Origin: https://example.com", "Origin: https://evil.example"}, "403 cross_site"},
		{"a listed origin", "POST", lines{https, "Origin: https://app.example.com"}, "served"},
		{"a listed origin, cross-site", "POST", lines{https, "Sec-Fetch-Site: cross-site", "Origin: https://app.example.com"}, "served"},
		{"a listed origin by http", "POST", lines{https, "Origin: http://app.example.com"}, "403 cross_site"},
		{"a listed origin and another", "POST", lines{https, "Origin: https://app.example.com", "Origin: https://evil.example"}, "403 cross_site"},
		{"GET", "GET", lines{https, "Sec-Fetch-Site: cross-site"}, "served"},
		{"HEAD", "HEAD", lines{https, "Sec-Fetch-Site: cross-site"}, "served"},
		{"get", "get", lines{https, "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"a WebSocket of another site", "GET", lines{"X-Forwarded-Proto: wss", "Connection: Upgrade", "Upgrade: websocket", "Origin: https://evil.example"}, "403 cross_site"},
		{"a WebSocket of its own", "GET", lines{"X-Forwarded-Proto: wss", "Connection: Upgrade", "Upgrade: websocket", "Origin: https://example.com"}, "served"},
		{"a WebSocket of its own by http", "GET", lines{"X-Forwarded-Proto: ws", "Connection: Upgrade", "Upgrade: websocket", "Origin: http://example.com"}, "served"},
		{"a WebSocket without origin", "GET", lines{"X-Forwarded-Proto: wss", "Connection: Upgrade", "Upgrade: websocket"}, "served"},
		{"a WebSocket of a listed origin", "GET", lines{"X-Forwarded-Proto: wss", "Connection: Upgrade", "Upgrade: websocket", "Origin: https://app.example.com"}, "served"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session", "origins": []any{"https://app.example.com"}}})
		for _, test := range tests {
			service.Forget()
			h := test.sent.Header()
			h["Cookie"] = []string{"session=" + minted.Token(t, minted.Valid())}
			rec := bothways.Send(t, handler, test.method, "http://example.com/", h, nil)
			if got := bothways.Outcome(t, rec); got != test.want || (service.Calls() > 0) != (test.want == "served") {
				t.Errorf("%s: got %s and %d calls, want %s", test.name, got, service.Calls(), test.want)
			}
		}
	})
}

func TestRefusedOrigins(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, origin := range []string{"", "null", "*", "app.example.com", "https://app.example.com/", "https://app.example.com/a", "https://App.example.com", "https://app.example.com:443", "http://app.example.com:80", "wss://app.example.com", "https://u@app.example.com"} {
			err := e.Refusal(options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session", "origins": []any{origin}}})
			if err == nil || !strings.Contains(err.Error(), "cookie.origins: ") {
				t.Errorf("%q: got %v, want it refused", origin, err)
			}
		}
		if err := e.Refusal(options{"signingSecret": minted.Secret, "cookie": map[string]any{"origins": []any{"https://a.example"}}}); err == nil || !strings.Contains(err.Error(), "cookie.name: ") {
			t.Errorf("without a name: got %v, want it refused", err)
		}
	})
}

// A renewed token that is held for those who ask again is not given out when its signer was withdrawn.
func TestHeldRenewalOfWithdrawnKey(t *testing.T) {
	set := func(keys ...jwk) string { return minted.JWKSet(t, keys...) }
	old, next := minted.PrivateJWK(t, minted.Key(t, "P-256")).With(jwk{"kid": "old"}), minted.PrivateJWK(t, minted.Key(t, "Ed25519")).With(jwk{"kid": "new"})
	public := minted.PublicJWK(t, minted.Key(t, "P-384")).With(jwk{"kid": "login"})
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		path := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), set(old, public))
		handler, _ := e.Middleware(t, options{"jwksFile": path, "renew": map[string]any{"before": "50%"}, "realm": distinct()})
		token := minted.Signed(t, minted.Key(t, "P-384"), claims{"alg": "ES384", "kid": "login"}, minted.Due())
		ask := func() string {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
			return strings.TrimPrefix(rec.Header().Get("Authorization"), "Bearer ")
		}
		first := ask()
		if kid := minted.Header(t, first)["kid"]; kid != "old" {
			t.Fatalf("got a renewed token by %v, want one by old", kid)
		}
		if err := os.WriteFile(path, []byte(set(next, public)), 0o600); err != nil {
			t.Fatal(err)
		}
		bothways.Eventually(t, handler, first, "401 unknown_key")
		if kid := minted.Header(t, ask())["kid"]; kid != "new" {
			t.Errorf("after the rotation: got a renewed token by %v, want one by new", kid)
		}
	})
}

// A secret in a URL's query is in no error and in no line of the log.
func TestSecretsInURLs(t *testing.T) {
	const hidden = "hidden-7"
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for name, o := range map[string]options{
			"jwksUrl with a fragment":  {"jwksUrl": "https://a.example/keys?key=" + hidden + "#f"},
			"jwksUrl with a user":      {"jwksUrl": "https://u:" + hidden + "@a.example/keys?key=" + hidden},
			"jwksUrl that is relative": {"jwksUrl": "a.example/keys?key=" + hidden},
			"jwksUrl that is opaque":   {"jwksUrl": "https:" + hidden},
			"trustedIssuers' jwksUrl":  {"trustedIssuers": []any{map[string]any{"issuer": "https://a.example", "jwksUrl": "ftp://a.example/?key=" + hidden}}},
			"an issuer without one":    {"trustedIssuers": []any{map[string]any{"issuer": "https://a.example/?key=" + hidden + "#f"}}},
		} {
			err := e.Refusal(o)
			if err == nil || strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: got %v, want an error without the secret", name, err)
			}
		}
		for name, answer := range map[string]http.HandlerFunc{
			"that is down":     func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) },
			"that answers bad": func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "{}") },
			"that redirects":   http.RedirectHandler("http://b.example/?key="+hidden, http.StatusFound).ServeHTTP,
			"with a key left out": func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(rw, `{"keys":[{"kty":"none"}]}`)
			},
		} {
			server := minted.NewKeyServer(t, answer)
			server.Start()
			handler, _ := e.Middleware(t, options{"jwksUrl": server.URL + "/keys?key=" + hidden, "audience": []any{"api"}, "clientConfig": map[string]any{"maxRetries": 0}})
			token := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Valid())
			logged := strings.Join(e.Logged(t, func() { _ = bothways.Verdict(t, handler, token) }), "\n")
			if !strings.Contains(logged, server.URL+"/keys") || strings.Contains(logged, hidden) {
				t.Errorf("an endpoint %s: got the lines %q, want its URL without the query", name, logged)
			}
		}
	})
}

// The first half of a secret that is being written is a secret too.
func TestHalfWrittenSecret(t *testing.T) {
	whole := strings.Repeat("another secret that is long ", 4)
	half := whole[:len(whole)/2]
	signedBy := func(secret string) string {
		return minted.Signed(t, []byte(secret), claims{"alg": "HS256"}, minted.Valid())
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		path := writeFile(t, filepath.Join(t.TempDir(), "secret"), minted.Secret)
		ago := time.Now().Add(-time.Minute)
		if err := os.Chtimes(path, ago, ago); err != nil {
			t.Fatal(err)
		}
		handler, _ := e.Middleware(t, options{"signingSecret": path, "realm": distinct()})
		if got := bothways.Verdict(t, handler, signedBy(minted.Secret)); got != "served" {
			t.Fatalf("the first secret: got %s, want served", got)
		}
		// It is written half, and half again by whoever looks at it: no look sees the same twice.
		for i := range 40 {
			text := half + strings.Repeat("x", i)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := bothways.Verdict(t, handler, signedBy(text)); got != "401 bad_signature" {
				t.Fatalf("half of the secret: got %s, want 401 bad_signature", got)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		bothways.Eventually(t, handler, signedBy(whole), "served")
	})
}

// A secret's file that was written just before the start counts from the first request's look on.
func TestSecretWrittenJustBefore(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(minted.Secret[:40]), 0o600); err != nil {
			t.Fatal(err)
		}
		handler, _ := e.Middleware(t, options{"signingSecret": path, "realm": distinct()})
		if err := os.WriteFile(path, []byte(minted.Secret), 0o600); err != nil {
			t.Fatal(err)
		}
		half := minted.Signed(t, []byte(minted.Secret[:40]), claims{"alg": "HS256"}, minted.Valid())
		if got := bothways.Verdict(t, handler, half); got != "503 keys_unavailable" {
			t.Errorf("half of the secret: got %s, want 503 keys_unavailable", got)
		}
		bothways.Eventually(t, handler, minted.Token(t, minted.Valid()), "served")
	})
}

// A session that could never be renewed is a mistake in the options.
func TestLifetimeBeyondSession(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, renew := range []map[string]any{
			{"before": "5m", "lifetime": "24h", "maxSession": "2h"},
			{"before": "50%", "lifetime": "25h"},
			{"before": "5m", "lifetime": "7201", "maxSession": "2h"},
		} {
			err := e.Refusal(options{"signingSecret": minted.Secret, "renew": renew})
			if err == nil || !strings.Contains(err.Error(), "renew.lifetime: ") || !strings.Contains(err.Error(), "renew.maxSession") {
				t.Errorf("%v: got %v, want both options named", renew, err)
			}
		}
		if err := e.Refusal(options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "5m", "lifetime": "2h", "maxSession": "2h"}}); err != nil {
			t.Errorf("as long as the session: got %v, want it accepted", err)
		}
	})
}

// What costs a stranger nothing to send is refused by its count, or found without a walk over it: see BenchmarkCost.
func TestTooMuchIsRefused(t *testing.T) {
	many := func(n int, format string) http.Header {
		h := http.Header{}
		for i := range n {
			h[fmt.Sprintf(format, i)] = []string{"x"}
		}
		return h
	}
	everywhere := options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "tokenKey": "token", "forwardHeaders": map[string]any{"X-User-Id": "sub"}}
	good := minted.Token(t, minted.Valid())
	tests := []struct {
		name, target string
		header       http.Header
		want         string
	}{
		{"100 headers", "/", many(99, "X-%05d"), "served"},
		{"101 headers", "/", many(100, "X-%05d"), "400 too_many_parts"},
		{"5,000 headers", "/", many(5000, "X-%05d"), "400 too_many_parts"},
		{"16 cookies of the name", "/", http.Header{"Cookie": {strings.Repeat("session="+good+";", 15) + "session=" + good}}, "served"},
		{"17 cookies of the name", "/", http.Header{"Cookie": {strings.Repeat("session="+good+";", 16) + "session=" + good}}, "400 too_many_parts"},
		{"17 empty cookies of the name", "/", http.Header{"Cookie": {strings.Repeat("session;", 17)}}, "400 too_many_parts"},
		{"16 parameters of the name", "/?" + strings.Repeat("%74oken="+good+"&", 15) + "token=" + good, nil, "served"},
		{"17 parameters of the name", "/?" + strings.Repeat("%74oken="+good+"&", 16) + "token=" + good, nil, "400 too_many_parts"},
		{"17 empty parameters of the name", "/?" + strings.Repeat("token&", 17), nil, "400 too_many_parts"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, everywhere)
		for _, test := range tests {
			service.Forget()
			h := test.header.Clone()
			if strings.HasSuffix(test.name, "headers") {
				h["Authorization"] = []string{"Bearer " + good}
			}
			for _, when := range []string{"first", "again"} {
				rec := bothways.Send(t, handler, "GET", test.target, h.Clone(), nil)
				if got := bothways.Outcome(t, rec); got != test.want {
					t.Errorf("%s, %s: got %s, want %s", test.name, when, got, test.want)
				}
			}
			if request := service.Request(); request != nil && strings.Contains(request.RequestURI+fmt.Sprint(request.Header), good) {
				t.Errorf("%s: the service got the token", test.name)
			}
		}
	})
}

// A preflight passes without a look at a token, however many there are: none of them reaches the service.
func TestPreflightWithManyTokens(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions)
		h := lines{"Origin: https://a.example", "Access-Control-Request-Method: PUT", "Cookie: " + strings.Repeat("session=x; a=b; ", 60)}.Header()
		rec := bothways.Send(t, handler, "OPTIONS", "/?"+strings.Repeat("access_token=x&a=b&", 60), h, nil)
		if got := bothways.Outcome(t, rec); got != "served" {
			t.Fatalf("got %s, want served", got)
		}
		if got := service.Request(); got.URL.RawQuery != "" || got.RequestURI != "/" || got.Header["Cookie"] != nil {
			t.Errorf("got %q, %q and %q, want neither query nor cookie", got.URL.RawQuery, got.RequestURI, got.Header["Cookie"])
		}
	})
}

// Lists and the header's form are looked at behind the signature, and then they count.
func TestLooksBehindTheSignature(t *testing.T) {
	exp := fmt.Sprint(time.Now().Unix() + 600)
	sign := minted.Written
	forge := func(token string) string {
		return token[:strings.LastIndexByte(token, '.')+1] + base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	}
	const plain = `{"alg":"HS256"}`
	tests := []struct{ name, header, payload, want string }{
		{"aud of empty texts", plain, `{"exp":` + exp + `,"aud":[` + strings.Repeat(`"",`, 1999) + `""]}`, "served"},
		{"aud that ends with a number", plain, `{"exp":` + exp + `,"aud":[` + strings.Repeat(`"",`, 1999) + `1]}`, "401 malformed_claims"},
		{"aud that is an object", plain, `{"exp":` + exp + `,"aud":{}}`, "401 malformed_claims"},
		{"a header with a member twice", `{"alg":"HS256","alg":"HS256"}`, `{"exp":` + exp + `}`, "401 token_malformed"},
		{"a header with a member twice, deeper", "{\"alg\":\"HS256\",\t\"x\":{\"a\":1,\"a\":2}}", `{"exp":` + exp + `}`, "401 token_malformed"},
		{"a header with a tab", "{\"alg\":\"HS256\",\t\"x\":{\"a\":1}}", `{"exp":` + exp + `}`, "served"},
		{"a header that is not UTF-8", "{\"alg\":\"HS256\",\"x\":\"\xff\"}", `{"exp":` + exp + `}`, "401 token_malformed"},
		{"a header with something behind it", `{"alg":"HS256"}x`, `{"exp":` + exp + `}`, "401 token_malformed"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, keys := range []options{{"signingSecret": minted.Secret}, {"signingSecret": minted.Secret, "jwksFile": minted.JWKSet(t, minted.SecretJWK(strings.Repeat("z", 40)))}} {
			handler, _ := e.Middleware(t, keys)
			for _, test := range tests {
				token := sign(test.header, test.payload)
				for _, when := range []string{"first", "again"} {
					if got := bothways.Verdict(t, handler, token); got != test.want {
						t.Errorf("%s, %s: got %s, want %s", test.name, when, got, test.want)
					}
				}
				if got := bothways.Verdict(t, handler, forge(token)); got == "served" {
					t.Errorf("%s: a forged one was served", test.name)
				}
			}
		}
	})
}

// Behind a reverse proxy of the standard library, as behind Traefik, a WebSocket's Upgrade is judged like a write.
func TestCrossSiteBehindProxy(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		service := &bothways.Spy{}
		backend := httptest.NewServer(service)
		defer backend.Close()
		address, err := url.Parse(backend.URL)
		if err != nil {
			t.Fatal(err)
		}
		gateway := httptest.NewTLSServer(e.InFront(t, httputil.NewSingleHostReverseProxy(address), options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}}))
		defer gateway.Close()
		for origin, want := range map[string]int{gateway.URL: 200, strings.Replace(gateway.URL, "https:", "http:", 1): 403} {
			req, err := http.NewRequest(http.MethodPost, gateway.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", "session="+minted.Token(t, minted.Valid()))
			req.Header.Set("Origin", origin)
			resp, err := gateway.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: got %d, want %d", origin, resp.StatusCode, want)
			}
		}
	})
}
