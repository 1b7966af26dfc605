package slidingjwt

import (
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
)

// stepUpSettings say how the user has to have logged in (RFC 9470).
type stepUpSettings struct {
	isOn       bool
	maxAge     time.Duration // since then, at most; 0: any time
	acr        []string      // by one of these; none: by any means
	parameters string        // of the challenge
}

func validateStepUp(p *problems, c *Config) stepUpSettings {
	s := stepUpSettings{isOn: c.MaxAge != "" || len(c.ACR) > 0, acr: c.ACR}
	s.maxAge = duration(p, "maxAge", c.MaxAge, 0, time.Second)
	for _, acr := range c.ACR {
		// They are joined by spaces (RFC 9470 3), in quotes.
		if acr == "" || strings.ContainsAny(acr, " \"\\") || hasControl(acr) {
			p.add("acr: %q is empty, or holds a space, a quote, a backslash or a control character", acr)
		}
	}
	if s.isOn && c.Optional {
		p.add("optional: cannot be combined with maxAge or acr, which a request without a token would bypass")
	}
	if s.maxAge > 0 {
		s.parameters = ", max_age=" + wholeSeconds(s.maxAge)
	}
	if len(c.ACR) > 0 {
		s.parameters += `, acr_values="` + strings.Join(c.ACR, " ") + `"`
	}
	return s
}

// checkStepUp decides whether the user's login suffices, and until when it does. A token whose other claims do not suffice is
// refused for those: a login would not help.
func checkStepUp(s *settings, v *verified, all map[string]any) {
	denied := v.denied
	if len(s.stepUp.acr) > 0 {
		acr, isText := all["acr"].(string)
		if !isText || !contains(s.stepUp.acr, acr) {
			denied = refuseStepUp
		}
	}
	if s.stepUp.maxAge > 0 {
		seconds, isNumber := claims.Number(all["auth_time"])
		if !isNumber || seconds < 0 || seconds > farSeconds {
			denied = refuseStepUp
			seconds = 0
		}
		authTime := time.Duration(seconds * 1e9)
		v.freshUntil = authTime + s.stepUp.maxAge
		v.since = later(v.since, authTime-s.leeway)
		if v.freshUntil < v.until {
			v.until = v.freshUntil
		}
	}
	if v.denied == nil {
		v.denied = denied
	}
}

// isStale says whether the user has logged in too long ago for maxAge, or in the future. The leeway is for clocks that go wrong, and
// so for the future alone: it would prolong what the operator says is long enough.
func isStale(s *settings, v *verified, at time.Duration) bool {
	return at >= v.freshUntil || at < v.freshUntil-s.stepUp.maxAge-s.leeway
}
