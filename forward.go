package slidingjwt

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/slidingjwt/slidingjwt/internal/claims"
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
func deriveHeaders(s *settings, v *verified, all map[string]any, isPlain bool) {
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
			text, ok = claims.Formatted(claim, forwarded.format)
		}
		if forwarded.format != "" || !isPlain {
			ok = ok && isSendable(text)
		}
		if ok && text != "" {
			v.headers = append(v.headers, header{name: forwarded.name, values: []string{text}})
		}
	}
}

// nameUser notes the user whom Traefik's access log shows: it reads a request's userinfo (v3.4 to v3.7), of which the service sees
// nothing.
func nameUser(s *settings, v *verified, all map[string]any) {
	claim := claims.In(s.username, all)
	if claim == nil {
		return
	}
	name, ok := claims.HeaderValue(claim)
	if ok && name != "" {
		v.user = url.User(name)
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
