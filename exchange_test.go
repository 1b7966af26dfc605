package slidingjwt_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

const provider = "https://provider.example"

// exchangeOptions take a provider's tokens for web, and begin sessions for api. The provider's keys are P-256 and RSA.
func exchangeOptions(t testing.TB, others options) options {
	t.Helper()
	keys := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "1", minted.Key(t, "P-256")), minted.NamedJWK(t, "2", minted.Key(t, "RSA"))))
	return options{
		"signingSecret": minted.Secret, "issuer": "https://gateway.example", "audience": "web",
		"trustedIssuers": []any{map[string]any{"issuer": provider, "jwksUrl": keys.URL}},
		"exchange":       map[string]any{"claims": map[string]any{"sub": "sub"}, "audience": "api"},
	}.With(others)
}

// mapping are exchange options that map sub and more.
func mapping(more, others map[string]any) map[string]any {
	all := map[string]any{"sub": "sub"}
	for name, path := range more {
		all[name] = path
	}
	return map[string]any(options{"claims": all, "audience": "api"}.With(others))
}

// sessionGuard guards with the sessions that exchangeOptions begin, and renews them.
var sessionGuard = options{
	"signingSecret": minted.Secret, "issuer": "https://gateway.example", "audience": "api",
	"cookie": map[string]any{"name": "session"}, "forwardHeaders": map[string]any{"X-User-Id": "sub", "X-Idp": "idp"},
}

// presented are the claims of a provider's token.
func presented() claims {
	now := time.Now().Unix()
	return claims{"iss": provider, "sub": "ada", "aud": "web", "iat": now - 10, "exp": now + 60, "sid": "login 1"}
}

// providers signs claims as the provider does.
func providers(t testing.TB, c claims) string {
	t.Helper()
	return minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256", "kid": "1"}, c)
}

func post(t testing.TB, handler http.Handler, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	return bothways.Send(t, handler, "POST", "/session", header, nil)
}

// answered reads the JSON of an exchange.
func answered(t testing.TB, rec *httptest.ResponseRecorder) (token string, expiresIn float64) {
	t.Helper()
	if rec.Code != 200 {
		t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
	}
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatalf("got %q: %v", rec.Body, err)
	}
	token, _ = got["access_token"].(string)
	expiresIn, _ = got["expires_in"].(float64)
	if len(got) != 4 || got["issued_token_type"] != "urn:ietf:params:oauth:token-type:jwt" || got["token_type"] != "Bearer" {
		t.Errorf("got %v, want the members of RFC 8693", got)
	}
	return token, expiresIn
}

// What is in the new token: the mapped claims as they were, and those that the gateway sets.
func TestExchangedClaims(t *testing.T) {
	// IAT is the presented token's iat; NOW, EXP and ID are what the new one has, HASH is a sid made of the token. The claims are in
	// the order of their names.
	const rest = `"exp":EXP,"iat":NOW,"idp":"https://provider.example","iss":"https://gateway.example","jti":"ID"`
	const usual = `{"aud":["api"],"auth_time":IAT,` + rest + `,"sid":"login 1","sub":"ada"}`
	more := func(o map[string]any) options { return options{"exchange": mapping(o, nil)} }
	with := func(o map[string]any) options { return options{"exchange": mapping(nil, o)} }
	raw := func(text string) rawJSON { return rawJSON(text) }
	tests := []struct {
		name    string
		options options
		claims  claims
		want    string
		expires float64
	}{
		{"a subject", nil, nil, usual, 900},
		{"what is not mapped stays out", nil, claims{"email": "a", "scope": "admin", "roles": []string{"admin"}}, usual, 900},
		{
			"mapped claims", more(map[string]any{"mail": "email", "roles": "realm_access.roles", "n": "n", "o": "o"}),
			claims{"email": "a@b.example", "realm_access": map[string]any{"roles": []any{"x", 1, nil}}, "n": raw("9007199254740993"), "o": raw(`{"b":1.50,"a":[]}`)},
			`{"aud":["api"],"auth_time":IAT,"exp":EXP,"iat":NOW,"idp":"https://provider.example","iss":"https://gateway.example","jti":"ID","mail":"a@b.example","n":9007199254740993,"o":{"a":[],"b":1.50},"roles":["x",1,null],"sid":"login 1","sub":"ada"}`, 900,
		},
		{"absent and null ones", more(map[string]any{"a": "a", "b": "b.c", "d": "d"}), claims{"b": "text", "d": raw("null")}, usual, 900},
		{
			"false, zero and empty ones", more(map[string]any{"a": "a", "b": "b", "c": "c", "d": "d"}),
			claims{"a": false, "b": 0, "c": "", "d": []any{}},
			`{"a":false,"aud":["api"],"auth_time":IAT,"b":0,"c":"","d":[],` + rest + `,"sid":"login 1","sub":"ada"}`, 900,
		},
		{
			"a name that is a URL", more(map[string]any{"roles": "https://acme.example/roles"}),
			claims{"https://acme.example/roles": []string{"x"}},
			`{"aud":["api"],"auth_time":IAT,` + rest + `,"roles":["x"],"sid":"login 1","sub":"ada"}`, 900,
		},
		{
			"another subject",
			options{"exchange": map[string]any{"claims": map[string]any{"sub": "user.id"}, "audience": "api"}},
			claims{"sub": nil, "user": map[string]any{"id": "17"}},
			strings.Replace(usual, "ada", "17", 1), 900,
		},
		{"the subject under two names", more(map[string]any{"user": "sub"}), nil, strings.Replace(usual, "}", `,"user":"ada"}`, 1), 900},
		{"the provider's times and names", nil, claims{"jti": "theirs", "nbf": raw("1"), "azp": "x", "client_id": "x", "idp": "https://other.example"}, usual, 900},
		{
			"from the names that the gateway sets, under others", more(map[string]any{"of": "iss", "upstream": "sid"}), nil,
			`{"aud":["api"],"auth_time":IAT,` + rest + `,"of":"https://provider.example","sid":"login 1","sub":"ada","upstream":"login 1"}`, 900,
		},
		{"several audiences", with(map[string]any{"audience": []any{"api", "shop"}}), nil, strings.Replace(usual, `["api"]`, `["api","shop"]`, 1), 900},
		{"no audience", with(map[string]any{"audience": nil}), nil, strings.Replace(usual, `"aud":["api"],`, "", 1), 900},
		{"no issuer", options{"issuer": nil}, nil, strings.Replace(usual, `"iss":"https://gateway.example",`, "", 1), 900},
		{"a lifetime", with(map[string]any{"lifetime": "2m"}), nil, usual, 120},
		{"auth_time", nil, claims{"auth_time": raw("NOW-7000")}, strings.Replace(usual, "IAT", "AUTH-7000", 1), 900},
		{"auth_time, a fraction", nil, claims{"auth_time": raw("NOW-7000.25")}, strings.Replace(usual, "IAT", "AUTH-7001", 1), 900},
		{"auth_time null", nil, claims{"auth_time": raw("null")}, usual, 900},
		{"auth_time in the future", nil, claims{"auth_time": raw("NOW+5000")}, strings.Replace(usual, "IAT", "NOW", 1), 900},
		{"auth_time far in the future", nil, claims{"auth_time": raw("1e300")}, strings.Replace(usual, "IAT", "NOW", 1), 900},
		{"iat in the future, by leeway", nil, claims{"iat": raw("NOW+20")}, strings.Replace(usual, "IAT", "NOW", 1), 900},
		{"iat, a fraction", nil, claims{"iat": raw("NOW-10.5")}, strings.Replace(usual, "IAT", "AUTH-11", 1), 900},
		{"the session's end is nearer", nil, claims{"auth_time": raw("NOW-86000")}, strings.Replace(usual, "IAT", "AUTH-86000", 1), 400},
		{"maxSession", options{"renew": map[string]any{"maxSession": "5m"}}, nil, usual, 290},
		{"sid absent", nil, claims{"sid": nil}, strings.Replace(usual, "login 1", "HASH", 1), 900},
		{"sid null", nil, claims{"sid": raw("null")}, strings.Replace(usual, "login 1", "HASH", 1), 900},
		{"sid empty", nil, claims{"sid": ""}, strings.Replace(usual, "login 1", "HASH", 1), 900},
		{"sid a number", nil, claims{"sid": 17}, strings.Replace(usual, "login 1", "HASH", 1), 900},
		{"sid a list", nil, claims{"sid": []string{"login 1"}}, strings.Replace(usual, "login 1", "HASH", 1), 900},
		{"the whole maxAge", with(map[string]any{"maxAge": "1h"}), claims{"iat": raw("NOW-3500")}, strings.Replace(usual, "IAT", "AUTH-3500", 1), 900},
		{"scopes and claims that suffice", options{"scopes": "login", "claims": "Equals(`tenant`, `t1`)"}, claims{"scope": "openid login", "tenant": "t1"}, usual, 900},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		base := exchangeOptions(t, nil)
		guard, service := e.Middleware(t, sessionGuard.With(options{"issuer": nil, "audience": nil, "cookie": nil}))
		ids := map[string]bool{}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, never := e.Middleware(t, base.With(test.options))
				now := time.Now().Unix()
				c := presented().With(test.claims)
				for name, claim := range c {
					if text, isRaw := claim.(rawJSON); isRaw {
						c[name] = text.at(now)
					}
				}
				token := providers(t, c)
				rec := post(t, handler, bothways.Bearer(token))
				issued, expiresIn := answered(t, rec)
				got := minted.Payload(t, issued)
				iat, _ := got["iat"].(float64)
				id, _ := got["jti"].(string)
				if !near(iat-float64(now), 0) || len(id) != 22 || ids[id] {
					t.Errorf("got iat %f and jti %q at %d, want new ones", iat, id, now)
				}
				ids[id] = true
				sid, _ := got["sid"].(string)
				hash := sid
				if len(hash) != 22 {
					hash = "no hash"
				}
				exp, _ := got["exp"].(float64)
				if end := iat + test.expires; exp > end || exp < end-20 || exp-iat != expiresIn {
					t.Errorf("got exp %f and expires_in %f, want %f and %f", exp, expiresIn, end, test.expires)
				}
				want := strings.NewReplacer("IAT", fmt.Sprint(c["iat"]), "NOW", fmt.Sprint(int64(iat)), "EXP", fmt.Sprint(int64(exp)), "ID", id, "HASH", hash).Replace(test.want)
				if before, offset, isRelative := strings.Cut(want, "AUTH-"); isRelative {
					var seconds int64
					_, _ = fmt.Sscan(offset[:strings.IndexByte(offset, ',')], &seconds)
					want = before + fmt.Sprint(now-seconds) + offset[strings.IndexByte(offset, ','):]
				}
				text, err := base64.RawURLEncoding.DecodeString(strings.Split(issued, ".")[1])
				if err != nil || string(text) != want {
					t.Errorf("got\n%s, want\n%s", text, want)
				}
				if got := bothways.Verdict(t, guard, issued); got != "served" {
					t.Errorf("the new token: got %s, want it served", got)
				}
				if got := service.Request().Header; got.Get("X-User-Id") != minted.Payload(t, issued)["sub"] || got.Get("X-Idp") != provider {
					t.Errorf("the new token: got the headers %v", got)
				}
				if never.Calls() != 0 {
					t.Error("a service was called")
				}
			})
		}
	})
}

// What is refused, whatever comes with it; never with a token, a cookie, or a word to the service.
func TestExchangeRefuses(t *testing.T) {
	now := time.Now().Unix()
	es := func(kid, key string, c claims) string {
		return minted.Signed(t, minted.Key(t, key), claims{"alg": "ES256", "kid": kid}, c)
	}
	good := func(others claims) string { return providers(t, presented().With(others)) }
	own := claims{"iss": "https://gateway.example", "aud": []string{"web", "api"}, "sub": "ada", "iat": now - 10, "exp": now + 600}
	unnamed := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "9", minted.Key(t, "P-256 of a stranger"))))
	tests := []struct {
		name    string
		options options
		token   string
		want    string
	}{
		{"one's own token", nil, minted.Token(t, own), "401 wrong_issuer"},
		{"one's own token, expired", nil, minted.Token(t, own.With(claims{"exp": now - 100})), "401 token_expired"},
		{"one's own token, without iss", options{"issuer": nil}, minted.Token(t, own.With(claims{"iss": nil})), "401 wrong_issuer"},
		{"one's own secret, as the provider", nil, minted.Token(t, presented()), "401 wrong_algorithm"},
		{"one's own private key", options{"privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "P-256 of a stranger"))}, es("", "P-256 of a stranger", own), "401 wrong_issuer"},
		{"one's own private key, as the provider", options{"privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "P-256 of a stranger"))}, es("", "P-256 of a stranger", presented()), "401 bad_signature"},
		{"a key of jwksFile", options{"jwksFile": minted.JWKSet(t, minted.NamedJWK(t, "9", minted.Key(t, "P-256 of a stranger")))}, es("9", "P-256 of a stranger", own), "401 wrong_issuer"},
		{"publicKey", options{"publicKey": minted.PEM(t, "PKIX", minted.Key(t, "P-256 of a stranger"))}, es("", "P-256 of a stranger", own), "401 wrong_issuer"},
		{"publicKey, of another issuer", options{"issuer": nil, "publicKey": minted.PEM(t, "PKIX", minted.Key(t, "P-256 of a stranger"))}, es("", "P-256 of a stranger", own.With(claims{"iss": "https://third.example"})), "401 wrong_issuer"},
		{"jwksUrl", options{"issuer": nil, "jwksUrl": unnamed.URL}, es("9", "P-256 of a stranger", own.With(claims{"iss": "https://third.example"})), "401 wrong_issuer"},
		{"jwksUrl, as the provider", options{"issuer": nil, "jwksUrl": unnamed.URL}, es("9", "P-256 of a stranger", presented()), "401 unknown_key"},
		{"an untrusted issuer's, under a trusted kid", nil, es("1", "P-256 of a stranger", presented().With(claims{"iss": "https://evil.example"})), "401 wrong_issuer"},
		{"an untrusted issuer, by the trusted key", nil, good(claims{"iss": "https://evil.example"}), "401 wrong_issuer"},
		{"the trusted issuer, by another key of the kid", nil, es("1", "P-256 of a stranger", presented()), "401 bad_signature"},
		{"the trusted issuer, with a slash", nil, good(claims{"iss": provider + "/"}), "401 wrong_issuer"},
		{"no issuer", nil, good(claims{"iss": nil}), "401 wrong_issuer"},
		{"an issuer that is a list", nil, good(claims{"iss": []string{provider}}), "401 malformed_claims"},
		{"for another audience", nil, good(claims{"aud": "another client"}), "401 wrong_audience"},
		{"for the sessions' audience", nil, good(claims{"aud": "api"}), "401 wrong_audience"},
		{"for nobody", nil, good(claims{"aud": nil}), "401 wrong_audience"},
		{"a logout token", nil, minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256", "kid": "1", "typ": "logout+jwt"}, presented()), "401 wrong_type"},
		{"bound to a key", nil, good(claims{"cnf": map[string]any{"jkt": "x"}}), "401 bound_token"},
		{"expired", nil, good(claims{"exp": now - 100}), "401 token_expired"},
		{"not yet valid", nil, good(claims{"nbf": now + 100}), "401 token_not_yet_valid"},
		{"issued in the future", nil, good(claims{"iat": now + 100}), "401 issued_in_future"},
		{"too old", nil, good(claims{"iat": now - 301}), "401 token_too_old"},
		{"a login too long ago", options{"maxAge": "5m"}, good(claims{"auth_time": now - 400}), stepUpCode},
		{"a login that nobody speaks of", options{"maxAge": "5m"}, good(nil), stepUpCode},
		{"a login by other means", options{"acr": "gold"}, good(claims{"acr": "silver"}), stepUpCode},
		{"too old for a shorter maxAge", options{"exchange": mapping(nil, map[string]any{"maxAge": "9s"})}, good(nil), "401 token_too_old"},
		{"of no age", nil, good(claims{"iat": nil}), "401 token_too_old"},
		{"of no age, for any maxAge", options{"exchange": mapping(nil, map[string]any{"maxAge": "876000h"})}, good(claims{"iat": nil}), "401 token_too_old"},
		{"of an age that is null", nil, good(claims{"iat": rawJSON("null")}), "401 token_too_old"},
		{"a session that is over", nil, good(claims{"auth_time": now - 86401}), "401 session_ended"},
		{"a session that is over to the second", nil, good(claims{"auth_time": now - 86400}), "401 session_ended"},
		{"a session since 1970", nil, good(claims{"auth_time": 0}), "401 session_ended"},
		{"a session since before 1970", nil, good(claims{"auth_time": -1e300}), "401 session_ended"},
		{"a session that is over, by maxSession", options{"renew": map[string]any{"maxSession": "5s"}}, good(nil), "401 session_ended"},
		{"auth_time a text", nil, good(claims{"auth_time": fmt.Sprint(now)}), "401 malformed_claims"},
		{"auth_time beyond a number", nil, good(claims{"auth_time": rawJSON("1e400")}), "401 malformed_claims"},
		{"no subject", nil, good(claims{"sub": nil}), "401 malformed_claims"},
		{"a subject that is empty", nil, good(claims{"sub": ""}), "401 malformed_claims"},
		{"a subject that is a number", nil, good(claims{"sub": 17}), "401 malformed_claims"},
		{"another subject that is absent", options{"exchange": map[string]any{"claims": map[string]any{"sub": "oid"}}}, good(nil), "401 malformed_claims"},
		{"another subject that is a number", options{"exchange": map[string]any{"claims": map[string]any{"sub": "oid"}}}, good(claims{"oid": 17}), "401 malformed_claims"},
		{"another subject that is a list", options{"exchange": map[string]any{"claims": map[string]any{"sub": "oid"}}}, good(claims{"oid": []string{"ada"}}), "401 malformed_claims"},
		{"another subject that is an object", options{"exchange": map[string]any{"claims": map[string]any{"sub": "user"}}}, good(claims{"user": map[string]any{"id": "ada"}}), "401 malformed_claims"},
		{"without a scope", options{"scopes": "login"}, good(nil), "403 insufficient_scope"},
		{"without a claim", options{"claims": "Equals(`tenant`, `t1`)"}, good(claims{"tenant": "t2"}), "403 claims_not_sufficient"},
		{"a member twice", nil, minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256", "kid": "1"}, presented().With(claims{"x": rawJSON(`{"a":1,"a":2}`)})), "401 token_malformed"},
		{"no token", nil, "", "401 token_missing"},
		{"more than a token holds", options{"exchange": mapping(map[string]any{"a": "a", "b": "a"}, nil)}, good(claims{"a": strings.Repeat("x", 4000)}), "502 issue_failed"},
		{"more than a cookie holds", options{"cookie": map[string]any{"name": "session"}, "exchange": mapping(map[string]any{"a": "a"}, nil)}, good(claims{"a": strings.Repeat("x", 3000)}), "502 issue_failed"},
		{"no key to sign with", options{"signingSecret": "/nonexistent/secret"}, good(nil), "503 keys_unavailable"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		bearer := exchangeOptions(t, nil)
		for _, base := range []options{bearer, bearer.With(options{"cookie": map[string]any{"name": "session"}})} {
			for _, test := range tests {
				handler, service := e.Middleware(t, base.With(test.options))
				header := http.Header{"Cookie": {"session=" + minted.Token(t, own.With(claims{"aud": "api"}))}}
				if test.token != "" {
					header["Authorization"] = []string{"Bearer " + test.token}
				}
				for n := 0; n < 2; n++ { // Nothing is remembered.
					rec := post(t, handler, header)
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Errorf("%s: got %s %s, want %s", test.name, got, rec.Body, test.want)
					}
					if h := rec.Header(); h["Set-Cookie"] != nil || h["Authorization"] != nil || h.Get("Cache-Control") != "no-store" {
						t.Errorf("%s: got the headers %v, want no token, and no cookie cleared", test.name, h)
					}
				}
				if service.Calls() != 0 {
					t.Errorf("%s: a service was called", test.name)
				}
			}
		}
	})
}

// Who may ask, and how: places of the token, methods, sites.
func TestExchangeRequests(t *testing.T) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	const rfc = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"
	tests := []struct {
		name           string
		method, target string
		header         lines
		body           string
		bearer, cookie string // what comes of it without a cookie configured, and with one
	}{
		{"a bearer token", "POST", "/", lines{"Authorization: Bearer TOKEN"}, "", "served", "204"},
		{"a bearer token and a body", "POST", "/", lines{"Authorization: Bearer TOKEN", "Content-Type: application/json"}, `{"a":1}`, "served", "204"},
		{"the form of RFC 8693", "POST", "/", lines{form}, rfc + "&subject_token=TOKEN", "served", "204"},
		{"the form, and the same in the header", "POST", "/", lines{form, "Authorization: Bearer TOKEN"}, "subject_token=TOKEN", "served", "204"},
		{"a query", "POST", "/?subject_token=TOKEN", nil, "", "served", "204"},
		{"two tokens", "POST", "/?subject_token=TOKEN", lines{"Authorization: Bearer OTHER"}, "", "400 multiple_tokens", "400 multiple_tokens"},
		{"two headers", "POST", "/", lines{"Authorization: Bearer TOKEN", "Authorization: Bearer TOKEN"}, "", "400 multiple_tokens", "400 multiple_tokens"},
		{"two fields", "POST", "/", lines{form}, "subject_token=TOKEN&subject_token=OTHER", "400 multiple_tokens", "400 multiple_tokens"},
		{"another scheme", "POST", "/", lines{"Authorization: Basic eDp5"}, "", "401 token_missing", "401 token_missing"},
		{"a token in JSON", "POST", "/", lines{"Content-Type: application/json"}, `{"subject_token":"TOKEN"}`, "401 token_missing", "401 token_missing"},
		{"the token as the cookie alone", "POST", "/", lines{"Cookie: session=TOKEN"}, "", "401 token_missing", "401 token_missing"},
		{"a session as the cookie alone", "POST", "/", lines{"Cookie: session=OWN"}, "", "401 token_missing", "401 token_missing"},
		{"a session cookie that is still there", "POST", "/", lines{"Authorization: Bearer TOKEN", "Cookie: session=OWN"}, "", "served", "204"},
		{"a cookie of something else", "POST", "/", lines{"Authorization: Bearer TOKEN", "Cookie: session=x; session=y; a=b"}, "", "served", "204"},
		{"GET", "GET", "/", lines{"Authorization: Bearer TOKEN"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"HEAD", "HEAD", "/", lines{"Authorization: Bearer TOKEN"}, "", "405", "405"},
		{"PUT", "PUT", "/", lines{"Authorization: Bearer TOKEN"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"post", "post", "/", lines{"Authorization: Bearer TOKEN"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"GET by a link of another site", "GET", "/?subject_token=TOKEN", lines{"Sec-Fetch-Site: cross-site"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"an overridden method", "GET", "/", lines{"Authorization: Bearer TOKEN", "X-HTTP-Method-Override: POST"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"OPTIONS", "OPTIONS", "/", lines{"Authorization: Bearer TOKEN"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"a preflight", "OPTIONS", "/", lines{"Origin: https://a.example", "Access-Control-Request-Method: POST"}, "", "405 method_not_allowed", "405 method_not_allowed"},
		{"its own site", "POST", "/", lines{"Authorization: Bearer TOKEN", "Sec-Fetch-Site: same-origin", "Origin: http://example.com"}, "", "served", "204"},
		{"its own site, in an old browser", "POST", "/", lines{"Authorization: Bearer TOKEN", "Origin: http://example.com"}, "", "served", "204"},
		{"an origin that is listed", "POST", "/", lines{"Authorization: Bearer TOKEN", "Sec-Fetch-Site: same-site", "Origin: https://app.example.com"}, "", "served", "204"},
		{"another site", "POST", "/", lines{"Authorization: Bearer TOKEN", "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, "", "served", "403 cross_site"},
		{"another site's form", "POST", "/", lines{form, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, "subject_token=TOKEN", "served", "403 cross_site"},
		{"another site's form, in an old browser", "POST", "/", lines{form, "Origin: https://evil.example"}, "subject_token=TOKEN", "served", "403 cross_site"},
		{"another site's form, of plain text", "POST", "/?subject_token=TOKEN", lines{"Content-Type: text/plain", "Origin: https://evil.example"}, "x", "served", "403 cross_site"},
		{"a sibling site's form", "POST", "/", lines{form, "Sec-Fetch-Site: same-site", "Origin: http://evil.example.com"}, "subject_token=TOKEN", "served", "403 cross_site"},
		{"another port's form", "POST", "/", lines{form, "Origin: http://example.com:81"}, "subject_token=TOKEN", "served", "403 cross_site"},
		{"a sandbox's form", "POST", "/", lines{form, "Origin: null"}, "subject_token=TOKEN", "served", "403 cross_site"},
		{"another site, without a token", "POST", "/", lines{"Sec-Fetch-Site: cross-site"}, "", "401 token_missing", "403 cross_site"},
		{"an upgrade", "POST", "/", lines{"Authorization: Bearer TOKEN", "Connection: Upgrade", "Upgrade: websocket"}, "", "served", "204"},
		{"too many parameters", "POST", "/?" + strings.Repeat("a&", 1001), lines{"Authorization: Bearer TOKEN"}, "", "400 too_many_parts", "400 too_many_parts"},
		{"a token that is too long", "POST", "/", lines{"Authorization: Bearer " + strings.Repeat("x", 9000)}, "", "400 token_too_long", "400 token_too_long"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		base := exchangeOptions(t, options{"tokenKey": "subject_token"})
		bearer, behind := e.Middleware(t, base)
		cookie, _ := e.Middleware(t, base.With(options{"cookie": map[string]any{"name": "session", "origins": "https://app.example.com"}}))
		now := time.Now().Unix()
		own := minted.Token(t, claims{"iss": "https://gateway.example", "aud": "api", "sub": "eve", "sid": "eve's", "iat": now, "exp": now + 600})
		token, other := providers(t, presented()), providers(t, presented().With(claims{"sub": "eve"}))
		for _, test := range tests {
			for _, way := range []struct {
				name    string
				handler http.Handler
				want    string
			}{{"bearer", bearer, test.bearer}, {"cookie", cookie, test.cookie}} {
				name := test.name + ", " + way.name
				places := strings.NewReplacer("TOKEN", token, "OTHER", other)
				rec := bothways.Send(t, way.handler, test.method, places.Replace(test.target), test.header.Header("TOKEN", token, "OTHER", other, "OWN", own), strings.NewReader(places.Replace(test.body)))
				if got := bothways.Outcome(t, rec); got != way.want {
					t.Errorf("%s: got %s %s, want %s", name, got, rec.Body, way.want)
				}
				set := rec.Header().Get("Set-Cookie")
				value, _, _ := strings.Cut(strings.TrimPrefix(set, "session="), ";")
				switch rec.Code {
				case 200:
					value, _ = answered(t, rec)
				case 405:
					if got := rec.Header()["Allow"]; len(got) != 1 || got[0] != "POST" {
						t.Errorf("%s: got Allow %q, want POST", name, got)
					}
				}
				if begins := rec.Code < 300; begins != (value != "") || begins != (rec.Header().Get("Token-Expires-In") != "") {
					t.Errorf("%s: got %d with the session %q and the headers %v", name, rec.Code, value, rec.Header())
				} else if begins {
					if c := minted.Payload(t, value); c["sub"] != "ada" || c["sid"] != "login 1" {
						t.Errorf("%s: got %v, want ada's session", name, c)
					}
				}
			}
		}
		if behind.Calls() != 0 {
			t.Error("a service was called")
		}
	})
}

// The response, to the last header.
func TestExchangeResponse(t *testing.T) {
	tests := []struct {
		name    string
		options options
		header  lines
		status  int
		want    http.Header // SESSION, SIZE and NEW stand for what changes
	}{
		{"bearer", nil, nil, 200, http.Header{
			"Authorization": {"Bearer NEW"}, "Token-Expires-In": {"900"}, "Session-Expires-In": {"SESSION"}, "Cache-Control": {"no-store"},
			"Content-Type": {"application/json"}, "Content-Length": {"SIZE"},
		}},
		{"bearer, from a page", nil, lines{"Origin: https://app.example"}, 200, http.Header{
			"Authorization": {"Bearer NEW"}, "Token-Expires-In": {"900"}, "Session-Expires-In": {"SESSION"}, "Cache-Control": {"no-store"},
			"Content-Type": {"application/json"}, "Content-Length": {"SIZE"},
			"Access-Control-Expose-Headers": {"Authorization, Token-Expires-In, Session-Expires-In"},
		}},
		{"another header", options{"renew": map[string]any{"header": "X-Session"}}, nil, 200, http.Header{
			"X-Session": {"NEW"}, "Token-Expires-In": {"900"}, "Session-Expires-In": {"SESSION"}, "Cache-Control": {"no-store"},
			"Content-Type": {"application/json"}, "Content-Length": {"SIZE"},
		}},
		{"cookie", options{"cookie": map[string]any{"name": "__Host-session"}}, nil, 204, http.Header{
			"Set-Cookie":       {"__Host-session=NEW; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Lax"},
			"Token-Expires-In": {"900"}, "Session-Expires-In": {"SESSION"}, "Cache-Control": {"no-store"}, "Cdn-Cache-Control": {"no-store"},
		}},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		base := exchangeOptions(t, nil)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, _ := e.Middleware(t, base.With(test.options))
				header := test.header.Header()
				header.Set("Authorization", "Bearer "+providers(t, presented()))
				rec := post(t, handler, header)
				issued := ""
				if rec.Code == 200 {
					issued, _ = answered(t, rec)
				} else {
					issued, _, _ = strings.Cut(strings.TrimPrefix(rec.Header().Get("Set-Cookie"), "__Host-session="), ";")
				}
				session := rec.Header().Get("Session-Expires-In")
				var seconds float64
				_, _ = fmt.Sscan(session, &seconds)
				if !near(86400-10, seconds) {
					t.Errorf("got Session-Expires-In %s, want almost 24h", session)
				}
				want := http.Header{}
				for name, values := range test.want {
					want[name] = []string{strings.NewReplacer("NEW", issued, "SESSION", session, "SIZE", fmt.Sprint(rec.Body.Len())).Replace(values[0])}
				}
				if test.status == 204 && rec.Body.Len() > 0 {
					t.Errorf("got the body %q, want none", rec.Body)
				}
				checkResponse(t, rec, test.status, want)
			})
		}
	})
}

// One token exchanged twice is one session, which can be revoked as one; whoever stole it cannot make it another.
func TestExchangedSession(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, exchangeOptions(t, nil))
		guard, _ := e.Middleware(t, sessionGuard.With(options{"renew": map[string]any{"before": "14m59s"}}))
		session := func(token string) claims {
			t.Helper()
			issued, _ := answered(t, post(t, handler, bothways.Bearer(token)))
			return minted.Payload(t, issued)
		}
		nameless := presented().With(claims{"sid": nil})
		token := providers(t, nameless)
		first, second := session(token), session(token)
		if first["sid"] == "" || first["sid"] != second["sid"] || first["jti"] == second["jti"] {
			t.Errorf("twice: got %v and %v, want one sid and two jti", first, second)
		}
		if got := session(forged(t, token)); got["sid"] != first["sid"] {
			t.Errorf("with the other signature of ECDSA: got sid %v, want %v", got["sid"], first["sid"])
		}
		if got := session(providers(t, nameless.With(claims{"jti": "2"}))); got["sid"] == first["sid"] {
			t.Errorf("another token: got the same sid %v", got["sid"])
		}
		one, other := session(providers(t, presented())), session(providers(t, presented().With(claims{"jti": "2"})))
		if one["sid"] != "login 1" || other["sid"] != "login 1" {
			t.Errorf("of one login: got sid %v and %v, want the login's", one["sid"], other["sid"])
		}

		issued, _ := answered(t, post(t, handler, bothways.Bearer(token)))
		if got := bothways.Outcome(t, post(t, handler, bothways.Bearer(issued))); got != "401 wrong_issuer" {
			t.Errorf("a session exchanged: got %s, want 401 wrong_issuer", got)
		}
		if got := bothways.Verdict(t, guard, token); !strings.HasPrefix(got, "401 ") {
			t.Errorf("the provider's token at a guard: got %s, want it refused", got)
		}
		if got := bothways.Verdict(t, guard, issued); got != "served" {
			t.Errorf("the session at a guard: got %s, want it served", got)
		}
		// A renewal later, it is still that session, that long.
		late := minted.Payload(t, issued)
		late["iat"], late["exp"] = late["iat"].(float64)-800, late["exp"].(float64)-800
		late["auth_time"] = late["auth_time"].(float64) - 5000
		renewed := minted.Payload(t, renewedToken(bothways.Send(t, guard, "GET", "/", bothways.Bearer(minted.Token(t, late)), nil)))
		for _, name := range []string{"sid", "idp", "sub", "auth_time"} {
			if renewed[name] != late[name] {
				t.Errorf("renewed: got %s %v, want %v", name, renewed[name], late[name])
			}
		}
	})
}

// forged is an ES256 token with the one other signature that anybody can make of its own: r and n − s.
func forged(t testing.TB, token string) string {
	t.Helper()
	end := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		t.Fatal(err)
	}
	order := minted.Key(t, "P-256").Public().(*ecdsa.PublicKey).Params().N
	s := new(big.Int).Sub(order, new(big.Int).SetBytes(signature[32:]))
	return token[:end+1] + minted.Base64(append(signature[:32:32], s.FillBytes(make([]byte, 32))...))
}

// An exchange verifies anew: a key that is withdrawn, or a keyset that cannot be reached, is no token's way in.
func TestExchangeKeys(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		down := minted.NewKeyServer(t, func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "down", 500) })
		down.Start()
		o := exchangeOptions(t, nil)
		o["trustedIssuers"] = []any{map[string]any{"issuer": provider, "jwksUrl": down.URL}}
		handler, _ := e.Middleware(t, o.With(options{"clientConfig": map[string]any{"maxRetries": 0}}))
		rec := post(t, handler, bothways.Bearer(providers(t, presented())))
		if got := bothways.Outcome(t, rec); got != "503 keys_unavailable" || rec.Header().Get("Retry-After") == "" {
			t.Errorf("got %s and %v, want 503 keys_unavailable and when to try again", got, rec.Header())
		}
	})
}

// A gRPC caller gets a refusal as one, and no session by another way.
func TestExchangeGRPC(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, exchangeOptions(t, options{"cookie": map[string]any{"name": "session"}}))
		good := bothways.Bearer(providers(t, presented()))
		tests := []struct {
			name   string
			header http.Header
			want   string
		}{
			{"a good token", good, "204"},
			{"another site", http.Header{"Authorization": good["Authorization"], "Origin": {"https://evil.example"}}, "gRPC 7"},
			{"no token", http.Header{}, "gRPC 16"},
			{"one's own token", bothways.Bearer(minted.Token(t, minted.Valid())), "gRPC 16"},
		}
		for _, test := range tests {
			rec := bothways.Call(t, handler, "application/grpc", "/session", test.header)
			if got := bothways.Outcome(t, rec); got != test.want || (got != "204") == (rec.Header()["Set-Cookie"] != nil) {
				t.Errorf("%s: got %s and %v, want %s", test.name, got, rec.Header(), test.want)
			}
		}
	})
}

func TestExchangeOptions(t *testing.T) {
	server := minted.Serving(t, minted.JWKSet(t))
	trusted := func(issuers ...string) []any {
		all := []any{}
		for _, issuer := range issuers {
			all = append(all, map[string]any{"issuer": issuer, "jwksUrl": server.URL})
		}
		return all
	}
	exchange := func(o map[string]any) options { return options{"exchange": o} }
	sub := map[string]any{"sub": "sub"}
	tests := []struct {
		name    string
		options options
		want    []string // what New says; none: it accepts them
	}{
		{"accepted", nil, nil},
		{"what decides who may", options{"scopes": "a", "claims": "Equals(`a`, `b`)", "tokenKey": "subject_token", "cookie": map[string]any{"name": "session"}}, nil},
		{"no header, but a form", options{"headerName": "", "tokenKey": "subject_token", "cookie": map[string]any{"name": "session"}}, nil},
		{"no key", options{"signingSecret": nil}, []string{"exchange: needs a key that can sign: privateKey, signingSecret, or a private key in jwksFile"}},
		{"a public key", options{"signingSecret": nil, "publicKey": minted.PEM(t, "PKIX", minted.Key(t, "P-256"))}, []string{"exchange: needs a key that can sign: privateKey, signingSecret, or a private key in jwksFile"}},
		{"no trusted issuer", options{"trustedIssuers": nil}, []string{"exchange: needs an entry of trustedIssuers that has an issuer"}},
		{"a trusted issuer without a name", options{"trustedIssuers": trusted("")}, []string{"exchange: needs an entry of trustedIssuers that has an issuer"}},
		{"no audience", options{"audience": nil}, []string{"exchange: needs audience: without it, a token issued to another application could begin a session here"}},
		{"an empty audience", exchange(map[string]any{"claims": sub, "audience": []any{"a", " "}}), []string{`exchange.audience: "" is empty`}},
		{"no sub", exchange(map[string]any{"claims": map[string]any{"mail": "email"}}), []string{"exchange.claims: needs sub, which names the user of the session"}},
		{"a path with a format", exchange(map[string]any{"claims": map[string]any{"sub": "sub | json"}}), []string{`exchange.claims: "sub" from "sub | json": it is not a claim path`}},
		{"audience left empty", exchange(map[string]any{"claims": sub, "audience": ""}), []string{"exchange.audience: the list is empty"}},
		{"a sub from nowhere", exchange(map[string]any{"claims": map[string]any{"sub": " "}}), []string{`exchange.claims: "sub" from " ": a claim's name or path is empty`}},
		{"a claim without a name", exchange(map[string]any{"claims": map[string]any{"sub": "sub", "": "a"}}), []string{`exchange.claims: "" from "a": a claim's name or path is empty`}},
		{"claims that the gateway sets", exchange(map[string]any{"claims": map[string]any{
			"sub": "sub", "iss": "iss", "aud": "aud", "iat": "iat", "exp": "exp", "nbf": "nbf", "jti": "jti", "auth_time": "auth_time", "sid": "sid", "idp": "idp", "cnf": "cnf",
		}}), []string{
			`exchange.claims: "aud" is set by the gateway`, `exchange.claims: "auth_time" is set by the gateway`, `exchange.claims: "cnf" is set by the gateway`,
			`exchange.claims: "exp" is set by the gateway`, `exchange.claims: "iat" is set by the gateway`, `exchange.claims: "idp" is set by the gateway`,
			`exchange.claims: "iss" is set by the gateway`, `exchange.claims: "jti" is set by the gateway`, `exchange.claims: "nbf" is set by the gateway`,
			`exchange.claims: "sid" is set by the gateway`,
		}},
		{"durations", exchange(map[string]any{"claims": sub, "lifetime": "x", "maxAge": "0s"}), []string{`exchange.lifetime: "x" is not a duration (for example 5m or 300)`, `exchange.maxAge: "0s" is less than 1s`}},
		{"without claims", exchange(map[string]any{"lifetime": "5m"}), []string{"exchange.claims: required when another exchange option is set"}},
		{"an unknown option", exchange(map[string]any{"claims": sub, "maxage2": "5m"}), []string{`unknown option "exchange.maxage2"`}},
		{"the cookie alone", options{"headerName": "", "cookie": map[string]any{"name": "session"}}, []string{"headerName: it is empty, and neither cookie nor tokenKey is set, so there is no place for the token"}},
		{"a guard's options", options{"forwardHeaders": map[string]any{"X-Sub": "sub"}, "optional": true, "renew": map[string]any{"before": "50%"}}, []string{
			"exchange: cannot be combined with forwardHeaders, which is an option of a guard", "exchange: cannot be combined with optional, which is an option of a guard",
			"exchange: cannot be combined with renew.before, which is an option of a guard",
		}},
		{"two roles", options{"issue": map[string]any{"header": "X-Issue-Claims"}}, []string{"issue: cannot be combined with exchange: a middleware has one role"}},
		{"one's own issuer as trusted", options{"trustedIssuers": trusted("https://gateway.example")}, []string{`trustedIssuers[0].issuer: "https://gateway.example" is also issuer`}},
	}
	base := options{
		"signingSecret": minted.Secret, "issuer": "https://gateway.example", "audience": "web", "trustedIssuers": trusted(provider),
		"exchange": map[string]any{"claims": sub},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			err := e.Refusal(base.With(test.options))
			got := []string{}
			if err != nil {
				got = strings.Split(strings.TrimPrefix(err.Error(), "slidingjwt: "), "\n")
			}
			isSame := len(got) == len(test.want)
			for i := 0; isSame && i < len(got); i++ {
				isSame = strings.HasPrefix(got[i], test.want[i])
			}
			if !isSame {
				t.Errorf("%s: got\n%q, want\n%q", test.name, got, test.want)
			}
		}
		for _, test := range []struct {
			name    string
			issuers []any
			want    int
		}{
			{"one trusted issuer", trusted(provider), 0},
			{"one with a name", trusted(provider, ""), 0},
			{"two", trusted(provider, "https://other.example"), 1},
		} {
			logged := e.Logged(t, func() { _ = e.Refusal(base.With(options{"trustedIssuers": test.issuers, "realm": distinct()})) })
			if len(logged) != test.want || test.want > 0 && !(strings.Contains(logged[0], "sub") && strings.Contains(logged[0], "idp")) {
				t.Errorf("%s: got the lines %q, want %d of sub and idp", test.name, logged, test.want)
			}
		}
	})
}

// The log says what a refused exchange was, and never its token.
func TestExchangeLog(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, exchangeOptions(t, options{"exchange": mapping(map[string]any{"a": "a", "b": "a"}, nil)}))
		for _, test := range []struct{ token, want string }{
			{minted.Token(t, minted.Valid().With(claims{"iss": "https://gateway.example"})), provider},
			{providers(t, presented().With(claims{"iat": 1})), "token_too_old"},
			{providers(t, presented().With(claims{"a": strings.Repeat("x", 4000)})), "8 KiB"},
		} {
			logged := strings.Join(e.Logged(t, func() { post(t, handler, bothways.Bearer(test.token)) }), "\n")
			if !strings.Contains(logged, test.want) || strings.Contains(logged, test.token[:20]) || strings.Contains(logged, `one of ["https://gateway`) {
				t.Errorf("got the log %q, want %s and no token", logged, test.want)
			}
		}
	})
}

// Whatever a client sends behind its headers, the answer is the same.
func TestExchangeBody(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, exchangeOptions(t, options{"tokenKey": "subject_token"}))
		header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		token := providers(t, presented())
		for name, test := range map[string]struct {
			body io.Reader
			want string
		}{
			"chunked":            {chunked{strings.NewReader("subject_token=" + token)}, "served"},
			"behind 64 KiB":      {strings.NewReader("a=" + strings.Repeat("x", 70_000) + "&subject_token=" + token), "401 token_missing"},
			"broken off":         {failingReader{}, "400 malformed_form"},
			"percent-encoded":    {strings.NewReader("subject%5Ftoken=" + strings.ReplaceAll(token, ".", "%2E")), "served"},
			"an actor's as well": {strings.NewReader("subject_token=" + token + "&actor_token=x&scope=admin&audience=other"), "served"},
		} {
			if got := bothways.Outcome(t, bothways.Send(t, handler, "POST", "/", header, test.body)); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		}
	})
}
