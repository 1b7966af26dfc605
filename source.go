package slidingjwt

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxTokenBytes = 8 << 10
	maxFormBytes  = 64 << 10
)

// presented is the token of a request and every place that it came by.
type presented struct {
	token                       string
	header, cookie, query, form bool
}

// findToken reads every place that may hold the token (RFC 6750 2). Two different tokens are refused: which of
// them counts would be for the attacker to choose.
func findToken(s *settings, req *http.Request) (presented, *refusal) {
	var p presented
	// Yaegi: a switch with an init statement loses what is assigned in it.
	lines := req.Header["Authorization"]
	if len(lines) > 1 {
		return p, refuseTwoTokens
	}
	if len(lines) == 1 {
		token, isBearer := bearerToken(lines[0])
		if isBearer && (token == "" || strings.ContainsAny(token, " \t,")) {
			return p, refuseMalformedHeader
		}
		p.token, p.header = token, isBearer
	}
	if s.elsewhere {
		r := findElsewhere(s, req, &p)
		return p, r
	}
	if len(p.token) > maxTokenBytes {
		return p, refuseTooLong
	}
	return p, nil
}

// findElsewhere looks for the token in the cookie, the query and the form.
func findElsewhere(s *settings, req *http.Request, p *presented) *refusal {
	if s.cookies != nil {
		for _, line := range cookieLines(req.Header) {
			pairs, named, err := findPairs(s.cookies, line)
			if err != nil {
				return refuseTooMany
			}
			for _, i := range named {
				p.cookie = take(p, strings.TrimSpace(valueOf(pairs[i]))) || p.cookie
			}
		}
	}
	if s.parameters != nil {
		values, err := parameters(s.parameters, req.URL.RawQuery)
		if err != nil {
			return refuseTooMany
		}
		for _, value := range values {
			p.query = take(p, value) || p.query
		}
		if p.token == "" && isForm(req) {
			values, err = formValues(s.parameters, req)
			if errors.Is(err, errTooMany) {
				return refuseTooMany
			}
			if err != nil {
				return refuseMalformedForm
			}
			for _, value := range values {
				p.form = take(p, value) || p.form
			}
		}
	}
	if p.token == twoTokens {
		return refuseTwoTokens
	}
	if len(p.token) > maxTokenBytes {
		return refuseTooLong
	}
	return nil
}

// cookieLines are the lines of a request's Cookie header, as one line if there are several (RFC 9113 8.2.3).
func cookieLines(h http.Header) []string {
	lines := h["Cookie"]
	if len(lines) > 1 {
		return []string{strings.Join(lines, "; ")}
	}
	return lines
}

// twoTokens stands where two different tokens were found: no token has a space.
const twoTokens = "two tokens"

// take notes a token that was found and says whether there was one.
func take(p *presented, token string) bool {
	if token == "" {
		return false
	}
	if p.token != "" && p.token != token {
		token = twoTokens
	}
	p.token = token
	return true
}

// bearerToken returns what follows the Bearer scheme, whose case does not matter (RFC 9110 11.1). A tab behind
// the scheme stays in what follows, where it is malformed: services differ in whether they take it for a space.
func bearerToken(line string) (token string, isBearer bool) {
	scheme, rest := line, ""
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		scheme, rest = line[:end], line[end:]
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.Trim(rest, " "), true
}

// parameters returns the token parameter's values in a query or form. One that is malformed stays as it is.
func parameters(f *pairFinder, encoded string) ([]string, error) {
	pairs, named, err := findPairs(f, encoded)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, i := range named {
		value := valueOf(pairs[i])
		if text, err := url.QueryUnescape(value); err == nil {
			value = text
		}
		values = append(values, value)
	}
	return values, nil
}

func isForm(req *http.Request) bool {
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	return req.Body != nil && strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// formValues reads the start of the body and puts it back, so that the service gets it whole.
func formValues(f *pairFinder, req *http.Request) ([]string, error) {
	// One byte more shows whether the last field ends here.
	start, err := io.ReadAll(io.LimitReader(req.Body, maxFormBytes+1))
	if err != nil {
		return nil, err
	}
	// The server closes the body that it made itself.
	req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(start), req.Body))
	if len(start) > maxFormBytes {
		// The last field is cut short.
		start = start[:bytes.LastIndexByte(start, '&')+1]
	}
	if bytes.Count(start, []byte("&")) > maxParameters {
		return nil, errTooMany
	}
	values, err := parameters(f, string(start))
	return values, err
}

// disarm takes off a preflight, which passes without a token, all that could make it more than a question.
func disarm(s *settings, req *http.Request) {
	removeNames(req.Header, methodOverrides)
	removeToken(s, req) // It was not verified.
}

// removeToken takes every token out of what the service sees, and leaves the rest untouched, byte for byte.
func removeToken(s *settings, req *http.Request) {
	if lines := req.Header["Authorization"]; len(lines) > 0 {
		if _, isBearer := bearerToken(lines[0]); isBearer || len(lines) > 1 {
			delete(req.Header, "Authorization")
		}
	}
	removeElsewhere(s, req)
}

// removeElsewhere takes the token out of the cookies and the query.
func removeElsewhere(s *settings, req *http.Request) {
	if s.cookies != nil {
		removeCookie(s.cookies, req.Header)
	}
	if s.parameters != nil {
		removeParameter(s.parameters, req)
	}
}

// removeCookie takes the token's cookie out of the Cookie header. Where there are more of it than are looked at, the
// whole header goes.
func removeCookie(f *pairFinder, h http.Header) {
	lines := h["Cookie"]
	if len(lines) > maxNamed {
		lines = cookieLines(h)
	}
	var kept []string
	for _, line := range lines {
		pairs, named, err := findPairs(f, line)
		if err != nil {
			delete(h, "Cookie")
			return
		}
		if len(named) > 0 {
			line = strings.TrimLeft(without(f, pairs, named), " ")
		}
		if line != "" {
			kept = append(kept, line)
		}
	}
	if kept == nil {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// removeParameter takes the token's parameter out of the URL. Where there are more of it than are looked at, the whole
// query goes.
func removeParameter(f *pairFinder, req *http.Request) {
	pairs, named, err := findPairs(f, req.URL.RawQuery)
	if err == nil && len(named) == 0 {
		return
	}
	query := ""
	if err == nil {
		query = without(f, pairs, named)
	}
	req.URL.RawQuery = query
	req.URL.ForceQuery = false
	// Traefik builds the outgoing URL from RequestURI.
	path, _, _ := strings.Cut(req.RequestURI, "?")
	if query != "" {
		path += "?" + query
	}
	req.RequestURI = path
}

// isCrossSite says whether a browser may have sent the cookie for another site with a request that could change something:
// one of another method than GET and HEAD, or one that opens a WebSocket. What is not known to be from this site is from
// another one. As in net/http's CrossOriginProtection, Sec-Fetch-Site counts before Origin; here Origin's scheme does too,
// since whoever can write the http site's pages may not be who runs the https site.
func isCrossSite(s *settings, req *http.Request) bool {
	h := req.Header
	if (req.Method == http.MethodGet || req.Method == http.MethodHead) && len(h["Upgrade"]) == 0 {
		return false
	}
	origins, sites := h["Origin"], h["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 {
		return true
	}
	if len(origins) == 1 && s.origins[origins[0]] {
		return false
	}
	if len(sites) == 1 {
		return sites[0] != "same-origin" && sites[0] != "none"
	}
	if len(origins) == 0 {
		return false // Browsers send one of the two with whatever can change something.
	}
	origin, err := url.Parse(origins[0])
	return err != nil || origin.User != nil || origin.Path != "" || origin.Scheme+"://"+hostPort(origin) != ownOrigin(req)
}

// ownOrigin is the origin of the request's own site, with its port. The scheme is what Traefik's X-Forwarded-Proto says,
// which is ws or wss for a WebSocket; empty if it says anything else.
func ownOrigin(req *http.Request) string {
	proto := req.Header["X-Forwarded-Proto"]
	scheme := ""
	switch {
	case len(proto) == 1:
		scheme = map[string]string{"http": "http", "ws": "http", "https": "https", "wss": "https"}[proto[0]]
	case len(proto) == 0 && req.TLS != nil:
		scheme = "https"
	case len(proto) == 0:
		scheme = "http"
	}
	if scheme == "" {
		return ""
	}
	return scheme + "://" + hostPort(&url.URL{Scheme: scheme, Host: req.Host})
}

// The most parts that a request may have of what is searched. A browser sends some twenty headers and at most a few hundred
// cookies; the interpreter takes a microsecond for each part, and a client nothing to repeat one.
const (
	maxCookies    = 500
	maxParameters = 1000
	maxOptions    = 100
	maxHeaders    = 200 // names, of headers or of trailers
)

// isExcessive says whether a request has too many parts of what is searched.
func isExcessive(s *settings, req *http.Request) bool {
	return s.cookies != nil && strings.Count(strings.Join(req.Header["Cookie"], ";"), ";") > maxCookies ||
		s.parameters != nil && strings.Count(req.URL.RawQuery, "&") > maxParameters ||
		len(s.forward) > 0 && strings.Count(strings.Join(req.Header["Connection"], ","), ",") > maxOptions ||
		len(req.Header) > maxHeaders || len(req.Trailer) > maxHeaders
}

// dropTunnel takes off an upgrade to anything but WebSocket. A service that agreed to h2c, say, would take further
// requests from the client past the gateway, with whatever headers it likes (RFC 9113 has no such upgrade any more).
func dropTunnel(h http.Header) {
	protocols := h["Upgrade"]
	if len(protocols) == 0 || len(protocols) == 1 && strings.EqualFold(protocols[0], "websocket") {
		return
	}
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
}

// isPreflight says whether a request is a CORS preflight, which never carries credentials (Fetch 3.3.6), and
// never asks for another protocol: behind a 101 a client would talk to the service past every middleware.
func isPreflight(req *http.Request) bool {
	return req.Method == http.MethodOptions && len(req.Header["Origin"]) == 1 &&
		len(req.Header["Access-Control-Request-Method"]) == 1 && req.ContentLength == 0 && len(req.Header["Upgrade"]) == 0
}
