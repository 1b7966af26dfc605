package slidingjwt_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestMainJob(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{
			"signingSecret":  minted.Secret,
			"forwardHeaders": map[string]any{"X-User-Id": "sub", "X-Roles": "realm_access.roles"},
			"renew":          map[string]any{"before": "10m"},
		})
		now := time.Now().Unix()
		fresh := minted.Token(t, minted.Valid().With(claims{"realm_access": map[string]any{"roles": []string{"a", "b"}}}))
		due := minted.Token(t, minted.Valid().With(claims{"iat": now - 3500, "exp": now + 100, "jti": "x", "nested": map[string]any{"n": 1}}))
		for range [3]int{} {
			rec := bothways.Send(t, handler, "GET", "/", http.Header{"Authorization": {"Bearer " + fresh}, "X_User_Id": {"eve"}, "X-User-Id": {"eve"}}, nil)
			if rec.Code != 200 {
				t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
			}
			h := service.Request().Header
			if got := strings.Join(h["X-User-Id"], "|"); got != "ada" {
				t.Errorf("X-User-Id: got %q, want %q", got, "ada")
			}
			if got := h.Get("X-Roles"); got != "a,b" {
				t.Errorf("X-Roles: got %q, want %q", got, "a,b")
			}
			if len(h["X_User_Id"])+len(h["Authorization"]) > 0 {
				t.Errorf("got %v, want no spoofed spelling and no token", h)
			}
			if got := rec.Header().Get("Authorization"); got != "" {
				t.Errorf("a fresh token was renewed: %q", got)
			}
		}
		var first string
		for range [3]int{} {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(due), nil)
			renewed, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer ")
			if rec.Code != 200 || !ok {
				t.Fatalf("got %d and %q, want 200 and a renewed token", rec.Code, renewed)
			}
			if first != "" && renewed != first {
				t.Error("got another renewed token within ten seconds, want the same")
			}
			first = renewed
			if c := minted.Payload(t, renewed); c["sub"] != "ada" || c["jti"] == "x" || c["exp"].(float64) < float64(now+3500) || c["auth_time"].(float64) != float64(now-3500) {
				t.Errorf("got %v", c)
			}
			if rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(renewed), nil); rec.Code != 200 {
				t.Errorf("the renewed token: got %d %s, want 200", rec.Code, rec.Body)
			}
		}
		for _, bad := range []string{"", "x", fresh + "A", fresh[:len(fresh)-4] + "AAAA"} {
			header := bothways.Bearer(bad)
			if bad == "" {
				header = nil
			}
			if rec := bothways.Send(t, handler, "GET", "/", header, nil); rec.Code != 401 {
				t.Errorf("%q: got %d, want 401", bad, rec.Code)
			}
		}
	})
}
