package attacks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// inAnHour is an exp as it is written.
func inAnHour() string { return fmt.Sprint(time.Now().Unix() + 3600) }

// written is an HS256 token under the right secret of a header and a payload that need not be JSON.
func written(header, payload string) string { return minted.Written(header, payload) }

// formRows send what is no token in its one form (BCP 3.7, "Check JWT Format Type", "Avoid Compression").
func formRows(t *testing.T) []row {
	t.Helper()
	const header = `{"alg":"HS256","typ":"JWT"}`
	payload := `{"sub":"ada","role":"user","exp":` + inAnHour() + `}`
	with := func(members string) string {
		return `{"sub":"ada","role":"user",` + members + `,"exp":` + inAnHour() + `}`
	}
	good := written(header, payload)
	parts := strings.Split(good, ".")
	forgedParts := strings.Split(written(header, strings.Replace(payload, "user", "admin", 1)), ".")
	deep := func(open, closed string, depth int) string {
		return strings.Repeat(open, depth) + "1" + strings.Repeat(closed, depth)
	}
	unsigned := func(header, payload string) string {
		return minted.Base64(header) + "." + minted.Base64(payload) + "." + minted.Base64(make([]byte, 32))
	}
	const malformed, critical, long = "401 token_malformed", "401 unsupported_header", "400 token_too_long"
	const format, bcp7, json = "BCP Check JWT Format Type", "BCP 3.7", "RFC 8259, RFC 7515 4"
	rows := []row{
		{source: format, input: "nothing but dots", token: "..", want: malformed},
		{source: "CVE-2025-30204, CVE-2025-27144", input: "8,192 dots", token: strings.Repeat(".", 8192), want: malformed},
		{source: "CVE-2025-30204, CVE-2025-27144", input: "a megabyte of dots", token: strings.Repeat(".", 1<<20), want: long},
		{source: "CVE-2025-61920", input: "a header of a megabyte", token: minted.Base64(`{"alg":"HS256","x":"`+strings.Repeat("x", 1<<20)+`"}`) + "." + parts[1] + "." + parts[2], want: long},
		{source: "CVE-2025-61920", input: "a header that makes it longer than 8 KiB", token: written(`{"alg":"HS256","x":"`+strings.Repeat("x", 6100)+`"}`, payload), want: long},
		{source: "CVE-2025-61920", input: "a signature of a megabyte", token: parts[0] + "." + parts[1] + "." + strings.Repeat("A", 1<<20), want: long},
		{source: format, input: "one part", token: parts[1], want: malformed},
		{source: format, input: "two parts", token: parts[0] + "." + parts[1], want: malformed},
		{source: format, input: "four parts", token: good + "." + parts[2], want: malformed},
		{source: format, input: "an empty part behind", token: good + ".", want: malformed},
		{source: format, input: "an empty part before", token: "." + good, want: malformed},
		{source: format, input: "no header", token: "." + parts[1] + "." + parts[2], want: malformed},
		{source: format, input: "no payload", token: minted.HS256(parts[0] + "."), want: malformed},
		{source: "CVE-2023-51774, CVE-2026-29000", input: "a JWE", token: minted.Base64(`{"alg":"RSA-OAEP","enc":"A128GCM"}`) + ".AAAA.AAAA.AAAA.AAAA", want: malformed},
		{source: "BCP Limit Hash Iteration Count", input: "a JWE with 2^31 iterations", token: minted.Base64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAAAAAA"}`) + ".AAAA.AAAA.AAAA.AAAA", want: malformed},
		{source: "CVE-2024-28122, CVE-2024-28180, CVE-2024-33664", input: "a JWE that is compressed", token: minted.Base64(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`) + "..AAAA.AAAA.AAAA", want: malformed},
		{source: "BCP Avoid Compression", input: "zip", token: written(`{"alg":"HS256","zip":"DEF"}`, payload), want: critical},
		{source: "BCP 3.3", input: "a token within a token (cty)", token: written(`{"alg":"HS256","cty":"JWT"}`, good), want: malformed},
		{source: "CVE-2022-39227", input: "JSON serialisation", token: `{"payload":"` + parts[1] + `"}`, want: malformed},
		{source: "CVE-2022-39227", input: "JSON serialisation, flattened, around other claims", token: `{"` + forgedParts[0] + "." + forgedParts[1] + `.":"","protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, want: "400 malformed_authorization"},
		{source: "CVE-2022-39227", input: "the same in a cookie", header: lines{"Cookie: session=" + `{"` + forgedParts[0] + "." + forgedParts[1] + `.":"","protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`}, want: malformed},
		{source: "CVE-2022-39227", input: "JSON serialisation, one member", token: `{"` + forgedParts[0] + "." + forgedParts[1] + "." + parts[2] + `"}`, want: malformed},
		{source: format, input: "in quotes", token: `"` + good + `"`, want: malformed},
		{source: format, input: "dots in percent-encoding", token: strings.ReplaceAll(good, ".", "%2e"), want: malformed},
		{source: format, input: "dots of another alphabet", token: strings.ReplaceAll(good, ".", "。"), want: malformed},

		{source: "RFC 7515 2", input: "padding behind the payload", token: minted.HS256(parts[0] + "." + minted.Base64(payload+" ") + "="), want: malformed},
		{source: "RFC 7515 2", input: "padding behind the signature", first: good, token: good + "=", want: malformed},
		{source: "RFC 7515 2", input: "a line break in the signature", first: good, token: good[:len(good)-4] + "\n" + good[len(good)-4:], want: malformed},
		{source: "RFC 7515 2", input: "a line break in the payload", token: minted.HS256(parts[0] + "." + parts[1][:8] + "\r\n" + parts[1][8:]), want: malformed},
		{source: "RFC 7515 2", input: "a space in the signature", first: good, token: good[:len(good)-4] + " " + good[len(good)-4:], want: "400 malformed_authorization"},
		{source: "RFC 7515 2", input: "a NUL behind", first: good, token: good + "\x00", want: malformed},
		{source: "RFC 7515 2", input: "the alphabet of base64", token: minted.HS256(parts[0] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(minted.Base64(with(`"x":"???>>>~~~"`)))), want: malformed},

		{source: json, input: "a header that is null", token: written("null", payload), want: malformed},
		{source: json, input: "a header that is a list", token: written("["+header+"]", payload), want: malformed},
		{source: json, input: "a header that is a text", token: written(`"HS256"`, payload), want: malformed},
		{source: json, input: "text behind the header", token: written(header+"x", payload), want: malformed},
		{source: json, input: "a second header behind it", token: written(header+`{"alg":"none"}`, payload), want: malformed},
		{source: json, input: "text behind the claims", token: written(header, payload+"x"), want: malformed},
		{source: json, input: "second claims behind them", token: written(header, payload+payload), want: malformed},
		{source: json, input: "a NUL behind the claims", token: written(header, payload+"\x00"), want: malformed},
		{source: json, input: "claims that are null", token: written(header, "null"), want: malformed},
		{source: json, input: "claims that are a list", token: written(header, "["+payload+"]"), want: malformed},
		{source: json, input: "claims that are a number", token: written(header, inAnHour()), want: malformed},
		{source: json, input: "claims with a comment", token: written(header, with(`/* */"x":1`)), want: malformed},
		{source: json, input: "claims with NaN", token: written(header, with(`"x":NaN`)), want: malformed},
		{source: json, input: "claims with a comma too many", token: written(header, `{"exp":`+inAnHour()+`,}`), want: malformed},
		{source: json, input: "claims in single quotes", token: written(header, strings.ReplaceAll(payload, `"`, `'`)), want: malformed},
		{source: "RFC 7515 4", input: "alg twice", token: written(`{"alg":"HS256","alg":"HS256"}`, payload), want: malformed},
		{source: "RFC 7515 4", input: "alg twice, once escaped", token: written(`{"alg":"none","\u0061lg":"HS256"}`, payload), want: malformed},
		{source: "RFC 7515 4", input: "kid twice", token: written(`{"alg":"HS256","kid":"a","kid":"b"}`, payload), want: malformed},
		{source: "RFC 7519 4", input: "sub twice", token: written(header, with(`"sub":"root"`)), want: malformed},
		{source: "RFC 7519 4", input: "role twice, once escaped", token: written(header, with(`"r\u006fle":"admin"`)), want: malformed},
		{source: "RFC 7519 4", input: "exp twice", token: written(header, with(`"exp":1`)), want: malformed},
		{source: "RFC 7519 4", input: "a member twice within an object", token: written(header, with(`"x":{"a":1,"a":2}`)), want: malformed},
		{source: "RFC 7519 4", input: "a member twice within an object in a list", token: written(header, with(`"x":[1,{"a":1,"b":[],"a":2}]`)), want: malformed},
		{source: "RFC 7519 4", input: "names in another case, which are other names", token: written(header, with(`"SUB":"root","Role":"admin","EXP":1`)), want: asUser},
		{source: bcp7, input: "Latin-1 in a claim", token: written(header, with("\"x\":\"\xe9\"")), want: malformed},
		{source: bcp7, input: "Latin-1 in the header", token: written("{\"alg\":\"HS256\",\"x\":\"\xe9\"}", payload), want: malformed},
		{source: bcp7, input: "overlong UTF-8", token: written(header, with("\"x\":\"\xc0\xaf\"")), want: malformed},
		{source: bcp7, input: "a surrogate in UTF-8", token: written(header, with("\"x\":\"\xed\xa0\x80\"")), want: malformed},
		{source: bcp7, input: "a byte order mark", token: written(header, "\ufeff"+payload), want: malformed},
		{source: bcp7, input: "UTF-16", token: written(header, strings.Join(strings.Split(payload, ""), "\x00")+"\x00"), want: malformed},
		{source: bcp7, input: "UTF-16 in the header", token: written(strings.Join(strings.Split(header, ""), "\x00")+"\x00", payload), want: malformed},
		{source: "deep nesting", input: "2,000 lists in each other", token: written(header, with(`"x":`+deep("[", "]", 2000))), want: asUser},
		{source: "deep nesting", input: "2,000 lists in each other, forged", token: unsigned(header, with(`"x":`+deep("[", "]", 2000))), want: "401 bad_signature"},
		{source: "deep nesting", input: "600 objects in each other, forged", token: unsigned(header, with(`"x":`+deep(`{"a":`, "}", 600))), want: "401 bad_signature"},
		{source: "deep nesting", input: "200 objects in each other in the header", token: unsigned(`{"alg":"HS256","x":`+deep(`{"a":`, "}", 200)+`}`, payload), want: "401 bad_signature"},
		{source: "deep nesting", input: "1,000 objects that nobody closes, forged", token: unsigned(header, strings.Repeat(`{"a":`, 1000)), want: "401 bad_signature"},
		{source: "deep nesting", input: "1,000 objects that nobody closes", token: written(header, strings.Repeat(`{"a":`, 1000)), want: malformed},

		{source: "CVE-2025-59420, CVE-2026-32597", input: "crit of something unknown", token: written(`{"alg":"HS256","crit":["x-policy"],"x-policy":"mfa"}`, payload), want: critical},
		{source: "CVE-2025-59420", input: "crit of cnf", token: written(`{"alg":"HS256","crit":["cnf"],"cnf":{"jkt":"x"}}`, payload), want: critical},
		{source: "RFC 7515 4.1.11", input: "crit of a registered name", token: written(`{"alg":"HS256","crit":["alg"]}`, payload), want: critical},
		{source: "RFC 7515 4.1.11", input: "crit that is empty", token: written(`{"alg":"HS256","crit":[]}`, payload), want: critical},
		{source: "RFC 7515 4.1.11", input: "crit that is a text", token: written(`{"alg":"HS256","crit":"exp"}`, payload), want: critical},
		{source: "RFC 7515 4.1.11", input: "crit, escaped", token: written(`{"alg":"HS256","\u0063rit":["x"]}`, payload), want: critical},
		{source: "RFC 7797", input: "b64 false, with crit", token: written(`{"alg":"HS256","b64":false,"crit":["b64"]}`, payload), want: critical},
		{source: "RFC 7797", input: "b64 false, without crit", token: written(`{"alg":"HS256","b64":false}`, payload), want: critical},
		{source: "RFC 7797", input: "b64 false and a payload as it is", token: minted.HS256(minted.Base64(`{"alg":"HS256","b64":false,"crit":["b64"]}`) + "." + strings.ReplaceAll(payload, ",", " ")), want: "400 malformed_authorization"},
	}
	for i := range rows {
		rows[i].options = guard
	}
	return rows
}

// claimRows are signed, and say what no verifier may take for what it is not (RFC 7519 4.1, BCP 3.8, 3.9).
func claimRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	token := func(members string) string {
		if !strings.Contains(members, `"exp"`) {
			members += `,"exp":` + inAnHour()
		}
		return written(`{"alg":"HS256"}`, `{"sub":"ada","role":"user",`+members+`}`)
	}
	in := func(seconds int64) string { return fmt.Sprint(time.Now().Unix() + seconds) }
	const malformed = "401 malformed_claims"

	expiries := []struct{ exp, want string }{
		{`"9999999999"`, malformed},
		{`true`, malformed},
		{`[9999999999]`, malformed},
		{`{}`, malformed},
		{`null`, malformed},
		{`""`, malformed},
		{`1e400`, malformed},
		{`-1e400`, malformed},
		{`0`, "401 token_expired"},
		{`-0`, "401 token_expired"},
		{`-9999999999`, "401 token_expired"},
		{`1e-400`, "401 token_expired"},
		{`0.1`, "401 token_expired"},
		{`1e9`, "401 token_expired"},
		{in(-30), "401 token_expired"},
		{in(-3600), "401 token_expired"},
		// Far away is far away, and no number overflows.
		{`9223372036854775808`, asUser},
		{`18446744073709551616`, asUser},
		{`9999999999999999999999999999`, asUser},
		{`1e300`, asUser},
		{`9999999999999`, asUser},
	}
	for _, e := range expiries {
		rows = append(rows, row{source: "CVE-2026-25537, RFC 7519 4.1.4", input: "exp " + e.exp, token: token(`"exp":` + e.exp), want: e.want})
	}
	rows = append(rows,
		row{source: "RFC 7519 4.1.4", input: "no exp", token: written(`{"alg":"HS256"}`, `{"sub":"ada"}`), want: "401 no_expiry"},
		row{source: "RFC 7519 4.1.4", input: "EXP", token: written(`{"alg":"HS256"}`, `{"sub":"ada","EXP":`+inAnHour()+`}`), want: "401 no_expiry"},
		row{source: "RFC 7519 4.1.4", input: "exp within an object", token: written(`{"alg":"HS256"}`, `{"sub":"ada","x":{"exp":`+inAnHour()+`}}`), want: "401 no_expiry"})
	for _, claim := range []struct{ name, late string }{{"nbf", "401 token_not_yet_valid"}, {"iat", "401 issued_in_future"}} {
		for _, value := range []string{`"0"`, `""`, `true`, `false`, `[0]`, `{}`, `1e400`, `-1e400`} {
			rows = append(rows, row{source: "CVE-2026-25537, RFC 7519 4.1.5, 4.1.6", input: claim.name + " " + value, token: token(`"` + claim.name + `":` + value), want: malformed})
		}
		for _, value := range []string{in(600), in(3600), `9223372036854775808`, `1e19`, `1e300`} {
			rows = append(rows, row{source: "RFC 7519 4.1.5, 4.1.6", input: claim.name + " " + value, token: token(`"` + claim.name + `":` + value), want: claim.late})
		}
	}
	for _, name := range []string{"iss", "sub"} {
		for _, value := range []string{`1`, `true`, `[]`, `["ada"]`, `{}`, `{"$ne":null}`} {
			rows = append(rows, row{source: "CVE-2025-30144, RFC 7519 4.1.1, 4.1.2", input: name + " " + value, token: written(`{"alg":"HS256"}`, `{"`+name+`":`+value+`,"exp":`+inAnHour()+`}`), want: malformed})
		}
	}
	for _, value := range []string{`1`, `true`, `{}`, `{"api":true}`, `["api",1]`, `["api",{}]`, `["api",["api"]]`, `[["api"]]`, `["api",true]`} {
		rows = append(rows, row{source: "RFC 7519 4.1.3", input: "aud " + value, token: token(`"aud":` + value), want: malformed})
		rows = append(rows, row{source: "RFC 7519 4.1.3", input: "aud " + value + ", where it counts", options: guard.With(options{"audience": "api"}), token: token(`"aud":` + value), want: malformed})
	}
	for _, value := range []string{`"x":1`, `"aud":[]`, `"aud":""`, `"aud":[""]`, `"aud":"API"`, `"aud":"api "`, `"aud":"ap"`, `"aud":"apis"`, `"aud":"api,web"`, `"aud":"api web"`, `"aud":["x","y"]`, `"AUD":"api"`, `"aud":"api\u0000"`, `"aud":"*"`} {
		rows = append(rows, row{source: "CVE-2020-26160, BCP 3.9", input: value + " where the audience is api", options: guard.With(options{"audience": "api"}), token: token(value), want: "401 wrong_audience"})
	}
	for _, value := range []string{`{"jkt":"x"}`, `{"x5t#S256":"x"}`, `{}`} {
		rows = append(rows, row{source: "RFC 7800, CVE-2025-59420", input: "cnf " + value + ", whose proof is not asked for", token: token(`"cnf":` + value), want: "401 bound_token"})
	}
	for _, value := range []string{`"scope":"readwrite"`, `"scope":"read,write"`, `"scope":"READ WRITE"`, `"scope":1`, `"scp":["read"]`, `"scope":{"read":true,"write":true}`, `"scopes":"read write"`, `"x":1`} {
		rows = append(rows, row{source: "RFC 6750 3.1", input: value + " where read and write are wanted", options: guard.With(options{"scopes": []any{"read", "write"}}), token: token(value), want: "403 insufficient_scope"})
	}
	for _, value := range []string{`"grp":"Admin"`, `"grp":["admin"]`, `"grp":{"admin":true}`, `"grp":"admin "`, `"grp":true`, `"x":{"grp":"admin"}`, `"x":1`} {
		rows = append(rows, row{source: "expressions", input: value + " where grp is to equal admin", options: guard.With(options{"claims": "Equals(`grp`, `admin`)"}), token: token(value), want: "403 claims_not_sufficient"})
	}
	for i := range rows {
		if rows[i].options == nil {
			rows[i].options = guard
		}
	}
	return rows
}

// issuerRows use a token where it does not belong (BCP 3.8, 3.9, 3.11, 3.12).
func issuerRows(t *testing.T, elsewhere string) []row {
	t.Helper()
	const a, b = "https://a.example.com", "https://b.example.com"
	keyA, keyB := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	endpointA, endpointB := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "k", keyA))), minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "k", keyB)))
	both := guard.With(options{"issuer": "https://gateway.example.com", "audience": "api", "trustedIssuers": []any{
		map[string]any{"issuer": a, "jwksUrl": endpointA.URL}, map[string]any{"issuer": b, "jwksUrl": endpointB.URL},
	}})
	one := guard.With(options{"issuer": a, "audience": "api"})
	of := func(issuer string) claims { return user().With(claims{"iss": issuer, "aud": "api"}) }
	goodA, goodB := minted.Signed(t, keyA, claims{"alg": "ES256", "kid": "k"}, of(a)), minted.Signed(t, keyB, claims{"alg": "ES256", "kid": "k"}, of(b))
	var rows []row
	for name, first := range map[string]string{"": "", ", whose own was seen": goodA, ", the other's was seen": goodB} {
		rows = append(rows,
			row{source: "CVE-2026-49998, BCP 3.8", input: "A's key, kid and all, for a token of B" + name, options: both, first: first, token: minted.Signed(t, keyA, claims{"alg": "ES256", "kid": "k"}, of(b)), want: "401 bad_signature"},
			row{source: "CVE-2026-49998, BCP 3.8", input: "B's key, kid and all, for a token of A" + name, options: both, first: first, token: minted.Signed(t, keyB, claims{"alg": "ES256", "kid": "k"}, of(a)), want: "401 bad_signature"},
			row{source: "BCP 3.8", input: "A's key without kid for a token of B" + name, options: both, first: first, token: minted.Signed(t, keyA, claims{"alg": "ES256"}, of(b)), want: "401 bad_signature"},
			row{source: "BCP 3.8", input: "the gateway's secret for a token of A" + name, options: both, first: first, token: minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256"}, of(a)), want: "401 wrong_algorithm"},
			row{source: "BCP 3.8", input: "A's key for a token of the gateway's own" + name, options: both, first: first, token: minted.Signed(t, keyA, claims{"alg": "ES256"}, of("https://gateway.example.com")), want: "401 wrong_algorithm"})
	}
	for _, issuer := range []string{
		a + "/", a + ".evil.example", "https://a.example.co", "https://A.example.com", "http://a.example.com", a + "\u0000", " " + a, a + "#", a + "?x", "https://evil.example/" + a,
		"", "a.example.com", "https://a.example.com@evil.example", "https://evil.example", "ｈttps://a.example.com", a + "," + b, elsewhere,
	} {
		rows = append(rows, row{source: "CVE-2024-53861, BCP 3.8", input: fmt.Sprintf("iss %q where the issuer is another", strings.ReplaceAll(issuer, elsewhere, "of an attacker's endpoint")), options: one, token: minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256"}, of(issuer)), want: "401 wrong_issuer"})
		rows = append(rows, row{source: "CVE-2024-53861, BCP 3.8", input: fmt.Sprintf("iss %q where other issuers are trusted", strings.ReplaceAll(issuer, elsewhere, "of an attacker's endpoint")), options: both, token: minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256"}, of(issuer)), want: "401 wrong_issuer"})
	}
	rows = append(rows, row{source: "BCP 3.8", input: "no iss where there is an issuer", options: one, token: minted.Token(t, user().With(claims{"aud": "api"})), want: "401 wrong_issuer"})

	for _, typ := range []string{"logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "client-authentication+jwt", "JWE", "JOSE", "text/jwt", "JWT ", "at+jwt\u0000", "application/application/jwt", "none"} {
		rows = append(rows, row{source: "BCP 3.11", input: fmt.Sprintf("typ %q", typ), options: guard, token: minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256", "typ": typ}, user()), want: "401 wrong_type"})
	}
	for _, typ := range []any{"JWT", "jwt", "at+jwt", "", nil} {
		rows = append(rows, row{source: "BCP 3.11", input: fmt.Sprintf("typ %v where it is session+jwt", typ), options: guard.With(options{"tokenType": "session+jwt"}), token: minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256"}.With(claims{"typ": typ}), user()), want: "401 wrong_type"})
	}
	for _, typ := range []any{1, true, []any{"JWT"}, claims{}} {
		rows = append(rows, row{source: "BCP 3.11", input: fmt.Sprintf("typ %v", typ), options: guard, token: minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS256", "typ": typ}, user()), want: "401 token_malformed"})
	}
	return rows
}
