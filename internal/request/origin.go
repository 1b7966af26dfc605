package request

import (
	"net/http"
	"net/url"
	"strings"
)

// maxOriginBytes is more than any scheme, host and port have (RFC 1035 2.3.4).
const maxOriginBytes = 300

// IsCrossSite says whether a browser may have sent the cookie for another site with a request that could change something:
// one of another method than GET and HEAD, or one that opens a WebSocket. What is not known to be from this site is from
// another one. As in net/http's CrossOriginProtection, Sec-Fetch-Site counts before Origin; here Origin's scheme does too,
// since whoever can write the http site's pages may not be who runs the https site.
// The listed origins may send the cookie all the same.
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
		return false // Browsers send one of the two with whatever can change something.
	}
	if len(origins[0]) > maxOriginBytes {
		return true
	}
	origin, err := url.Parse(origins[0])
	return err != nil || origin.User != nil || origin.Path != "" || origin.Scheme+"://"+HostPort(origin) != ownOrigin(req)
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
	return scheme + "://" + HostPort(&url.URL{Scheme: scheme, Host: req.Host})
}

// HostPort is a URL's host in lower case and its port, the scheme's own if it names none.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// DropTunnel takes off an upgrade to anything but WebSocket. A service that agreed to h2c, say, would take further
// requests from the client past the gateway, with whatever headers it likes (RFC 9113 has no such upgrade any more).
func DropTunnel(h http.Header) {
	protocols := h["Upgrade"]
	if len(protocols) == 0 || len(protocols) == 1 && strings.EqualFold(protocols[0], "websocket") {
		return
	}
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
}

// IsPreflight says whether a request is a CORS preflight, which never carries credentials (Fetch 3.3.6), and
// never asks for another protocol: behind a 101 a client would talk to the service past every middleware.
func IsPreflight(req *http.Request) bool {
	return req.Method == http.MethodOptions && len(req.Header["Origin"]) == 1 &&
		len(req.Header["Access-Control-Request-Method"]) == 1 && req.ContentLength == 0 && len(req.Header["Upgrade"]) == 0
}
