package slidingjwt

import (
	"sort"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// times are a token's NumericDates (RFC 7519 2), as durations since 1970. Later dates than farAway become farAway.
type times struct{ expires, notBefore, issuedAt time.Duration }

const (
	farSeconds = 6e9                      // The year 2160: an int64 holds its nanoseconds …
	farAway    = farSeconds * time.Second // … and those of any option beyond.
)

// compare says why a token is not valid at a time. A token's times are compared with the clock only here; the remembered path compares
// since and until, which verify derives from them.
func compare(t times, at, leeway time.Duration) *refusal {
	if at >= t.expires+leeway {
		return refuseExpired
	}
	if at < t.notBefore-leeway {
		return refuseNotYet
	}
	if at < t.issuedAt-leeway {
		return refuseIssuedLate
	}
	return nil
}

// readRegistered reads exp, nbf and iat, which are finite numbers (RFC 7519 4.1.4 to 4.1.6), and checks the types of the claims
// that name the token's issuer, subject and audience. Null is absent, but for exp. The elements of a list are left to checkParties,
// which runs after the signature. Then the times are compared with this request's clock.
func readRegistered(v *verified, all map[string]any, at, leeway time.Duration) *refusal {
	if all == nil {
		return refuseMalformed
	}
	if _, there := all["exp"]; !there {
		return refuseNoExpiry
	}
	dates := []time.Duration{0, 0, 0}
	for i, name := range dateClaims {
		claim, there := all[name]
		if there && (claim != nil || name == "exp") {
			seconds, isNumber := claim.(float64)
			if !isNumber {
				seconds, isNumber = claims.Number(claim)
				if !isNumber {
					return refuseClaims
				}
			}
			if seconds < 0 {
				seconds = 0
			}
			if seconds > farSeconds {
				seconds = farSeconds
			}
			dates[i] = time.Duration(seconds * 1e9)
		}
	}
	v.times = times{expires: dates[0], notBefore: dates[1], issuedAt: dates[2]}
	for _, name := range textClaims {
		claim := all[name]
		if claim != nil {
			_, isText := claim.(string)
			if !isText && !isList(name, claim) {
				return refuseClaims
			}
		}
	}
	if _, there := all["cnf"]; there {
		return refuseBound
	}
	r := compare(v.times, at, leeway)
	return r
}

var (
	dateClaims = []string{"exp", "nbf", "iat"}
	textClaims = []string{"iss", "sub", "aud"}
)

// isList says whether a claim is an aud that is a list.
func isList(name string, claim any) bool {
	_, ok := claim.([]any)
	return ok && name == "aud"
}

// checkParties checks a token's issuer and audience.
func checkParties(in *instance, all map[string]any) *refusal {
	s := in.settings
	aud := all["aud"]
	if aud == nil && len(s.audience) > 0 {
		return refuseAudience
	}
	if aud != nil {
		if r := checkAudience(s, aud); r != nil {
			return r
		}
	}
	if s.issuer != "" && all["iss"] != s.issuer {
		return checkIssuer(in, all)
	}
	return nil
}

// checkAudience checks an aud, which is a string or a list of strings (RFC 7519 4.1.3).
func checkAudience(s *settings, aud any) *refusal {
	audiences, isRight := claims.Texts(aud)
	if !isRight {
		return refuseClaims
	}
	if len(s.audience) == 0 {
		return nil
	}
	for _, audience := range audiences {
		if contains(s.audience, audience) {
			return nil
		}
	}
	return refuseAudience
}

// checkIssuer checks an iss that is not the configured one: it may be a trusted issuer's.
func checkIssuer(in *instance, all map[string]any) *refusal {
	issuer, _ := all["iss"].(string)
	if in.trusted[issuer] == nil {
		logOtherIssuer(in, issuer)
		return refuseIssuer
	}
	return nil
}

// logOtherIssuer says which issuer a token has, and which ones it may have: the two often differ by a slash.
func logOtherIssuer(in *instance, issuer string) {
	expected := []string{}
	if in.settings.issuer != "" && !in.hasOnlyTrusted {
		expected = append(expected, in.settings.issuer)
	}
	for trusted := range in.trusted {
		expected = append(expected, trusted)
	}
	sort.Strings(expected)
	logline.Debug("the token's issuer is %s, and not one of %+q", logline.Quote(issuer), expected)
}

// checkAccess decides whether a token's claims suffice. Time does not change its answer.
func checkAccess(s *settings, all map[string]any) *refusal {
	if len(s.scopes) > 0 {
		granted := scopesOf(all)
		for _, scope := range s.scopes {
			if !contains(granted, scope) {
				return refuseScope
			}
		}
	}
	if s.condition != nil && !claims.Holds(s.condition, all) {
		return refusePolicy
	}
	return nil
}

// scopesOf reads scope (RFC 8693 4.2), or scp in its place, as some issuers call it, each a string or a list.
func scopesOf(all map[string]any) []string {
	scope := all["scope"]
	if scope == nil {
		scope = all["scp"]
	}
	words := claims.Words(scope)
	return words
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}
