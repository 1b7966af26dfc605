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

	"github.com/traefik/paerser/types"
)

// Config holds the options of the middleware, as Traefik decodes them. Options that Traefik Hub's JWT
// middleware has too carry its names. Durations are written as Traefik writes them: "5m", or a number of
// seconds. An option whose value is a "file or content" is a path if it starts with "/", "./", "../" or a
// drive letter, and content otherwise.
//
// Yaegi: the json tags name the options for the schema and for errors; Traefik matches field names.
type Config struct {
	// SigningSecret is the HMAC secret (file or content) that verifies tokens and can sign them. It is at
	// least as long as its hash: 32, 48 or 64 bytes for HS256, HS384, HS512 (RFC 7518 3.2).
	SigningSecret string `json:"signingSecret,omitempty"`
	// SigningSecretBase64Encoded says that the secret is base64 and is decoded first. Default false.
	SigningSecretBase64Encoded bool `json:"signingSecretBase64Encoded,omitempty"`
	// PrivateKey is a PEM private key (file or content; RSA, ECDSA or Ed25519). It signs, and its public half verifies.
	PrivateKey string `json:"privateKey,omitempty"`
	// PublicKey is a PEM public key or certificate (file or content; RSA, ECDSA or Ed25519) that verifies.
	PublicKey string `json:"publicKey,omitempty"`
	// JWKSFile is a JWK Set (file or content) of our own keys: the first with private members can sign, the others verify.
	JWKSFile string `json:"jwksFile,omitempty"`
	// JWKSURL is the absolute http(s) URL of somebody else's JWK Set.
	JWKSURL string `json:"jwksUrl,omitempty"`
	// TrustedIssuers lists issuers whose keys count for their own tokens only.
	TrustedIssuers []TrustedIssuer `json:"trustedIssuers,omitempty"`
	// Issuer is the iss that every token must carry that is not under a trusted issuer. Default: not checked.
	Issuer string `json:"issuer,omitempty"`
	// Audience lists audiences, one of which must be in a token's aud. Default: not checked.
	Audience []string `json:"audience,omitempty"`
	// Algorithms narrows the algorithms that the keys allow, and never widens them. Default: what the keys allow.
	Algorithms []string `json:"algorithms,omitempty"`
	// TokenType is the typ that a token must have; "application/" and case do not matter. Default: absent, JWT or at+jwt.
	TokenType string `json:"tokenType,omitempty"`
	// Leeway is the clock skew allowed on exp, nbf and iat. Default 30s.
	Leeway string `json:"leeway,omitempty"`
	// TokenKey names the query parameter and form field that may carry the token. Default: off.
	TokenKey string `json:"tokenKey,omitempty"`
	// Cookie is the cookie that may carry the token. Default: off.
	Cookie CookieConfig `json:"cookie,omitempty"`
	// Optional lets a request without a token pass, without claim headers. A bad token is still refused. Default false.
	Optional bool `json:"optional,omitempty"`
	// Scopes lists scopes that must all be in the token's scope string or scp list.
	Scopes []string `json:"scopes,omitempty"`
	// Claims is an expression over the claims that must be true, such as Equals(`grp`, `admin`) && !Contains(`areas`, `lab`).
	Claims string `json:"claims,omitempty"`
	// ForwardHeaders maps a request header to the path of the claim that it carries to the service.
	ForwardHeaders map[string]string `json:"forwardHeaders,omitempty"`
	// ForwardAuthorization hands the token on to the service too. Default false.
	ForwardAuthorization bool `json:"forwardAuthorization,omitempty"`
	// Renew says when and how a token that is close to expiry is renewed. Default: off.
	Renew RenewConfig `json:"renew,omitempty"`
	// Issue turns claims that a login service answers with into a token. Default: off.
	Issue IssueConfig `json:"issue,omitempty"`
	// PublishJWKS answers every request with the public halves of our keys as a JWK Set. Default false.
	PublishJWKS bool `json:"publishJwks,omitempty"`
	// ClientConfig says how key endpoints are reached.
	ClientConfig ClientConfig `json:"clientConfig,omitempty"`
	// CacheSize is how many verified tokens are remembered; one longer than 1 KiB counts once per KiB. 0 remembers none. Default 10000.
	CacheSize int `json:"cacheSize,omitempty"`
	// Realm is the realm of the challenges (RFC 9110 11.5). Default "api".
	Realm string `json:"realm,omitempty"`

	// Unknown collects options that do not exist, so that New can refuse them by name.
	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// TrustedIssuer is an issuer (the exact iss of its tokens) and the URL of its JWK Set, which OpenID discovery finds if it is empty.
type TrustedIssuer struct {
	// Issuer is the exact iss of the issuer's tokens.
	Issuer string `json:"issuer,omitempty"`
	// JWKSURL is the URL of the issuer's JWK Set. Default: found by OpenID discovery.
	JWKSURL string `json:"jwksUrl,omitempty"`

	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// CookieConfig describes the cookie that may carry the token (RFC 6265bis).
type CookieConfig struct {
	// Name turns the cookie on. A "__Host-" or "__Secure-" prefix brings its rules along.
	Name string `json:"name,omitempty"`
	// Domain is the cookie's domain. Default: the host alone.
	Domain string `json:"domain,omitempty"`
	// Path is the cookie's path. Default "/".
	Path string `json:"path,omitempty"`
	// SameSite is Lax, Strict or None. Default Lax.
	SameSite string `json:"sameSite,omitempty"`
	// Secure keeps the cookie to https. Default true.
	Secure bool `json:"secure"`
	// HTTPOnly hides the cookie from scripts. Default true.
	HTTPOnly bool `json:"httpOnly"`
	// SessionOnly leaves out Max-Age, so that the cookie ends with the browser. Default false.
	SessionOnly bool `json:"sessionOnly,omitempty"`

	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// RenewConfig says when and how a token is renewed.
type RenewConfig struct {
	// Before turns renewal on: how long before exp it is due, a duration or a share (1% to 99%) of the token's lifetime.
	Before string `json:"before,omitempty"`
	// Lifetime is that of a renewed token. Default: the presented token's exp - iat.
	Lifetime string `json:"lifetime,omitempty"`
	// MaxSession is the longest that a session lasts, from auth_time on. Default 24h.
	MaxSession string `json:"maxSession,omitempty"`
	// Header is the response header that brings a renewed bearer token. Default Authorization.
	Header string `json:"header,omitempty"`

	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// IssueConfig turns a login route's answer into a token.
type IssueConfig struct {
	// Header turns issuing on: the response header in which the login service answers with a JSON object of claims.
	Header string `json:"header,omitempty"`
	// Lifetime is that of an issued token. Default 15m.
	Lifetime string `json:"lifetime,omitempty"`

	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// ClientConfig says how key endpoints are reached.
type ClientConfig struct {
	// TLS is the client's side of https.
	TLS ClientTLS `json:"tls,omitempty"`
	// TimeoutSeconds bounds one fetch, and a request's wait for it, in seconds. Default 5.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
	// MaxRetries is how often a failed fetch is repeated without a further request asking. Default 3.
	MaxRetries int `json:"maxRetries"`

	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// ClientTLS is the client's side of https.
type ClientTLS struct {
	// CA is a PEM bundle of the authorities to trust (file or content). Default: the system's.
	CA string `json:"ca,omitempty"`
	// Cert is the client's PEM certificate (file or content).
	Cert string `json:"cert,omitempty"`
	// Key is the client's PEM key (file or content).
	Key string `json:"key,omitempty"`
	// InsecureSkipVerify trusts any certificate. For tests only. Default false.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`

	Unknown map[string]any `json:"-" mapstructure:",remain"`
}

// CreateConfig returns the defaults.
//
// Defaults of lists are set in New: Traefik merges a list into its default by index.
func CreateConfig() *Config {
	return &Config{
		Leeway:       "30s",
		Cookie:       CookieConfig{Path: "/", SameSite: "Lax", Secure: true, HTTPOnly: true},
		ClientConfig: ClientConfig{TimeoutSeconds: 5, MaxRetries: 3},
		CacheSize:    10000,
		Realm:        "api",
	}
}

const (
	defaultMaxSession    = 24 * time.Hour
	defaultIssueLifetime = 15 * time.Minute
)

// settings are a Config that was found right: immutable, and shared by every middleware with the same options.
type settings struct {
	config     *Config
	leeway     float64
	tokenTypes []string
	forward    []forwardedHeader
	spellings  nameSet            // of the forwarded headers
	ordinary   map[string]bool    // names of request headers that are no spelling of a forwarded one
	policy     *predicate         // nil: no claims expression
	restricts  bool               // there are scopes or an expression
	expects    bool               // an issuer or an audience
	renewal    renewalSettings    // before == 0 and share == 0: off
	issue      issueSettings      // header == "": off
	trusted    map[string]*keyURL // by issuer
	others     *keyURL            // jwksUrl; nil: none
	endpoints  []*keyURL          // all of them
	keys       *keyring
	memory     *memory
	challenge  string // Bearer realm="…"
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
	trimSpace(c.Audience, c.Algorithms, c.Scopes)
	s.leeway = duration(p, "leeway", c.Leeway, 30*time.Second, 0).Seconds()
	validateTokenTypes(p, s, c.TokenType)
	validateCookie(p, c.Cookie)
	validateForward(p, s, c.ForwardHeaders)
	validateAccess(p, s, c)
	validateClient(p, c.ClientConfig)
	validateRenew(p, s, c)
	validateIssue(p, s, c)
	validateKeys(p, s, c)
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
	s.challenge = `Bearer realm="` + c.Realm + `"`
	s.memory = newMemory(c.CacheSize)
	return s, nil
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
		if c.Domain != "" || c.Path != "/" || c.SameSite != "Lax" || !c.Secure || !c.HTTPOnly || c.SessionOnly {
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
		s.forward = append(s.forward, forwardedHeader{name: canonical, path: path})
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
	if c.TokenKey != "" && hasControl(c.TokenKey) {
		p.add("tokenKey: %q holds a control character", c.TokenKey)
	}
	if c.Claims != "" {
		policy, err := parseExpression(c.Claims)
		if err != nil {
			p.add("claims: %w", err)
		}
		s.policy = policy
	}
	s.expects = c.Issuer != "" || len(c.Audience) > 0
	s.restricts = len(c.Scopes) > 0 || s.policy != nil
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
	if r.Header != "" && s.spellings.names[normalize(r.Header)] {
		p.add("renew.header: %q is also in forwardHeaders", r.Header)
	}
	s.renewal.lifetime = duration(p, "renew.lifetime", r.Lifetime, 0, time.Second).Seconds()
	s.renewal.maxSession = duration(p, "renew.maxSession", r.MaxSession, defaultMaxSession, time.Second).Seconds()
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
		return fmt.Errorf("%q is no absolute http(s) URL without user and fragment", u.Redacted())
	}
	return nil
}

// hubOptions are options of Traefik Hub's JWT middleware that have no meaning here; they are accepted with a log line.
var hubOptions = map[string]bool{"usernameclaim": true}

// refuseUnknown reports every option that does not exist, at any depth, with the nearest one that does.
func refuseUnknown(p *problems, c *Config) {
	unknownIn(p, "", c.Unknown, *c)
	for i, trusted := range c.TrustedIssuers {
		unknownIn(p, fmt.Sprintf("trustedIssuers[%d].", i), trusted.Unknown, trusted)
	}
	unknownIn(p, "cookie.", c.Cookie.Unknown, c.Cookie)
	unknownIn(p, "renew.", c.Renew.Unknown, c.Renew)
	unknownIn(p, "issue.", c.Issue.Unknown, c.Issue)
	unknownIn(p, "clientConfig.", c.ClientConfig.Unknown, c.ClientConfig)
	unknownIn(p, "clientConfig.tls.", c.ClientConfig.TLS.Unknown, c.ClientConfig.TLS)
}

func unknownIn(p *problems, prefix string, unknown map[string]any, options any) {
	names := make([]string, 0, len(unknown))
	for name := range unknown {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if prefix == "" && hubOptions[strings.ToLower(name)] {
			logWarning("the option %s is Traefik Hub's and has no effect here", quote(name))
			continue
		}
		p.add("unknown option %s (did you mean %s%s?)", quote(prefix+name), prefix, nearest(name, options))
	}
}

// nearest returns the option whose name takes the fewest edits to get from the given one.
func nearest(name string, options any) string {
	best, least := "", 1<<30
	kind := reflect.TypeOf(options)
	for i := 0; i < kind.NumField(); i++ {
		option, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		if option == "-" || option == "" {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(option)); d < least {
			best, least = option, d
		}
	}
	return best
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			if row[j]+1 < cost {
				cost = row[j] + 1
			}
			if row[j-1]+1 < cost {
				cost = row[j-1] + 1
			}
			row[j] = cost
		}
	}
	return row[len(b)]
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

// hasControl says whether a text holds a control character, which no header and no log line may carry.
func hasControl(s string) bool { return strings.ContainsAny(s, controls) }

// controls are the control characters, C0 and C1.
//
// Yaegi: one call with a set of characters is far cheaper than a function that is called for each.
var controls = controlCharacters()

func controlCharacters() string {
	set := []rune{0x7f}
	for r := rune(0); r < ' '; r++ {
		set = append(set, r, r+0x80)
	}
	return string(set)
}
