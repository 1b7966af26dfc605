package slidingjwt

import (
	"errors"
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
)

const (
	defaultMaxSession    = 24 * time.Hour
	defaultIssueLifetime = 15 * time.Minute
)

// settings are a Config that was found right: immutable, and shared by every middleware with the same options.
type settings struct {
	config       *Config
	leeway       float64
	tokenTypes   []string
	names        []string           // of the headers to forward, canonical …
	forward      []forwardedHeader  // … and the claims that they carry
	spellings    nameSet            // of the forwarded headers
	ordinary     map[string]bool    // names of request headers that are no spelling of a forwarded one
	unsurprising map[string]bool    // those that need not be looked at when the token is in Authorization
	policy       *predicate         // nil: no claims expression
	demands      bool               // there are scopes, an expression, an issuer or an audience
	reckons      bool               // there is an expression, which may ask for numbers
	forwards     bool               // there are headers to forward
	elsewhere    bool               // there is a cookie or a tokenKey
	cookies      *pairFinder        // of the cookie that may carry the token; nil: none
	parameters   *pairFinder        // of the parameter that may; nil: none
	origins      map[string]bool    // that may make the cookie count on requests that could change something
	renews       bool               // there is a time before expiry from which on tokens are renewed
	renewal      renewalSettings    // before == 0 and share == 0: off
	issue        issueSettings      // header == "": off
	trusted      map[string]*keyURL // by issuer
	others       *keyURL            // jwksUrl; nil: none
	endpoints    []*keyURL          // all of them
	keys         *keyring
	memory       *memory
	challenges   map[string][]string // by the refusal's code
}

// problems collects what is wrong with a configuration.
type problems struct{ list []error }

func (p *problems) add(format string, args ...any) {
	p.list = append(p.list, fmt.Errorf(format, args...))
}

// compile checks every option and reports all problems at once.
func compile(c *Config) (*settings, error) {
	p := &problems{}
	s := &settings{config: c}

	refuseUnknown(p, c)
	trimSpace(c.Audience, c.Algorithms, c.Scopes, c.Cookie.Origins)
	s.leeway = duration(p, "leeway", c.Leeway, 30*time.Second, 0).Seconds()
	validateTokenTypes(p, s, c.TokenType)
	validateCookie(p, c.Cookie)
	s.origins = validateOrigins(p, c.Cookie)
	validateForward(p, s, c.ForwardHeaders)
	validateAccess(p, s, c)
	validateClient(p, c.ClientConfig)
	validateRenew(p, s, c)
	validateIssue(p, s, c)
	validateKeys(p, s, c)
	refuseBytes(p, *c)
	if c.CacheSize < 0 {
		p.add("cacheSize: %d is negative", c.CacheSize)
	}
	if strings.ContainsAny(c.Realm, "\"\\") || hasControl(c.Realm) {
		p.add("realm: %q holds a quote, a backslash or a control character", c.Realm)
	}
	if len(p.list) > 0 {
		return nil, errors.Join(p.list...)
	}

	if len(c.Audience) == 0 && (c.JWKSURL != "" || len(c.TrustedIssuers) > 0) {
		logWarning("there is no audience: every token that the issuers sign for anybody is accepted here")
	}
	if c.Cookie.Name != "" {
		s.cookies = cookieFinder(c.Cookie.Name)
	}
	if c.TokenKey != "" {
		s.parameters = parameterFinder(c.TokenKey)
	}
	s.elsewhere = c.Cookie.Name != "" || c.TokenKey != ""
	s.reckons = s.policy != nil
	s.forwards = len(s.forward) > 0
	s.renews = c.Renew.Before != ""
	s.challenges = challenges(c)
	s.unsurprising = unsurprisingHeaders(s, c)
	s.memory = newMemory(c.CacheSize)
	return s, nil
}

// refuseBytes refuses options that are not UTF-8: JSON, which options are known by, has the same character for all such bytes.
func refuseBytes(p *problems, options any) {
	value := reflect.ValueOf(options)
	for i := 0; i < value.NumField(); i++ {
		option, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if !utf8.ValidString(fmt.Sprint(value.Field(i).Interface())) {
			p.add("%s: it is not valid UTF-8 (a secret of other bytes can be base64, or in a file)", option)
		}
	}
}

// trimSpace removes the spaces around the elements of lists: Traefik splits a label at its commas, and "a, b" means
// a and b in the lists of its own middlewares.
func trimSpace(lists ...[]string) {
	for _, list := range lists {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
	}
}

// duration parses an option's duration; empty is the fallback, and less than the least is a problem.
func duration(p *problems, option, text string, fallback, least time.Duration) time.Duration {
	if text == "" {
		return fallback
	}
	var d types.Duration
	if err := d.Set(text); err != nil {
		p.add("%s: %q is no duration such as 5m or 300", option, text)
		return fallback
	}
	if time.Duration(d) < least {
		p.add("%s: %q is less than %s", option, text, least)
		return fallback
	}
	return time.Duration(d)
}

func validateTokenTypes(p *problems, s *settings, tokenType string) {
	if hasControl(tokenType) {
		p.add("tokenType: %q holds a control character", tokenType)
	}
	if tokenType != "" && mediaType(tokenType) == "" {
		p.add("tokenType: %q names no type", tokenType)
	}
	s.tokenTypes = []string{"", "jwt", "at+jwt"}
	if tokenType != "" {
		s.tokenTypes = []string{mediaType(tokenType)}
	}
}

func validateCookie(p *problems, c CookieConfig) {
	if c.Name == "" {
		if c.Domain != "" || c.Path != "/" || c.SameSite != "Lax" || !c.Secure || !c.HTTPOnly || c.SessionOnly || len(c.Origins) > 0 {
			p.add("cookie.name: required when another cookie option is set")
		}
		return
	}
	cookie := &http.Cookie{Name: c.Name, Value: "x", Path: c.Path, Domain: c.Domain}
	if err := cookie.Valid(); err != nil {
		p.add("cookie: name %q, domain %q or path %q is malformed: %w", c.Name, c.Domain, c.Path, err)
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
	// RFC 6265bis 4.1.3: browsers drop a cookie that breaks its prefix's promise. They ignore case.
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
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || origin != u.Scheme+"://"+strings.ToLower(u.Host) {
			p.add("cookie.origins: %q is not an origin as browsers send it (for example https://app.example.com)", origin)
		} else if u.Port() != "" && hostPort(u) == hostPort(&url.URL{Scheme: u.Scheme, Host: u.Hostname()}) {
			p.add("cookie.origins: %q names the default port, which browsers leave out", origin)
		}
		origins[origin] = true
	}
	return origins
}

// unforwardable are the headers that mean something to HTTP itself, or carry credentials.
var unforwardable = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Host": true, "Content-Length": true, "Cookie": true, "Set-Cookie": true,
}

// ours are the response headers that a renewal sets beside the token's own.
var ours = map[string]bool{
	"Token-Expires-In": true, "Session-Expires-In": true, "Cache-Control": true, "Access-Control-Expose-Headers": true,
	"Content-Type": true, "Www-Authenticate": true, "Retry-After": true,
}

// headerName checks a header's name and returns its canonical form.
func headerName(p *problems, option, name string) string {
	canonical := http.CanonicalHeaderKey(name)
	if !isToken(name) {
		p.add("%s: %q is no header name", option, name)
	} else if unforwardable[canonical] {
		p.add("%s: the header %q cannot be used for this", option, name)
	}
	return canonical
}

func validateForward(p *problems, s *settings, headers map[string]string) {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	s.spellings = newNameSet(names...)
	seen := map[string]bool{}
	for _, name := range names {
		canonical := headerName(p, "forwardHeaders", name)
		if canonical == "Authorization" {
			p.add("forwardHeaders: the header %q carries the token itself", name)
		}
		if seen[normalize(name)] {
			p.add("forwardHeaders: %q is another spelling of a header that is there already", name)
		}
		seen[normalize(name)] = true
		path := claimPath(headers[name])
		if len(path) == 0 || strings.TrimSpace(headers[name]) == "" {
			p.add("forwardHeaders: %q has no claim", name)
		}
		s.names = append(s.names, canonical)
		s.forward = append(s.forward, forwardedHeader{first: path[0], rest: path[1:], isDeep: len(path) > 1})
	}
	s.ordinary = map[string]bool{}
	for _, name := range ordinaryHeaders {
		if !s.spellings.names[normalize(name)] {
			s.ordinary[name] = true
		}
	}
}

func validateAccess(p *problems, s *settings, c *Config) {
	if c.Optional && (len(c.Scopes) > 0 || c.Claims != "") {
		p.add("optional: cannot be combined with scopes or claims, which a request without a token would escape")
	}
	for _, scope := range c.Scopes {
		// RFC 6749 3.3: no space, quote or backslash.
		if scope == "" || strings.ContainsAny(scope, " \"\\") || hasControl(scope) {
			p.add("scopes: %q is no scope", scope)
		}
	}
	for _, audience := range c.Audience {
		if audience == "" {
			p.add("audience: %q is empty", audience)
		}
	}
	if hasControl(c.TokenKey) || strings.ContainsAny(c.TokenKey, "&=%+") {
		p.add("tokenKey: %q holds a control character, &, =, %% or +", c.TokenKey)
	}
	if c.Claims != "" {
		policy, err := parseExpression(c.Claims)
		if err != nil {
			p.add("claims: %w", err)
		}
		s.policy = policy
	}
	s.demands = c.Issuer != "" || len(c.Audience) > 0 || len(c.Scopes) > 0 || s.policy != nil
}

func validateClient(p *problems, c ClientConfig) {
	if c.TimeoutSeconds < 1 || c.TimeoutSeconds > 300 {
		p.add("clientConfig.timeoutSeconds: %d is not between 1 and 300", c.TimeoutSeconds)
	}
	if c.MaxRetries < 0 || c.MaxRetries > 100 {
		p.add("clientConfig.maxRetries: %d is not between 0 and 100", c.MaxRetries)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		p.add("clientConfig.tls: cert and key are given together or not at all")
	}
	if err := checkClientTLS(c.TLS); err != nil {
		p.add("clientConfig.tls: %w", err)
	}
}

func validateRenew(p *problems, s *settings, c *Config) {
	r := c.Renew
	if r.Before == "" && (r.Lifetime != "" || (c.Issue.Header == "" && (r.MaxSession != "" || r.Header != ""))) {
		p.add("renew.before: required when another renew option is set")
	}
	s.renewal.header = "Authorization"
	if r.Header != "" {
		s.renewal.header = headerName(p, "renew.header", r.Header)
		if ours[s.renewal.header] {
			p.add("renew.header: the header %q says something else", r.Header)
		}
	}
	s.renewal.exposed = s.renewal.header + ", " + exposedWithCookie
	if r.Header != "" && s.spellings.names[normalize(r.Header)] {
		p.add("renew.header: %q is also in forwardHeaders", r.Header)
	}
	s.renewal.lifetime = duration(p, "renew.lifetime", r.Lifetime, 0, time.Second).Seconds()
	s.renewal.maxSession = duration(p, "renew.maxSession", r.MaxSession, defaultMaxSession, time.Second).Seconds()
	if s.renewal.lifetime > s.renewal.maxSession {
		p.add("renew.lifetime: %q is longer than renew.maxSession, %q, so nothing would ever be renewed", r.Lifetime, time.Duration(s.renewal.maxSession)*time.Second)
	}
	if percent, ok := strings.CutSuffix(r.Before, "%"); ok {
		share, err := strconv.Atoi(percent)
		if err != nil || share < 1 || share > 99 {
			p.add("renew.before: %q is not between 1%% and 99%%", r.Before)
		}
		s.renewal.share = float64(share) / 100
		return
	}
	s.renewal.before = duration(p, "renew.before", r.Before, 0, time.Second).Seconds()
}

func validateIssue(p *problems, s *settings, c *Config) {
	if c.Issue.Header == "" {
		if c.Issue.Lifetime != "" {
			p.add("issue.header: required when issue.lifetime is set")
		}
		return
	}
	s.issue.header = headerName(p, "issue.header", c.Issue.Header)
	s.issue.lifetime = duration(p, "issue.lifetime", c.Issue.Lifetime, defaultIssueLifetime, time.Second).Seconds()
	if normalize(s.issue.header) == normalize(s.renewal.header) {
		p.add("issue.header: %q is also renew.header", c.Issue.Header)
	}
	if ours[s.issue.header] {
		p.add("issue.header: the header %q says something else", c.Issue.Header)
	}
	// An issuing middleware guards nothing, so nothing in its options may look as if it did.
	excluded := []struct {
		option string
		set    bool
	}{
		{"forwardHeaders", len(c.ForwardHeaders) > 0},
		{"scopes", len(c.Scopes) > 0},
		{"claims", c.Claims != ""},
		{"optional", c.Optional},
		{"renew.before", c.Renew.Before != ""},
		{"tokenKey", c.TokenKey != ""},
		{"publishJwks", c.PublishJWKS},
	}
	for _, other := range excluded {
		if other.set {
			p.add("issue: cannot be combined with %s: an issuing middleware guards nothing", other.option)
		}
	}
}

func validateKeys(p *problems, s *settings, c *Config) {
	validateEndpoints(p, c)
	before := len(p.list)
	for _, alg := range c.Algorithms {
		if !knownAlgorithms[alg] {
			p.add("algorithms: %q is not one of %s", alg, strings.Join(sortedKeys(knownAlgorithms), ", "))
		}
	}
	if c.SigningSecret == "" && c.PrivateKey == "" && c.PublicKey == "" && c.JWKSFile == "" && c.JWKSURL == "" && len(c.TrustedIssuers) == 0 {
		p.add("no key source: one of signingSecret, privateKey, publicKey, jwksFile, jwksUrl and trustedIssuers is needed")
	}
	s.keys = newKeyring(p, c)
	if len(p.list) > before || s.keys.incomplete {
		return // What keys there are is not known, so neither is what they cannot do.
	}

	ring := s.keys.current
	for _, alg := range c.Algorithms {
		if len(ring.set.byAlg[alg]) == 0 && c.JWKSURL == "" && len(c.TrustedIssuers) == 0 {
			p.add("algorithms: no key can serve %q", alg)
		}
	}
	const noSigner = "%s: needs a key that can sign: privateKey, signingSecret, or a private key in jwksFile"
	if c.Renew.Before != "" && ring.signer == nil {
		p.add(noSigner, "renew.before")
	}
	if c.Issue.Header != "" && ring.signer == nil {
		p.add(noSigner, "issue")
	}
	if c.PublishJWKS && len(ring.published) == 0 {
		p.add("publishJwks: needs an asymmetric key of ours: privateKey or jwksFile")
	}
}

func validateEndpoints(p *problems, c *Config) {
	if c.JWKSURL != "" {
		if err := checkURL(c.JWKSURL); err != nil {
			p.add("jwksUrl: %w", err)
		}
	}
	seen := map[string]bool{}
	for i, trusted := range c.TrustedIssuers {
		option := fmt.Sprintf("trustedIssuers[%d]", i)
		switch {
		case trusted.Issuer == "":
			p.add("%s.issuer: required", option)
		case trusted.Issuer == c.Issuer:
			p.add("%s.issuer: %q is also issuer", option, trusted.Issuer)
		case seen[trusted.Issuer]:
			p.add("%s.issuer: %q is there twice", option, trusted.Issuer)
		}
		seen[trusted.Issuer] = true
		if trusted.JWKSURL != "" {
			if err := checkURL(trusted.JWKSURL); err != nil {
				p.add("%s.jwksUrl: %w", option, err)
			}
		} else if err := checkURL(trusted.Issuer); trusted.Issuer != "" && err != nil {
			p.add("%s.issuer: without jwksUrl it must be a URL for OpenID discovery: %w", option, err)
		}
	}
}

// checkURL accepts absolute http and https URLs without credentials or fragment.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("it is malformed") // The parser's own error repeats the text, which may hold credentials.
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is not an absolute http(s) URL without user and fragment", shownURL(u))
	}
	return nil
}

// shownURL is what of a URL may be shown: its query may hold a secret.
func shownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
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
