package bothways_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestMain(m *testing.M) { bothways.Main(m) }

func TestWith(t *testing.T) {
	o := bothways.Options{"a": 1, "b": 2}
	got := o.With(bothways.Options{"b": 3, "c": 4, "a": nil})
	if want := (bothways.Options{"b": 3, "c": 4}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := (bothways.Options{"a": 1, "b": 2}); !reflect.DeepEqual(o, want) {
		t.Errorf("got %v, want %v as before", o, want)
	}
}

// The harness works in a package that is not the plugin's.
func TestRun(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, bothways.Options{"signingSecret": minted.Secret})
		if got := bothways.Verdict(t, handler, minted.Token(t, minted.Valid())); got != "served" || service.Calls() != 1 {
			t.Errorf("got %s and %d calls, want served and 1", got, service.Calls())
		}
		for name, log := range map[string]func() []string{
			"its own log": func() []string {
				return e.Logged(t, func() { bothways.Verdict(t, handler, "x") })
			},
			"a warning": func() []string {
				return e.Logged(t, func() { _ = e.Refusal(bothways.Options{"jwksUrl": "https://keys.example"}) })
			},
		} {
			if got := log(); len(got) != 1 {
				t.Errorf("%s: got %q, want a line", name, got)
			}
		}
		var elsewhere strings.Builder
		other := e.LoggingTo(t, &elsewhere)
		_ = other.Refusal(bothways.Options{"jwksUrl": "https://keys.example", "realm": "elsewhere"})
		if !strings.Contains(elsewhere.String(), "audience") {
			t.Errorf("got the log %q, want a warning", elsewhere.String())
		}
		if err := e.Refusal(bothways.Options{"nope": 1}); err == nil {
			t.Error("got no error, want one")
		}
	})
}

func TestOutcome(t *testing.T) {
	tests := []struct {
		status     int
		kind, grpc string
		body, want string
	}{
		{200, "", "", "served", "served"},
		{200, "application/grpc", "0", "", "served"},
		{200, "application/grpc", "16", "", "gRPC 16"},
		{204, "", "", "", "204"},
		{401, "", "", "", "401"},
		{401, "application/problem+json", "", `{"type":"https://example.com/reasons#token_expired"}`, "401 token_expired"},
		{401, "application/problem+json", "", "", "401"}, // of a HEAD
	}
	for _, test := range tests {
		rec := httptest.NewRecorder()
		rec.Header()["Content-Type"] = []string{test.kind}
		if test.grpc != "" {
			rec.Header()["Grpc-Status"] = []string{test.grpc}
		}
		rec.WriteHeader(test.status)
		_, _ = fmt.Fprint(rec, test.body)
		if got := bothways.Outcome(t, rec); got != test.want {
			t.Errorf("%d %q: got %s, want %s", test.status, test.body, got, test.want)
		}
	}
}

func TestLines(t *testing.T) {
	got := bothways.Lines{"x_a: 1", "Cookie: a=ONE", "Cookie: b: c"}.Header("ONE", "2")
	if want := (http.Header{"x_a": {"1"}, "Cookie": {"a=2", "b: c"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
