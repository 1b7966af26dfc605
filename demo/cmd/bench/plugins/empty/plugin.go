// Package empty is a plugin that does nothing: what it costs, every interpreted plugin costs.
package empty

import (
	"context"
	"net/http"
)

// Config has no options.
type Config struct{}

// CreateConfig returns the defaults.
func CreateConfig() *Config { return &Config{} }

// New creates the middleware.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { next.ServeHTTP(rw, req) }), nil
}
