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
	"strings"
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

// guarding returns the handler of a guarded route. It serves what is usual, a token in the Authorization header
// of a request with ordinary headers, at a glance if the token is remembered, and leaves the rest to serve. Both
// give the same answer: nothing is decided here that serve would decide otherwise.
//
// Yaegi: a call of a function costs each of its variables and expressions, those of branches not taken as
// well, so this one has few. A closure is cheaper than a type with ServeHTTP, and a header's slice that is set
// cheaper than a method of http.Header. Nothing touches the response's headers once the service is called.
func guarding(s *settings, next http.Handler, name string) http.HandlerFunc {
	m := s.memory
	unsurprising := unsurprisingHeaders(s)
	ignoresQuery := s.config.TokenKey == ""
	forwardsToken := s.config.ForwardAuthorization
	return func(rw http.ResponseWriter, req *http.Request) {
		h := req.Header
		if line := h["Authorization"]; len(line) == 1 && req.Trailer == nil && (ignoresQuery || req.URL.RawQuery == "") {
			now := time.Now().Unix()
			m.mu.RLock()
			e, version, isLookDue := m.entries[line[0]], m.version, now >= m.nextLook || now < m.lookedAt
			m.mu.RUnlock()
			if !isLookDue && (h.WriteSubset(nowhere, unsurprising) == nil || isClean(s, h)) {
				if e == nil || e.version != version || now >= e.freshUntil || now < e.freshSince {
					if e = admitBearer(s, next, name, rw, req, line[0], e, version); e == nil {
						return
					}
				}
				// The slices are everybody's: a middleware behind this one may replace them, and not write into them.
				for i, header := range e.names {
					h[header] = e.values[i]
				}
				if !forwardsToken {
					delete(h, "Authorization")
				}
				next.ServeHTTP(rw, req)
				return
			}
		}
		serve(s, next, name, rw, req)
	}
}

// admitBearer decides on a token that can only be in Authorization, and adds a renewed one if that is due. It
// returns what to forward, or nil if the request was answered.
func admitBearer(s *settings, next http.Handler, name string, rw http.ResponseWriter, req *http.Request, line string, e *entry, version int64) *entry {
	token, isPlain := strings.CutPrefix(line, "Bearer ")
	if !isPlain || token == "" || len(token) > maxTokenBytes || strings.ContainsAny(token, " \t,") {
		serve(s, next, name, rw, req)
		return nil
	}
	now := seconds(time.Now())
	e, r, retryAfter := verify(s, token, e, version, now)
	if r != nil {
		refuse(s, rw, req, name, r, presented{}, retryAfter)
		return nil
	}
	if e.due > 0 && now >= e.due {
		renew(s, rw.Header(), req, presented{token: token, header: true}, e, now)
	}
	return e
}

// serve is what a request meets, in order.
func serve(s *settings, next http.Handler, name string, rw http.ResponseWriter, req *http.Request) {
	now := seconds(time.Now())
	look(s, now)
	if isExcessive(s, req) {
		refuse(s, rw, req, name, refuseTooMany, presented{}, 0)
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
	case r == nil && p.cookie && !p.header && isCrossSiteWrite(req):
		r = refuseCrossSite
	}
	if r != nil {
		refuse(s, rw, req, name, r, p, 0)
		return
	}
	e, version := recall(s.memory, "Bearer "+p.token)
	e, r, retryAfter := verify(s, p.token, e, version, now)
	if r != nil {
		refuse(s, rw, req, name, r, p, retryAfter)
		return
	}
	forward(s, req, p, e)
	if e.due > 0 && now >= e.due {
		renew(s, rw.Header(), req, p, e, now)
	}
	next.ServeHTTP(rw, req)
}

// forward puts the claims in the token's place.
func forward(s *settings, req *http.Request, p presented, e *entry) {
	if !s.config.ForwardAuthorization {
		if p.header {
			delete(req.Header, "Authorization")
		}
		removeElsewhere(s, req)
	}
	for i, header := range e.names {
		req.Header[header] = e.values[i]
	}
}

// unsurprisingHeaders are the ordinary ones that may come with a request whose token is in Authorization.
func unsurprisingHeaders(s *settings) map[string]bool {
	names := map[string]bool{}
	for name := range s.ordinary {
		names[name] = name != "Upgrade" && (name != "Cookie" || s.config.Cookie.Name == "")
	}
	return names
}

// isClean removes the spellings of forwarded headers among headers that are not all ordinary, and says whether
// none of the others needs serve: a cookie that may carry a token, a connection option, a preflight's question.
func isClean(s *settings, h http.Header) bool {
	if h["Connection"] != nil || h["Upgrade"] != nil || h["Access-Control-Request-Method"] != nil || s.config.Cookie.Name != "" && h["Cookie"] != nil {
		return false
	}
	removeNames(h, s.spellings)
	return true
}
