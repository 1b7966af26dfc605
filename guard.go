package slidingjwt

import (
	"net/http"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// guard is the story of a request to a guarded route. In order, it refuses what has too many parts, removes what a client may not
// send, finds and judges the token, renews it if it is due, puts the claims in its place, and calls the service. After that
// nothing touches the response's headers.
func guard(in *instance, next http.Handler, name string, rw http.ResponseWriter, req *http.Request) {
	s := in.settings
	at := time.Since(epoch)
	if s.username != nil {
		req.URL.User = nil // The client's own entry must not appear as the user in the access log.
	}
	if isExcessive(s, req) {
		refuse(s, rw, req, name, refuseTooMany, credential{})
		return
	}
	removeSpellings(s, req)
	if request.IsPreflight(req) {
		request.RemoveOverrides(req)
		removeToken(s, req) // An unverified token must not reach the service.
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
		request.GuardTrailers(req, s.claimHeaders) // After findToken, which may replace the body.
	}
	if c.token == "" {
		removeElsewhere(s, req) // What is left is an empty cookie, for example.
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
	if s.endStreams != "" && request.IsStream(req.Header) {
		serveStream(s, next, rw, req, v, c, at)
		return
	}
	next.ServeHTTP(rw, req)
}
