package slidingjwt

import (
	"net/http"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// guard is the story of a request to a guarded route, in order: what is too much, what a client may not send, the token and its
// verdict, the renewal, the claims in the token's place, the service. Nothing touches the response's headers once the service
// is called.
func guard(in *instance, next http.Handler, name string, rw http.ResponseWriter, req *http.Request) {
	s := in.settings
	at := time.Since(epoch)
	if isExcessive(s, req) {
		refuse(s, rw, req, name, refuseTooMany, credential{})
		return
	}
	removeSpellings(s, req)
	if s.username != nil {
		req.URL.User = nil // What the client wrote there is nobody's name.
	}
	if request.IsPreflight(req) {
		request.RemoveOverrides(req)
		removeToken(s, req) // It was not verified.
		next.ServeHTTP(rw, req)
		return
	}
	request.DropTunnel(req.Header)
	c, r := findToken(s, req)
	if r == nil && c.token == "" && !s.isOptional {
		r = refuseNoToken
	}
	if r == nil && c.inCookie && !c.inHeader && request.IsCrossSite(req, s.origins) {
		r = refuseCrossSite
	}
	if r != nil {
		refuse(s, rw, req, name, r, c)
		return
	}
	if s.claimHeaders != nil {
		request.GuardTrailers(req, s.claimHeaders) // Behind findToken, which may read the body.
	}
	if c.token == "" {
		removeElsewhere(s, req) // An empty cookie, say.
		next.ServeHTTP(rw, req)
		return
	}
	v, r := judge(in, s.prefix+c.token, at)
	if r != nil {
		refuse(s, rw, req, name, r, c)
		return
	}
	if at >= v.renewAt && c.hasWayBack() && req.Header[s.renewal.unless] == nil {
		renewed, over := renew(in, c.token, v, at)
		if over != nil {
			refuse(s, rw, req, name, over, c)
			return
		}
		if renewed != nil {
			deliver(s, rw.Header(), req, c, renewed, at)
		}
	}
	if v.user != nil {
		req.URL.User = v.user
	}
	for _, claim := range v.headers {
		req.Header[claim.name] = claim.values
	}
	if !s.keepsToken {
		if c.inHeader {
			delete(req.Header, s.headerName)
		}
		removeElsewhere(s, req)
	}
	next.ServeHTTP(rw, req)
}
