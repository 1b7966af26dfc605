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
	if s.config.Cookie.Name != "" {
		for _, line := range req.Header["Cookie"] {
			for _, pair := range strings.Split(line, ";") {
				name, value, _ := strings.Cut(pair, "=")
				if strings.TrimSpace(name) != s.config.Cookie.Name {
					continue
				}
				p.cookie = take(p, strings.TrimSpace(value)) || p.cookie
			}
		}
	}
	if s.config.TokenKey != "" {
		for _, value := range parameters(req.URL.RawQuery, s.config.TokenKey) {
			p.query = take(p, value) || p.query
		}
		if p.token == "" && isForm(req) {
			values, err := formValues(req, s.config.TokenKey)
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

// parameters returns the values of a parameter in a query or form.
func parameters(encoded, name string) []string {
	var values []string
	for encoded != "" {
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		if !namesParameter(pair, name) {
			continue
		}
		_, value, _ := strings.Cut(pair, "=")
		if text, err := url.QueryUnescape(value); err == nil {
			value = text
		}
		values = append(values, value)
	}
	return values
}

func namesParameter(pair, name string) bool {
	key, _, _ := strings.Cut(pair, "=")
	text, err := url.QueryUnescape(key)
	return err == nil && text == name
}

func isForm(req *http.Request) bool {
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	return req.Body != nil && strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// formValues reads the start of the body and puts it back, so that the service gets it whole.
func formValues(req *http.Request, name string) ([]string, error) {
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
	return parameters(string(start), name), nil
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
	if s.config.Cookie.Name != "" {
		removeCookie(req.Header, s.config.Cookie.Name)
	}
	if s.config.TokenKey != "" && req.URL.RawQuery != "" {
		removeParameter(req, s.config.TokenKey)
	}
}

func removeCookie(h http.Header, name string) {
	var lines []string
	for _, line := range h["Cookie"] {
		var kept []string
		removed := false
		for _, pair := range strings.Split(line, ";") {
			key, _, _ := strings.Cut(pair, "=")
			if strings.TrimSpace(key) == name {
				removed = true
				continue
			}
			kept = append(kept, pair)
		}
		if removed {
			line = strings.TrimLeft(strings.Join(kept, ";"), " ")
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	if lines == nil {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = lines
}

func removeParameter(req *http.Request, name string) {
	var kept []string
	found := false
	for _, pair := range strings.Split(req.URL.RawQuery, "&") {
		if namesParameter(pair, name) {
			found = true
			continue
		}
		kept = append(kept, pair)
	}
	if !found {
		return
	}
	req.URL.RawQuery = strings.Join(kept, "&")
	req.URL.ForceQuery = false
	// Traefik builds the outgoing URL from RequestURI.
	path, _, _ := strings.Cut(req.RequestURI, "?")
	if req.URL.RawQuery != "" {
		path += "?" + req.URL.RawQuery
	}
	req.RequestURI = path
}

// isCrossSiteWrite says whether another site may have made the browser send the cookie with a request that
// could change something.
func isCrossSiteWrite(req *http.Request) bool {
	if (req.Method == http.MethodGet || req.Method == http.MethodHead) && req.Header.Get("Upgrade") == "" {
		return false
	}
	if site := req.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "cross-site"
	}
	origin := req.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, req.Host)
}

// The most parts that a request may have of what is searched for the token. A browser sends at most a few hundred
// cookies; the interpreter takes a microsecond for each part, and a client nothing to repeat one.
const (
	maxCookies    = 500
	maxParameters = 1000
	maxOptions    = 100
)

var errTooMany = errors.New("the form has too many fields")

// isExcessive says whether a request has too many parts of what is searched.
func isExcessive(s *settings, req *http.Request) bool {
	return s.config.Cookie.Name != "" && strings.Count(strings.Join(req.Header["Cookie"], ";"), ";") > maxCookies ||
		s.config.TokenKey != "" && strings.Count(req.URL.RawQuery, "&") > maxParameters ||
		len(s.forward) > 0 && strings.Count(strings.Join(req.Header["Connection"], ","), ",") > maxOptions
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
