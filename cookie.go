package slidingjwt

import (
	"net/http"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// cookie is the cookie that carries the token, with its attributes (RFC 6265bis 4.1).
type cookie struct {
	name           string
	before, behind string // the text of the attributes before and behind Max-Age
	isSessionOnly  bool
}

func newCookie(c CookieConfig) *cookie {
	sameSite := map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}
	whole := (&http.Cookie{
		Name: c.Name, Path: c.Path, Domain: c.Domain, Secure: c.Secure, HttpOnly: c.HTTPOnly, MaxAge: 1,
		SameSite: sameSite[strings.ToLower(c.SameSite)],
	}).String()
	before, behind, _ := strings.Cut(strings.TrimPrefix(whole, c.Name+"="), "; Max-Age=1")
	return &cookie{name: c.Name, before: before, behind: behind, isSessionOnly: c.SessionOnly}
}

// line is the Set-Cookie that sets the cookie to a token, for the token's remaining lifetime.
func (c *cookie) line(token string, lifetime time.Duration) string {
	age := "; Max-Age=" + wholeSeconds(lifetime)
	if c.isSessionOnly {
		age = ""
	}
	return c.name + "=" + token + c.before + age + c.behind
}

// clearing is the Set-Cookie that deletes the cookie.
func (c *cookie) clearing() string { return c.name + "=" + c.before + "; Max-Age=0" + c.behind }

const maxCookie = 4096 // bytes of a Set-Cookie's name, value and attributes (RFC 6265bis 5.6)

// setCookie sets the cookie, and says whether it did: not one that is longer than browsers keep. It also keeps shared caches from
// storing the response, even if the service has a Cache-Control for them alone (RFC 9213 2.2).
func setCookie(s *settings, h http.Header, r *renewal, now time.Duration) bool {
	line := s.cookie.line(r.token, r.expires-now)
	if len(line) > maxCookie {
		logline.Error("a cookie of %d bytes was not set: browsers keep at most %d", len(line), maxCookie)
		return false
	}
	h["Set-Cookie"] = append(h["Set-Cookie"], line)
	h["Cdn-Cache-Control"] = noStore
	return true
}
