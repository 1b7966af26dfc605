// Package echo is the service behind the demo's gateway. It knows nothing of tokens: what it knows
// about its caller is what the gateway sends it as headers.
package echo

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// Answer is the service's answer to every request.
type Answer struct {
	// Instance is the name of the instance that answers.
	Instance string `json:"instance"`
	// Headers are those that the service was sent.
	Headers http.Header `json:"headers"`
}

// Handler is one instance of the service. It answers a WebSocket's handshake with a stream of ticks, one a second.
func Handler(instance string, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger.Printf("service %s: %s %q for user %q", instance, r.Method, r.URL.Path, r.Header.Get("X-User-Id"))
		if websocket.IsWebSocketUpgrade(r) {
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
	upgrader := websocket.Upgrader{HandshakeTimeout: 10 * time.Second} // By default, only for pages of its own host.
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered.
	}
	defer conn.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for second := 0; ; second++ {
		text := fmt.Sprintf("instance %s, for %s: %d s", instance, r.Header.Get("X-User-Id"), second)
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
			return
		}
		select {
		case <-gone:
			return
		case <-ticker.C:
		}
	}
}
