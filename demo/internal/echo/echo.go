// Package echo is the service behind the demo's gateway. It knows nothing of tokens: what it knows
// about its caller is what the gateway sends it as headers.
package echo

import (
	"encoding/json"
	"log"
	"net/http"
)

// Answer is the service's answer to every request.
type Answer struct {
	// Instance is the name of the instance that answers.
	Instance string `json:"instance"`
	// Headers are those that the service was sent.
	Headers http.Header `json:"headers"`
}

// Handler is one instance of the service.
func Handler(instance string, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger.Printf("service %s: %s %q for user %q", instance, r.Method, r.URL.Path, r.Header.Get("X-User-Id"))
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(Answer{instance, r.Header}) // An error here is a client that has gone.
	})
}
