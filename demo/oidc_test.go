package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/provider"
)

// TestOpenIDProvider has a real provider behind discovery: its tokens pass, and its rotation is followed. A
// withdrawn key counts until the refresh, which is due a minute after a fetch at the earliest, so this takes one.
func TestOpenIDProvider(t *testing.T) {
	t.Parallel()
	p, err := provider.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	g := startGateway(t, gateway.Options{Dynamic: guarded(whoami(t), map[string]any{
		"trustedIssuers": []any{map[string]any{"issuer": p.Issuer}},
		"audience":       []string{p.Audience},
	})})
	token := func() string {
		text, err := p.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const passes = `200 ["sid1"]`
	ask := func(token string) string {
		got, _ := outcome(http.DefaultClient, g.URL(), token)
		return got
	}
	check := func(when, token, want string, fetches int) {
		t.Helper()
		if got := ask(token); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
		if got := p.Fetches(); got != fetches {
			t.Errorf("%s: got %d fetches, want %d", when, got, fetches)
		}
	}

	first := token()
	check("the first token", first, passes, 1)
	check("another one", token(), passes, 1)
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	second := token()
	check("the first token under the new key", second, passes, 2)
	refreshed := time.Now()
	check("a token under the old key", first, passes, 2)
	check("an altered token", second[:len(second)-8]+"AAAAAAAA", "401 bad_signature", 2)
	p.Withdraw()
	check("before the refresh", first, passes, 2)

	for ask(first) == passes {
		if got := ask(second); got != passes {
			t.Errorf("a token under the new key: got %s, want %s", got, passes)
		}
		if time.Since(refreshed) > 70*time.Second {
			t.Fatal("a token under the withdrawn key still passes after 70 s")
		}
		time.Sleep(200 * time.Millisecond)
	}
	took := time.Since(refreshed)
	t.Logf("the withdrawn key stopped counting %s after the last fetch, with %d fetches in all", took.Round(time.Millisecond), p.Fetches())
	if took < 59*time.Second || took > 70*time.Second {
		t.Errorf("the withdrawn key stopped counting after %s, want a minute", took)
	}
	if got := ask(first); got != "401 unknown_key" {
		t.Errorf("a token under the withdrawn key: got %s, want 401 unknown_key", got)
	}
	third := token()
	p.Stop()
	if got := ask(third); got != passes {
		t.Errorf("while the provider is down: got %s, want %s", got, passes)
	}
}
