package slidingjwt_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// refusals are the reasons for which a request with a token is refused. Each token would be due for renewal.
var refusals = []struct {
	code      string
	options   options
	jose      string // the token's header
	claims    claims // what differs from a token that is valid
	status    int
	detail    string
	challenge string // behind the realm, and before the description
	scope     string // behind the description
	grpc      string
	clears    bool // the cookie, which can never be accepted again
}{
	{"unsupported_header", nil, `{"alg":"HS256","crit":["x"],"x":1}`, nil, 401, "the token demands an extension that is not supported", `error="invalid_token"`, "", "16", true},
	{"token_malformed", nil, `{"alg":"HS256","alg":"HS256"}`, nil, 401, "the token is malformed", `error="invalid_token"`, "", "16", true},
	{"wrong_type", nil, `{"alg":"HS256","typ":"dpop+jwt"}`, nil, 401, "the token is of another type", `error="invalid_token"`, "", "16", false},
	{"wrong_algorithm", nil, `{"alg":"none"}`, nil, 401, "the token's algorithm is not allowed", `error="invalid_token"`, "", "16", false},
	{"unknown_key", options{"signingSecret": "", "jwksFile": `{"keys":[{"kty":"oct","kid":"a","k":"` + minted.Base64(minted.Secret) + `"}]}`}, `{"alg":"HS256","kid":"b"}`, nil, 401, "the token's key is not known", `error="invalid_token"`, "", "16", false},
	{"bad_signature", options{"signingSecret": "another secret: 0123456789 0123456789"}, `{"alg":"HS256"}`, nil, 401, "the token's signature is wrong", `error="invalid_token"`, "", "16", false},
	{"malformed_claims", nil, `{"alg":"HS256"}`, claims{"sub": 1}, 401, "a claim of the token is missing or malformed", `error="invalid_token"`, "", "16", true},
	{"no_expiry", nil, `{"alg":"HS256"}`, claims{"exp": nil}, 401, "the token has no expiry", `error="invalid_token"`, "", "16", true},
	{"token_expired", nil, `{"alg":"HS256"}`, claims{"exp": 1000}, 401, "the token has expired", `error="invalid_token"`, "", "16", true},
	{"token_not_yet_valid", nil, `{"alg":"HS256"}`, claims{"nbf": 9000000000}, 401, "the token is not valid yet", `error="invalid_token"`, "", "16", false},
	{"issued_in_future", nil, `{"alg":"HS256"}`, claims{"iat": 9000000000}, 401, "the token was issued in the future", `error="invalid_token"`, "", "16", false},
	{"wrong_issuer", options{"issuer": "https://auth.example"}, `{"alg":"HS256"}`, claims{"iss": "https://evil.example"}, 401, "the token is from another issuer", `error="invalid_token"`, "", "16", false},
	{"wrong_audience", options{"audience": []string{"api"}}, `{"alg":"HS256"}`, claims{"aud": "other"}, 401, "the token is for another audience", `error="invalid_token"`, "", "16", false},
	{"bound_token", nil, `{"alg":"HS256"}`, claims{"cnf": map[string]any{"jkt": "x"}}, 401, "the token is bound to a key whose proof is not checked here", `error="invalid_token"`, "", "16", true},
	{"insufficient_scope", options{"scopes": []string{"read", "write"}}, `{"alg":"HS256"}`, claims{"scope": "read"}, 403, "the token lacks a scope", `error="insufficient_scope"`, `scope="read write"`, "7", false},
	{"claims_not_sufficient", options{"claims": "Equals(`sub`, `grace`)"}, `{"alg":"HS256"}`, nil, 403, "the token's claims do not suffice", `error="insufficient_scope"`, "", "7", false},
	{"keys_unavailable", options{"signingSecret": "./missing/secret"}, `{"alg":"HS256"}`, nil, 503, "the keys to check the token are not available", "", "", "14", false},
}

var refuseOptions = options{
	"signingSecret": minted.Secret, "tokenKey": "access_token", "realm": "my API", "renew": map[string]any{"before": "99%"},
	"cookie": map[string]any{"name": "session", "domain": "example.com", "path": "/app", "sameSite": "Strict", "httpOnly": false},
}

const clearedCookie = "session=; Path=/app; Domain=example.com; Max-Age=0; Secure; SameSite=Strict"

func TestRefusals(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, r := range refusals {
			t.Run(r.code, func(t *testing.T) {
				handler, service := e.Middleware(t, refuseOptions.With(r.options))
				text := minted.HS256(minted.Base64(r.jose) + "." + minted.Segment(t, minted.Due().With(r.claims)))
				common := http.Header{"Cache-Control": {"no-store"}}
				if r.status == 503 {
					common["Retry-After"] = []string{"1"}
				}
				plain := common.Clone()
				plain["Content-Type"] = []string{"application/problem+json"}
				if r.challenge != "" {
					challenge := `Bearer realm="my API", ` + r.challenge + `, error_description="` + r.detail + `"`
					if r.scope != "" {
						challenge += ", " + r.scope
					}
					plain["Www-Authenticate"] = []string{challenge}
				}
				for _, way := range []struct {
					name, method, target string
					sent                 http.Header
					isCookie             bool
				}{
					{"header", "GET", "/", bothways.Bearer(text), false},
					{"header again", "GET", "/", bothways.Bearer(text), false},
					{"header of a POST", "POST", "/", bothways.Bearer(text), false},
					{"header of a HEAD", "HEAD", "/", bothways.Bearer(text), false},
					{"cookie", "GET", "/", http.Header{"Cookie": {"a=1; session=" + text}}, true},
					{"cookie of a HEAD", "HEAD", "/", http.Header{"Cookie": {"session=" + text}}, true},
					{"cookie from another site", "GET", "/", http.Header{"Cookie": {"session=" + text}, "Sec-Fetch-Site": {"cross-site"}}, true},
					{"cookie twice", "GET", "/", http.Header{"Cookie": {"session=" + text + "; session=" + text}}, true},
					{"cookie and header", "GET", "/", http.Header{"Authorization": {"Bearer " + text}, "Cookie": {"session=" + text}}, true},
					{"query", "GET", "/?access_token=" + text, nil, false},
				} {
					t.Run(way.name, func(t *testing.T) {
						want := plain.Clone()
						if way.isCookie && r.clears {
							want["Set-Cookie"] = []string{clearedCookie}
						}
						rec := bothways.Send(t, handler, way.method, way.target, way.sent, nil)
						length, err := strconv.Atoi(rec.Header().Get("Content-Length"))
						if err != nil || length < 50 {
							t.Errorf("got Content-Length %d, want the body's", length)
						}
						want["Content-Length"] = []string{strconv.Itoa(length)}
						checkResponse(t, rec, r.status, want)
						if way.method == "HEAD" {
							if rec.Body.Len() > 0 {
								t.Errorf("got the body %q, want none", rec.Body)
							}
							return
						}
						checkProblem(t, rec.Body.String(), r.status, r.code, r.detail)
						if rec.Body.Len() != length {
							t.Errorf("got %d bytes, want %d", rec.Body.Len(), length)
						}
					})
				}
				for _, kind := range []string{"application/grpc", "application/grpc+proto", "application/grpc+json"} {
					t.Run(kind, func(t *testing.T) {
						want := common.Clone()
						want["Content-Type"] = []string{"application/grpc"}
						want["Grpc-Status"] = []string{r.grpc}
						want["Grpc-Message"] = []string{url.PathEscape(r.code + ": " + r.detail)}
						sent := bothways.Bearer(text)
						sent["Te"] = []string{"trailers"}
						rec := bothways.Call(t, handler, kind, "/pkg.Service/Call", sent)
						checkResponse(t, rec, 200, want)
						if rec.Body.Len() > 0 {
							t.Errorf("got the body %q, want none", rec.Body)
						}
					})
				}
				if service.Calls() > 0 {
					t.Error("the service was called")
				}
			})
		}
	})
}

// What is refused for the request's form, before any token is looked at.
func TestRefusedForms(t *testing.T) {
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	tests := []struct {
		code      string
		method    string
		sent      http.Header
		body      io.Reader
		status    int
		detail    string
		challenge string
		cookie    string
	}{
		{"token_missing", "GET", nil, nil, 401, "no token was sent", `Bearer realm="my API"`, ""},
		{"token_missing", "GET", http.Header{"Cookie": {"session="}}, nil, 401, "no token was sent", `Bearer realm="my API"`, ""},
		{"malformed_authorization", "GET", bothways.Bearer(""), nil, 400, "the header with the token is malformed", `Bearer realm="my API", error="invalid_request", error_description="the header with the token is malformed"`, ""},
		{"multiple_tokens", "GET", http.Header{"Cookie": {"session=a; session=b"}}, nil, 400, "more than one token was sent", `Bearer realm="my API", error="invalid_request", error_description="more than one token was sent"`, ""},
		{"token_too_long", "GET", bothways.Bearer(strings.Repeat("x", 8193)), nil, 400, "the token is longer than 8 KiB", `Bearer realm="my API", error="invalid_request", error_description="the token is longer than 8 KiB"`, ""},
		{"token_too_long", "GET", http.Header{"Cookie": {"session=" + strings.Repeat("x", 8193)}}, nil, 400, "the token is longer than 8 KiB", `Bearer realm="my API", error="invalid_request", error_description="the token is longer than 8 KiB"`, clearedCookie},
		{"malformed_form", "POST", form, failingReader{}, 400, "the form could not be read", `Bearer realm="my API", error="invalid_request", error_description="the form could not be read"`, ""},
		{"cross_site", "POST", http.Header{"Cookie": {"session=DUE"}, "Sec-Fetch-Site": {"cross-site"}}, nil, 403, "the request comes from another site", "", ""},
		{"cross_site", "POST", http.Header{"Cookie": {"session=bad"}, "Sec-Fetch-Site": {"cross-site"}}, nil, 403, "the request comes from another site", "", ""},
		{"token_malformed", "GET", http.Header{"Cookie": {"session=bad"}}, nil, 401, "the token is malformed", `Bearer realm="my API", error="invalid_token", error_description="the token is malformed"`, clearedCookie},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, refuseOptions)
		due := minted.Token(t, minted.Due())
		for _, test := range tests {
			t.Run(test.code, func(t *testing.T) {
				sent := test.sent.Clone()
				for _, cookie := range sent["Cookie"] {
					sent["Cookie"] = []string{strings.ReplaceAll(cookie, "DUE", due)}
				}
				rec := bothways.Send(t, handler, test.method, "/", sent, test.body)
				want := http.Header{
					"Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"}, "Content-Length": {strconv.Itoa(rec.Body.Len())},
				}
				if test.challenge != "" {
					want["Www-Authenticate"] = []string{test.challenge}
				}
				if test.cookie != "" {
					want["Set-Cookie"] = []string{test.cookie}
				}
				checkResponse(t, rec, test.status, want)
				checkProblem(t, rec.Body.String(), test.status, test.code, test.detail)

				if test.method == "POST" {
					return
				}
				rec = bothways.Call(t, handler, "application/grpc", "/", sent)
				want = http.Header{
					"Cache-Control": {"no-store"}, "Content-Type": {"application/grpc"},
					"Grpc-Status": {"16"}, "Grpc-Message": {url.PathEscape(test.code + ": " + test.detail)},
				}
				if test.cookie != "" {
					want["Set-Cookie"] = []string{test.cookie}
				}
				checkResponse(t, rec, 200, want)
			})
		}
	})
}

// Not every type that starts so is gRPC.
func TestRefusalIsNotGRPC(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		for _, kind := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpcx", "text/plain", "application/json", ""} {
			rec := bothways.Send(t, handler, "POST", "/", http.Header{"Content-Type": {kind}}, strings.NewReader("x"))
			if got, want := bothways.Outcome(t, rec), "401 token_missing"; got != want {
				t.Errorf("%q: got %s, want %s", kind, got, want)
			}
		}
	})
}

// The attributes of the cookie that clears another are the same: a browser keeps the other if they differ.
func TestRefusedCookieIsCleared(t *testing.T) {
	tests := []struct {
		cookie map[string]any
		want   string
	}{
		{map[string]any{"name": "session"}, "session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"},
		{map[string]any{"name": "session", "sessionOnly": true}, "session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"},
		{map[string]any{"name": "__Host-s", "sameSite": "strict"}, "__Host-s=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"},
		{map[string]any{"name": "s", "sameSite": "none"}, "s=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None"},
		{map[string]any{"name": "s", "secure": false, "httpOnly": false, "path": "/a", "domain": "a.example"}, "s=; Path=/a; Domain=a.example; Max-Age=0; SameSite=Lax"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": test.cookie})
			rec := httptest.NewRecorder()
			rec.Header()["Set-Cookie"] = []string{"other=1"}
			req := httptest.NewRequest("GET", "/", nil)
			req.Header["Cookie"] = []string{fmt.Sprint(test.cookie["name"]) + "=" + minted.Token(t, claims{"exp": 1000})}
			handler.ServeHTTP(rec, req)
			if got, want := rec.Header()["Set-Cookie"], []string{"other=1", test.want}; !reflect.DeepEqual(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

// A token that leeway no longer covers is cleared, whether it is remembered or not; one that it covers is served.
func TestRefusedWhenLeewayEnds(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		now := time.Now().Unix()
		for _, test := range []struct {
			exp  int64
			want string
		}{{now - 20, "401 token_expired"}, {now - 10, "401 token_expired"}, {now, "served"}, {now + 60, "served"}} {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "leeway": "10s", "cookie": map[string]any{"name": "session"}})
			text := minted.Token(t, claims{"exp": test.exp})
			for range [2]int{} {
				rec := bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {"session=" + text}}, nil)
				if got := bothways.Outcome(t, rec); got != test.want {
					t.Errorf("exp now%+d: got %s, want %s", test.exp-now, got, test.want)
				}
				if isCleared := len(rec.Header()["Set-Cookie"]) > 0; isCleared != (test.want != "served") {
					t.Errorf("exp now%+d: cleared: got %t", test.exp-now, isCleared)
				}
			}
		}
	})
}

func TestRefusalIsLogged(t *testing.T) {
	long := strings.Repeat("x", 500)
	tests := []struct {
		name   string
		method string
		target string
		sent   lines
		remote string
		want   string
	}{
		{"no token", "GET", "/a", nil, "192.0.2.7:1234", `refused token_missing: middleware "jwt@file", from "192.0.2.7:1234", "GET /a"`},
		{"HEAD", "HEAD", "/a", nil, "192.0.2.7:1234", `refused token_missing: middleware "jwt@file", from "192.0.2.7:1234", "HEAD /a"`},
		{"IPv6", "GET", "/", nil, "[2001:db8::1]:1234", `refused token_missing: middleware "jwt@file", from "[2001:db8::1]:1234", "GET /"`},
		{"gRPC", "POST", "/a.B/C", lines{"Content-Type: application/grpc"}, "192.0.2.7:1234", `refused token_missing: middleware "jwt@file", from "192.0.2.7:1234", "POST /a.B/C"`},
		{"header", "GET", "/", lines{"Authorization: Bearer EXPIRED"}, "192.0.2.7:1234", `refused token_expired: middleware "jwt@file", from "192.0.2.7:1234", "GET /"`},
		{"bad signature", "GET", "/", lines{"Authorization: Bearer FORGED"}, "192.0.2.7:1234", `refused bad_signature: middleware "jwt@file", from "192.0.2.7:1234", "GET /"`},
		{"cookie", "GET", "/", lines{"Cookie: session=EXPIRED"}, "192.0.2.7:1234", `refused token_expired: middleware "jwt@file", from "192.0.2.7:1234", "GET /"`},
		{"query", "GET", "/a?access_token=EXPIRED", nil, "192.0.2.7:1234", `refused token_expired: middleware "jwt@file", from "192.0.2.7:1234", "GET /a"`},
		{"two tokens", "GET", "/?access_token=EXPIRED", lines{"Authorization: Bearer FORGED"}, "192.0.2.7:1234", `refused multiple_tokens: middleware "jwt@file", from "192.0.2.7:1234", "GET /"`},
		{"claims", "GET", "/", lines{"Authorization: Bearer GOOD"}, "192.0.2.7:1234", `refused claims_not_sufficient: middleware "jwt@file", from "192.0.2.7:1234", "GET /"`},
		{"a line of one's own", "GET", "/%0aslidingjwt:%20refused%0d%1b%22", nil, "192.0.2.7:1234", `refused token_missing: middleware "jwt@file", from "192.0.2.7:1234", "GET /\nslidingjwt: refused\r\x1b\""`},
		{"beyond ASCII", "GET", "/%c3%a9%e2%80%a8%ff", nil, "192.0.2.7:1234", `refused token_missing: middleware "jwt@file", from "192.0.2.7:1234", "GET /\u00e9\u2028\xff"`},
		{"long path", "GET", "/" + long, nil, "192.0.2.7:1234", `refused token_missing: middleware "jwt@file", from "192.0.2.7:1234", "GET /` + long[:195] + `"`},
		{"long address", "GET", "/", nil, long, `refused token_missing: middleware "jwt@file", from "` + long[:200] + `", "GET /"`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, sourceOptions.With(options{"claims": "Equals(`sub`, `grace`)"}))
		good := minted.Token(t, minted.Valid())
		placeholders := []string{"GOOD", good, "EXPIRED", minted.Token(t, claims{"exp": 1000}), "FORGED", good[:len(good)-8] + "AAAAAAAA"}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for range [2]int{} {
					req := httptest.NewRequest(test.method, strings.NewReplacer(placeholders...).Replace(test.target), nil)
					req.Header = test.sent.Header(placeholders...)
					req.RemoteAddr = test.remote
					got := e.Logged(t, func() { handler.ServeHTTP(httptest.NewRecorder(), req) })
					// A line break in it would have made it two, and the second is looked at as well.
					if len(got) != 1 || got[0] != test.want {
						t.Errorf("got\n%q, want\n%q and nothing more", got, test.want)
					}
				}
			})
		}
	})
}

func TestMiddlewareNameInLog(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, name := range []string{"a@docker", "b\"\n@file"} {
			handler, err := e.New(context.Background(), &bothways.Spy{}, options{"signingSecret": minted.Secret}, name)
			if err != nil {
				t.Fatal(err)
			}
			got := e.Logged(t, func() { bothways.Send(t, handler, "GET", "/", nil, nil) })
			want := "refused token_missing: middleware " + strconv.Quote(name) + `, from "192.0.2.1:1234", "GET /"`
			if len(got) != 1 || got[0] != want {
				t.Errorf("got %q, want %q and nothing more", got, want)
			}
		}
	})
}

// What is served is not logged, and neither is what passes without a token.
func TestServedIsNotLogged(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "optional": true, "renew": map[string]any{"before": "99%"}})
		preflight := http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"PUT"}}
		got := e.Logged(t, func() {
			bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, minted.Valid())), nil)
			bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, minted.Due())), nil)
			bothways.Send(t, handler, "GET", "/", nil, nil)
			bothways.Send(t, handler, "OPTIONS", "/", preflight, nil)
		})
		if len(got) > 0 || service.Calls() != 4 {
			t.Errorf("got %q and %d calls, want no line and 4", got, service.Calls())
		}
	})
}

// Neither a token nor a secret is ever logged, or told to a client.
func TestNothingSecretIsTold(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, refuseOptions.With(options{"jwksFile": filepath.Join(t.TempDir(), "missing.json")}))
		var told strings.Builder
		text := minted.Token(t, minted.Due().With(claims{"sub": "who-is-secret"}))
		logged := e.Logged(t, func() {
			for _, bad := range []string{text[:len(text)-6] + "AAAAAA", text + ".x", text + "=", strings.Replace(text, ".", "..", 1), text[1:]} {
				for _, sent := range []http.Header{bothways.Bearer(bad), bothways.Bearer(bad + " " + bad), {"Cookie": {"session=" + bad}}, {"Authorization": {"Bearer " + bad, bad}}} {
					rec := bothways.Send(t, handler, "GET", "/", sent, nil)
					_, _ = fmt.Fprint(&told, rec.Code, rec.Header(), rec.Body)
				}
				rec := bothways.Send(t, handler, "GET", "/?access_token="+bad, nil, nil)
				_, _ = fmt.Fprint(&told, rec.Code, rec.Header(), rec.Body)
			}
		})
		parts := strings.Split(text, ".")
		for _, private := range []string{parts[1][:20], parts[2][:20], "who-is-secret", minted.Secret[:20]} {
			if strings.Contains(strings.Join(logged, "\n"), private) {
				t.Errorf("%q was logged", private)
			}
			if strings.Contains(told.String(), private) {
				t.Errorf("%q was told", private)
			}
		}
		if len(logged) != 25 {
			t.Errorf("got %d lines, want 25", len(logged))
		}
	})
}

// Over the network: a gRPC answer is its headers alone, and a HEAD's says how long a GET's would be.
func TestRefusalOverTheNetwork(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		for _, test := range []struct {
			method, kind string
			status       int
			grpc         string
			body         bool
		}{
			{"POST", "application/grpc", 200, "16", false},
			{"HEAD", "", 401, "", false},
			{"GET", "", 401, "", true},
		} {
			req, err := http.NewRequest(test.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.kind)
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			_ = resp.Body.Close()
			if resp.ProtoMajor != 2 || resp.StatusCode != test.status || resp.Header.Get("Grpc-Status") != test.grpc || len(body) > 0 != test.body || len(resp.Trailer) > 0 {
				t.Errorf("%s %s: got %s %d, %v, %d bytes and %v", test.method, test.kind, resp.Proto, resp.StatusCode, resp.Header, len(body), resp.Trailer)
			}
			if test.kind == "" && resp.ContentLength < 50 {
				t.Errorf("%s: got Content-Length %d, want the problem's", test.method, resp.ContentLength)
			}
		}
	})
}
