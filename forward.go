package slidingjwt

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
)

// forwardedHeader is a request header and the path of the claim that it carries.
type forwardedHeader struct {
	name   string      // canonical
	first  string      // name of the path …
	rest   claims.Path // … and the others
	isDeep bool        // there are others
	format string      // empty: plain
}

// deriveHeaders derives the headers that a token sets. A claim that is absent, or has no value to send, leaves its header absent.
//
// In a plain payload every text arrives as it is: none has a control character or a space at an end, or is too long.
func deriveHeaders(s *settings, v *verified, all map[string]any, payload []byte, isUsual bool) {
	isPlain := isUsual && len(payload) <= claims.MaxHeaderBytes && !bytes.Contains(payload, spaceBefore)
	v.headers = make([]header, 0, len(s.forwarded))
	for _, forwarded := range s.forwarded {
		claim := all[forwarded.first]
		if forwarded.isDeep {
			claim = claims.In(forwarded.rest, claim)
		}
		text, ok := claim.(string)
		if forwarded.format != "" || !ok {
			if claim == nil {
				continue
			}
			text, ok = claims.JoinedTexts(claim)
			if !ok || forwarded.format != "" {
				text, ok = writtenClaim(forwarded, payload)
			}
		}
		if forwarded.format != "" || !isPlain {
			ok = ok && isSendable(text)
		}
		if ok && text != "" {
			v.headers = append(v.headers, header{name: forwarded.name, values: []string{text}})
		}
	}
}

// spaceBefore is where a text may begin with a space, or an indented one begins.
var spaceBefore = []byte(` "`)

// writtenClaim writes a claim that is not a plain text. Its numbers are as they are written in the token, so they are read again.
func writtenClaim(forwarded forwardedHeader, payload []byte) (string, bool) {
	all, err := jose.Object(payload)
	if err != nil {
		return "", false
	}
	exact := claims.In(forwarded.rest, all[forwarded.first])
	text, ok := claims.Formatted(exact, forwarded.format)
	return text, ok
}

// nameUser notes the user whom Traefik's access log shows: it reads a request's userinfo (v3.4 to v3.7), of which the service sees
// nothing.
func nameUser(s *settings, v *verified, payload []byte) {
	all, err := jose.Object(payload)
	if err != nil {
		return
	}
	claim := claims.In(s.username, all)
	if claim == nil {
		return
	}
	name, ok := claims.HeaderValue(claim)
	if ok && name != "" && isSendable(name) { // The log's common format writes it as it is, line breaks included.
		v.user = url.User(name)
	}
}

// nameRequest notes the token's user on a request. What the client wrote there is nobody's name.
func nameRequest(req *http.Request, v *verified) {
	req.URL.User = nil
	if v != nil {
		req.URL.User = v.user
	}
}

// isSendable says whether a text arrives as it is as a header's value: space at an end is lost on the way, and "ada " would
// arrive as ada.
func isSendable(text string) bool {
	return len(text) <= claims.MaxHeaderBytes && strings.IndexFunc(text, unicode.IsControl) < 0 && strings.Trim(text, " ") == text
}

// removeSpellings removes whatever a client sent under a spelling of a forwarded header, and keeps Connection from naming one:
// what it names is dropped on the way to the service (RFC 9110 7.6.1).
func removeSpellings(s *settings, req *http.Request) {
	if s.claimHeaders == nil {
		return
	}
	s.claimHeaders.RemoveFrom(req.Trailer)
	if hasOthers(req.Header, s.ordinary) {
		s.claimHeaders.RemoveFrom(req.Header)
		s.claimHeaders.RemoveFromList(req.Header, "Connection")
	}
}
