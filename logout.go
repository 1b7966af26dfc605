package slidingjwt

import (
	"net/http"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// noRedirect is the logout.redirect of who needs no other page.
const noRedirect = "none"

// validateLogout checks where a browser is sent whose cookie was cleared; empty if this is no logout.
func validateLogout(p *problems, c *Config) string {
	redirect := c.Logout.Redirect
	if redirect == "" {
		return ""
	}
	if c.Cookie.Name == "" {
		p.add("logout: needs cookie.name, the cookie that it clears")
	}
	if redirect != noRedirect {
		validateLocation(p, "logout.redirect", redirect, redirect)
	}
	return redirect
}

// loggingOut clears the cookie, and never calls the service. The token in it goes on to be good: it is only nowhere any more.
//
// Another site must not log the user out. Any page can bring a browser to GET an address, as an image's say, and a browser that
// sends no Fetch Metadata says nothing of that page then; so a GET has to say that it is from this site.
func loggingOut(in *instance, name string) http.HandlerFunc {
	s := in.settings
	cleared := s.cookie.clearing()
	location := []string{s.logout}
	return func(rw http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodPost {
			refuse(s, rw, req, name, refuseLogout, credential{})
			return
		}
		isOwn := request.IsFromOwnSite(req.Header)
		if req.Method == http.MethodPost {
			isOwn = !request.IsCrossSite(req, s.origins)
		}
		if !isOwn {
			refuse(s, rw, req, name, refuseCrossSite, credential{})
			return
		}
		h := rw.Header()
		h["Set-Cookie"] = append(h["Set-Cookie"], cleared)
		h["Cache-Control"] = noStore
		if s.logout == noRedirect {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		h["Location"] = location
		rw.WriteHeader(http.StatusSeeOther)
	}
}
