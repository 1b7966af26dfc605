package slidingjwt

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
	// JWKSFile is a JWK Set (file or content) of your own keys: the first with private members can sign, the others verify.
	JWKSFile string `json:"jwksFile,omitempty"`
	// JWKSURL is the absolute http(s) URL of another issuer's JWK Set.
	JWKSURL string `json:"jwksUrl,omitempty"`
	// TrustedIssuers lists issuers whose keys count for their own tokens only.
	TrustedIssuers []TrustedIssuer `json:"trustedIssuers,omitempty"`
	// Issuer is the iss that every token must carry that is not under a trusted issuer. Default: not checked.
	Issuer string `json:"issuer,omitempty"`
	// Audience lists audiences, one of which must be in a token's aud. Default: not checked.
	Audience []string `json:"audience"`
	// Algorithms narrows the algorithms that the keys allow, and never widens them. Default: what the keys allow.
	Algorithms []string `json:"algorithms"`
	// TokenType lists the typs that a token may have; "application/" and case do not matter. Default: absent, JWT or at+jwt.
	TokenType []string `json:"tokenType"`
	// Leeway is the clock skew allowed on exp, nbf and iat. Default 30s.
	Leeway string `json:"leeway,omitempty"`
	// HeaderName is the request header that carries the token: in Authorization behind "Bearer ", in another with or without it.
	// With another header, or none (""), Authorization is not read, and stays as it is. Default "Authorization".
	HeaderName string `json:"headerName"`
	// TokenKey names the query parameter and form field that may carry the token. Default: off.
	TokenKey string `json:"tokenKey,omitempty"`
	// Cookie is the cookie that may carry the token. Default: off.
	Cookie CookieConfig `json:"cookie,omitempty"`
	// Optional lets a request without a token pass, without claim headers. A bad token is still refused. Default false.
	Optional bool `json:"optional,omitempty"`
	// Scopes lists scopes that must all be in the token's scope or scp, each a string or a list.
	Scopes []string `json:"scopes"`
	// Claims is an expression over the claims that must be true, such as Equals(`grp`, `admin`) && !Contains(`areas`, `lab`).
	Claims string `json:"claims,omitempty"`
	// MaxAge is how long ago, at most, the user has logged in (auth_time). Default: not checked.
	MaxAge string `json:"maxAge,omitempty"`
	// ACR lists authentication contexts, one of which must be the token's acr. Default: not checked.
	ACR []string `json:"acr"`
	// ForwardHeaders maps a request header to the path of the claim that it carries to the service. Behind the path, "| json"
	// writes any claim as JSON in ASCII, and "| base64url" the text's bytes in base64url.
	ForwardHeaders map[string]string `json:"forwardHeaders,omitempty"`
	// UsernameClaim is the path of the claim that Traefik's access log shows as the user (ClientUsername). Default: off.
	UsernameClaim string `json:"usernameClaim,omitempty"`
	// ForwardAuthorization hands the token on to the service too. Default false.
	ForwardAuthorization bool `json:"forwardAuthorization,omitempty"`
	// LoginURL is where a browser that navigates without a good token is sent; {url} in it is the request's own URL. Default: off.
	LoginURL string `json:"loginUrl,omitempty"`
	// EndStreams cuts a WebSocket or event stream at the token's exp ("token"), or at the session's end if the token is one that is
	// renewed ("session"). Default: off.
	EndStreams string `json:"endStreams,omitempty"`
	// Revocations is a JSON list (file or URL) of the tokens, sessions and users that were taken back. Default: off.
	Revocations string `json:"revocations,omitempty"`
	// Renew says when and how a token that is close to expiry is renewed. Default: off.
	Renew RenewConfig `json:"renew,omitempty"`
	// Issue turns claims that a login service answers with into a token. Default: off.
	Issue IssueConfig `json:"issue,omitempty"`
	// Exchange turns a trusted issuer's token into one signed by your own key. Default: off.
	Exchange ExchangeConfig `json:"exchange,omitempty"`
	// Logout clears the cookie. Default: off.
	Logout LogoutConfig `json:"logout,omitempty"`
	// PublishJWKS answers GET and HEAD with the public halves of your own keys as a JWK Set. Default false.
	PublishJWKS bool `json:"publishJwks,omitempty"`
	// ClientConfig says how key, confirmation and revocation endpoints are reached.
	ClientConfig ClientConfig `json:"clientConfig,omitempty"`
	// CacheSize is how many verified tokens are remembered; one longer than 1 KiB counts once per KiB. 0 remembers none. Default 10000.
	CacheSize int `json:"cacheSize,omitempty"`
	// Realm is the realm of the challenges (RFC 9110 11.5). Default "api".
	Realm string `json:"realm,omitempty"`

	// Unknown collects options that do not exist, so that New can refuse them by name.
	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// TrustedIssuer is an issuer (the exact iss of its tokens) and the URL of its JWK Set, which OpenID discovery finds if it is empty.
// Without an issuer it is one more jwksUrl.
type TrustedIssuer struct {
	// Issuer is the exact iss of the issuer's tokens. Default: any that is not another trusted issuer's.
	Issuer string `json:"issuer,omitempty"`
	// JWKSURL is the URL of the issuer's JWK Set. Default: found by OpenID discovery.
	JWKSURL string `json:"jwksUrl,omitempty"`
	// BearerToken (file or content) is sent to the scheme, host and port of this entry's own URL when keys are fetched, and to no
	// other. Default: none.
	BearerToken string `json:"bearerToken,omitempty"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
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
	// Origins lists further origins, such as https://app.example.com, whose pages may send the cookie with methods other
	// than GET and HEAD, and open WebSockets with it. Default: the request's own.
	Origins []string `json:"origins,omitempty"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// RenewConfig says when and how a token is renewed.
type RenewConfig struct {
	// Before turns renewal on: how long before exp it is due, a duration or a share (1% to 99%) of the token's lifetime.
	Before string `json:"before,omitempty"`
	// Lifetime is that of a renewed token. Default: the presented token's exp - iat.
	Lifetime string `json:"lifetime,omitempty"`
	// MaxSession is the longest that a session lasts, from auth_time on. Default 24h.
	MaxSession string `json:"maxSession,omitempty"`
	// Header is the response header that brings a renewed bearer token. Default: headerName, else Authorization.
	Header string `json:"header,omitempty"`
	// Confirm is the URL that is asked before each renewal whether the session may go on. Default: not asked.
	Confirm string `json:"confirm,omitempty"`
	// Unless is a request header whose presence keeps a request from renewing the token, as for polling. Default: off.
	Unless string `json:"unless,omitempty"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// IssueConfig turns a login route's answer into a token.
type IssueConfig struct {
	// Header turns issuing on: the response header in which the login service answers with a JSON object of claims.
	Header string `json:"header,omitempty"`
	// Lifetime is that of an issued token. Default 15m.
	Lifetime string `json:"lifetime,omitempty"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// ExchangeConfig turns a trusted issuer's token into one signed by your own key (after RFC 8693).
type ExchangeConfig struct {
	// Claims turns exchange on: it maps the new token's claims, sub among them, to paths in the presented one.
	Claims map[string]string `json:"claims,omitempty"`
	// Lifetime is that of the new token. Default 15m.
	Lifetime string `json:"lifetime,omitempty"`
	// MaxAge is how long ago, at most, the presented token was issued. Default 5m.
	MaxAge string `json:"maxAge,omitempty"`
	// Audience lists the new token's aud. Default: none.
	Audience []string `json:"audience"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// LogoutConfig clears the cookie.
type LogoutConfig struct {
	// Redirect turns logout on: where the browser is sent then, or "none" to answer 204.
	Redirect string `json:"redirect,omitempty"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// ClientConfig says how what is fetched is reached.
type ClientConfig struct {
	// TLS is the client's side of https.
	TLS ClientTLS `json:"tls,omitempty"`
	// TimeoutSeconds bounds one fetch, and a request's wait for it, in seconds. Default 5.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
	// MaxRetries is how often a failed fetch is repeated without a further request asking. Default 3.
	MaxRetries int `json:"maxRetries"`

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
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

	Unknown map[string]any `json:",omitempty" mapstructure:",remain"`
}

// CreateConfig returns the defaults.
//
// Defaults of lists are set in New: Traefik merges a list into its default by index.
func CreateConfig() *Config {
	return &Config{
		Leeway:       "30s",
		HeaderName:   "Authorization",
		Cookie:       CookieConfig{Path: "/", SameSite: "Lax", Secure: true, HTTPOnly: true},
		ClientConfig: ClientConfig{TimeoutSeconds: 5, MaxRetries: 3},
		CacheSize:    10000,
		Realm:        "api",
	}
}
