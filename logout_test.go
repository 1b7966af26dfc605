package slidingjwt_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

var logoutOptions = options{
	"cookie": map[string]any{"name": "session", "path": "/app", "sameSite": "Strict", "origins": []string{"https://app.example.com"}},
	"logout": map[string]any{"redirect": "/bye?a=b"},
}

const loggedOut = "session=; Path=/app; Max-Age=0; HttpOnly; Secure; SameSite=Strict"

// Requests are to http://example.com.
func TestLogout(t *testing.T) {
	tests := []struct {
		name, method string
		sent         lines
		want         string // empty: logged out
	}{
		{"link", "GET", lines{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate"}, ""},
		{"typed", "GET", lines{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}, ""},
		{"without a cookie", "GET", lines{"Sec-Fetch-Site: same-origin", "Cookie: other=1"}, ""},
		{"with a bearer token", "GET", lines{"Sec-Fetch-Site: same-origin", "Authorization: Bearer x"}, ""},
		{"link from another site", "GET", lines{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1"}, "403 cross_site"},
		{"image of another site", "GET", lines{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, "403 cross_site"},
		{"image of a sibling", "GET", lines{"Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: image"}, "403 cross_site"},
		{"image in an old browser", "GET", lines{"Referer: https://evil.example/"}, "403 cross_site"},
		{"GET with the own origin alone", "GET", lines{"Origin: http://example.com"}, "403 cross_site"},
		{"GET from a listed origin", "GET", lines{"Sec-Fetch-Site: same-site", "Origin: https://app.example.com"}, "403 cross_site"},
		{"GET with the header twice", "GET", lines{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"}, "403 cross_site"},
		{"GET with two in one", "GET", lines{"Sec-Fetch-Site: same-origin, cross-site"}, "403 cross_site"},
		{"GET in another spelling", "GET", lines{"Sec-Fetch-Site: Same-Origin"}, "403 cross_site"},
		{"GET with an empty one", "GET", lines{"Sec-Fetch-Site: "}, "403 cross_site"},
		{"form", "POST", lines{"Sec-Fetch-Site: same-origin", "Origin: http://example.com"}, ""},
		{"form in an old browser", "POST", lines{"Origin: http://example.com"}, ""},
		{"no browser", "POST", nil, ""},
		{"fetch from a listed origin", "POST", lines{"Sec-Fetch-Site: same-site", "Origin: https://app.example.com"}, ""},
		{"form of another site", "POST", lines{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, "403 cross_site"},
		{"form of another site in an old browser", "POST", lines{"Origin: https://evil.example"}, "403 cross_site"},
		{"form of a sandbox", "POST", lines{"Origin: null"}, "403 cross_site"},
		{"fetch from a sibling", "POST", lines{"Sec-Fetch-Site: same-site", "Origin: https://other.example.com"}, "403 cross_site"},
		{"form of the http site", "POST", lines{"X-Forwarded-Proto: https", "Origin: http://example.com"}, "403 cross_site"},
		{"HEAD", "HEAD", lines{"Sec-Fetch-Site: same-origin"}, "405"},
		{"PUT", "PUT", lines{"Sec-Fetch-Site: same-origin"}, "405 method_not_allowed"},
		{"DELETE", "DELETE", lines{"Sec-Fetch-Site: same-origin"}, "405 method_not_allowed"},
		{"a preflight", "OPTIONS", lines{"Origin: https://app.example.com", "Access-Control-Request-Method: POST"}, "405 method_not_allowed"},
		{"a method in lower case", "get", lines{"Sec-Fetch-Site: same-origin"}, "405 method_not_allowed"},
		{"an override", "POST", lines{"Sec-Fetch-Site: cross-site", "X-HTTP-Method-Override: GET"}, "403 cross_site"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, logoutOptions)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				sent := test.sent.Header()
				if sent["Cookie"] == nil {
					sent["Cookie"] = []string{"session=" + minted.Token(t, minted.Due())}
				}
				rec := bothways.Send(t, handler, test.method, "/logout?next=//evil.example", sent, nil)
				if test.want == "" {
					checkResponse(t, rec, 303, http.Header{"Location": {"/bye?a=b"}, "Set-Cookie": {loggedOut}, "Cache-Control": {"no-store"}})
					return
				}
				h := rec.Header()
				if got := bothways.Outcome(t, rec); got != test.want || h["Set-Cookie"] != nil || h["Location"] != nil || h.Get("Cache-Control") != "no-store" {
					t.Errorf("got %s and %v, want %s", got, h, test.want)
				}
				if isMethod := strings.HasPrefix(test.want, "405"); isMethod != (h.Get("Allow") == "GET, POST") {
					t.Errorf("got Allow %q", h.Get("Allow"))
				}
			})
		}
		if service.Calls() > 0 {
			t.Errorf("the service was called %d times, want never", service.Calls())
		}
	})
}

func TestLogoutRedirect(t *testing.T) {
	tests := []struct {
		redirect string
		want     string // Location; or why it is refused, behind "refused: "
	}{
		{"none", ""},
		{"/", "/"},
		{"/a/b?c=d#e", "/a/b?c=d#e"},
		{"/a//b", "/a//b"},
		{"/a?b=//c", "/a?b=//c"},
		{"/%5Cevil.example", "/%5Cevil.example"},
		{"https://auth.example/logout?client_id=a", "https://auth.example/logout?client_id=a"},
		{"http://[::1]:8080/", "http://[::1]:8080/"},
		{"//evil.example", `refused: logout.redirect: "//evil.example" begins with two slashes`},
		{"///evil.example", `refused: logout.redirect: "///evil.example" begins with two slashes`},
		{`/\evil.example`, `refused: logout.redirect: "/\\evil.example" holds`},
		{`\/evil.example`, `refused: logout.redirect: "\\/evil.example" holds`},
		{"https://good.example\\@evil.example", "refused: logout.redirect: "},
		{"/\t/evil.example", `refused: logout.redirect: "/\t/evil.example" holds`},
		{"/\r\nSet-Cookie: a=b", "refused: logout.redirect: "},
		{" /a", "refused: logout.redirect: "},
		{"/a b", "refused: logout.redirect: "},
		{"/\u00e9", "refused: logout.redirect: "},
		{"/\u0085", "refused: logout.redirect: "},
		{"bye", `refused: logout.redirect: "bye" is neither an absolute http(s) URL nor a path`},
		{"None", "refused: logout.redirect: "},
		{"?a=b", "refused: logout.redirect: "},
		{"javascript:alert(1)", "refused: logout.redirect: "},
		{"data:text/html,x", "refused: logout.redirect: "},
		{"ftp://a.example/", "refused: logout.redirect: "},
		{"https:/evil.example", "refused: logout.redirect: "},
		{"https:evil.example", "refused: logout.redirect: "},
		{"https:///evil.example", "refused: logout.redirect: "},
		{"https://good.example@evil.example/", "refused: logout.redirect: "},
		{"https://user:secret@good.example/", "refused: logout.redirect: "},
		{"https://:80/", "refused: logout.redirect: "},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			o := options{"cookie": map[string]any{"name": "session"}, "logout": map[string]any{"redirect": test.redirect}}
			if problem, isRefused := strings.CutPrefix(test.want, "refused: "); isRefused {
				if err := e.Refusal(o); err == nil || !strings.Contains(err.Error(), problem) {
					t.Errorf("%q: got %v, want %q", test.redirect, err, problem)
				}
				continue
			}
			handler, _ := e.Middleware(t, o)
			rec := bothways.Send(t, handler, "GET", "/", http.Header{"Sec-Fetch-Site": {"same-origin"}}, nil)
			want, status := http.Header{"Set-Cookie": {"session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}, "Cache-Control": {"no-store"}}, 204
			if test.want != "" {
				want["Location"], status = []string{test.want}, 303
			}
			checkResponse(t, rec, status, want)
		}
	})
}

func TestLogoutOptions(t *testing.T) {
	tests := []struct {
		name    string
		options options
		want    string
	}{
		{"no cookie", options{"cookie": nil}, "logout: needs cookie.name"},
		{"scopes", options{"scopes": []string{"a"}}, "logout: cannot be combined with scopes"},
		{"claims", options{"claims": "Equals(`a`, `b`)"}, "logout: cannot be combined with claims"},
		{"maxAge", options{"maxAge": "5m"}, "logout: cannot be combined with maxAge"},
		{"acr", options{"acr": "gold"}, "logout: cannot be combined with acr"},
		{"loginUrl", options{"loginUrl": "/login"}, "logout: cannot be combined with loginUrl"},
		{"endStreams", options{"endStreams": "token"}, "logout: cannot be combined with endStreams"},
		{"forwardHeaders", options{"forwardHeaders": map[string]any{"X-A": "a"}}, "logout: cannot be combined with forwardHeaders"},
		{"publishJwks", options{"publishJwks": true}, "logout: cannot be combined with publishJwks"},
		{"an unknown option", options{"logout": map[string]any{"redirect": "/", "redirectUrl": "/"}}, `unknown option "logout.redirectUrl"`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			if err := e.Refusal(logoutOptions.With(test.options)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %q", test.name, err, test.want)
			}
		}
	})
}
