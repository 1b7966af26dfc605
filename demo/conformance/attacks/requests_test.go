package attacks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// placeRows send tokens in more than one place, where none is looked for, or none at all in a request that hopes to be
// exempt (RFC 6750 2, RFC 9110 11).
func placeRows(t *testing.T) []row {
	t.Helper()
	good, other := minted.Token(t, user()), minted.Token(t, user().With(claims{"sub": "bob"}))
	bad := good[:strings.LastIndexByte(good, '.')+1] + minted.Base64(make([]byte, 32))
	const missing, several, malformed, foreign = "401 token_missing", "400 multiple_tokens", "400 malformed_authorization", "403 cross_site"
	rows := []row{
		{source: "CVE-2025-64527", input: "two headers", header: lines{"Authorization: Bearer " + good, "Authorization: Bearer " + other}, want: several},
		{source: "CVE-2025-64527", input: "two headers, the same token", header: lines{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, want: several},
		{source: "RFC 9110 5.3", input: "two headers, one Basic", header: lines{"Authorization: Basic eDp5", "Authorization: Bearer " + good}, want: several},
		{source: "RFC 9110 5.3", input: "a list with a comma", header: lines{"Authorization: Bearer " + good + ", Bearer " + other}, want: malformed},
		{source: "RFC 9110 5.3", input: "a list with a comma, no space", header: lines{"Authorization: Bearer " + good + "," + other}, want: malformed},
		{source: "RFC 9110 5.3", input: "two words", header: lines{"Authorization: Bearer " + good + " " + other}, want: malformed},
		{source: "RFC 6750 2.1", input: "Bearer alone", header: lines{"Authorization: Bearer"}, want: malformed},
		{source: "RFC 6750 2.1", input: "a tab behind Bearer", header: lines{"Authorization: Bearer\t" + good}, want: malformed},
		{source: "RFC 6750 2", input: "another in the cookie", header: lines{"Authorization: Bearer " + good, "Cookie: session=" + other}, want: several},
		{source: "RFC 6750 2", input: "another in the query", header: lines{"Authorization: Bearer " + good}, target: "/?access_token=" + other, want: several},
		{source: "RFC 6750 2", input: "a bad one in the cookie beside a good one", header: lines{"Authorization: Bearer " + good, "Cookie: session=" + bad}, want: several},
		{source: "RFC 6265 5.4", input: "two cookies of the name", header: lines{"Cookie: session=" + good + "; session=" + other}, want: several},
		{source: "RFC 6265 5.4", input: "two cookies in two lines", header: lines{"Cookie: session=" + good, "Cookie: session=" + other}, want: several},
		{source: "parameter pollution", input: "the parameter twice", target: "/?access_token=" + good + "&access_token=" + other, want: several},
		{source: "parameter pollution", input: "the parameter twice, once escaped", target: "/?access_token=" + good + "&%61ccess_token=" + other, want: several},
		{source: "parameter pollution", input: "51 parameters of the name", target: "/?" + strings.Repeat("access_token=a&", 51), want: "400 too_many_parts"},
		{source: "parameter pollution", input: "51 cookies of the name", header: lines{"Cookie: " + strings.Repeat("session=a;", 51)}, want: "400 too_many_parts"},
		{source: "parameter pollution", input: "200 connection options", header: lines{"Authorization: Bearer " + good, "Connection: " + strings.Repeat("a,", 200)}, want: "400 too_many_parts"},
		{source: "limits", input: "a token of 8,193 bytes", header: lines{"Authorization: Bearer " + strings.Repeat("a", 8193)}, want: "400 token_too_long"},
		{source: "limits", input: "a form with the token behind 64 KiB", method: "POST", form: "a=" + strings.Repeat("a", 64<<10) + "&access_token=" + good, want: missing},

		{source: "RFC 6750 2", input: "in Proxy-Authorization", header: lines{"Proxy-Authorization: Bearer " + good}, want: missing},
		{source: "RFC 6750 2", input: "in X-Forwarded-Authorization", header: lines{"X-Forwarded-Authorization: Bearer " + good, "X-Authorization: Bearer " + good, "X-Original-Authorization: Bearer " + good}, want: missing},
		{source: "RFC 6750 2", input: "in X-Auth-Token", header: lines{"X-Auth-Token: " + good, "X-Access-Token: " + good}, want: missing},
		{source: "RFC 9449 7.1", input: "as DPoP", header: lines{"Authorization: DPoP " + good}, want: missing},
		{source: "RFC 7617", input: "as Basic", header: lines{"Authorization: Basic " + good}, want: missing},
		{source: "RFC 6750 2.1", input: "no space behind Bearer", header: lines{"Authorization: Bearer" + good}, want: missing},
		{source: "RFC 6750 2.1", input: "no scheme", header: lines{"Authorization: " + good}, want: missing},
		{source: "RFC 6265 5.4", input: "a cookie of another case", header: lines{"Cookie: SESSION=" + good}, want: missing},
		{source: "RFC 6750 2.3", input: "a parameter of another case", target: "/?ACCESS_TOKEN=" + good, want: missing},
		{source: "RFC 6750 2.2", input: "a form by GET", form: "access_token=" + bad, want: "401 bad_signature"},

		{source: "CVE-2023-27487", input: "no token, and a path that a proxy would have had", header: lines{"X-Envoy-Original-Path: /public", "X-Original-Url: /public", "X-Rewrite-Url: /public", "X-Forwarded-Uri: /public", "X-Forwarded-Prefix: /public"}, want: missing},
		{source: "CVE-2020-8595", input: "no token, and a path with a question mark", target: "/public?/../admin", want: missing},
		{source: "CVE-2021-31920", input: "no token, and a path with escapes", target: "/public/..%2f..%2Fadmin;x", want: missing},
		{source: "CVE-2021-31920", input: "no token, and a path of slashes", target: "//public//../admin/", want: missing},
		{source: "method override", input: "no token, and a method by header", header: lines{"X-Http-Method-Override: OPTIONS", "X-Forwarded-Method: OPTIONS"}, want: missing},
		{source: "method override", input: "no token, and OPTIONS", method: "OPTIONS", want: missing},
		{source: "method override", input: "no token, and a preflight with a form", method: "OPTIONS", header: lines{"Origin: https://evil.example", "Access-Control-Request-Method: PUT"}, form: "a=b", want: missing},
		{source: "method override", input: "no token, and a preflight by GET", header: lines{"Origin: https://evil.example", "Access-Control-Request-Method: PUT"}, want: missing},
		{source: "method override", input: "no token, and HEAD", method: "HEAD", want: "401"},
		{source: "method override", input: "no token, and TRACE", method: "TRACE", want: missing},
		{source: "method override", input: "no token, and a method that nobody knows", method: "JEFF", want: missing},
		{source: "gRPC", input: "no token, and a gRPC content type over HTTP/1.1", method: "POST", header: lines{"Content-Type: application/grpc"}, want: missing},
		{source: "gRPC", input: "no token, and a gRPC content type by GET over HTTP/2", header: lines{"Content-Type: application/grpc"}, major: 2, want: missing},
		{source: "gRPC", input: "no token, and a gRPC call", method: "POST", header: lines{"Content-Type: application/grpc"}, major: 2, want: "gRPC 16"},
		{source: "h2c smuggling", input: "no token, and an Upgrade to h2c", header: lines{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}, want: missing},
		{source: "h2c smuggling", input: "no token, and a WebSocket", header: lines{"Connection: Upgrade", "Upgrade: websocket", "Sec-Websocket-Version: 13"}, want: missing},

		{source: "RFC 6265 8.2", input: "a cookie by POST from another site", method: "POST", header: lines{"Cookie: session=" + good, "Sec-Fetch-Site: cross-site"}, want: foreign},
		{source: "RFC 6265 8.2", input: "a cookie by POST from a sibling", method: "POST", header: lines{"Cookie: session=" + good, "Sec-Fetch-Site: same-site"}, want: foreign},
		{source: "RFC 6265 8.2", input: "a cookie by POST, and a value that no browser has", method: "POST", header: lines{"Cookie: session=" + good, "Sec-Fetch-Site: Same-Origin"}, want: foreign},
		{source: "RFC 6265 8.2", input: "a cookie by POST from another Origin", method: "POST", header: lines{"Cookie: session=" + good, "Origin: https://evil.example"}, want: foreign},
		{source: "RFC 6265 8.2", input: "a cookie by POST from the Origin null", method: "POST", header: lines{"Cookie: session=" + good, "Origin: null"}, want: foreign},
		{source: "RFC 6265 8.2", input: "a cookie by POST from an Origin that begins alike", method: "POST", header: lines{"Cookie: session=" + good, "Origin: http://example.com.evil.example"}, want: foreign},
		{source: "RFC 6265 8.2", input: "a cookie by a method that nobody knows, from another site", method: "JEFF", header: lines{"Cookie: session=" + good, "Sec-Fetch-Site: cross-site"}, want: foreign},
		{source: "cross-site WebSocket hijacking", input: "a cookie and a WebSocket from another site", header: lines{"Cookie: session=" + good, "Sec-Fetch-Site: cross-site", "Connection: Upgrade", "Upgrade: websocket"}, want: foreign},
		{source: "cross-site WebSocket hijacking", input: "a cookie and a WebSocket from another Origin", header: lines{"Cookie: session=" + good, "Origin: https://evil.example", "Connection: Upgrade", "Upgrade: websocket"}, want: foreign},
	}
	for i := range rows {
		rows[i].options = guard
	}
	optional := guard.With(options{"optional": true})
	return append(rows,
		row{source: "CVE-2021-21378", input: "a bad token where none is needed", options: optional, token: bad, want: "401 bad_signature"},
		row{source: "CVE-2021-21378", input: "an expired token where none is needed", options: optional, token: minted.Token(t, user().With(claims{"exp": time.Now().Unix() - 60})), want: "401 token_expired"},
		row{source: "CVE-2021-21378", input: "a broken header where no token is needed", options: optional, header: lines{"Authorization: Bearer"}, want: malformed},
		row{source: "CVE-2021-21378", input: "two tokens where none is needed", options: optional, header: lines{"Authorization: Bearer " + good, "Cookie: session=" + other}, want: several})
}

// beliefRows try to make a service believe what no token says (CVE-2026-33433, CVE-2026-54763, CVE-2026-88011 of Traefik's own
// middlewares; CVE-2024-45410).
func beliefRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	good := minted.Token(t, user())
	roleless := minted.Token(t, user().With(claims{"role": nil}))
	optional := guard.With(options{"optional": true})
	const asRoleless = "served, X-User-Id: ada"
	var spellings []string
	for _, separator := range strings.Split("- _ . ~ ! # $ % & ' * + ^ ` |", " ") {
		for _, name := range []string{"X-Role", "x-role", "X-ROLE", "x-rOLE"} {
			spellings = append(spellings, strings.ReplaceAll(name, "-", separator))
		}
	}
	for _, name := range spellings {
		spoof := lines{name + ": admin", strings.NewReplacer("Role", "User-Id", "role", "user-id", "ROLE", "USER-ID", "rOLE", "user-ID").Replace(name) + ": root"}
		source := "CVE-2026-54763, CVE-2026-88011"
		rows = append(rows,
			row{source: source, input: fmt.Sprintf("%s beside a token", name), options: guard, token: good, header: spoof, want: asUser},
			row{source: source, input: fmt.Sprintf("%s beside a token that has no role", name), options: guard, token: roleless, header: spoof, want: asRoleless},
			row{source: source, input: fmt.Sprintf("%s where no token is needed", name), options: optional, header: spoof, want: "served"},
			row{source: source, input: fmt.Sprintf("%s on a preflight", name), options: guard, method: "OPTIONS", header: append(lines{"Origin: https://evil.example", "Access-Control-Request-Method: PUT"}, spoof...), want: "served"},
			row{source: "trailers", input: fmt.Sprintf("%s as a trailer beside a token", name), options: guard, token: good, method: "POST", trailer: spoof, want: asUser},
			row{source: "trailers", input: fmt.Sprintf("%s as a trailer where no token is needed", name), options: optional, method: "POST", trailer: spoof, want: "served"},
			row{source: "CVE-2024-45410, RFC 9110 7.6.1", input: fmt.Sprintf("Connection: %s", name), options: guard, token: good, header: lines{"Connection: " + name}, want: asUser})
	}
	for _, name := range []string{"X-Http-Method-Override", "X-HTTP-Method", "x-method-override", "X_HTTP_Method_Override", "x.http.method"} {
		rows = append(rows, row{source: "method override", input: name + " on a preflight", options: guard, method: "OPTIONS", header: lines{"Origin: https://evil.example", "Access-Control-Request-Method: PUT", name + ": DELETE"}, want: "served"})
	}
	rows = append(rows,
		row{source: "h2c smuggling", input: "an Upgrade to h2c beside a token", options: guard, token: good, header: lines{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}, want: asUser},
		row{source: "h2c smuggling", input: "an Upgrade to a WebSocket or h2c", options: guard, token: good, header: lines{"Connection: Upgrade", "Upgrade: websocket, h2c"}, want: asUser},
		row{source: "h2c smuggling", input: "an Upgrade to TLS", options: guard, token: good, header: lines{"Connection: Upgrade", "Upgrade: TLS/1.0"}, want: asUser},
		row{source: "RFC 6750 5.3", input: "a token in the query, which would be in the service's log", options: guard, target: "/?a=b&access_token=" + good, want: asUser},
		row{source: "RFC 6750 5.3", input: "a token in every place", options: guard, token: good, target: "/?access_token=" + good, header: lines{"Cookie: session=" + good}, want: asUser})

	// What a claim holds reaches no service as another header, or another line.
	for _, role := range []string{
		"admin\r\nX-User-Id: root", "admin\nX-User-Id: root", "admin\rX-User-Id: root", "user\x00admin", "\x00", "user\tadmin", "user\x7f", "user\u0085X-User-Id: root", "user\u2028"[:4] + "\x0b",
		" user", "user ", "user\x1b[2J", strings.Repeat("a", 4097),
	} {
		short := role
		if len(short) > 40 {
			short = short[:40] + "…"
		}
		rows = append(rows, row{source: "CWE-113", input: fmt.Sprintf("a role of %q, and a header that claims one", short), options: guard, token: minted.Token(t, user().With(claims{"role": role})), header: lines{"X-Role: admin"}, want: asRoleless})
	}
	rows = append(rows,
		row{source: "CWE-113", input: "a role of 1 MiB", options: guard, token: minted.Token(t, user().With(claims{"role": strings.Repeat("a", 1<<20)})), want: "400 token_too_long"},
		row{source: "CWE-113", input: "a list with a comma in an element", options: guard, token: minted.Token(t, user().With(claims{"role": []any{"user", "x,admin"}})), header: lines{"X-Role: admin"}, want: asRoleless},
		row{source: "CWE-113", input: "a list with a line break", options: guard, token: minted.Token(t, user().With(claims{"role": []any{"user", "x\r\nX-User-Id: root"}})), header: lines{"X-Role: admin"}, want: asRoleless})
	return rows
}

// sessionRows try to get more of a token, or of what is remembered of one, than it gives.
func sessionRows(t *testing.T) []row {
	t.Helper()
	now := time.Now().Unix()
	due := func(more claims) claims { return minted.Due().With(claims{"role": "user"}).With(more) }
	hs := func(c claims) string { return minted.Token(t, c) }
	forge := func(c claims) string {
		token := hs(c)
		return token[:strings.LastIndexByte(token, '.')+1] + minted.Base64(make([]byte, 32))
	}
	const renewed = asUser + ", renewed"
	rsaKey := minted.Key(t, "RSA")
	others := guard.With(options{"publicKey": minted.PEM(t, "PKIX", rsaKey)})
	remote := guard.With(options{"audience": "api", "jwksUrl": minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "k", rsaKey))).URL})
	rows := []row{
		{source: "renewal", input: "one that is due, to see that it works", options: guard, token: hs(due(nil)), want: renewed},
		{source: "renewal", input: "one that is due, in the cookie", options: guard, header: lines{"Cookie: session=" + hs(due(nil))}, want: renewed},
		{source: "renewal", input: "forged", options: guard, token: forge(due(nil)), want: "401 bad_signature"},
		{source: "renewal", input: "forged, in the cookie", options: guard, header: lines{"Cookie: session=" + forge(due(nil))}, want: "401 bad_signature"},
		{source: "renewal", input: "forged, the good one remembered", options: guard, first: hs(due(nil)), token: forge(due(nil)), want: "401 bad_signature"},
		{source: "CVE-2024-51744", input: "expired and forged", options: guard, token: forge(due(claims{"exp": now - 60})), want: "401 token_expired"},
		{source: "renewal", input: "expired", options: guard, token: hs(due(claims{"exp": now - 60})), want: "401 token_expired"},
		{source: "renewal", input: "expired, in the cookie", options: guard, header: lines{"Cookie: session=" + hs(due(claims{"exp": now - 60}))}, want: "401 token_expired"},
		{source: "renewal", input: "expired but for the leeway", options: guard.With(options{"leeway": "10m"}), token: hs(due(claims{"exp": now - 5})), want: asUser},
		{source: "renewal", input: "by nobody", options: guard, token: forged(t, claims{"alg": "none"}, due(nil), octets()), want: "401 wrong_algorithm"},
		{source: "renewal", input: "by a key that is not one's own", options: others, token: minted.Signed(t, rsaKey, claims{"alg": "RS256"}, due(nil)), want: asUser},
		{source: "renewal", input: "by a key of an endpoint", options: remote, token: minted.Signed(t, rsaKey, claims{"alg": "RS256", "kid": "k"}, due(claims{"aud": "api"})), want: asUser},
		{source: "renewal", input: "in the query", options: guard, target: "/?access_token=" + hs(due(nil)), want: asUser},
		{source: "renewal", input: "in the cookie, by POST from another site", options: guard, method: "POST", header: lines{"Cookie: session=" + hs(due(nil)), "Sec-Fetch-Site: cross-site"}, want: "403 cross_site"},
		{source: "renewal", input: "on a preflight", options: guard, method: "OPTIONS", token: hs(due(nil)), header: lines{"Origin: https://evil.example", "Access-Control-Request-Method: PUT"}, want: "served"},
		{source: "renewal", input: "whose session is over", options: guard, token: hs(due(claims{"auth_time": now - maxSession})), want: asUser},
		{source: "renewal", input: "whose session is over soon", options: guard, token: hs(due(claims{"auth_time": now - maxSession + 1800})), want: renewed},
		{source: "renewal", input: "whose session began in the future", options: guard, token: hs(due(claims{"auth_time": now + 3600})), want: asUser},
		{source: "renewal", input: "whose session began after it was issued", options: guard, token: hs(due(claims{"auth_time": now - 60})), want: asUser},
		{source: "renewal", input: "whose session began at a text", options: guard, token: hs(due(claims{"auth_time": fmt.Sprint(now)})), want: asUser},
		{source: "renewal", input: "whose session began at a list", options: guard, token: hs(due(claims{"auth_time": []any{now}})), want: asUser},
		{source: "renewal", input: "whose session began before 1970", options: guard, token: hs(due(claims{"auth_time": -1})), want: asUser},
		{source: "renewal", input: "without iat", options: guard, token: hs(due(claims{"iat": nil})), want: asUser},
		{source: "renewal", input: "with the role missing where it is demanded", options: guard.With(options{"claims": "Equals(`role`, `admin`)"}), token: hs(due(nil)), want: "403 claims_not_sufficient"},
		{source: "renewal", input: "with a scope missing", options: guard.With(options{"scopes": []any{"write"}}), token: hs(due(nil)), want: "403 insufficient_scope"},
		{source: "renewal", input: "for another audience", options: guard.With(options{"audience": "api"}), token: hs(due(claims{"aud": "web"})), want: "401 wrong_audience"},
	}

	// A token of one configuration opens no other, remembered or not: what is remembered is shared by nobody who would judge otherwise.
	token := hs(user().With(claims{"aud": "web", "iss": "https://a.example.com", "scope": "read", "grp": "staff"}))
	for name, other := range map[string]struct {
		options options
		want    string
	}{
		"another secret":       {options{"signingSecret": strings.Repeat("another secret ", 5)}, "401 bad_signature"},
		"another key":          {options{"signingSecret": nil, "renew": nil, "publicKey": minted.PEM(t, "PKIX", rsaKey)}, "401 wrong_algorithm"},
		"another audience":     {options{"audience": "api"}, "401 wrong_audience"},
		"another issuer":       {options{"issuer": "https://b.example.com"}, "401 wrong_issuer"},
		"another type":         {options{"tokenType": "at+jwt"}, "401 wrong_type"},
		"other algorithms":     {options{"algorithms": "HS512"}, "401 wrong_algorithm"},
		"other scopes":         {options{"scopes": []any{"read", "write"}}, "403 insufficient_scope"},
		"another expression":   {options{"claims": "Equals(`grp`, `admin`)"}, "403 claims_not_sufficient"},
		"no claims to forward": {options{"forwardHeaders": nil}, "served"},
	} {
		rows = append(rows, row{source: "CVE-2026-35039", input: "a token that another middleware remembers, where there is " + name, options: guard.With(other.options), others: guard, first: token, token: token, want: other.want})
	}
	// The other way round: it was let in where less is demanded.
	strict := guard.With(options{"audience": "api"})
	rows = append(rows,
		row{source: "CVE-2026-35039", input: "a token that a middleware without audience remembers", options: strict, others: guard, first: token, token: token, want: "401 wrong_audience"},
		row{source: "CVE-2026-35039", input: "a token that a middleware with a longer leeway remembers", options: guard, others: guard.With(options{"leeway": "1h"}), first: hs(user().With(claims{"exp": now - 60})), token: hs(user().With(claims{"exp": now - 60})), want: "401 token_expired"})
	return rows
}
