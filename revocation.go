package slidingjwt

import (
	"encoding/json"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/file"
	"github.com/slidingjwt/slidingjwt/internal/revocation"
)

// Revocations: the tokens, sessions and users that were taken back before their tokens expire. A token is looked up in the list
// when it is verified, and when the list has changed since, so that one that is remembered costs nothing more.

func validateRevocations(p *problems, c *Config) {
	if c.Revocations == "" {
		return
	}
	if err := revocation.Check(c.Revocations); err != nil {
		p.add("revocations: %w", err)
	}
}

// sharedRevocations returns the source of a list, and one that is known already with what was read. A file is read at once.
func sharedRevocations(c *Config) *revocation.Source {
	place := c.Revocations
	key := place
	if !file.IsPath(place) {
		text, err := json.Marshal([]any{place, c.ClientConfig})
		if err == nil {
			key = string(text)
		}
	}
	registry.mu.Lock()
	source := registry.revocations[key]
	if source == nil {
		source = revocation.NewSource(place, clientOf(c.ClientConfig))
		registry.revocations[key] = source
	}
	registry.mu.Unlock()
	if file.IsPath(place) {
		source.Look(time.Since(epoch))
	}
	return source
}

// lookAtRevocations returns the list as it is known now; nil if there is none.
func lookAtRevocations(in *instance, at time.Duration) *revocation.List {
	if in.revocations == nil {
		return nil
	}
	list := in.revocations.Look(at)
	return list
}

// factsOf are what a list may ask of a token. What is no text is named by no entry, and a session whose start is not a number
// began before all others.
func factsOf(all map[string]any) *revocation.Facts {
	f := &revocation.Facts{Start: revocation.NoStart}
	f.SID, _ = all["sid"].(string)
	f.JTI, _ = all["jti"].(string)
	f.Subject, _ = all["sub"].(string)
	f.Issuer, _ = all["iss"].(string)
	start := all["auth_time"]
	if start == nil {
		start = all["iat"]
	}
	if seconds, isNumber := claims.Number(start); isNumber {
		f.Start = seconds
	}
	return f
}

// checkRevoked says whether a token is in the list; nil if it is not. The first list is waited for. It is the newest list that
// counts, whatever generation of the memory the token is of.
func checkRevoked(in *instance, v *verified, at time.Duration) *refusal {
	list, retryAfter := in.revocations.Wait(at)
	if list == nil {
		r := retryLater(refuseNoRevocations, retryAfter)
		return r
	}
	if revocation.Has(list, v.facts) {
		return refuseRevoked
	}
	return nil
}

// checkRevokedAgain is checkRevoked for a token that was verified before. One that has expired meanwhile is refused for that, as it
// would be if it were not known.
func checkRevokedAgain(in *instance, v *verified, at time.Duration) *refusal {
	r := checkRevoked(in, v, at)
	if r == nil {
		return nil
	}
	if expired := compare(v.times, at, in.settings.leeway); expired != nil {
		return expired
	}
	return r
}
