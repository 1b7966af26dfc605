package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// seen is a request as the service got it.
type seen struct {
	URI    string
	Header http.Header
	Body   string
}

// mirror is a service that answers with the request that it got. A header Answer-With has headers of
// the answer, one a line.
func mirror(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		for _, line := range req.Header.Values("Answer-With") {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Add(name, value)
		}
		_ = json.NewEncoder(w).Encode(seen{req.RequestURI, req.Header, string(body)}) // The client has gone.
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSources shows, for each way that a token can come, what the service sees and how a renewed one goes back.
func TestSources(t *testing.T) {
	secret := rand.Text() + rand.Text()
	options := func(further map[string]any) map[string]any {
		all := map[string]any{
			"signingSecret":  secret,
			"tokenKey":       "access_token",
			"cookie":         map[string]any{"name": "session", "secure": false},
			"forwardHeaders": map[string]any{"X-User-Id": "sub"},
			"renew":          map[string]any{"before": "50%"},
		}
		for name, option := range further {
			all[name] = option
		}
		return map[string]any{"plugin": map[string]any{"slidingjwt": all}}
	}
	router := func(prefix, middleware string) map[string]any {
		return map[string]any{"rule": "PathPrefix(`" + prefix + "`)", "middlewares": []string{middleware}, "service": "mirror"}
	}
	g := startGateway(t, gateway.Options{Dynamic: map[string]any{"http": map[string]any{
		"routers":     map[string]any{"api": router("/api", "session"), "raw": router("/raw", "forwarding")},
		"middlewares": map[string]any{"session": options(nil), "forwarding": options(map[string]any{"forwardAuthorization": true})},
		"services": map[string]any{"mirror": map[string]any{"loadBalancer": map[string]any{
			"servers": []any{map[string]any{"url": mirror(t)}},
		}}},
	}}})

	mint := func(subject string, age time.Duration) string {
		now := time.Now().Add(-age)
		claims := jwt.MapClaims{"sub": subject, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, claims), []byte(secret))
	}
	token, other, expired := mint("ada", 50*time.Minute), mint("eve", 0), mint("ada", 2*time.Hour)
	bearer, cookie := "Bearer "+token, "session="+token

	large := strings.Repeat("x", 1<<20)
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name   string
		method string
		uri    string // "/api/" if empty
		header map[string]string
		body   string
		// What the service sees; "" for a header is none.
		wantURI    string // the same as uri if empty
		wantHeader map[string]string
		// The ways that a renewed token comes back by.
		wantBearer, wantCookie bool
	}{
		{
			name:       "header",
			header:     map[string]string{"Authorization": bearer},
			wantHeader: map[string]string{"Authorization": ""},
			wantBearer: true,
		},
		{
			name:       "header, scheme in another case",
			header:     map[string]string{"Authorization": "bearer " + token},
			wantHeader: map[string]string{"Authorization": ""},
			wantBearer: true,
		},
		{
			name:       "cookie, among others",
			header:     map[string]string{"Cookie": "a=1; " + cookie + "; b=2"},
			wantHeader: map[string]string{"Cookie": "a=1; b=2"},
			wantCookie: true,
		},
		{
			name:       "cookie alone",
			header:     map[string]string{"Cookie": cookie},
			wantHeader: map[string]string{"Cookie": ""},
			wantCookie: true,
		},
		{
			name:       "cookie of a same-site write",
			method:     http.MethodPost,
			header:     map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "same-origin"},
			wantHeader: map[string]string{"Cookie": ""},
			wantCookie: true,
		},
		{
			name:    "query, with the rest as it was",
			uri:     "/api/a%2Fb/?x=%41&access_token=" + token + "&y=a+b&&z",
			wantURI: "/api/a%2Fb/?x=%41&y=a+b&&z",
		},
		{
			name:    "query alone",
			uri:     "/api/?access_token=" + token,
			wantURI: "/api/",
		},
		{
			name:       "form",
			method:     http.MethodPost,
			header:     map[string]string{"Content-Type": form},
			body:       "x=1&access_token=" + token + "&y=2",
			wantBearer: true,
		},
		{
			name:       "form of a megabyte, chunked",
			method:     http.MethodPost,
			header:     map[string]string{"Content-Type": form + "; charset=utf-8", "Transfer-Encoding": "chunked"},
			body:       "access_token=" + token + "&large=" + large,
			wantBearer: true,
		},
		{
			name:       "header and cookie",
			header:     map[string]string{"Authorization": bearer, "Cookie": cookie},
			wantHeader: map[string]string{"Authorization": "", "Cookie": ""},
			wantBearer: true,
			wantCookie: true,
		},
		{
			name:       "header, with a form that is not read",
			method:     http.MethodPost,
			header:     map[string]string{"Authorization": bearer, "Content-Type": form},
			body:       "access_token=" + other,
			wantHeader: map[string]string{"Authorization": ""},
			wantBearer: true,
		},
		{
			name:       "cookie, with another scheme's header",
			header:     map[string]string{"Authorization": "Basic YTpi", "Cookie": cookie},
			wantHeader: map[string]string{"Authorization": "Basic YTpi", "Cookie": ""},
			wantCookie: true,
		},
		{
			name:       "header, forwarded",
			uri:        "/raw/",
			header:     map[string]string{"Authorization": bearer},
			wantHeader: map[string]string{"Authorization": bearer},
			wantBearer: true,
		},
		{
			name:       "cookie and query, forwarded",
			uri:        "/raw/?access_token=" + token,
			header:     map[string]string{"Cookie": cookie},
			wantHeader: map[string]string{"Cookie": cookie},
			wantCookie: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.uri == "" {
				test.uri = "/api/"
			}
			if test.wantURI == "" {
				test.wantURI = test.uri
			}
			resp := ask(t, g.URL(), test.method, test.uri, test.header, test.body)
			var got seen
			if err := json.Unmarshal([]byte(resp.body), &got); err != nil || resp.status != http.StatusOK {
				t.Fatalf("got %d %.300q, want 200", resp.status, resp.body)
			}
			if got.URI != test.wantURI {
				t.Errorf("the service got URI %q, want %q", got.URI, test.wantURI)
			}
			if got.Body != test.body {
				t.Errorf("the service got a body of %d bytes, %.100q, want all %d", len(got.Body), got.Body, len(test.body))
			}
			if id := got.Header.Values("X-User-Id"); !slices.Equal(id, []string{"ada"}) {
				t.Errorf("the service got X-User-Id %q, want ada", id)
			}
			for name, want := range test.wantHeader {
				if value := strings.Join(got.Header.Values(name), "|"); value != want {
					t.Errorf("the service got %s %q, want %q", name, value, want)
				}
			}
			if !strings.HasPrefix(test.uri, "/raw/") && strings.Contains(got.URI+headerText(got.Header), token) {
				t.Errorf("the service got the token: %s %v", got.URI, got.Header)
			}
			if renewed := resp.renewed() != ""; renewed != test.wantBearer {
				t.Errorf("a renewed token in Authorization: got %t, want %t", renewed, test.wantBearer)
			}
			set := resp.header.Get("Set-Cookie")
			if renewed := strings.HasPrefix(set, "session=ey"); renewed != test.wantCookie {
				t.Errorf("a renewed token in Set-Cookie: got %q, want one: %t", set, test.wantCookie)
			}
			if renewed := resp.header.Get("Token-Expires-In") != ""; renewed != (test.wantBearer || test.wantCookie) {
				t.Errorf("got Token-Expires-In %q", resp.header.Get("Token-Expires-In"))
			}
		})
	}

	refused := []struct {
		name   string
		method string
		uri    string
		header map[string]string
		body   string
		status int
		code   string
		clears bool // the cookie
	}{
		{name: "two tokens, header and cookie", header: map[string]string{"Authorization": "Bearer " + other, "Cookie": cookie}, status: 400, code: "multiple_tokens"},
		{name: "two tokens, cookie and query", uri: "/api/?access_token=" + other, header: map[string]string{"Cookie": cookie}, status: 400, code: "multiple_tokens"},
		{name: "two cookies", header: map[string]string{"Cookie": cookie + "; session=" + other}, status: 400, code: "multiple_tokens"},
		{name: "two fields", method: http.MethodPost, header: map[string]string{"Content-Type": form}, body: "access_token=" + other + "&access_token=" + token, status: 400, code: "multiple_tokens"},
		{name: "empty cookie", header: map[string]string{"Cookie": "session="}, status: 401, code: "token_missing"},
		{name: "field behind 64 KiB", method: http.MethodPost, header: map[string]string{"Content-Type": form}, body: "large=" + large + "&access_token=" + token, status: 401, code: "token_missing"},
		{name: "JSON body", method: http.MethodPost, header: map[string]string{"Content-Type": "application/json"}, body: "access_token=" + token, status: 401, code: "token_missing"},
		{name: "expired header", header: map[string]string{"Authorization": "Bearer " + expired}, status: 401, code: "token_expired"},
		{name: "expired cookie", header: map[string]string{"Cookie": "session=" + expired}, status: 401, code: "token_expired", clears: true},
		{name: "cookie of a cross-site write", method: http.MethodPost, header: map[string]string{"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}, status: 403, code: "cross_site"},
		{name: "cookie of another origin", method: http.MethodPost, header: map[string]string{"Cookie": cookie, "Origin": "https://evil.example"}, status: 403, code: "cross_site"},
		{name: "cookie of another origin's web socket", header: map[string]string{"Cookie": cookie, "Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket"}, status: 403, code: "cross_site"},
	}
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			if test.uri == "" {
				test.uri = "/api/"
			}
			resp := ask(t, g.URL(), test.method, test.uri, test.header, test.body)
			wantProblem(t, resp, test.status, test.code)
			if cleared := strings.HasPrefix(resp.header.Get("Set-Cookie"), "session=; Path=/; Max-Age=0"); cleared != test.clears {
				t.Errorf("got Set-Cookie %q, want the cookie cleared: %t", resp.header.Get("Set-Cookie"), test.clears)
			}
			if resp.renewed() != "" {
				t.Error("a refusal renewed")
			}
		})
	}

	t.Run("a service's own cookie line follows the gateway's", func(t *testing.T) {
		resp := ask(t, g.URL(), http.MethodPost, "/api/logout", map[string]string{"Cookie": cookie, "Answer-With": "Set-Cookie: session=; Path=/; Max-Age=0"}, "")
		lines := resp.header.Values("Set-Cookie")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "session=ey") || lines[1] != "session=; Path=/; Max-Age=0" {
			t.Errorf("got Set-Cookie %q, want the service's line to be the last", lines)
		}
	})
}

// ask sends a request whose URI and headers are as given.
func ask(t *testing.T, address, method, uri string, header map[string]string, body string) response {
	t.Helper()
	u, err := url.Parse(address + uri)
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Method: method, URL: u, Header: http.Header{}}
	if body != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	for name, value := range header {
		if name == "Transfer-Encoding" {
			req.ContentLength = -1
			continue
		}
		req.Header.Set(name, value)
	}
	return roundTrip(t, req)
}

func headerText(header http.Header) string {
	var text strings.Builder
	_ = header.Write(&text) // It cannot fail.
	return text.String()
}
