package slidingjwt

import (
	"context"
	"net/http"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// When a stream is cut: with its token, or with the session that the token is of.
const (
	streamsOfToken   = "token"
	streamsOfSession = "session"
)

func validateEndStreams(p *problems, c *Config) string {
	if c.EndStreams != "" && c.EndStreams != streamsOfToken && c.EndStreams != streamsOfSession {
		p.add("endStreams: %q is neither %s nor %s", c.EndStreams, streamsOfToken, streamsOfSession)
	}
	return c.EndStreams
}

// endingStreams returns the handler of a guarded route whose streams end. An event stream is for the story in guard.go, as a
// WebSocket is in any case; nothing else is changed for what is served at a glance.
func endingStreams(in *instance, next http.Handler, name string) http.HandlerFunc {
	atAGlance := glance(in, next, name)
	return func(rw http.ResponseWriter, req *http.Request) {
		if request.WantsEvents(req.Header) {
			guard(in, next, name, rw, req)
			return
		}
		atAGlance(rw, req)
	}
}

// serveStream has the service answer until the token's end, or the session's. The deadline of the request's context is what makes
// the gateway close both connections: no goroutine waits, and the writer is handed on as it is. (Traefik's experimental fast proxy,
// as of v3.6, asks the context for WebSockets alone, and Traefik's writers take no deadline of their own.)
//
// A client chooses what it says that it wants, so this defends against nobody.
func serveStream(s *settings, next http.Handler, rw http.ResponseWriter, req *http.Request, v *verified, c credential, at time.Duration) {
	ctx, cancel := context.WithDeadline(req.Context(), epoch.Add(streamEnd(s, v, c, at)))
	defer cancel()
	next.ServeHTTP(rw, req.WithContext(ctx))
}

// streamEnd is when a stream ends that a token opened. A query's token is never renewed, so it has no session; one that outlives
// its session is not renewed either. A token that is accepted by leeway alone lasts as long as it is accepted.
func streamEnd(s *settings, v *verified, c credential, at time.Duration) time.Duration {
	end := v.times.expires
	if s.endStreams == streamsOfSession && v.renewAt < farAway && c.hasWayBack() {
		end = later(end, v.authTime+s.renewal.maxSession)
	}
	if end <= at {
		end = v.times.expires + s.leeway
	}
	return end
}
