// Package request knows what clients send, and what another site can make a browser send: spellings of headers, trailers, pairs in
// cookies and queries, a request's origin. It knows nothing of tokens.
package request

import (
	"io"
	"net/http"
	"strings"
)

// Names is a set of header names in all their spellings: some services take X-User-Id, X_User_Id and X.User.Id for the same header.
type Names struct {
	normal  map[string]bool
	lengths map[int]bool // of the names; all spellings of a name have the same length
}

// NewNames makes a set of names.
func NewNames(names ...string) *Names {
	set := &Names{normal: map[string]bool{}, lengths: map[int]bool{}}
	for _, name := range names {
		set.normal[Normalize(name)] = true
		set.lengths[len(name)] = true
	}
	return set
}

// Has says whether a name is a spelling of one in the set.
func (n *Names) Has(name string) bool { return n.lengths[len(name)] && n.normal[Normalize(name)] }

// RemoveFrom deletes the headers that are spellings of names in the set.
//
// Yaegi: Normalize is written out here, since a stranger can send a hundred names, and a call costs a microsecond.
func (n *Names) RemoveFrom(h http.Header) {
	for name := range h {
		if n.lengths[len(name)] {
			if n.normal[strings.ToLower(hyphens.Replace(name))] {
				delete(h, name)
			}
		}
	}
}

// RemoveFromList takes the names out of a header that lists names, such as Connection or Trailer.
func (n *Names) RemoveFromList(h http.Header, header string) {
	lines := h[header]
	if len(lines) == 0 {
		return
	}
	all := strings.Join(lines, ",")
	normal := Normalize(all)
	isNamed := false
	for name := range n.normal {
		isNamed = isNamed || strings.Contains(normal, name)
	}
	if !isNamed {
		return
	}
	kept := []string{}
	normals := strings.Split(normal, ",") // A comma is in no name.
	for i, name := range strings.Split(all, ",") {
		if n.normal[strings.Trim(normals[i], "- \t")] { // A space is a hyphen there.
			continue
		}
		name = strings.TrimSpace(name)
		if name != "" {
			kept = append(kept, name)
		}
	}
	delete(h, header)
	if len(kept) > 0 {
		h[header] = []string{strings.Join(kept, ", ")}
	}
}

// Normalize writes a header's name in lower case, with a hyphen for each character that is no letter or digit.
func Normalize(name string) string {
	return strings.ToLower(hyphens.Replace(name))
}

// hyphens replaces the characters that a header's name may hold beside letters and digits (RFC 9110 5.6.2), and a few that it may not.
var hyphens = strings.NewReplacer("!", "-", "#", "-", "$", "-", "%", "-", "&", "-", "'", "-", "*", "-", "+", "-", ".", "-",
	"^", "-", "_", "-", "`", "-", "|", "-", "~", "-", " ", "-", "/", "-", ":", "-", "@", "-", "\\", "-")

// Nowhere is a writer that always fails. http.Header.WriteSubset fails with it if there is a header to write, so one compiled call
// says whether a request has headers that are not in a set.
//
// Yaegi: it is of a compiled type, since one of an interpreted type would be wrapped at each call.
var Nowhere = closedPipe()

func closedPipe() *io.PipeWriter {
	_, w := io.Pipe()
	_ = w.Close() // It never fails.
	return w
}

// OrdinaryBut returns common request headers, without those that are spellings of names in the set. So a request that has only
// ordinary headers has no spelling of these names.
func OrdinaryBut(names *Names) map[string]bool {
	ordinary := map[string]bool{}
	for _, name := range everyday {
		if !names.Has(name) {
			ordinary[name] = true
		}
	}
	return ordinary
}

var everyday = strings.Fields(`
	Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Authorization Baggage
	Cache-Control Content-Encoding Content-Language Content-Length Content-Type Cookie Date Dnt Expect From Grpc-Accept-Encoding
	Grpc-Encoding Grpc-Timeout If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Last-Event-Id
	Max-Forwards Origin Pragma Priority Range Referer Sec-Ch-Ua Sec-Ch-Ua-Arch Sec-Ch-Ua-Bitness Sec-Ch-Ua-Full-Version
	Sec-Ch-Ua-Full-Version-List Sec-Ch-Ua-Mobile Sec-Ch-Ua-Model Sec-Ch-Ua-Platform Sec-Ch-Ua-Platform-Version
	Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-Gpc Sec-Websocket-Extensions Sec-Websocket-Key
	Sec-Websocket-Protocol Sec-Websocket-Version Te Traceparent Tracestate Upgrade Upgrade-Insecure-Requests User-Agent
	Via X-Correlation-Id X-Csrf-Token X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix
	X-Forwarded-Proto X-Forwarded-Server X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info X-Real-Ip
	X-Request-Id X-Requested-With`)

// overrides are headers that change a request's method for some services.
var overrides = NewNames("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override")

// RemoveOverrides removes these headers. A preflight passes without a token, and must not become another request at the service.
func RemoveOverrides(req *http.Request) { overrides.RemoveFrom(req.Header) }
