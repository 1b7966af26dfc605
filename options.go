package slidingjwt

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/traefik/paerser/types"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/fetch"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// problems collects what is wrong with a configuration.
type problems struct{ list []error }

func (p *problems) add(format string, args ...any) {
	p.list = append(p.list, fmt.Errorf(format, args...))
}

// refuseBytes refuses options that are not valid UTF-8. The registry keeps instances by their options' JSON, in which all such bytes
// would be the same character, so two secrets could share an instance.
func refuseBytes(p *problems, options any) {
	value := reflect.ValueOf(options)
	for i := 0; i < value.NumField(); i++ {
		option, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if !utf8.ValidString(fmt.Sprint(value.Field(i).Interface())) {
			p.add("%s: it is not valid UTF-8 (a secret of other bytes can be base64, or in a file)", option)
		}
	}
}

// duration parses an option's duration, which is at least least; an empty text means the fallback.
func duration(p *problems, option, text string, fallback, least time.Duration) time.Duration {
	if text == "" {
		return fallback
	}
	var d types.Duration
	if err := d.Set(text); err != nil {
		p.add("%s: %q is not a duration (for example 5m or 300)", option, text)
		return fallback
	}
	if time.Duration(d) < least {
		p.add("%s: %q is less than %s", option, text, least)
		return fallback
	}
	if time.Duration(d) > mostDuration {
		p.add("%s: %q is more than 100 years", option, text)
		return fallback
	}
	return time.Duration(d)
}

const mostDuration = 100 * 365 * 24 * time.Hour

// validateTokenTypes returns the media types that a token may have.
func validateTokenTypes(p *problems, types []string) []string {
	if len(types) == 0 {
		return []string{"", "jwt", "at+jwt"}
	}
	media := []string{}
	for _, typ := range types {
		if hasControl(typ) {
			p.add("tokenType: %q holds a control character", typ)
		}
		if jose.MediaType(typ) == "" {
			p.add("tokenType: %q is not a type (for example at+jwt)", typ)
		}
		media = append(media, jose.MediaType(typ))
	}
	return media
}

// validateHeaderName returns the header that carries the token; empty if none does.
func validateHeaderName(p *problems, c *Config) string {
	if c.HeaderName == "" {
		hasCookie := c.Cookie.Name != "" && len(c.Exchange.Claims) == 0 // An exchange does not read it.
		if !hasCookie && c.TokenKey == "" && !c.PublishJWKS && c.Issue.Header == "" && c.Logout.Redirect == "" {
			p.add("headerName: it is empty, and neither cookie nor tokenKey is set, so there is no place for the token")
		}
		return ""
	}
	header := headerName(p, "headerName", c.HeaderName)
	for name := range c.ForwardHeaders {
		if header != "Authorization" && request.Normalize(name) == request.Normalize(header) {
			p.add("headerName: %q is also in forwardHeaders", c.HeaderName)
		}
	}
	return header
}

func validateCookie(p *problems, c CookieConfig) {
	if c.Name == "" {
		if c.Domain != "" || c.Path != "/" || c.SameSite != "Lax" || !c.Secure || !c.HTTPOnly || c.SessionOnly || len(c.Origins) > 0 {
			p.add("cookie.name: required when another cookie option is set")
		}
		return
	}
	for _, part := range []struct {
		option, text string
		cookie       http.Cookie
	}{
		{"name", c.Name, http.Cookie{Name: c.Name}},
		{"domain", c.Domain, http.Cookie{Name: "a", Domain: c.Domain}},
		{"path", c.Path, http.Cookie{Name: "a", Path: c.Path}},
	} {
		if err := part.cookie.Valid(); err != nil {
			p.add("cookie.%s: %q is malformed: %w", part.option, part.text, err)
		}
	}
	if !strings.HasPrefix(c.Path, "/") {
		p.add("cookie.path: %q does not start with /", c.Path)
	}
	site := strings.ToLower(c.SameSite)
	if site != "lax" && site != "strict" && site != "none" {
		p.add("cookie.sameSite: %q is not Lax, Strict or None", c.SameSite)
	}
	if site == "none" && !c.Secure {
		p.add("cookie.sameSite: %q needs cookie.secure", c.SameSite)
	}
	// RFC 6265bis 4.1.3: browsers drop a cookie that breaks the rules of its prefix, in upper or lower case.
	name := strings.ToLower(c.Name)
	if strings.HasPrefix(name, "__host-") && (c.Domain != "" || c.Path != "/" || !c.Secure) {
		p.add("cookie.name: %q needs no domain, the path / and secure (got domain %q, path %q, secure %t)", c.Name, c.Domain, c.Path, c.Secure)
	}
	if strings.HasPrefix(name, "__secure-") && !c.Secure {
		p.add("cookie.name: %q needs cookie.secure", c.Name)
	}
}

// validateOrigins reads the list of origins, which are compared as browsers send them (RFC 6454 6.2).
func validateOrigins(p *problems, c CookieConfig) map[string]bool {
	origins := map[string]bool{}
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") ||
			strings.Contains(origin, "*") || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			p.add("cookie.origins: %q is not an origin as browsers send it (for example https://app.example.com)", origin)
		} else if u.Port() != "" && request.HostPort(u) == request.HostPort(&url.URL{Scheme: u.Scheme, Host: u.Hostname()}) {
			p.add("cookie.origins: %q names the default port, which browsers leave out", origin)
		}
		origins[origin] = true
	}
	return origins
}

// unforwardable are headers that control HTTP itself, or carry credentials, as request.Normalize writes them.
var unforwardable = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "proxy-authenticate": true, "proxy-authorization": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"host": true, "content-length": true, "cookie": true, "set-cookie": true,
}

// responseHeaders are other headers that the plugin sets in responses, or that a response needs for what they mean.
var responseHeaders = map[string]bool{
	"token-expires-in": true, "session-expires-in": true, "cache-control": true, "cdn-cache-control": true,
	"access-control-expose-headers": true, "content-type": true, "content-encoding": true, "vary": true, "location": true,
	"allow": true, "www-authenticate": true, "retry-after": true, "grpc-status": true, "grpc-message": true,
}

// headerName checks a header's name and returns its canonical form.
func headerName(p *problems, option, name string) string {
	canonical := http.CanonicalHeaderKey(name)
	if !isToken(name) {
		p.add("%s: %q is not a header name", option, name)
	} else if unforwardable[request.Normalize(name)] {
		p.add("%s: the header %q cannot be used for this", option, name)
	}
	return canonical
}

// validateForward returns the headers to forward, in the order of their names.
func validateForward(p *problems, headers map[string]string) []forwardedHeader {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	seen := map[string]bool{}
	var forwarded []forwardedHeader
	for _, name := range names {
		canonical := headerName(p, "forwardHeaders", name)
		if canonical == "Authorization" {
			p.add("forwardHeaders: the header %q carries the token itself", name)
		}
		if seen[request.Normalize(name)] {
			p.add("forwardHeaders: %q is another spelling of a header in the map", name)
		}
		seen[request.Normalize(name)] = true
		path, format := claims.ParseForm(headers[name])
		if strings.TrimSpace(strings.Split(headers[name], "|")[0]) == "" {
			p.add("forwardHeaders: %q has no claim", name)
		}
		if !claims.IsFormat(format) {
			p.add("forwardHeaders: %q has the format %q, which is not json or base64url", name, format)
		}
		forwarded = append(forwarded, forwardedHeader{name: canonical, first: path[0], rest: path[1:], isDeep: len(path) > 1, format: format})
	}
	return forwarded
}

// validateAccess checks what decides who may pass, and returns the expression; nil if there is none.
func validateAccess(p *problems, c *Config) *claims.Expression {
	if c.Optional && (len(c.Scopes) > 0 || c.Claims != "") {
		p.add("optional: cannot be combined with scopes or claims, which a request without a token would bypass")
	}
	for _, scope := range c.Scopes {
		// RFC 6749 3.3: no space, quote or backslash.
		if scope == "" || strings.ContainsAny(scope, " \"\\") || hasControl(scope) {
			p.add("scopes: %q is not a scope", scope)
		}
	}
	for _, audience := range c.Audience {
		if audience == "" {
			p.add("audience: %q is empty", audience)
		}
	}
	if c.UsernameClaim != "" && !isPath(c.UsernameClaim) {
		p.add("usernameClaim: %q is not a claim path", c.UsernameClaim)
	}
	if hasControl(c.TokenKey) || strings.ContainsAny(c.TokenKey, "&=%+") {
		p.add("tokenKey: %q holds a control character, &, =, %% or +", c.TokenKey)
	}
	if c.Claims == "" {
		return nil
	}
	condition, err := claims.ParseExpression(c.Claims)
	if err != nil {
		p.add("claims: %w", err)
	}
	return condition
}

// isPath says whether a text is a claim path, with no format behind it.
func isPath(text string) bool { return !strings.Contains(text, "|") && strings.TrimSpace(text) != "" }

func validateClient(p *problems, c ClientConfig) {
	if c.TimeoutSeconds < 1 || c.TimeoutSeconds > 300 {
		p.add("clientConfig.timeoutSeconds: %d is not between 1 and 300", c.TimeoutSeconds)
	}
	if c.MaxRetries < 0 || c.MaxRetries > 100 {
		p.add("clientConfig.maxRetries: %d is not between 0 and 100", c.MaxRetries)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		given, missing := "cert", "key"
		if c.TLS.Cert == "" {
			given, missing = missing, given
		}
		p.add("clientConfig.tls.%s: needs clientConfig.tls.%s", given, missing)
	}
	if err := clientOf(c).Check(); err != nil {
		p.add("clientConfig.tls.%w", err)
	}
}

// clientOf says how endpoints are reached.
func clientOf(c ClientConfig) fetch.Client {
	return fetch.Client{
		CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, InsecureSkipVerify: c.TLS.InsecureSkipVerify,
		Timeout: time.Duration(c.TimeoutSeconds) * time.Second, MaxRetries: c.MaxRetries,
	}
}

// renewalSettings are the renew options.
type renewalSettings struct {
	isOn       bool
	isPlain    bool          // no other option decides whether a token that is due is served and renewed
	before     time.Duration // 0: see share
	share      float64       // of the token's lifetime; 0: see before
	lifetime   time.Duration // 0: the presented token's own
	maxSession time.Duration
	header     string // canonical
	prefix     string // of the token in that header
	exposed    string // the names of what is added to a response when the token is in the header
	unless     string // canonical, of the request header that keeps a request from renewing; empty, as no header's name is: none
}

const defaultMaxSession = 24 * time.Hour

func validateRenew(p *problems, c *Config) renewalSettings {
	r := c.Renew
	signs := c.Issue.Header != "" || len(c.Exchange.Claims) > 0
	if r.Before == "" && (r.Lifetime != "" || !signs && (r.MaxSession != "" || r.Header != "")) {
		p.add("renew.before: required when another renew option is set")
	}
	s := renewalSettings{isOn: r.Before != "", header: renewHeader(p, c)}
	if s.header == "Authorization" {
		s.prefix = bearerPrefix
	}
	s.exposed = s.header + ", " + exposedWithCookie
	s.unless = validateUnless(p, c)
	s.lifetime = duration(p, "renew.lifetime", r.Lifetime, 0, time.Second)
	s.maxSession = duration(p, "renew.maxSession", r.MaxSession, defaultMaxSession, time.Second)
	for _, other := range []struct {
		option string
		set    bool
	}{{"renew.confirm", r.Confirm != ""}, {"renew.unless", r.Unless != ""}} {
		if other.set && r.Before == "" {
			p.add("%s: needs renew.before", other.option)
		}
	}
	if s.lifetime > s.maxSession {
		p.add("renew.lifetime: %q is longer than renew.maxSession, %q, so nothing would ever be renewed", r.Lifetime, s.maxSession)
	}
	percent, isShare := strings.CutSuffix(r.Before, "%")
	if !isShare {
		s.before = duration(p, "renew.before", r.Before, 0, time.Second)
		if s.before >= s.maxSession {
			p.add("renew.before: %q is not less than renew.maxSession, %q, so a session would be over before its renewal", r.Before, s.maxSession)
		}
		return s
	}
	share, err := strconv.Atoi(percent)
	if err != nil || share < 1 || share > 99 || percent != strconv.Itoa(share) {
		p.add("renew.before: %q is not between 1%% and 99%%", r.Before)
	}
	s.share = float64(share) / 100
	return s
}

// renewHeader returns the response header that brings a renewed bearer token.
func renewHeader(p *problems, c *Config) string {
	name := c.Renew.Header
	isUsed := name != "" || c.Renew.Before != "" || c.Issue.Header != "" || len(c.Exchange.Claims) > 0
	if name == "" {
		name = c.HeaderName
	}
	if name == "" {
		return "Authorization"
	}
	if isUsed && responseHeaders[request.Normalize(name)] {
		p.add("renew.header: the header %q has another meaning in a response", name)
	}
	if c.Renew.Header == "" {
		return http.CanonicalHeaderKey(name) // validateHeaderName checks it.
	}
	header := headerName(p, "renew.header", name)
	for other := range c.ForwardHeaders {
		if request.Normalize(name) == request.Normalize(other) {
			p.add("renew.header: %q is also in forwardHeaders", name)
		}
	}
	return header
}

// issueSettings are the issue options; without a header they are off.
type issueSettings struct {
	header   string // canonical
	lifetime time.Duration
}

const defaultIssueLifetime = 15 * time.Minute

func validateIssue(p *problems, c *Config) issueSettings {
	if c.Issue.Header == "" {
		if c.Issue.Lifetime != "" {
			p.add("issue.header: required when issue.lifetime is set")
		}
		return issueSettings{}
	}
	header := headerName(p, "issue.header", c.Issue.Header)
	if request.Normalize(c.Issue.Header) == request.Normalize(renewHeader(&problems{}, c)) {
		p.add("issue.header: %q is also renew.header", c.Issue.Header)
	}
	if responseHeaders[request.Normalize(c.Issue.Header)] {
		p.add("issue.header: the header %q has another meaning in a response", c.Issue.Header)
	}
	return issueSettings{header: header, lifetime: duration(p, "issue.lifetime", c.Issue.Lifetime, defaultIssueLifetime, time.Second)}
}

// validateRole refuses two roles, and the options of a guard in another role: such a middleware guards nothing, so nothing in its
// options may look as if it did.
func validateRole(p *problems, c *Config) {
	role := ""
	for _, other := range []struct {
		option string
		isSet  bool
	}{
		{"issue", c.Issue.Header != ""},
		{"exchange", len(c.Exchange.Claims) > 0},
		{"logout", c.Logout.Redirect != ""},
		{"publishJwks", c.PublishJWKS},
	} {
		if other.isSet && role != "" {
			p.add("%s: cannot be combined with %s: a middleware has one role", role, other.option)
		}
		if other.isSet {
			role = other.option
		}
	}
	if role == "" {
		return
	}
	for _, guards := range []struct {
		option       string
		isSet        bool
		fitsExchange bool
	}{
		{"forwardHeaders", len(c.ForwardHeaders) > 0, false},
		{"usernameClaim", c.UsernameClaim != "", false},
		{"optional", c.Optional, false},
		{"renew.before", c.Renew.Before != "", false},
		{"loginUrl", c.LoginURL != "", false},
		{"endStreams", c.EndStreams != "", false},
		{"forwardAuthorization", c.ForwardAuthorization, false},
		{"scopes", len(c.Scopes) > 0, true},
		{"claims", c.Claims != "", true},
		{"maxAge", c.MaxAge != "", true},
		{"acr", len(c.ACR) > 0, true},
		{"revocations", c.Revocations != "", true},
		{"tokenKey", c.TokenKey != "", true},
	} {
		if guards.isSet && !(guards.fitsExchange && role == "exchange") {
			p.add("%s: cannot be combined with %s, which is an option of a guard", role, guards.option)
		}
	}
}

// validateKeys reads the operator's keys, and checks that there are those that other options need.
func validateKeys(p *problems, c *Config) *keysource.Own {
	before := len(p.list)
	for _, alg := range c.Algorithms {
		if !jose.IsKnown(alg) {
			p.add("algorithms: %q is not one of %s", alg, strings.Join(jose.AlgorithmNames(), ", "))
		}
	}
	hasOthers := c.JWKSURL != "" || len(c.TrustedIssuers) > 0
	if c.SigningSecret == "" && c.PrivateKey == "" && c.PublicKey == "" && c.JWKSFile == "" && !hasOthers && c.Logout.Redirect == "" {
		p.add("no key source: one of signingSecret, privateKey, publicKey, jwksFile, jwksUrl and trustedIssuers is needed")
	}
	own, wrong := keysource.NewOwn(keysource.OwnOptions{
		PrivateKey: c.PrivateKey, JWKSFile: c.JWKSFile, SigningSecret: c.SigningSecret, PublicKey: c.PublicKey,
		SecretIsBase64: c.SigningSecretBase64Encoded, Algorithms: c.Algorithms,
	})
	p.list = append(p.list, wrong...)
	ring := keysource.Current(own)
	if len(p.list) > before || ring.IsIncomplete {
		return own // Without all keys, it is not known which ones are lacking.
	}
	for _, alg := range c.Algorithms {
		if !ring.Set.Serves(alg) && !hasOthers {
			p.add("algorithms: no key can serve %q", alg)
		}
	}
	const noSigner = "%s: needs a key that can sign: privateKey, signingSecret, or a private key in jwksFile"
	if c.Renew.Before != "" && ring.Signer == nil {
		p.add(noSigner, "renew.before")
	}
	if c.Issue.Header != "" && ring.Signer == nil {
		p.add(noSigner, "issue")
	}
	if len(c.Exchange.Claims) > 0 && ring.Signer == nil {
		p.add(noSigner, "exchange")
	}
	if c.PublishJWKS && len(ring.Published) == 0 {
		p.add("publishJwks: needs an asymmetric key of your own: privateKey or jwksFile")
	}
	return own
}

func validateEndpoints(p *problems, c *Config) {
	if c.JWKSURL != "" {
		if err := fetch.CheckURL(c.JWKSURL); err != nil {
			p.add("jwksUrl: %w", err)
		}
	}
	seen := map[string]bool{}
	for i, trusted := range c.TrustedIssuers {
		option := fmt.Sprintf("trustedIssuers[%d]", i)
		switch {
		case trusted.Issuer == "" && trusted.JWKSURL == "":
			p.add("%s: issuer or jwksUrl is required", option)
		case trusted.Issuer != "" && trusted.Issuer == c.Issuer:
			p.add("%s.issuer: %q is also issuer", option, trusted.Issuer)
		case trusted.Issuer != "" && seen[trusted.Issuer]:
			p.add("%s.issuer: %q is listed twice", option, trusted.Issuer)
		}
		seen[trusted.Issuer] = true
		if trusted.JWKSURL != "" {
			if err := fetch.CheckURL(trusted.JWKSURL); err != nil {
				p.add("%s.jwksUrl: %w", option, err)
			}
		} else if err := fetch.CheckURL(trusted.Issuer); trusted.Issuer != "" && err != nil {
			p.add("%s.issuer: without jwksUrl it must be a URL for OpenID discovery: %w", option, err)
		}
		if err := keysource.CheckBearer(trusted.BearerToken); err != nil {
			p.add("%s.bearerToken: %w", option, err)
		}
	}
}

// isToken says whether a text is a token in the sense of RFC 9110 5.6.2, as a header's name is.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// hasControl says whether a text holds a control character, C0 or C1.
func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }
