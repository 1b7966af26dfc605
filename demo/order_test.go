package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// TestOrder puts Traefik's own middlewares on either side of the plugin and shows what is kept and what
// is lost. docs/order.md tells it.
func TestOrder(t *testing.T) {
	secret := rand.Text() + rand.Text()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/cookie"):
			w.Header().Set("Set-Cookie", "theme=dark")
			w.Header().Set("Cache-Control", "public, max-age=60")
		case strings.HasSuffix(req.URL.Path, "/fail"):
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "the service: "+strings.Repeat("text ", 1000)) // The client has gone.
	}))
	t.Cleanup(service.Close)
	pages := mirror(t)
	const dead = "http://127.0.0.1:1" // Nobody listens on that port, tcpmux.

	middlewares := map[string]any{
		"session": map[string]any{"plugin": map[string]any{"slidingjwt": map[string]any{
			"signingSecret":  secret,
			"cookie":         map[string]any{"name": "session"},
			"tokenKey":       "access_token",
			"forwardHeaders": map[string]any{"X-User-Id": "sub"},
			"usernameClaim":  "sub",
			"renew":          map[string]any{"before": "50%"},
		}}},
		"retry":     map[string]any{"retry": map[string]any{"attempts": 3}},
		"errors":    map[string]any{"errors": map[string]any{"status": []string{"401", "500-599"}, "service": "pages", "query": "/{status}?{url}"}},
		"buffering": map[string]any{"buffering": map[string]any{"maxRequestBodyBytes": 1 << 20}},
		"compress":  map[string]any{"compress": map[string]any{}},
		"headers": map[string]any{"headers": map[string]any{
			"accessControlAllowOriginList": []string{"https://app.example.com"},
			"accessControlAllowMethods":    []string{"GET"},
			"accessControlAllowHeaders":    []string{"Authorization"},
		}},
		"exposing": map[string]any{"headers": map[string]any{
			"accessControlAllowOriginList": []string{"https://app.example.com"},
			"accessControlExposeHeaders":   []string{"X-Total", "Authorization", "Token-Expires-In", "Session-Expires-In"},
		}},
	}
	server := func(urls ...string) map[string]any {
		var servers []any
		for _, u := range urls {
			servers = append(servers, map[string]any{"url": u})
		}
		return map[string]any{"loadBalancer": map[string]any{"servers": servers}}
	}
	routers := map[string]any{}
	route := func(name, service string, chain ...string) {
		routers[name] = map[string]any{"rule": "PathPrefix(`/" + name + "/`)", "middlewares": chain, "service": service}
	}
	route("alone", "service", "session")
	for name := range middlewares {
		if name != "session" {
			route(name+"-before", "service", name, "session")
			route(name+"-after", "service", "session", name)
		}
	}
	route("retry-before-half-dead", "half-dead", "retry", "session")
	route("retry-after-half-dead", "half-dead", "session", "retry")
	accessLog := map[string]any{"accessLog": map[string]any{
		"format": "json", "fields": map[string]any{"headers": map[string]any{"names": map[string]any{"X-User-Id": "keep"}}},
	}}
	g := startGateway(t, gateway.Options{Static: accessLog, Dynamic: map[string]any{"http": map[string]any{
		"routers":     routers,
		"middlewares": middlewares,
		"services": map[string]any{
			"service": server(service.URL), "pages": server(pages),
			"half-dead": server(dead, service.URL),
		},
	}}})

	mint := func(age time.Duration) string {
		now := time.Now().Add(-age)
		claims := jwt.MapClaims{"sub": "ada", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, claims), []byte(secret))
	}
	due, expired := mint(50*time.Minute), mint(2*time.Hour)
	const origin = "https://app.example.com"
	bearer := map[string]string{"Authorization": "Bearer " + due}
	withOrigin := map[string]string{"Authorization": "Bearer " + due, "Origin": origin}

	// observe describes what a client meets in a chain.
	observe := func(t *testing.T, chain string) map[string]string {
		call := func(path string, header map[string]string) response {
			return ask(t, g.URL(), http.MethodGet, "/"+chain+path, header, "")
		}
		got := map[string]string{}
		kept := func(what string, yes bool) {
			got[what] = "lost"
			if yes {
				got[what] = "kept"
			}
		}
		resp := call("/", bearer)
		kept("bearer", resp.status == http.StatusOK && resp.renewed() != "" && resp.header.Get("Token-Expires-In") != "" &&
			len(resp.header.Values("Authorization")) == 1)
		kept("body", strings.HasPrefix(resp.body, "the service: "))

		resp = call("/", map[string]string{"Cookie": "session=" + due})
		kept("cookie", strings.HasPrefix(resp.header.Get("Set-Cookie"), "session=ey"))

		resp = call("/cookie", map[string]string{"Cookie": "session=" + due})
		lines := resp.header.Values("Set-Cookie")
		kept("cookie beside the service's", slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "session=ey") }) &&
			slices.Contains(lines, "theme=dark"))
		kept("no-store beside the service's", slices.Contains(resp.header.Values("Cache-Control"), "no-store"))

		resp = call("/fail", bearer)
		kept("bearer on a failure", resp.status == http.StatusInternalServerError && resp.renewed() != "")

		resp = call("/", map[string]string{"Cookie": "session=" + expired})
		kept("refusal", resp.status == http.StatusUnauthorized && strings.Contains(resp.body, "#token_expired") &&
			strings.Contains(resp.header.Get("WWW-Authenticate"), "invalid_token") &&
			resp.header.Get("Content-Type") == "application/problem+json" && resp.header.Get("Cache-Control") == "no-store")
		kept("clearing of a refused cookie", strings.Contains(resp.header.Get("Set-Cookie"), "Max-Age=0"))

		got["exposed"] = strings.Join(call("/", withOrigin).header.Values("Access-Control-Expose-Headers"), "|")
		got["origin on a refusal"] = call("/", map[string]string{"Origin": origin}).header.Get("Access-Control-Allow-Origin")

		resp = ask(t, g.URL(), http.MethodOptions, "/"+chain+"/", map[string]string{"Origin": origin, "Access-Control-Request-Method": "GET"}, "")
		got["preflight"] = "the service"
		if resp.body == "" {
			got["preflight"] = "headers"
		}
		return got
	}

	const plain, merged = "Authorization, Token-Expires-In, Session-Expires-In", "X-Total,Authorization,Token-Expires-In,Session-Expires-In"
	alone := map[string]string{
		"bearer": "kept", "body": "kept", "cookie": "kept", "cookie beside the service's": "kept",
		"no-store beside the service's": "kept",
		"bearer on a failure":           "kept", "refusal": "kept", "clearing of a refused cookie": "kept",
		"exposed": plain, "origin on a refusal": "", "preflight": "the service",
	}
	tests := []struct {
		chain string
		but   map[string]string // what differs from the plugin alone
	}{
		{"alone", nil},
		{"retry-before", nil},
		{"retry-after", map[string]string{"cookie beside the service's": "lost", "no-store beside the service's": "lost"}},
		{"errors-before", map[string]string{"bearer on a failure": "lost", "refusal": "lost", "clearing of a refused cookie": "lost"}},
		{"errors-after", map[string]string{"cookie beside the service's": "lost", "no-store beside the service's": "lost"}},
		{"buffering-before", nil},
		{"buffering-after", nil},
		{"compress-before", nil},
		{"compress-after", nil},
		{"headers-before", map[string]string{"preflight": "headers", "origin on a refusal": origin}},
		{"headers-after", map[string]string{"preflight": "headers"}},
		{"exposing-before", map[string]string{"exposed": merged, "preflight": "headers", "origin on a refusal": origin}},
		{"exposing-after", map[string]string{"exposed": merged, "preflight": "headers"}},
	}
	for _, test := range tests {
		t.Run(test.chain, func(t *testing.T) {
			want := maps.Clone(alone)
			maps.Copy(want, test.but)
			got := observe(t, test.chain)
			for what, is := range got {
				if is != want[what] {
					t.Errorf("%s: got %q, want %q", what, is, want[what])
				}
			}
		})
	}

	t.Run("every attempt of a retry is admitted", func(t *testing.T) {
		for _, chain := range []string{"retry-before-half-dead", "retry-after-half-dead"} {
			for range 4 { // Every second one begins at the dead instance.
				resp := ask(t, g.URL(), http.MethodGet, "/"+chain+"/", bearer, "")
				if resp.status != http.StatusOK || len(resp.header.Values("Authorization")) != 1 {
					t.Errorf("%s: got %d %.100q and %d renewed tokens, want 200 and one", chain, resp.status, resp.body, len(resp.header.Values("Authorization")))
				}
			}
		}
		if !strings.Contains(g.Logs(), "New attempt 2 for request") {
			t.Error("nothing was retried")
		}
	})

	// The access log has the request's headers as they are at the end, unless a middleware nearer the client works
	// on a copy; and it has the path as it came, the query's token included.
	t.Run("the access log", func(t *testing.T) {
		for chain, hasUser := range map[string]bool{
			"alone": true, "compress-before": true, "errors-before": true, "headers-before": true, "retry-after": true, "buffering-after": true,
			"retry-before": false, "buffering-before": false,
		} {
			path := "/" + chain + "/?access_token=" + due
			ask(t, g.URL(), http.MethodGet, path, nil, "")
			var line string
			poll(t, func() bool {
				for entry := range strings.Lines(g.Logs()) {
					if strings.Contains(entry, `"RequestPath":"`+path+`"`) {
						line = entry
					}
				}
				return line != ""
			})
			if got := strings.Contains(line, `"request_X-User-Id":"ada"`); got != hasUser {
				t.Errorf("%s: the user is in the access log: got %t, want %t", chain, got, hasUser)
			}
			if got := strings.Contains(line, `"ClientUsername":"ada"`); got != hasUser {
				t.Errorf("%s: the user is the access log's ClientUsername: got %t, want %t", chain, got, hasUser)
			}
		}
	})

	t.Run("the body is compressed on either side", func(t *testing.T) {
		for _, chain := range []string{"compress-before", "compress-after"} {
			header := map[string]string{"Authorization": "Bearer " + due, "Accept-Encoding": "gzip"}
			if resp := ask(t, g.URL(), http.MethodGet, "/"+chain+"/", header, ""); resp.header.Get("Content-Encoding") != "gzip" || resp.renewed() == "" {
				t.Errorf("%s: got %v, want gzip and a renewed token", chain, resp.header)
			}
		}
	})

	// The service of the error pages gets the request as it is by then. A refused token is still in it.
	pageTests := []struct {
		chain, path string
		header      map[string]string
		wantToken   string
		wantUser    string
	}{
		{"errors-before", "/fail", bearer, "", "ada"},
		{"errors-after", "/fail", bearer, "", "ada"},
		{"errors-before", "/fail?access_token=" + due, nil, "", "ada"},
		{"errors-before", "/", map[string]string{"Authorization": "Bearer " + expired}, expired, ""},
		{"errors-before", "/?access_token=" + expired, nil, expired, ""},
	}
	for _, test := range pageTests {
		t.Run("an error page's request, "+test.chain, func(t *testing.T) {
			resp := ask(t, g.URL(), http.MethodGet, "/"+test.chain+test.path, test.header, "")
			var page seen
			if err := json.Unmarshal([]byte(resp.body), &page); err != nil {
				t.Fatalf("got %d %q, want the page", resp.status, resp.body)
			}
			if got := page.Header.Get("X-User-Id"); got != test.wantUser {
				t.Errorf("got X-User-Id %q, want %q", got, test.wantUser)
			}
			whole := page.URI + headerText(page.Header)
			for _, token := range []string{due, expired} {
				if got, want := strings.Contains(whole, token), token == test.wantToken; got != want {
					t.Errorf("the token is in it: got %t, want %t: %s", got, want, whole)
				}
			}
		})
	}
}
