package slidingjwt_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

const secret = "a secret for tests that is long enough: 0123456789 0123456789 01"

// claims are a token's; numbers and all.
type claims map[string]any

// with returns the claims with some replaced; nil removes one.
func (c claims) with(other claims) claims {
	all := claims{}
	for name, claim := range c {
		all[name] = claim
	}
	for name, claim := range other {
		all[name] = claim
		if claim == nil {
			delete(all, name)
		}
	}
	return all
}

// valid are the claims of a token that is valid for an hour.
func valid() claims {
	now := time.Now().Unix()
	return claims{"sub": "ada", "iat": now - 10, "exp": now + 3600}
}

func segment(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// hs256 signs by hand, so that a test can sign what no library would.
func hs256(input string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// token is an HS256 token under the tests' secret.
func token(t testing.TB, c claims) string {
	t.Helper()
	return hs256(segment(t, map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + segment(t, c))
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// payload reads a token's claims.
func payload(t testing.TB, token string) claims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts, want a token", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMainJob(t *testing.T) {
	bothWays(t, func(t *testing.T, e engine) {
		handler, service := e.middleware(t, options{
			"signingSecret":  secret,
			"forwardHeaders": map[string]any{"X-User-Id": "sub", "X-Roles": "realm_access.roles"},
			"renew":          map[string]any{"before": "10m"},
		})
		now := time.Now().Unix()
		fresh := token(t, valid().with(claims{"realm_access": map[string]any{"roles": []string{"a", "b"}}}))
		due := token(t, valid().with(claims{"iat": now - 3500, "exp": now + 100, "jti": "x", "nested": map[string]any{"n": 1}}))
		for range [3]int{} {
			rec := send(t, handler, "GET", "/", http.Header{"Authorization": {"Bearer " + fresh}, "X_User_Id": {"eve"}, "X-User-Id": {"eve"}}, nil)
			if rec.Code != 200 {
				t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
			}
			h := service.request.Header
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
			rec := send(t, handler, "GET", "/", bearer(due), nil)
			renewed, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer ")
			if rec.Code != 200 || !ok {
				t.Fatalf("got %d and %q, want 200 and a renewed token", rec.Code, renewed)
			}
			if first != "" && renewed != first {
				t.Error("got another renewed token within ten seconds, want the same")
			}
			first = renewed
			if c := payload(t, renewed); c["sub"] != "ada" || c["jti"] == "x" || c["exp"].(float64) < float64(now+3500) || c["auth_time"].(float64) != float64(now-3500) {
				t.Errorf("got %v", c)
			}
			if rec := send(t, handler, "GET", "/", bearer(renewed), nil); rec.Code != 200 {
				t.Errorf("the renewed token: got %d %s, want 200", rec.Code, rec.Body)
			}
		}
		for _, bad := range []string{"", "x", fresh + "A", fresh[:len(fresh)-4] + "AAAA"} {
			header := bearer(bad)
			if bad == "" {
				header = nil
			}
			if rec := send(t, handler, "GET", "/", header, nil); rec.Code != 401 {
				t.Errorf("%q: got %d, want 401", bad, rec.Code)
			}
		}
	})
}
