package slidingjwt_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

var loginOptions = sourceOptions.With(options{"loginUrl": "https://auth.example/login?back={url}&x=1"})

const loginStart, loginEnd = "https://auth.example/login?back=", "&x=1"

// Whom it sends to the login: requests are for http://example.com/a?b=c.
func TestLoginNavigation(t *testing.T) {
	const back = "http://example.com/a?b=c"
	tests := []struct {
		name, method string
		sent         lines
		want         string // what a refusal is; empty: sent to the login
	}{
		{"a navigation", "GET", lines{"Sec-Fetch-Mode: navigate", "Accept: text/html,*/*;q=0.8"}, ""},
		{"a navigation that wants anything", "GET", lines{"Sec-Fetch-Mode: navigate", "Accept: */*"}, ""},
		{"a frame", "GET", lines{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, ""},
		{"an expired bearer token", "GET", lines{"Sec-Fetch-Mode: navigate", "Authorization: Bearer EXPIRED"}, ""},
		{"an expired cookie", "GET", lines{"Sec-Fetch-Mode: navigate", "Cookie: session=EXPIRED"}, ""},
		{"an old browser", "GET", lines{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, ""},
		{"HTML last", "GET", lines{"Accept: application/json, TEXT/HTML ;q=0.1"}, ""},
		{"HTML in a second line", "GET", lines{"Accept: application/json", "Accept: text/html"}, ""},
		{"HTML of some level", "GET", lines{"Accept: text/html;level=1;q=0,text/html;level=2"}, ""},
		{"HTML with a weight like 0", "GET", lines{"Accept: text/html;q=0.01"}, ""},
		{"a script", "GET", lines{"Sec-Fetch-Mode: cors", "Accept: text/html"}, "401 token_missing"},
		{"an image", "GET", lines{"Sec-Fetch-Mode: no-cors", "Accept: text/html"}, "401 token_missing"},
		{"a WebSocket", "GET", lines{"Sec-Fetch-Mode: websocket", "Upgrade: websocket", "Connection: Upgrade"}, "401 token_missing"},
		{"a WebSocket that wants HTML", "GET", lines{"Accept: text/html", "Upgrade: websocket", "Connection: Upgrade"}, "401 token_missing"},
		{"the mode twice", "GET", lines{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: navigate", "Accept: text/html"}, "401 token_missing"},
		{"two modes in one", "GET", lines{"Sec-Fetch-Mode: navigate, cors", "Accept: text/html"}, "401 token_missing"},
		{"an empty mode", "GET", lines{"Sec-Fetch-Mode: ", "Accept: text/html"}, "401 token_missing"},
		{"nothing that says so", "GET", nil, "401 token_missing"},
		{"anything", "GET", lines{"Accept: */*"}, "401 token_missing"},
		{"any text", "GET", lines{"Accept: text/*"}, "401 token_missing"},
		{"HTML is what is not wanted", "GET", lines{"Accept: text/html;q=0, */*"}, "401 token_missing"},
		{"HTML is what is not wanted, in full", "GET", lines{"Accept: application/json, text/html ; q=0.000 ; a=b"}, "401 token_missing"},
		{"HTML in a parameter", "GET", lines{`Accept: application/json;profile="text/html"`}, "401 token_missing"},
		{"a name that begins so", "GET", lines{"Accept: text/html5, xtext/html"}, "401 token_missing"},
		{"HTML in a long list", "GET", lines{"Accept: " + strings.Repeat("a/b,", 300) + "text/html"}, "401 token_missing"},
		{"a form", "POST", lines{"Sec-Fetch-Mode: navigate", "Accept: text/html"}, "401 token_missing"},
		{"HEAD", "HEAD", lines{"Sec-Fetch-Mode: navigate", "Accept: text/html"}, "401"},
		{"two tokens", "GET", lines{"Sec-Fetch-Mode: navigate", "Cookie: session=a; session=b"}, "400 multiple_tokens"},
		{"a scope", "GET", lines{"Sec-Fetch-Mode: navigate", "Cookie: session=GOOD"}, "403 insufficient_scope"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, loginOptions.With(options{"scopes": []string{"admin"}}))
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				sent := test.sent.Header("EXPIRED", minted.Token(t, claims{"exp": 1000}), "GOOD", minted.Token(t, minted.Valid()))
				rec := bothways.Send(t, handler, test.method, "/a?b=c", sent, nil)
				if test.want != "" {
					if got := bothways.Outcome(t, rec); got != test.want || rec.Header()["Location"] != nil {
						t.Errorf("got %s and %v, want %s", got, rec.Header(), test.want)
					}
					return
				}
				want := http.Header{"Location": {loginStart + url.QueryEscape(back) + loginEnd}, "Cache-Control": {"no-store"}}
				if sent["Cookie"] != nil { // It can never be accepted again.
					want["Set-Cookie"] = []string{"session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}
				}
				checkResponse(t, rec, 302, want)
			})
		}
		if service.Calls() > 0 {
			t.Errorf("the service was called %d times, want never", service.Calls())
		}
		unavailable, _ := e.Middleware(t, loginOptions.With(options{"signingSecret": "./missing/secret"}))
		rec := bothways.Send(t, unavailable, "GET", "/", lines{"Sec-Fetch-Mode: navigate", "Cookie: session=GOOD"}.Header("GOOD", minted.Token(t, minted.Valid())), nil)
		if got := bothways.Outcome(t, rec); got != "503 keys_unavailable" {
			t.Errorf("without keys: got %s, want 503 keys_unavailable", got)
		}
		call := bothways.Call(t, handler, "application/grpc", "/a.B/C", lines{"Sec-Fetch-Mode: navigate", "Accept: text/html"}.Header())
		if got := bothways.Outcome(t, call); got != "gRPC 16" {
			t.Errorf("a gRPC call: got %s, want gRPC 16", got)
		}
	})
}

// What stands for {url}: nothing in a request makes it anything but one encoded value.
func TestLoginWayBack(t *testing.T) {
	long := strings.Repeat("x", 3000)
	tests := []struct {
		name, target, host string
		sent               lines
		want               string // empty: it is not told, and the refusal a 401
	}{
		{"a path", "/a/b", "app.example", nil, "http://app.example/a/b"},
		{"a port", "/", "app.example:8443", lines{"X-Forwarded-Proto: https"}, "https://app.example:8443/"},
		{"IPv6", "/", "[2001:db8::1]:80", nil, "http://[2001:db8::1]:80/"},
		{"a query", "/a?b=c&d=%26&e", "app.example", nil, "http://app.example/a?b=c&d=%26&e"},
		{"a plus", "/a+b?c+d", "app.example", nil, "http://app.example/a+b?c+d"},
		{"an encoded path", "/a%2Fb%20c%0d%0aX", "app.example", nil, "http://app.example/a%2Fb%20c%0d%0aX"},
		{"the token's parameter", "/a?x=1&access_token=EXPIRED&y=2", "app.example", nil, "http://app.example/a?x=1&y=2"},
		{"the token's parameter alone", "/a?access_token=EXPIRED", "app.example", nil, "http://app.example/a"},
		{"the token's parameter, encoded", "/a?%61ccess_token=EXPIRED&y=2", "app.example", nil, "http://app.example/a?y=2"},
		{"more like it than are looked at", "/a?" + strings.Repeat("%61=1&", 60) + "b=c", "app.example", nil, ""}, // 400
		{"two slashes", "//evil.example/x", "app.example", nil, "http://app.example//evil.example/x"},
		{"a backslash", `/\evil.example`, "app.example", nil, "http://app.example/%5Cevil.example"},
		{"another value", "/?a=1%26x=2&back=https://evil.example", "app.example", nil, "http://app.example/?a=1%26x=2&back=https://evil.example"},
		{"https", "/", "app.example", lines{"X-Forwarded-Proto: https"}, "https://app.example/"},
		{"wss", "/", "app.example", lines{"X-Forwarded-Proto: wss"}, "https://app.example/"},
		{"a long one", "/" + long + "?" + long, "app.example", nil, "http://app.example/"},
		{"a forwarded host", "/", "app.example", lines{"X-Forwarded-Host: evil.example"}, "http://app.example/"},
		{"a scheme that is a script", "/", "app.example", lines{"X-Forwarded-Proto: javascript"}, ""},
		{"a scheme with a host", "/", "app.example", lines{"X-Forwarded-Proto: https://evil.example/?"}, ""},
		{"two schemes", "/", "app.example", lines{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, ""},
		{"two schemes in one", "/", "app.example", lines{"X-Forwarded-Proto: https, http"}, ""},
		{"an empty scheme", "/", "app.example", lines{"X-Forwarded-Proto: "}, ""},
		{"userinfo in the host", "/", "app.example@evil.example", nil, ""},
		{"a password in the host", "/", "a:b@evil.example", nil, ""},
		{"a slash in the host", "/", "evil.example/app.example", nil, ""},
		{"a backslash in the host", "/", `evil.example\.app.example`, nil, ""},
		{"a fragment in the host", "/", "evil.example#app.example", nil, ""},
		{"an encoded slash in the host", "/", "evil.example%2f.app.example", nil, ""},
		{"a line end in the host", "/", "app.example\r\nLocation: x", nil, ""},
		{"a tab in the host", "/", "app\t.example", nil, ""},
		{"letters beyond ASCII in the host", "/", "ex\u00e4mple", nil, ""},
		{"a wide dot in the host", "/", "evil\u3002example", nil, ""},
		{"a semicolon in the host", "/", "app.example;x", nil, ""},
		{"no port in the host", "/", "app.example:", nil, ""},
		{"a port that is no number", "/", "app.example:80x", nil, ""},
		{"a broken bracket", "/", "[::1", nil, ""},
		{"no host", "/", "", nil, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, loginOptions)
		inPath, _ := e.Middleware(t, loginOptions.With(options{"loginUrl": "/login/{url}#{url}"}))
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				target := strings.ReplaceAll(test.target, "EXPIRED", minted.Token(t, claims{"exp": 1000}))
				answers := []*httptest.ResponseRecorder{}
				for _, h := range []http.Handler{handler, inPath} {
					req := httptest.NewRequest("GET", target, nil)
					req.Host = test.host
					for name, values := range test.sent.Header() {
						req.Header[name] = values
					}
					req.Header["Sec-Fetch-Mode"] = []string{"navigate"}
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, req)
					answers = append(answers, rec)
				}
				if test.want == "" {
					if got := answers[0]; got.Code != 401 && got.Code != 400 || got.Header()["Location"] != nil {
						t.Errorf("got %d to %q, want a refusal", got.Code, got.Header()["Location"])
					}
					return
				}
				location := answers[0].Header().Get("Location")
				value, hasEnds := strings.CutSuffix(strings.TrimPrefix(location, loginStart), loginEnd)
				got, err := url.QueryUnescape(value)
				if got != test.want || !hasEnds || err != nil || strings.ContainsAny(value, "/:?&#@+ \\\r\n") {
					t.Errorf("got %q, %q in it, want %q", location, got, test.want)
				}
				if got := answers[1].Header().Get("Location"); got != "/login/"+value+"#"+value {
					t.Errorf("in a path and a fragment: got %q, want %q", got, "/login/"+value+"#"+value)
				}
			})
		}
	})
}

// Without {url} nothing of the request is in it, so nothing of it matters.
func TestLoginWithoutWayBack(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, loginOptions.With(options{"loginUrl": "/login"}))
		rec := bothways.Send(t, handler, "GET", "/a?b", lines{"Sec-Fetch-Mode: navigate", "X-Forwarded-Proto: x"}.Header(), nil)
		checkResponse(t, rec, 302, http.Header{"Location": {"/login"}, "Cache-Control": {"no-store"}})
		optional, service := e.Middleware(t, loginOptions.With(options{"loginUrl": "/login", "optional": true}))
		if rec := bothways.Send(t, optional, "GET", "/", lines{"Sec-Fetch-Mode: navigate"}.Header(), nil); rec.Code != 200 || service.Calls() != 1 {
			t.Errorf("optional: got %d and %d calls, want the service's answer", rec.Code, service.Calls())
		}
	})
}

func TestLoginOptions(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, good := range []string{"/login", "/login?a={url}&b={url}", "/{url}", "https://auth.example", "https://auth.example?{url}", "https://auth.example/#/login/{url}"} {
			if err := e.Refusal(options{"signingSecret": minted.Secret, "loginUrl": good}); err != nil {
				t.Errorf("%q: got %v, want nothing", good, err)
			}
		}
		for bad, want := range map[string]string{
			"{url}":                         `loginUrl: "{url}" is neither an absolute http(s) URL nor a path`,
			"https://{url}/":                `loginUrl: "https://{url}/" is neither`,
			"https://a.{url}/":              "loginUrl: ",
			"https://a.example:{url}/":      "loginUrl: ",
			"https://{url}@a.example/":      "loginUrl: ",
			"{url}://a.example/":            "loginUrl: ",
			"//{url}":                       `loginUrl: "//{url}" begins with two slashes`,
			"//auth.example/login":          "loginUrl: ",
			`/\auth.example`:                "loginUrl: ",
			"/login?back={URL}":             `loginUrl: "/login?back={URL}" contains braces other than {url}`,
			"/login?back={uri}":             "loginUrl: ",
			"/login?back={{url}}":           "loginUrl: ",
			"/login?back={url":              "loginUrl: ",
			"/login?{{url}url}":             "loginUrl: ",
			"login":                         "loginUrl: ",
			"javascript:alert('{url}')":     "loginUrl: ",
			"/login\r\nSet-Cookie: a=b":     "loginUrl: ",
			"https://u:p@auth.example/":     "loginUrl: ",
			"https://auth.example/?back= a": "loginUrl: ",
		} {
			if err := e.Refusal(options{"signingSecret": minted.Secret, "loginUrl": bad}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", bad, err, want)
			}
		}
		for _, role := range []options{{"publishJwks": true, "privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "P-256"))}, {"issue": map[string]any{"header": "X-Claims"}}} {
			if err := e.Refusal(role.With(options{"signingSecret": minted.Secret, "loginUrl": "/login"})); err == nil || !strings.Contains(err.Error(), "cannot be combined with loginUrl") {
				t.Errorf("%v: got %v", role, err)
			}
		}
	})
}
