package slidingjwt

// The remembered path, written for the interpreter. It serves the most frequent kind of request: a remembered token in the usual
// header, and nothing else that needs attention. Every other request goes to guard in guard.go, which would give the same answer
// to these.
//
// Yaegi: when compiled code calls an interpreted function, each variable and expression of the function is allocated, each && and
// those of branches that are not taken included. So there are few, and conditions are nested. A closure is cheaper than a type
// with ServeHTTP, setting a header's slice is cheaper than a method of http.Header, and reading the clock as a time since 1970
// takes one call.

import (
	"net/http"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// epoch is where NumericDates count from (RFC 7519 2).
var epoch = time.Unix(0, 0)

// glance returns the handler of a guarded route.
func glance(in *instance, next http.Handler, name string) http.HandlerFunc {
	s, m, mu := in.settings, in.memory, &in.memory.mu
	if s.headerName == "" {
		return func(rw http.ResponseWriter, req *http.Request) { guard(in, next, name, rw, req) }
	}
	tokenHeader, removed := s.headerName, s.removed
	unsurprising, nowhere := s.unsurprising, request.Nowhere
	atAGlance := func(rw http.ResponseWriter, req *http.Request) {
		h := req.Header
		line := h[tokenHeader]
		if len(line) == 1 {
			if req.Trailer == nil {
				if req.ContentLength >= 0 { // A chunked body may bring trailers.
					if len(h) <= maxHeaders {
						if h.WriteSubset(nowhere, unsurprising) != nil {
							if !isUsual(s, h) {
								guard(in, next, name, rw, req)
								return
							}
						}
						mu.RLock()
						v := m.known[line[0]]
						mu.RUnlock()
						if v != nil {
							now := time.Since(epoch)
							if now >= v.since {
								if now < v.until {
									for _, claim := range v.headers {
										h[claim.name] = claim.values
									}
									delete(h, removed)
									next.ServeHTTP(rw, req)
									return
								}
							}
						}
						seen(in, next, name, rw, req, line)
						return
					}
				}
			}
		}
		guard(in, next, name, rw, req)
	}
	if s.parameters == nil {
		return atAGlance
	}
	return func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.RawQuery == "" {
			atAGlance(rw, req)
			return
		}
		guard(in, next, name, rw, req)
	}
}

// isUsual says whether unknown headers hold nothing that guard has to look at: a cookie that may carry a token, a connection
// option, an upgrade, or a preflight's question. If so, it removes the spellings of claim headers among them.
func isUsual(s *settings, h http.Header) bool {
	if h["Connection"] != nil || h["Upgrade"] != nil || h["Access-Control-Request-Method"] != nil || s.cookies != nil && h["Cookie"] != nil {
		return false
	}
	if s.claimHeaders != nil {
		s.claimHeaders.RemoveFrom(h)
	}
	return true
}

// seen serves or refuses a request with nothing unusual but a token that is not remembered, not valid now, or due for renewal.
func seen(in *instance, next http.Handler, name string, rw http.ResponseWriter, req *http.Request, lines []string) {
	line := lines[0]
	if len(line) > maxLineBytes || strings.LastIndexAny(line, unwanted) != in.settings.lastSpace || !strings.HasPrefix(line, in.settings.prefix) || line == in.settings.prefix {
		guard(in, next, name, rw, req) // It says what is wrong with the line.
		return
	}
	now := time.Since(epoch)
	v, r := judge(in, line, now)
	if in.settings.username != nil {
		nameRequest(req, v)
	}
	if r != nil {
		refuse(in.settings, rw, req, name, r, credential{})
		return
	}
	if now >= v.renewAt && req.Header[in.settings.renewal.unless] == nil {
		r = renewAtAGlance(in, rw, req, line, v, now)
		if r != nil {
			refuse(in.settings, rw, req, name, r, credential{})
			return
		}
	}
	h := req.Header
	for _, claim := range v.headers {
		h[claim.name] = claim.values
	}
	delete(h, in.settings.removed)
	next.ServeHTTP(rw, req)
}

// renewAtAGlance adds the renewed token to the response, if there is one. It says why a token is refused whose session is over.
func renewAtAGlance(in *instance, rw http.ResponseWriter, req *http.Request, line string, v *verified, now time.Duration) *refusal {
	r, over := renew(in, line[len(in.settings.prefix):], v, now)
	if r != nil {
		h := rw.Header()
		h[in.settings.renewal.header] = r.line
		announce(h, req, r, in.settings.renewal.exposed, later(now, r.at))
	}
	return over
}

// unsurprisingHeaders are the ordinary headers that a request may have without isUsual looking at it.
func unsurprisingHeaders(ordinary map[string]bool, tokenHeader string, hasCookie bool) map[string]bool {
	names := map[string]bool{tokenHeader: true}
	for name := range ordinary {
		names[name] = name != "Upgrade" && (name != "Cookie" || !hasCookie)
	}
	return names
}
