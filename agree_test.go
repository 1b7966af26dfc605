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

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
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

// agreed fails the test unless both engines have the same result, and no panic. If one runs alone, it is only the panic.
func agreed(t *testing.T, input any, step func(e bothways.Engine) string) {
	t.Helper()
	var first string
	for i, e := range bothways.Engines(t) {
		result := caught(func() string { return step(e) })
		if i == 0 {
			first = result
		}
		if result != first || strings.HasPrefix(result, "panic") {
			t.Errorf("%v: got %s\n\t%s\nafter\n\t%s", input, e.Name, result, first)
		}
	}
}

// The interpreter gives tokens with members of any kind the same answer, and the service the same headers.
func TestEnginesAgreeOnTokens(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	o := options{
		"signingSecret": minted.Secret, "audience": "api,web", "issuer": "https://login.example.com", "renew": map[string]any{"before": "99%"},
		"forwardHeaders": map[string]any{"X-Sub": "sub", "X-Any": "any", "X-Nested": "any.a", "X-Aud": "aud", "X-Scope": "scope"},
		"claims":         "!Equals(`any`, `a`) && !Contains(`any.a`, `x`) && !OneOf(`any`, `b`, `1.5`) && !Prefix(`any`, `ž`) && !SplitContains(`any`, ` `, `c`)",
	}
	loose := options{"signingSecret": minted.Secret, "forwardHeaders": o["forwardHeaders"], "scopes": "a"}
	handlers := map[string]http.Handler{}
	services := map[string]*bothways.Spy{}
	for _, e := range bothways.Engines(t) {
		handlers[e.Name+"strict"], services[e.Name+"strict"] = e.Middleware(t, o)
		handlers[e.Name+"loose"], services[e.Name+"loose"] = e.Middleware(t, loose)
	}
	base := minted.Valid().With(claims{"aud": []string{"api"}, "iss": "https://login.example.com", "any": "x", "scope": "a"})
	served := 0
	for range [1500]int{} {
		header := claims{"alg": "HS256", "typ": "JWT"}
		if random.Intn(4) == 0 {
			header = withOddities(random, header, "alg", "typ", "kid", "crit", "jwk", "x")
		}
		token := minted.HS256(minted.Segment(t, header) + "." + minted.Segment(t, withOddities(random, base, "exp", "nbf", "iat", "aud", "iss", "sub", "any", "any", "any", "any", "scope", "scp", "cnf", "auth_time", "jti")))
		for _, kind := range []string{"strict", "loose"} {
			agreed(t, payloadText(token), func(e bothways.Engine) string {
				handler, service := handlers[e.Name+kind], services[e.Name+kind]
				rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
				if rec.Code != http.StatusOK {
					return fmt.Sprint(bothways.Outcome(t, rec), rec.Header()["Www-Authenticate"])
				}
				served++
				return fmt.Sprint("served ", service.Request().Header, rec.Header().Get("Authorization") != "")
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

// withWarnings is what a step returns, and what is logged of a configuration meanwhile.
func withWarnings(t *testing.T, e bothways.Engine, step func() string) string {
	t.Helper()
	var text string
	logged := e.Logged(t, func() { text = step() })
	for _, line := range logged {
		if strings.HasPrefix(line, "warning: ") {
			text += "\n" + line
		}
	}
	return text
}

// The interpreter reads JWKs with members of any kind, or leaves them out, as the compiler does.
func TestEnginesAgreeOnJWKs(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	kinds := []jwk{
		minted.PublicJWK(t, minted.Key(t, "P-256")), minted.PrivateJWK(t, minted.Key(t, "P-384")), minted.PublicJWK(t, minted.Key(t, "RSA")), minted.PrivateJWK(t, minted.Key(t, "RSA")),
		minted.PublicJWK(t, minted.Key(t, "Ed25519")), minted.PrivateJWK(t, minted.Key(t, "Ed25519")), minted.SecretJWK(minted.Secret),
	}
	stranger := minted.Key(t, "P-521")
	for i := range [280]int{} {
		k := kinds[i%len(kinds)]
		names := []string{"kid", "alg", "use", "key_ops", "key_ops", "x5c"}
		if i%2 == 0 {
			for name := range k {
				names = append(names, name)
			}
			slices.Sort(names) // The order of a map is not the seed's.
		}
		set := minted.JWKSet(t, minted.PublicJWK(t, stranger).With(jwk{"kid": "stranger"}), jwk(withOddities(random, claims(k), names...)))
		agreed(t, set, func(e bothways.Engine) string {
			return withWarnings(t, e, func() string {
				handler, err := e.New(context.Background(), &bothways.Spy{}, options{"jwksFile": set, "publishJwks": true}, "jwt@file")
				if err != nil {
					return err.Error()
				}
				return bothways.Send(t, handler, "GET", "/", nil, nil).Body.String()
			})
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
		o := options{"signingSecret": minted.Secret}
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
		agreed(t, o, func(e bothways.Engine) string {
			return withWarnings(t, e, func() string {
				handler, err := e.New(context.Background(), &bothways.Spy{}, o, "jwt@file")
				if err != nil {
					return err.Error()
				}
				made++
				return bothways.Verdict(t, handler, "a.b.c")
			})
		})
	}
	if made < 50 {
		t.Errorf("got %d middlewares, too few to tell much", made)
	}
}
