// Package slidingjwt is a Traefik middleware plugin for stateless sessions with JSON Web Tokens (RFC 7519): it
// verifies the token of a request, forwards its claims to the service as headers, and, when the token is close
// to expiry, adds a renewed one to the response. So a session lasts as long as its user is active, and neither the
// gateway nor a service keeps any state for it.
//
// Traefik interprets it, with Yaegi. Only glance.go is written for the interpreter. Where another line is as it is because of the
// interpreter, a comment that begins with "Yaegi:" says so. docs/inside.md shows how the files work together.
package slidingjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// New creates the middleware. It refuses a wrong configuration with an error that names every problem, and never waits for the
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
	case in.settings.exchange.isOn:
		return exchanging(in, name), nil
	case in.settings.logout != "":
		return loggingOut(in, name), nil
	case in.settings.endStreams != "":
		return endingStreams(in, next, name), nil
	}
	return glance(in, next, name), nil
}
