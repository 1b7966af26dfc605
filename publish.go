package slidingjwt

import (
	"net/http"
	"strconv"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/keysource"
)

// publishing is the handler that answers with the public halves of the operator's keys (RFC 7517 5). It never calls the service.
func publishing(in *instance, name string) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		lookAtKeys(in, time.Since(epoch))
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			refuse(in.settings, rw, req, name, refuseMethod, credential{})
			return
		}
		set := keysource.Current(in.own).Published
		if set == nil {
			refuse(in.settings, rw, req, name, unavailable(time.Second), credential{})
			return
		}
		h := rw.Header()
		h["Content-Type"] = []string{"application/jwk-set+json"}
		h["Cache-Control"] = []string{"public, max-age=300"}
		h["Content-Length"] = []string{strconv.Itoa(len(set))}
		rw.WriteHeader(http.StatusOK)
		if req.Method == http.MethodGet {
			_, _ = rw.Write(set) // A failure means that the client is gone.
		}
	}
}
