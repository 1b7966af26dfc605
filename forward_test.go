package slidingjwt_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

const absent = "(absent)"

// forwardedValue is a header that the service saw, or absent.
func forwardedValue(t testing.TB, service *bothways.Spy, name string) string {
	t.Helper()
	values, there := service.Request().Header[name]
	if !there {
		return absent
	}
	if len(values) != 1 {
		t.Fatalf("%s: got %d lines, want one", name, len(values))
	}
	return values[0]
}

func TestForwardedValues(t *testing.T) {
	kib := strings.Repeat("x", 1024)
	tests := []struct{ name, claim, want string }{
		{"string", `"ada"`, "ada"},
		{"string with spaces and commas", `"Lovelace, Ada"`, "Lovelace, Ada"},
		{"string with quotes and brackets", `"\"<a>&\\[]{}"`, `"<a>&\[]{}`},
		{"string with escapes", `"\u0061\/\u00e9"`, "a/é"},
		{"string beyond the first plane", `"\ud83d\ude00😀"`, "😀😀"},
		{"string like a number", `"007"`, "007"},
		{"string like null", `"null"`, "null"},
		{"empty string", `""`, absent},
		{"space before", `" ada"`, absent},
		{"space behind", `"ada "`, absent},
		{"string of 4 KiB", `"` + kib + kib + kib + kib + `"`, kib + kib + kib + kib},
		{"string of more", `"` + kib + kib + kib + kib + `x"`, absent},
		{"string of more bytes, not characters", `"` + strings.Repeat("é", 2049) + `"`, absent},
		{"line feed", `"a\nX-Admin: 1"`, absent},
		{"carriage return", `"a\rb"`, absent},
		{"tab", `"a\tb"`, absent},
		{"NUL", `"a\u0000"`, absent},
		{"DEL", `"a\u007f"`, absent},
		{"DEL as it is", `"a` + "\x7f" + `"`, absent},
		{"next line as it is", `"a` + "\u0085" + `"`, absent},
		{"next line", `"a\u0085"`, absent},

		{"number", `42`, "42"},
		{"zero", `0`, "0"},
		{"negative zero", `-0`, "-0"},
		{"negative number", `-7`, "-7"},
		{"fraction", `1.50`, "1.50"},
		{"whole fraction", `1.0`, "1.0"},
		{"exponent", `1E+3`, "1E+3"},
		{"beyond a float's integers", `9007199254740993`, "9007199254740993"},
		{"beyond 64 bits", `18446744073709551616123`, "18446744073709551616123"},
		{"beyond a float", `1e400`, "1e400"},
		{"true", `true`, "true"},
		{"false", `false`, "false"},
		{"null", `null`, absent},

		{"list", `["admin", "dev"]`, "admin,dev"},
		{"list of one", `["admin"]`, "admin"},
		{"list of none", `[]`, absent},
		{"list of kinds", `["a", 1, 2.50, 9007199254740993, true, false]`, "a,1,2.50,9007199254740993,true,false"},
		{"list with an empty string", `["a", "", "b"]`, "a,,b"},
		{"list with a comma in an element", `["a", "b,c"]`, absent},
		{"list of one with a comma", `["a,b"]`, absent},
		{"list with a line feed", `["a", "b\n"]`, absent},
		{"list with null", `["a", null]`, absent},
		{"list of 4 KiB", `["` + kib + kib + `", "` + kib + kib[1:] + `"]`, kib + kib + "," + kib + kib[1:]},
		{"list of more", `["` + kib + kib + `", "` + kib + kib + `"]`, absent},

		{"object", `{ "a" : [ 1.0, "x" ], "b" : { } }`, `{"a":[1.0,"x"],"b":{}}`},
		{"object with large numbers", `{"n": 9007199254740993}`, `{"n":9007199254740993}`},
		{"object with characters that HTML knows", `{"a": "<b>&'"}`, `{"a":"<b>&'"}`},
		{"empty object", `{}`, `{}`},
		{"object with null", `{"a": null}`, `{"a":null}`},
		{"object that is written longer than it came", `{"a":"` + strings.Repeat("\u2028", 700) + `"}`, absent},
		{"object of 4 KiB", `{"a": "` + kib + kib + kib + kib[8:] + `"}`, `{"a":"` + kib + kib + kib + kib[8:] + `"}`},
		{"nested list of 4 KiB", `[["` + kib + kib + kib + kib[6:] + `"]]`, `[["` + kib + kib + kib + kib[6:] + `"]]`},
		{"nested list of a byte more", `[["` + kib + kib + kib + kib[5:] + `"]]`, absent},
		{"object of more than 4 KiB", `{"a": "` + kib + kib + kib + kib + `"}`, absent},
		{"object with DEL", `{"a": "\u007f"}`, absent},
		{"nested lists", `[ ["a", "b"], [] ]`, `[["a","b"],[]]`},
		{"list of objects", `[ {"a": 1} ]`, `[{"a":1}]`},
		{"list of an object and what a comma is in", `[{"a": 1}, "b,c", null]`, `[{"a":1},"b,c",null]`},
		{"list of what a comma is in and an object", `["b,c", null, {"a": 1}]`, `["b,c",null,{"a":1}]`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-Claim": "c"}})
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				plain := withPayload(t, `{"exp":EXP,"c":`+test.claim+`}`)
				escaped := withPayload(t, `{"exp":EXP,"c":`+test.claim+`,"other":"\u0041"}`) // Such claims are read in another way.
				// The second time each is remembered. What a client claims itself shows up in none.
				for _, text := range []string{plain, plain, escaped, escaped} {
					rec := bothways.Send(t, handler, "GET", "/", http.Header{"Authorization": {"Bearer " + text}, "X-Claim": {"spoofed"}}, nil)
					if rec.Code != 200 {
						t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
					}
					if got := forwardedValue(t, service, "X-Claim"); got != test.want {
						t.Errorf("got %q, want %q", got, test.want)
					}
				}
			})
		}
	})
}

func TestForwardedPaths(t *testing.T) {
	const payload = `{"exp":EXP,"sub":"ada","a":{"b":{"c":"deep","":"nameless"},"list":["x","y"]},"a.b":"dotted","text":"t",` +
		`"https://example.com/roles":["admin"],"https://example.com/org":{"my.name":"lab"},"back\\slash":"bs","x\\":{"y":"z"},"":{"":"empty"},"größe":1,"null":null}`
	tests := []struct{ path, want string }{
		{"sub", "ada"},
		{"Sub", absent},
		{"SUB", absent},
		{"sub ", absent},
		{"missing", absent},
		{"null", absent},
		{"null.a", absent},
		{"a.b.c", "deep"},
		{"a.b", `{"":"nameless","c":"deep"}`},
		{"a.b.", "nameless"},
		{"a.list", "x,y"},
		{"a.list.0", absent},
		{"a.b.c.d", absent},
		{"a.missing.c", absent},
		{"text.length", absent},
		{`a\.b`, "dotted"},
		{`https://example\.com/roles`, "admin"},
		{"https://example.com/roles", "admin"},
		{`https://example\.com/org.my\.name`, "lab"},
		{`back\slash`, "bs"},
		{`back\\slash`, "bs"},
		{`x\\.y`, "z"},
		{`x\.y`, absent},
		{".", "empty"},
		{"größe", "1"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		headers := map[string]any{}
		for i, test := range tests {
			headers[fmt.Sprintf("X-Path-%d", i)] = test.path
		}
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "forwardHeaders": headers})
		text := withPayload(t, payload)
		for range [2]int{} {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(text), nil)
			if rec.Code != 200 {
				t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
			}
			for i, test := range tests {
				if got := forwardedValue(t, service, fmt.Sprintf("X-Path-%d", i)); got != test.want {
					t.Errorf("%s: got %q, want %q", test.path, got, test.want)
				}
			}
		}
	})
}

// situations are the ways in which a request reaches the service. In each, no header that the client sent may
// be taken for a claim.
var situations = []struct {
	name    string
	options options
	method  string
	sent    lines // FRESH is another token each time; ONE, NOBODY and WITHOUT are always the same
	seen    lines // beside what is no claim header
}{
	{"no token", options{"optional": true}, "GET", nil, nil},
	{"an empty cookie", options{"optional": true}, "GET", lines{"Cookie: session="}, nil},
	{"a preflight", nil, "OPTIONS", lines{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, lines{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}},
	{"a fresh token", nil, "GET", lines{"Authorization: Bearer FRESH"}, lines{"X-User-Id: ada", "From: ada@example.com"}},
	{"a remembered token", nil, "GET", lines{"Authorization: Bearer ONE"}, lines{"X-User-Id: ada", "From: ada@example.com"}},
	{"a remembered token that is handed on", options{"forwardAuthorization": true}, "GET", lines{"Authorization: Bearer ONE"}, lines{"X-User-Id: ada", "From: ada@example.com", "Authorization: Bearer ONE"}},
	{"a token without the claims", nil, "GET", lines{"Authorization: Bearer WITHOUT"}, nil},
	{"a token without memory", options{"cacheSize": 0}, "GET", lines{"Authorization: Bearer ONE"}, lines{"X-User-Id: ada", "From: ada@example.com"}},
	{"a cookie", nil, "GET", lines{"Cookie: session=ONE"}, lines{"X-User-Id: ada", "From: ada@example.com"}},
	{"a cookie without the claims", nil, "POST", lines{"Cookie: session=WITHOUT"}, nil},
	{"a token that is due", options{"renew": map[string]any{"before": "99%"}}, "GET", lines{"Authorization: Bearer DUE"}, lines{"X-User-Id: ada", "From: ada@example.com"}},
}

// eachSituation calls back in each situation with a way to send more headers, and what the service is to see of them.
func eachSituation(t *testing.T, e bothways.Engine, try func(t *testing.T, handler http.Handler, service *bothways.Spy, request func() *http.Request, seen http.Header)) {
	t.Helper()
	for _, s := range situations {
		o := options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-User-Id": "sub", "From": "email", "X-Roles": "roles"}}
		if !strings.Contains(s.name, "remembered") { // Without a cookie more headers are ordinary.
			o["cookie"] = map[string]any{"name": "session"}
		}
		handler, service := e.Middleware(t, o.With(s.options))
		full := minted.Valid().With(claims{"email": "ada@example.com"})
		placeholders := []string{
			"ONE", minted.Token(t, full), "WITHOUT", minted.Token(t, full.With(claims{"sub": nil, "email": nil})),
			"DUE", minted.Token(t, full.With(claims{"iat": time.Now().Unix() - 3000})), "FRESH", "",
		}
		n := 0
		request := func() *http.Request {
			n++
			placeholders[len(placeholders)-1] = minted.Token(t, full.With(claims{"n": n}))
			req := httptest.NewRequest(s.method, "/", nil)
			req.Header = s.sent.Header(placeholders...)
			return req
		}
		t.Run(s.name, func(t *testing.T) {
			handler.ServeHTTP(httptest.NewRecorder(), request())
			try(t, handler, service, request, s.seen.Header(placeholders...))
		})
	}
}

func TestSpoofedHeaders(t *testing.T) {
	spoofed := []string{
		"X-User-Id", "x-user-id", "X-USER-ID", "X_User_Id", "x_user_id", "X_USER_ID", "X.User.Id", "x.user.id", "X-User_Id", "X_User.Id",
		"X!User!Id", "X#User#Id", "X$User$Id", "X%User%Id", "X&User&Id", "X'User'Id", "X*User*Id", "X+User+Id", "X^User^Id", "X`User`Id",
		"X|User|Id", "X~User~Id", "X_Roles", "X-Roles", "x.roles", "From", "FROM", "from",
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		eachSituation(t, e, func(t *testing.T, handler http.Handler, service *bothways.Spy, request func() *http.Request, seen http.Header) {
			check := func(req *http.Request, name string) {
				t.Helper()
				service.Forget()
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, req)
				if service.Request() == nil {
					t.Fatalf("%s: got %d %s, want 200", name, rec.Code, rec.Body)
				}
				if !reflect.DeepEqual(service.Request().Header, seen) {
					t.Errorf("%s: got %v, want %v", name, service.Request().Header, seen)
				}
			}
			all := request()
			for _, name := range spoofed {
				req := request()
				req.Header[name] = []string{"eve", "mallory"}
				all.Header[name] = []string{""}
				check(req, name)
			}
			check(all, "all of them")
		})
	})
}

// What is no spelling of a forwarded header stays as it was sent.
func TestOtherHeadersStay(t *testing.T) {
	others := http.Header{
		"X-User": {"1"}, "X-User-Ids": {"2"}, "Xuserid": {"3"}, "X--User-Id": {"4"}, "User-Id": {"5"}, "X-User-Id-": {"6"}, "X-Role": {"7", "8"},
		"Accept": {"a", "b"}, "X-Forwarded-For": {"10.0.0.1"}, "Te": {"trailers"}, "Connection": {"keep-alive"}, "X_Other": {""}, "Referer": {"x"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		eachSituation(t, e, func(t *testing.T, handler http.Handler, service *bothways.Spy, request func() *http.Request, seen http.Header) {
			req := request()
			for name, values := range others {
				req.Header[name], seen[name] = values, values
			}
			handler.ServeHTTP(httptest.NewRecorder(), req)
			if !reflect.DeepEqual(service.Request().Header, seen) {
				t.Errorf("got %v, want %v", service.Request().Header, seen)
			}
		})
	})
}

// A header that is named in Connection is dropped on the way to the service, and a claim's must not be (RFC 9110 7.6.1).
func TestConnectionNamesClaimHeader(t *testing.T) {
	tests := []struct{ sent, seen lines }{
		{lines{"Connection: X-User-Id"}, nil},
		{lines{"Connection: x-user-id"}, nil},
		{lines{"Connection: X_User_Id,x.roles"}, nil},
		{lines{"Connection: close, X-User-Id"}, lines{"Connection: close"}},
		{lines{"Connection: X-User-Id ,Keep-Alive"}, lines{"Connection: Keep-Alive"}},
		{lines{"Connection: From", "Connection: keep-alive", "Connection: X-USER-ID, X-Other"}, lines{"Connection: keep-alive, X-Other"}},
		{lines{"Connection: keep-alive"}, lines{"Connection: keep-alive"}},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		eachSituation(t, e, func(t *testing.T, handler http.Handler, service *bothways.Spy, request func() *http.Request, seen http.Header) {
			for _, test := range tests {
				req, want := request(), seen.Clone()
				for name, values := range test.sent.Header() {
					req.Header[name] = values
				}
				for name, values := range test.seen.Header() {
					want[name] = values
				}
				service.Forget()
				rec := httptest.NewRecorder()
				handler.ServeHTTP(rec, req)
				if service.Calls() == 0 {
					t.Errorf("%v: got %d %s, want it served", test.sent, rec.Code, rec.Body)
					continue
				}
				if !reflect.DeepEqual(service.Request().Header, want) {
					t.Errorf("%v: got %v, want %v", test.sent, service.Request().Header, want)
				}
			}
		})
	})
}

// An announced trailer is a header to some services.
func TestSpoofedTrailers(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		eachSituation(t, e, func(t *testing.T, handler http.Handler, service *bothways.Spy, request func() *http.Request, _ http.Header) {
			req := request()
			req.Trailer = http.Header{"X-User-Id": nil, "X_user_id": nil, "X.roles": nil, "From": nil, "X-Other": nil}
			handler.ServeHTTP(httptest.NewRecorder(), req)
			if got, want := service.Request().Trailer, (http.Header{"X-Other": nil}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
}

// Behind a reverse proxy, as in Traefik, the service sees nothing that the client wrote: neither announced nor
// unannounced trailers, nor a claim dropped by Connection.
func TestSpoofingOverTheNetwork(t *testing.T) {
	tests := []struct {
		name    string
		request string // HOST and TOKEN are replaced
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nx_user_id: eve\r\nX-USER-ID: eve\r\n\r\n"},
		{"Connection", "GET / HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nConnection: X-User-Id, keep-alive\r\nX-User-Id: eve\r\n\r\n"},
		{"announced trailer", "POST / HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nTrailer: X-User-Id, X_User_Id\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-User-Id: eve\r\nX_User_Id: eve\r\n\r\n"},
		{"unannounced trailer", "POST / HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-User-Id: eve\r\nX_User_Id: eve\r\n\r\n"},
		{"folded line", "GET / HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\nX-Other: 1\r\n X-User-Id: eve\r\n\r\n"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var header, trailer http.Header
		service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			header, trailer = req.Header, req.Trailer
		}))
		defer service.Close()
		address, err := url.Parse(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		handler, err := e.New(context.Background(), httputil.NewSingleHostReverseProxy(address), options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-User-Id": "sub"}}, "jwt@file")
		if err != nil {
			t.Fatal(err)
		}
		gateway := httptest.NewServer(handler)
		defer gateway.Close()
		text := minted.Token(t, minted.Valid())
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for range [2]int{} {
					header, trailer = nil, nil
					conn, err := net.Dial("tcp", gateway.Listener.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.WriteString(conn, strings.NewReplacer("HOST", gateway.Listener.Addr().String(), "TOKEN", text).Replace(test.request))
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					_ = conn.Close()
					if resp.StatusCode != 200 {
						t.Fatalf("got %d, want 200", resp.StatusCode)
					}
					if got, want := strings.Join(header["X-User-Id"], "|"), "ada"; got != want {
						t.Errorf("X-User-Id: got %q, want %q", got, want)
					}
					for name := range header {
						if name != "X-User-Id" && strings.Contains(strings.ToLower(name), "user") && name != "User-Agent" {
							t.Errorf("got the header %s", name)
						}
					}
					if len(trailer) > 0 {
						t.Errorf("got the trailers %v, want none", trailer)
					}
				}
			})
		}
	})
}

// The header that is set has the configured name, in the form that Go gives it; its other spellings are removed.
func TestForwardedName(t *testing.T) {
	tests := []struct{ configured, seen string }{
		{"X-User", "X-User"},
		{"x-user", "X-User"},
		{"X_USER", "X_user"},
		{"x.user", "X.user"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		text := minted.Token(t, minted.Valid())
		for _, test := range tests {
			handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{test.configured: "sub"}})
			for range [2]int{} {
				sent := bothways.Bearer(text)
				for _, spelling := range []string{"X-User", "x-user", "X_user", "X_USER", "X.user", "X.User"} {
					sent[spelling] = []string{"eve"}
				}
				if got := bothways.Outcome(t, bothways.Send(t, handler, "GET", "/", sent, nil)); got != "served" {
					t.Fatalf("%s: got %s, want served", test.configured, got)
				}
				if got, want := service.Request().Header, (http.Header{test.seen: {"ada"}}); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v, want %v", test.configured, got, want)
				}
			}
		}
	})
}

// Over HTTP/2, where a service sees announced trailers once it has read the body.
func TestSpoofedTrailersOverHTTP2(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var body string
		var header, trailer http.Header
		service := http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			text, _ := io.ReadAll(req.Body)
			body, header, trailer = string(text), req.Header, req.Trailer
		})
		handler, err := e.New(context.Background(), service, options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-User-Id": "sub"}}, "jwt@file")
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		text := minted.Token(t, minted.Valid())
		for range [2]int{} {
			req, err := http.NewRequest(http.MethodPost, server.URL, chunked{strings.NewReader("body")})
			if err != nil {
				t.Fatal(err)
			}
			req.Header = bothways.Bearer(text)
			req.Trailer = http.Header{"X-User-Id": {"eve"}, "X_user_id": {"eve"}, "X-Other": {"1"}}
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != 2 || body != "body" || header.Get("X-User-Id") != "ada" {
				t.Fatalf("got %s %d, %q and %v, want it served", resp.Proto, resp.StatusCode, body, header)
			}
			if want := (http.Header{"X-Other": {"1"}}); !reflect.DeepEqual(trailer, want) {
				t.Errorf("got the trailers %v, want %v", trailer, want)
			}
		}
	})
}
