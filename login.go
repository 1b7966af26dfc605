package slidingjwt

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// ownURL stands in loginUrl for the request's own URL.
const ownURL = "{url}"

// validateLogin checks where a browser without a good token is sent.
func validateLogin(p *problems, c *Config) string {
	if c.LoginURL == "" {
		return ""
	}
	if strings.ContainsAny(strings.ReplaceAll(c.LoginURL, ownURL, ""), "{}") {
		p.add("loginUrl: %q contains braces other than {url}", c.LoginURL)
		return ""
	}
	// What takes its place is percent-encoded, so it may stand in a path, a query or a fragment, and in no host.
	validateLocation(p, "loginUrl", c.LoginURL, strings.ReplaceAll(c.LoginURL, ownURL, url.QueryEscape(ownURL)))
	return c.LoginURL
}

// validateLocation checks where a browser is sent: an absolute URL, or a path of the same site. Browsers read a backslash as a
// slash and leave out tabs and line ends (URL 4.4), so that "/\evil.example" would be another site's address.
//
// The encoded text is the location with nothing to be filled in.
func validateLocation(p *problems, option, location, encoded string) {
	for i := 0; i < len(encoded); i++ {
		if encoded[i] == '{' || encoded[i] == '}' {
			p.add("%s: %q holds a brace: percent-encode it", option, location)
			return
		}
		if encoded[i] <= ' ' || encoded[i] >= 0x7f || encoded[i] == '\\' {
			p.add("%s: %q holds a space, a backslash, a control character or one outside ASCII: percent-encode it", option, location)
			return
		}
	}
	if strings.HasPrefix(encoded, "//") {
		p.add("%s: %q begins with two slashes, which makes it another site's address", option, location)
		return
	}
	if strings.HasPrefix(encoded, "/") {
		return
	}
	u, err := url.Parse(encoded)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
		p.add("%s: %q is neither an absolute http(s) URL nor a path", option, location)
	}
}

// sendToLogin adds the way to the login to the headers of a refusal, and says whether it did: of a browser that navigates, whose
// own URL can be told if it is asked for. The login has to check that URL as it would any other that a client sends, since the Host
// in it is the client's.
func sendToLogin(s *settings, h http.Header, req *http.Request) bool {
	if !request.IsNavigation(req) {
		return false
	}
	location := s.login
	if strings.Contains(location, ownURL) {
		query := req.URL.RawQuery
		if s.parameters != nil {
			query = queryWithout(s.parameters, query)
		}
		own := request.OwnURL(req, query)
		if own == "" {
			return false
		}
		own = strings.ReplaceAll(url.QueryEscape(own), "+", "%20") // A plus is a space in a query alone.
		location = strings.ReplaceAll(location, ownURL, own)
	}
	h["Location"] = []string{location}
	return true
}
