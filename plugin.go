// Package slidingjwt is a Traefik middleware plugin for stateless sessions with JSON Web Tokens (RFC 7519): it
// verifies the token of a request, forwards its claims to the service as headers, and, when the token is close
// to expiry, adds a renewed one to the response. So a session lasts as long as its user is active, and no
// gateway and no service holds any state of it.
//
// Yaegi, the interpreter that runs plugins, is why the code is as it is in some places: functions instead of
// methods, no wrapped writers, maps instead of the methods of http.Header. Such places say so.
package slidingjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// New creates the middleware. It refuses a configuration that is wrong, naming every problem at once, and never
// waits for the network.
func New(ctx context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	if config == nil {
		return nil, errors.New("slidingjwt: there is no configuration")
	}
	s, err := sharedSettings(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("slidingjwt: %w", err)
	}
	switch {
	case config.PublishJWKS:
		return publishing(s, name), nil
	case s.issue.header != "":
		return issuing(s, next, name), nil
	}
	return guarding(s, next, name), nil
}

// guarding returns the handler of a guarded route. It serves what is usual at a glance: a valid token in the Authorization
// header of a request with ordinary headers. The rest is for decide and serve. All give the same answer: nothing is
// decided here that serve would decide otherwise.
//
// Yaegi: a call of a function costs each of its variables and expressions, an && and those of branches not taken as
// well, so this one has few, and its conditions are nested. A closure is cheaper than a type with ServeHTTP, and a
// header's slice that is set cheaper than a method of http.Header. Nothing touches the response's headers once the
// service is called.
func guarding(s *settings, next http.Handler, name string) http.HandlerFunc {
	m, mu := s.memory, &s.memory.mu
	unsurprising := s.unsurprising
	removesToken := !s.config.ForwardAuthorization
	glance := func(rw http.ResponseWriter, req *http.Request) {
		h := req.Header
		line := h["Authorization"]
		if len(line) != 1 {
			serve(s, next, name, rw, req)
			return
		}
		if req.Trailer != nil {
			serve(s, next, name, rw, req)
			return
		}
		if req.ContentLength < 0 { // It may have trailers.
			serve(s, next, name, rw, req)
			return
		}
		if len(h) > maxHeaders {
			serve(s, next, name, rw, req)
			return
		}
		if h.WriteSubset(nowhere, unsurprising) != nil {
			if needServe(s, h) {
				serve(s, next, name, rw, req)
				return
			}
		}
		now := time.Since(epoch)
		mu.RLock()
		e := m.entries[line[0]]
		mu.RUnlock()
		if e == nil {
			e = verifyAnew(s, line[0], now)
		}
		if now >= e.validSince {
			if now < e.validUntil {
				if now >= e.dueFrom {
					addRenewal(s, rw, req, line, e, now)
				}
				// The slices are everybody's: a middleware behind this one may replace them, and not write into them.
				for i, header := range e.names {
					h[header] = e.values[i]
				}
				if removesToken {
					delete(h, "Authorization")
				}
				next.ServeHTTP(rw, req)
				return
			}
		}
		decide(s, next, name, rw, req, e, now)
	}
	if s.config.TokenKey == "" {
		return glance
	}
	return func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.RawQuery == "" {
			glance(rw, req)
			return
		}
		serve(s, next, name, rw, req)
	}
}

// epoch is where NumericDates count from (RFC 7519 2). Yaegi: the time since then is the clock in one call.
var epoch = time.Unix(0, 0)

// addRenewal adds what a token of Authorization alone, which is due for renewal, was renewed to.
func addRenewal(s *settings, rw http.ResponseWriter, req *http.Request, line []string, e *entry, at time.Duration) {
	now := at.Seconds()
	r := renewalOf(s, line[0][schemeBytes:], e, now)
	if r != nil {
		if r.token != "" {
			h := rw.Header()
			h[s.renewal.header] = r.line
			announce(h, req, r, s.renewal.exposed, now)
		}
	}
}

// decide refuses a token of Authorization alone that was refused just now. What is not valid for sure is for serve.
func decide(s *settings, next http.Handler, name string, rw http.ResponseWriter, req *http.Request, e *entry, at time.Duration) {
	if e.refused != nil {
		if e.validSince == never || e.validSince == at {
			refuse(s, rw, req, name, e.refused, presented{})
			return
		}
	}
	serve(s, next, name, rw, req)
}

// serve is what a request meets, in order.
func serve(s *settings, next http.Handler, name string, rw http.ResponseWriter, req *http.Request) {
	if isExcessive(s, req) {
		refuse(s, rw, req, name, refuseTooMany, presented{})
		return
	}
	removeSpellings(s, req)
	if isPreflight(req) {
		disarm(s, req)
		next.ServeHTTP(rw, req)
		return
	}
	dropTunnel(req.Header)
	p, r := findToken(s, req)
	switch {
	case r == nil && p.token == "" && s.config.Optional:
		removeElsewhere(s, req) // An empty cookie, say.
		next.ServeHTTP(rw, req)
		return
	case r == nil && p.token == "":
		r = refuseNoToken
	case r == nil && p.cookie && !p.header && isCrossSite(s, req):
		r = refuseCrossSite
	}
	if r != nil {
		refuse(s, rw, req, name, r, p)
		return
	}
	at := time.Since(epoch)
	e, r := verify(s, scheme+p.token, at)
	if r != nil {
		refuse(s, rw, req, name, r, p)
		return
	}
	if at >= e.dueFrom && (p.header || p.cookie || p.form) { // What came by the query alone has no way back.
		if r := renewalOf(s, p.token, e, at.Seconds()); r != nil {
			deliver(s, rw.Header(), req, p, r, at.Seconds())
		}
	}
	forward(s, req, p, e)
	next.ServeHTTP(rw, req)
}

// forward puts the claims in the token's place.
func forward(s *settings, req *http.Request, p presented, e *entry) {
	h := req.Header
	for i, header := range e.names {
		h[header] = e.values[i]
	}
	if s.config.ForwardAuthorization {
		return
	}
	if p.header {
		delete(h, "Authorization")
	}
	if s.elsewhere {
		removeElsewhere(s, req)
	}
}
