package slidingjwt

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// These tests are native only: they call what Traefik does not, and Go's fuzzer instruments compiled code. Their
// seeds run with every test.

// Strict JSON is what the token loop of encoding/json finds to be one object whose members stand once each, with
// nothing behind it; no more, no less.
func FuzzStrictObject(f *testing.F) {
	for _, text := range []string{
		``, ` `, `null`, `[]`, `"a"`, `1`, `{`, `{}`, ` {} `, `{}{}`, `{}x`, `{}}`, `{},`, `{"a":1}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":{"b":[{"c":1,"c":2}]}}`, `{"<":1,"a":{"b":[{"c":1,"c":2}]}}`,
		`{"a":[{"a":1},{"a":1}],"&":"a"}`, `{"a":1e400}`, `{"a":1e400,"\\":1}`, `{"a":01}`, `{"a":NaN}`, "{\"a\":\"\xff\"}", `{"\ud800":1,"\ud801":2}`, "{\"\ufffd\":1,\"\\ud800\":2}", `{"a":1,}`, `{"a" "b"}`, `{"a":[[],[[]],{}]}`,
		"{\"a\":\"\u2028\"}", "{\"a\":\"b\tc\"}", `{"":1,"":2}`, `{"a":1,"a":1}"a":1,`, "\ufeff{}", strings.Repeat(`{"a":[`, 50) + strings.Repeat(`]}`, 50),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := utf8.ValidString(text) && standsOnce(text)
		object, err := strictObject([]byte(text))
		if (err == nil) != want {
			t.Fatalf("%q: got the error %v, want it accepted: %t", text, err, want)
		}
		if err != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var plain map[string]any
		if err := decoder.Decode(&plain); err != nil || !reflect.DeepEqual(object, plain) {
			t.Errorf("%q: got %v, want %v", text, object, plain)
		}
	})
}

// standsOnce reads a JSON object with the token loop of encoding/json.
func standsOnce(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') || !membersStandOnce(decoder) {
		return false
	}
	_, err := decoder.Token()
	return errors.Is(err, io.EOF)
}

// membersStandOnce reads the members of an object, or the elements of a list, whose bracket was read.
func membersStandOnce(decoder *json.Decoder) bool {
	names := map[string]bool{}
	inObject, isName := true, true
	open := []struct {
		names    map[string]bool
		inObject bool
	}{}
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		name, isText := token.(string)
		if inObject && isName && isText {
			if names[name] {
				return false
			}
			names[name], isName = true, false
			continue
		}
		isName = true
		switch token {
		case json.Delim('{'), json.Delim('['):
			open = append(open, struct {
				names    map[string]bool
				inObject bool
			}{names, inObject})
			names, inObject = map[string]bool{}, token == json.Delim('{')
		case json.Delim('}'), json.Delim(']'):
			if len(open) == 0 {
				return true
			}
			last := open[len(open)-1]
			names, inObject, open = last.names, last.inObject, open[:len(open)-1]
		}
	}
}

// Claims are accepted if and only if they are strict JSON, and give the same headers whichever way they are read.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		`"a":"b"`, `"a":1.0`, `"a":1e400`, `"a":["b","c"]`, `"a":["b",1]`, `"a":["b,c"]`, `"a":[]`, `"a":{"b":"c"}`, `"a":{"b":12345678901234567890}`, `"a":null`, `"a":true`, `"a":" b"`, `"a":"b "`, `"a": "b"`, `"a" :"b"`,
		`"a":1,"a":1`, `"a" :1,"a":1`, `"a":{"b":1,"b":1}`, `"a":":","a":1`, `":":":"`, `"a":"\u0000"`, "\"a\":\"\u0085\"", "\"a\":\"\xff\"", "\"a\":\"\ufffd\"", "\"a\"\t:1,\"a\":1", `"a":"<"`, `"exp":1`, `"a":1}{"b":1`, `"a":"` + strings.Repeat("b", 5000) + `"`,
	} {
		f.Add(text)
	}
	c := CreateConfig()
	c.SigningSecret = oneSecret
	c.ForwardHeaders = map[string]string{"X-A": "a", "X-Deep": "a.b", "X-Exp": "exp", "X-Colon": ":"}
	s, err := compile(c)
	if err != nil {
		f.Fatal(err)
	}
	s.memory = newMemory(0)
	f.Fuzz(func(t *testing.T, members string) {
		payload := []byte(`{` + members + `,"exp":4000000000}`)
		token, err := sign(currentRing(s.keys).signer, "", string(payload))
		if err != nil {
			return
		}
		e, r := verify(s, scheme+token, time.Second)
		want, err := strictObject(payload)
		if isStrict := utf8.Valid(payload) && standsOnce(string(payload)); isStrict != (err == nil) || isStrict == (r == refuseMalformed) {
			t.Fatalf("%q: got %v and %v, want it accepted: %t", payload, r, err, isStrict)
		}
		if r != nil {
			return
		}
		exact := &entry{}
		deriveHeaders(s, exact, want, payload, false)
		if !reflect.DeepEqual(e.names, exact.names) || !reflect.DeepEqual(e.values, exact.values) {
			t.Errorf("%q: got %v of %v, want %v of %v", payload, e.values, e.names, exact.values, exact.names)
		}
	})
}

// Removing a parameter leaves the rest of the query byte for byte, in URL and in RequestURI.
func FuzzRemoveParameter(f *testing.F) {
	for _, query := range []string{"", "token=x", "a=b&token=x&c=d", "token=x&token=y", "a=b&&token=x&", "%74oken=x", "token", "token=", "Token=x", "a=token", "a=%zz&token=%zz", "to+ken=x", "token;x=y", "=token", "a=b?token=x"} {
		f.Add(query, "token")
	}
	f.Add("to+ken=1&to%20ken=2&token=3", "to ken")
	f.Add("%=1&a=b", "%")
	f.Add("?&0", "0")
	f.Fuzz(func(t *testing.T, query, name string) {
		if name == "" || strings.ContainsAny(name, "&=%+") || strings.Contains(query, "#") {
			return // New refuses such a name.
		}
		req := &http.Request{URL: &url.URL{Path: "/p", RawQuery: query}, RequestURI: "/p?" + query}
		removeParameter(parameterFinder(name), req)
		got := req.URL.RawQuery
		var kept []string
		removed := 0
		for _, pair := range strings.Split(query, "&") {
			key, _, _ := strings.Cut(pair, "=")
			if text, err := url.QueryUnescape(key); err == nil && text == name {
				removed++
				continue
			}
			kept = append(kept, pair)
		}
		if removed > maxNamed {
			if got != "" {
				t.Errorf("%q with %d times %q: got %q, want no query", query, removed, name, got)
			}
			return
		}
		if removed == 0 && (got != query || req.RequestURI != "/p?"+query) {
			t.Fatalf("%q without %q: got %q and %q, want nothing changed", query, name, got, req.RequestURI)
		}
		if want := strings.Join(kept, "&"); got != want {
			t.Errorf("%q without %q: got %q, want %q", query, name, got, want)
		}
		want := "/p"
		if got != "" {
			want += "?" + got
		}
		if removed > 0 && req.RequestURI != want {
			t.Errorf("%q without %q: got RequestURI %q, want %q", query, name, req.RequestURI, want)
		}
		// What a service reads: all the others as before, and none of that name.
		before, _ := url.ParseQuery(query)
		after, _ := url.ParseQuery(got)
		before.Del(name)
		if !reflect.DeepEqual(map[string][]string(after), map[string][]string(before)) {
			t.Errorf("%q without %q: a service reads %v, want %v", query, name, after, before)
		}
	})
}

// Removing a cookie leaves the others as they are.
func FuzzRemoveCookie(f *testing.F) {
	for _, line := range []string{"", "session=x", "a=b; session=x; c=d", "session=x; session=y", "a=b;session=x", "session", "session=", "Session=x", "a=session", `a="b; session=x"`, " session = x ; a=b", "a=b;;c=d", ";", "a=b; session=x;", "xsession=1; session2=2"} {
		f.Add(line, "session=z; k=v", "session")
	}
	f.Fuzz(func(t *testing.T, first, second, name string) {
		if !isToken(name) {
			return // New refuses such a name.
		}
		h := http.Header{"Cookie": {first, second}}
		before := (&http.Request{Header: h}).Cookies()
		lines := slices.Clone(h["Cookie"])
		removeCookie(cookieFinder(name), h)
		var want, got []string
		for _, cookie := range before {
			if cookie.Name != name {
				want = append(want, cookie.Name+"="+cookie.Value)
			}
		}
		for _, cookie := range (&http.Request{Header: h}).Cookies() {
			got = append(got, cookie.Name+"="+cookie.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q without %q: got %q, want %q", lines, name, got, want)
		}
		// Byte for byte: every pair that is left stood there, in that order.
		rest := strings.Join(lines, ";")
		for _, pair := range strings.Split(strings.Join(h["Cookie"], ";"), ";") {
			at := strings.Index(rest, strings.TrimLeft(pair, " "))
			if at < 0 {
				t.Fatalf("%q without %q: got %q, where %q is new", lines, name, h["Cookie"], pair)
			}
			rest = rest[at:]
		}
		if _, there := h["Cookie"]; there && len(h["Cookie"]) == 0 {
			t.Errorf("%q without %q: got a Cookie header without a line", lines, name)
		}
	})
}

// Any text is an expression or an error with a column, and any expression is true or false.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"", "Equals(`a`, `b`)", "!Equals(`a`, `b`) && (OneOf(`a.b`, `c`) || Contains(`l`, `x`))", "SplitContains(`s`, ` `, `w`)", "Prefix(`a\\.b`, \"\\u0061\")", "Equals(", "Equals(`a`, `b`))",
		"a.b(`c`)", "func() {}", "Equals(`a`, 'b')", "!!!!", "((((", "x[", "`", "Equals(`a`, `b`) // c", "/*", "struct{}{}", "<-Equals(`a`, `b`)", "Equals(`.`, ``)", "Equals(`a..b`, `c`)", "Equals(`\\`, `c`)",
	} {
		f.Add(text)
	}
	claims, err := strictObject([]byte(`{"a":{"b":"c"},"l":["x",1,null,[],{}],"s":"v w","n":1e3,"t":true,"":{"":1}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expression, err := parseExpression(text)
		if err != nil {
			if !strings.Contains(err.Error(), ": column ") || strings.Contains(err.Error(), "\n") && !strings.Contains(text, "\n") {
				t.Errorf("%q: got the error %q, want one with a column", text, err)
			}
			return
		}
		value := holds(expression, claims)
		if holds(&predicate{operator: "!", operands: []*predicate{expression}}, claims) == value {
			t.Errorf("%q and its opposite are both %t", text, value)
		}
	})
}

// Any text is a key set or an error; a set from a URL holds nothing secret, and every key of a set can be used.
func FuzzKeySet(f *testing.F) {
	writer := log.Writer()
	log.SetOutput(io.Discard) // Each key that is left out is a line.
	f.Cleanup(func() { log.SetOutput(writer) })
	const point = `"crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"` // RFC 7517 A.1
	for _, text := range []string{
		``, `{}`, `{"keys":[]}`, `{"keys":[1]}`, `{"keys":[{}]}`, `{"keys":[{"kty":1}]}`, `{"keys":[{"kty":"EC",` + point + `,"use":"sig","kid":"1"}]}`, `{"keys":[{"kty":"EC",` + point + `,"alg":"ES256","key_ops":["verify"]}]}`,
		`{"keys":[{"kty":"EC",` + point + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}]}`, `{"keys":[{"kty":"EC",` + point + `,"use":"enc"},{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, remote bool) {
		keys, err := parseJWKS(text, "a test", remote)
		if (err == nil) == (len(keys) == 0) {
			t.Fatalf("%q: got %d keys and the error %v", text, len(keys), err)
		}
		for _, k := range keys {
			bindKey(k, nil)
			if remote && (k.private != nil || k.secret != nil || k.signAlg != "") {
				t.Errorf("%q: got a secret key from a URL", text)
			}
			if len(k.algs) == 0 || k.print == "" || (k.signAlg != "") != (k.private != nil) {
				t.Errorf("%q: got the key %+v", text, k)
			}
			for _, alg := range k.algs {
				if !knownAlgorithms[alg] || verifySignature(k, alg, "a.b", bytes.Repeat([]byte{1}, 64)) {
					t.Errorf("%q: got the algorithm %s, or any signature accepted", text, alg)
				}
			}
		}
	})
}

// The times of a token, to the instant: exp is the first at which it has expired, and leeway moves each of them.
func TestTimes(t *testing.T) {
	tests := []struct {
		exp, nbf, iat, leeway, now float64
		want                       *refusal
	}{
		{exp: 100, now: 99.999},
		{exp: 100, now: 100, want: refuseExpired},
		{exp: 100, leeway: 30, now: 129.999},
		{exp: 100, leeway: 30, now: 130, want: refuseExpired},
		{exp: 100.5, now: 100.4},
		{exp: 100.5, now: 100.5, want: refuseExpired},
		{exp: 200, nbf: 100, now: 100},
		{exp: 200, nbf: 100, now: 99.999, want: refuseNotYet},
		{exp: 200, nbf: 100, leeway: 30, now: 70},
		{exp: 200, nbf: 100, leeway: 30, now: 69.999, want: refuseNotYet},
		{exp: 200, iat: 100, now: 100},
		{exp: 200, iat: 100, now: 99.999, want: refuseIssuedLate},
		{exp: 200, iat: 100, leeway: 30, now: 70},
		{exp: 200, iat: 100, leeway: 30, now: 69.999, want: refuseIssuedLate},
		{exp: math.MaxFloat64, nbf: -math.MaxFloat64, iat: -math.MaxFloat64, now: 100},
	}
	for _, test := range tests {
		s := &settings{leeway: test.leeway}
		if got := checkTimes(s, &entry{exp: test.exp, nbf: test.nbf, iat: test.iat}, time.Duration(test.now*1e9)); got != test.want {
			t.Errorf("%+v: got %v, want %v", test, got, test.want)
		}
	}
}

// A token that is new meets the same clock as one that is remembered, and while it counts as valid for sure it is.
func FuzzValidity(f *testing.F) {
	f.Add("4e9", "0", "1e9", uint8(30), uint64(2e12), uint64(0))
	f.Add("100.5", "20.5", "20.25", uint8(1), uint64(50_001), uint64(50_999))
	f.Add("1.7e308", "-1.7e308", "-5", uint8(0), uint64(1000), uint64(1e12))
	f.Add("1e18", "1e10", "2", uint8(255), uint64(4e12), uint64(1))
	f.Add("1e18", "0", "0", uint8(0), uint64(4e12), uint64(1))
	f.Add("-1e300", "0", "0", uint8(0), uint64(0), uint64(0))
	f.Add("1800000000", "1800000030", "1800000030", uint8(30), uint64(18e11), uint64(29_999))
	f.Fuzz(func(t *testing.T, exp, nbf, iat string, leeway uint8, milliseconds, later uint64) {
		s, e := &settings{leeway: float64(leeway)}, &entry{}
		at := time.Duration(milliseconds%(farAway*1000)) * time.Millisecond
		claims := map[string]any{}
		for name, text := range map[string]string{"exp": exp, "nbf": nbf, "iat": iat} {
			date, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(date) || math.IsInf(date, 0) {
				return // No JSON says so.
			}
			claims[name] = date
		}
		got := readRegistered(s, e, claims, at)
		if want := checkTimes(s, e, at); got != want {
			t.Fatalf("%+v at %s: got %v, want %v", e, at, got, want)
		}
		if then := at + time.Duration(later%(farAway*1000))*time.Millisecond; got == nil && then < e.validUntil {
			if r := checkTimes(s, e, then); r != nil {
				t.Errorf("%+v at %s: got %s, want it valid", e, then, r.code)
			}
		}
		if got == nil && (e.validSince != 0 || e.validUntil < at-time.Second || e.exp > farAway && e.validUntil != farAway*time.Second) {
			t.Errorf("%+v at %s: it counts as valid from %s to %s", e, at, at, e.validUntil)
		}
	})
}

// A token is due for renewal from the configured time before it ends, to the millisecond, and never before.
func FuzzDue(f *testing.F) {
	f.Add(1e9+100, 1e9, 50.0, 0.0)
	f.Add(1e9+100.25, 1e9, 0.0, 0.37)
	f.Add(1.7e308, -1.7e308, 50.0, 0.99)
	f.Add(1e18, 2.0, 1e300, 0.0)
	f.Fuzz(func(t *testing.T, exp, iat, before, share float64) {
		for _, number := range []float64{exp, iat, before, share, exp - iat} {
			if math.IsNaN(number) || math.IsInf(number, 0) {
				return
			}
		}
		if exp <= iat || before <= 0 || share < 0 || share > 1 {
			return
		}
		s, e := &settings{renewal: renewalSettings{before: before, share: share}}, &entry{exp: exp, iat: iat, dueFrom: never, key: &key{own: true}}
		scheduleRenewal(s, e, map[string]any{"iat": 0.0})
		if share > 0 {
			before = share * (exp - iat)
		}
		if before >= exp-iat {
			before = (exp - iat) / 2
		}
		due := math.Max(exp-before, iat)
		if at := e.dueFrom.Seconds(); due > 0 && due < farAway && (at < due-1e-6 || at > due+0.0011) {
			t.Errorf("%+v: due at %f, want %f", e, at, due)
		}
	})
}
