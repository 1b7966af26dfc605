package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/signing"
	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

// patience is for what has to happen, but nobody can say when on a busy machine.
const patience = time.Minute

// TestGateway shows what a single request meets, with the demo's own times: a token is good for 60
// seconds and renewed in the last 45. Where a test wants an older token than it can wait for, it
// signs one as the gateway would have.
func TestGateway(t *testing.T) { testGateway(t, system.Settings{}) }

func testGateway(t *testing.T, settings system.Settings) {
	s := start(t, settings)

	aged := func(age time.Duration) jwt.MapClaims { return signing.Claims(time.Now().Add(-age), time.Minute) }

	t.Run("a login answers with a token", func(t *testing.T) {
		token := logIn(t, s.URL())
		if got := claimsOf(t, s, token)["sub"]; got != "ada" {
			t.Errorf("got sub %v, want ada", got)
		}
	})

	t.Run("a wrong password is refused", func(t *testing.T) {
		resp := do(t, http.MethodPost, s.URL()+"/login", nil, `{"username":"ada","password":"byron"}`)
		if resp.status != http.StatusUnauthorized || resp.header.Get("Authorization") != "" {
			t.Errorf("got %d %v, want 401 without a token", resp.status, resp.header)
		}
	})

	refused := []struct {
		name      string
		token     string
		challenge string
		body      string
	}{
		{"no token", "", `Bearer realm="api"`, ""},
		{"an expired token", sign(t, s.Key, aged(2*time.Minute)), `error="invalid_token"`, "token_expired"},
		{"a token of another key", sign(t, newKey(t), aged(0)), `error="invalid_token"`, "bad_signature"},
		{"garbage", "garbage", `error="invalid_token"`, ""},
	}
	for _, test := range refused {
		t.Run("401 for "+test.name, func(t *testing.T) {
			resp := call(t, s.URL(), test.token, http.Header{"X-User-Id": {"mallory"}})
			if resp.status != http.StatusUnauthorized {
				t.Errorf("got status %d, want 401", resp.status)
			}
			if got := resp.header.Get("WWW-Authenticate"); !strings.Contains(got, test.challenge) {
				t.Errorf("got challenge %q, want one with %q", got, test.challenge)
			}
			if !strings.Contains(resp.body, test.body) {
				t.Errorf("got body %q, want one with %q", resp.body, test.body)
			}
			if strings.Contains(resp.body, "instance") {
				t.Errorf("the request reached the service: %q", resp.body)
			}
		})
	}

	t.Run("the claims reach the service", func(t *testing.T) {
		resp := call(t, s.URL(), logIn(t, s.URL()), nil)
		wantHeaders(t, resp, map[string][]string{
			"X-User-Id":     {"ada"},
			"X-User-Name":   {"Ada Lovelace"},
			"X-User-Roles":  {"analyst,engineer"},
			"Authorization": nil,
		})
	})

	t.Run("a spoofed header is gone", func(t *testing.T) {
		claims := aged(0)
		delete(claims, "name")
		resp := call(t, s.URL(), sign(t, s.Key, claims), http.Header{
			"X-User-Id":   {"mallory"},
			"x_user_id":   {"mallory"},
			"X.User.Id":   {"mallory"},
			"X-User-Name": {"Mallory"},
		})
		wantHeaders(t, resp, map[string][]string{
			"X-User-Id": {"ada"}, "X_user_id": nil, "X_User_Id": nil, "X.user.id": nil, "X.User.Id": nil,
			"X-User-Name": nil,
		})
		if strings.Contains(strings.ToLower(resp.body), "mallory") {
			t.Errorf("the service was told of Mallory: %s", resp.body)
		}
	})

	t.Run("a fresh token is not renewed", func(t *testing.T) {
		resp := call(t, s.URL(), logIn(t, s.URL()), nil)
		if got := resp.renewed(); got != "" {
			t.Errorf("got a renewed token %q, want none", got)
		}
	})

	t.Run("another instance takes the renewed token", func(t *testing.T) {
		first := call(t, s.URL(), sign(t, s.Key, aged(20*time.Second)), nil)
		second := call(t, s.URL(), first.renewed(), nil)
		if first.status != http.StatusOK || second.status != http.StatusOK {
			t.Fatalf("got statuses %d and %d, want 200", first.status, second.status)
		}
		if first.answer.Instance == second.answer.Instance {
			t.Errorf("got instance %q twice, want two", first.answer.Instance)
		}
		if got := second.renewed(); got != "" {
			t.Errorf("the renewed token was renewed at once: %q", got)
		}
	})

	t.Run("a renewed token keeps every claim", func(t *testing.T) {
		claims := aged(20 * time.Second)
		claims["large"] = json.Number("12345678901234567890")
		claims["nested"] = map[string]any{"list": []any{"a", json.Number("1.50"), nil, true}}
		token := sign(t, s.Key, claims)
		renewed := call(t, s.URL(), token, nil).renewed()
		before, after := claimsOf(t, s, token), claimsOf(t, s, renewed)
		for _, name := range []string{"iat", "exp", "jti"} {
			if before[name] == after[name] {
				t.Errorf("%s is still %v", name, before[name])
			}
			delete(before, name)
			delete(after, name)
		}
		if sid, _ := after["sid"].(string); len(sid) != 22 {
			t.Errorf("got sid %v, want a new one", after["sid"])
		}
		delete(after, "sid") // The login gave none.
		if !reflect.DeepEqual(before, after) {
			t.Errorf("got claims %v, want %v", after, before)
		}
	})

	t.Run("a token without auth_time gets it", func(t *testing.T) {
		claims := aged(20 * time.Second)
		delete(claims, "auth_time")
		renewed := call(t, s.URL(), sign(t, s.Key, claims), nil).renewed()
		if got, want := number(t, claimsOf(t, s, renewed), "auth_time"), claims["iat"]; got != want {
			t.Errorf("got auth_time %d, want iat of the first token, %d", got, want)
		}
	})
}

// TestSession lives through whole sessions, so its times are short and it waits for them to pass.
func TestSession(t *testing.T) {
	const maxSession = 12
	s := start(t, system.Settings{
		Lifetime: "5s", Before: "4s", MaxSession: fmt.Sprintf("%ds", maxSession), Leeway: "0s",
	})
	first := logIn(t, s.URL())
	born := number(t, claimsOf(t, s, first), "auth_time")

	// Whoever calls often enough, and takes every token that comes back, stays logged in.
	token, renewals, last := first, 0, response{}
	poll(t, func() bool {
		last = call(t, s.URL(), token, nil)
		if renewed := last.renewed(); renewed != "" {
			token = renewed
			renewals++
		}
		return last.status != http.StatusOK
	})

	t.Run("stays alive over several renewals", func(t *testing.T) {
		if renewals < 3 {
			t.Errorf("got %d renewals, want 3 or more", renewals)
		}
		firstEnd, lastStart := number(t, claimsOf(t, s, first), "exp"), number(t, claimsOf(t, s, token), "iat")
		if lastStart <= firstEnd {
			t.Errorf("the last token is of %d, want one from after the first one's end, %d", lastStart, firstEnd)
		}
	})

	t.Run("ends at maxSession", func(t *testing.T) {
		if got, want := number(t, claimsOf(t, s, token), "exp"), born+maxSession; got != want {
			t.Errorf("the last token ends at %d, want %d, %d s after the login", got, want, maxSession)
		}
		if last.status != http.StatusUnauthorized || !strings.Contains(last.body, "token_expired") {
			t.Errorf("got %d %q, want 401 token_expired", last.status, last.body)
		}
	})

	t.Run("begins again with a login", func(t *testing.T) {
		if got := call(t, s.URL(), logIn(t, s.URL()), nil).status; got != http.StatusOK {
			t.Errorf("got status %d, want 200", got)
		}
	})
}

func start(t *testing.T, settings system.Settings) *system.System {
	t.Helper()
	settings.Dynamic = dynamicConfig
	s, err := system.Start(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			for line := range strings.Lines(s.Logs()) {
				if strings.Contains(line, `"plugin":"plugin-`) || strings.Contains(line, `"level":"error"`) {
					t.Log(strings.TrimSpace(line))
				}
			}
		}
	})
	return s
}

// response is an answer of the gateway, its body read; answer is what the service said in it.
type response struct {
	status int
	header http.Header
	body   string
	answer echo.Answer
}

// renewed is the token that came back, if one did.
func (r response) renewed() string {
	token, _ := strings.CutPrefix(r.header.Get("Authorization"), "Bearer ")
	return token
}

func call(t *testing.T, url, token string, header http.Header) response {
	t.Helper()
	header = maps.Clone(header)
	if header == nil {
		header = http.Header{}
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return do(t, http.MethodGet, url+"/api/", header, "")
}

func do(t *testing.T, method, url string, header http.Header, body string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	return roundTrip(t, req)
}

// direct follows no redirect: where one leads is part of the answer.
var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func roundTrip(t *testing.T, req *http.Request) response {
	t.Helper()
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return responseOf(t, resp)
}

// responseOf reads an answer to its end.
func responseOf(t *testing.T, resp *http.Response) response {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := response{status: resp.StatusCode, header: resp.Header, body: string(text)}
	_ = json.Unmarshal(text, &r.answer) // Not every body is the service's.
	return r
}

func logIn(t *testing.T, url string) string {
	t.Helper()
	resp := do(t, http.MethodPost, url+"/login", nil, `{"username":"ada","password":"lovelace"}`)
	token := resp.renewed()
	if resp.status != http.StatusNoContent || token == "" || resp.header.Get("X-Issue-Claims") != "" {
		t.Fatalf("login: got %d %v, want 204 with a token and no claims", resp.status, resp.header)
	}
	return token
}

func sign(t *testing.T, key *ecdsa.PrivateKey, claims jwt.MapClaims) string {
	t.Helper()
	token, err := signing.Sign(key, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// claimsOf checks a token's signature, which must be by the system's key, and returns its claims.
func claimsOf(t *testing.T, s *system.System, token string) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithJSONNumber(), jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"ES256"}))
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return s.Key.Public(), nil })
	if err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	return claims
}

// number is a claim that is a whole number.
func number(t *testing.T, claims jwt.MapClaims, name string) int64 {
	t.Helper()
	value, ok := claims[name].(json.Number)
	if !ok {
		t.Fatalf("%s: got %v, want a number", name, claims[name])
	}
	n, err := value.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantHeaders checks headers as the service got them; nil is for none of that name.
func wantHeaders(t *testing.T, resp response, want map[string][]string) {
	t.Helper()
	if resp.status != http.StatusOK {
		t.Fatalf("got %d %q, want 200", resp.status, resp.body)
	}
	for name, values := range want {
		if got := resp.answer.Headers[name]; !slices.Equal(got, values) {
			t.Errorf("the service got %s: %q, want %q", name, got, values)
		}
	}
}

// poll asks until the answer is yes.
func poll(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
