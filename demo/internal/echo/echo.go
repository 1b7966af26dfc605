// Package echo is the service behind the demo's gateway. It knows nothing of tokens: what it knows
// about its caller is what the gateway sends it as headers.
package echo

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Answer is the service's answer to every request.
type Answer struct {
	// Instance is the name of the instance that answers.
	Instance string `json:"instance"`
	// Headers are those that the service was sent.
	Headers http.Header `json:"headers"`
}

// Handler is one instance of the service. At /stream a WebSocket is sent a tick every second.
func Handler(instance string, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger.Printf("service %s: %s %q for user %q", instance, r.Method, r.URL.Path, r.Header.Get("X-User-Id"))
		if r.URL.Path == "/stream" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			tick(w, r, instance)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(Answer{instance, r.Header}) // An error here is a client that has gone.
	})
}

// tick counts the seconds for a client until its connection is cut.
func tick(w http.ResponseWriter, r *http.Request, instance string) {
	conn, err := websocket.Accept(w, r, nil) // By default, only from pages of its own host.
	if err != nil {
		return // Accept has answered.
	}
	defer conn.CloseNow() //nolint:errcheck // There is nobody to tell.
	ctx := conn.CloseRead(r.Context())
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for second := 0; ; second++ {
		text := fmt.Sprintf("instance %s, for %s: %d s", instance, r.Header.Get("X-User-Id"), second)
		if conn.Write(ctx, websocket.MessageText, []byte(text)) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
