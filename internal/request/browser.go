package request

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// IsFromOwnSite says whether a browser says that the request is its own site's, or the user's own. Whoever does not say so may be
// a browser that knows no Fetch Metadata, or reached the site over http, on behalf of any page.
func IsFromOwnSite(h http.Header) bool {
	sites := h["Sec-Fetch-Site"]
	return len(sites) == 1 && (sites[0] == "same-origin" || sites[0] == "none")
}

// IsNavigation says whether a browser will show what is answered (Fetch 2.2.5). An older one does not say so, and wants HTML.
func IsNavigation(req *http.Request) bool {
	h := req.Header
	if req.Method != http.MethodGet || len(h["Upgrade"]) > 0 {
		return false
	}
	modes := h["Sec-Fetch-Mode"]
	if len(modes) > 0 {
		return len(modes) == 1 && modes[0] == "navigate"
	}
	return wantsHTML(h["Accept"])
}

const (
	maxAcceptBytes = 1 << 10 // A browser's has some 150.
	maxRanges      = 8       // of HTML that are looked at
)

var (
	htmlRange = regexp.MustCompile(`(?i)(?:^|,)[ \t]*text/html[ \t]*(?:;[^,]*)?(?:,|$)`)
	zeroQ     = regexp.MustCompile(`(?i);[ \t]*q=0(?:\.0*)?[ \t]*(?:;|,|$)`)
)

// wantsHTML says whether text/html is among the media ranges of Accept, with any weight but 0 (RFC 9110 12.5.1).
func wantsHTML(lines []string) bool {
	accept := strings.Join(lines, ",")
	if len(accept) > maxAcceptBytes {
		return false
	}
	accept = strings.ReplaceAll(accept, ",", ",,") // One ends a range, the other begins the next.
	for _, found := range htmlRange.FindAllString(accept, maxRanges) {
		if !zeroQ.MatchString(found) {
			return true
		}
	}
	return false
}

// IsStream says whether a request asks for a WebSocket, or for an event stream (HTML 9.2), either of which lasts. Nothing but a
// WebSocket has an Upgrade here: see DropTunnel.
func IsStream(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || WantsEvents(h)
}

// WantsEvents says whether a request asks for an event stream.
func WantsEvents(h http.Header) bool {
	lines := h["Accept"]
	if len(lines) == 0 {
		return false
	}
	return strings.Contains(strings.ToLower(strings.Join(lines, ",")), "text/event-stream")
}

// maxURLBytes is how long a URL that is handed on may be: a header's value of three times that passes everywhere.
const maxURLBytes = 2 << 10

// plainHost has the characters of a name or address and its port, and not those by which one host could be read as another.
var plainHost = regexp.MustCompile(`^(?:[0-9A-Za-z._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$`)

// OwnURL is a request's own URL with another query: the scheme as Traefik's X-Forwarded-Proto says, the host as the client does.
// One that is too long is the site's root. It is empty if scheme or host are nothing that a browser asks for.
func OwnURL(req *http.Request, query string) string {
	scheme := schemeOf(req)
	if scheme == "" || !plainHost.MatchString(req.Host) {
		return ""
	}
	own := url.URL{Scheme: scheme, Host: req.Host, Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: query}
	if own.Path == "" {
		own.Path = "/"
	}
	text := own.String()
	if len(text) > maxURLBytes {
		return scheme + "://" + req.Host + "/"
	}
	return text
}
