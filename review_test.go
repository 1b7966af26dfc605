package slidingjwt_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The first requests of a middleware come at once: one of them looks at the keys, which takes long if the file has changed
// since New, and the others do not go on without any.
func TestFirstRequestsAtOnce(t *testing.T) {
	own := minted.NamedJWK(t, "own", minted.Key(t, "P-256"))
	many := []jwk{own}
	for i := range 200 {
		many = append(many, minted.NamedJWK(t, fmt.Sprint(i), minted.Key(t, "P-521")))
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		token := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256", "kid": "own"}, minted.Valid())
		for round := 0; round < 20 && !t.Failed(); round++ {
			path := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, own))
			handler, _ := e.Middleware(t, options{"jwksFile": path, "realm": distinct()})
			writeFile(t, path, minted.JWKSet(t, many...))
			start := make(chan bool)
			var all sync.WaitGroup
			for range 8 {
				all.Add(1)
				go func() {
					defer all.Done()
					defer func() {
						if r := recover(); r != nil {
							t.Errorf("round %d: got a panic: %v", round, r)
						}
					}()
					<-start
					if got := bothways.Verdict(t, handler, token); got != "served" {
						t.Errorf("round %d: got %s, want served", round, got)
					}
				}()
			}
			close(start)
			all.Wait()
		}
	})
}

// What a client writes as its user is in no line of the access log, even if the request is refused unread.
func TestUserOfRefusedRequest(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, o := range []options{{}, {"headerName": "X-Token"}, {"headerName": "", "cookie": map[string]any{"name": "session"}}} {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "usernameClaim": "sub"}.With(o))
			for _, n := range []int{0, 300} {
				req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
				req.URL.User = url.User("admin")
				for i := range n {
					req.Header[fmt.Sprint("X-", i)] = []string{""}
				}
				handler.ServeHTTP(httptest.NewRecorder(), req)
				if req.URL.User != nil {
					t.Errorf("%v, %d headers: got the user %v, want none", o, n, req.URL.User)
				}
			}
		}
	})
}

// A name with a line break would be another line of the access log.
func TestUnprintableUser(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "usernameClaim": "name"})
		for name, want := range map[string]string{
			"Ada Lovelace": "Ada Lovelace", "ada\n192.0.2.1 - root [": "", "ada\x1b[2J": "", "ada\u0085": "", " ada": "", strings.Repeat("a", 5000): "",
		} {
			service.Forget()
			if got := bothways.Verdict(t, handler, minted.Token(t, minted.Valid().With(claims{"name": name}))); got != "served" {
				t.Fatalf("%.20q: got %s, want served", name, got)
			}
			if got := service.Request().URL.User.Username(); got != want {
				t.Errorf("got the user %.20q, want %q", got, want)
			}
		}
	})
}

// A secret is in no line of the log: neither a bearer token that begins with a slash, as a path does, nor what an endpoint repeats of
// its URL.
func TestSecretsOfEndpoints(t *testing.T) {
	const hidden = "hidden-7"
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for name, test := range map[string]struct{ bearer, location string }{
			"a bearer token that is no path": {"/" + hidden + "+abc=", ""},
			"a malformed host":               {"", "http://[a/?key=" + hidden},
			"a malformed port":               {"", "http://a.example:b/?key=" + hidden},
			"a malformed path":               {"", "%zz?key=" + hidden},
		} {
			server := minted.NewKeyServer(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header()["Location"] = []string{test.location}
				rw.WriteHeader(http.StatusFound)
			})
			server.Start()
			trusted := map[string]any{"issuer": "https://a.example", "jwksUrl": server.URL + "/keys?key=" + hidden, "bearerToken": test.bearer}
			handler, _ := e.Middleware(t, options{"trustedIssuers": []any{trusted}, "audience": []any{"api"}, "clientConfig": map[string]any{"maxRetries": 0}})
			token := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Valid().With(claims{"iss": "https://a.example"}))
			logged := strings.Join(e.Logged(t, func() { _ = bothways.Verdict(t, handler, token) }), "\n")
			if !strings.Contains(logged, "cannot be fetched") || strings.Contains(logged, hidden) {
				t.Errorf("%s: got the lines %q, want one without the secret", name, logged)
			}
		}
	})
}

// The token's parameter may be percent-encoded from any octet on, also within a character.
func TestEncodedOctetsOfTokenKey(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		const key = "clé日"
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "tokenKey": key})
		for i := range len(key) {
			service.Forget()
			query := key[:i] + fmt.Sprintf("%%%02x", key[i]) + key[i+1:] + "=" + minted.Token(t, minted.Valid())
			req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			req.URL.RawQuery, req.RequestURI = query, "/?"+query
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			if got := bothways.Outcome(t, rec); got != "served" || service.Request().URL.RawQuery != "" {
				t.Errorf("%q: got %s, want it served and the parameter removed", query, got)
			}
		}
	})
}

// Zeros in front of a modulus do not make room for private members that would take minutes to check: see TestCostlyKeys.
func TestCostlyKeyBehindZeros(t *testing.T) {
	text := func(octet string, n int) string { return minted.Base64(strings.Repeat(octet, n)) }
	key := jwk{"kty": "RSA", "e": "AQAB", "n": minted.Base64(strings.Repeat("\x00", 50_000) + strings.Repeat("\xff", 256)), "d": text("\xff", 256)}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for name, members := range map[string]jwk{
			"primes":   {"p": text("\xff", 40_000), "q": text("\xff", 40_000)},
			"one of d": {"d": text("\xff", 40_000), "p": text("\xff", 128), "q": text("\xff", 128)},
		} {
			logged := strings.Join(e.Logged(t, func() {
				_ = e.Refusal(options{"jwksFile": minted.JWKSet(t, key.With(members), minted.PublicJWK(t, minted.Key(t, "P-256")))})
			}), "\n")
			if !strings.Contains(logged, "its private members are longer than its modulus") {
				t.Errorf("%s: got the lines %q, want one that says that the members are too long", name, logged)
			}
		}
	})
}

// TestMorePublicKeysAsSecret has further forms of public keys: see TestPublicKeyAsSecret.
func TestMorePublicKeysAsSecret(t *testing.T) {
	public := minted.PEM(t, "PKIX", minted.Key(t, "RSA"))
	block, _ := pem.Decode([]byte(public))
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, minted.Key(t, "RSA"))
	if err != nil {
		t.Fatal(err)
	}
	set := minted.JWKSet(t, minted.PublicJWK(t, minted.Key(t, "P-256")))
	blob := "\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x03\x01\x00\x01\x00\x00\x01\x01" + strings.Repeat("\xab", 257)
	encode := base64.StdEncoding.EncodeToString
	tests := map[string]string{
		"a query's PEM":            url.QueryEscape(public),
		"a path's PEM":             url.PathEscape(public),
		"DER, and what is behind":  string(block.Bytes) + "\x00",
		"a certificate request":    string(request),
		"an SSH key alone":         encode([]byte(blob)),
		"an SSH key on two lines":  "ssh-rsa\n" + encode([]byte(blob)),
		"a JWK Set in an object":   `{"jwks":` + set + `}`,
		"a JWK Set behind another": `{"a":1}` + set,
		"a JWK Set as a JSON text": fmt.Sprintf("%q", set),
		"a JWK Set cut short":      set[:len(set)-2],
		"a JWK Set in JavaScript":  "// {the keys}\n" + strings.ReplaceAll(set, `"`, `'`),
		"XML with a namespace":     "<ds:Modulus>u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6</ds:Modulus>",
		"XML with a certificate":   "<X509Certificate>u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0t</X509Certificate>",
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for name, text := range tests {
			err := e.Refusal(options{"signingSecret": encode([]byte(text)), "signingSecretBase64Encoded": true})
			if err == nil || !strings.Contains(err.Error(), "is not a secret") {
				t.Errorf("%s: got %v, want it refused", name, err)
			}
		}
	})
}

// Trailers are counted as headers are, also those that a chunked body brings unannounced.
func TestTooManyTrailers(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions.With(options{"forwardHeaders": map[string]any{"X-A": "sub"}}))
		server := httptest.NewServer(handler)
		defer server.Close()
		body := "access_token=" + minted.Token(t, minted.Valid())
		raw := "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(body), body)
		for i := range 300 {
			raw += fmt.Sprintf("%03x:\r\n", i)
		}
		if got := exchangeRaw(t, server.Listener.Addr().String(), raw+"\r\n"); got != 400 || service.Calls() != 0 {
			t.Errorf("got %d, want 400", got)
		}
	})
}

// Each pair that is removed takes a walk over the whole text: so many of so much are removed with all the rest.
func TestManyPairsOfMuch(t *testing.T) {
	pairs := func(name, separator string) string {
		var all strings.Builder
		for i := range 40 {
			fmt.Fprint(&all, name, "=", i, separator)
		}
		return all.String() + strings.Repeat("b", 60<<10)
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions)
		h := http.Header{"Origin": {"http://a.example"}, "Access-Control-Request-Method": {"GET"}, "Cookie": {pairs("session", "; ")}}
		rec := bothways.Send(t, handler, http.MethodOptions, "/?"+pairs("access_token", "&"), h, io.Reader(http.NoBody))
		request := service.Request()
		if rec.Code != 200 || request.Header["Cookie"] != nil || request.URL.RawQuery != "" {
			t.Errorf("got %d, the cookies %.20q and the query %.20q, want 200 and none", rec.Code, request.Header["Cookie"], request.URL.RawQuery)
		}
	})
}
