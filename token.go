package slidingjwt

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// credential is the token of a request and every place where it was found; empty if there is none.
type credential struct {
	token                               string
	inHeader, inCookie, inQuery, inForm bool
}

// hasWayBack says whether a renewed token can be returned in the way the token came. A token in the query cannot.
func (c credential) hasWayBack() bool { return c.inHeader || c.inCookie || c.inForm }

const (
	bearerPrefix = "Bearer "
	// maxLineBytes is what a header with a token may have. Yaegi: the length of a constant is a call.
	maxLineBytes = 7 + jose.MaxTokenBytes
)

// findToken reads every place that may hold the token (RFC 6750 2). Two different tokens are refused: otherwise an attacker who can
// add one could choose which of them counts.
func findToken(s *settings, req *http.Request) (credential, *refusal) {
	var c credential
	if s.headerName != "" {
		r := readHeaderLine(s, req.Header[s.headerName], &c)
		if r != nil {
			return c, r
		}
	}
	if s.cookies != nil {
		pairs, err := s.cookies.Find(cookieText(req.Header))
		if err != nil {
			return c, refuseTooMany
		}
		for _, pair := range pairs {
			c.inCookie = take(&c, strings.TrimSpace(request.ValueOf(pair))) || c.inCookie
		}
	}
	if s.parameters != nil {
		values, err := parameters(s.parameters, req.URL.RawQuery)
		if err != nil {
			return c, refuseTooMany
		}
		for _, value := range values {
			c.inQuery = take(&c, value) || c.inQuery
		}
		if c.token == "" && isForm(req) {
			values, r := formValues(s.parameters, req)
			if r != nil {
				return c, r
			}
			for _, value := range values {
				c.inForm = take(&c, value) || c.inForm
			}
		}
	}
	if c.token == twoTokens {
		return c, refuseTwoTokens
	}
	if strings.ContainsAny(c.token, unwanted) {
		return c, refuseMalformed
	}
	if len(c.token) > jose.MaxTokenBytes {
		return c, refuseTooLong
	}
	return c, nil
}

// readHeaderLine reads the header that carries the token: in Authorization behind the Bearer scheme, in another with or without it.
func readHeaderLine(s *settings, lines []string, c *credential) *refusal {
	if len(lines) > 1 {
		return refuseTwoTokens
	}
	if len(lines) == 0 {
		return nil
	}
	token, isBearer := bearerToken(lines[0])
	if !isBearer && s.headerName == "Authorization" {
		return nil
	}
	if !isBearer || token == "" && s.headerName != "Authorization" {
		token = strings.Trim(lines[0], " ")
		isBearer = token != ""
	}
	if isBearer && (token == "" || strings.ContainsAny(token, " \t,")) {
		return refuseMalformedHeader
	}
	c.token = token
	c.inHeader = isBearer
	return nil
}

// twoTokens takes a token's place once two different ones were found. It is not a token, since those have no space.
const twoTokens = "two tokens"

// take records a token that was found, and says whether there was one.
func take(c *credential, token string) bool {
	if token == "" {
		return false
	}
	if c.token != "" && c.token != token {
		token = twoTokens
	}
	c.token = token
	return true
}

// bearerToken returns what follows the Bearer scheme, whose case does not matter (RFC 9110 11.1). A tab behind the scheme
// stays in what follows, where it is malformed: services differ in whether they take it for a space.
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

// cookieText joins the lines of a request's Cookie header (RFC 9113 8.2.3), without the space before each pair's name.
func cookieText(h http.Header) string {
	return strings.ReplaceAll(strings.Join(h["Cookie"], ";"), "; ", ";")
}

// parameters returns the token parameter's values in a query or form. A value that cannot be decoded stays as it is.
func parameters(f *request.PairFinder, encoded string) ([]string, error) {
	pairs, err := f.Find(encoded)
	if err != nil {
		return nil, err
	}
	values := []string{}
	for _, pair := range pairs {
		value := request.ValueOf(pair)
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

const maxFormBytes = 64 << 10

// formValues reads the start of the body and puts it back, so that the service gets it whole.
func formValues(f *request.PairFinder, req *http.Request) ([]string, *refusal) {
	// One byte more shows whether the last field ends here.
	start, err := io.ReadAll(io.LimitReader(req.Body, maxFormBytes+1))
	if err != nil {
		return nil, refuseMalformedForm
	}
	// NopCloser is right: the server closes the original body.
	req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(start), req.Body))
	if len(req.Trailer) > maxHeaders { // They came behind a chunked body.
		return nil, refuseTooMany
	}
	if len(start) > maxFormBytes {
		// The last field may be incomplete.
		start = start[:bytes.LastIndexByte(start, '&')+1]
	}
	if bytes.Count(start, []byte("&")) > maxParameters {
		return nil, refuseTooMany
	}
	values, err := parameters(f, string(start))
	if errors.Is(err, request.ErrTooMany) {
		return nil, refuseTooMany
	}
	return values, nil
}

// removeToken takes every token out of what the service sees, and leaves the rest untouched, byte for byte.
func removeToken(s *settings, req *http.Request) {
	lines := req.Header[s.headerName]
	if len(lines) > 0 {
		_, isBearer := bearerToken(lines[0])
		if isBearer || len(lines) > 1 || s.headerName != "Authorization" {
			delete(req.Header, s.headerName)
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

// removeCookie takes the token's cookie out of the Cookie header. If there are too many that begin like it to look at, or too many
// of them for the header's length, since each takes a walk over it, it removes the whole header.
func removeCookie(f *request.PairFinder, h http.Header) {
	text := cookieText(h)
	pairs, err := f.Find(text)
	if err != nil || len(pairs)*len(text) > maxSearched {
		delete(h, "Cookie")
		return
	}
	if len(pairs) == 0 {
		return
	}
	spaced := []string{} // The header may have a space before each.
	for _, pair := range pairs {
		spaced = append(spaced, pair, " "+pair)
	}
	lines := h["Cookie"]
	if len(lines) > maxCookieLines {
		lines = []string{strings.Join(lines, "; ")}
	}
	kept := []string{}
	for _, line := range lines {
		rest := strings.TrimLeft(f.Without(line, spaced), " ")
		if rest != "" {
			kept = append(kept, rest)
		}
	}
	delete(h, "Cookie")
	if len(kept) > 0 {
		h["Cookie"] = kept
	}
}

// removeParameter takes the token's parameter out of the URL. Like removeCookie it removes the whole query if there are too many.
func removeParameter(f *request.PairFinder, req *http.Request) {
	query := queryWithout(f, req.URL.RawQuery)
	if query == req.URL.RawQuery {
		return
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

// queryWithout is a query without the token's parameter; empty where more are like it than are looked at.
func queryWithout(f *request.PairFinder, query string) string {
	pairs, err := f.Find(query)
	if err == nil && len(pairs) == 0 {
		return query
	}
	if err != nil || len(pairs)*len(query) > maxSearched {
		return ""
	}
	return f.Without(query, pairs)
}

// How many parts a request may have of what is searched. A browser sends some twenty headers and at most a few hundred cookies.
// Each part costs the interpreter a microsecond, while a client can repeat one for almost nothing (HPACK).
const (
	maxCookies    = 500
	maxParameters = 1000
	maxOptions    = 100
	maxHeaders    = 100 // names, of headers or of trailers

	maxCookieLines = 20       // more Cookie lines are joined to one
	maxSearched    = 64 << 10 // bytes, of cookies or of a query
)

// isExcessive says whether a request has too many parts of what is searched.
func isExcessive(s *settings, req *http.Request) bool {
	if len(req.Header) > maxHeaders || len(req.Trailer) > maxHeaders {
		return true
	}
	if s.cookies != nil {
		cookies := strings.Join(req.Header["Cookie"], ";")
		if len(cookies) > maxSearched || strings.Count(cookies, ";") > maxCookies {
			return true
		}
	}
	if s.parameters != nil {
		query := req.URL.RawQuery
		if len(query) > maxSearched || strings.Count(query, "&") > maxParameters {
			return true
		}
	}
	return s.claimHeaders != nil && strings.Count(strings.Join(req.Header["Connection"], ","), ",") > maxOptions
}

// hasOthers says whether a request has headers that are not in a set.
func hasOthers(h http.Header, known map[string]bool) bool {
	return h.WriteSubset(request.Nowhere, known) != nil
}
