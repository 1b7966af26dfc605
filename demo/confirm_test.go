package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// TestConfirm has an endpoint that is asked before each renewal: yes, yes with other roles, no, and nothing.
func TestConfirm(t *testing.T) {
	t.Parallel()
	const secret = "0123456789 0123456789 0123456789"
	var answer, asked atomic.Value
	var calls atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body) // The test compares it.
		asked.Store(string(body))
		calls.Add(1)
		answer.Load().(http.HandlerFunc)(rw, req)
	}))
	t.Cleanup(endpoint.Close)
	g := startGateway(t, gateway.Options{Dynamic: guarded(whoami(t), map[string]any{
		"signingSecret": secret, "claims": "Contains(`roles`, `reader`)", "forwardHeaders": map[string]string{"X-User-Id": "roles"},
		"renew":        map[string]any{"before": "99%", "confirm": endpoint.URL + "/?key=hidden", "unless": "X-Polling"},
		"clientConfig": map[string]any{"timeoutSeconds": 1},
	})})

	now := time.Now().Unix()
	sign := func(id string) string {
		return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "ada", "jti": id, "roles": []string{"admin", "reader"}, "iat": now - 3000, "exp": now + 600,
		}), []byte(secret))
	}
	says := func(status int, text string) {
		answer.Store(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, text) // The client has gone.
		}))
	}
	const both, reader = `200 ["admin,reader"]`, `200 ["reader"]`
	// ask sends a token, and returns the renewed one.
	ask := func(when, token, want string, renewed bool) string {
		t.Helper()
		got, header := outcome(http.DefaultClient, g.URL(), token)
		next := strings.TrimPrefix(header.Get("Authorization"), "Bearer ")
		if got != want || (next != "") != renewed {
			t.Errorf("%s: got %s, renewed: %t, want %s, %t", when, got, next != "", want, renewed)
		}
		return next
	}

	says(http.StatusNoContent, "")
	token := sign("yes")
	next := ask("yes", token, both, true)
	if again := ask("yes, again", token, both, true); again != next {
		t.Errorf("got another renewed token, want the same")
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(asked.Load().(string)), &claims); err != nil || claims["jti"] != "yes" {
		t.Errorf("it was asked %v, want the presented claims", asked.Load())
	}
	says(http.StatusOK, `{"roles": ["reader"], "sub": "eve"}`)
	next = ask("other roles", sign("roles"), both, true)
	ask("with the other roles", next, reader, false)
	parsed, _, err := jwt.NewParser().ParseUnverified(next, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Claims.(jwt.MapClaims)["sub"]; got != "ada" {
		t.Errorf("got the renewed token's sub %v, want ada", got)
	}
	says(http.StatusOK, `{"roles": []}`)
	ask("with no roles", ask("no roles", sign("none"), both, true), "403 claims_not_sufficient", false)
	says(http.StatusGone, "")
	token = sign("no")
	ask("no", token, "401 session_ended", false)
	ask("no, again", token, "401 session_ended", false)
	answer.Store(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	token = sign("nothing")
	ask("nothing", token, both, false)
	ask("nothing, again", token, both, false)
	endpoint.CloseClientConnections()

	if got := calls.Load(); got != 5 {
		t.Errorf("it was asked %d times, want once for each token, 5", got)
	}
	var logged []string
	for line := range strings.Lines(g.Logs()) {
		if strings.Contains(line, `"plugin":"plugin-`) { // Traefik's own lines have the whole configuration.
			logged = append(logged, line)
		}
	}
	logs := strings.Join(logged, "")
	if strings.Contains(logs, "hidden") || strings.Count(logs, "gives no answer that can be used: no answer came in time") != 1 {
		t.Errorf("got the log\n%s\nwant one line without the URL's query", logs)
	}
}
