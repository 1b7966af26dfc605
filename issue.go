package slidingjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
)

// issueSettings are the issue options.
type issueSettings struct {
	header   string // canonical
	lifetime float64
}

// issuing answers on a login route: what the login service says of the user in issue.header becomes a token.
// Whoever answers on that route can be anyone to every service.
func issuing(s *settings, next http.Handler, name string) http.HandlerFunc {
	spelling := newNameSet(s.issue.header)
	return func(rw http.ResponseWriter, req *http.Request) {
		look(s, time.Since(epoch))
		if isExcessive(s, req) {
			refuse(s, rw, req, name, refuseTooMany, presented{})
			return
		}
		removeNames(req.Header, spelling)
		guardTrailers(req, spelling)
		w := &issuingWriter{rw: rw, req: req, s: s, name: name, spelling: spelling}
		next.ServeHTTP(w, req)
		if !w.done {
			w.WriteHeader(http.StatusOK)
		}
		// What came as a trailer, under its name or announced by net/http's prefix; all of them behind a failure.
		h := rw.Header()
		for key := range h {
			header, isTrailer := strings.CutPrefix(key, http.TrailerPrefix)
			if spelling.names[normalize(header)] || w.failed && isTrailer {
				delete(h, key)
			}
		}
	}
}

// issuingWriter turns the claims header of the final response into a token.
//
// Yaegi: the compiled side sees only the three methods of http.ResponseWriter, so a login route does not stream.
type issuingWriter struct {
	rw       http.ResponseWriter
	req      *http.Request
	s        *settings
	name     string
	spelling nameSet
	done     bool // the final status was written
	failed   bool // the service's body is dropped
}

func (w *issuingWriter) Header() http.Header { return w.rw.Header() }

func (w *issuingWriter) WriteHeader(status int) {
	h := w.rw.Header()
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		removeNames(h, w.spelling)
		w.rw.WriteHeader(status)
		return
	}
	if w.done {
		return
	}
	w.done = true
	var claims []string
	for key, values := range h {
		if w.spelling.names[normalize(key)] {
			claims = append(claims, values...)
			delete(h, key)
		}
	}
	announceWithout(h, w.spelling)
	if status >= 200 && status < 300 && len(claims) > 0 {
		if err := w.issue(h, claims); err != nil {
			logError("no token was issued by %s: %s", quote(w.name), err.Error())
			w.failed = true
			for key := range h {
				delete(h, key)
			}
			refuse(w.s, w.rw, w.req, w.name, refuseIssuing, presented{})
			return
		}
	}
	w.rw.WriteHeader(status)
}

func (w *issuingWriter) Write(data []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	if w.failed {
		return len(data), nil
	}
	n, err := w.rw.Write(data)
	return n, err
}

// issue signs the claims and adds the token to the response's headers.
func (w *issuingWriter) issue(h http.Header, claims []string) error {
	if len(claims) != 1 {
		return errors.New("there is more than one claims header")
	}
	now := seconds(time.Now())
	lifetime := math.Min(w.s.issue.lifetime, w.s.renewal.maxSession)
	payload, err := issuedClaims(w.s, claims[0], now, lifetime)
	if err != nil {
		return err
	}
	typ := w.s.config.TokenType
	if typ == "" {
		typ = "JWT"
	}
	token, err := sign(currentRing(w.s.keys).signer, typ, payload)
	if err != nil {
		return err
	}
	byCookie := w.s.config.Cookie.Name != ""
	now = math.Floor(now) // Whole seconds, so that what remains is as configured.
	issued := &renewed{token: token, line: []string{"Bearer " + token}, exp: now + lifetime, sessionEnd: now + w.s.renewal.maxSession}
	if byCookie && len(cookieLine(w.s, token, int(lifetime))) > maxCookie {
		return fmt.Errorf("the cookie would be longer than the %d bytes that browsers keep", maxCookie)
	}
	deliver(w.s, h, w.req, presented{token: token, cookie: byCookie, header: !byCookie}, issued, now)
	return nil
}

// issuedClaims completes the service's claims: those that say from whom, when and for how long a token is are
// the gateway's.
func issuedClaims(s *settings, text string, now, lifetime float64) (string, error) {
	claims, err := strictObject([]byte(text))
	if err != nil {
		return "", errors.New("the claims header is no JSON object")
	}
	if _, there := claims["nbf"]; there {
		return "", errors.New("the claims header has nbf")
	}
	jti, err := newTokenID()
	if err != nil {
		return "", err
	}
	delete(claims, "iss")
	if s.config.Issuer != "" {
		claims["iss"] = s.config.Issuer
	}
	issuedAt := int64(now)
	claims["iat"] = float64(issuedAt)
	claims["auth_time"] = float64(issuedAt)
	claims["exp"] = float64(int64(now + lifetime))
	claims["jti"] = jti
	if r := readRegistered(s, &entry{}, claims, time.Duration(issuedAt)*time.Second); r != nil {
		return "", errors.New("the claims header: " + r.phrase)
	}
	if aud, there := claims["aud"]; there {
		if _, fits := audiences(aud); !fits {
			return "", errors.New("the claims header: " + refuseClaims.phrase)
		}
	}
	if _, there := claims["aud"]; !there && len(s.config.Audience) > 0 {
		claims["aud"] = s.config.Audience
	}
	payload, err := json.Marshal(claims)
	return string(payload), err
}

// announceWithout takes the claims header out of the announced trailers.
func announceWithout(h http.Header, spelling nameSet) {
	lines := h["Trailer"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, name := range strings.Split(strings.Join(lines, ","), ",") {
		if name = strings.TrimSpace(name); !spelling.names[normalize(name)] {
			kept = append(kept, name)
		}
	}
	delete(h, "Trailer")
	if len(kept) > 0 {
		h["Trailer"] = kept
	}
}
