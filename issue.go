package slidingjwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// issuing is the handler of a login route: the claims with which the login service answers in issue.header become a token. Whoever
// answers on that route can be any user to every service.
func issuing(in *instance, next http.Handler, name string) http.HandlerFunc {
	spelling := request.NewNames(in.settings.issue.header)
	return func(rw http.ResponseWriter, req *http.Request) {
		lookAtKeys(in, time.Since(epoch))
		if isExcessive(in.settings, req) {
			refuse(in.settings, rw, req, name, refuseTooMany, credential{})
			return
		}
		spelling.RemoveFrom(req.Header)
		request.GuardTrailers(req, spelling)
		w := &issuingWriter{rw: rw, req: req, in: in, name: name, spelling: spelling}
		next.ServeHTTP(w, req)
		if !w.done {
			w.WriteHeader(http.StatusOK)
		}
		// Trailers, which may have net/http's prefix: the claims header, and all of them after a failure.
		h := rw.Header()
		for key := range h {
			header, isTrailer := strings.CutPrefix(key, http.TrailerPrefix)
			if spelling.Has(header) || w.failed && isTrailer {
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
	in       *instance
	name     string
	spelling *request.Names
	done     bool // the final status was written
	failed   bool // the service's body is dropped
}

func (w *issuingWriter) Header() http.Header { return w.rw.Header() }

func (w *issuingWriter) WriteHeader(status int) {
	h := w.rw.Header()
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.spelling.RemoveFrom(h)
		w.rw.WriteHeader(status)
		return
	}
	if w.done {
		return
	}
	w.done = true
	var lines []string
	for key, values := range h {
		if w.spelling.Has(key) {
			lines = append(lines, values...)
			delete(h, key)
		}
	}
	w.spelling.RemoveFromList(h, "Trailer")
	begins := status >= 200 && status < 400 && status != http.StatusNotModified
	if len(lines) > 0 && !begins {
		logline.Warning("no token was issued by %s: the login service answered %d with claims", logline.Quote(w.name), status)
	}
	if len(lines) > 0 && begins {
		if err := w.issue(h, lines); err != nil {
			logline.Error("no token was issued by %s: %s", logline.Quote(w.name), err.Error())
			w.failed = true
			for key := range h {
				delete(h, key)
			}
			refuse(w.in.settings, w.rw, w.req, w.name, refuseIssuing, credential{})
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
func (w *issuingWriter) issue(h http.Header, lines []string) error {
	if len(lines) != 1 {
		return errors.New("there is more than one claims header")
	}
	s := w.in.settings
	now := time.Since(epoch).Truncate(time.Second) // So the token is valid for exactly the configured time.
	expires := now + s.issue.lifetime
	sessionEnd := now + s.renewal.maxSession
	if sessionEnd < expires {
		expires = sessionEnd
	}
	payload, err := issuedClaims(s, lines[0], now, expires)
	if err != nil {
		return err
	}
	signer := keysource.Current(w.in.own).Signer
	if signer == nil {
		return errNoSigner
	}
	token, err := signer.Sign(s.issuedType, payload)
	if err != nil {
		return err
	}
	issued := &renewal{token: token, line: []string{s.renewal.prefix + token}, expires: expires, sessionEnd: sessionEnd}
	isCookie := s.cookie != nil
	if isCookie && len(s.cookie.line(token, expires-now)) > maxCookie {
		return fmt.Errorf("the cookie would be longer than the %d bytes that browsers keep", maxCookie)
	}
	deliver(s, h, w.req, credential{token: token, inCookie: isCookie, inHeader: !isCookie}, issued, now)
	return nil
}

// issuedClaims completes the service's claims. The gateway sets the issuer, the times and the ID, whatever the service says.
func issuedClaims(s *settings, text string, now, expires time.Duration) (string, error) {
	all, err := jose.StrictObject([]byte(text))
	if err != nil {
		return "", errors.New("the claims header is not one JSON object")
	}
	if _, there := all["nbf"]; there {
		return "", errors.New("the claims header has nbf")
	}
	jti, err := newTokenID()
	if err != nil {
		return "", err
	}
	sid, err := newTokenID()
	if err != nil {
		return "", err
	}
	delete(all, "iss")
	if s.issuer != "" {
		all["iss"] = s.issuer
	}
	all["iat"] = json.Number(wholeSeconds(now))
	all["auth_time"] = json.Number(wholeSeconds(now))
	all["exp"] = json.Number(wholeSeconds(expires))
	all["jti"] = jti
	all["sid"] = sid
	if r := readRegistered(&verified{}, all, now, 0); r != nil {
		return "", errors.New("the claims header: " + r.phrase)
	}
	aud, there := all["aud"]
	if _, fits := claims.Texts(aud); there && !fits {
		return "", errors.New("the claims header: " + refuseClaims.phrase)
	}
	if !there && len(s.audience) > 0 {
		all["aud"] = s.audience
	}
	payload, err := json.Marshal(all)
	return string(payload), err
}
