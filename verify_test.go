package slidingjwt_test

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// judgement is what a middleware with these options has to say of a token.
type judgement struct {
	name    string
	options options // beside the secret
	token   string
	want    string
}

// optional is an option's text; nil, which leaves the option out, if it is empty.
func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// judge sends every token three times to a middleware that remembers and to one that does not: the answer, and
// what the service gets, are the same each time.
func judge(t *testing.T, tests []judgement) {
	t.Helper()
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			var first http.Header
			for _, cacheSize := range []int{10000, 0} {
				o := options{"signingSecret": minted.Secret, "cacheSize": cacheSize, "forwardHeaders": map[string]any{"X-Sub": "sub", "X-Any": "any"}}
				for option, value := range test.options {
					o[option] = value
				}
				handler, service := e.Middleware(t, o)
				for i := range [3]int{} {
					if got := bothways.Verdict(t, handler, test.token); got != test.want {
						t.Errorf("%s (cacheSize %d, request %d): got %s, want %s", test.name, cacheSize, i+1, got, test.want)
						continue
					}
					if test.want != "served" {
						continue
					}
					if first == nil {
						first = service.Request().Header
					}
					if !reflect.DeepEqual(service.Request().Header, first) {
						t.Errorf("%s (cacheSize %d, request %d): got the headers %v, want %v", test.name, cacheSize, i+1, service.Request().Header, first)
					}
				}
				if test.want != "served" && service.Calls() > 0 {
					t.Errorf("%s (cacheSize %d): the service was called", test.name, cacheSize)
				}
			}
		}
	})
}

func TestStrictForm(t *testing.T) {
	const header = `{"alg":"HS256"}`
	exp := fmt.Sprint(time.Now().Unix() + 3600)
	payload := `{"sub":"ada","exp":` + exp + `}`
	// with is a payload with further members, which stand before the exp.
	with := func(members string) string { return `{"sub":"ada",` + members + `,"exp":` + exp + `}` }
	good := minted.Written(header, payload)
	parts := strings.Split(good, ".")
	// nudged is a part with its last character's unused bits set: other text for the same octets.
	nudged := func(text string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, text[len(text)-1])
		return text[:len(text)-1] + alphabet[last+1:last+2]
	}
	unaligned := func(text string) string { // has unused bits when encoded
		for len(text)%3 == 0 {
			text += " "
		}
		return minted.Base64([]byte(text))
	}
	deep := func(depth int, inner string) string {
		return strings.Repeat("[", depth) + inner + strings.Repeat("]", depth)
	}
	const malformed, critical = "401 token_malformed", "401 unsupported_header"
	tests := []judgement{
		{"good", nil, good, "served"},
		{"white space in the JSON", nil, minted.Written(" {\t\"alg\" : \"HS256\"\r\n}\n", "\r\n"+strings.ReplaceAll(payload, ",", " ,\n")+" \t"), "served"},

		// Parts.
		{"one part", nil, parts[1], malformed},
		{"two parts", nil, parts[0] + "." + parts[1], malformed},
		{"four parts", nil, good + "." + parts[2], malformed},
		{"an empty fourth part", nil, good + ".", malformed},
		{"an empty part before", nil, "." + good, malformed},
		{"JWE", nil, parts[0] + "." + parts[1] + "." + parts[2] + "." + parts[1] + "." + parts[2], malformed},
		{"dots alone", nil, "..", malformed},
		{"no header", nil, minted.HS256("." + parts[1]), malformed},
		{"no payload", nil, minted.HS256(parts[0] + "."), malformed},
		{"no signature", nil, parts[0] + "." + parts[1] + ".", "401 bad_signature"},
		{"JSON serialisation", nil, `{"protected":"` + parts[0] + `"}`, malformed},
		{"JSON serialisation with commas", nil, `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, "400 malformed_authorization"},

		// Base64url.
		{"padded header", nil, minted.HS256(base64.URLEncoding.EncodeToString([]byte(header+" ")) + "." + parts[1]), malformed},
		{"padded payload", nil, minted.HS256(parts[0] + "." + unaligned(payload) + "=="), malformed},
		{"padded signature", nil, good + "=", malformed},
		{"not canonical header", nil, minted.HS256(nudged(unaligned(header)) + "." + parts[1]), malformed},
		{"not canonical payload", nil, minted.HS256(parts[0] + "." + nudged(unaligned(payload))), malformed},
		{"not canonical signature", nil, nudged(good), malformed},
		{"canonical, with bits unused", nil, minted.HS256(unaligned(header) + "." + unaligned(payload)), "served"},
		{"one character too many in the header", nil, minted.HS256(parts[0] + "A." + parts[1]), malformed},
		{"one character too many in the signature", nil, parts[0] + "." + parts[1] + "." + parts[2] + "AA", malformed},
		{"standard alphabet", nil, minted.HS256(parts[0] + "." + base64.RawStdEncoding.EncodeToString([]byte(with(`"any":"???>>>"`)))), malformed},
		{"url alphabet", nil, minted.HS256(parts[0] + "." + minted.Base64([]byte(with(`"any":"???>>>"`)))), "served"},
		{"line feed in the header", nil, minted.HS256(parts[0][:4] + "\n" + parts[0][4:] + "." + parts[1]), malformed},
		{"line feed in the payload", nil, minted.HS256(parts[0] + "." + parts[1][:4] + "\n" + parts[1][4:]), malformed},
		{"line feed in the signature", nil, good[:len(good)-4] + "\n" + good[len(good)-4:], malformed},
		{"carriage return in the signature", nil, good[:len(good)-4] + "\r\n" + good[len(good)-4:], malformed},
		{"line feed behind", nil, good + "\n", malformed},
		{"form feed in the signature", nil, good[:len(good)-4] + "\f" + good[len(good)-4:], malformed},
		{"NUL in the signature", nil, good[:len(good)-4] + "\x00" + good[len(good)-4:], malformed},
		{"quoted", nil, `"` + good + `"`, malformed},
		{"percent-encoded dots", nil, strings.ReplaceAll(good, ".", "%2e"), malformed},

		// A JSON object, and nothing else.
		{"header null", nil, minted.Written("null", payload), malformed},
		{"header a list", nil, minted.Written("["+header+"]", payload), malformed},
		{"header a string", nil, minted.Written(`"HS256"`, payload), malformed},
		{"header empty", nil, minted.Written("{}", payload), malformed},
		{"header cut", nil, minted.Written(`{"alg":"HS256"`, payload), malformed},
		{"header with text behind", nil, minted.Written(header+"x", payload), malformed},
		{"header with a second object", nil, minted.Written(header+header, payload), malformed},
		{"header with a vertical tab behind", nil, minted.Written(header+"\v", payload), malformed},
		{"header with a brace behind", nil, minted.Written(header+"}", payload), malformed},
		{"payload null", nil, minted.Written(header, "null"), malformed},
		{"payload a list", nil, minted.Written(header, "["+payload+"]"), malformed},
		{"payload a string", nil, minted.Written(header, `"`+exp+`"`), malformed},
		{"payload a number", nil, minted.Written(header, exp), malformed},
		{"payload true", nil, minted.Written(header, "true"), malformed},
		{"payload white space", nil, minted.Written(header, " "), malformed},
		{"payload empty object", nil, minted.Written(header, "{}"), "401 no_expiry"},
		{"payload cut", nil, minted.Written(header, payload[:len(payload)-1]), malformed},
		{"payload with text behind", nil, minted.Written(header, payload+"x"), malformed},
		{"payload with a second object", nil, minted.Written(header, payload+" {}"), malformed},
		{"payload with a brace behind", nil, minted.Written(header, payload+"}"), malformed},
		{"payload with a comma behind", nil, minted.Written(header, payload+","), malformed},
		{"payload with NUL behind", nil, minted.Written(header, payload+"\x00"), malformed},
		{"payload with a form feed behind", nil, minted.Written(header, payload+"\f"), malformed},
		{"payload with a no-break space behind", nil, minted.Written(header, payload+"\u00a0"), malformed},
		{"payload with white space of JSON behind", nil, minted.Written(header, payload+" \t\r\n"), "served"},
		{"payload with as much behind as it lost", nil, minted.Written(header, `{"sub":"ada","a":1,"a":1,"exp":`+exp+`}"a":1,`), malformed},
		{"payload with a comment", nil, minted.Written(header, with(`/**/"any":1`)), malformed},
		{"payload with a comma too many", nil, minted.Written(header, `{"exp":`+exp+`,}`), malformed},
		{"payload with single quotes", nil, minted.Written(header, strings.ReplaceAll(payload, `"`, `'`)), malformed},
		{"payload with a byte order mark", nil, minted.Written(header, "\ufeff"+payload), malformed},
		{"payload in UTF-16", nil, minted.Written(header, strings.ReplaceAll(payload, "", "\x00")), malformed},
		{"NaN", nil, minted.Written(header, with(`"any":NaN`)), malformed},
		{"Infinity", nil, minted.Written(header, with(`"any":-Infinity`)), malformed},
		{"a leading zero", nil, minted.Written(header, with(`"any":01`)), malformed},
		{"a leading plus", nil, minted.Written(header, with(`"any":+1`)), malformed},
		{"a bare fraction", nil, minted.Written(header, with(`"any":.5`)), malformed},
		{"hexadecimal", nil, minted.Written(header, with(`"any":0x1`)), malformed},
		{"a control character", nil, minted.Written(header, with("\"any\":\"a\tb\"")), malformed},
		{"an unknown escape", nil, minted.Written(header, with(`"any":"\x41"`)), malformed},
		{"an unpaired surrogate among names", nil, minted.Written(header, with(`"\ud800":1,"\ud801":2`)), malformed},
		{"a number beyond float64", nil, minted.Written(header, with(`"any":1e400`)), "served"},
		{"a number beyond float64 beside an escape", nil, minted.Written(header, with(`"any":1e400,"other":"\u0041"`)), "served"},
		{"a large integer beside a less-than sign", nil, minted.Written(header, with(`"any":12345678901234567890,"other":"<"`)), "served"},

		// UTF-8.
		{"UTF-8", nil, minted.Written(header, with(`"any":"žluťoučký 🐎"`)), "served"},
		{"Latin-1", nil, minted.Written(header, with("\"any\":\"\xe9\"")), malformed},
		{"Latin-1 in a name", nil, minted.Written(header, with("\"\xe9\":1")), malformed},
		{"Latin-1 in the header", nil, minted.Written("{\"alg\":\"HS256\",\"kid\":\"\xe9\"}", payload), malformed},
		{"overlong", nil, minted.Written(header, with("\"any\":\"\xc0\xaf\"")), malformed},
		{"encoded surrogate", nil, minted.Written(header, with("\"any\":\"\xed\xa0\x80\"")), malformed},
		{"replacement character", nil, minted.Written(header, with("\"any\":\"\ufffd\"")), "served"},

		// Members twice, at any depth.
		{"exp twice", nil, minted.Written(header, with(`"exp":`+exp)), malformed},
		{"exp twice, escaped", nil, minted.Written(header, with(`"\u0065xp":`+exp)), malformed},
		{"sub twice", nil, minted.Written(header, with(`"sub":"ada"`)), malformed},
		{"sub twice, once with a space behind the name", nil, minted.Written(header, `{"sub" :"ada","sub":"ada","exp":`+exp+`}`), malformed},
		{"sub twice, once with a line feed behind the name", nil, minted.Written(header, "{\"sub\"\n:\"ada\",\"sub\":\"ada\",\"exp\":"+exp+"}"), malformed},
		{"sub twice, once with a tab behind the name", nil, minted.Written(header, "{\"sub\"\t:\"ada\",\"sub\":\"ada\",\"exp\":"+exp+"}"), malformed},
		{"sub twice beside strings that begin with a colon", nil, minted.Written(header, `{"sub":":","sub":":ada",":":":","exp":`+exp+`}`), malformed},
		{"sub twice beside an object", nil, minted.Written(header, with(`"any":{},"sub":"ada"`)), malformed},
		{"twice, one an object with as many members as are lost", nil, minted.Written(header, with(`"a":{"b":1},"a":{"b":1}`)), malformed},
		{"twice in an object beside strings that begin with a colon", nil, minted.Written(header, with(`"any":{"a":":","a":1,":":":"}`)), malformed},
		{"twice beside a number beyond float64", nil, minted.Written(header, with(`"any":1e400,"a":1,"a":1`)), malformed},
		{"strings that begin with a colon", nil, minted.Written(header, with(`":":":",":a":[":",":"],"any":{":":":"}`)), "served"},
		{"a space behind each name and value", nil, minted.Written(header, `{"sub" : "ada" , "any" : {"a" : 1} , "exp" : `+exp+`}`), "served"},
		{"as Python writes it", nil, minted.Written(header, `{"sub": "ada", "any": {"a": [1, "b"]}, "exp": `+exp+`}`), "served"},
		{"twice, as Python writes it", nil, minted.Written(header, `{"sub": "ada", "a": 1, "a": 1, "exp": `+exp+`}`), malformed},
		{"twice, once null", nil, minted.Written(header, with(`"a":null,"a":1`)), malformed},
		{"twice, empty name", nil, minted.Written(header, with(`"":1,"":1`)), malformed},
		{"twice in an object", nil, minted.Written(header, with(`"any":{"a":1,"a":2}`)), malformed},
		{"twice in an object, escaped", nil, minted.Written(header, with(`"any":{"a":1,"\u0061":2}`)), malformed},
		{"twice in an object in a list", nil, minted.Written(header, with(`"any":[1,{"a":1,"b":[],"a":2}]`)), malformed},
		{"twice in an object in a list beside an escape", nil, minted.Written(header, with(`"any":["\n",{"a":1,"b":[],"a":2}]`)), malformed},
		{"twice behind an inner object", nil, minted.Written(header, with(`"<":0,"any":{"a":{"b":1},"a":2}`)), malformed},
		{"twice behind an inner list", nil, minted.Written(header, with(`"<":0,"any":{"a":["a"],"b":[[]],"a":2}`)), malformed},
		{"twice at the top behind all", nil, minted.Written(header, `{"<":0,"any":[{"a":[{}]}],"exp":`+exp+`,"any":1}`), malformed},
		{"twice, deep", nil, minted.Written(header, with(`"any":`+deep(500, `{"a":1,"a":1}`))), malformed},
		{"twice, deep, beside an escape", nil, minted.Written(header, with(`"&":0,"any":`+deep(500, `{"a":1,"a":1}`))), malformed},
		{"twice in the header", nil, minted.Written(`{"alg":"HS256","alg":"HS256"}`, payload), malformed},
		{"twice in the header, escaped", nil, minted.Written(`{"alg":"none","\u0061lg":"HS256"}`, payload), malformed},
		{"twice in the header, escaped, none last", nil, minted.Written(`{"alg":"HS256","\u0061lg":"none"}`, payload), "401 wrong_algorithm"},
		{"twice in the header, ignored", nil, minted.Written(`{"alg":"HS256","x":{"a":1,"a":1}}`, payload), malformed},
		{"once in each of two objects", nil, minted.Written(header, with(`"any":[{"a":1},{"a":2}],"a":{"a":{"a":"a"}}`)), "served"},
		{"once in each of two objects, beside an escape", nil, minted.Written(header, with(`"any":[{"a":1},{"a":2},"\u0061"],"a":{"a":{"a":"a"}}`)), "served"},
		{"values like names", nil, minted.Written(header, with(`"any":"any","a":"a","b":["a","a","b"],"&":"a"`)), "served"},
		{"names that differ in case", nil, minted.Written(header, with(`"SUB":"eve","Exp":1,"any":2`)), "served"},
		{"lists of lists", nil, minted.Written(header, with(`"any":[[],[[]],[{}],{}],"<":[[],[[]],[{}],{}]`)), "served"},
		{"deep", nil, minted.Written(header, with(`"any":`+deep(1000, "1"))), "served"},
		{"deep, beside an escape", nil, minted.Written(header, with(`"<":0,"any":`+deep(1000, "1"))), "served"},

		// What a header may not demand.
		{"crit", nil, minted.Written(`{"alg":"HS256","crit":["exp"],"exp":1}`, payload), critical},
		{"crit empty", nil, minted.Written(`{"alg":"HS256","crit":[]}`, payload), critical},
		{"crit null", nil, minted.Written(`{"alg":"HS256","crit":null}`, payload), critical},
		{"crit escaped", nil, minted.Written(`{"alg":"HS256","\u0063rit":["x"]}`, payload), critical},
		{"b64 false", nil, minted.Written(`{"alg":"HS256","b64":false}`, payload), critical},
		{"b64 true", nil, minted.Written(`{"alg":"HS256","b64":true}`, payload), critical},
		{"zip", nil, minted.Written(`{"alg":"HS256","zip":"DEF"}`, payload), critical},
		{"zip null", nil, minted.Written(`{"alg":"HS256","zip":null}`, payload), critical},
		{"crit in another case", nil, minted.Written(`{"alg":"HS256","Crit":["x"]}`, payload), "served"},
		{"further members", nil, minted.Written(`{"alg":"HS256","cty":"JWT","x5t":"x","nonce":1}`, payload), "served"},
		{"ALG for alg", nil, minted.Written(`{"ALG":"HS256"}`, payload), malformed},
		{"alg null", nil, minted.Written(`{"alg":null}`, payload), malformed},
		{"alg a number", nil, minted.Written(`{"alg":256}`, payload), malformed},
		{"alg escaped", nil, minted.Written(`{"alg":"\u0048S256"}`, payload), "served"},
		{"kid null", nil, minted.Written(`{"alg":"HS256","kid":null}`, payload), malformed},
		{"kid a number", nil, minted.Written(`{"alg":"HS256","kid":1}`, payload), malformed},
		{"kid a list", nil, minted.Written(`{"alg":"HS256","kid":["a"]}`, payload), malformed},
		{"typ null", nil, minted.Written(`{"alg":"HS256","typ":null}`, payload), malformed},
		{"typ a number", nil, minted.Written(`{"alg":"HS256","typ":1}`, payload), malformed},
		{"typ a list", nil, minted.Written(`{"alg":"HS256","typ":["JWT"]}`, payload), malformed},
		{"typ an object", nil, minted.Written(`{"alg":"HS256","typ":{}}`, payload), malformed},
	}
	judge(t, tests)
}

func TestRegisteredClaims(t *testing.T) {
	now := time.Now().Unix()
	// with is a token with further members, and one without exp if they have it.
	with := func(members string) string {
		if !strings.Contains(members, `"exp"`) {
			members += fmt.Sprintf(`,"exp":%d`, now+3600)
		}
		return minted.Written(`{"alg":"HS256"}`, `{`+members+`}`)
	}
	at := func(claim string, offset int64) string { return fmt.Sprintf(`%q:%d`, claim, now+offset) }
	leeway := func(text string) options { return options{"leeway": text} }
	audience, issuer := options{"audience": []string{"api", "web"}}, options{"issuer": "https://login.example.com"}
	const malformed, expired, early, late = "401 malformed_claims", "401 token_expired", "401 token_not_yet_valid", "401 issued_in_future"
	judge(t, []judgement{
		{"no exp", nil, minted.Written(`{"alg":"HS256"}`, `{"sub":"ada"}`), "401 no_expiry"},
		{"EXP", nil, minted.Written(`{"alg":"HS256"}`, `{"EXP":4e9}`), "401 no_expiry"},
		{"exp null", nil, with(`"exp":null`), malformed},
		{"exp a string", nil, with(`"exp":"4000000000"`), malformed},
		{"exp true", nil, with(`"exp":true`), malformed},
		{"exp a list", nil, with(`"exp":[4000000000]`), malformed},
		{"exp an object", nil, with(`"exp":{}`), malformed},
		{"exp infinite", nil, with(`"exp":1e400`), malformed},
		{"exp minus infinite", nil, with(`"exp":-1e400`), malformed},
		{"exp 0", nil, with(`"exp":0`), expired},
		{"exp -0", nil, with(`"exp":-0.0`), expired},
		{"exp negative", nil, with(`"exp":-4000000000`), expired},
		{"exp tiny", nil, with(`"exp":1e-400`), expired},
		{"exp with an exponent", nil, with(`"exp":4e9`), "served"},
		{"exp with a fraction", nil, with(`"exp":4000000000.5`), "served"},
		{"exp beyond int64", nil, with(`"exp":99999999999999999999`), "served"},
		{"exp near the largest float64", nil, with(`"exp":1.7e308`), "served"},
		{"exp in milliseconds", nil, with(`"exp":4000000000000`), "served"},
		{"exp 20 s ago", nil, with(at("exp", -20)), "served"},
		{"exp 30 s ago", nil, with(at("exp", -30)), expired},
		{"exp 40 s ago", nil, with(at("exp", -40)), expired},
		{"exp now, no leeway", leeway("0"), with(at("exp", 0)), expired},
		{"exp soon, no leeway", leeway("0s"), with(at("exp", 20)), "served"},
		{"exp almost an hour ago, an hour's leeway", leeway("1h"), with(at("exp", -3580)), "served"},
		{"exp an hour ago, an hour's leeway", leeway("1h"), with(at("exp", -3600)), expired},
		{"exp 50 s ago, leeway in seconds", leeway("60"), with(at("exp", -50)), "served"},
		{"exp 60 s ago, leeway in seconds", leeway("60"), with(at("exp", -60)), expired},
		{"exp 20 s ago, leeway empty", leeway(""), with(at("exp", -20)), "served"},
		{"exp 40 s ago, leeway empty", leeway(""), with(at("exp", -40)), expired},

		{"nbf past", nil, with(at("nbf", -1)), "served"},
		{"nbf now, no leeway", leeway("0s"), with(at("nbf", 0)), "served"},
		{"nbf in 20 s", nil, with(at("nbf", 20)), "served"},
		{"nbf in 20 s, no leeway", leeway("0s"), with(at("nbf", 20)), early},
		{"nbf in 60 s", nil, with(at("nbf", 60)), early},
		{"nbf 1e19", nil, with(`"nbf":1e19`), early},
		{"nbf infinite", nil, with(`"nbf":1e400`), malformed},
		{"nbf far back", nil, with(`"nbf":-1e300`), "served"},
		{"nbf 0", nil, with(`"nbf":0`), "served"},
		{"nbf null", nil, with(`"nbf":null`), "served"},
		{"nbf a string", nil, with(`"nbf":"0"`), malformed},
		{"nbf false", nil, with(`"nbf":false`), malformed},
		{"nbf a list", nil, with(`"nbf":[0]`), malformed},

		{"iat past", nil, with(at("iat", -1)), "served"},
		{"iat now, no leeway", leeway("0s"), with(at("iat", 0)), "served"},
		{"iat in 20 s", nil, with(at("iat", 20)), "served"},
		{"iat in 20 s, no leeway", leeway("0s"), with(at("iat", 20)), late},
		{"iat in 60 s", nil, with(at("iat", 60)), late},
		{"iat after exp", nil, with(at("iat", 20) + "," + at("exp", 10)), "served"},
		{"iat infinite", nil, with(`"iat":1e400`), malformed},
		{"iat null", nil, with(`"iat":null`), "served"},
		{"iat a string", nil, with(`"iat":"0"`), malformed},
		{"iat an object", nil, with(`"iat":{}`), malformed},
		{"iat with a fraction", nil, with(`"iat":1000000000.25`), "served"},

		{"aud a string", nil, with(`"aud":"api"`), "served"},
		{"aud a list", nil, with(`"aud":["api","x"]`), "served"},
		{"aud an empty list", nil, with(`"aud":[]`), "served"},
		{"aud a number", nil, with(`"aud":1`), malformed},
		{"aud null", nil, with(`"aud":null`), "served"},
		{"aud an object", nil, with(`"aud":{"api":true}`), malformed},
		{"aud true", nil, with(`"aud":true`), malformed},
		{"aud a list with a number", nil, with(`"aud":["api",1]`), malformed},
		{"aud a list with null", nil, with(`"aud":["api",null]`), malformed},
		{"aud a list in a list", nil, with(`"aud":[["api"]]`), malformed},
		{"the audience", audience, with(`"aud":"api"`), "served"},
		{"the other audience", audience, with(`"aud":"web"`), "served"},
		{"the audience in a list", audience, with(`"aud":["x","web"]`), "served"},
		{"the audience beside a number", audience, with(`"aud":["api",1]`), malformed},
		{"another audience", audience, with(`"aud":"x"`), "401 wrong_audience"},
		{"other audiences", audience, with(`"aud":["x","y"]`), "401 wrong_audience"},
		{"the audience in another case", audience, with(`"aud":"API"`), "401 wrong_audience"},
		{"the audience as a word", audience, with(`"aud":"api web"`), "401 wrong_audience"},
		{"the audience with commas", audience, with(`"aud":"api,web"`), "401 wrong_audience"},
		{"no audience in the list", audience, with(`"aud":[]`), "401 wrong_audience"},
		{"an empty audience", audience, with(`"aud":""`), "401 wrong_audience"},
		{"no aud", audience, with(`"sub":"ada"`), "401 wrong_audience"},
		{"a comma in the options makes a list", options{"audience": "api,web"}, with(`"aud":"web"`), "served"},

		{"iss", nil, with(`"iss":"x"`), "served"},
		{"iss a number", nil, with(`"iss":1`), malformed},
		{"iss null", nil, with(`"iss":null`), "served"},
		{"iss a list", nil, with(`"iss":["https://login.example.com"]`), malformed},
		{"iss an object", nil, with(`"iss":{}`), malformed},
		{"iss false", nil, with(`"iss":false`), malformed},
		{"the issuer", issuer, with(`"iss":"https://login.example.com"`), "served"},
		{"the issuer, escaped", issuer, with(`"iss":"https:\/\/login.example.com"`), "served"},
		{"another issuer", issuer, with(`"iss":"https://login.example.org"`), "401 wrong_issuer"},
		{"the issuer with a slash", issuer, with(`"iss":"https://login.example.com/"`), "401 wrong_issuer"},
		{"the issuer in another case", issuer, with(`"iss":"https://LOGIN.example.com"`), "401 wrong_issuer"},
		{"an empty issuer", issuer, with(`"iss":""`), "401 wrong_issuer"},
		{"no iss", issuer, with(`"sub":"ada"`), "401 wrong_issuer"},
		{"an issuer that is a number", options{"issuer": "1"}, with(`"iss":1`), malformed},

		{"sub empty", nil, with(`"sub":""`), "served"},
		{"sub a number", nil, with(`"sub":1`), malformed},
		{"sub null", nil, with(`"sub":null`), "served"},
		{"sub a list", nil, with(`"sub":["ada"]`), malformed},
		{"sub true", nil, with(`"sub":true`), malformed},

		{"cnf", nil, with(`"cnf":{"jkt":"x"}`), "401 bound_token"},
		{"cnf with a certificate", nil, with(`"cnf":{"x5t#S256":"x"}`), "401 bound_token"},
		{"cnf null", nil, with(`"cnf":null`), "401 bound_token"},
		{"cnf empty", nil, with(`"cnf":{}`), "401 bound_token"},
		{"cnf escaped", nil, with(`"\u0063nf":{}`), "401 bound_token"},
		{"CNF", nil, with(`"CNF":{}`), "served"},
		{"cnf deeper", nil, with(`"any":{"cnf":{}}`), "served"},
		{"claims of any kind", nil, with(`"jti":1,"auth_time":"x","azp":null,"any":[1,"b",true,null,{"c":[]}]`), "served"},
	})
}

func TestTokenType(t *testing.T) {
	tests := []struct {
		tokenType string
		typ       any // nil: absent
		want      string
	}{
		{"", nil, "served"},
		{"", "", "served"},
		{"", "JWT", "served"},
		{"", "jwt", "served"},
		{"", "application/jwt", "served"},
		{"", "at+jwt", "served"},
		{"", "AT+JWT", "served"},
		{"", "application/at+jwt", "served"},
		{"", "Application/At+Jwt", "served"},
		{"", "application/application/jwt", "401 wrong_type"},
		{"", "JOSE", "401 wrong_type"},
		{"", "JWT ", "401 wrong_type"},
		{"", "dpop+jwt", "401 wrong_type"},
		{"", "logout+jwt", "401 wrong_type"},
		{"", "secevent+jwt", "401 wrong_type"},
		{"", "text/jwt", "401 wrong_type"},
		{"at+jwt", "at+jwt", "served"},
		{"at+jwt", "application/AT+jwt", "served"},
		{"at+jwt", "JWT", "401 wrong_type"},
		{"at+jwt", "", "401 wrong_type"},
		{"at+jwt", nil, "401 wrong_type"},
		{"Application/AT+JWT", "at+jwt", "served"},
		{"Application/AT+JWT", "jwt", "401 wrong_type"},
		{"JWT", "jwt", "served"},
		{"JWT", "application/jwt", "served"},
		{"JWT", "at+jwt", "401 wrong_type"},
		{"JWT", nil, "401 wrong_type"},
		{"session+jwt", "session+jwt", "served"},
		{"session+jwt", "JWT", "401 wrong_type"},
	}
	rows := make([]judgement, 0, len(tests))
	for _, test := range tests {
		token := minted.HS256(minted.Segment(t, claims{"alg": "HS256"}.With(claims{"typ": test.typ})) + "." + minted.Segment(t, minted.Valid()))
		rows = append(rows, judgement{fmt.Sprintf("tokenType %q, typ %v", test.tokenType, test.typ), options{"tokenType": optional(test.tokenType)}, token, test.want})
	}
	judge(t, rows)
}

func TestAlgorithms(t *testing.T) {
	only := func(algorithms ...string) options {
		return options{"signingSecret": minted.Secret, "publicKey": minted.PEM(t, "PKIX", minted.Key(t, "RSA")), "algorithms": algorithms}
	}
	hs := func(alg string) string {
		return minted.Signed(t, []byte(minted.Secret), claims{"alg": alg}, minted.Valid())
	}
	rs := func(alg string) string {
		return minted.Signed(t, minted.Key(t, "RSA"), claims{"alg": alg}, minted.Valid())
	}
	judge(t, []judgement{
		{"not narrowed, HS512", only(), hs("HS512"), "served"},
		{"not narrowed, PS384", only(), rs("PS384"), "served"},
		{"one, the same", only("RS256"), rs("RS256"), "served"},
		{"one, another of the key", only("RS256"), rs("PS256"), "401 wrong_algorithm"},
		{"one, another key's", only("RS256"), hs("HS256"), "401 wrong_algorithm"},
		{"two, the first", only("RS256", "HS384"), rs("RS256"), "served"},
		{"two, the second", only("RS256", "HS384"), hs("HS384"), "served"},
		{"two, none", only("RS256", "HS384"), hs("HS256"), "401 wrong_algorithm"},
		{"as text with a comma", options{"algorithms": "HS384,HS256"}, hs("HS256"), "served"},
	})
}

func TestAccess(t *testing.T) {
	scopes := options{"scopes": []string{"read", "write"}}
	policy := options{"claims": "Equals(`grp`, `admin`)"}
	with := func(more claims) string { return minted.Token(t, minted.Valid().With(more)) }
	const scope, claim = "403 insufficient_scope", "403 claims_not_sufficient"
	judge(t, []judgement{
		{"scope", scopes, with(claims{"scope": "read write"}), "served"},
		{"scope, more and in another order", scopes, with(claims{"scope": "write admin  read"}), "served"},
		{"scope, one alone", scopes, with(claims{"scope": "read"}), scope},
		{"scope, parts of words", scopes, with(claims{"scope": "readwrite"}), scope},
		{"scope, commas", scopes, with(claims{"scope": "read,write"}), scope},
		{"scope, another case", scopes, with(claims{"scope": "Read Write"}), scope},
		{"scope, empty", scopes, with(claims{"scope": ""}), scope},
		{"scope, a number", scopes, with(claims{"scope": 1}), scope},
		{"scope, a list", scopes, with(claims{"scope": []string{"read", "write"}}), "served"},
		{"scp", scopes, with(claims{"scp": []string{"read", "write"}}), "served"},
		{"scp, one alone", scopes, with(claims{"scp": []string{"read"}}), scope},
		{"scp, one element", scopes, with(claims{"scp": []string{"read write"}}), scope},
		{"scp, an element no string", scopes, with(claims{"scp": []any{"read", "write", 1}}), scope},
		{"scope decides before scp", scopes, with(claims{"scope": "read", "scp": []string{"read", "write"}}), scope},
		{"neither", scopes, with(nil), scope},
		{"expression true", policy, with(claims{"grp": "admin"}), "served"},
		{"expression false", policy, with(claims{"grp": "user"}), claim},
		{"expression false of what is absent", policy, with(nil), claim},
		{"expired comes first", policy, with(claims{"exp": 1}), "401 token_expired"},
	})
}

// Whatever is changed in a token, it is refused.
func TestMutations(t *testing.T) {
	keys := map[string]crypto.Signer{"RS256": minted.Key(t, "RSA"), "PS256": minted.Key(t, "RSA"), "ES256": minted.Key(t, "P-256"), "EdDSA": minted.Key(t, "Ed25519")}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, alg := range []string{"HS256", "ES256", "EdDSA", "RS256", "PS256"} {
			o, key := options{"signingSecret": minted.Secret}, any([]byte(minted.Secret))
			if pair := keys[alg]; pair != nil {
				o, key = options{"publicKey": minted.PEM(t, "PKIX", pair)}, pair
			}
			handler, service := e.Middleware(t, o)
			good := minted.Signed(t, key, claims{"alg": alg}, minted.Valid())
			other := minted.Signed(t, key, claims{"alg": alg}, minted.Valid().With(claims{"sub": "eve"}))
			parts, otherParts := strings.Split(good, "."), strings.Split(other, ".")
			mutated := []string{
				parts[0] + "." + otherParts[1] + "." + parts[2],
				parts[0] + "." + parts[1] + "." + otherParts[2],
				parts[1] + "." + parts[0] + "." + parts[2],
				parts[0] + "." + parts[1] + ".",
				parts[0] + "." + parts[1],
				good + "A",
				good[1:],
				good[:len(good)-1],
				strings.ToLower(good),
				strings.ToUpper(good),
			}
			for i := range good {
				at := strings.IndexByte(alphabet, good[i]) // A dot is at -1.
				for _, bit := range []int{1, 32} {
					c := alphabet[(at+bit)%64]
					mutated = append(mutated, good[:i]+string(c)+good[i+1:])
				}
			}
			if got := bothways.Verdict(t, handler, good); got != "served" {
				t.Fatalf("%s: got %s, want served", alg, got)
			}
			for _, token := range mutated {
				if got := bothways.Verdict(t, handler, token); got == "served" {
					t.Errorf("%s: %s was served in place of %s", alg, token, good)
				}
			}
			if service.Calls() != 1 {
				t.Errorf("%s: got %d calls of the service, want 1", alg, service.Calls())
			}
		}
	})
}

// A remembered token is refused as soon as it has expired.
func TestRememberedExpiry(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, cacheSize := range []int{10, 0} {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "leeway": "1s", "cacheSize": cacheSize})
			exp := float64(time.Now().UnixMilli())/1000 - 0.8
			token := minted.Token(t, minted.Valid().With(claims{"exp": exp}))
			for i := range [2]int{} {
				got := bothways.Verdict(t, handler, token)
				if passed := float64(time.Now().UnixMilli())/1000 >= exp+1; got != "served" && !passed {
					t.Errorf("request %d: got %s, want served", i+1, got)
				}
			}
			bothways.Eventually(t, handler, token, "401 token_expired")
		}
	})
}

// Middlewares with other options share nothing that is remembered.
func TestMemoriesApart(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		forAPI := minted.Token(t, minted.Valid().With(claims{"aud": "api", "grp": "user"}))
		tests := []struct {
			options options
			want    string
		}{
			{options{}, "served"},
			{options{"audience": []string{"api"}}, "served"},
			{options{"audience": []string{"web"}}, "401 wrong_audience"},
			{options{"issuer": "x"}, "401 wrong_issuer"},
			{options{"tokenType": "at+jwt"}, "401 wrong_type"},
			{options{"algorithms": []string{"HS512"}}, "401 wrong_algorithm"},
			{options{"scopes": []string{"read"}}, "403 insufficient_scope"},
			{options{"claims": "Equals(`grp`, `admin`)"}, "403 claims_not_sufficient"},
			{options{"signingSecret": "another " + minted.Secret}, "401 bad_signature"},
		}
		handlers := make([]http.Handler, 0, len(tests))
		for _, test := range tests {
			o := options{"signingSecret": minted.Secret}
			for option, value := range test.options {
				o[option] = value
			}
			handler, _ := e.Middleware(t, o)
			handlers = append(handlers, handler)
		}
		for range [3]int{} {
			for i, test := range tests {
				if got := bothways.Verdict(t, handlers[i], forAPI); got != test.want {
					t.Errorf("%v: got %s, want %s", test.options, got, test.want)
				}
			}
		}
	})
}

// A memory that is full gives the same answers.
func TestSmallMemory(t *testing.T) {
	long := strings.Repeat("x", 4000)
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "cacheSize": 4, "forwardHeaders": map[string]any{"X-Sub": "sub"}})
		for round := range [3]int{} {
			for i := range [20]int{} {
				sub := fmt.Sprint("user ", i)
				c := minted.Valid().With(claims{"sub": sub, "iat": nil, "exp": 4e9})
				if i%5 == 0 {
					c["long"] = long // heavier than all that is remembered
				}
				token := minted.Token(t, c)
				for range [2]int{} {
					if got := bothways.Verdict(t, handler, token); got != "served" {
						t.Errorf("round %d, %s: got %s, want served", round, sub, got)
					}
					if got := service.Request().Header.Get("X-Sub"); got != sub {
						t.Errorf("round %d: got X-Sub %q, want %q", round, got, sub)
					}
				}
			}
		}
	})
}

// In the last part of a second before it expires, a token is no longer valid for sure, and is served: new, remembered, and
// where nothing is remembered.
func TestServedToTheLast(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, cacheSize := range []int{0, 100} {
			handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "leeway": "0s", "cacheSize": cacheSize})
			const tries = 20
			for try := 1; ; try++ {
				service.Forget()
				if second := time.Now().Nanosecond(); second > 3e8 { // Early in a second there is time.
					time.Sleep(time.Second - time.Duration(second))
				}
				exp := float64(time.Now().Unix()) + 0.999
				text := minted.Token(t, claims{"sub": "ada", "exp": exp})
				one, two := bothways.Verdict(t, handler, text), bothways.Verdict(t, handler, text)
				if float64(time.Now().UnixMilli())/1000 > exp && try < tries {
					continue // The machine was busy.
				}
				if one != "served" || two != "served" || service.Calls() != 2 {
					t.Errorf("cacheSize %d: got %s and %s, %d calls, want served twice", cacheSize, one, two, service.Calls())
				}
				break
			}
		}
	})
}
