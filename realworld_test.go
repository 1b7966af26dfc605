package slidingjwt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// What tokens, key sets and applications of others are like, as reports of their users have it.

// TestScopes has scope and scp each as a string and as a list.
func TestScopes(t *testing.T) {
	tests := []struct {
		name string
		c    claims
		want string
	}{
		{"scope, a string", claims{"scope": "read write"}, "served"},
		{"scope, a list", claims{"scope": []any{"read", "write"}}, "served"},
		{"scp, a string", claims{"scp": "read write"}, "served"},
		{"scp, a list", claims{"scp": []any{"read", "write"}}, "served"},
		{"one in each: scope decides", claims{"scope": "read", "scp": []any{"write"}}, "403 insufficient_scope"},
		{"one of them", claims{"scope": []any{"read"}}, "403 insufficient_scope"},
		{"both in one element", claims{"scope": []any{"read write"}}, "403 insufficient_scope"},
		{"a list with a number", claims{"scope": []any{"read", "write", 1}}, "403 insufficient_scope"},
		{"null", claims{"scope": json.RawMessage("null"), "scp": "read write"}, "served"},
		{"an object", claims{"scope": map[string]any{"read": 1, "write": 1}}, "403 insufficient_scope"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "scopes": []any{"read", "write"}})
		for _, test := range tests {
			for _, when := range []string{"first", "again"} {
				if got := bothways.Verdict(t, handler, minted.Token(t, minted.Valid().With(test.c))); got != test.want {
					t.Errorf("%s, %s: got %s, want %s", test.name, when, got, test.want)
				}
			}
		}
	})
}

// TestHeaderName has the token in other headers, and applications that have an Authorization of their own.
func TestHeaderName(t *testing.T) {
	const none = ""
	tests := []struct {
		name   string
		header string // headerName
		sent   lines
		want   string
		seen   lines // by the service
	}{
		{"by itself", "X-Goog-IAP-JWT-Assertion", lines{"X-Goog-Iap-Jwt-Assertion: GOOD"}, "served", lines{"X-User-Id: ada"}},
		{"behind Bearer", "X-Auth-Token", lines{"X-Auth-Token: bearer GOOD"}, "served", lines{"X-User-Id: ada"}},
		{"the app's own Authorization", "X-Auth-Token", lines{"X-Auth-Token: GOOD", "Authorization: Bearer theirs"}, "served", lines{"X-User-Id: ada", "Authorization: Bearer theirs"}},
		{"two Authorization lines of the app's", "X-Auth-Token", lines{"X-Auth-Token: GOOD", "Authorization: Bearer a", "Authorization: Bearer b"}, "served", lines{"X-User-Id: ada", "Authorization: Bearer a", "Authorization: Bearer b"}},
		{"in Authorization alone", "X-Auth-Token", lines{"Authorization: Bearer GOOD"}, "401 token_missing", nil},
		{"two lines", "X-Auth-Token", lines{"X-Auth-Token: GOOD", "X-Auth-Token: GOOD"}, "400 multiple_tokens", nil},
		{"two words", "X-Auth-Token", lines{"X-Auth-Token: GOOD GOOD"}, "400 malformed_authorization", nil},
		{"nothing behind Bearer", "X-Auth-Token", lines{"X-Auth-Token: Bearer"}, "401 token_malformed", nil},
		{"an empty header", "X-Auth-Token", lines{"X-Auth-Token: "}, "401 token_missing", nil},
		{"a bad token", "X-Auth-Token", lines{"X-Auth-Token: GOODx"}, "401 bad_signature", nil},
		{"another scheme", "X-Auth-Token", lines{"X-Auth-Token: Basic eDp5"}, "400 malformed_authorization", nil},
		{"a cookie, and the app's own bearer token", none, lines{"Cookie: session=GOOD", "Authorization: Bearer theirs"}, "served", lines{"X-User-Id: ada", "Authorization: Bearer theirs"}},
		{"a cookie, and another scheme in Authorization", none, lines{"Cookie: session=GOOD", "Authorization: Basic eDp5"}, "served", lines{"X-User-Id: ada", "Authorization: Basic eDp5"}},
		{"no header, and none in the cookie", none, lines{"Authorization: Bearer GOOD"}, "401 token_missing", nil},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, service := e.Middleware(t, options{
				"signingSecret": minted.Secret, "headerName": test.header, "cookie": map[string]any{"name": "session"}, "forwardHeaders": map[string]any{"X-User-Id": "sub"},
			})
			good := minted.Token(t, minted.Valid())
			for _, when := range []string{"first", "again"} {
				service.Forget()
				rec := bothways.Send(t, handler, "GET", "/", test.sent.Header("GOOD", good), nil)
				if got := bothways.Outcome(t, rec); got != test.want {
					t.Errorf("%s, %s: got %s, want %s", test.name, when, got, test.want)
					continue
				}
				if test.want == "served" {
					checkSeen(t, service, test.seen.Header(), "/")
				}
			}
		}
	})
}

// A renewed token goes back in the header that it came by.
func TestRenewedInHeaderName(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "headerName": "X-Auth-Token", "renew": map[string]any{"before": "50%"}})
		for _, scheme := range []string{"", "Bearer "} {
			for _, when := range []string{"first", "again"} {
				rec := bothways.Send(t, handler, "GET", "/", http.Header{"X-Auth-Token": {scheme + minted.Token(t, minted.Due())}}, nil)
				renewed := rec.Header().Get("X-Auth-Token")
				if got := bothways.Outcome(t, bothways.Send(t, handler, "GET", "/", http.Header{"X-Auth-Token": {renewed}}, nil)); renewed == "" || got != "served" || rec.Header().Get("Authorization") != "" {
					t.Errorf("%q, %s: got %q, which is %s, and %v", scheme, when, renewed, got, rec.Header())
				}
			}
		}
	})
}

func TestRefusedHeaderNames(t *testing.T) {
	tests := []struct {
		name string
		o    options
		want string
	}{
		{"nowhere", options{"headerName": ""}, "headerName: it is empty, and neither cookie nor tokenKey is set, so there is no place for the token"},
		{"malformed", options{"headerName": "X Y"}, `headerName: "X Y" is not a header name`},
		{"hop-by-hop", options{"headerName": "connection"}, `headerName: the header "connection" cannot be used`},
		{"Cookie", options{"headerName": "Cookie"}, `headerName: the header "Cookie" cannot be used`},
		{"a claim's", options{"headerName": "X-User-Id", "forwardHeaders": map[string]any{"x_user_id": "sub"}}, `headerName: "X-User-Id" is also in forwardHeaders`},
		{"a format that is none", options{"forwardHeaders": map[string]any{"X-User-Id": "sub | hex"}}, `"X-User-Id" has the format "hex"`},
		{"a path that is none", options{"forwardHeaders": map[string]any{"X-User-Id": " | json"}}, `"X-User-Id" has no claim`},
		{"before as long as the session", options{"renew": map[string]any{"before": "24h"}}, `renew.before: "24h" is not less than renew.maxSession`},
		{"before longer than the session", options{"renew": map[string]any{"before": "168h", "maxSession": "100h"}}, `renew.before: "168h" is not less than renew.maxSession`},
		{"a bearer token with a space", options{"trustedIssuers": []any{map[string]any{"jwksUrl": "https://a.example", "bearerToken": "a b"}}}, "trustedIssuers[0].bearerToken: "},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			err := e.Refusal(options{"signingSecret": minted.Secret}.With(test.o))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want it to hold %q", test.name, err, test.want)
			}
		}
	})
}

// TestIssuedOnRedirect has login forms that answer with a redirect, and statuses that begin no session.
func TestIssuedOnRedirect(t *testing.T) {
	tests := []struct {
		status int
		issues bool
	}{{200, true}, {201, true}, {204, true}, {302, true}, {303, true}, {307, true}, {304, false}, {400, false}, {401, false}, {500, false}}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			service := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("X-Issue-Claims", `{"sub":"ada"}`)
				rw.Header().Set("Location", "/")
				rw.WriteHeader(test.status)
			})
			handler := e.InFront(t, service, issueOptions.With(options{"cookie": map[string]any{"name": "session"}}))
			var rec *httptest.ResponseRecorder
			logged := e.Logged(t, func() { rec = bothways.Send(t, handler, "POST", "/", nil, nil) })
			if got := len(rec.Header()["Set-Cookie"]) > 0; got != test.issues || rec.Code != test.status || rec.Header().Get("Location") != "/" || rec.Header().Get("X-Issue-Claims") != "" {
				t.Errorf("%d: got %d, %v, want a cookie: %t", test.status, rec.Code, rec.Header(), test.issues)
			}
			if says := strings.Contains(strings.Join(logged, "\n"), fmt.Sprint("no token was issued by \"jwt@file\": the login service answered ", test.status)); says == test.issues {
				t.Errorf("%d: got the lines %q, want one that says that nothing was issued: %t", test.status, logged, !test.issues)
			}
		}
	})
}

// A certificate chain in the header makes it long; a token's 8 KiB are the one limit.
func TestLongHeader(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		for octets, want := range map[int]string{2600: "served", 5000: "served", 7000: "400 token_too_long"} {
			token := minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256", "x5c": []any{strings.Repeat("M", octets)}}, minted.Valid())
			if got := bothways.Verdict(t, handler, token); got != want {
				t.Errorf("a header of %d octets: got %s, want %s", octets, got, want)
			}
		}
	})
}

// TestLenientKeySets has key sets as issuers write them.
func TestLenientKeySets(t *testing.T) {
	ec := minted.Key(t, "P-256")
	rsaKey := minted.Key(t, "RSA")
	null := json.RawMessage("null")
	short := shortCoordinate(t)
	shortJWK := minted.PublicJWK(t, short)
	trimmed := func(member string) string { return strings.TrimLeft(decoded(t, shortJWK[member].(string)), "\x00") }
	tests := []struct {
		name string
		key  jwk
		pair any
		alg  string
	}{
		{"empty lists", minted.PublicJWK(t, ec).With(jwk{"key_ops": []any{}, "x5c": []any{}}), ec, "ES256"},
		{"an empty oth", minted.PublicJWK(t, rsaKey).With(jwk{"oth": []any{}}), rsaKey, "RS256"},
		{"null members", minted.PublicJWK(t, rsaKey).With(jwk{"d": null, "p": null, "oth": null, "use": null, "alg": null, "kid": null, "key_ops": null, "x5c": null}), rsaKey, "RS256"},
		{"a coordinate without its zero", shortJWK.With(jwk{"x": minted.Base64([]byte(trimmed("x"))), "y": minted.Base64([]byte(trimmed("y")))}), short, "ES512"},
		{"coordinates with a zero in front", minted.PublicJWK(t, ec).With(jwk{
			"x": minted.Base64([]byte("\x00" + decoded(t, minted.PublicJWK(t, ec)["x"].(string)))), "y": minted.Base64([]byte("\x00\x00" + decoded(t, minted.PublicJWK(t, ec)["y"].(string)))),
		}), ec, "ES256"},
		{"SPIFFE's use", minted.PublicJWK(t, ec).With(jwk{"use": "jwt-svid"}), ec, "ES256"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			server := minted.Serving(t, minted.JWKSet(t, test.key))
			token := minted.Signed(t, test.pair, claims{"alg": test.alg}, minted.Valid().With(claims{"aud": "api"}))
			for name, o := range map[string]options{"a URL": {"jwksUrl": server.URL, "audience": []any{"api"}}, "a file": {"jwksFile": minted.JWKSet(t, test.key)}} {
				handler, _ := e.Middleware(t, o)
				if got := bothways.Verdict(t, handler, token); got != "served" {
					t.Errorf("%s, %s: got %s, want served", test.name, name, got)
				}
			}
		}
	})
}

// shortCoordinate makes a P-521 key of which a coordinate has a zero in front.
func shortCoordinate(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	for {
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if key.X.BitLen() <= 520 || key.Y.BitLen() <= 520 {
			return key
		}
	}
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	octets, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(octets)
}

// A key that is for something else is nobody's business at error level; one that contradicts itself is.
func TestLeftOutLevels(t *testing.T) {
	ec := minted.PublicJWK(t, minted.Key(t, "P-256"))
	tests := []struct {
		name    string
		key     jwk
		isError bool
	}{
		{"for encryption", minted.PublicJWK(t, minted.Key(t, "RSA")).With(jwk{"use": "enc"}), false},
		{"of a curve that is not known", jwk{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, false},
		{"for key agreement", jwk{"kty": "OKP", "crv": "X25519", "x": "AA"}, false},
		{"for encryption, by its key_ops", minted.PublicJWK(t, minted.Key(t, "RSA")).With(jwk{"key_ops": []any{"encrypt", "wrapKey"}}), false},
		{"for signatures and nothing of the kind", minted.PublicJWK(t, minted.Key(t, "RSA")).With(jwk{"use": "sig", "key_ops": []any{"encrypt"}}), true},
		{"for an algorithm that is not known", minted.PublicJWK(t, minted.Key(t, "RSA")).With(jwk{"alg": "RSA-OAEP"}), false},
		{"of a kind that is not known", jwk{"kty": "AKP"}, false},
		{"that contradicts itself", minted.PublicJWK(t, minted.Key(t, "RSA")).With(jwk{"alg": "ES256"}), true},
		{"that is malformed", ec.With(jwk{"x": "!"}), true},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			server := minted.Serving(t, minted.JWKSet(t, test.key, ec))
			var lines strings.Builder
			handler, _ := e.Middleware(t, options{"jwksUrl": server.URL, "audience": []any{"api"}, "realm": distinct()})
			logged := strings.Join(e.Logged(t, func() {
				_ = bothways.Verdict(t, handler, minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Valid()))
			}), "\n")
			lines.WriteString(logged)
			if !strings.Contains(logged, "is left out") || strings.Contains(logged, "warning: key 0") != test.isError {
				t.Errorf("a key %s: got the lines %q, want a warning: %t", test.name, logged, test.isError)
			}
		}
	})
}

// A token of an issuer that is not trusted says so, and the log which ones are.
func TestWrongIssuerOfTrusted(t *testing.T) {
	key := minted.Key(t, "P-256")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		server := minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, key)))
		trusted := options{"trustedIssuers": []any{map[string]any{"issuer": "https://idp.example/", "jwksUrl": server.URL}}, "audience": []any{"api"}}
		sign := func(iss any) string {
			return minted.Signed(t, key, claims{"alg": "ES256"}, minted.Valid().With(claims{"aud": "api", "iss": iss}))
		}
		handler, _ := e.Middleware(t, trusted)
		for iss, want := range map[string]string{"https://idp.example/": "served", "https://idp.example": "401 wrong_issuer", "https://evil.example/": "401 wrong_issuer"} {
			logged := strings.Join(e.Logged(t, func() {
				if got := bothways.Verdict(t, handler, sign(iss)); got != want {
					t.Errorf("%s: got %s, want %s", iss, got, want)
				}
			}), "\n")
			if want != "served" && (!strings.Contains(logged, `"`+iss+`"`) || !strings.Contains(logged, `["https://idp.example/"]`)) {
				t.Errorf("%s: got the lines %q, want both issuers", iss, logged)
			}
		}
		if got := bothways.Verdict(t, handler, sign(nil)); got != "401 wrong_issuer" {
			t.Errorf("no iss: got %s, want 401 wrong_issuer", got)
		}
		beside, _ := e.Middleware(t, trusted.With(options{"signingSecret": minted.Secret}))
		if got := bothways.Verdict(t, beside, minted.Token(t, minted.Valid().With(claims{"aud": "api"}))); got != "served" {
			t.Errorf("a token of the operator's own: got %s, want served", got)
		}
	})
}

// A trusted issuer without a name is one more jwksUrl.
func TestTrustedWithoutName(t *testing.T) {
	first, second := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		one, two := minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, first))), minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, second)))
		handler, _ := e.Middleware(t, options{"jwksUrl": one.URL, "trustedIssuers": []any{map[string]any{"jwksUrl": two.URL}}, "audience": []any{"api"}})
		for name, key := range map[string]any{"jwksUrl's": first, "the nameless issuer's": second} {
			if got := bothways.Verdict(t, handler, minted.Signed(t, key, claims{"alg": "ES256"}, minted.Valid().With(claims{"aud": "api", "iss": "anybody"}))); got != "served" {
				t.Errorf("%s: got %s, want served", name, got)
			}
		}
		if got := bothways.Verdict(t, handler, minted.Signed(t, minted.Key(t, "P-384"), claims{"alg": "ES384"}, minted.Valid().With(claims{"aud": "api"}))); got != "401 wrong_algorithm" {
			t.Errorf("a stranger's: got %s, want 401 wrong_algorithm", got)
		}
	})
}

// TestBearerOfEndpoint has a key endpoint that wants a bearer token, as Kubernetes' does: it goes to that endpoint alone.
func TestBearerOfEndpoint(t *testing.T) {
	key := minted.Key(t, "P-256")
	set := minted.JWKSet(t, minted.PublicJWK(t, key))
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var stolen []string
		elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			stolen = append(stolen, req.Header["Authorization"]...)
			_, _ = io.WriteString(rw, set)
		}))
		defer elsewhere.Close()
		var server *minted.KeyServer
		server = minted.NewKeyServer(t, func(rw http.ResponseWriter, req *http.Request) {
			switch {
			case req.Header.Get("Authorization") != "Bearer sa-token" && req.URL.Path != "/redirected":
				rw.WriteHeader(http.StatusUnauthorized)
			case req.URL.Path == "/redirects":
				http.Redirect(rw, req, "/redirected", http.StatusFound)
			case req.URL.Path == "/redirected":
				stolen = append(stolen, req.Header["Authorization"]...)
				_, _ = io.WriteString(rw, set)
			case strings.HasSuffix(req.URL.Path, "/openid-configuration"):
				_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": server.URL, "jwks_uri": elsewhere.URL + "/keys"})
			default:
				_, _ = io.WriteString(rw, set)
			}
		})
		server.Start()
		file := writeFile(t, filepath.Join(t.TempDir(), "token"), "sa-token\n")
		tests := []struct {
			name, issuer, url, bearer, want string
		}{
			{"content", "https://k8s.example", "/openid/v1/jwks", "sa-token", "served"},
			{"a file", "https://k8s.example", "/openid/v1/jwks", file, "served"},
			{"none", "https://k8s.example", "/openid/v1/jwks", "", "503 keys_unavailable"},
			{"another", "https://k8s.example", "/openid/v1/jwks", "other", "503 keys_unavailable"},
			{"a missing file", "https://k8s.example", "/openid/v1/jwks", file + "x", "503 keys_unavailable"},
			{"a redirect", "https://k8s.example", "/redirects", "sa-token", "served"},
			{"a discovery that leads elsewhere", server.URL, "", "sa-token", "served"},
		}
		for _, test := range tests {
			trusted := map[string]any{"issuer": test.issuer, "bearerToken": test.bearer}
			if test.url != "" {
				trusted["jwksUrl"] = server.URL + test.url
			}
			handler, _ := e.Middleware(t, options{"trustedIssuers": []any{trusted}, "audience": []any{"api"}, "clientConfig": map[string]any{"maxRetries": 0}})
			logged := strings.Join(e.Logged(t, func() {
				token := minted.Signed(t, key, claims{"alg": "ES256"}, minted.Valid().With(claims{"aud": "api", "iss": test.issuer}))
				if got := bothways.Verdict(t, handler, token); got != test.want {
					t.Errorf("%s: got %s, want %s", test.name, got, test.want)
				}
			}), "\n")
			if strings.Contains(logged, "sa-token") {
				t.Errorf("%s: the token is in the log: %q", test.name, logged)
			}
		}
		if len(stolen) > 0 {
			t.Errorf("got the token behind a redirect or at another host: %q", stolen)
		}
	})
}

// A renewed token has the presented one's header while the key that signs is the one that verified it.
func TestRenewedHeaderStays(t *testing.T) {
	key := minted.Key(t, "RSA")
	pem := minted.PEM(t, "PKCS8", key)
	other := minted.PrivateJWK(t, minted.Key(t, "Ed25519")).With(jwk{"kid": "next"})
	tests := []struct {
		name   string
		o      options
		header claims
		want   claims
	}{
		{"alg, kid and more", options{"privateKey": pem}, claims{"alg": "PS256", "kid": "login-2026", "typ": "at+jwt", "x": "y"}, claims{"alg": "PS256", "kid": "login-2026", "typ": "at+jwt", "x": "y"}},
		{"nothing but alg", options{"privateKey": pem}, claims{"alg": "RS512"}, claims{"alg": "RS512"}},
		{"another key signs", options{"jwksFile": minted.JWKSet(t, other, minted.PublicJWK(t, key).With(jwk{"kid": "old"}))}, claims{"alg": "PS256", "kid": "old", "typ": "JWT", "x": "y"}, claims{"alg": "EdDSA", "kid": "next", "typ": "JWT"}},
		{"a secret's", options{"signingSecret": minted.Secret}, claims{"alg": "HS512", "kid": "a"}, claims{"alg": "HS512", "kid": "a"}},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, test.o.With(options{"renew": map[string]any{"before": "50%"}}))
			var signer any = key
			if test.o["signingSecret"] != nil {
				signer = []byte(minted.Secret)
			}
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Signed(t, signer, test.header, minted.Due())), nil)
			renewed := strings.TrimPrefix(rec.Header().Get("Authorization"), "Bearer ")
			if renewed == "" {
				t.Errorf("%s: got no renewed token", test.name)
				continue
			}
			if got := fmt.Sprint(minted.Header(t, renewed)); got != fmt.Sprint(test.want) {
				t.Errorf("%s: got the header %s, want %v", test.name, got, test.want)
			}
			if got := bothways.Verdict(t, handler, renewed); got != "served" {
				t.Errorf("%s: the renewed token: got %s, want served", test.name, got)
			}
		}
	})
}

// A token that outlives the session is served as it is, and a line says so once.
func TestOutlivingToken(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "1h"}, "realm": distinct()})
		now := time.Now().Unix()
		logged := strings.Join(e.Logged(t, func() {
			for i := range 3 {
				token := minted.Token(t, claims{"sub": fmt.Sprint(i), "iat": now - 30*24*3600 + 600, "exp": now + 600})
				rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
				if got := bothways.Outcome(t, rec); got != "served" || rec.Header().Get("Authorization") != "" {
					t.Errorf("got %s and %q, want it served, and not renewed", got, rec.Header().Get("Authorization"))
				}
			}
		}), "\n")
		if got := strings.Count(logged, "longer than renew.maxSession"); got != 1 {
			t.Errorf("got %d lines that say so, want 1: %q", got, logged)
		}
	})
}

func TestTokenTypes(t *testing.T) {
	tests := []struct {
		types any
		typ   any
		want  string
	}{
		{[]any{"JWT", "JOSE"}, "jose", "served"},
		{[]any{"JWT", "JOSE"}, "application/JWT", "served"},
		{[]any{"JWT", "JOSE"}, "at+jwt", "401 wrong_type"},
		{[]any{"JWT", "JOSE"}, nil, "401 wrong_type"},
		{"JWT, JOSE", "JOSE", "served"},
		{"at+jwt", "JWT", "401 wrong_type"},
		{nil, nil, "served"},
		{nil, "JOSE", "401 wrong_type"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret}.With(options{"tokenType": test.types}))
			token := minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256"}.With(claims{"typ": test.typ}), minted.Valid())
			if got := bothways.Verdict(t, handler, token); got != test.want {
				t.Errorf("%v and %v: got %s, want %s", test.types, test.typ, got, test.want)
			}
		}
	})
}

// Null is absent, but for exp.
func TestNullClaims(t *testing.T) {
	null := json.RawMessage("null")
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-User-Id": "sub"}, "renew": map[string]any{"before": "50%"}})
		for _, name := range []string{"aud", "nbf", "iss", "sub", "iat", "auth_time", "jti"} {
			if got := bothways.Verdict(t, handler, minted.Token(t, minted.Due().With(claims{name: null}))); got != "served" {
				t.Errorf("%s: got %s, want served", name, got)
			}
		}
		if got := bothways.Verdict(t, handler, minted.Token(t, minted.Valid().With(claims{"exp": null}))); got != "401 malformed_claims" {
			t.Errorf("exp: got %s, want 401 malformed_claims", got)
		}
		rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, minted.Due().With(claims{"nbf": null, "sub": null}))), nil)
		if rec.Header().Get("Authorization") == "" || service.Request().Header["X-User-Id"] != nil {
			t.Errorf("got %v and %v, want it renewed, and no header", rec.Header(), service.Request().Header)
		}
		strict, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "audience": []any{"api"}, "issuer": "https://a.example"})
		for claim, want := range map[string]string{"aud": "401 wrong_audience", "iss": "401 wrong_issuer"} {
			good := minted.Valid().With(claims{"aud": "api", "iss": "https://a.example"})
			if got := bothways.Verdict(t, strict, minted.Token(t, good.With(claims{claim: null}))); got != want {
				t.Errorf("%s, which is demanded: got %s, want %s", claim, got, want)
			}
		}
	})
}

// A secret from a file of a Kubernetes Secret often ends in a line break, and so does one from an environment variable; a PEM from
// there has its line breaks written out.
func TestSecretsFromElsewhere(t *testing.T) {
	pem := minted.PEM(t, "PKCS8", minted.Key(t, "P-256"))
	public := minted.PEM(t, "PKIX", minted.Key(t, "P-256"))
	es := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Valid())
	tests := []struct {
		name  string
		o     options
		token string
	}{
		{"a line break behind a secret", options{"signingSecret": minted.Secret + "\n"}, minted.Token(t, minted.Valid())},
		{"CR LF behind a secret", options{"signingSecret": minted.Secret + "\r\n"}, minted.Token(t, minted.Valid())},
		{"line breaks written out in a private key", options{"privateKey": strings.ReplaceAll(pem, "\n", `\n`)}, es},
		{"line breaks written out in a public key", options{"publicKey": strings.ReplaceAll(public, "\n", `\n`)}, es},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, test.o)
			if got := bothways.Verdict(t, handler, test.token); got != "served" {
				t.Errorf("%s: got %s, want served", test.name, got)
			}
		}
	})
}

// TestFormats writes claims for services that read headers as Latin-1, split lists at commas, or want structure.
func TestFormats(t *testing.T) {
	tests := []struct{ form, claims, want string }{
		{"name", `"name":"Žluťoučký kůň"`, "Žluťoučký kůň"},
		{"name | json", `"name":"Žluť 😀"`, `"\u017dlu\u0165 \ud83d\ude00"`},
		{"name|json", `"name":"a\nb"`, `"a\nb"`},
		{"name | json", `"name":" a "`, `" a "`},
		{"name | json", `"name":"<&>\u007f"`, `"<&>\u007f"`},
		{"roles | json", `"roles":["a,b", "c"]`, `["a,b","c"]`},
		{"org | json", `"org":{"id": 12345678901234567890, "n":"é"}`, `{"id":12345678901234567890,"n":"\u00e9"}`},
		{"org.id | json", `"org":{"id":1.0}`, `1.0`},
		{"ok | json", `"ok":true`, `true`},
		{"name | base64url", `"name":"Žluť"`, "xb1sdcWl"},
		{"name | base64url", `"name":" a\n"`, "IGEK"},
		{"roles | base64url", `"roles":["a","b"]`, "YSxi"},
		{"name | json", `"name":null`, absent},
		{"name | json", `"name":""`, absent},
		{"roles | json", `"roles":[]`, absent},
		{"name | base64url", `"name":""`, absent},
		{"name | json", `"other":1`, absent},
		{"name | json", `"name":"` + strings.Repeat("é", 700) + `"`, absent},
		{"https://acme.example/roles | json", `"https://acme.example/roles":["x"]`, `["x"]`},
		{"https://acme.example/roles", `"https://acme.example/roles":["x","y"]`, "x,y"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-Claim": test.form}})
			token := minted.Written(`{"alg":"HS256"}`, fmt.Sprintf(`{"exp":%d,%s}`, time.Now().Unix()+600, test.claims))
			for _, when := range []string{"first", "again"} {
				if got := bothways.Verdict(t, handler, token); got != "served" {
					t.Fatalf("%s of %s: got %s, want served", test.form, test.claims, got)
				}
				if got := forwardedValue(t, service, "X-Claim"); got != test.want {
					t.Errorf("%s of %s, %s: got %q, want %q", test.form, test.claims, when, got, test.want)
				}
			}
		}
	})
}

// Traefik's access log reads the user's name from the request's URL, behind which the client's own is dropped.
func TestUsernameClaim(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		service := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		for _, on := range []bool{true, false} {
			o := options{"signingSecret": minted.Secret, "optional": true}
			if on {
				o["usernameClaim"] = "preferred_username"
			}
			handler := e.InFront(t, service, o)
			for _, test := range []struct {
				name, token, want string
			}{
				{"a name", minted.Token(t, minted.Valid().With(claims{"preferred_username": "ada"})), "ada"},
				{"a number", minted.Token(t, minted.Valid().With(claims{"preferred_username": 7})), "7"},
				{"no name", minted.Token(t, minted.Valid()), ""},
				{"a line of its own", minted.Token(t, minted.Valid().With(claims{"preferred_username": "ada\n127.0.0.1 - eve"})), ""},
				{"an empty name", minted.Token(t, minted.Valid().With(claims{"preferred_username": ""})), ""},
				{"no token", "", ""},
				{"a bad token", "x.y.z", ""},
			} {
				for _, when := range []string{"first", "again"} {
					req := httptest.NewRequest("GET", "http://eve:secret@example.com/", nil)
					if test.token != "" {
						req.Header.Set("Authorization", "Bearer "+test.token)
					}
					handler.ServeHTTP(httptest.NewRecorder(), req)
					want := test.want
					if !on {
						want = "eve"
					}
					if got := req.URL.User.Username(); got != want {
						t.Errorf("on: %t, %s, %s: got %q, want %q", on, test.name, when, got, want)
					}
				}
			}
		}
	})
}
