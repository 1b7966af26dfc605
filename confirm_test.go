package slidingjwt_test

import (
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// says is an endpoint that answers with a status and a text.
func says(status int, text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, text)
	}
}

// asking starts an endpoint that is asked before renewals, and returns options by which it is.
func asking(t testing.TB, answer http.HandlerFunc) (*minted.KeyServer, options) {
	t.Helper()
	endpoint := minted.NewKeyServer(t, answer)
	endpoint.Start()
	return endpoint, options{
		"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "tokenKey": "token",
		"renew":        map[string]any{"before": "50%", "confirm": endpoint.URL + "/may/go/on?key=hidden"},
		"clientConfig": map[string]any{"timeoutSeconds": 60},
	}
}

// asked is what a GET with a bearer token comes to, and whether it is renewed.
func asked(t testing.TB, handler http.Handler, token string) string {
	t.Helper()
	rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
	outcome := bothways.Outcome(t, rec)
	if renewedToken(rec) != "" {
		outcome += ", renewed"
	}
	return outcome
}

func TestConfirmAnswers(t *testing.T) {
	const yes, no, notNow, inTime = "served, renewed", "401 session_ended", "served", "no answer came in time"
	elsewhere := minted.NewKeyServer(t, says(204, ""))
	elsewhere.Start()
	redirect := func(status int, target string) http.HandlerFunc {
		return func(rw http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/moved" {
				rw.WriteHeader(204)
				return
			}
			rw.Header().Set("Location", target)
			rw.WriteHeader(status)
		}
	}
	hijacked := func(text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, _ := rw.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
	compressed := func(write func(io.Writer)) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(rw)
			write(packed)
			_ = packed.Close()
		}
	}
	drips := func(status int) http.HandlerFunc {
		return func(rw http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			rw.WriteHeader(status)
			for req.Context().Err() == nil {
				if _, err := io.WriteString(rw, " "); err != nil {
					return
				}
				rw.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
		log    string // part of the one line; empty: there is none
	}{
		{"204", says(204, ""), yes, ""},
		{"204 after 103", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(103); rw.WriteHeader(204) }, yes, ""},
		{"200 with an object", says(200, `{"roles":[]}`), yes, ""},
		{"200 with space around the object", says(200, " \r\n{\"roles\":\t[]}\n"), yes, ""},
		{"200 with no claims", says(200, `{}`), yes, ""},
		{"200 with an object of another type", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(rw, `{"roles":[]}`)
		}, yes, ""},
		{"200 compressed", compressed(func(w io.Writer) { _, _ = io.WriteString(w, `{"roles":[]}`) }), yes, ""},

		{"401", says(401, ""), no, ""},
		{"403", says(403, "no"), no, ""},
		{"404", says(404, ""), no, ""},
		{"410", says(410, `{"roles":[]}`), no, ""},
		{"403 with an endless text", drips(403), no, ""},
		{"403 with a huge text", says(403, strings.Repeat("x", 1<<20)), no, ""},

		{"200 without a text", says(200, ""), notNow, "not one JSON object"},
		{"200 with null", says(200, `null`), notNow, "not one JSON object"},
		{"200 with a list", says(200, `[{}]`), notNow, "not one JSON object"},
		{"200 with a string", says(200, `"ok"`), notNow, "not one JSON object"},
		{"200 with a page", says(200, `<html>Log in</html>`), notNow, "not one JSON object"},
		{"200 with two objects", says(200, `{}{}`), notNow, "not one JSON object"},
		{"200 with half an object", says(200, `{"roles":[`), notNow, "not one JSON object"},
		{"200 with a member twice", says(200, `{"roles":[],"roles":["admin"]}`), notNow, "not one JSON object"},
		{"200 with a member twice, escaped", says(200, `{"roles":[],"r\u006fles":["admin"]}`), notNow, "not one JSON object"},
		{"200 with a member twice, deeper", says(200, `{"a":[{"b":1,"b":2}]}`), notNow, "not one JSON object"},
		{"200 with other bytes", says(200, "{\"a\":\"\xff\"}"), notNow, "not one JSON object"},
		{"200 nested too deep", says(200, `{"a":`+strings.Repeat("[", 20000)+strings.Repeat("]", 20000)+`}`), notNow, "not one JSON object"},
		{"200 nested deep", says(200, `{"a":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}`), notNow, "longer than 8 KiB"},
		{"200 with more than a token holds", says(200, `{"a":"`+strings.Repeat("x", 9000)+`"}`), notNow, "longer than 8 KiB"},
		{"200 with more than is read", says(200, `{"a":"`+strings.Repeat("x", 1<<16)+`"}`), notNow, "longer than 64 KiB"},
		{"200 with a bomb", compressed(func(w io.Writer) {
			for range [256]int{} {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		}), notNow, "longer than 64 KiB"},
		{"200 in pieces, without end", drips(200), notNow, inTime},
		{"nothing", minted.Hangs, notNow, inTime},
		{"no HTTP", hijacked("hello\n"), notNow, "malformed HTTP response"},
		{"closed", hijacked(""), notNow, "EOF"},
		{"101", hijacked("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), notNow, "the answer is 101"},
		{"201", says(201, `{"roles":[]}`), notNow, "the answer is 201"},
		{"202", says(202, ""), notNow, "the answer is 202"},
		{"206", says(206, `{"roles":[]}`), notNow, "the answer is 206"},
		{"304", says(304, ""), notNow, "the answer is 304"},
		{"400", says(400, ""), notNow, "the answer is 400"},
		{"405", says(405, ""), notNow, "the answer is 405"},
		{"407", says(407, ""), notNow, "the answer is 407"},
		{"429", says(429, ""), notNow, "the answer is 429"},
		{"500", says(500, ""), notNow, "the answer is 500"},
		{"503", says(503, `{"roles":[]}`), notNow, "the answer is 503"},
		{"301", redirect(301, "/moved"), notNow, "the answer is 301"},
		{"302", redirect(302, "/moved"), notNow, "the answer is 302"},
		{"303", redirect(303, "/moved"), notNow, "the answer is 303"},
		{"307 elsewhere", redirect(307, elsewhere.URL), notNow, "the answer is 307"},
		{"308", redirect(308, "/moved"), notNow, "the answer is 308"},
		{"302 to nowhere", redirect(302, "http://[?key=hidden"), notNow, "the answer is 302"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				endpoint, o := asking(t, test.answer)
				if test.log == inTime {
					o = o.With(options{"clientConfig": map[string]any{"timeoutSeconds": 1}})
				}
				handler, service := e.Middleware(t, o)
				token := minted.Token(t, minted.Due().With(claims{"roles": []string{"admin"}}))
				logged := e.Logged(t, func() {
					for range [3]int{} { // By the header each time, and the second is remembered.
						if got := asked(t, handler, token); got != test.want {
							t.Errorf("got %s, want %s", got, test.want)
						}
					}
				})
				endpoint.WantFetches(t, 1)
				if test.want == no && service.Calls() > 0 {
					t.Error("the service was called")
				}
				var lines []string
				for _, line := range logged {
					if !strings.HasPrefix(line, "refused ") {
						lines = append(lines, line)
					}
				}
				name := `"` + endpoint.URL + `/may/go/on"`
				if test.log == "" && len(lines) > 0 || test.log != "" && (len(lines) != 1 || !strings.Contains(lines[0], name) || !strings.Contains(lines[0], test.log)) {
					t.Errorf("got the lines %q, want one with %s and %q, if that is not empty", lines, name, test.log)
				}
				if all := strings.Join(logged, "\n"); strings.Contains(all, "hidden") || strings.Contains(all, token) {
					t.Errorf("got the lines %q, want none with the query or the token", logged)
				}
			})
		}
	})
	elsewhere.WantFetches(t, 0)
}

// An endpoint that is gone is asked once by each token, and logged once.
func TestConfirmationIsDown(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint, o := asking(t, says(204, ""))
		endpoint.Close()
		handler, _ := e.Middleware(t, o)
		logged := e.Logged(t, func() {
			for n := range [10]int{} {
				if got := asked(t, handler, minted.Token(t, minted.Due().With(claims{"jti": fmt.Sprint(n)}))); got != "served" {
					t.Errorf("got %s, want served", got)
				}
			}
		})
		if len(logged) != 1 || !strings.Contains(logged[0], "connection refused") {
			t.Errorf("got the lines %q, want one", logged)
		}
	})
}

// What is asked is the token's payload, byte for byte.
func TestConfirmRequest(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var got atomic.Value
		_, o := asking(t, func(rw http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			got.Store([]string{req.Method, req.URL.String(), string(body), req.Header.Get("Content-Type"), req.Header.Get("Authorization"), req.Header.Get("Cookie")})
			rw.WriteHeader(204)
		})
		handler, _ := e.Middleware(t, o)
		now := time.Now().Unix()
		payload := fmt.Sprintf(`{ "sub":"ad\u0061", "n":1.0, "iat":%d,"exp":%d}`, now-3000, now+600)
		if got := asked(t, handler, minted.Written(`{"alg":"HS256"}`, payload)); got != "served, renewed" {
			t.Errorf("got %s, want served, renewed", got)
		}
		if want := []string{"POST", "/may/go/on?key=hidden", payload, "application/json", "", ""}; !reflect.DeepEqual(got.Load(), want) {
			t.Errorf("got %q, want %q", got.Load(), want)
		}
	})
}

// The answered claims take the place of the token's, but for those that nobody sets.
func TestConfirmedClaims(t *testing.T) {
	const presented = `{"iss":"a","aud":["x"],"sub":"ada","roles":["admin"],"iat":OLD,"exp":SOON,"jti":"x","sid":"s"}`
	const kept = `"iss":"a","aud":["x"],"sub":"ada","iat":NOW,"exp":NEW,"jti":"ID","sid":"s"`
	tests := []struct{ name, presented, answer, want string }{
		{"none", presented, `{}`, `{` + kept + `,"auth_time":OLD}`},
		{"others", presented, `{"roles":["author"],"plan":"free"}`, `{` + kept + `,"roles":["author"],"plan":"free","auth_time":OLD}`},
		{
			"what stays", presented,
			`{"iss":"b","aud":"y","sub":"eve","nbf":1,"cnf":{},"iat":1,"exp":9999999999,"jti":"y","auth_time":9999999999,"sid":"t","roles":[]}`,
			`{` + kept + `,"roles":[],"auth_time":OLD}`,
		},
		{"what stays, by escaped names", presented, `{"\u0069ss":"b","su\u0062":"eve","auth\u005ftime":1,"c\u006ef":null}`, `{` + kept + `,"auth_time":OLD}`},
		{"what stays is of any type", presented, `{"iss":1,"aud":{},"sub":["eve"],"exp":"x","iat":null}`, `{` + kept + `,"auth_time":OLD}`},
		{"what is absent stays absent", `{"iat":OLD,"exp":SOON}`, `{"iss":"b","aud":"y","sub":"eve","nbf":1,"cnf":{},"jti":"y","sid":"t"}`, `{"iat":NOW,"exp":NEW,"auth_time":OLD}`},
		{"nbf and auth_time stay", `{"nbf":OLD,"auth_time":OLD,"iat":OLD,"exp":SOON}`, `{"nbf":1,"auth_time":1}`, `{"nbf":OLD,"auth_time":OLD,"iat":NOW,"exp":NEW}`},
		{"names that differ in case", `{"sub":"ada","iat":OLD,"exp":SOON}`, `{"Sub":"eve","EXP":1}`, `{"sub":"ada","iat":NOW,"exp":NEW,"Sub":"eve","EXP":1,"auth_time":OLD}`},
		{"the same names deeper", `{"sub":"ada","iat":OLD,"exp":SOON}`, `{"a":{"sub":"eve","exp":1}}`, `{"sub":"ada","iat":NOW,"exp":NEW,"a":{"sub":"eve","exp":1},"auth_time":OLD}`},
		{"as they are written, but for space", `{"iat":OLD,"exp":SOON}`, "{ \"n\" : 1.0 ,\n\"b\" : 9007199254740993,\t\"t\" : \"\\u0041 <&> \u2028\", \"l\" : [ 1 , { } ] }", `{"iat":NOW,"exp":NEW,"n":1.0,"b":9007199254740993,"t":"\u0041 <&> ` + "\u2028" + `","l":[1,{}],"auth_time":OLD}`},
		{"null", `{"iat":OLD,"exp":SOON}`, `{"roles":null}`, `{"iat":NOW,"exp":NEW,"roles":null,"auth_time":OLD}`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				_, o := asking(t, says(200, test.answer))
				handler, _ := e.Middleware(t, o)
				now := time.Now().Unix()
				times := strings.NewReplacer("OLD", fmt.Sprint(now-3500), "SOON", fmt.Sprint(now+100))
				rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Written(`{"alg":"HS256"}`, times.Replace(test.presented))), nil)
				renewed := renewedToken(rec)
				parts := strings.Split(renewed, ".")
				if len(parts) != 3 {
					t.Fatalf("got %d %s and no renewed token", rec.Code, rec.Body)
				}
				payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
				got := minted.Payload(t, renewed)
				number := func(name string) string { return fmt.Sprintf("%.0f", got[name]) }
				id, _ := got["jti"].(string)
				want := strings.NewReplacer("OLD", fmt.Sprint(now-3500), "NOW", number("iat"), "NEW", number("exp"), "ID", id).Replace(test.want)
				if sid, _ := got["sid"].(string); !strings.Contains(want, `"sid"`) { // It is added.
					want = strings.TrimSuffix(want, "}") + `,"sid":"` + sid + `"}`
				}
				if string(payload) != want {
					t.Errorf("got  %s\nwant %s", payload, want)
				}
				if exp := got["exp"].(float64) - float64(now); !near(exp, 3600) {
					t.Errorf("exp: got now%+g, want now+3600", exp)
				}
				if got := bothways.Verdict(t, handler, renewed); got != "served" {
					t.Errorf("the renewed token: got %s, want served", got)
				}
			})
		}
	})
}

// A role that is gone is gone with the next request: this one's token still has it.
func TestConfirmedClaimsDoNotSuffice(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint, o := asking(t, says(200, `{"roles":["reader"],"scope":7}`))
		for _, access := range []options{{"claims": "Contains(`roles`, `admin`)"}, {"scopes": []string{"write"}}} {
			endpoint.ForgetFetches()
			handler, _ := e.Middleware(t, o.With(access))
			token := minted.Token(t, minted.Due().With(claims{"roles": []string{"admin"}, "scope": "write"}))
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
			if got := bothways.Outcome(t, rec); got != "served" {
				t.Errorf("%v: got %s, want served", access, got)
			}
			if got := bothways.Verdict(t, handler, renewedToken(rec)); !strings.HasPrefix(got, "403 ") {
				t.Errorf("%v: the renewed token: got %s, want 403", access, got)
			}
			endpoint.WantFetches(t, 1)
		}
	})
}

// However many requests wait with a token, one asks. The answer is for all of them.
func TestConfirmedOnce(t *testing.T) {
	const clients = 40
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range []struct {
			status int
			want   string
		}{{204, "served, renewed"}, {403, "401 session_ended, cleared"}, {500, "served"}} {
			for _, memory := range []int{10000, 0} {
				arrived, release := make(chan bool, clients), make(chan bool)
				endpoint, o := asking(t, func(rw http.ResponseWriter, _ *http.Request) {
					arrived <- true
					<-release
					rw.WriteHeader(test.status)
				})
				handler, _ := e.Middleware(t, o.With(options{"cacheSize": memory}))
				due := minted.Token(t, minted.Due().With(claims{"jti": "x"}))
				outcomes := make([]string, clients)
				tokens := make([]string, clients)
				var done sync.WaitGroup
				for i := range outcomes {
					done.Add(1)
					go func() {
						defer done.Done()
						req := httptest.NewRequest("GET", "/", nil)
						if i%2 == 0 {
							req.Header.Set("Authorization", "Bearer "+due)
						} else {
							req.Header.Set("Cookie", "session="+due)
						}
						rec := httptest.NewRecorder()
						handler.ServeHTTP(rec, req)
						outcomes[i] = bothways.Outcome(t, rec)
						tokens[i] = renewedToken(rec)
						value, _, _ := strings.Cut(strings.TrimPrefix(rec.Header().Get("Set-Cookie"), "session="), ";")
						switch {
						case i%2 == 0 && test.status == 403:
							outcomes[i] += ", cleared" // There is no cookie to clear.
						case i%2 == 1 && rec.Header().Get("Set-Cookie") != "" && value == "":
							outcomes[i] += ", cleared"
						case i%2 == 1:
							tokens[i] = value
						}
						if tokens[i] != "" {
							outcomes[i] += ", renewed"
						}
					}()
				}
				<-arrived
				close(release)
				done.Wait()
				for i, outcome := range outcomes {
					if outcome != test.want || tokens[i] != tokens[0] {
						t.Errorf("%d, client %d: got %s and %q, want %s and %q", test.status, i, outcome, tokens[i], test.want, tokens[0])
					}
				}
				endpoint.WantFetches(t, 1)
			}
		}
	})
}

// A session that is over is over by every way that its token comes, whether or not it would be renewed there.
func TestEndedSession(t *testing.T) {
	due := minted.Due()
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, memory := range []int{10000, 0} {
			endpoint, o := asking(t, says(403, ""))
			renew := map[string]any{"before": "50%", "confirm": endpoint.URL, "unless": "X-Poll"}
			handler, service := e.Middleware(t, o.With(options{"renew": renew, "cacheSize": memory}))
			token := minted.Token(t, due.With(claims{"jti": fmt.Sprint(memory)}))
			if got := bothways.Outcome(t, bothways.Send(t, handler, "GET", "/", http.Header{"Authorization": {"Bearer " + token}, "X-Poll": {"1"}}, nil)); got != "served" {
				t.Errorf("before it is asked: got %s, want served", got)
			}
			endpoint.WantFetches(t, 0)
			service.Forget()
			for _, test := range []struct {
				method, target string
				header         lines
				body           string
				cleared        bool
			}{
				{"GET", "/", lines{"Cookie: session=" + token}, "", true},
				{"GET", "/", lines{"Cookie: session=" + token}, "", true},
				{"GET", "/", lines{"Authorization: Bearer " + token}, "", false},
				{"GET", "/", lines{"Authorization: Bearer " + token, "Cookie: session=" + token}, "", true},
				{"GET", "/", lines{"Authorization: Bearer " + token, "X-Poll: 1"}, "", false},
				{"GET", "/", lines{"Cookie: session=" + token, "X-Poll: 1"}, "", true},
				{"GET", "/?token=" + token, nil, "", false},
				{"POST", "/", lines{"Content-Type: application/x-www-form-urlencoded"}, "token=" + token, false},
				{"POST", "/", lines{"Cookie: session=" + token}, "", true},
			} {
				rec := bothways.Send(t, handler, test.method, test.target, test.header.Header(), strings.NewReader(test.body))
				if got := bothways.Outcome(t, rec); got != "401 session_ended" {
					t.Errorf("%s %.10s %.30q: got %s, want 401 session_ended", test.method, test.target, test.header, got)
				}
				if got := rec.Header().Get("Set-Cookie"); (got != "") != test.cleared || test.cleared && !strings.Contains(got, "session=; Path=/; Max-Age=0;") {
					t.Errorf("%s %.10s %.30q: got Set-Cookie %q, want it cleared: %t", test.method, test.target, test.header, got, test.cleared)
				}
			}
			if got := bothways.Outcome(t, bothways.Call(t, handler, "application/grpc", "/", bothways.Bearer(token))); got != "gRPC 16" {
				t.Errorf("a gRPC call: got %s, want gRPC 16", got)
			}
			if service.Calls() > 0 {
				t.Error("the service was called")
			}
			if got := asked(t, handler, minted.Token(t, minted.Valid())); got != "served" {
				t.Errorf("another token: got %s, want served", got)
			}
			endpoint.WantFetches(t, 1)
		}
	})
}

// What nobody renews, nobody asks about.
func TestConfirmIsNotAsked(t *testing.T) {
	now := time.Now().Unix()
	tests := []struct {
		name, method, target string
		header               lines
		claims               claims
		want                 string
	}{
		{"not due", "GET", "/", lines{"Authorization: Bearer TOKEN"}, minted.Valid(), "served"},
		{"in the query", "GET", "/?token=TOKEN", nil, minted.Due(), "served"},
		{"refused", "GET", "/", lines{"Authorization: Bearer TOKEN"}, minted.Due().With(claims{"roles": []string{}}), "403 claims_not_sufficient"},
		{"accepted by leeway", "GET", "/", lines{"Authorization: Bearer TOKEN"}, claims{"iat": now - 3600, "exp": now - 5}, "served"},
		{"nothing to gain", "GET", "/", lines{"Authorization: Bearer TOKEN"}, minted.Due().With(claims{"auth_time": now - 86400 + 600}), "served"},
		{"cross-site", "POST", "/", lines{"Cookie: session=TOKEN", "Sec-Fetch-Site: cross-site"}, minted.Due(), "403 cross_site"},
		{"a preflight", "OPTIONS", "/", lines{"Cookie: session=TOKEN", "Origin: https://a.example", "Access-Control-Request-Method: POST"}, minted.Due(), "served"},
		{"a polling request", "GET", "/", lines{"Authorization: Bearer TOKEN", "X-Poll: 1"}, minted.Due(), "served"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint, o := asking(t, says(204, ""))
		renew := map[string]any{"before": "50%", "confirm": endpoint.URL, "unless": "X-Poll"}
		handler, _ := e.Middleware(t, o.With(options{"renew": renew, "claims": "Contains(`roles`, `admin`)"}))
		for _, test := range tests {
			token := minted.Token(t, claims{"roles": []string{"admin"}}.With(test.claims))
			rec := bothways.Send(t, handler, test.method, strings.ReplaceAll(test.target, "TOKEN", token), test.header.Header("TOKEN", token), nil)
			if got := bothways.Outcome(t, rec); got != test.want {
				t.Errorf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
		endpoint.WantFetches(t, 0)
	})
}

// An answer counts for ten seconds. Then a session that was over may go on, and one that nobody answered for is renewed.
func TestConfirmAskedAgain(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		t.Parallel() // It takes ten seconds.
		over, o := asking(t, says(403, ""))
		silent, p := asking(t, says(500, ""))
		handlers := []http.Handler{e.InFront(t, &bothways.Spy{}, o), e.InFront(t, &bothways.Spy{}, p)}
		tokens := []string{minted.Token(t, minted.Due()), minted.Token(t, minted.Due())}
		started := time.Now()
		for i, want := range []string{"401 session_ended", "served"} {
			if got := asked(t, handlers[i], tokens[i]); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		over.Answer(says(204, ""))
		silent.Answer(says(204, ""))
		for i, endpoint := range []*minted.KeyServer{over, silent} {
			for asked(t, handlers[i], tokens[i]) != "served, renewed" {
				if time.Since(started) > time.Minute {
					t.Fatal("it was not asked again for a minute")
				}
				time.Sleep(20 * time.Millisecond)
			}
			if got := time.Since(started); got < 10*time.Second {
				t.Errorf("it was asked again after %s, want ten seconds", got)
			}
			endpoint.WantFetches(t, 2)
		}
	})
}

// A token that was renewed before its session was over has its renewal for ten seconds; the renewed one asks when it is due itself.
func TestConfirmAsksForTheRenewedToken(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		endpoint, o := asking(t, says(204, ""))
		handler, _ := e.Middleware(t, o.With(options{"renew": map[string]any{"before": "99%", "lifetime": "5s", "confirm": endpoint.URL}}))
		now := time.Now().Unix()
		first := minted.Token(t, claims{"iat": now - 10, "exp": now + 2})
		second := renewedToken(bothways.Send(t, handler, "GET", "/", bothways.Bearer(first), nil))
		endpoint.Answer(says(410, ""))
		bothways.Eventually(t, handler, second, "401 session_ended")
		endpoint.WantFetches(t, 2)
	})
}

// With many sessions due at once nobody waits but their own requests, and those no longer than the timeout.
func TestConfirmManySessions(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		const sessions = 1000
		tokens := make([]string, sessions)
		for i := range tokens {
			tokens[i] = minted.Token(t, minted.Due().With(claims{"jti": fmt.Sprint(i)}))
		}
		other := minted.Token(t, minted.Valid())
		for _, test := range []struct {
			name    string
			timeout int
			answer  func(arrived, release chan bool) http.HandlerFunc
			want    string
		}{
			{"it takes its time", 120, func(arrived, release chan bool) http.HandlerFunc {
				return func(rw http.ResponseWriter, _ *http.Request) {
					arrived <- true
					<-release
					rw.WriteHeader(204)
				}
			}, "served, renewed"},
			{"it hangs", 5, func(arrived, _ chan bool) http.HandlerFunc {
				return func(rw http.ResponseWriter, req *http.Request) {
					arrived <- true
					minted.Hangs(rw, req)
				}
			}, "served"},
		} {
			t.Run(test.name, func(t *testing.T) {
				arrived, release := make(chan bool, sessions), make(chan bool)
				endpoint, o := asking(t, test.answer(arrived, release))
				handler, _ := e.Middleware(t, o.With(options{"clientConfig": map[string]any{"timeoutSeconds": test.timeout}}))
				started := time.Now()
				var finished atomic.Int64
				var done sync.WaitGroup
				outcomes := make([]string, sessions)
				for i := range tokens {
					done.Add(1)
					go func() {
						defer done.Done()
						outcomes[i] = asked(t, handler, tokens[i])
						finished.Add(1)
					}()
				}
				all := make(chan bool)
				go func() {
					done.Wait()
					close(all)
				}()
				for n := 0; n < sessions; n++ {
					select {
					case <-arrived:
					case <-all: // A slow machine's clients may give up before they have asked.
						n = sessions
					}
				}
				arrivedAfter := time.Since(started)
				for range [100]int{} {
					if got := asked(t, handler, other); got != "served" {
						t.Fatalf("a token that is not due: got %s, want served", got)
					}
				}
				servedAfter := time.Since(started)
				if got := finished.Load(); got != 0 && servedAfter < time.Duration(test.timeout)*time.Second {
					t.Errorf("got %d answers before the endpoint's, want none", got)
				}
				close(release)
				<-all
				for i, outcome := range outcomes {
					if outcome != test.want {
						t.Fatalf("session %d: got %s, want %s", i, outcome, test.want)
					}
				}
				if got := endpoint.Fetches(); got > sessions || got < sessions && test.want != "served" {
					t.Errorf("it was asked %d times, want once for each of %d tokens", got, sessions)
				}
				t.Logf("%d sessions: all asked after %s, 100 others served in %s, all served after %s", sessions, arrivedAfter, servedAfter-arrivedAfter, time.Since(started))
			})
		}
	})
}

// A request with that header, whatever it says, does not renew the token.
func TestRenewUnless(t *testing.T) {
	tests := []struct {
		name   string
		header lines
		want   bool
	}{
		{"absent", nil, true},
		{"present", lines{"X-Polling: 1"}, false},
		{"present, empty", lines{"X-Polling: "}, false},
		{"present, 0", lines{"X-Polling: 0"}, false},
		{"present twice", lines{"X-Polling: 0", "X-Polling: 1"}, false},
		{"another", lines{"X-Poll: 1"}, true},
		{"no header's name", lines{": 1"}, true},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			for _, place := range []string{"Authorization: Bearer ", "Cookie: session="} {
				handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "renew": map[string]any{"before": "50%", "unless": "x-polling"}})
				header := append(lines{place + minted.Token(t, minted.Due())}, test.header...)
				for range [2]int{} {
					rec := bothways.Send(t, handler, "GET", "/", header.Header(), nil)
					isRenewed := renewedToken(rec) != "" || rec.Header().Get("Set-Cookie") != ""
					if got := bothways.Outcome(t, rec); got != "served" || isRenewed != test.want {
						t.Errorf("%s, %s: got %s, renewed: %t, want served, %t", test.name, place, got, isRenewed, test.want)
					}
				}
				if got, want := service.Request().Header["X-Polling"], test.header.Header()["X-Polling"]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got X-Polling %q at the service, want %q", test.name, got, want)
				}
			}
		}
	})
}
