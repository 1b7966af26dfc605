package slidingjwt_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

const stepUpCode = "401 insufficient_user_authentication"

func TestStepUp(t *testing.T) {
	now := time.Now().Unix()
	tests := []struct {
		name    string
		options options
		claims  claims
		want    string
	}{
		{"just now", options{"maxAge": "5m"}, claims{"auth_time": now}, "served"},
		{"in time", options{"maxAge": "5m"}, claims{"auth_time": now - 240}, "served"},
		{"as a fraction", options{"maxAge": "5m"}, claims{"auth_time": float64(now) - 240.5}, "served"},
		{"just too long ago", options{"maxAge": "5m"}, claims{"auth_time": now - 300}, stepUpCode},
		{"too long ago, for what leeway allows", options{"maxAge": "5m", "leeway": "1h"}, claims{"auth_time": now - 310}, stepUpCode},
		{"long ago", options{"maxAge": "5m"}, claims{"auth_time": 0}, stepUpCode},
		{"before 1970", options{"maxAge": "5m"}, claims{"auth_time": -1}, stepUpCode},
		{"issued again since", options{"maxAge": "5m"}, claims{"auth_time": now - 3600, "iat": now}, stepUpCode},
		{"never said", options{"maxAge": "5m"}, nil, stepUpCode},
		{"never said, and any time will do", options{"maxAge": "876000h"}, nil, stepUpCode},
		{"before 1970, and any time will do", options{"maxAge": "876000h"}, claims{"auth_time": -1}, stepUpCode},
		{"in 1970, and any time will do", options{"maxAge": "876000h"}, claims{"auth_time": 0}, "served"},
		{"null", options{"maxAge": "876000h"}, claims{"auth_time": withNull{}}, stepUpCode},
		{"text", options{"maxAge": "876000h"}, claims{"auth_time": "1"}, stepUpCode},
		{"a boolean", options{"maxAge": "876000h"}, claims{"auth_time": true}, stepUpCode},
		{"a list", options{"maxAge": "876000h"}, claims{"auth_time": []int64{now}}, stepUpCode},
		{"ahead by less than leeway", options{"maxAge": "5m", "leeway": "10m"}, claims{"auth_time": now + 200}, "served"},
		{"ahead by more than leeway", options{"maxAge": "5m"}, claims{"auth_time": now + 200}, stepUpCode},
		{"ahead without leeway", options{"maxAge": "5m", "leeway": "0s"}, claims{"auth_time": now + 200}, stepUpCode},
		{"far ahead", options{"maxAge": "5m"}, claims{"auth_time": 6e9}, stepUpCode},
		{"beyond all clocks", options{"maxAge": "876000h"}, claims{"auth_time": 1e300}, stepUpCode},
		{"one of the list", options{"acr": "silver,gold"}, claims{"acr": "gold"}, "served"},
		{"none of the list", options{"acr": "silver,gold"}, claims{"acr": "bronze"}, stepUpCode},
		{"in another case", options{"acr": "gold"}, claims{"acr": "Gold"}, stepUpCode},
		{"two in one", options{"acr": "silver,gold"}, claims{"acr": "silver gold"}, stepUpCode},
		{"no acr", options{"acr": "gold"}, nil, stepUpCode},
		{"an empty acr", options{"acr": "gold"}, claims{"acr": ""}, stepUpCode},
		{"a list as acr", options{"acr": "gold"}, claims{"acr": []string{"gold"}}, stepUpCode},
		{"a number as acr", options{"acr": "1"}, claims{"acr": 1}, stepUpCode},
		{"text as acr", options{"acr": "1"}, claims{"acr": "1"}, "served"},
		{"both", options{"acr": "gold", "maxAge": "5m"}, claims{"acr": "gold", "auth_time": now}, "served"},
		{"both, too long ago", options{"acr": "gold", "maxAge": "5m"}, claims{"acr": "gold", "auth_time": now - 400}, stepUpCode},
		{"both, by other means", options{"acr": "gold", "maxAge": "5m"}, claims{"acr": "silver", "auth_time": now}, stepUpCode},
		{"a scope is missing too", options{"acr": "gold", "maxAge": "5m", "scopes": "pay"}, nil, "403 insufficient_scope"},
		{"expired too", options{"acr": "gold", "maxAge": "5m"}, claims{"exp": now - 60}, "401 token_expired"},
		{"off", nil, nil, "served"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "renew": map[string]any{"before": "99%"}}.With(test.options))
				token := minted.Token(t, minted.Due().With(test.claims))
				for _, way := range []struct {
					name string
					sent http.Header
				}{
					{"header", bothways.Bearer(token)},
					{"header, remembered", bothways.Bearer(token)},
					{"header, remembered again", bothways.Bearer(token)},
					{"cookie", http.Header{"Cookie": {"session=" + token}}},
				} {
					rec := bothways.Send(t, handler, "GET", "/", way.sent, nil)
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Errorf("%s: got %s, want %s", way.name, got, test.want)
					}
					isExpired := test.want == "401 token_expired" && way.name == "cookie"
					if isRefused, isSet := test.want != "served", rec.Header()["Set-Cookie"] != nil || rec.Header()["Authorization"] != nil; isRefused && isSet != isExpired {
						t.Errorf("%s: a refusal set %v", way.name, rec.Header())
					}
				}
				if wanted := test.want == "served"; (service.Calls() > 0) != wanted {
					t.Errorf("the service was called %d times", service.Calls())
				}
			})
		}
	})
}

// withNull is JSON's null, which Claims.With takes for absent.
type withNull struct{}

func (withNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// A remembered token is refused once the login is too long ago, until there is a token of a later one. It was renewed meanwhile,
// and that did not change.
func TestStepUpEnds(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for name, o := range map[string]options{"without renewal": nil, "with renewal": {"renew": map[string]any{"before": "99%", "lifetime": "1h"}}} {
			t.Run(name, func(t *testing.T) {
				o := options{"signingSecret": minted.Secret, "maxAge": "13s"}.With(o)
				handler, _ := e.Middleware(t, o)
				now := time.Now().Unix()
				token := minted.Token(t, minted.Due().With(claims{"iat": now - 10, "auth_time": now - 10}))
				first := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
				if got := bothways.Outcome(t, first); got != "served" {
					t.Fatalf("got %s, want served", got)
				}
				bothways.Eventually(t, handler, token, stepUpCode)
				if early := now + 3 - time.Now().Unix(); early > 0 {
					t.Errorf("it was refused %d seconds early", early)
				}
				if renewed := renewedToken(first); renewed != "" {
					if got := bothways.Verdict(t, handler, renewed); got != stepUpCode {
						t.Errorf("the renewed token: got %s, want %s", got, stepUpCode)
					}
				} else if name == "with renewal" {
					t.Error("it was not renewed")
				}
				again := minted.Token(t, minted.Due().With(claims{"auth_time": time.Now().Unix() + 5}))
				if got := bothways.Verdict(t, handler, again); got != "served" {
					t.Errorf("after another login: got %s, want served", got)
				}
				elsewhere, _ := e.Middleware(t, o.With(options{"maxAge": nil}))
				if got := bothways.Verdict(t, elsewhere, token); got != "served" {
					t.Errorf("without maxAge: got %s, want served", got)
				}
			})
		}
	})
}

// A token whose auth_time lies ahead becomes good by itself, as one with nbf does.
func TestStepUpBegins(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "maxAge": "5m", "leeway": "0s"})
		token := minted.Token(t, minted.Valid().With(claims{"auth_time": time.Now().Unix() + 2}))
		if got := bothways.Verdict(t, handler, token); got != stepUpCode {
			t.Errorf("got %s, want %s", got, stepUpCode)
		}
		bothways.Eventually(t, handler, token, "served")
	})
}

func TestStepUpChallenge(t *testing.T) {
	const start = `Bearer realm="api", error="insufficient_user_authentication", error_description="the user has to log in again, or by other means"`
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range []struct {
			options options
			want    string
		}{
			{options{"maxAge": "5m"}, `, max_age=300`},
			{options{"maxAge": "90"}, `, max_age=90`},
			{options{"acr": "gold, urn:mace:incommon:iap:silver"}, `, acr_values="gold urn:mace:incommon:iap:silver"`},
			{options{"maxAge": "1h", "acr": []string{"phr"}}, `, max_age=3600, acr_values="phr"`},
		} {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret}.With(test.options))
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, minted.Valid())), nil)
			if got := rec.Header().Get("Www-Authenticate"); got != start+test.want {
				t.Errorf("got %s, want %s", got, start+test.want)
			}
			rec = bothways.Call(t, handler, "application/grpc", "/a.B/C", bothways.Bearer(minted.Token(t, minted.Valid())))
			if got := bothways.Outcome(t, rec); got != "gRPC 16" {
				t.Errorf("got %s, want gRPC 16", got)
			}
			// A browser goes to the login.
			handler, _ = e.Middleware(t, options{"signingSecret": minted.Secret, "loginUrl": "/login?again"}.With(test.options))
			sent := bothways.Bearer(minted.Token(t, minted.Valid()))
			sent["Sec-Fetch-Mode"] = []string{"navigate"}
			rec = bothways.Send(t, handler, "GET", "/", sent, nil)
			checkResponse(t, rec, 302, http.Header{"Location": {"/login?again"}, "Cache-Control": {"no-store"}})
		}
	})
}

func TestStepUpOptions(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range []struct {
			options options
			want    string
		}{
			{options{"maxAge": "0"}, `maxAge: "0" is less than 1s`},
			{options{"maxAge": "-5m"}, `maxAge: "-5m" is less than 1s`},
			{options{"maxAge": "soon"}, `maxAge: "soon" is not a duration`},
			{options{"acr": []string{"a b"}}, `acr: "a b"`},
			{options{"acr": []string{`a"b`}}, `acr: "a\"b"`},
			{options{"acr": []string{"a", ""}}, `acr: "" is empty`},
			{options{"acr": []string{"a\nb"}}, `acr: "a\nb"`},
			{options{"maxAge": "5m", "optional": true}, "optional: cannot be combined with maxAge or acr"},
			{options{"acr": "a", "optional": true}, "optional: cannot be combined with maxAge or acr"},
			{options{"acr": "a", "issue": map[string]any{"header": "X-Claims"}}, "issue: cannot be combined with acr"},
			{options{"maxAge": "5m", "publishJwks": true}, "publishJwks: cannot be combined with maxAge"},
		} {
			if err := e.Refusal(options{"signingSecret": minted.Secret}.With(test.options)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v: got %v, want %q", test.options, err, test.want)
			}
		}
	})
}
