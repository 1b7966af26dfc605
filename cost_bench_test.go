package slidingjwt_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// costly is a request that a stranger shapes so that refusing it takes as long as can be. The aim: whatever
// it is, up to 64 KiB of it, the work before a signature is checked costs at most four times what a forged token of ordinary size does.
type costly struct {
	name, method, target string // GET and / by default
	header               http.Header
	body, trailer        string
	drips                bool    // The body comes a byte at a time, as HTTP/2 can send it.
	options              options // beside those of everywhere
	passes               bool    // It needs no token: it is served, unless it is too much.
}

// everywhere is a guard that looks for the token wherever one can be: all of a request is searched.
func everywhere(t testing.TB) options {
	return options{
		"signingSecret": minted.Secret, "privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "RSA")), "tokenKey": "access_token", "cookie": map[string]any{"name": "session"},
		"forwardHeaders": map[string]any{
			"X-User-Id": "sub", "X-User-Name": "name", "X-User-Email": "email", "X-User-Roles": "roles", "X-Tenant-Id": "tenant_id",
		},
	}
}

// inHeader is a guard that is served at a glance: no token comes by another way than the header.
var inHeader = options{"tokenKey": nil, "cookie": nil}

// tokenOf is a token of that header and payload, signed by nobody.
func tokenOf(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 32))
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// payloadWith is a payload that is good but for its signature, with more members, as much of them as a token has room for.
func payloadWith(more string) string {
	return fmt.Sprintf(`{"sub":"ada","exp":%d%s}`, time.Now().Unix()+3600, more)
}

// fill repeats a text up to a number of bytes, without the comma at its end.
func fill(text string, size int) string {
	return strings.TrimSuffix(strings.Repeat(text, size/len(text)), ",")
}

// numbered joins texts with a number in each, up to a number of bytes.
func numbered(format string, size int) string {
	var all strings.Builder
	for i := 0; ; i++ {
		text := fmt.Sprintf(format, strconv.FormatInt(int64(i), 36))
		if all.Len()+len(text) > size {
			return strings.TrimSuffix(all.String(), ",")
		}
		all.WriteString(text)
	}
}

// Sizes of what is filled: a payload and a header that are just not too long, and all that a request has.
const (
	payloadRoom = 5900
	headerRoom  = 1400
	requestRoom = 60 << 10
)

func nested(begin, end string, depth int) string {
	return strings.Repeat(begin, depth) + "1" + strings.Repeat(end, depth)
}

// forgedTokens are what all is compared with: tokens of ordinary size with a wrong signature.
func forgedTokens(t testing.TB) (hmacToken, rsaToken string) {
	t.Helper()
	hmacToken = minted.Token(t, session())
	rsaToken = rs256(t, session())
	forge := func(token string) string { // Another signature of the right length, in the range of the key.
		end := strings.LastIndexByte(token, '.') + 1
		signature, err := base64.RawURLEncoding.DecodeString(token[end:])
		if err != nil {
			t.Fatal(err)
		}
		signature[len(signature)/2] ^= 1
		return token[:end] + base64.RawURLEncoding.EncodeToString(signature)
	}
	return forge(hmacToken), forge(rsaToken)
}

// costlyRequests are one a shape.
func costlyRequests() []costly {
	all := slices.Concat(costlyTokens(), costlyHeaders(), costlyParts())
	for i := range all {
		if all[i].target == "" {
			all[i].target = "/orders/17"
		}
	}
	return all
}

// costlyTokens are tokens of up to 8 KiB, in Authorization.
func costlyTokens() []costly {
	tokens := []struct{ name, header, payload string }{
		{"aud of 2,000 empty strings", plainHeader, payloadWith(`,"aud":[` + fill(`"",`, payloadRoom) + `]`)},
		{"aud of 2,000 empty strings, the last a number", plainHeader, payloadWith(`,"aud":[` + fill(`"",`, payloadRoom) + `,1]`)},
		{"aud of 3,000 numbers", plainHeader, payloadWith(`,"aud":[` + fill(`1,`, payloadRoom) + `]`)},
		{"aud of objects", plainHeader, payloadWith(`,"aud":[` + fill(`{},`, payloadRoom) + `]`)},
		{"scope, scp, roles of empty strings", plainHeader, payloadWith(`,"scope":[` + fill(`"",`, payloadRoom/3) + `],"scp":[` + fill(`"",`, payloadRoom/3) + `],"roles":[` + fill(`"",`, payloadRoom/3) + `]`)},
		{"payload of many members", plainHeader, payloadWith("," + numbered(`"%s":0,`, payloadRoom))},
		{"payload of one member, again and again", plainHeader, payloadWith("," + fill(`"a":0,`, payloadRoom))},
		{"payload of members that are the registered ones", plainHeader, payloadWith("," + fill(`"nbf":0,"iat":0,"aud":"",`, payloadRoom))},
		{"payload of nested objects", plainHeader, payloadWith(`,"a":` + nested(`{"":`, `}`, payloadRoom/5))},
		{"payload of nested lists", plainHeader, payloadWith(`,"a":` + nested(`[`, `]`, payloadRoom/2))},
		{"payload with tab and nested objects", plainHeader, payloadWith("\t" + `,"a":` + nested(`{"":`, `}`, payloadRoom/5))},
		{"payload of escapes", plainHeader, payloadWith(`,"a":"` + fill(`\u0061`, payloadRoom) + `"`)},
		{"payload that is no UTF-8", plainHeader, payloadWith(`,"a":"` + fill("\xff", payloadRoom) + `"`)},
		{"payload that ends too early", plainHeader, payloadWith(`,"aud":[` + fill(`"",`, payloadRoom))[:payloadRoom]},
		{"payload of spaces", plainHeader, payloadWith(fill(" ", payloadRoom))},
		{"exp of 5,900 digits", plainHeader, `{"exp":` + fill("9", payloadRoom) + `}`},
		{"exp of 5,900 decimals", plainHeader, `{"exp":4e9,"iat":1.` + fill("0", payloadRoom/2) + `1,"nbf":0.` + fill("1", payloadRoom/2) + `}`},
		{"payload of numbers beyond float64", plainHeader, payloadWith(`,"a":[` + fill(`1e999,`, payloadRoom) + `]`)},
		{"iss of 5,900 letters", plainHeader, payloadWith(`,"iss":"` + fill("i", payloadRoom) + `"`)},
		{"cnf of nested objects", plainHeader, payloadWith(`,"cnf":` + nested(`{"":`, `}`, payloadRoom/5))},
		{"header with tab and 240 nested objects", "{\t" + `"alg":"HS256","a":` + nested(`{"":`, `}`, 240) + `}`, payloadWith("")},
		{"header with backslash and 240 nested objects", `{"alg":"HS256","\u0061":` + nested(`{"":`, `}`, 240) + `}`, payloadWith("")},
		{"header with tab and nested lists", "{\t" + `"alg":"HS256","a":` + nested(`[`, `]`, headerRoom/2) + `}`, payloadWith("")},
		{"header of many members", `{"alg":"HS256",` + numbered(`"%s":0,`, headerRoom) + `}`, payloadWith("")},
		{"header with tab, of many members", "{\t" + `"alg":"HS256",` + numbered(`"%s":0,`, headerRoom) + `}`, payloadWith("")},
		{"header with tab and a list of 700", "{\t" + `"alg":"HS256","x5c":[` + fill(`0,`, headerRoom) + `]}`, payloadWith("")},
		{"header of escapes", `{"alg":"HS256","` + fill(`\u0061`, headerRoom) + `":0}`, payloadWith("")},
		{"header with another space", `{"alg": "HS256",` + numbered(`"%s" :0,`, headerRoom) + `}`, payloadWith("")},
		{"header of one member, again and again", `{` + fill(`"alg":"HS256",`, headerRoom) + `}`, payloadWith("")},
		{"header of 1,400 digits", `{"alg":"HS256","a":` + fill("9", headerRoom) + `}`, payloadWith("")},
		{"unknown kid of 1,400 letters", `{"alg":"HS256","kid":"` + fill("k", headerRoom) + `"}`, payloadWith("")},
		{"typ of 1,400 letters", `{"alg":"HS256","typ":"` + fill("K", headerRoom) + `"}`, payloadWith("")},
		{"header too long", `{"alg":"HS256","a":"` + fill("a", payloadRoom) + `"}`, payloadWith("")},
	}
	var all []costly
	for _, t := range tokens {
		all = append(all, costly{name: t.name, header: bothways.Bearer(tokenOf(t.header, t.payload))})
	}
	for name, line := range map[string]string{
		"token of 8,000 dots":         fill(".", 8000),
		"token of 4,000 empty parts":  fill("a.", 8000),
		"token of 8,000 letters":      fill("a", 8000),
		"token of 64 KiB":             fill("a", requestRoom),
		"token of 64 KiB of dots":     fill(".", requestRoom),
		"token of 64 KiB of spaces":   "a" + fill(" ", requestRoom) + "a",
		"token of 64 KiB of commas":   "a" + fill(" ,", requestRoom),
		"token with 8,000 line tabs":  "a" + fill("\t", 8000) + "a",
		"signature of 8,000 letters":  tokenOf(plainHeader, payloadWith("")) + fill("a", 7000),
		"token behind 64 KiB of room": fill(" ", requestRoom) + tokenOf(plainHeader, payloadWith("")),
	} {
		all = append(all, costly{name: name, header: bothways.Bearer(line)})
	}
	slices.SortStableFunc(all[len(tokens):], func(a, b costly) int { return strings.Compare(a.name, b.name) })
	return append(all,
		costly{name: "another scheme of 64 KiB", header: http.Header{"Authorization": {fill("a", requestRoom)}}},
		costly{name: "another scheme's 64 KiB", header: http.Header{"Authorization": {"Basic " + fill("a", requestRoom)}}},
		costly{name: "1,000 lines of Authorization", header: http.Header{"Authorization": repeat("Bearer "+fill("a", 40), 1000)}},
		costly{name: "aud of 2,000 empty strings, header only", options: inHeader, header: bothways.Bearer(tokenOf(plainHeader, payloadWith(`,"aud":[`+fill(`"",`, payloadRoom)+`]`)))},
	)
}

func repeat(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// names are headers, up to a number of bytes of them.
func names(format string, size int) http.Header {
	h := http.Header{}
	for i := 0; size > 0; i++ {
		name := http.CanonicalHeaderKey(fmt.Sprintf(format, i))
		h[name] = []string{""}
		size -= len(name) + len(": \r\n")
	}
	return h
}

// again gives each header a number of empty values.
func again(h http.Header, n int) http.Header {
	for name := range h {
		h[name] = repeat("", n)
	}
	return h
}

func with(h http.Header, name string, values ...string) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	h[name] = values
	return h
}

// spellings are those of a claim header that differ in what stands for a hyphen.
func spellings(format string) http.Header {
	h := http.Header{}
	for _, a := range "-!#$%&'*+.^_`|~" {
		for _, b := range "-!#$%&'*+.^_`|~" {
			h[fmt.Sprintf(format, string(a), string(b))] = []string{"admin"}
		}
	}
	return h
}

// costlyHeaders are many headers, or large ones. What HTTP/2 repeats in a byte (HPACK, RFC 7541) counts as it is sent: a
// line of 60 bytes a thousand times, say, or, beyond 64 KiB, of 4 KiB, the most that is kept to be repeated.
func costlyHeaders() []costly {
	forged := tokenOf(plainHeader, payloadWith(""))
	wide := names("X-Us%05x", requestRoom) // As long as X-User-Name.
	return []costly{
		{name: "64 KiB of names as long as a claim header's", header: names("X-U%06x", requestRoom)},
		{name: "64 KiB of names as long as another's", header: wide},
		{name: "64 KiB of names as long as a claim header's, and a token", header: with(wide, "Authorization", "Bearer "+forged)},
		{name: "64 KiB of names as long as a claim header's, and a token, header only", options: inHeader, header: with(wide, "Authorization", "Bearer "+forged)},
		{name: "64 KiB of names as long as a claim header's, and no token, header only", options: inHeader, header: wide},
		{name: "64 KiB of names with underscores", header: names("X_user_%04x", requestRoom)},
		{name: "64 KiB of names of five letters", header: names("A%04x", requestRoom)},
		{name: "64 KiB of long names", header: names("X-%060x", requestRoom)},
		{name: "225 spellings of a claim header", header: spellings("X%sUser%sId")},
		{name: "225 spellings of a claim header, and a token, header only", options: inHeader, header: with(spellings("X%sUser%sName"), "Authorization", "Bearer "+forged)},
		{name: "sixty ordinary headers, but the last", header: ordinary()},
		{name: "4,000 values of a header", header: http.Header{"X-A": repeat("", 4000)}},
		{name: "4,000 values of a claim header", header: http.Header{"X_user_id": repeat("admin", 4000)}},
		{name: "a value of 64 KiB", header: http.Header{"X-A": {fill("a", requestRoom)}}},
		{name: "a value of 64 KiB in a claim header", header: http.Header{"X_user_id": {fill("a", requestRoom)}}},
		{name: "100 connection options", header: http.Header{"Connection": {fill("a,", 200)}}},
		{name: "100 connection options that are claim headers", header: http.Header{"Connection": {fill("X_User_Id, ", 1100)}}},
		{name: "100 connection options of 600 letters", header: http.Header{"Connection": {fill(fill("a_", 600)+",", requestRoom)}}},
		{name: "64 KiB of connection options", header: http.Header{"Connection": {fill("a,", requestRoom)}}},
		{name: "1,000 lines of Connection", header: http.Header{"Connection": repeat("a", 1000)}},
		{name: "a connection option of 64 KiB of spaces", header: http.Header{"Connection": {fill(" ", requestRoom) + "a"}}},
		{name: "1,000 lines of Upgrade", header: http.Header{"Upgrade": repeat("websocket", 1000)}},
		{name: "a preflight of 64 KiB of names", passes: true, method: http.MethodOptions, header: with(with(names("X-Us%05x", requestRoom), "Origin", "http://a.example"), "Access-Control-Request-Method", "GET")},
		{name: "a preflight of 64 KiB of names as long as a method override's", passes: true, method: http.MethodOptions, header: with(with(names("X-Method-%09x", requestRoom), "Origin", "http://a.example"), "Access-Control-Request-Method", "GET")},
		{name: "Origin of 64 KiB", method: http.MethodPost, header: http.Header{"Cookie": {"session=" + forged}, "Origin": {"http://" + fill("a.", requestRoom)}}},
		{name: "Origin of 64 KiB of percents", method: http.MethodPost, header: http.Header{"Cookie": {"session=" + forged}, "Origin": {"http://" + fill("%41", requestRoom)}}},
		{name: "Sec-Fetch-Site of 64 KiB", method: http.MethodPost, header: http.Header{"Cookie": {"session=" + forged}, "Sec-Fetch-Site": {fill("same-origin,", requestRoom)}}},
		{name: "Content-Type of 64 KiB", method: http.MethodPost, body: "a=1", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded" + fill(" ;", requestRoom)}}},
		{name: "a path of 64 KiB", target: "/" + fill("%0a", requestRoom)},
		{name: "hundreds of trailers, announced", body: "a", method: http.MethodPost, trailer: numbered("X-User-%s,", 8<<10)},
		{name: "64 KiB of trailers, announced", body: "a", method: http.MethodPost, trailer: numbered("X-U%05s,", requestRoom)},
		{name: "hundreds of trailers behind a form", method: http.MethodPost, body: "a", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, trailer: numbered("X-Usa%04s,", 4<<10)},
		{name: "HPACK: a line of 40 bytes 1,000 times", header: http.Header{"X-Another": repeat(fill("a", 30), 1000)}},
		{name: "HPACK: a line of 4,000 bytes 250 times", header: http.Header{"X-Another": repeat(fill("a", 4000), 250)}},
		{name: "HPACK: the same, its name as long as a claim header's", header: http.Header{"X-User_id": repeat(fill("a", 4000), 250)}},
		{name: "HPACK: 60 names as long as a claim header's, 200 times each", header: again(names("X-Us%05x", 60*13), 200)},
		{name: "HPACK: a line of Connection 1,000 times", header: http.Header{"Connection": repeat(fill("a,", 40), 1000)}},
		{name: "HPACK: a line of Authorization of 4,000 bytes 250 times", header: http.Header{"Authorization": repeat("Bearer "+fill("a.", 4000), 250)}},
	}
}

// ordinary are all the headers that are seen every day, and one that is not.
func ordinary() http.Header {
	h := http.Header{}
	for _, name := range strings.Fields(`Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Baggage
		Cache-Control Content-Encoding Content-Language Content-Type Date Dnt Expect From Grpc-Accept-Encoding Grpc-Encoding
		Grpc-Timeout If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Last-Event-Id Max-Forwards Origin Pragma
		Priority Range Referer Sec-Ch-Ua Sec-Ch-Ua-Arch Sec-Ch-Ua-Bitness Sec-Ch-Ua-Full-Version Sec-Ch-Ua-Full-Version-List
		Sec-Ch-Ua-Mobile Sec-Ch-Ua-Model Sec-Ch-Ua-Platform Sec-Ch-Ua-Platform-Version Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site
		Sec-Fetch-User Sec-Gpc Te Traceparent Tracestate Upgrade-Insecure-Requests User-Agent Via X-Correlation-Id X-Csrf-Token
		X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Proto X-Forwarded-Server X-Real-Ip
		X-Request-Id X-Requested-With X_user_id`) {
		h[name] = []string{fill("a", 900)}
	}
	return h
}

// costlyParts are cookies, parameters and fields.
func costlyParts() []costly {
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	forged := tokenOf(plainHeader, payloadWith(""))
	long := tokenOf(plainHeader, payloadWith(`,"a":"`+fill("a", payloadRoom)+`"`))
	return []costly{
		{name: "1,000 parameters", target: "/?" + fill("a&", 2000)},
		{name: "1,000 parameters with values", target: "/?" + numbered("a%s=1&", 7000)},
		{name: "1,000 parameters of 60 letters", target: "/?" + fill(fill("a", 60)+"&", requestRoom)},
		{name: "1,000 parameters with percents", target: "/?" + fill("%61%62=1&", 9000)},
		{name: "1,000 parameters of the token's name, spelled with percents", target: "/?" + fill("%61ccess%5Ftoken=&", 17000)},
		{name: "1,000 parameters of the token's name, almost", target: "/?" + fill("access+token=a&", 15000)},
		{name: "1,000 empty parameters of the token's name", target: "/?" + fill("access_token=&", 14000)},
		{name: "1,000 parameters that hold the same token", target: "/?" + fill("access_token=aaa&", 17000)},
		{name: "seven parameters that hold a token of 8 KiB", target: "/?" + fill("access_token="+long+"&", requestRoom)},
		{name: "sixteen parameters that hold the same token, behind 900 others", target: "/?" + fill(fill("a", 60)+"&", 900*61) + fill("access_token=aaa&", 16*17)},
		{name: "1,000 malformed parameters", target: "/?" + fill("%zz&", 4000)},
		{name: "1,000 parameters and semicolons", target: "/?" + fill("a;&", 3000)},
		{name: "a parameter of 64 KiB", target: "/?access_token=" + fill("%61", requestRoom)},
		{name: "a parameter's name of 64 KiB", target: "/?" + fill("%61", requestRoom)},
		{name: "64 KiB of parameters", target: "/?" + fill("a&", requestRoom)},
		{name: "64 KiB of equals signs", target: "/?" + fill("=", requestRoom)},
		{name: "1,000 parameters, optional", options: options{"optional": true}, passes: true, target: "/?" + fill("a&", 2000)},
		{name: "1,000 parameters, a preflight", passes: true, method: http.MethodOptions, target: "/?" + fill("a&", 2000), header: http.Header{"Origin": {"http://a.example"}, "Access-Control-Request-Method": {"GET"}}},
		{name: "50 different parameters of the token's name in 64 KiB, a preflight", passes: true, method: http.MethodOptions, target: "/?" + numbered("access_token=%s&", 850) + fill(fill("a", 60)+"&", 900*61), header: http.Header{"Origin": {"http://a.example"}, "Access-Control-Request-Method": {"GET"}}},
		{name: "50 different cookies of the token's name in 64 KiB, a preflight", passes: true, method: http.MethodOptions, header: http.Header{"Origin": {"http://a.example"}, "Access-Control-Request-Method": {"GET"}, "Cookie": {numbered("session=%s; ", 600) + fill(fill("a", 120)+"; ", 440*122)}}},
		{
			name: "95 names, 99 connection options, 15 cookies, 15 parameters, 15 fields", method: http.MethodPost,
			target: "/?" + fill("access_token=&", 15*14), body: fill("access_token=&", 15*14),
			header: with(with(with(names("X-Us%05x", 95*13), "Content-Type", "application/x-www-form-urlencoded"), "Connection", fill("X_User_Id,", 990)), "Cookie", fill("session=; ", 150)),
		},
		{name: "1,000 fields", method: http.MethodPost, header: form, body: fill("a&", 2000)},
		{name: "1,000 fields of 60 letters", method: http.MethodPost, header: form, body: fill(fill("a", 60)+"&", requestRoom)},
		{name: "1,000 fields of the token's name, spelled with percents", method: http.MethodPost, header: form, body: fill("%61ccess%5Ftoken=&", 17000)},
		{name: "1,000 fields that hold the same token", method: http.MethodPost, header: form, body: fill("access_token=aaa&", 17000)},
		{name: "64 KiB of fields", method: http.MethodPost, header: form, body: fill("a&", requestRoom)},
		{name: "a field of 64 KiB", method: http.MethodPost, header: form, body: "access_token=" + fill("%61", requestRoom)},
		{name: "a field's name of 64 KiB", method: http.MethodPost, header: form, body: fill("%61", requestRoom)},
		{name: "a form that drips", method: http.MethodPost, header: form, body: fill("a", 6500), drips: true},
		{name: "500 cookies", header: http.Header{"Cookie": {fill("a=b; ", 2500)}}},
		{name: "500 cookies of 120 letters", header: http.Header{"Cookie": {fill(fill("a", 118)+"; ", requestRoom)}}},
		{name: "500 cookies that hold the same token", header: http.Header{"Cookie": {fill("session=aaa; ", 6500)}}},
		{name: "seven cookies that hold a token of 8 KiB", header: http.Header{"Cookie": {fill("session="+long+"; ", requestRoom)}}},
		{name: "500 empty cookies of the token's name", header: http.Header{"Cookie": {fill(" session =; ", 6000)}}},
		{name: "500 lines of cookies", header: http.Header{"Cookie": repeat("a=b", 500)}},
		{name: "64 KiB of semicolons", header: http.Header{"Cookie": {fill(";", requestRoom)}}},
		{name: "64 KiB of a cookie's spaces", header: http.Header{"Cookie": {"a" + fill(" ", requestRoom) + "=a"}}},
		{name: "500 cookies, optional", options: options{"optional": true}, passes: true, header: http.Header{"Cookie": {fill("a=b; ", 2500)}}},
		{name: "HPACK: a cookie 1,000 times", header: http.Header{"Cookie": {strings.Join(repeat("a=b", 1000), "; ")}}}, // net/http joins them (RFC 9113 8.2.3).
		{name: "HPACK: a cookie with the token's name 500 times", header: http.Header{"Cookie": {strings.Join(repeat("session="+forged, 500), "; ")}}},
		{name: "HPACK: a cookie of 4,000 bytes 250 times", header: http.Header{"Cookie": {strings.Join(repeat("a="+fill("a", 4000), 250), "; ")}}},
		{
			name: "1,000 parameters, 1,000 fields, 500 cookies", method: http.MethodPost, target: "/?" + fill("a&", 2000), body: fill("a&", 2000),
			header: with(form, "Cookie", fill("a=b; ", 2500)),
		},
		{
			name: "1,000 parameters, 1,000 fields, 500 cookies, all with percents and spaces", method: http.MethodPost,
			target: "/?" + fill("%61ccess%5Ftoken=&", 17000), body: fill("%61ccess%5Ftoken=&", 17000), header: with(form, "Cookie", fill(" session =; ", 6000)),
		},
	}
}

// rebuilt is a request that is sent again and again: what the handler changes of it is put back each time.
type rebuilt struct {
	exchange
	shape costly
	base  http.Request
}

func rebuild(c costly) *rebuilt {
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	r := &rebuilt{shape: c, base: *httptest.NewRequest(method, "http://example.com/", http.NoBody)}
	r.base.RequestURI = c.target
	path, query, _ := strings.Cut(c.target, "?")
	r.base.URL.Path, r.base.URL.RawQuery = path, query
	r.response = http.Header{}
	return r
}

// reset puts the request back as it came.
func (r *rebuilt) reset() {
	req := r.base
	target := *r.base.URL
	req.URL = &target
	req.Header = maps.Clone(r.shape.header)
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if r.shape.body != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(r.shape.body)), -1
		if r.shape.drips {
			req.Body = io.NopCloser(iotest.OneByteReader(strings.NewReader(r.shape.body)))
		}
	}
	if r.shape.trailer != "" {
		req.Trailer = http.Header{}
		for _, name := range strings.Split(r.shape.trailer, ",") {
			req.Trailer[http.CanonicalHeaderKey(name)] = nil
		}
	}
	r.req = &req
	clear(r.response)
	r.status = 0
}

// Write answers 200 if nothing else was said.
func (r *rebuilt) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return len(text), nil
}

// TestCostlyRequests sends each shape that BenchmarkCost measures: none is served, nor is one answered with another status
// by the interpreter.
func TestCostlyRequests(t *testing.T) {
	statuses := map[string]int{}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, shape := range costlyRequests() {
			handler, service := e.Middleware(t, everywhere(t).With(shape.options))
			r := rebuild(shape)
			r.reset()
			handler.ServeHTTP(r, r.req)
			switch {
			case shape.passes:
				if (service.Calls() == 1) != (r.status == http.StatusOK) || service.Calls() == 0 && r.status != http.StatusBadRequest {
					t.Errorf("%s: got %d, and the service called %d times, want it served, or 400", shape.name, r.status, service.Calls())
				}
			case service.Calls() > 0 || r.status < 400 || r.status > 403:
				t.Errorf("%s: got %d, and the service called %d times, want a refusal", shape.name, r.status, service.Calls())
			}
			if before, there := statuses[shape.name]; there && before != r.status {
				t.Errorf("%s: got %d, want %d as natively", shape.name, r.status, before)
			}
			statuses[shape.name] = r.status
		}
	})
}

// BenchmarkCost measures what it costs to refuse each shape, and its ratio to forged tokens measured in turn with it: of
// RS256 (x-forged) and of HS256 (x-forged-HS256), which costs less to check. Four is what may be.
func BenchmarkCost(b *testing.B) {
	hs, rs := forgedTokens(b)
	for _, shape := range costlyRequests() {
		b.Run(shape.name, func(b *testing.B) {
			each(b, func(b *testing.B, e bothways.Engine) {
				handler := e.InFront(b, service, everywhere(b).With(shape.options))
				costs := []*cost{
					{request: rebuild(shape)},
					{request: rebuild(costly{target: "/orders/17", header: bothways.Bearer(rs)})},
					{request: rebuild(costly{target: "/orders/17", header: bothways.Bearer(hs)})},
				}
				for _, c := range costs { // The interpreter builds its types at the first call.
					c.serve(handler)
					c.spent = nil
				}
				for range b.N {
					for _, c := range costs {
						c.serve(handler)
					}
				}
				b.ReportMetric(costs[0].median(), "ns/op") // In place of what was spent on all three.
				b.ReportMetric(costs[0].median()/costs[1].median(), "x-forged")
				b.ReportMetric(costs[0].median()/costs[2].median(), "x-forged-HS256")
			})
		})
	}
}

// cost is what the handler spends on a request, each time; to make the request anew is no part of it.
type cost struct {
	request *rebuilt
	spent   []time.Duration
}

func (c *cost) serve(handler http.Handler) {
	c.request.reset()
	start := time.Now()
	handler.ServeHTTP(c.request, c.request.req)
	c.spent = append(c.spent, time.Since(start))
}

// median is not the mean: what else the machine does meanwhile is in single ones.
func (c *cost) median() float64 {
	slices.Sort(c.spent)
	return float64(c.spent[len(c.spent)/2].Nanoseconds())
}
