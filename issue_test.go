package slidingjwt_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// answer is what a client gets.
type answer struct {
	status          int
	header, trailer http.Header
	hints           []http.Header // of 1xx responses
	body            string
}

// login is a login service behind an issuing middleware.
type login struct {
	gateway *httptest.Server
	seen    http.Header // by the service, the last time
	trailer http.Header
}

// logins are the ways in which a login service is behind the middleware: called by it, and through a reverse proxy as
// in Traefik, with either protocol.
func logins(t *testing.T, e bothways.Engine, o options, service http.HandlerFunc, test func(t *testing.T, l *login)) {
	t.Helper()
	for _, way := range []string{"called", "proxied", "proxied from HTTP2"} {
		t.Run(way, func(t *testing.T) {
			l := &login{}
			var next http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				l.seen, l.trailer = req.Header, req.Trailer
				service(rw, req)
			})
			if way != "called" {
				backend := httptest.NewServer(next)
				defer backend.Close()
				address, err := url.Parse(backend.URL)
				if err != nil {
					t.Fatal(err)
				}
				next = httputil.NewSingleHostReverseProxy(address)
			}
			handler, err := e.New(context.Background(), next, o, "login@file")
			if err != nil {
				t.Fatal(err)
			}
			l.gateway = httptest.NewUnstartedServer(handler)
			if way == "proxied from HTTP2" {
				l.gateway.EnableHTTP2 = true
				l.gateway.StartTLS()
			} else {
				l.gateway.Start()
			}
			defer l.gateway.Close()
			test(t, l)
		})
	}
}

// send sends a request and reads all of the response. No spelling of the claims header is anywhere in it.
func (l *login) send(t testing.TB, method string, sent http.Header) answer {
	t.Helper()
	var a answer
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { a.hints = append(a.hints, http.Header(h)); return nil },
	})
	req, err := http.NewRequestWithContext(ctx, method, l.gateway.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range sent {
		req.Header[name] = values
	}
	resp, err := l.gateway.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("the body: %v", err)
	}
	_ = resp.Body.Close()
	a.status, a.header, a.trailer, a.body = resp.StatusCode, resp.Header, resp.Trailer, string(body)
	delete(a.header, "Date")
	for _, h := range append(a.hints, a.header, a.trailer) {
		for name := range h {
			if isClaimsHeader(name) {
				t.Errorf("the client got %s: %q", name, h[name])
			}
		}
	}
	return a
}

func (l *login) isHTTP2() bool { return l.gateway.EnableHTTP2 }

func isClaimsHeader(name string) bool {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)) == "x-issue-claims"
}

// issued is the token of an answer, by header or cookie; empty: none.
func issued(t testing.TB, a answer) string {
	t.Helper()
	text := strings.TrimPrefix(a.header.Get("Authorization"), "Bearer ")
	for _, cookie := range a.header["Set-Cookie"] {
		if value, isOurs := strings.CutPrefix(cookie, "session="); isOurs {
			if text != "" {
				t.Error("got two tokens")
			}
			text, _, _ = strings.Cut(value, ";")
		}
	}
	return text
}

var issueOptions = options{
	"signingSecret": minted.Secret, "issuer": "https://login.example", "audience": []string{"api", "web"},
	"issue": map[string]any{"header": "X-Issue-Claims", "lifetime": "10m"},
}

func TestIssuedClaims(t *testing.T) {
	const added = `"aud":["api","web"],"auth_time":NOW,"exp":EXP,"iat":NOW,"iss":"https://login.example","jti":"ID","sid":"SID"`
	tests := []struct {
		name    string
		options options
		claims  string
		jose    string
		want    string // the claims in the order of their names
		expires float64
	}{
		{"a subject", nil, `{"sub":"ada"}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `,"sub":"ada"}`, 600},
		{"nothing", nil, `{}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `}`, 600},
		{"white space", nil, ` { "sub" : "ada" } `, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `,"sub":"ada"}`, 600},
		{"claims that the gateway sets", nil, `{"iss":"https://evil.example","iat":1,"exp":9999999999,"jti":"mine","sid":"mine","auth_time":9999999999,"sub":"ada"}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `,"sub":"ada"}`, 600},
		{"claims that the gateway sets, of other types", nil, `{"iss":1,"iat":"x","exp":null,"jti":[],"sid":1,"auth_time":{}}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `}`, 600},
		{"an escaped name of a claim that the gateway sets", nil, `{"\u0065xp":9999999999}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `}`, 600},
		{"an aud of the service", nil, `{"aud":"api"}`, `{"alg":"HS256","typ":"JWT"}`, `{"aud":"api",` + strings.TrimPrefix(added, `"aud":["api","web"],`) + `}`, 600},
		{"a list of aud of the service", nil, `{"aud":["web","other"]}`, `{"alg":"HS256","typ":"JWT"}`, `{"aud":["web","other"],` + strings.TrimPrefix(added, `"aud":["api","web"],`) + `}`, 600},
		{"numbers and nested claims", nil, `{"z":{"n":9007199254740993,"f":1.50},"y":[true,null,"é"]}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `,"y":[true,null,"é"],"z":{"f":1.50,"n":9007199254740993}}`, 600},
		{"no issuer and audience", options{"issuer": "", "audience": nil}, `{"sub":"ada","iss":"https://evil.example"}`, `{"alg":"HS256","typ":"JWT"}`, `{"auth_time":NOW,"exp":EXP,"iat":NOW,"jti":"ID","sid":"SID","sub":"ada"}`, 600},
		{"token type", options{"tokenType": "session+jwt"}, `{}`, `{"alg":"HS256","typ":"session+jwt"}`, `{` + added + `}`, 600},
		{"algorithm", options{"algorithms": []string{"HS512"}}, `{}`, `{"alg":"HS512","typ":"JWT"}`, `{` + added + `}`, 600},
		{"lifetime by default", options{"issue": map[string]any{"header": "X-Issue-Claims"}}, `{}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `}`, 900},
		{"lifetime beyond the session", options{"renew": map[string]any{"maxSession": "5m"}}, `{}`, `{"alg":"HS256","typ":"JWT"}`, `{` + added + `}`, 300},
		{"private key", options{"privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "P-256"))}, `{}`, `{"alg":"ES256","kid":"` + minted.Thumbprint(t, minted.Key(t, "P-256")) + `","typ":"JWT"}`, `{` + added + `}`, 600},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				o := issueOptions.With(test.options)
				guard, guarded := e.Middleware(t, o.With(options{"issue": nil, "renew": nil, "forwardHeaders": map[string]any{"X-Jti": "jti"}}))
				ids := map[string]bool{}
				logins(t, e, o, func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("X-Issue-Claims", test.claims)
					_, _ = io.WriteString(rw, "welcome")
				}, func(t *testing.T, l *login) {
					now := time.Now().Unix()
					a := l.send(t, "POST", nil)
					text := issued(t, a)
					if a.status != 200 || a.body != "welcome" || text == "" {
						t.Fatalf("got %d %s and %q, want 200 and a token", a.status, a.body, text)
					}
					parts := strings.Split(text, ".")
					jose, err := base64.RawURLEncoding.DecodeString(parts[0])
					if err != nil || string(jose) != test.jose {
						t.Errorf("got the header %s, want %s", jose, test.jose)
					}
					got, err := base64.RawURLEncoding.DecodeString(parts[1])
					if err != nil {
						t.Fatal(err)
					}
					c := minted.Payload(t, text)
					iat, _ := c["iat"].(float64)
					id, _ := c["jti"].(string)
					sid, _ := c["sid"].(string)
					if !near(iat-float64(now), 0) || len(id) != 22 || len(sid) != 22 || id == sid || ids[id] || ids[sid] {
						t.Errorf("got %s at %d, want a new jti and sid, issued now", got, now)
					}
					ids[id], ids[sid] = true, true
					want := strings.NewReplacer("NOW", fmt.Sprint(int64(iat)), "EXP", fmt.Sprint(int64(iat+test.expires)), "SID", sid, "ID", id).Replace(test.want)
					if string(got) != want {
						t.Errorf("got\n%s, want\n%s", got, want)
					}
					if rec := bothways.Send(t, guard, "GET", "/", bothways.Bearer(text), nil); rec.Code != 200 || guarded.Request().Header.Get("X-Jti") != id {
						t.Errorf("the issued token: got %d %s, want 200", rec.Code, rec.Body)
					}
				})
			})
		}
	})
}

// The token goes into the cookie if there is one, else into a header, with what tells the client how long it lasts.
func TestIssuedTokenGoesBack(t *testing.T) {
	const (
		expires = "Token-Expires-In: LIFE"
		session = "Session-Expires-In: SESSION"
		noStore = "Cache-Control: no-store"
		cdn     = "Cdn-Cache-Control: no-store"
		service = "X-Service: 1"
		cookie  = "Set-Cookie: theirs=1"
		length  = "Content-Length: 7"
		kind    = "Content-Type: text/plain; charset=utf-8"
		names   = "Token-Expires-In, Session-Expires-In"
	)
	tests := []struct {
		name    string
		options options
		sent    http.Header
		want    lines
	}{
		{"header", nil, nil, lines{"Authorization: Bearer NEW", expires, session, noStore}},
		{"another header", options{"renew": map[string]any{"header": "X-Token"}}, nil, lines{"X-Token: NEW", expires, session, noStore}},
		{"header with Origin", nil, http.Header{"Origin": {"https://a.example"}}, lines{"Authorization: Bearer NEW", expires, session, noStore, "Access-Control-Expose-Headers: Authorization, " + names}},
		{"cookie", options{"cookie": map[string]any{"name": "session"}}, nil, lines{"Set-Cookie: session=NEW; Path=/; Max-Age=LIFE; HttpOnly; Secure; SameSite=Lax", cdn, expires, session, noStore}},
		{"cookie of the browser's session", options{"cookie": map[string]any{"name": "__Host-s", "sessionOnly": true, "sameSite": "strict"}}, nil, lines{"Set-Cookie: __Host-s=NEW; Path=/; HttpOnly; Secure; SameSite=Strict", cdn, expires, session, noStore}},
		{"cookie with Origin", options{"cookie": map[string]any{"name": "session", "path": "/a", "domain": "a.example"}}, http.Header{"Origin": {"https://a.example"}}, lines{"Set-Cookie: session=NEW; Path=/a; Domain=a.example; Max-Age=LIFE; HttpOnly; Secure; SameSite=Lax", cdn, expires, session, noStore, "Access-Control-Expose-Headers: " + names}},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				// In described, a token lasts an hour, and its session between 79,999 and 80,020 seconds.
				renew := map[string]any{"maxSession": "80000"}
				if header, ok := test.options["renew"].(map[string]any); ok {
					renew["header"] = header["header"]
				}
				o := options{"signingSecret": minted.Secret, "issue": map[string]any{"header": "X-Issue-Claims", "lifetime": "1h"}}.With(test.options).With(options{"renew": renew})
				guard, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
				logins(t, e, o, func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("X-Issue-Claims", `{"sub":"ada"}`)
					rw.Header().Set("X-Service", "1")
					rw.Header().Set("Set-Cookie", "theirs=1")
					_, _ = io.WriteString(rw, "welcome")
				}, func(t *testing.T, l *login) {
					a := l.send(t, "POST", test.sent)
					if got, want := sorted(described(t, guard, a.header)), sorted(append(lines{service, cookie, length, kind}, test.want...)); got != want {
						t.Errorf("got\n%s\nwant\n%s\nand nothing more", got, want)
					}
				})
			})
		}
	})
}

func TestNothingIssued(t *testing.T) {
	const claims = `{"sub":"ada"}`
	tests := []struct {
		name   string
		header lines
		status int
		body   string
	}{
		{"no claims header", nil, 200, "welcome"},
		{"no claims header on a refusal", nil, 401, "who are you?"},
		{"a header of a similar name", lines{"X-Issue-Claim: " + claims, "X-Issue-Claims-2: " + claims}, 200, "welcome"},
		{"not modified", lines{"X-Issue-Claims: " + claims}, 304, ""},
		{"bad request", lines{"X-Issue-Claims: " + claims}, 400, "what?"},
		{"wrong password", lines{"X-Issue-Claims: " + claims, "X_Issue_Claims: " + claims}, 401, "who are you?"},
		{"an error of the service, not an object", lines{"X-Issue-Claims: none"}, 500, "sorry"},
		{"an error of the service, two headers", lines{"X-Issue-Claims: " + claims, "X-Issue-Claims: " + claims}, 503, "sorry"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				logins(t, e, issueOptions.With(options{"cookie": map[string]any{"name": "session"}}), func(rw http.ResponseWriter, _ *http.Request) {
					for name, values := range test.header.Header() {
						rw.Header()[name] = values
					}
					rw.Header()["Set-Cookie"] = []string{"theirs=1"}
					rw.Header()["Cache-Control"] = []string{"private"}
					rw.WriteHeader(test.status)
					_, _ = io.WriteString(rw, test.body)
				}, func(t *testing.T, l *login) {
					a := l.send(t, "POST", http.Header{"Origin": {"https://a.example"}})
					if a.status != test.status || a.body != test.body {
						t.Errorf("got %d %q, want %d %q", a.status, a.body, test.status, test.body)
					}
					want := http.Header{"Set-Cookie": {"theirs=1"}, "Cache-Control": {"private"}}
					for name, values := range test.header.Header() {
						if !isClaimsHeader(name) {
							want[name] = values
						}
					}
					delete(a.header, "Content-Length")
					delete(a.header, "Content-Type")
					if !reflect.DeepEqual(a.header, want) {
						t.Errorf("got %v, want %v", a.header, want)
					}
				})
			})
		}
	})
}

// What cannot be issued is a 502 that says nothing of what the service said.
func TestIssuingFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	tests := []struct {
		name    string
		options options
		header  lines
	}{
		{"two headers", nil, lines{`X-Issue-Claims: {"sub":"ada"}`, `X-Issue-Claims: {"sub":"bob"}`}},
		{"two headers, the same", nil, lines{`X-Issue-Claims: {"sub":"ada"}`, `X-Issue-Claims: {"sub":"ada"}`}},
		{"two spellings", nil, lines{`X-Issue-Claims: {"sub":"ada"}`, `X_Issue_Claims: {"sub":"bob"}`}},
		{"empty", nil, lines{`X-Issue-Claims: `}},
		{"no JSON", nil, lines{`X-Issue-Claims: sub=ada`}},
		{"a list", nil, lines{`X-Issue-Claims: [{"sub":"ada"}]`}},
		{"a string", nil, lines{`X-Issue-Claims: "ada"`}},
		{"null", nil, lines{`X-Issue-Claims: null`}},
		{"cut short", nil, lines{`X-Issue-Claims: {"sub":"ada"`}},
		{"something behind it", nil, lines{`X-Issue-Claims: {"sub":"ada"} x`}},
		{"two objects", nil, lines{`X-Issue-Claims: {"sub":"ada"}{"sub":"bob"}`}},
		{"a member twice", nil, lines{`X-Issue-Claims: {"sub":"ada","sub":"bob"}`}},
		{"a member twice, escaped", nil, lines{`X-Issue-Claims: {"sub":"ada","s\u0075b":"bob"}`}},
		{"a member twice, deeper", nil, lines{`X-Issue-Claims: {"a":{"b":1,"b":2}}`}},
		{"not UTF-8", nil, lines{"X-Issue-Claims: {\"sub\":\"\xff\"}"}},
		{"nbf", nil, lines{`X-Issue-Claims: {"sub":"ada","nbf":1}`}},
		{"nbf null", nil, lines{`X-Issue-Claims: {"sub":"ada","nbf":null}`}},
		{"a subject that is no string", nil, lines{`X-Issue-Claims: {"sub":1}`}},
		{"an audience that is no string", nil, lines{`X-Issue-Claims: {"aud":[1]}`}},
		{"cnf", nil, lines{`X-Issue-Claims: {"cnf":{"jkt":"x"}}`}},
		{"over 8 KiB", nil, lines{`X-Issue-Claims: {"pad":"` + strings.Repeat("x", 6000) + `"}`}},
		{"no key", options{"signingSecret": "", "privateKey": missing}, lines{`X-Issue-Claims: {"sub":"ada"}`}},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				logins(t, e, issueOptions.With(options{"cookie": map[string]any{"name": "session"}}).With(test.options), func(rw http.ResponseWriter, req *http.Request) {
					for name, values := range test.header.Header() {
						rw.Header()[name] = values
					}
					rw.Header()["X-Service"] = []string{"1"}
					rw.Header()["Set-Cookie"] = []string{"theirs=1"}
					if req.Header.Get("X-Trailers") == "" {
						rw.Header()["Content-Length"] = []string{"12"}
						_, _ = io.WriteString(rw, "welcome, ada")
						return
					}
					rw.Header()["Trailer"] = []string{"X-Announced"}
					_, _ = io.WriteString(rw, "welcome, ada")
					_ = http.NewResponseController(rw).Flush()
					rw.Header()["X-Announced"] = []string{"1"}
					rw.Header()[http.TrailerPrefix+"X-Unannounced"] = []string{"1"}
				}, func(t *testing.T, l *login) {
					for _, sent := range []http.Header{{"X-Trailers": {"1"}, "Te": {"trailers"}}, nil} {
						var a answer
						logged := e.Logged(t, func() { a = l.send(t, "POST", sent) })
						want := http.Header{"Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"}, "Content-Length": {strconv.Itoa(len(a.body))}}
						if a.status != 502 || !reflect.DeepEqual(a.header, want) || len(a.trailer) > 0 {
							t.Errorf("got %d with the headers %v and the trailers %v, want 502 with %v", a.status, a.header, a.trailer, want)
						}
						checkProblem(t, a.body, 502, "issue_failed", "the token could not be issued")
						text := strings.Join(logged, "\n")
						if len(logged) != 2 || !strings.Contains(text, "login@file") || !strings.Contains(text, "refused issue_failed") || strings.Contains(text, "ada") {
							t.Errorf("got the lines %q, want the refusal's and its cause, without the claims", logged)
						}
					}
					grpc := l.send(t, "POST", http.Header{"Content-Type": {"application/grpc"}})
					if !l.isHTTP2() { // A gRPC call is over HTTP/2.
						return
					}
					if grpc.status != 200 || grpc.header.Get("Grpc-Status") != "14" || grpc.header.Get("X-Service") != "" || grpc.body != "" {
						t.Errorf("gRPC: got %d, %v and %q, want the status 14 alone", grpc.status, grpc.header, grpc.body)
					}
				})
			})
		}
	})
}

// The claims header reaches no client in any spelling, and no service believes that it came from the gateway.
func TestClaimsHeaderSpellings(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, spelling := range []string{"X-Issue-Claims", "x-issue-claims", "X_Issue_Claims", "X-Issue_Claims", "x.issue.claims", "X-ISSUE-CLAIMS"} {
			t.Run(spelling, func(t *testing.T) {
				logins(t, e, issueOptions, func(rw http.ResponseWriter, req *http.Request) {
					rw.Header()[spelling] = []string{`{"sub":"ada"}`}
					rw.WriteHeader(map[string]int{"POST": 200, "GET": 404}[req.Method])
				}, func(t *testing.T, l *login) {
					for method, status := range map[string]int{"POST": 200, "GET": 404} {
						a := l.send(t, method, http.Header{spelling: {`{"sub":"eve"}`}, "X-Other": {"1"}, "Authorization": {"Bearer bad"}})
						if a.status != status {
							t.Errorf("%s: got %d, want %d", method, a.status, status)
						}
						for name := range l.seen {
							if isClaimsHeader(name) {
								t.Errorf("the service got %s", name)
							}
						}
						// A token on the request is ignored.
						if l.seen.Get("X-Other") != "1" || l.seen.Get("Authorization") != "Bearer bad" {
							t.Errorf("the service got %v, want the rest as it was sent", l.seen)
						}
					}
				})
			})
		}
	})
}

// A token on the request is ignored: good, bad or double.
func TestTokenOnIssuingRoute(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		good := minted.Token(t, minted.Valid())
		logins(t, e, issueOptions.With(options{"cookie": map[string]any{"name": "session"}}), func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Issue-Claims", `{"sub":"ada"}`)
		}, func(t *testing.T, l *login) {
			for _, sent := range []http.Header{
				bothways.Bearer(good), bothways.Bearer("bad"), bothways.Bearer("bad bad"),
				{"Authorization": {"Basic eDp5"}},
				{"Cookie": {"session=" + good}},
				{"Cookie": {"session=a; session=b"}},
				{"Cookie": {"session=" + good}, "Sec-Fetch-Site": {"cross-site"}},
				{"Authorization": {"Bearer " + good}, "Cookie": {"session=other"}},
			} {
				a := l.send(t, "POST", sent)
				if a.status != 200 || minted.Payload(t, issued(t, a))["sub"] != "ada" {
					t.Errorf("%v: got %d %v, want a token for ada", sent, a.status, a.header)
				}
				for name := range sent {
					if !reflect.DeepEqual(l.seen[name], sent[name]) {
						t.Errorf("%s: the service got %q, want %q", name, l.seen[name], sent[name])
					}
				}
			}
		})
	})
}

// Claims in a 1xx response or in a trailer count for nothing and reach nobody; the rest of both does.
func TestClaimsOutsideFinalResponse(t *testing.T) {
	const forged, claims = `{"sub":"eve"}`, `{"sub":"ada"}`
	tests := []struct {
		name    string
		respond http.HandlerFunc
		sub     any // of the token; nil: none
		hints   int
		trailer string
	}{
		{"103 before the claims", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["X-Issue-Claims"] = []string{forged}
			rw.Header()["Link"] = []string{"</a.css>"}
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header()["X-Issue-Claims"] = []string{claims}
			_, _ = io.WriteString(rw, "done")
		}, "ada", 1, ""},
		{"103 alone", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["X_issue_claims"] = []string{forged}
			rw.WriteHeader(http.StatusEarlyHints)
			delete(rw.Header(), "X_issue_claims")
			_, _ = io.WriteString(rw, "done")
		}, nil, 1, ""},
		{"several 1xx", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["X-Issue-Claims"] = []string{forged}
			rw.WriteHeader(http.StatusProcessing)
			rw.Header()["X-Issue-Claims"] = []string{forged}
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header()["X-Issue-Claims"] = []string{claims}
			rw.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(rw, "done")
		}, "ada", 2, ""},
		{"announced trailer", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["Trailer"] = []string{"X-Issue-Claims, X-Other"}
			_, _ = io.WriteString(rw, "done")
			rw.Header()["X-Issue-Claims"] = []string{forged}
			rw.Header()["X-Other"] = []string{"1"}
		}, nil, 0, "1"},
		{"announced trailer of another spelling, in a line of its own", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["Trailer"] = []string{"X-Other", "X_issue_claims"}
			_, _ = io.WriteString(rw, "done")
			rw.Header()["X_issue_claims"] = []string{forged}
			rw.Header()["X-Other"] = []string{"1"}
		}, nil, 0, "1"},
		{"announced trailer behind the claims", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["Trailer"] = []string{"X-Issue-Claims"}
			rw.Header()["X-Issue-Claims"] = []string{claims}
			_, _ = io.WriteString(rw, "done")
			rw.Header()["X-Issue-Claims"] = []string{forged}
		}, "ada", 0, ""},
		{"unannounced trailer", func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, "done")
			_ = http.NewResponseController(rw).Flush() // Else it would have a length, and no trailer.
			rw.Header()[http.TrailerPrefix+"X-Issue-Claims"] = []string{forged}
			rw.Header()[http.TrailerPrefix+"X_issue_claims"] = []string{forged}
		}, nil, 0, ""},
		{"unannounced trailer behind the claims", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header()["X-Issue-Claims"] = []string{claims}
			_, _ = io.WriteString(rw, "done")
			_ = http.NewResponseController(rw).Flush()
			rw.Header()[http.TrailerPrefix+"X-Issue-Claims"] = []string{forged}
			rw.Header()[http.TrailerPrefix+"X-Other"] = []string{"1"}
		}, "ada", 0, "any"},
		{"header set behind the body", func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, "done")
			rw.Header()["X-Issue-Claims"] = []string{forged}
		}, nil, 0, ""},
		{"a second status", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusOK)
			rw.Header()["X-Issue-Claims"] = []string{forged}
			_, _ = io.WriteString(rw, "done")
		}, nil, 0, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				logins(t, e, issueOptions, test.respond, func(t *testing.T, l *login) {
					a := l.send(t, "POST", http.Header{"Te": {"trailers"}})
					if a.status/100 != 2 || a.body != "done" {
						t.Fatalf("got %d %q, want it done", a.status, a.body)
					}
					text := issued(t, a)
					if text != "" != (test.sub != nil) || text != "" && minted.Payload(t, text)["sub"] != test.sub {
						t.Errorf("got the token %q, want one for %v", text, test.sub)
					}
					if len(a.hints) != test.hints {
						t.Errorf("got the 1xx responses %v, want %d", a.hints, test.hints)
					}
					if got := a.trailer.Get("X-Other"); got != test.trailer && test.trailer != "any" {
						t.Errorf("got the trailers %v, want X-Other %q", a.trailer, test.trailer)
					}
				})
			})
		}
	})
}

// What a client claims in its own trailers reaches no service.
func TestClaimsInRequestTrailer(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, issueOptions)
		req := httptest.NewRequest("POST", "/", nil)
		req.Trailer = http.Header{"X-Issue-Claims": nil, "X_issue_claims": nil, "X-Other": nil}
		handler.ServeHTTP(httptest.NewRecorder(), req)
		if got, want := service.Request().Trailer, (http.Header{"X-Other": nil}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// Many logins at once do not get each other's tokens.
func TestIssuingAtOnce(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, issueOptions)
		service.Respond = func(rw http.ResponseWriter, req *http.Request) {
			rw.Header().Set("X-Issue-Claims", `{"sub":"`+req.URL.Path+`"}`)
			rw.WriteHeader(http.StatusNoContent)
		}
		var done sync.WaitGroup
		for i := range [50]int{} {
			done.Add(1)
			go func() {
				defer done.Done()
				path := fmt.Sprintf("/%d", i)
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, httptest.NewRequest("POST", path, nil))
				if got := minted.Payload(t, renewedToken(rec))["sub"]; got != path {
					t.Errorf("got a token for %v, want %s", got, path)
				}
			}()
		}
		done.Wait()
	})
}

func TestPublishedKeys(t *testing.T) {
	rsaKey, ec, ed, other := minted.Key(t, "RSA"), minted.Key(t, "P-256"), minted.Key(t, "Ed25519"), minted.Key(t, "P-384")
	published := func(key jwk, kid string) jwk { return key.With(jwk{"kid": kid, "use": "sig"}) }
	tests := []struct {
		name    string
		options options
		want    []jwk
	}{
		{"private key", options{"privateKey": minted.PEM(t, "PKCS8", ec)}, []jwk{published(minted.PublicJWK(t, ec), minted.Thumbprint(t, ec))}},
		{"RSA", options{"privateKey": minted.PEM(t, "PKCS1", rsaKey)}, []jwk{published(minted.PublicJWK(t, rsaKey), minted.Thumbprint(t, rsaKey))}},
		{"JWK Set", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, rsaKey).With(jwk{"kid": "a", "alg": "PS256"}), minted.PublicJWK(t, ed).With(jwk{"kid": "b"}), minted.PrivateJWK(t, ec), minted.SecretJWK(minted.Secret).With(jwk{"kid": "s"}))}, []jwk{
			published(minted.PublicJWK(t, rsaKey), "a").With(jwk{"alg": "PS256"}), published(minted.PublicJWK(t, ed), "b"), published(minted.PublicJWK(t, ec), minted.Thumbprint(t, ec)),
		}},
		{"secrets and foreign keys are left out", options{"signingSecret": minted.Secret, "privateKey": minted.PEM(t, "PKCS8", ec), "publicKey": minted.PEM(t, "PKIX", other), "jwksUrl": "https://keys.invalid/set"}, []jwk{published(minted.PublicJWK(t, ec), minted.Thumbprint(t, ec))}},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, service := e.Middleware(t, test.options.With(options{"publishJwks": true}))
				// A token, a preflight or a body make no difference.
				for _, sent := range []http.Header{nil, bothways.Bearer("bad"), {"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"GET"}}} {
					rec := bothways.Send(t, handler, "GET", "/any/path?a=1", sent, nil)
					var got struct{ Keys []jwk }
					if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
						t.Fatalf("got %s: %v", rec.Body, err)
					}
					if !reflect.DeepEqual(got.Keys, test.want) {
						t.Errorf("got\n%v, want\n%v", got.Keys, test.want)
					}
					want := http.Header{"Content-Type": {"application/jwk-set+json"}, "Cache-Control": {"public, max-age=300"}, "Content-Length": {strconv.Itoa(rec.Body.Len())}}
					checkResponse(t, rec, 200, want)
					for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
						if strings.Contains(rec.Body.String(), `"`+member+`":`) {
							t.Errorf("got the secret member %s", member)
						}
					}
					head := bothways.Send(t, handler, "HEAD", "/", sent, nil)
					checkResponse(t, head, 200, want)
					if head.Body.Len() > 0 {
						t.Errorf("HEAD: got the body %s, want none", head.Body)
					}
				}
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"} {
					rec := bothways.Send(t, handler, method, "/", nil, nil)
					checkResponse(t, rec, 405, http.Header{
						"Allow": {"GET, HEAD"}, "Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"}, "Content-Length": {strconv.Itoa(rec.Body.Len())},
					})
					checkProblem(t, rec.Body.String(), 405, "method_not_allowed", "only GET and HEAD are served here")
				}
				if service.Calls() > 0 {
					t.Error("the service was called")
				}
			})
		}
	})
}

// What one gateway publishes, another verifies with, also after a rotation.
func TestPublishedKeysVerify(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		keys := options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, minted.Key(t, "Ed25519")).With(jwk{"alg": "Ed25519"}), minted.PublicJWK(t, minted.Key(t, "P-256")).With(jwk{"kid": "old"}))}
		publisher, _ := e.Middleware(t, keys.With(options{"publishJwks": true}))
		published := bothways.Send(t, publisher, "GET", "/", nil, nil).Body.String()
		issuer, service := e.Middleware(t, keys.With(options{"issue": map[string]any{"header": "X-Issue-Claims"}}))
		service.Respond = func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X-Issue-Claims", `{"sub":"ada"}`) }
		fresh := renewedToken(bothways.Send(t, issuer, "POST", "/", nil, nil))
		verifier, _ := e.Middleware(t, options{"jwksFile": published})
		for name, text := range map[string]string{"new key": fresh, "old key": minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256", "kid": "old"}, minted.Valid())} {
			if rec := bothways.Send(t, verifier, "GET", "/", bothways.Bearer(text), nil); rec.Code != 200 {
				t.Errorf("%s: got %d %s, want 200", name, rec.Code, rec.Body)
			}
		}
	})
}

// Keys that were never read are not published as none.
func TestPublishedKeysMissing(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"publishJwks": true, "privateKey": filepath.Join(t.TempDir(), "missing.pem")})
		rec := bothways.Send(t, handler, "GET", "/", nil, nil)
		if got, want := bothways.Outcome(t, rec), "503 keys_unavailable"; got != want || rec.Header().Get("Retry-After") == "" {
			t.Errorf("got %s and %v, want %s and Retry-After", got, rec.Header(), want)
		}
	})
}
