package attacks

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"

	"github.com/slidingjwt/slidingjwt/demo/conformance/tally"
)

// A token that was renewed and is replayed gives the very token that it gave, and never one that lasts longer.
func TestReplay(t *testing.T) {
	s := tally.Of(t, "attacks: a replayed token")
	var got []string
	for _, e := range bothways.Engines(t) {
		handler, _ := e.Middleware(t, guard)
		presented := minted.Token(t, minted.Due().With(claims{"role": "user"}))
		first := renewedToken(bothways.Send(t, handler, "GET", "/", bothways.Bearer(presented), nil))
		verdict := "the same token"
		for range 20 {
			if again := renewedToken(bothways.Send(t, handler, "GET", "/", bothways.Bearer(presented), nil)); again != first {
				verdict = "another token: " + again
			}
		}
		if first == "" {
			verdict = "nothing"
		}
		got = append(got, verdict)
	}
	s.Compare("a token replayed 20 times", "the same token", "", got...)
}

// Whoever renews at every opportunity, in whatever steps, is out when the session is over. The clock is the middleware's own:
// so time passes by taking the same from every time in a renewed token and signing it again, as only a test can.
func TestChains(t *testing.T) {
	s := tally.Of(t, "attacks: chains of renewals")
	const maxSession = 7200
	for _, chain := range []struct {
		name            string
		renew           map[string]any
		lifetime, steps int64 // seconds: of the first token, and between two requests
	}{
		{"in the last tenth", map[string]any{"before": "10%"}, 600, 545},
		{"at half-time", map[string]any{"before": "50%"}, 600, 300},
		{"at once", map[string]any{"before": "99%"}, 600, 61},
		{"with a lifetime of its own", map[string]any{"before": "5m", "lifetime": "1h"}, 600, 301},
		{"with a lifetime as long as the session", map[string]any{"before": "5m", "lifetime": "2h"}, 600, 301},
		{"at the last second", map[string]any{"before": "10%"}, 600, 598},
		{"by leeway", map[string]any{"before": "10%"}, 600, 610},
	} {
		var got []string
		for _, e := range bothways.Engines(t) {
			chain.renew["maxSession"] = "2h"
			handler, _ := e.Middleware(t, guard.With(options{"renew": chain.renew}))
			got = append(got, follow(t, handler, chain.lifetime, chain.steps, maxSession))
		}
		s.Compare(chain.name, "over in time", "", got...)
	}
}

// follow renews whenever a renewal comes, and says when the session was over.
func follow(t *testing.T, handler http.Handler, lifetime, step, maxSession int64) string {
	t.Helper()
	now := time.Now().Unix()
	current := claims{"sub": "ada", "role": "user", "iat": now, "exp": now + lifetime, "jti": "1"}
	began, passed, renewals := now, int64(0), 0
	for range 10_000 {
		// So much time passes.
		passed += step
		began -= step
		for _, name := range []string{"iat", "exp", "auth_time"} {
			switch at := current[name].(type) {
			case int64:
				current[name] = at - step
			case float64:
				current[name] = int64(at) - step
			}
		}
		rec := bothways.Send(t, handler, http.MethodGet, "/", bothways.Bearer(minted.Token(t, current)), nil)
		if outcome := bothways.Outcome(t, rec); outcome != "served" {
			if passed > maxSession+30+step { // The leeway, and the request that was a step too late.
				return fmt.Sprintf("%s after %d seconds", outcome, passed)
			}
			return "over in time"
		}
		if token := renewedToken(rec); token != "" {
			renewals++
			current = minted.Payload(t, token)
			if exp, _ := current["exp"].(float64); int64(exp) > began+maxSession {
				return fmt.Sprintf("a token until %d seconds beyond the session, after %d renewals", int64(exp)-began-maxSession, renewals)
			}
			if at, _ := current["auth_time"].(float64); int64(at) < began-2 || int64(at) > began+2 {
				return fmt.Sprintf("a session that began %d seconds later, after %d renewals", int64(at)-began, renewals)
			}
		}
	}
	return fmt.Sprintf("no end after %d seconds", passed)
}
