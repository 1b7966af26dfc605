package slidingjwt_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// What the service's request has as a deadline.
func TestEndStreams(t *testing.T) {
	now := time.Now().Unix()
	exp, sessionEnd := now+600, now-3000+43200 // Of a token that is due, in a session of twelve hours.
	socket := lines{"Connection: Upgrade", "Upgrade: websocket"}
	events := lines{"Accept: text/event-stream"}
	renewing := options{"renew": map[string]any{"before": "50%", "maxSession": "12h"}}
	tests := []struct {
		name    string
		mode    string
		options options
		claims  claims
		sent    lines
		place   string // of the token; empty: the header
		want    int64  // 0: none
	}{
		{"a WebSocket", "token", nil, nil, socket, "", exp},
		{"a WebSocket by its cookie", "token", nil, nil, append(socket, "Sec-Fetch-Site: same-origin"), "cookie", exp},
		{"a WebSocket by its query", "token", nil, nil, socket, "query", exp},
		{"an event stream", "token", nil, nil, events, "", exp},
		{"an event stream by its cookie", "token", nil, nil, events, "cookie", exp},
		{"an event stream in a list", "token", nil, nil, lines{"Accept: application/json, Text/Event-Stream;q=0.5"}, "", exp},
		{"an event stream in a second line", "token", nil, nil, lines{"Accept: application/json", "Accept: text/event-stream"}, "", exp},
		{"a download", "token", nil, nil, lines{"Accept: */*"}, "", 0},
		{"a page", "token", nil, nil, lines{"Accept: text/html,*/*;q=0.8"}, "cookie", 0},
		{"nothing that says so", "token", nil, nil, nil, "", 0},
		{"an upgrade to something else", "token", nil, nil, lines{"Connection: Upgrade", "Upgrade: h2c"}, "", 0},
		{"a renewed token's end", "token", renewing, nil, socket, "", exp},
		{"a session's end, with a WebSocket", "session", renewing, nil, socket, "", sessionEnd},
		{"a session's end, with an event stream", "session", renewing, nil, events, "cookie", sessionEnd},
		{"a session that began before", "session", renewing, claims{"auth_time": now - 7200}, socket, "", now - 7200 + 43200},
		{"a session's download", "session", renewing, nil, nil, "", 0},
		{"a query's token is never renewed", "session", renewing, nil, socket, "query", exp},
		{"no renewal", "session", nil, nil, socket, "", exp},
		{"a token without iat", "session", renewing, claims{"iat": nil}, socket, "", exp},
		{"a token with a strange auth_time", "session", renewing, claims{"auth_time": "x"}, socket, "", exp},
		{"a token that outlives its session", "session", renewing, claims{"exp": now + 86400}, socket, "", now + 86400},
		{"a token that leeway accepts", "token", options{"leeway": "10m"}, claims{"exp": now - 10}, socket, "", now + 590},
		{"a token that leeway accepts, of a session", "session", renewing.With(options{"leeway": "10m"}), claims{"exp": now - 10}, events, "", sessionEnd},
		{"no token", "token", options{"optional": true}, nil, events, "none", 0},
		{"off", "", renewing, nil, socket, "", 0},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, service := e.Middleware(t, sourceOptions.With(options{"endStreams": test.mode, "forwardHeaders": map[string]any{"X-User": "sub"}}).With(test.options))
				token := minted.Token(t, minted.Due().With(claims{"iat": now - 3000, "exp": exp}).With(test.claims))
				sent, target := test.sent.Header(), "/"
				switch test.place {
				case "":
					sent["Authorization"] = []string{"Bearer " + token}
				case "cookie":
					sent["Cookie"] = []string{"session=" + token}
				case "query":
					target = "/?access_token=" + token
				}
				for range [3]int{} { // New, remembered, and once more.
					rec := bothways.Send(t, handler, "GET", target, sent.Clone(), nil)
					if got := bothways.Outcome(t, rec); got != "served" {
						t.Fatalf("got %s, want served", got)
					}
					got, h := service.Request(), service.Request().Header
					end, isSet := got.Context().Deadline()
					if isSet != (test.want != 0) || isSet && end.Unix() != test.want {
						t.Errorf("got the deadline %v, %t, want %v", end, isSet, time.Unix(test.want, 0))
					}
					if isSet && got.Context().Err() == nil {
						t.Error("the context goes on when the request has ended")
					}
					if isNamed := h.Get("X-User") == "ada"; isNamed != (test.place != "none") || h["Authorization"] != nil || h["Cookie"] != nil || got.URL.RawQuery != "" {
						t.Errorf("the service got %v and %q", h, got.URL)
					}
				}
			})
		}
	})
}

// The deadline comes while the service answers, and nothing of the answer is lost before it.
func TestEndStreamsCuts(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "endStreams": "token", "leeway": "0s"})
		service.Respond = func(rw http.ResponseWriter, req *http.Request) {
			_, _ = rw.Write([]byte("data: 1\n\n"))
			rw.(http.Flusher).Flush() // The writer is handed on as it is.
			select {
			case <-req.Context().Done():
			case <-time.After(20 * time.Second):
				t.Error("the stream was not cut in 20 seconds")
			}
		}
		exp := time.Now().Unix() + 2
		sent := bothways.Bearer(minted.Token(t, minted.Valid().With(claims{"exp": exp})))
		sent["Accept"] = []string{"text/event-stream"}
		rec := bothways.Send(t, handler, "GET", "/", sent, nil)
		if early := exp - time.Now().Unix(); early > 0 || rec.Body.String() != "data: 1\n\n" {
			t.Errorf("got %q, %d seconds early", rec.Body, early)
		}
	})
}

func TestEndStreamsOptions(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, bad := range []string{"Token", "tokens", "true", "exp", " "} {
			if err := e.Refusal(options{"signingSecret": minted.Secret, "endStreams": bad}); err == nil || !strings.Contains(err.Error(), `endStreams: "`+bad+`" is neither token nor session`) {
				t.Errorf("%q: got %v", bad, err)
			}
		}
		if err := e.Refusal(options{"signingSecret": minted.Secret, "endStreams": "token", "issue": map[string]any{"header": "X-Claims"}}); err == nil || !strings.Contains(err.Error(), "issue: cannot be combined with endStreams") {
			t.Errorf("issue: got %v", err)
		}
	})
}
