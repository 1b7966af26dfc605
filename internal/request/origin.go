package request

import (
	"net/http"
	"net/url"
	"strings"
)

// maxOriginBytes is more than any scheme, host and port have (RFC 1035 2.3.4).
const maxOriginBytes = 300

// IsCrossSite says whether another site may have made the browser send this request, if the request could change something: its
// method is not GET or HEAD, or it opens a WebSocket. It is true for whatever is not known to come from the site itself.
// As in net/http's CrossOriginProtection, Sec-Fetch-Site counts before Origin. Unlike there, Origin's scheme counts as well,
// since an attacker on the network can write the pages of the http site. The listed origins are always allowed.
func IsCrossSite(req *http.Request, listed map[string]bool) bool {
	h := req.Header
	if (req.Method == http.MethodGet || req.Method == http.MethodHead) && len(h["Upgrade"]) == 0 {
		return false
	}
	origins, sites := h["Origin"], h["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 {
		return true
	}
	if len(origins) == 1 && listed[origins[0]] {
		return false
	}
	if len(sites) == 1 {
		return sites[0] != "same-origin" && sites[0] != "none"
	}
	if len(origins) == 0 {
		return false // No browser: they send one of the two with such requests.
	}
	if len(origins[0]) > maxOriginBytes {
		return true
	}
	origin, err := url.Parse(origins[0])
	return err != nil || origin.User != nil || origin.Path != "" || origin.Scheme+"://"+HostPort(origin) != ownOrigin(req)
}

// ownOrigin is the origin of the request's own site, with its port; empty if its scheme is not known.
func ownOrigin(req *http.Request) string {
	scheme := schemeOf(req)
	if scheme == "" {
		return ""
	}
	return scheme + "://" + HostPort(&url.URL{Scheme: scheme, Host: req.Host})
}

// schemeOf is that of the request's own site: what Traefik's X-Forwarded-Proto says, which is ws or wss for a WebSocket; empty if it
// says anything else.
func schemeOf(req *http.Request) string {
	proto := req.Header["X-Forwarded-Proto"]
	if len(proto) == 1 {
		return map[string]string{"http": "http", "ws": "http", "https": "https", "wss": "https"}[proto[0]]
	}
	if len(proto) > 1 {
		return ""
	}
	if req.TLS != nil {
		return "https"
	}
	return "http"
}

// HostPort is a URL's host in lower case and its port, the scheme's own if it names none.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// DropTunnel removes an upgrade to anything but WebSocket. If a service agreed to h2c, say, the client could send it further requests
// that the gateway does not see, with any headers (RFC 9113 has no such upgrade any more).
func DropTunnel(h http.Header) {
	protocols := h["Upgrade"]
	if len(protocols) == 0 || len(protocols) == 1 && strings.EqualFold(protocols[0], "websocket") {
		return
	}
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
}

// IsPreflight says whether a request is a CORS preflight, which never carries credentials (Fetch 3.3.6). One with an upgrade is none:
// after a 101 the client would talk to the service without any middleware between them.
func IsPreflight(req *http.Request) bool {
	return req.Method == http.MethodOptions && len(req.Header["Origin"]) == 1 &&
		len(req.Header["Access-Control-Request-Method"]) == 1 && req.ContentLength == 0 && len(req.Header["Upgrade"]) == 0
}
