package slidingjwt

import (
	"net/http"

	"github.com/slidingjwt/slidingjwt/internal/claims"
)

// forwardedHeader is a request header and the path of the claim that it carries.
type forwardedHeader struct {
	name string // canonical
	path claims.Path
}

// deriveHeaders derives the headers that a token sets. A claim that has no value to send leaves its header absent.
func deriveHeaders(s *settings, v *verified, all map[string]any) {
	for _, header := range s.forwarded {
		text, ok := claims.HeaderValue(header.path.In(all))
		if ok {
			v.names = append(v.names, header.name)
			v.values = append(v.values, []string{text})
		}
	}
}

// removeSpellings removes whatever a client sent under a spelling of a forwarded header, and keeps Connection from naming one:
// what it names is dropped on the way to the service (RFC 9110 7.6.1).
func removeSpellings(s *settings, req *http.Request) {
	if s.claimHeaders == nil {
		return
	}
	s.claimHeaders.RemoveFrom(req.Trailer)
	if hasOthers(req.Header, s.ordinary) {
		s.claimHeaders.RemoveFrom(req.Header)
		s.claimHeaders.RemoveFromList(req.Header, "Connection")
	}
}

// setHeaders sets the headers of a token. The slices are everybody's: a middleware behind this one may replace them, and not
// write into them.
func setHeaders(h http.Header, v *verified) {
	for i, name := range v.names {
		h[name] = v.values[i]
	}
}
