package slidingjwt_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// oddities are values that a member or an option may have where another kind is expected.
var oddities = []any{
	nil, true, false, 0, 1, -1, 1.5, json.Number("1e400"), json.Number("12345678901234567890"), "", "a", "api", "JWT", "HS256", "RS256", "https://login.example.com", "a b", "a,b", "5m", "<&>", "\u2028", "žluť",
	[]any{},
	[]any{"api"},
	[]any{"a", 1},
	[]any{nil},
	[]any{[]any{"a"}},
	[]any{map[string]any{}},
	map[string]any{},
	map[string]any{"a": "b"},
	map[string]any{"a": []any{nil, true, 2, "x"}},
	4e9, "verify",
	[]any{"verify"},
}

func oddity(random *rand.Rand) any { return oddities[random.Intn(len(oddities))] }

// withOddities replaces some members, now and then.
func withOddities(random *rand.Rand, members claims, names ...string) claims {
	odd := claims{}
	for name, value := range members {
		odd[name] = value
	}
	for range [3]int{} {
		name := names[random.Intn(len(names))]
		odd[name] = oddity(random)
		if random.Intn(5) == 0 {
			delete(odd, name)
		}
	}
	return odd
}

// caught runs a step of a test; a panic is a result as well.
func caught(step func() string) (result string) {
	defer func() {
		if r := recover(); r != nil {
			result = fmt.Sprint("panic: ", r)
		}
	}()
	return step()
}

// agreed fails the test unless both engines have the same result, and no panic.
func agreed(t *testing.T, input any, step func(e engine) string) {
	t.Helper()
	var results []string
	for _, e := range engines(t) {
		results = append(results, caught(func() string { return step(e) }))
	}
	if results[0] != results[1] || strings.HasPrefix(results[0], "panic") {
		t.Errorf("%v: got natively\n\t%s\nand interpreted\n\t%s", input, results[0], results[1])
	}
}

// The interpreter gives tokens with members of any kind the same answer, and the service the same headers.
func TestEnginesAgreeOnTokens(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	o := options{
		"signingSecret": secret, "audience": "api,web", "issuer": "https://login.example.com", "renew": map[string]any{"before": "99%"},
		"forwardHeaders": map[string]any{"X-Sub": "sub", "X-Any": "any", "X-Nested": "any.a", "X-Aud": "aud", "X-Scope": "scope"},
		"claims":         "!Equals(`any`, `a`) && !Contains(`any.a`, `x`) && !OneOf(`any`, `b`, `1.5`) && !Prefix(`any`, `ž`) && !SplitContains(`any`, ` `, `c`)",
	}
	loose := options{"signingSecret": secret, "forwardHeaders": o["forwardHeaders"], "scopes": "a"}
	handlers := map[string]http.Handler{}
	services := map[string]*spy{}
	for _, e := range engines(t) {
		handlers[e.name+"strict"], services[e.name+"strict"] = e.middleware(t, o)
		handlers[e.name+"loose"], services[e.name+"loose"] = e.middleware(t, loose)
	}
	base := valid().with(claims{"aud": []string{"api"}, "iss": "https://login.example.com", "any": "x", "scope": "a"})
	served := 0
	for range [1500]int{} {
		header := claims{"alg": "HS256", "typ": "JWT"}
		if random.Intn(4) == 0 {
			header = withOddities(random, header, "alg", "typ", "kid", "crit", "jwk", "x")
		}
		token := hs256(segment(t, header) + "." + segment(t, withOddities(random, base, "exp", "nbf", "iat", "aud", "iss", "sub", "any", "any", "any", "any", "scope", "scp", "cnf", "auth_time", "jti")))
		for _, kind := range []string{"strict", "loose"} {
			agreed(t, payloadText(token), func(e engine) string {
				handler, service := handlers[e.name+kind], services[e.name+kind]
				rec := send(t, handler, "GET", "/", bearer(token), nil)
				if rec.Code != http.StatusOK {
					return fmt.Sprint(answered(t, rec), rec.Header()["Www-Authenticate"])
				}
				served++
				return fmt.Sprint("served ", service.request.Header, rec.Header().Get("Authorization") != "")
			})
		}
	}
	if served < 100 {
		t.Errorf("got %d tokens served, too few to tell much", served)
	}
}

func payloadText(token string) string {
	parts := strings.Split(token, ".")
	text := ""
	for _, part := range parts[:2] {
		octets, _ := base64.RawURLEncoding.DecodeString(part)
		text += string(octets) + " "
	}
	return text
}

// warnings are what was logged of a configuration, without the time of day.
func warnings(e engine, before int) string {
	text := ""
	for _, line := range strings.Split(e.log.String()[before:], "\n") {
		if _, warning, isOne := strings.Cut(line, "slidingjwt: warning: "); isOne {
			text += "\n" + warning
		}
	}
	return text
}

// The interpreter reads JWKs with members of any kind, or leaves them out, as the compiler does.
func TestEnginesAgreeOnJWKs(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	kinds := []jwk{
		publicJWK(t, keyPair(t, "P-256")), privateJWK(t, keyPair(t, "P-384")), publicJWK(t, keyPair(t, "RSA")), privateJWK(t, keyPair(t, "RSA")),
		publicJWK(t, keyPair(t, "Ed25519")), privateJWK(t, keyPair(t, "Ed25519")), secretJWK(secret),
	}
	stranger := keyPair(t, "P-521")
	for i := range [280]int{} {
		k := kinds[i%len(kinds)]
		names := []string{"kid", "alg", "use", "key_ops", "key_ops", "x5c"}
		if i%2 == 0 {
			for name := range k {
				names = append(names, name)
			}
			slices.Sort(names) // The order of a map is not the seed's.
		}
		set := jwkSet(t, publicJWK(t, stranger).with(jwk{"kid": "stranger"}), jwk(withOddities(random, claims(k), names...)))
		agreed(t, set, func(e engine) string {
			before := len(e.log.String())
			handler, err := e.new(context.Background(), &spy{}, options{"jwksFile": set, "publishJwks": true}, "jwt@file")
			if err != nil {
				return err.Error()
			}
			return send(t, handler, "GET", "/", nil, nil).Body.String() + warnings(e, before)
		})
	}
}

// The interpreter decodes options of any kind as the compiler does, and refuses the same.
func TestEnginesAgreeOnOptions(t *testing.T) {
	random := rand.New(rand.NewSource(3))
	names := []string{
		"signingSecret", "signingSecretBase64Encoded", "privateKey", "publicKey", "jwksFile", "jwksUrl", "trustedIssuers", "issuer", "audience", "algorithms", "tokenType", "leeway", "tokenKey", "cookie", "optional",
		"scopes", "claims", "forwardHeaders", "forwardAuthorization", "renew", "issue", "publishJwks", "clientConfig", "cacheSize", "realm", "usernameClaim", "nope",
		"cookie.name", "cookie.domain", "cookie.path", "cookie.sameSite", "cookie.secure", "cookie.httpOnly", "cookie.sessionOnly", "cookie.nope", "renew.before", "renew.lifetime", "renew.maxSession", "renew.header",
		"issue.header", "issue.lifetime", "clientConfig.tls", "clientConfig.timeoutSeconds", "clientConfig.maxRetries", "forwardHeaders.X-Sub", "forwardHeaders.x_sub",
	}
	made := 0
	for range [800]int{} {
		o := options{"signingSecret": secret}
		for range [2]int{} {
			value := oddity(random)
			if text, ok := value.(json.Number); ok {
				value = string(text) // No provider has such numbers.
			}
			name, member, nested := strings.Cut(names[random.Intn(len(names))], ".")
			if !nested {
				o[name] = value
				continue
			}
			block, ok := o[name].(map[string]any)
			if !ok {
				block = map[string]any{}
			}
			block[member] = value
			o[name] = block
		}
		agreed(t, o, func(e engine) string {
			before := len(e.log.String())
			handler, err := e.new(context.Background(), &spy{}, copied(o).(options), "jwt@file")
			if err != nil {
				return err.Error()
			}
			made++
			return answered(t, send(t, handler, "GET", "/", bearer("a.b.c"), nil)) + warnings(e, before)
		})
	}
	if made < 100 {
		t.Errorf("got %d middlewares, too few to tell much", made)
	}
}

// copied is a deep copy: Traefik hands over fresh options each time.
func copied(value any) any {
	switch v := value.(type) {
	case options:
		o := options{}
		for name, option := range v {
			o[name] = copied(option)
		}
		return o
	case map[string]any:
		o := map[string]any{}
		for name, option := range v {
			o[name] = copied(option)
		}
		return o
	case []any:
		list := make([]any, 0, len(v))
		for _, element := range v {
			list = append(list, copied(element))
		}
		return list
	}
	return value
}
