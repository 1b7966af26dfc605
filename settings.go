package slidingjwt

import (
	"errors"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// settings are what compile makes of a valid Config. They do not change.
type settings struct {
	// What a token must be.
	leeway     time.Duration
	types      []string // the media types that a token may have
	issuedType string   // the typ of tokens that the gateway begins a session with
	algorithms []string // those that are allowed; none: what the keys allow
	issuer     string
	audience   []string
	scopes     []string
	condition  *claims.Expression // nil: none
	restricts  bool               // there are scopes or a condition

	checksParties     bool // there is an issuer or an audience
	needsExactNumbers bool // a condition may compare numbers as they are written
	isOptional        bool

	// Where it is.
	headerName string              // canonical; empty: in no header
	prefix     string              // of the token in that header
	lastSpace  int                 // where the last space of such a line is; -1: nowhere
	removed    string              // the header that the service does not see; empty: none
	cookie     *cookie             // nil: in none
	cookies    *request.PairFinder // of that cookie; nil: none
	parameters *request.PairFinder // of the parameter that may carry it; nil: none
	origins    map[string]bool     // other origins that may send the cookie with requests that could change something

	// What the service gets.
	keepsToken   bool
	username     claims.Path // of the claim that the access log shows; nil: none
	forwarded    []forwardedHeader
	claimHeaders *request.Names  // the forwarded headers, in any spelling; nil: none
	ordinary     map[string]bool // common headers, without the spellings of these
	unsurprising map[string]bool // common headers that the remembered path need not look at

	renewal    renewalSettings
	confirm    confirmSettings
	issue      issueSettings
	exchange   exchangeSettings
	stepUp     stepUpSettings
	login      string // where a browser without a good token is sent; empty: nowhere
	endStreams string // when a stream is cut: streamsOfToken, streamsOfSession; empty: never
	logout     string // where a browser is sent whose cookie was cleared; empty: this is no logout
	publishes  bool
	challenges map[string][]string // by the refusal's code
}

// compile checks every option, and reports all problems at once. It does not change the configuration.
func compile(c *Config) (*settings, *keysource.Own, error) {
	p := &problems{}
	refuseEmptyLists(p, c)
	trimmed := trimmedLists(c)
	c = &trimmed
	refuseUnknown(p, c)
	s := &settings{
		leeway: duration(p, "leeway", c.Leeway, 30*time.Second, 0), algorithms: c.Algorithms,
		issuer: c.Issuer, audience: c.Audience, scopes: c.Scopes, isOptional: c.Optional, keepsToken: c.ForwardAuthorization,
		publishes: c.PublishJWKS,
	}
	validateRole(p, c)
	s.headerName = validateHeaderName(p, c)
	s.types = validateTokenTypes(p, c.TokenType)
	s.issuedType = "JWT"
	if len(c.TokenType) > 0 {
		s.issuedType = c.TokenType[0]
	}
	validateCookie(p, c.Cookie)
	s.origins = validateOrigins(p, c.Cookie)
	s.forwarded = validateForward(p, c.ForwardHeaders)
	s.condition = validateAccess(p, c)
	validateClient(p, c.ClientConfig)
	s.renewal = validateRenew(p, c)
	s.confirm = validateConfirm(p, c)
	s.issue = validateIssue(p, c)
	s.exchange = validateExchange(p, c)
	s.stepUp = validateStepUp(p, c)
	s.login = validateLogin(p, c)
	s.endStreams = validateEndStreams(p, c)
	s.logout = validateLogout(p, c)
	validateEndpoints(p, c)
	validateRevocations(p, c)
	own := validateKeys(p, c)
	refuseBytes(p, *c)
	if c.CacheSize < 0 {
		p.add("cacheSize: %d is negative", c.CacheSize)
	}
	if strings.ContainsAny(c.Realm, "\"\\") || hasControl(c.Realm) {
		p.add("realm: %q holds a quote, a backslash or a control character", c.Realm)
	}
	if len(p.list) > 0 {
		return nil, nil, errors.Join(p.list...)
	}
	if len(c.Audience) == 0 && (c.JWKSURL != "" || len(c.TrustedIssuers) > 0) {
		logline.Warning("audience is not set: tokens that the issuers sign for other services are accepted here too")
	}
	warnOfSubjects(c)

	if s.headerName == "Authorization" {
		s.prefix = bearerPrefix
	}
	s.lastSpace = len(s.prefix) - 1
	if !s.keepsToken {
		s.removed = s.headerName
	}
	if c.UsernameClaim != "" {
		s.username = claims.ParsePath(c.UsernameClaim)
	}
	if c.Cookie.Name != "" {
		s.cookie = newCookie(c.Cookie)
		if !s.exchange.isOn { // An exchange takes no token from the cookie.
			s.cookies = request.CookieFinder(c.Cookie.Name)
		}
	}
	if c.TokenKey != "" {
		s.parameters = request.ParameterFinder(c.TokenKey)
	}
	names := []string{}
	for _, header := range s.forwarded {
		names = append(names, header.name)
	}
	if len(names) > 0 {
		s.claimHeaders = request.NewNames(names...)
	}
	s.ordinary = request.OrdinaryBut(request.NewNames(names...))
	s.unsurprising = unsurprisingHeaders(s.ordinary, s.headerName, s.cookie != nil)
	s.checksParties = s.issuer != "" || len(s.audience) > 0
	s.renewal.isPlain = s.renewal.isOn && c.Renew.Confirm == "" && c.Renew.Unless == "" && c.UsernameClaim == "" && c.MaxAge == ""
	s.needsExactNumbers = s.condition != nil
	s.restricts = len(s.scopes) > 0 || s.condition != nil
	s.challenges = challenges(c.Realm, c.Scopes, s.stepUp)
	return s, own, nil
}

// refuseEmptyLists refuses lists that are there and empty, as a template leaves them whose variable is not set. Taken for absent,
// they would switch off the check that was meant.
func refuseEmptyLists(p *problems, c *Config) {
	for _, option := range []struct {
		name string
		list []string
	}{
		{"audience", c.Audience},
		{"algorithms", c.Algorithms},
		{"scopes", c.Scopes},
		{"tokenType", c.TokenType},
		{"acr", c.ACR},
		{"exchange.audience", c.Exchange.Audience},
	} {
		if option.list != nil && len(option.list) == 0 {
			p.add("%s: the list is empty; leave the option out if nothing is to be checked", option.name)
		}
	}
}

// trimmedLists returns the configuration without the spaces around the elements of its lists: Traefik splits a label at its
// commas, and "a, b" means a and b in the lists of its own middlewares.
func trimmedLists(c *Config) Config {
	trimmed := *c
	trimmed.Audience = trimmedList(c.Audience)
	trimmed.Algorithms = trimmedList(c.Algorithms)
	trimmed.Scopes = trimmedList(c.Scopes)
	trimmed.TokenType = trimmedList(c.TokenType)
	trimmed.ACR = trimmedList(c.ACR)
	trimmed.Exchange.Audience = trimmedList(c.Exchange.Audience)
	trimmed.Cookie.Origins = trimmedList(c.Cookie.Origins)
	return trimmed
}

func trimmedList(list []string) []string {
	trimmed := []string{}
	for _, element := range list {
		trimmed = append(trimmed, strings.TrimSpace(element))
	}
	return trimmed
}
