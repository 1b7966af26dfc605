package slidingjwt

// The remembered path, written for the interpreter. It serves what is usual at a glance: a known token in its usual header, on a
// request with nothing unusual about it. Whatever is not is for the story in guard.go, which gives the same answer to this, too.
//
// Yaegi: compiled code that calls an interpreted function allocates each of its variables and expressions, an && and those of
// branches not taken as well. So there are few, and conditions are nested. A closure is cheaper than a type with ServeHTTP, a
// header's slice that is set cheaper than a method of http.Header, and the clock as a time since 1970 is one call.

import (
	"net/http"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// epoch is where NumericDates count from (RFC 7519 2).
var epoch = time.Unix(0, 0)

// glance returns the handler of a guarded route.
func glance(in *instance, next http.Handler, name string) http.HandlerFunc {
	s, m, mu := in.settings, in.memory, &in.memory.mu
	unsurprising := s.unsurprising
	removesToken := !s.keepsToken
	atAGlance := func(rw http.ResponseWriter, req *http.Request) {
		h := req.Header
		line := h["Authorization"]
		if len(line) == 1 {
			if req.Trailer == nil {
				if req.ContentLength >= 0 { // Else it may have trailers.
					if len(h) <= maxHeaders {
						if h.WriteSubset(request.Nowhere, unsurprising) != nil {
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
									for i, header := range v.names {
										h[header] = v.values[i]
									}
									if removesToken {
										delete(h, "Authorization")
									}
									next.ServeHTTP(rw, req)
									return
								}
							}
							if renewedAtAGlance(in, next, rw, req, line[0], v, now) {
								return
							}
						}
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

// isUsual says whether headers that are not all ordinary hold nothing that is for the story: a cookie that may carry a token, a
// connection option, an upgrade, a preflight's question. Then it removes the spellings of claim headers among them.
func isUsual(s *settings, h http.Header) bool {
	if h["Connection"] != nil || h["Upgrade"] != nil || h["Access-Control-Request-Method"] != nil || s.cookies != nil && h["Cookie"] != nil {
		return false
	}
	if s.claimHeaders != nil {
		s.claimHeaders.RemoveFrom(h)
	}
	return true
}

// renewedAtAGlance serves a request whose known token is valid and due for renewal, and says whether it did.
func renewedAtAGlance(in *instance, next http.Handler, rw http.ResponseWriter, req *http.Request, line string, v *verified, now time.Duration) bool {
	s := in.settings
	if v.denied != nil {
		return false
	}
	if v.times.compare(now, s.leeway) != nil {
		return false
	}
	r := renew(in, line[bearerBytes:], v, now)
	if r != nil {
		h := rw.Header()
		h[s.renewal.header] = r.line
		announce(h, req, r, s.renewal.exposed, now)
	}
	h := req.Header
	setHeaders(h, v)
	if !s.keepsToken {
		delete(h, "Authorization")
	}
	next.ServeHTTP(rw, req)
	return true
}

// unsurprisingHeaders are the ordinary ones that may come with a request that is served at a glance.
func unsurprisingHeaders(ordinary map[string]bool, hasCookie bool) map[string]bool {
	names := map[string]bool{}
	for name := range ordinary {
		names[name] = name != "Upgrade" && (name != "Cookie" || !hasCookie)
	}
	return names
}
