package slidingjwt_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The configurations, tokens and requests of TestDifferential. All of them are put together from parts, which the oracle is
// told of.

// setup is a configuration, and what the oracle has to know of it beside the options.
type setup struct {
	name    string
	options options
	keys    []keyUse
	signer  string // the key that renewed tokens are signed by
	holds   func(m *specimen) bool
}

// keyUse is a key in a configuration.
type keyUse struct {
	key    string
	kid    string // under which it is known; none: it meets every token
	algs   []string
	own    bool   // tokens that it verifies are renewed
	issuer string // whose tokens alone it verifies
}

// keySource is a way to configure keys.
type keySource struct {
	options options
	keys    []keyUse
	signer  string
}

// algsOf are the algorithms of the keys, which all configurations share. The stranger's are in none.
var algsOf = map[string][]string{
	"secret": {"HS256", "HS384", "HS512"}, "another secret": {"HS256"},
	"RSA": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, "P-256": {"ES256"}, "P-384": {"ES384"}, "Ed25519": {"EdDSA", "Ed25519"},
	"P-256 of a stranger": {"ES256"},
}

// kidOf are the key IDs that keys have in a JWK Set.
var kidOf = map[string]string{"P-256": "a", "Ed25519": "b", "RSA": "c", "P-384": "d", "secret": "s"}

var (
	privateKeys = map[string]any{}
	publicKeys  = map[string]any{}
)

const trustedIssuer, homeIssuer = "https://login.partner.example", "https://login.example"

func makeKeys(t testing.TB) {
	t.Helper()
	for name := range algsOf {
		switch name {
		case "secret":
			privateKeys[name], publicKeys[name] = []byte(minted.Secret), []byte(minted.Secret)
		case "another secret":
			privateKeys[name] = []byte(strings.ToUpper(minted.Secret))
		default:
			privateKeys[name], publicKeys[name] = minted.Key(t, name), minted.Key(t, name).Public()
		}
	}
}

// setups are the configurations.
func setups(t testing.TB) []*setup {
	t.Helper()
	use := func(key, kid string, own bool) keyUse { return keyUse{key: key, kid: kid, algs: algsOf[key], own: own} }
	private := func(key string) string { return minted.PEM(t, "PKCS8", minted.Key(t, key)) }
	public := func(key string) string { return minted.PEM(t, "PKIX", minted.Key(t, key)) }
	in := func(key string, k minted.JWK) minted.JWK { return k.With(minted.JWK{"kid": kidOf[key]}) }
	bound := keyUse{key: "RSA", kid: kidOf["RSA"], algs: []string{"PS256"}, own: true}
	set := minted.JWKSet(t, in("Ed25519", minted.PublicJWK(t, minted.Key(t, "Ed25519"))), in("P-256", minted.PrivateJWK(t, minted.Key(t, "P-256"))), in("RSA", minted.PublicJWK(t, minted.Key(t, "RSA"))).With(minted.JWK{"alg": "PS256"}))
	inSet := []keyUse{use("P-256", "a", true), use("Ed25519", "b", true), bound}
	endpoint := minted.Serving(t, minted.JWKSet(t, in("P-384", minted.PublicJWK(t, minted.Key(t, "P-384"))), in("Ed25519", minted.PublicJWK(t, minted.Key(t, "Ed25519")))))

	hmac := keySource{options{"signingSecret": minted.Secret}, []keyUse{use("secret", "", true)}, "secret"}
	rsa := keySource{options{"privateKey": private("RSA")}, []keyUse{use("RSA", "", true)}, "RSA"}
	half := keySource{options{"privateKey": private("P-256"), "publicKey": public("P-256")}, []keyUse{use("P-256", "", true)}, "P-256"}
	foreign := keySource{options{"privateKey": private("P-256"), "publicKey": public("Ed25519")}, []keyUse{use("P-256", "", true), use("Ed25519", "", false)}, "P-256"}
	verifies := keySource{options{"publicKey": public("P-256")}, []keyUse{use("P-256", "", false)}, ""}
	jwks := keySource{options{"jwksFile": set}, inSet, "P-256"}
	oct := keySource{
		options{"jwksFile": minted.JWKSet(t, in("secret", minted.SecretJWK(minted.Secret)), in("P-384", minted.PublicJWK(t, minted.Key(t, "P-384"))))},
		[]keyUse{use("secret", "s", true), use("P-384", "d", true)},
		"secret",
	}
	all := keySource{
		options{"privateKey": private("P-384"), "jwksFile": set, "signingSecret": minted.Secret, "publicKey": public("RSA")},
		append(append([]keyUse{use("P-384", "", true)}, inSet...), use("secret", "", true), use("RSA", "", false)), "P-384",
	}
	byURL := keySource{
		options{"signingSecret": minted.Secret, "jwksUrl": endpoint.URL},
		[]keyUse{use("secret", "", true), use("P-384", "d", false), use("Ed25519", "b", false)},
		"secret",
	}
	trusted := keySource{
		options{"jwksFile": set, "issuer": homeIssuer, "trustedIssuers": []any{map[string]any{"issuer": trustedIssuer, "jwksUrl": endpoint.URL}}},
		append([]keyUse{{key: "P-384", kid: "d", algs: algsOf["P-384"], issuer: trustedIssuer}, {key: "Ed25519", kid: "b", algs: algsOf["Ed25519"], issuer: trustedIssuer}}, inSet...), "P-256",
	}

	headers := options{"forwardHeaders": map[string]any{"X-User-Id": "sub", "X-Any": "any"}}
	nested := options{"forwardHeaders": map[string]any{"X-User-Id": "sub", "From": "email", "X-Roles": "realm.roles", "X-Any": "any"}}
	underscored := options{"forwardHeaders": map[string]any{"X_User_Id": "sub", "x-any": "any"}}
	cookie := options{"cookie": map[string]any{"name": "session"}}
	key := options{"tokenKey": "token"}
	spaced := options{"tokenKey": "the token"}
	optional := options{"optional": true}
	handedOn := options{"forwardAuthorization": true}
	renew := func(pairs ...string) options {
		return options{"renew": stringMap(append([]string{"before"}, pairs...)...)}
	}
	admins := options{"claims": "Equals(`role`, `admin`)"}
	origins := options{"cookie": map[string]any{"name": "session", "origins": []any{"https://app.example", "https://evil.example"}}}
	isAdmin := func(m *specimen) bool { return m.role == "admin" }
	staff := options{"claims": "Contains(`groups`, `staff`) && !(Equals(`role`, `banned`) || OneOf(`groups`, `guests`, `robots`))"}
	isStaff := func(m *specimen) bool {
		return slices.Contains(m.groups, "staff") && m.role != "banned" && !slices.Contains(m.groups, "guests") && !slices.Contains(m.groups, "robots")
	}

	rows := []struct {
		name    string
		source  keySource
		options []options
		holds   func(m *specimen) bool
	}{
		{"a secret", hmac, nil, nil},
		{"a secret, headers", hmac, []options{headers}, nil},
		{"a secret, nested headers", hmac, []options{nested}, nil},
		{"a secret, headers with underscores", hmac, []options{underscored}, nil},
		{"a secret, without memory", hmac, []options{headers, {"cacheSize": 0}}, nil},
		{"a secret, little memory", hmac, []options{headers, cookie, renew("50%"), {"cacheSize": 3}}, nil},
		{"a secret, HS512 alone", hmac, []options{headers, renew("50%"), {"algorithms": "HS512"}}, nil},
		{"a secret, tokenKey", hmac, []options{headers, key}, nil},
		{"a secret, tokenKey, optional", hmac, []options{headers, key, optional}, nil},
		{"a secret, tokenKey without headers", hmac, []options{spaced, optional}, nil},
		{"a secret, tokenKey, handed on", hmac, []options{nested, spaced, handedOn, renew("50%")}, nil},
		{"a secret, cookie", hmac, []options{headers, cookie}, nil},
		{"a secret, cookie, optional", hmac, []options{headers, cookie, optional}, nil},
		{"a secret, cookie, other origins", hmac, []options{headers, origins}, nil},
		{"a secret, cookie, renewed", hmac, []options{headers, cookie, renew("10m")}, nil},
		{"a secret, cookie, handed on, renewed", hmac, []options{headers, cookie, handedOn, renew("90%")}, nil},
		{"a secret, cookie and tokenKey, renewed", hmac, []options{nested, cookie, key, renew("50%")}, nil},
		{"a secret, everywhere, optional", hmac, []options{nested, cookie, key, optional, renew("50%", "header", "X-Renewed")}, nil},
		{"a secret, a host cookie", hmac, []options{headers, {"cookie": map[string]any{"name": "__Host-session", "sameSite": "Strict"}}, renew("50%")}, nil},
		{"a secret, a cookie for scripts", hmac, []options{headers, {"cookie": map[string]any{"name": "session", "domain": "example", "path": "/app", "secure": false, "httpOnly": false, "sessionOnly": true}}, renew("50%")}, nil},
		{"a secret, renewed early", hmac, []options{headers, renew("90%")}, nil},
		{"a secret, renewed all the time", hmac, []options{headers, renew("24h", "maxSession", "48h")}, nil},
		{"a secret, short sessions", hmac, []options{headers, renew("50%", "maxSession", "2h")}, nil},
		{"a secret, short renewals", hmac, []options{headers, cookie, renew("50%", "lifetime", "30m")}, nil},
		{"a secret, long renewals", hmac, []options{headers, key, renew("10m", "lifetime", "2h", "header", "X-Renewed")}, nil},
		{"a secret, audience", hmac, []options{headers, {"audience": "api, mobile"}}, nil},
		{"a secret, issuer", hmac, []options{headers, cookie, {"issuer": homeIssuer}, renew("50%")}, nil},
		{"a secret, another type", hmac, []options{headers, {"tokenType": "application/session+jwt"}, renew("50%")}, nil},
		{"a secret, leeway", hmac, []options{headers, cookie, {"leeway": "10m"}, renew("90%")}, nil},
		{"a secret, leeway, everywhere", hmac, []options{nested, cookie, key, {"leeway": "600"}, renew("23h")}, nil},
		{"a secret, scopes", hmac, []options{headers, cookie, {"scopes": "read, write"}}, nil},
		{"a secret, admins", hmac, []options{headers, key, admins}, isAdmin},
		{"a secret, staff", hmac, []options{nested, cookie, staff, renew("50%")}, isStaff},
		{"RSA", rsa, []options{headers, cookie, renew("50%")}, nil},
		{"RSA, PS384 before RS256", rsa, []options{headers, key, {"algorithms": "PS384, RS256"}, renew("90%")}, nil},
		{"a key and its half", half, []options{headers, key, renew("50%")}, nil},
		{"a key and its half, optional", half, []options{cookie, optional, renew("90%")}, nil},
		{"a key and another", foreign, []options{headers, cookie, renew("50%")}, nil},
		{"a key and another, tokenKey", foreign, []options{headers, key, handedOn, renew("90%")}, nil},
		{"a public key", verifies, []options{headers}, nil},
		{"a public key, cookie, optional", verifies, []options{nested, cookie, key, optional}, nil},
		{"a JWK Set", jwks, []options{headers, renew("50%")}, nil},
		{"a JWK Set, cookie", jwks, []options{nested, cookie, renew("90%", "header", "X-Renewed")}, nil},
		{"a JWK Set, tokenKey, without memory", jwks, []options{headers, key, renew("50%"), {"cacheSize": 0}}, nil},
		{"a JWK Set, ES256 and EdDSA", jwks, []options{headers, {"algorithms": "EdDSA, ES256"}, renew("90%")}, nil},
		{"a JWK Set, audience and issuer", jwks, []options{headers, {"audience": "api", "issuer": homeIssuer}}, nil},
		{"a JWK Set, scopes and admins", jwks, []options{headers, {"scopes": "read"}, admins}, isAdmin},
		{"a JWK Set of a secret", oct, []options{headers, cookie, renew("50%")}, nil},
		{"a JWK Set of a secret, tokenKey", oct, []options{underscored, key, optional}, nil},
		{"every kind of key", all, []options{headers, renew("50%")}, nil},
		{"every kind of key, everywhere", all, []options{nested, cookie, key, renew("90%")}, nil},
		{"every kind of key, optional", all, []options{headers, cookie, key, optional, {"cacheSize": 0}}, nil},
		{"keys by URL", byURL, []options{headers, cookie, renew("50%")}, nil},
		{"keys by URL, audience", byURL, []options{headers, key, {"audience": "api"}, renew("90%")}, nil},
		{"a trusted issuer", trusted, []options{headers, cookie, renew("90%")}, nil},
		{"a trusted issuer, staff", trusted, []options{nested, key, staff}, isStaff},
	}
	list := make([]*setup, 0, len(rows))
	for _, row := range rows {
		o := row.source.options
		for _, others := range row.options {
			o = o.With(others)
		}
		list = append(list, &setup{row.name, o, row.source.keys, row.source.signer, row.holds})
	}
	return list
}

// specimen is a token, and what the one who made it knows of it.
type specimen struct {
	text, about   string
	key           string // that signed it; "" if its signature is wrong
	alg, kid, typ string
	members       []member          // its claims
	forwarded     map[string]string // what a header carries, by the claim's path; nothing: it is absent
	faults        []string          // the reasons to refuse it whatever the configuration

	iss, role           string
	aud, scopes, groups []string

	exp, iat, nbf, authTime          float64
	hasExp, hasIAT                   bool
	hasAuthTime, oddAuthTime, hasJTI bool
}

// member is one of a JSON object: its name, and its value as it is written.
type member struct{ name, raw string }

// forwardable are claims, and what a header carries of them.
var forwardable = []struct{ raw, text string }{
	{`"plain"`, "plain"},
	{`"žluť"`, "žluť"},
	{`"\u0041bc \ud83d\ude00"`, "Abc \U0001F600"},
	{`"a,b"`, "a,b"},
	{`"<&>"`, "<&>"},
	{`"\u2028"`, "\u2028"},
	{`12345678901234567890`, "12345678901234567890"},
	{`1.50`, "1.50"},
	{`1e3`, "1e3"},
	{`-0`, "-0"},
	{`0`, "0"},
	{`true`, "true"},
	{`false`, "false"},
	{`null`, ""},
	{`["a","b"]`, "a,b"},
	{`["a", 1, true]`, "a,1,true"},
	{`["a"]`, "a"},
	{`["a,b","c"]`, ""},
	{`[["a"],"b"]`, `[["a"],"b"]`},
	{`{"a" : [1, 2]}`, `{"a":[1,2]}`},
	{`{"a":"<&>"}`, `{"a":"<&>"}`},
	{`" before"`, ""},
	{`"behind "`, ""},
	{`"X-User-Id: eve\r\nX"`, ""},
	{`"a\tb"`, ""},
	{`"a\u0000"`, ""},
	{`"a\u0085b"`, ""},
	{`"` + strings.Repeat("x", 4096) + `"`, strings.Repeat("x", 4096)},
	{`"` + strings.Repeat("x", 4097) + `"`, ""},
}

// chance says yes in so many cases of a hundred.
func chance(random *rand.Rand, percent int) bool { return random.IntN(100) < percent }

func one[T any](random *rand.Rand, list ...T) T { return list[random.IntN(len(list))] }

// mint makes a token at random.
func mint(t testing.TB, random *rand.Rand, now int64) *specimen {
	t.Helper()
	m := &specimen{forwarded: map[string]string{}}
	m.key = one(random, "secret", "secret", "secret", "secret", "secret", "P-256", "P-256", "P-256", "Ed25519", "Ed25519", "P-384", "RSA", "P-256 of a stranger", "another secret")
	m.alg = one(random, algsOf[m.key]...)
	switch random.IntN(10) {
	case 0, 1:
		m.kid = one(random, "a", "b", "c", "d", "s", "nobody")
	case 2, 3, 4, 5:
		m.kid = kidOf[m.key]
	}
	m.typ = one(random, "JWT", "JWT", "JWT", "JWT", "JWT", "", "at+jwt", "jwt", "application/at+jwt", "session+jwt", "session+jwt", "logout+jwt")

	add := func(name, format string, args ...any) {
		m.members = append(m.members, member{name, fmt.Sprintf(format, args...)})
	}
	mintTimes(random, m, now, add)
	sub := fmt.Sprintf("ada-%x", random.Uint32()) // No two tokens are the same.
	add("sub", "%q", sub)
	m.forwarded["sub"] = sub
	if chance(random, 50) {
		m.iss = one(random, homeIssuer, homeIssuer, trustedIssuer, "https://elsewhere.example")
		add("iss", "%q", m.iss)
	}
	if m.key == "P-384" || m.key == "Ed25519" && chance(random, 50) {
		m.iss = trustedIssuer
		m.members = slices.DeleteFunc(m.members, func(one member) bool { return one.name == "iss" })
		add("iss", "%q", m.iss)
	}
	if chance(random, 50) {
		m.aud = one(random, []string{"api"}, []string{"web", "mobile"}, []string{"web"})
		add("aud", `["%s"]`, strings.Join(m.aud, `","`))
		if len(m.aud) == 1 && chance(random, 50) {
			m.members[len(m.members)-1].raw = `"` + m.aud[0] + `"`
		}
	}
	if chance(random, 40) {
		m.scopes = one(random, []string{"read"}, []string{"write", "read"}, []string{"readwrite"})
		if chance(random, 50) {
			add("scope", "%q", strings.Join(m.scopes, " "))
		} else {
			add("scp", `["%s"]`, strings.Join(m.scopes, `","`))
		}
	}
	if chance(random, 50) {
		m.role = one(random, "admin", "admin", "user", "banned", "administrator")
		add("role", "%q", m.role)
	}
	if chance(random, 60) {
		m.groups = one(random, []string{"staff"}, []string{"a", "staff"}, []string{"staff", "guests"}, []string{"stafflike"})
		add("groups", `["%s"]`, strings.Join(m.groups, `","`))
	}
	if chance(random, 60) {
		claim := one(random, forwardable...)
		add("any", "%s", claim.raw)
		m.forwarded["any"] = claim.text
	}
	if chance(random, 40) {
		add("email", `"ada@example.com"`)
		m.forwarded["email"] = "ada@example.com"
	}
	if chance(random, 40) {
		claim := one(random, forwardable[:len(forwardable)-2]...)
		add("realm", `{"level":3,"roles":%s}`, claim.raw)
		m.forwarded["realm.roles"] = claim.text
	}
	if m.hasJTI = chance(random, 50); m.hasJTI {
		add("jti", `"%x"`, random.Uint64())
	}
	if chance(random, 30) {
		add("sid", `"%x"`, random.Uint64())
	}
	if chance(random, 1) {
		add("padding", `"%s"`, strings.Repeat("x", 7000))
	}
	var header []member
	spoil := ""
	if chance(random, 25) {
		spoil = one(random, spoilers...)
	}
	header = append(header, member{"alg", `"` + m.alg + `"`})
	if m.typ != "" {
		header = append(header, member{"typ", `"` + m.typ + `"`})
	}
	if m.kid != "" {
		header = append(header, member{"kid", `"` + m.kid + `"`})
	}
	if chance(random, 5) {
		header = append(header, member{"jku", `"https://eve.example/keys"`})
	}
	m.about = fmt.Sprintf("%s by %s, kid %q, typ %q, claims %.600s", m.alg, m.key, m.kid, m.typ, object(m.members, ""))
	if spoil != "" {
		m.about += ", spoiled: " + spoil
	}
	random.Shuffle(len(m.members), func(i, j int) { m.members[i], m.members[j] = m.members[j], m.members[i] })
	m.write(t, header, spoil, one(random, "", "", "", " "))
	return m
}

// mintTimes gives a token its times: far from the moments at which they mean something else.
func mintTimes(random *rand.Rand, m *specimen, now int64, add func(name, format string, args ...any)) {
	lifetime := one[int64](random, 3600, 3600, 1800)
	age := one(random, 10, 10, lifetime*35/100, lifetime*80/100, lifetime*80/100, lifetime-100, lifetime-100, lifetime+100)
	if chance(random, 5) {
		age = one(random, -100, -100, lifetime+5000)
	}
	iat := now - age
	exp := iat + lifetime
	m.hasExp, m.exp = true, float64(exp)
	switch random.IntN(20) {
	case 0:
		m.exp = 4e9
		add("exp", "4e9")
	case 1:
		m.exp += 0.5
		add("exp", "%d.5", exp)
	default:
		add("exp", "%d", exp)
	}
	if !chance(random, 7) {
		m.hasIAT, m.iat = true, float64(iat)
		if chance(random, 5) {
			m.iat += 0.25
			add("iat", "%d.25", iat)
		} else {
			add("iat", "%d", iat)
		}
	}
	if chance(random, 20) {
		nbf := one(random, iat, now-50, now+100, now+100)
		m.nbf = float64(nbf)
		add("nbf", "%d", nbf)
	}
	if chance(random, 45) {
		authTime := iat - one[int64](random, 0, 1000, 1000, 4000, 7000, 90000, -1000)
		m.hasAuthTime, m.authTime = true, float64(authTime)
		add("auth_time", "%d", authTime)
	} else if chance(random, 5) {
		m.hasAuthTime, m.oddAuthTime = true, true
		add("auth_time", "%s", one(random, `"yesterday"`, `[1]`, `true`, `1e400`))
	}
}

// spoilers are ways to make a token a bad one.
var spoilers = []string{
	"another payload", "another payload", "another signature", "no signature", "two parts", "four parts", "padding", "alg none", "crit", "b64", "line break in the payload", "member twice", "text behind the claims",
	"cnf", "no exp", "exp a text", "sub a number", "aud a number", "iat a text",
}

// write signs the token, and spoils it.
func (m *specimen) write(t testing.TB, header []member, spoil, space string) {
	t.Helper()
	replace := func(name, raw string) {
		m.members = slices.DeleteFunc(slices.Clone(m.members), func(one member) bool { return one.name == name })
		if raw != "" {
			m.members = append(m.members, member{name, raw})
		}
	}
	behind := ""
	switch spoil {
	case "alg none":
		header[0].raw, m.key = `"none"`, ""
		m.faults = []string{"401 wrong_algorithm"}
	case "crit", "b64":
		header = append(header, member{spoil, map[string]string{"crit": `["exp"]`, "b64": "true"}[spoil]})
		m.faults = []string{"401 unsupported_header"}
	case "member twice":
		m.members = append(slices.Clone(m.members), member{"sub", `"eve"`})
		m.faults = []string{"401 token_malformed"}
	case "text behind the claims":
		behind = "{}"
		m.faults = []string{"401 token_malformed"}
	case "cnf":
		replace("cnf", `{"jkt":"x"}`)
		m.faults = []string{"401 bound_token"}
	case "no exp":
		replace("exp", "")
		m.hasExp = false
		m.faults = []string{"401 no_expiry"}
	case "exp a text":
		replace("exp", `"4000000000"`)
		m.hasExp = false
		m.faults = []string{"401 malformed_claims"}
	case "sub a number":
		replace("sub", "1")
		m.faults = []string{"401 malformed_claims"}
	case "aud a number":
		replace("aud", "1")
		m.faults = []string{"401 malformed_claims"}
	case "iat a text":
		replace("iat", `"1"`)
		m.iat = 0
		m.faults = []string{"401 malformed_claims"}
	}
	encode := base64.RawURLEncoding.EncodeToString
	parts := []string{encode([]byte(object(header, space))), encode([]byte(object(m.members, space) + behind)), ""}
	if spoil != "alg none" {
		alg := strings.Replace(m.alg, "Ed25519", "EdDSA", 1)
		signature, err := jwt.GetSigningMethod(alg).Sign(parts[0]+"."+parts[1], privateKeys[m.key])
		if err != nil {
			t.Fatal(err)
		}
		parts[2] = encode(signature)
	}
	switch spoil {
	case "another payload":
		m.key = ""
		parts[1] = encode([]byte(strings.Replace(object(m.members, space), `"ada`, `"eve`, 1)))
	case "another signature":
		m.key = ""
		first := "A"
		if strings.HasPrefix(parts[2], first) {
			first = "B"
		}
		parts[2] = first + parts[2][1:]
	case "no signature":
		m.key = ""
		parts[2] = ""
	case "two parts":
		parts = parts[:2]
	case "four parts":
		parts = append(parts, parts[2])
	case "padding":
		parts[2] += "="
	case "line break in the payload":
		parts[1] = parts[1][:8] + "\n" + parts[1][8:] // Only what is percent-encoded arrives with it.
	}
	if slices.Contains([]string{"two parts", "four parts", "padding", "line break in the payload"}, spoil) {
		m.faults = []string{"401 token_malformed"}
	}
	m.text = strings.Join(parts, ".")
}

// object writes a JSON object.
func object(members []member, space string) string {
	texts := make([]string, 0, len(members))
	for _, one := range members {
		texts = append(texts, `"`+one.name+`"`+space+":"+space+one.raw)
	}
	return "{" + strings.Join(texts, space+","+space) + "}"
}

// request is what a client sends, in the parts that it was put together from.
type request struct {
	proto         int // 1 or 2
	version       string
	method, path  string
	query         []parameter
	bareMark      bool // "?" without a query
	authorization []authorization
	cookies       []parameter
	lines         []line // all of the header, in order
	form          []parameter
	body          string
	hasBody       bool
	chunked       bool
	announced     []string // trailers
	trailers      []line
	reader        string // how the body is read
	status        int    // of the service's response

	tokens map[string]*specimen // all that there are at the time
}

type line struct{ name, value string }

// parameter is one of a query or form, or a cookie: as it is written, and what that says.
type parameter struct{ raw, name, value string }

// authorization is a line of Authorization.
type authorization struct {
	value     string
	token     string // that it carries
	malformed bool   // it is of the scheme Bearer, and there is no telling which token it has
}

const gatewayHost = "gateway.example"

// draft makes a request at random.
func draft(random *rand.Rand, s *setup, tokens []*specimen, now float64) *request {
	r := &request{proto: 1, version: "HTTP/1.1", path: one(random, "/", "/", "/app", "/a%20b/c", "/app;v=1"), status: one(random, 200, 200, 200, 204, 404, 500), tokens: map[string]*specimen{}}
	for _, m := range tokens {
		r.tokens[m.text] = m
	}
	if chance(random, 25) {
		r.proto = 2
	} else if chance(random, 2) {
		r.version = "HTTP/1.0"
	}
	r.method = one(random, "GET", "GET", "GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "QUERY")
	draftTokens(random, r, s, tokens, now)
	draftCookiesAndQuery(random, r, s)
	draftHeader(random, r)
	draftBody(random, r, s)
	draftTrailers(random, r)
	if chance(random, 5) {
		r.makePreflight(random)
	}
	random.Shuffle(len(r.lines), func(i, j int) { r.lines[i], r.lines[j] = r.lines[j], r.lines[i] })
	return r
}

// pick picks a token: mostly one that is accepted, or one of which little is wrong.
func pick(random *rand.Rand, s *setup, tokens []*specimen, now float64) string {
	most := one(random, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 9) // faults; a key that is not there is three
	for {
		m := one(random, tokens...)
		if n := len(faultsOf(s, m, now)); n == most || n > 0 && n < most || chance(random, 2) {
			return m.text
		}
	}
}

// draftTokens puts tokens into some places.
func draftTokens(random *rand.Rand, r *request, s *setup, tokens []*specimen, now float64) {
	places := []string{"header"}
	if s.cookieName() != "" || chance(random, 10) {
		places = append(places, "cookie", "cookie")
	}
	if s.tokenKey() != "" || chance(random, 10) {
		places = append(places, "query", "form", "form")
	}
	n := one(random, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3)
	text := pick(random, s, tokens, now)
	for range n {
		switch {
		case chance(random, 10):
			text = pick(random, s, tokens, now)
		case chance(random, 4):
			text = one(random, "x", "a.b.c", "..", "null", "undefined", strings.Repeat("x", 9000), "eyJhbGciOiJub25lIn0.e30.")
		case chance(random, 5):
			text = ""
		}
		switch one(random, places...) {
		case "header":
			r.authorization = append(r.authorization, draftAuthorization(random, text))
		case "cookie":
			if strings.Contains(text, "\n") {
				continue
			}
			name := s.cookieName()
			if name == "" || chance(random, 5) {
				name = one(random, "session", "Session", "sid")
			}
			r.cookies = append(r.cookies, parameter{name + "=" + text, name, text})
		case "query":
			r.query = append(r.query, draftParameter(random, keyOr(random, s), text))
		case "form":
			r.form = append(r.form, draftParameter(random, keyOr(random, s), text))
			r.hasBody = true
		}
	}
	if chance(random, 4) {
		r.authorization = append(r.authorization, authorization{value: one(random, "Basic YTpi", "Digest x=\"y\"", "", "Negotiate")})
	}
}

func keyOr(random *rand.Rand, s *setup) string {
	if s.tokenKey() == "" || chance(random, 5) {
		return one(random, "token", "Token", "access_token")
	}
	return s.tokenKey()
}

// draftAuthorization writes a token into a line of Authorization.
func draftAuthorization(random *rand.Rand, text string) authorization {
	scheme := one(random, "Bearer", "Bearer", "Bearer", "bearer", "BEARER", "bEaReR")
	switch {
	case strings.Contains(text, "\n"):
		return authorization{value: "Basic YTpi"}
	case text == "":
		return authorization{value: scheme, malformed: true}
	case chance(random, 3):
		return authorization{value: scheme + one(random, "\t", " \t") + text, malformed: true}
	case chance(random, 4):
		return authorization{value: scheme + " " + text + one(random, ",", ", ", " ", "\t") + text, malformed: true}
	}
	return authorization{value: scheme + one(random, " ", " ", " ", "  ") + text, token: text}
}

// draftParameter writes a parameter, some of its characters percent-encoded.
func draftParameter(random *rand.Rand, name, value string) parameter {
	percent := one(random, 0, 0, 2, 50)
	encode := func(text string) string {
		var written strings.Builder
		for i := range len(text) {
			switch c := text[i]; {
			case c == ' ' && chance(random, 50):
				written.WriteByte('+')
			case c <= ' ' || c == '=' || chance(random, percent):
				fmt.Fprintf(&written, one(random, "%%%02x", "%%%02X"), c)
			default:
				written.WriteByte(c)
			}
		}
		return written.String()
	}
	if value == "" && chance(random, 50) {
		return parameter{encode(name), name, ""}
	}
	return parameter{encode(name) + "=" + encode(value), name, value}
}

// draftCookiesAndQuery adds cookies and parameters that are no token's, around those that are.
func draftCookiesAndQuery(random *rand.Rand, r *request, s *setup) {
	for range one(random, 0, 0, 1, 2) {
		r.cookies = append(r.cookies, one(random, parameter{"theme=dark", "theme", "dark"}, parameter{"a=\"b c\"", "a", "\"b c\""}, parameter{"sessions=1", "sessions", "1"}, parameter{"flag", "flag", ""}))
	}
	for range one(random, 0, 0, 0, 1, 2) {
		r.query = append(r.query, one(random, parameter{"q=a%20b+c", "q", "a b c"}, parameter{"tokens=1", "tokens", "1"}, parameter{"%zz=1", "%zz", "1"}, parameter{"p=%zz", "p", "%zz"}, parameter{"_method=DELETE", "_method", "DELETE"}))
	}
	for range one(random, 0, 0, 1, 2) {
		r.form = append(r.form, one(random, parameter{"name=Ada+Lovelace", "name", "Ada Lovelace"}, parameter{"n=1", "n", "1"}))
	}
	random.Shuffle(len(r.cookies), func(i, j int) { r.cookies[i], r.cookies[j] = r.cookies[j], r.cookies[i] })
	random.Shuffle(len(r.query), func(i, j int) { r.query[i], r.query[j] = r.query[j], r.query[i] })
	random.Shuffle(len(r.form), func(i, j int) { r.form[i], r.form[j] = r.form[j], r.form[i] })
	if random.IntN(500) == 0 && s.cookieName() != "" {
		for range 600 {
			r.cookies = append(r.cookies, parameter{"a=b", "a", "b"})
		}
	}
	if random.IntN(500) == 0 && s.tokenKey() != "" {
		for range 1200 {
			r.query = append(r.query, parameter{"a=b", "a", "b"})
		}
	}
	r.bareMark = len(r.query) == 0 && chance(random, 5)
}

// draftHeader writes the header: tokens, spoofed claims, and whatever else decides something.
func draftHeader(random *rand.Rand, r *request) {
	add := func(name, value string) { r.lines = append(r.lines, line{name, value}) }
	for _, a := range r.authorization {
		add(one(random, "Authorization", "Authorization", "authorization", "AUTHORIZATION"), a.value)
	}
	cookies := ""
	for _, c := range r.cookies {
		if cookies != "" && r.proto == 1 && chance(random, 10) {
			add("Cookie", cookies) // A second line.
			cookies = ""
		}
		if cookies != "" {
			cookies += one(random, "; ", "; ", ";", " ; ")
		}
		cookies += c.raw
	}
	if cookies != "" {
		add("Cookie", cookies)
	}
	for range one(random, 0, 0, 0, 1, 2, 5) {
		add(spoof(random), one(random, "eve", "admin", ""))
	}
	for range one(random, 0, 0, 1, 2) {
		name := one(random, "User-Agent", "Accept", "X-Request-Id", "X-Other", "X_Other", "X-User-Ids", "X-Any-", "X-Forwarded-For", "Referer", "Te")
		switch {
		case r.count(name) > 0:
		case name == "Te":
			add(name, "trailers")
		default:
			add(name, one(random, "a", "b, c", ""))
		}
	}
	if chance(random, 95) {
		add("X-Forwarded-Proto", one(random, "https", "https", "http"))
	}
	if chance(random, 25) {
		add("Origin", one(random, "https://"+gatewayHost, "https://"+gatewayHost, "http://"+gatewayHost, "https://evil.example", "https://"+gatewayHost+".evil.example", "https://"+gatewayHost+":8443", "null"))
	}
	if chance(random, 25) {
		add("Sec-Fetch-Site", one(random, "same-origin", "same-origin", "none", "same-site", "cross-site", "Same-Origin", "unknown"))
	}
	if chance(random, 1) {
		add(one(random, "Origin", "Sec-Fetch-Site"), one(random, "same-origin", "https://"+gatewayHost))
	}
	if chance(random, 5) {
		add(one(random, "X-HTTP-Method-Override", "X_Http_Method", "X-Method.Override"), "DELETE")
	}
	if chance(random, 3) {
		add("Access-Control-Request-Method", "PUT")
	}
	if r.proto == 2 {
		return
	}
	if chance(random, 6) {
		protocol := one(random, "websocket", "WebSocket", "h2c", "h2c", "websocket, h2c", "TLS/1.2")
		add("Upgrade", protocol)
		add("Connection", one(random, "Upgrade", "Upgrade, HTTP2-Settings"))
		add("HTTP2-Settings", "AAMAAABkAAQAAP__")
		if strings.EqualFold(protocol, "websocket") {
			for i, l := range r.lines {
				if l.name == "X-Forwarded-Proto" {
					r.lines[i].value = map[string]string{"https": "wss", "http": "ws"}[l.value]
				}
			}
		}
	} else if chance(random, 8) {
		add("Connection", one(random, "keep-alive", spoof(random), "close, "+spoof(random), spoof(random)+",keep-alive, X-Other"))
	}
}

// spoof is a spelling of a claim header that some configuration has.
func spoof(random *rand.Rand) string {
	name := []byte(one(random, "X-User-Id", "X-User-Id", "X-Any", "X-Roles", "From"))
	style := random.IntN(4)
	for i, c := range name {
		switch {
		case c == '-' && style > 0:
			name[i] = one(random, []byte("___.!#$%&'*+^`|~")...)
		case chance(random, 20) && style > 1 && c != '-':
			name[i] ^= 0x20
		}
	}
	return string(name)
}

// draftBody writes the body: a form if there is one, perhaps of another type, or another body.
func draftBody(random *rand.Rand, r *request, s *setup) {
	add := func(value string) { r.lines = append(r.lines, line{"Content-Type", value}) }
	switch {
	case r.hasBody: // A form with a token.
		if r.method == "GET" || r.method == "HEAD" {
			r.method = one(random, "POST", "POST", "PUT", r.method)
		}
		add(one(random, "application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "application/X-WWW-form-urlencoded; charset=utf-8", "text/plain", "multipart/form-data; boundary=x"))
	case chance(random, 10):
		add(one(random, "application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpcx"))
		r.form = nil
		r.method = one(random, "POST", "POST", "POST", r.method)
		r.hasBody, r.body = true, "\x00\x00\x00\x00\x02\x08\x01"
	case len(r.form) > 0 && chance(random, 50):
		add("application/x-www-form-urlencoded")
		r.hasBody = true
	case chance(random, 20):
		r.form = nil
		r.hasBody, r.body = true, one(random, "", `{"a":1}`, strings.Repeat("body ", 1000))
	default:
		r.form = nil
	}
	isLong := len(r.form) > 0 && random.IntN(200) == 0
	if isLong {
		long := parameter{"long=" + strings.Repeat("x", 66<<10), "long", ""}
		if at := random.IntN(2); at == 0 {
			for i := range r.form {
				r.form[i].name = "" // It is too far behind to be seen.
			}
			r.form = append([]parameter{long}, r.form...)
		} else {
			r.form = append(r.form, long)
		}
	}
	if len(r.form) > 0 && !isLong && s.tokenKey() != "" && random.IntN(400) == 0 {
		for range 1200 {
			r.form = append(r.form, parameter{"a=b", "a", "b"})
		}
	}
	if len(r.form) > 0 {
		texts := make([]string, 0, len(r.form))
		for _, p := range r.form {
			texts = append(texts, p.raw)
		}
		r.body = strings.Join(texts, "&")
	}
	r.chunked = r.hasBody && r.version != "HTTP/1.0" && chance(random, 50)
	r.reader = one(random, "whole", "whole", "whole", "in small parts", "mirrored", "buffered before")
}

// draftTrailers adds trailers to a chunked body, announced and not.
func draftTrailers(random *rand.Rand, r *request) {
	if !r.chunked || chance(random, 40) {
		return
	}
	for range 1 + random.IntN(4) {
		name := one(random, "X-Other", "X-Checksum", spoof(random), spoof(random))
		isKnown := func(l line) bool { return http.CanonicalHeaderKey(l.name) == http.CanonicalHeaderKey(name) }
		if slices.ContainsFunc(r.trailers, isKnown) {
			continue
		}
		r.trailers = append(r.trailers, line{name, one(random, "admin", "1")})
		if r.proto == 2 || chance(random, 50) { // The library's HTTP/2 announces all of them.
			r.announced = append(r.announced, name)
		}
	}
	if r.proto == 1 && len(r.announced) > 0 {
		r.lines = append(r.lines, line{"Trailer", strings.Join(r.announced, ", ")})
	}
}

// makePreflight makes of a request a preflight, or nearly one.
func (r *request) makePreflight(random *rand.Rand) {
	r.method = "OPTIONS"
	r.lines = slices.DeleteFunc(r.lines, func(l line) bool {
		return l.name == "Origin" || l.name == "Access-Control-Request-Method" || !r.hasBody && l.name == "Content-Type"
	})
	r.lines = append(r.lines, line{"Origin", "https://app.example"}, line{"Access-Control-Request-Method", "POST"})
	if chance(random, 10) {
		r.lines = append(r.lines, one(random, line{"Origin", "https://app.example"}, line{"Access-Control-Request-Method", "DELETE"}))
	}
	if r.hasBody && chance(random, 60) {
		r.hasBody, r.chunked, r.body, r.form, r.trailers, r.announced = false, false, "", nil, nil, nil
		r.lines = slices.DeleteFunc(r.lines, func(l line) bool { return l.name == "Trailer" })
	}
}

// wire is the request as HTTP/1 has it.
func (r *request) wire() string {
	var w strings.Builder
	target, _ := r.target(func(string) bool { return false })
	fmt.Fprintf(&w, "%s %s %s\r\nHost: %s\r\n", r.method, target, r.version, gatewayHost)
	for _, l := range r.lines {
		fmt.Fprintf(&w, "%s: %s\r\n", l.name, l.value)
	}
	switch {
	case r.chunked:
		w.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for body := r.body; body != ""; {
			n := min(len(body), 4000)
			fmt.Fprintf(&w, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		w.WriteString("0\r\n")
		for _, l := range r.trailers {
			fmt.Fprintf(&w, "%s: %s\r\n", l.name, l.value)
		}
		w.WriteString("\r\n")
	case r.hasBody:
		fmt.Fprintf(&w, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	default:
		w.WriteString("\r\n")
	}
	return w.String()
}

// String is the request for a reader: the tokens by their names, and what they are.
func (r *request) String() string {
	text := fmt.Sprintf("HTTP/%d, body read %s, the service answers %d\n", r.proto, r.reader, r.status) + r.wire()
	var about strings.Builder
	for _, p := range slices.Concat(r.query, r.form) {
		if r.tokens[p.value] != nil {
			text = strings.ReplaceAll(text, p.raw, p.name+"="+p.value)
		}
	}
	n := 0
	for token, m := range r.tokens {
		if strings.Contains(text, token) {
			n++
			text = strings.ReplaceAll(text, token, fmt.Sprintf("<token %d>", n))
			fmt.Fprintf(&about, "<token %d> is %s\n", n, m.about)
		}
	}
	if len(text) > 4000 {
		text = text[:4000] + "…"
	}
	text = strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' {
			return -1
		}
		return c
	}, text)
	return text + "\n" + about.String()
}
