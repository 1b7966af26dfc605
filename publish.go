package slidingjwt

import (
	"net/http"
	"strconv"
	"time"
)

// publishing answers with the public halves of our keys (RFC 7517 5), and never calls the service.
func publishing(s *settings, name string) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		look(s, time.Since(epoch))
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			refuse(s, rw, req, name, refuseMethod, presented{})
			return
		}
		r := currentRing(s.keys)
		if r.published == nil {
			refuse(s, rw, req, name, unavailable(1), presented{})
			return
		}
		h := rw.Header()
		h["Content-Type"] = []string{"application/jwk-set+json"}
		h["Cache-Control"] = []string{"public, max-age=300"}
		h["Content-Length"] = []string{strconv.Itoa(len(r.published))}
		rw.WriteHeader(http.StatusOK)
		if req.Method == http.MethodGet {
			_, _ = rw.Write(r.published) // The client is gone.
		}
	}
}
