// Package slidingjwt is a Traefik middleware plugin for stateless sessions with JSON Web Tokens (RFC 7519): it
// verifies the token of a request, forwards its claims to the service as headers, and, when the token is close
// to expiry, adds a renewed one to the response. So a session lasts as long as its user is active, and no
// gateway and no service holds any state of it.
//
// Traefik interprets it, with Yaegi. Only glance.go is written for the interpreter; where a line elsewhere is as it is because
// of it, the line says so.
package slidingjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// New creates the middleware. It refuses a configuration that is wrong, naming every problem at once, and never waits for the
// network. A middleware guards its service, unless an option gives it another role.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	if config == nil {
		return nil, errors.New("slidingjwt: there is no configuration")
	}
	in, err := instanceOf(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("slidingjwt: %w", err)
	}
	switch {
	case in.settings.publishes:
		return publishing(in, name), nil
	case in.settings.issue.header != "":
		return issuing(in, next, name), nil
	}
	return glance(in, next, name), nil
}
