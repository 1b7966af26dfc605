package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// theEnd is what was not cut ends in.
const theEnd = "the end"

// streaming is a service that says something until it is cut, through a WebSocket, in an event stream or in a download. The last two
// end by themselves after a time. It counts whom it is answering.
func streaming(t *testing.T) (address string, open *atomic.Int64) {
	t.Helper()
	const beat = 50 * time.Millisecond
	open = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		if strings.HasSuffix(req.URL.Path, "/socket") {
			upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
			conn, err := upgrader.Upgrade(w, req, nil)
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			for conn.WriteMessage(websocket.TextMessage, []byte("tick")) == nil {
				time.Sleep(beat)
			}
			return
		}
		length, err := time.ParseDuration(req.URL.RawQuery)
		if err != nil {
			t.Errorf("got %q, want how long it lasts", req.URL.RawQuery)
		}
		if strings.HasSuffix(req.URL.Path, "/events") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		flusher := http.NewResponseController(w)
		for start := time.Now(); req.Context().Err() == nil; time.Sleep(beat) {
			if time.Since(start) > length {
				_, _ = io.WriteString(w, theEnd)
				return
			}
			_, _ = io.WriteString(w, "data: tick\n\n")
			_ = flusher.Flush()
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, open
}

// TestEndStreams shows that streams are cut on time, and nothing else is. It may be later on a busy machine, and never sooner. The
// fast proxy, as of Traefik v3.6, does not ask a request's context once there is an answer, but for a WebSocket: docs/options.md
// says so.
func TestEndStreams(t *testing.T) {
	const secret = "a secret for tests that is long enough: 0123456789"
	for _, proxy := range []string{"the default proxy", "the fast proxy"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			service, open := streaming(t)
			static := map[string]any{}
			if proxy == "the fast proxy" {
				static["experimental"] = map[string]any{"fastProxy": map[string]any{}}
			}
			routers, middlewares := map[string]any{}, map[string]any{}
			for _, mode := range []string{"token", "session"} {
				routers[mode] = map[string]any{"rule": "PathPrefix(`/" + mode + "/`)", "middlewares": []string{mode}, "service": "streaming"}
				middlewares[mode] = map[string]any{"plugin": map[string]any{"slidingjwt": map[string]any{
					"signingSecret": secret, "cookie": map[string]any{"name": "session"}, "endStreams": mode,
					"renew": map[string]any{"before": "50%", "maxSession": "1m"},
				}}}
			}
			g := startGateway(t, gateway.Options{Static: static, Dynamic: map[string]any{"http": map[string]any{
				"routers": routers, "middlewares": middlewares, "services": map[string]any{"streaming": balanced(service)},
			}}})

			// begin returns a cookie, and when what it opens is to be cut: the token ends in 2 seconds, the session in 4.
			begin := func(t *testing.T, mode string) (http.Header, time.Time) {
				now := time.Now().Truncate(time.Second)
				end := map[string]time.Time{"token": now.Add(2 * time.Second), "session": now.Add(4 * time.Second)}[mode]
				token := signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
					"sub": "ada", "iat": now.Unix() - 56, "exp": now.Unix() + 2,
				}), []byte(secret))
				return http.Header{"Cookie": {"session=" + token}, "Sec-Fetch-Site": {"same-origin"}}, end
			}
			// cut checks that a stream ended, not before its time, and that something came before.
			cut := func(t *testing.T, count int, end time.Time) {
				t.Helper()
				if early := time.Until(end); early > 0 || count == 0 {
					t.Errorf("it was cut %s early, %d messages after its start", early, count)
				}
			}
			t.Run("all", func(t *testing.T) {
				for _, mode := range []string{"token", "session"} {
					t.Run("WebSocket, "+mode, func(t *testing.T) {
						t.Parallel()
						header, end := begin(t, mode)
						conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(g.URL(), "http")+"/"+mode+"/socket", header)
						if err != nil {
							t.Fatal(err)
						}
						_ = resp.Body.Close()
						defer func() { _ = conn.Close() }()
						_ = conn.SetReadDeadline(time.Now().Add(patience))
						count := 0
						for ; ; count++ {
							if _, _, err = conn.ReadMessage(); err != nil {
								break
							}
						}
						if strings.Contains(err.Error(), "timeout") {
							t.Fatalf("it was not cut in %s", patience)
						}
						cut(t, count, end)
					})
				}
				clients := map[string]*http.Client{"HTTP/1.1": {Timeout: patience}, "HTTP/2": http2(t)}
				for protocol, client := range clients {
					fetch := func(t *testing.T, uri string, header http.Header) (string, error) {
						t.Helper()
						req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL()+uri, http.NoBody)
						if err != nil {
							t.Fatal(err)
						}
						req.Header = header
						resp, err := client.Do(req)
						if err != nil {
							t.Fatal(err)
						}
						defer func() { _ = resp.Body.Close() }()
						if resp.StatusCode != http.StatusOK || fmt.Sprint("HTTP/", resp.ProtoMajor) != strings.TrimSuffix(protocol, ".1") {
							t.Fatalf("got %s %d, want 200", resp.Proto, resp.StatusCode)
						}
						var body bytes.Buffer
						_, err = io.Copy(&body, resp.Body)
						return body.String(), err
					}
					for _, mode := range []string{"token", "session"} {
						t.Run("event stream, "+protocol+", "+mode, func(t *testing.T) {
							t.Parallel()
							header, end := begin(t, mode)
							header.Set("Accept", "text/event-stream")
							if proxy == "the fast proxy" {
								if body, err := fetch(t, "/"+mode+"/events?6s", header); err != nil || !strings.HasSuffix(body, theEnd) {
									t.Errorf("the fast proxy has cut an event stream, which it was not known to do: %v", err)
								}
								return
							}
							body, err := fetch(t, "/"+mode+"/events?1m", header)
							if err != nil && strings.Contains(err.Error(), "Timeout") {
								t.Fatalf("it was not cut in %s", patience)
							}
							if strings.HasSuffix(body, theEnd) {
								t.Error("it ended by itself")
							}
							cut(t, strings.Count(body, "data: tick"), end)
						})
					}
					t.Run("download, "+protocol, func(t *testing.T) {
						t.Parallel()
						header, _ := begin(t, "token")
						header.Set("Accept", "*/*")
						if body, err := fetch(t, "/token/download?5s", header); err != nil || !strings.HasSuffix(body, theEnd) {
							t.Errorf("it was cut: %v", err)
						}
					})
				}
			})
			poll(t, func() bool { return open.Load() == 0 }) // The service's side is cut too.
		})
	}
}
