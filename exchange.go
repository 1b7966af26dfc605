package slidingjwt

import (
	"crypto/sha256"
	"encoding/json"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// exchangeSettings are the exchange options; without claims they are off.
type exchangeSettings struct {
	isOn     bool
	mapped   []mappedClaim
	lifetime time.Duration
	maxAge   time.Duration // of the presented token, since its iat
	audience []string
}

// mappedClaim is a claim of the new token, and where the presented one has it.
type mappedClaim struct {
	name string
	path claims.Path
}

const defaultExchangeMaxAge = 5 * time.Minute

// unmappable are the claims that the gateway sets, so that no claim of a presented token takes their place; and nbf and cnf, which a
// session must not have: nobody has checked the proof of that key (RFC 7800 3.1).
var unmappable = map[string]bool{
	"iss": true, "aud": true, "iat": true, "exp": true, "nbf": true, "jti": true, "auth_time": true, "sid": true, "idp": true, "cnf": true,
}

func validateExchange(p *problems, c *Config) exchangeSettings {
	e := c.Exchange
	if len(e.Claims) == 0 {
		if e.Lifetime != "" || e.MaxAge != "" || len(e.Audience) > 0 {
			p.add("exchange.claims: required when another exchange option is set")
		}
		return exchangeSettings{}
	}
	s := exchangeSettings{isOn: true, audience: e.Audience}
	s.mapped = mappedClaims(p, e.Claims)
	s.lifetime = duration(p, "exchange.lifetime", e.Lifetime, defaultIssueLifetime, time.Second)
	s.maxAge = duration(p, "exchange.maxAge", e.MaxAge, defaultExchangeMaxAge, time.Second)
	for _, audience := range e.Audience {
		if audience == "" {
			p.add("exchange.audience: %q is empty", audience)
		}
	}
	if len(c.Audience) == 0 {
		p.add("exchange: needs audience: without it, a token issued to another application could begin a session here")
	}
	if namedIssuers(c) == 0 {
		p.add("exchange: needs an entry of trustedIssuers that has an issuer")
	}
	return s
}

// mappedClaims returns the claims to map, in the order of their names.
func mappedClaims(p *problems, paths map[string]string) []mappedClaim {
	names := make([]string, 0, len(paths))
	for name := range paths {
		names = append(names, name)
	}
	sort.Strings(names)
	mapped := []mappedClaim{}
	hasSubject := false
	for _, name := range names {
		path := paths[name]
		hasSubject = hasSubject || name == "sub"
		if unmappable[name] {
			p.add("exchange.claims: %q is set by the gateway", name)
		}
		if name == "" || strings.TrimSpace(path) == "" {
			p.add("exchange.claims: %q from %q: a claim's name or path is empty", name, path)
		} else if !isPath(path) {
			p.add("exchange.claims: %q from %q: it is not a claim path", name, path)
		}
		mapped = append(mapped, mappedClaim{name: name, path: claims.ParsePath(path)})
	}
	if !hasSubject {
		p.add("exchange.claims: needs sub, which names the user of the session")
	}
	return mapped
}

// namedIssuers is how many issuers there are whose tokens can be exchanged.
func namedIssuers(c *Config) int {
	named := 0
	for _, trusted := range c.TrustedIssuers {
		if trusted.Issuer != "" {
			named++
		}
	}
	return named
}

// warnOfSubjects says that a subject is one user's only within its issuer (RFC 7519 4.1.2).
func warnOfSubjects(c *Config) {
	if named := namedIssuers(c); len(c.Exchange.Claims) > 0 && named > 1 {
		logline.Warning("exchange: there are %d trusted issuers, and the same sub may be a different user at each: services must look at both sub and idp", named)
	}
}

// exchanging answers on a route where a trusted issuer's token becomes a session of your own (after RFC 8693), and never calls the
// service. A presented token is verified each time and not remembered, since it is used once.
func exchanging(in *instance, name string) http.HandlerFunc {
	s := in.settings
	return func(rw http.ResponseWriter, req *http.Request) {
		at := time.Since(epoch)
		lookAtKeys(in, at)
		token, r := presentedToken(s, req)
		var issued *renewal
		if r == nil {
			issued, r = exchange(in, token, name, at)
		}
		if r != nil {
			refuse(s, rw, req, name, r, credential{}) // The cookie is an earlier session's, and is not cleared.
			return
		}
		deliverExchanged(s, rw, req, issued)
	}
}

// presentedToken finds the token to exchange. Another site's page must not make a browser take a session cookie: it could
// log the user in as another user (login CSRF). The cookie itself is not read: compile sets no finder for it.
func presentedToken(s *settings, req *http.Request) (string, *refusal) {
	switch {
	case isExcessive(s, req):
		return "", refuseTooMany
	case req.Method != http.MethodPost:
		return "", refuseNotPost
	case s.cookie != nil && request.IsCrossSite(req, s.origins):
		return "", refuseCrossSite
	}
	c, r := findToken(s, req)
	if r == nil && c.token == "" {
		r = refuseNoToken
	}
	return c.token, r
}

// exchange verifies a token and begins a session with it. That only a trusted issuer's key counts is what instance.hasOnlyTrusted sees to.
func exchange(in *instance, token, name string, at time.Duration) (*renewal, *refusal) {
	s := in.settings
	v, _, r := verify(in, token, at)
	if r == nil {
		r = dispute(s, v, at)
	}
	if r != nil {
		return nil, r
	}
	all, err := exactClaims(token)
	if err != nil {
		return nil, refuseMalformed
	}
	if all["iat"] == nil || at-v.times.issuedAt > s.exchange.maxAge {
		return nil, refuseTooOld
	}
	now := at.Truncate(time.Second) // Whole seconds, so that what remains is as configured.
	authTime, r := authTimeOf(v, all, now)
	if r != nil {
		return nil, r
	}
	sessionEnd := authTime + s.renewal.maxSession
	expires := now + s.exchange.lifetime
	if sessionEnd < expires {
		expires = sessionEnd.Truncate(time.Second)
	}
	if expires <= now {
		return nil, refuseEnded
	}
	payload, r := exchangedClaims(s, token, all, now, expires, authTime)
	if r != nil {
		return nil, r
	}
	signer := keysource.Current(in.own).Signer
	if signer == nil {
		r := unavailable(time.Second)
		return nil, r
	}
	signed, err := signer.Sign(s.issuedType, payload)
	if err != nil {
		logline.Error("no token was issued by %s: %s", logline.Quote(name), err.Error())
		return nil, refuseIssuing
	}
	if s.cookie != nil && len(s.cookie.line(signed, expires-now)) > maxCookie {
		logline.Error("no token was issued by %s: the cookie would be longer than the %d bytes that browsers keep", logline.Quote(name), maxCookie)
		return nil, refuseIssuing
	}
	return &renewal{token: signed, line: []string{s.renewal.prefix + signed}, at: now, expires: expires, sessionEnd: sessionEnd}, nil
}

// exactClaims reads the claims of a token that was verified, with their numbers as they are written.
func exactClaims(token string) (map[string]any, error) {
	payload, err := jose.Base64.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, err
	}
	all, err := jose.Object(payload)
	return all, err
}

// authTimeOf is when the user logged in, as far as the presented token says. An exchange does not make the session younger.
func authTimeOf(v *verified, all map[string]any, now time.Duration) (time.Duration, *refusal) {
	authTime := v.times.issuedAt
	if claim := all["auth_time"]; claim != nil {
		seconds, isNumber := claims.Number(claim)
		if !isNumber {
			return 0, refuseClaims
		}
		authTime = time.Duration(math.Max(0, math.Min(seconds, farSeconds)) * 1e9)
	}
	if authTime > now {
		authTime = now
	}
	return authTime.Truncate(time.Second), nil
}

// exchangedClaims are the new token's: the mapped ones, and those that the gateway sets.
func exchangedClaims(s *settings, token string, all map[string]any, now, expires, authTime time.Duration) (string, *refusal) {
	issued := map[string]any{}
	for _, mapped := range s.exchange.mapped {
		claim := claims.In(mapped.path, all)
		if claim != nil {
			issued[mapped.name] = claim
		}
	}
	subject, isText := issued["sub"].(string)
	if !isText || subject == "" {
		return "", refuseClaims
	}
	jti, err := newTokenID()
	if err != nil {
		return "", refuseIssuing
	}
	if s.issuer != "" {
		issued["iss"] = s.issuer
	}
	if len(s.exchange.audience) > 0 {
		issued["aud"] = s.exchange.audience
	}
	issued["iat"] = json.Number(wholeSeconds(now))
	issued["exp"] = json.Number(wholeSeconds(expires))
	issued["auth_time"] = json.Number(wholeSeconds(authTime))
	issued["jti"] = jti
	issued["idp"] = all["iss"]
	sid, hasSession := all["sid"].(string)
	if !hasSession || sid == "" {
		sid = sessionOf(token)
	}
	issued["sid"] = sid
	payload, err := json.Marshal(issued)
	if err != nil {
		return "", refuseIssuing
	}
	return string(payload), nil
}

// sessionOf makes a sid for a token without one. It is the same each time, so that a token that is exchanged twice begins one session,
// which can be revoked. The signature is left out: anybody can turn an ECDSA signature into a second valid one.
func sessionOf(token string) string {
	sum := sha256.Sum256([]byte(token[:strings.LastIndex(token, ".")]))
	return jose.Base64.EncodeToString(sum[:idBytes])
}

// deliverExchanged answers with a session's first token: as the cookie if one is configured, else in the header and in
// the JSON of RFC 8693 2.2.1.
func deliverExchanged(s *settings, rw http.ResponseWriter, req *http.Request, issued *renewal) {
	h := rw.Header()
	if s.cookie != nil {
		deliver(s, h, req, credential{inCookie: true}, issued, issued.at)
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	deliver(s, h, req, credential{inHeader: true}, issued, issued.at)
	// A token is base64url and dots, which need no escapes in JSON.
	body := `{"access_token":"` + issued.token + `","issued_token_type":"urn:ietf:params:oauth:token-type:jwt","token_type":"Bearer","expires_in":` +
		wholeSeconds(issued.expires-issued.at) + "}\n"
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write([]byte(body)) // A failure means that the client is gone.
}
