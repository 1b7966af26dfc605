// Package textbook is a plugin that checks tokens as the library's documentation shows: each, on every request.
package textbook

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Config has the options.
type Config struct {
	// PublicKey is a PEM key.
	PublicKey string
	// ForwardHeaders maps request headers to claims.
	ForwardHeaders map[string]string
}

// CreateConfig returns the defaults.
func CreateConfig() *Config { return &Config{} }

// New creates the middleware.
func New(_ context.Context, next http.Handler, config *Config, _ string) (http.Handler, error) {
	key, err := jwt.ParseRSAPublicKeyFromPEM([]byte(config.PublicKey))
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired())
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		raw := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		token, err := parser.Parse(raw, func(_ *jwt.Token) (any, error) { return key, nil })
		if err != nil {
			http.Error(rw, "Unauthorized", http.StatusUnauthorized)
			return
		}
		claims, ok := token.Claims.(jwt.MapClaims)
		if !ok {
			http.Error(rw, "Unauthorized", http.StatusUnauthorized)
			return
		}
		req.Header.Del("Authorization")
		for header, claim := range config.ForwardHeaders {
			req.Header.Set(header, fmt.Sprint(claims[claim]))
		}
		next.ServeHTTP(rw, req)
	}), nil
}
