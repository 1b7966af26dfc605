package request_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

func TestIsCrossSite(t *testing.T) {
	tests := []struct {
		method, host string
		headers      string // "Name: value" lines
		isTLS        bool
		want         bool
	}{
		{method: "GET", headers: "Origin: https://b.example\nSec-Fetch-Site: cross-site"},
		{method: "HEAD", headers: "Sec-Fetch-Site: cross-site"},
		{method: "GET", headers: "Sec-Fetch-Site: cross-site\nUpgrade: websocket", want: true},
		{method: "GET", headers: "Origin: https://b.example\nUpgrade: websocket", want: true},
		{method: "POST"},
		{method: "POST", headers: "Sec-Fetch-Site: same-origin"},
		{method: "POST", headers: "Sec-Fetch-Site: none"},
		{method: "POST", headers: "Sec-Fetch-Site: same-site", want: true},
		{method: "POST", headers: "Sec-Fetch-Site: cross-site", want: true},
		{method: "POST", headers: "Sec-Fetch-Site: ", want: true},
		{method: "POST", headers: "Sec-Fetch-Site: Same-Origin", want: true},
		{method: "POST", headers: "Sec-Fetch-Site: none\nSec-Fetch-Site: none", want: true},
		{method: "POST", headers: "Origin: https://a.example\nOrigin: https://a.example", want: true},
		{method: "get", headers: "Sec-Fetch-Site: cross-site", want: true},
		// Sec-Fetch-Site counts before Origin.
		{method: "POST", headers: "Sec-Fetch-Site: same-origin\nOrigin: https://b.example"},
		{method: "POST", headers: "Sec-Fetch-Site: cross-site\nOrigin: http://a.example", want: true},
		// A listed origin counts before both.
		{method: "POST", headers: "Sec-Fetch-Site: cross-site\nOrigin: https://listed.example"},
		{method: "POST", headers: "Origin: https://listed.example:443", want: true},
		{method: "POST", headers: "Origin: http://a.example"},
		{method: "POST", headers: "Origin: http://A.example:80"},
		{method: "POST", headers: "Origin: http://a.example:81", want: true},
		{method: "POST", headers: "Origin: https://a.example", want: true},
		{method: "POST", headers: "Origin: https://a.example", isTLS: true},
		{method: "POST", headers: "Origin: http://a.example", isTLS: true, want: true},
		{method: "POST", headers: "Origin: https://a.example\nX-Forwarded-Proto: https"},
		{method: "POST", headers: "Origin: http://a.example\nX-Forwarded-Proto: https", want: true},
		{method: "POST", headers: "Origin: https://a.example\nX-Forwarded-Proto: wss\nUpgrade: websocket"},
		{method: "POST", headers: "Origin: http://a.example\nX-Forwarded-Proto: ws\nUpgrade: websocket"},
		{method: "POST", headers: "Origin: http://a.example\nX-Forwarded-Proto: http\nX-Forwarded-Proto: http", want: true},
		{method: "POST", headers: "Origin: http://a.example\nX-Forwarded-Proto: gopher", want: true},
		{method: "POST", headers: "Origin: ://:\nX-Forwarded-Proto: gopher", want: true},
		{method: "POST", headers: "Origin: null", want: true},
		{method: "POST", headers: "Origin: ", want: true},
		{method: "POST", headers: "Origin: http://a.example/", want: true},
		{method: "POST", headers: "Origin: http://eve@a.example", want: true},
		{method: "POST", headers: "Origin: http://a.example.b.example", want: true},
		{method: "POST", headers: "Origin: http://%zz", want: true},
		{method: "POST", headers: "Origin: http://" + strings.Repeat("a", 300), want: true},
		{method: "POST", host: "a.example:8443", headers: "Origin: https://a.example:8443\nX-Forwarded-Proto: https"},
		{method: "POST", host: "a.example:8443", headers: "Origin: https://a.example\nX-Forwarded-Proto: https", want: true},
		{method: "POST", host: "[::1]", headers: "Origin: http://[::1]"},
	}
	for _, test := range tests {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Method, req.Host = test.method, "a.example"
		if test.host != "" {
			req.Host = test.host
		}
		if test.isTLS {
			req.TLS = &tls.ConnectionState{}
		}
		for _, line := range strings.Split(test.headers, "\n") {
			if name, value, isHeader := strings.Cut(line, ": "); isHeader {
				req.Header[name] = append(req.Header[name], value)
			}
		}
		if got := request.IsCrossSite(req, map[string]bool{"https://listed.example": true}); got != test.want {
			t.Errorf("%s %s, TLS %t, %q: got %t, want %t", test.method, req.Host, test.isTLS, test.headers, got, test.want)
		}
	}
}

func TestHostPort(t *testing.T) {
	for text, want := range map[string]string{
		"http://a.example": "a.example:80", "https://A.Example/x": "a.example:443", "https://a.example:444": "a.example:444", "https://[::1]": "::1:443", "ftp://a.example": "a.example:", "http://a.example:": "a.example:80",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := request.HostPort(u); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestDropTunnel(t *testing.T) {
	tests := []struct {
		upgrade []string
		stays   bool
	}{
		{nil, true}, {[]string{"websocket"}, true}, {[]string{"WebSocket"}, true}, {[]string{"h2c"}, false}, {[]string{"websocket, h2c"}, false}, {[]string{"websocket", "websocket"}, false}, {[]string{""}, false},
	}
	for _, test := range tests {
		h := http.Header{"Http2-Settings": {"AAMAAABk"}, "Connection": {"Upgrade"}}
		if test.upgrade != nil {
			h["Upgrade"] = test.upgrade
		}
		before := h.Clone()
		if !test.stays {
			delete(before, "Upgrade")
			delete(before, "Http2-Settings")
		}
		request.DropTunnel(h)
		if !reflect.DeepEqual(h, before) {
			t.Errorf("%q: got %v, want %v", test.upgrade, h, before)
		}
	}
}

func TestIsPreflight(t *testing.T) {
	preflight := func(change func(req *http.Request)) *http.Request {
		req := httptest.NewRequest(http.MethodOptions, "/", nil)
		req.Header = http.Header{"Origin": {"https://b.example"}, "Access-Control-Request-Method": {"PUT"}}
		change(req)
		return req
	}
	tests := []struct {
		name   string
		change func(req *http.Request)
		want   bool
	}{
		{"as it is", func(*http.Request) {}, true},
		{"GET", func(req *http.Request) { req.Method = http.MethodGet }, false},
		{"options", func(req *http.Request) { req.Method = "options" }, false},
		{"without Origin", func(req *http.Request) { delete(req.Header, "Origin") }, false},
		{"two of Origin", func(req *http.Request) { req.Header.Add("Origin", "null") }, false},
		{"without a method", func(req *http.Request) { delete(req.Header, "Access-Control-Request-Method") }, false},
		{"two methods", func(req *http.Request) { req.Header.Add("Access-Control-Request-Method", "GET") }, false},
		{"with a body", func(req *http.Request) { req.ContentLength = 1 }, false},
		{"with a body of unknown length", func(req *http.Request) { req.ContentLength = -1 }, false},
		{"with an upgrade", func(req *http.Request) { req.Header.Set("Upgrade", "websocket") }, false},
	}
	for _, test := range tests {
		if got := request.IsPreflight(preflight(test.change)); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}
