package slidingjwt_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// checkSeen compares the headers and the address that a service saw with what it is to see, and nothing more.
func checkSeen(t testing.TB, service *bothways.Spy, header http.Header, uri string) {
	t.Helper()
	if !reflect.DeepEqual(service.Request().Header, header) {
		t.Errorf("the service's headers: got %v, want %v", service.Request().Header, header)
	}
	if got := service.Request().RequestURI; got != uri {
		t.Errorf("RequestURI: got %q, want %q", got, uri)
	}
	if got := service.Request().URL.RequestURI(); got != uri {
		t.Errorf("URL: got %q, want %q", got, uri)
	}
}

// ofLength is a valid token of so many bytes.
func ofLength(t testing.TB, bytes int) string {
	t.Helper()
	for pad := bytes / 2; pad < bytes; pad++ {
		if text := minted.Token(t, minted.Valid().With(claims{"pad": strings.Repeat("x", pad)})); len(text) == bytes {
			return text
		}
	}
	t.Fatalf("no token has %d bytes", bytes)
	return ""
}

func TestTokenPlaces(t *testing.T) {
	tests := []struct {
		name   string
		target string
		sent   lines
		want   string
		seen   lines // by the service, if it is reached
		uri    string
	}{
		{"nowhere", "/", nil, "401 token_missing", nil, ""},

		{"header", "/", lines{"Authorization: Bearer GOOD"}, "served", nil, "/"},
		{"header, lower case", "/", lines{"Authorization: bearer GOOD"}, "served", nil, "/"},
		{"header, upper case", "/", lines{"Authorization: BEARER GOOD"}, "served", nil, "/"},
		{"header, mixed case", "/", lines{"Authorization: bEaReR GOOD"}, "served", nil, "/"},
		{"header, several spaces", "/", lines{"Authorization: Bearer   GOOD"}, "served", nil, "/"},
		{"header, space behind", "/", lines{"Authorization: Bearer GOOD "}, "served", nil, "/"},
		{"header among others", "/", lines{"Accept: */*", "Authorization: Bearer GOOD", "X-Other: 1", "X-Other: 2"}, "served", lines{"Accept: */*", "X-Other: 1", "X-Other: 2"}, "/"},
		{"header without a token", "/", lines{"Authorization: Bearer"}, "400 malformed_authorization", nil, ""},
		{"header with spaces only", "/", lines{"Authorization: Bearer  "}, "400 malformed_authorization", nil, ""},
		{"header, tab", "/", lines{"Authorization: Bearer\tGOOD"}, "400 malformed_authorization", nil, ""},
		{"header, space and tab", "/", lines{"Authorization: Bearer \tGOOD"}, "400 malformed_authorization", nil, ""},
		{"header, two words", "/", lines{"Authorization: Bearer GOOD GOOD"}, "400 malformed_authorization", nil, ""},
		{"header, comma", "/", lines{"Authorization: Bearer GOOD,OTHER"}, "400 malformed_authorization", nil, ""},
		{"header, two credentials", "/", lines{"Authorization: Bearer GOOD, Basic eDp5"}, "400 malformed_authorization", nil, ""},
		{"header, quoted", "/", lines{`Authorization: Bearer "GOOD"`}, "401 token_malformed", nil, ""},
		{"empty header", "/", lines{"Authorization: "}, "401 token_missing", nil, ""},
		{"scheme only by its start", "/", lines{"Authorization: BearerGOOD"}, "401 token_missing", nil, ""},
		{"no scheme", "/", lines{"Authorization: GOOD"}, "401 token_missing", nil, ""},
		{"Basic", "/", lines{"Authorization: Basic eDp5"}, "401 token_missing", nil, ""},
		{"DPoP", "/", lines{"Authorization: DPoP GOOD"}, "401 token_missing", nil, ""},
		{"Basic beside a cookie", "/", lines{"Authorization: Basic eDp5", "Cookie: session=GOOD"}, "served", lines{"Authorization: Basic eDp5"}, "/"},
		{"Basic beside a query", "/?access_token=GOOD", lines{"Authorization: Basic eDp5"}, "served", lines{"Authorization: Basic eDp5"}, "/"},
		{"two lines, different", "/", lines{"Authorization: Bearer GOOD", "Authorization: Bearer OTHER"}, "400 multiple_tokens", nil, ""},
		{"two lines, the same", "/", lines{"Authorization: Bearer GOOD", "Authorization: Bearer GOOD"}, "400 multiple_tokens", nil, ""},
		{"two lines, one Basic", "/", lines{"Authorization: Basic eDp5", "Authorization: Bearer GOOD"}, "400 multiple_tokens", nil, ""},
		{"two lines, one empty", "/", lines{"Authorization: Bearer GOOD", "Authorization: "}, "400 multiple_tokens", nil, ""},
		{"Proxy-Authorization is none", "/", lines{"Proxy-Authorization: Bearer GOOD"}, "401 token_missing", nil, ""},

		{"cookie", "/", lines{"Cookie: session=GOOD"}, "served", nil, "/"},
		{"cookie first", "/", lines{"Cookie: session=GOOD; a=1"}, "served", lines{"Cookie: a=1"}, "/"},
		{"cookie between", "/", lines{"Cookie: a=1;  b=x=y; session=GOOD; c=\"q; d"}, "served", lines{"Cookie: a=1;  b=x=y; c=\"q; d"}, "/"},
		{"cookie last", "/", lines{"Cookie: a=1; session=GOOD"}, "served", lines{"Cookie: a=1"}, "/"},
		{"cookie without spaces", "/", lines{"Cookie: a=1;session=GOOD;b=2"}, "served", lines{"Cookie: a=1;b=2"}, "/"},
		{"cookie with spaces around", "/", lines{"Cookie: session = GOOD ;b=2"}, "served", lines{"Cookie: b=2"}, "/"},
		{"cookie in the second line", "/", lines{"Cookie: a=1", "Cookie: b=2; session=GOOD"}, "served", lines{"Cookie: a=1", "Cookie: b=2"}, "/"},
		{"cookie in a line of its own", "/", lines{"Cookie: a=1", "Cookie: session=GOOD", "Cookie: b=2"}, "served", lines{"Cookie: a=1", "Cookie: b=2"}, "/"},
		{"cookie twice, equal", "/", lines{"Cookie: session=GOOD; session=GOOD; a=1"}, "served", lines{"Cookie: a=1"}, "/"},
		{"cookie in two lines, equal", "/", lines{"Cookie: session=GOOD; a=1", "Cookie: session=GOOD"}, "served", lines{"Cookie: a=1"}, "/"},
		{"cookie twice, differing", "/", lines{"Cookie: session=GOOD; session=OTHER"}, "400 multiple_tokens", nil, ""},
		{"cookie in two lines, differing", "/", lines{"Cookie: session=GOOD", "Cookie: session=OTHER"}, "400 multiple_tokens", nil, ""},
		{"cookie three times, the first and last equal", "/", lines{"Cookie: session=GOOD; session=OTHER; session=GOOD"}, "400 multiple_tokens", nil, ""},
		{"cookie of another case", "/", lines{"Cookie: Session=GOOD"}, "401 token_missing", nil, ""},
		{"cookie of a longer name", "/", lines{"Cookie: xsession=GOOD; session2=GOOD"}, "401 token_missing", nil, ""},
		{"empty cookie", "/", lines{"Cookie: session="}, "401 token_missing", nil, ""},
		{"cookie without a value", "/", lines{"Cookie: session"}, "401 token_missing", nil, ""},
		{"empty cookie beside a header", "/", lines{"Authorization: Bearer GOOD", "Cookie: session=; a=1"}, "served", lines{"Cookie: a=1"}, "/"},
		{"empty cookie beside a full one", "/", lines{"Cookie: session=; session=GOOD"}, "served", nil, "/"},
		{"cookie beside others of the header", "/", lines{"Authorization: Bearer GOOD", "Cookie: a=1; b=2"}, "served", lines{"Cookie: a=1; b=2"}, "/"},

		{"query", "/?access_token=GOOD", nil, "served", nil, "/"},
		{"query among others", "/a%2Fb%20c?x=%20+%7e&access_token=GOOD&y=%zz&z&=", nil, "served", nil, "/a%2Fb%20c?x=%20+%7e&y=%zz&z&="},
		{"query first", "/?access_token=GOOD&a=1&a=1", nil, "served", nil, "/?a=1&a=1"},
		{"query last", "/?a=1;b&access_token=GOOD", nil, "served", nil, "/?a=1;b"},
		{"query between empty ones", "/?&&access_token=GOOD&", nil, "served", nil, "/?&&"},
		{"query, escaped name", "/?access%5Ftoken=GOOD&a=1", nil, "served", nil, "/?a=1"},
		{"query, escaped value", "/?a=1&access_token=ESCAPED", nil, "served", nil, "/?a=1"},
		{"query twice, equal", "/?access_token=GOOD&a=1&access_token=GOOD", nil, "served", nil, "/?a=1"},
		{"query twice, differing", "/?access_token=GOOD&access_token=OTHER", nil, "400 multiple_tokens", nil, ""},
		{"query of another case", "/?Access_Token=GOOD", nil, "401 token_missing", nil, ""},
		{"empty query parameter", "/?access_token=", nil, "401 token_missing", nil, ""},
		{"empty query parameter beside a header", "/?access_token=&a=1", lines{"Authorization: Bearer GOOD"}, "served", nil, "/?a=1"},
		{"query parameter without a value beside a header", "/?access_token", lines{"Authorization: Bearer GOOD"}, "served", nil, "/"},
		{"query, broken escape", "/?access_token=%zzGOOD", nil, "401 token_malformed", nil, ""},
		{"another query beside a header", "/?a=b+c&d=%2f", lines{"Authorization: Bearer GOOD"}, "served", nil, "/?a=b+c&d=%2f"},
		{"question mark without a query", "/?", lines{"Authorization: Bearer GOOD"}, "served", nil, "/?"},

		{"everywhere the same", "/?access_token=GOOD&a=1", lines{"Authorization: Bearer GOOD", "Cookie: session=GOOD; a=1"}, "served", lines{"Cookie: a=1"}, "/?a=1"},
		{"header and cookie differ", "/", lines{"Authorization: Bearer GOOD", "Cookie: session=OTHER"}, "400 multiple_tokens", nil, ""},
		{"header and query differ", "/?access_token=OTHER", lines{"Authorization: Bearer GOOD"}, "400 multiple_tokens", nil, ""},
		{"cookie and query differ", "/?access_token=OTHER", lines{"Cookie: session=GOOD"}, "400 multiple_tokens", nil, ""},
		{"a malformed header beside a cookie", "/", lines{"Authorization: Bearer", "Cookie: session=GOOD"}, "400 malformed_authorization", nil, ""},
		{"a bad token beside the same", "/", lines{"Authorization: Bearer bad", "Cookie: session=bad"}, "401 token_malformed", nil, ""},
		{"the text that stands for two tokens", "/?access_token=two%20tokens", nil, "400 multiple_tokens", nil, ""},

		{"header of 8 KiB", "/", lines{"Authorization: Bearer LONGEST"}, "served", nil, "/"},
		{"header of more", "/", lines{"Authorization: Bearer TOOLONG"}, "400 token_too_long", nil, ""},
		{"cookie of 8 KiB", "/", lines{"Cookie: session=LONGEST"}, "served", nil, "/"},
		{"cookie of more", "/", lines{"Cookie: session=TOOLONG"}, "400 token_too_long", nil, ""},
		{"query of 8 KiB", "/?access_token=LONGEST", nil, "served", nil, "/"},
		{"query of more", "/?access_token=TOOLONG", nil, "400 token_too_long", nil, ""},
		{"text of more that is no token", "/", lines{"Authorization: Bearer " + strings.Repeat("x", 8193)}, "400 token_too_long", nil, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		good := minted.Token(t, minted.Valid())
		placeholders := []string{
			"GOOD", good, "OTHER", minted.Token(t, minted.Valid().With(claims{"sub": "bob"})), "ESCAPED", strings.ReplaceAll(good, ".", "%2E"),
			"LONGEST", ofLength(t, 8192), "TOOLONG", ofLength(t, 8193),
		}
		for _, memory := range []int{10000, 0} {
			handler, service := e.Middleware(t, sourceOptions.With(options{"cacheSize": memory}))
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					target := strings.NewReplacer(placeholders...).Replace(test.target)
					// The second time the token is remembered.
					for range [2]int{} {
						service.Forget()
						rec := bothways.Send(t, handler, "GET", target, test.sent.Header(placeholders...), nil)
						if got := bothways.Outcome(t, rec); got != test.want {
							t.Fatalf("got %s, want %s", got, test.want)
						}
						if isServed := service.Request() != nil; isServed != (test.want == "served") {
							t.Fatalf("the service was called: got %t", isServed)
						}
						if test.want == "served" {
							checkSeen(t, service, test.seen.Header(placeholders...), test.uri)
						}
					}
				})
			}
		}
	})
}

// Without the options for them, a cookie, a query and a form carry no token, and none is touched.
func TestTokenPlacesOff(t *testing.T) {
	tests := []struct {
		name   string
		target string
		sent   lines
		body   string
		want   string
		seen   lines
		uri    string
	}{
		{"cookie", "/", lines{"Cookie: session=GOOD"}, "", "401 token_missing", nil, ""},
		{"query", "/?access_token=GOOD", nil, "", "401 token_missing", nil, ""},
		{"form", "/", lines{"Content-Type: application/x-www-form-urlencoded"}, "access_token=GOOD", "401 token_missing", nil, ""},
		{"empty names", "/?=GOOD", lines{"Cookie: =GOOD"}, "", "401 token_missing", nil, ""},
		{"all beside a header", "/?access_token=OTHER", lines{"Authorization: Bearer GOOD", "Cookie: session=OTHER"}, "", "served", lines{"Cookie: session=OTHER"}, "/?access_token=OTHER"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret})
		placeholders := []string{"GOOD", minted.Token(t, minted.Valid()), "OTHER", minted.Token(t, minted.Valid().With(claims{"sub": "bob"}))}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				target, body := strings.NewReplacer(placeholders...).Replace(test.target), strings.NewReplacer(placeholders...).Replace(test.body)
				for range [2]int{} {
					rec := bothways.Send(t, handler, "POST", target, test.sent.Header(placeholders...), strings.NewReader(body))
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Fatalf("got %s, want %s", got, test.want)
					}
					if test.want == "served" {
						checkSeen(t, service, test.seen.Header(placeholders...), strings.NewReplacer(placeholders...).Replace(test.uri))
					}
				}
			})
		}
	})
}

// A request line may have the whole address (RFC 9112 3.2.2).
func TestTokenInAbsoluteTarget(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions)
		rec := bothways.Send(t, handler, "GET", "http://example.com/p?a=1&access_token="+minted.Token(t, minted.Valid()), nil, nil)
		if rec.Code != 200 {
			t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
		}
		if got, want := service.Request().RequestURI, "http://example.com/p?a=1"; got != want {
			t.Errorf("RequestURI: got %q, want %q", got, want)
		}
		if got, want := service.Request().URL.String(), "http://example.com/p?a=1"; got != want {
			t.Errorf("URL: got %q, want %q", got, want)
		}
	})
}

func TestTokenInForm(t *testing.T) {
	const (
		form  = "application/x-www-form-urlencoded"
		limit = 64 << 10
	)
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		good, other := minted.Token(t, minted.Valid()), minted.Token(t, minted.Valid().With(claims{"sub": "bob"}))
		field := "access_token=" + good
		// endingAt is a body in which the token's field ends after so many bytes.
		endingAt := func(bytes int) string { return "pad=" + strings.Repeat("x", bytes-len(field)-5) + "&" + field }
		rest := "&rest=" + strings.Repeat("y", 200<<10)
		tests := []struct {
			name   string
			method string
			target string
			sent   lines
			body   string
			want   string
		}{
			{"alone", "POST", "/", lines{"Content-Type: " + form}, field, "served"},
			{"with a charset", "POST", "/", lines{"Content-Type: application/X-WWW-form-urlencoded ; charset=utf-8"}, field, "served"},
			{"among others", "POST", "/?a=1", lines{"Content-Type: " + form}, "a=%20&" + field + "&b=%zz", "served"},
			{"by PUT", "PUT", "/", lines{"Content-Type: " + form}, field, "served"},
			{"escaped", "POST", "/", lines{"Content-Type: " + form}, "access%5ftoken=" + strings.ReplaceAll(good, ".", "%2e"), "served"},
			{"twice, equal", "POST", "/", lines{"Content-Type: " + form}, field + "&" + field, "served"},
			{"twice, differing", "POST", "/", lines{"Content-Type: " + form}, field + "&access_token=" + other, "400 multiple_tokens"},
			{"empty", "POST", "/", lines{"Content-Type: " + form}, "access_token=", "401 token_missing"},
			{"empty and full", "POST", "/", lines{"Content-Type: " + form}, "access_token=&" + field, "served"},
			{"no field", "POST", "/", lines{"Content-Type: " + form}, "a=1", "401 token_missing"},
			{"no body", "POST", "/", lines{"Content-Type: " + form}, "", "401 token_missing"},
			{"another type", "POST", "/", lines{"Content-Type: text/plain"}, field, "401 token_missing"},
			{"no type", "POST", "/", nil, field, "401 token_missing"},
			{"multipart", "POST", "/", lines{"Content-Type: multipart/form-data; boundary=x"}, field, "401 token_missing"},
			{"beside another scheme", "POST", "/", lines{"Content-Type: " + form, "Authorization: Basic eDp5"}, field, "served"},
			{"beside an empty cookie", "POST", "/", lines{"Content-Type: " + form, "Cookie: session="}, field, "served"},
			{"not read beside a header", "POST", "/", lines{"Content-Type: " + form, "Authorization: Bearer " + good}, "access_token=" + other, "served"},
			{"not read beside a cookie", "POST", "/", lines{"Content-Type: " + form, "Cookie: session=" + good}, "access_token=" + other, "served"},
			{"not read beside a query", "POST", "/?access_token=" + good, lines{"Content-Type: " + form}, "access_token=" + other, "served"},
			{"of 8 KiB", "POST", "/", lines{"Content-Type: " + form}, "access_token=" + ofLength(t, 8192), "served"},
			{"of more than 8 KiB", "POST", "/", lines{"Content-Type: " + form}, "access_token=" + ofLength(t, 8193), "400 token_too_long"},
			{"before a long rest", "POST", "/", lines{"Content-Type: " + form}, field + rest, "served"},
			{"ending before the limit, the body longer", "POST", "/", lines{"Content-Type: " + form}, endingAt(limit-1) + rest, "served"},
			{"ending before the limit, the body not", "POST", "/", lines{"Content-Type: " + form}, endingAt(limit - 1), "served"},
			{"ending at the limit with the body", "POST", "/", lines{"Content-Type: " + form}, endingAt(limit), "served"},
			{"ending at the limit, the body longer", "POST", "/", lines{"Content-Type: " + form}, endingAt(limit) + rest, "served"},
			{"cut by the limit", "POST", "/", lines{"Content-Type: " + form}, endingAt(limit + 1), "401 token_missing"},
			{"cut by the limit, nothing before it", "POST", "/", lines{"Content-Type: " + form}, "access_token=" + strings.Repeat("x", limit), "401 token_missing"},
			{"behind the limit", "POST", "/", lines{"Content-Type: " + form}, endingAt(limit + 10000), "401 token_missing"},
			{"a second one behind the limit", "POST", "/", lines{"Content-Type: " + form}, field + rest + "&access_token=" + other, "served"},
		}
		handler, service := e.Middleware(t, sourceOptions)
		for _, test := range tests {
			for _, isChunked := range []bool{false, true} {
				t.Run(test.name+map[bool]string{true: ", chunked"}[isChunked], func(t *testing.T) {
					var body io.Reader = strings.NewReader(test.body)
					if isChunked {
						body = chunked{body}
					}
					service.Forget()
					rec := bothways.Send(t, handler, test.method, test.target, test.sent.Header(), body)
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Fatalf("got %s, want %s", got, test.want)
					}
					if test.want != "served" {
						return
					}
					if service.Body() != test.body {
						t.Errorf("the service's body: got %d bytes, want all %d", len(service.Body()), len(test.body))
					}
					length := int64(len(test.body))
					if isChunked {
						length = -1
					}
					if got := service.Request().ContentLength; got != length {
						t.Errorf("ContentLength: got %d, want %d", got, length)
					}
				})
			}
		}
	})
}

// A form that breaks off says nothing of who sent it.
func TestFormThatBreaksOff(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions.With(options{"optional": true}))
		body := io.MultiReader(strings.NewReader("access_token="+minted.Token(t, minted.Valid())), failingReader{})
		rec := bothways.Send(t, handler, "POST", "/", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body)
		if got, want := bothways.Outcome(t, rec), "400 malformed_form"; got != want || service.Calls() != 0 {
			t.Errorf("got %s and %d calls, want %s and none", got, service.Calls(), want)
		}
	})
}

// The service gets a form's body even if the client only goes on sending it once it is served.
func TestFormOverTheNetwork(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions)
		server := httptest.NewServer(handler)
		defer server.Close()
		body := "access_token=" + minted.Token(t, minted.Valid()) + "&rest=" + strings.Repeat("y", 300<<10)
		for name, reader := range map[string]io.Reader{"length": strings.NewReader(body), "chunked": chunked{strings.NewReader(body)}} {
			service.Forget()
			req, err := http.NewRequest(http.MethodPost, server.URL, reader)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Expect", "100-continue")
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 200 || service.Body() != body {
				t.Errorf("%s: got %d and %d bytes, want 200 and %d", name, resp.StatusCode, len(service.Body()), len(body))
			}
		}
	})
}

func TestCrossSite(t *testing.T) {
	tests := []struct {
		name   string
		method string
		target string
		sent   lines
		want   string
	}{
		{"POST without a word of its origin", "POST", "/", lines{"Cookie: session=GOOD"}, "served"},
		{"POST from the same origin", "POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: same-origin"}, "served"},
		{"POST from the same site", "POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: same-site"}, "403 cross_site"},
		{"POST by the user", "POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: none"}, "served"},
		{"POST from another site", "POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"PUT from another site", "PUT", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"PATCH from another site", "PATCH", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"DELETE from another site", "DELETE", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"OPTIONS from another site", "OPTIONS", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"a method of one's own from another site", "PURGE", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"a method that is GET but for its case", "get", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
		{"GET from another site", "GET", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "served"},
		{"HEAD from another site", "HEAD", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "served"},
		{"GET with Upgrade from another site", "GET", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site", "Upgrade: websocket"}, "403 cross_site"},
		{"GET with Upgrade from a foreign Origin", "GET", "/", lines{"Cookie: session=GOOD", "Origin: https://evil.example", "Upgrade: websocket"}, "403 cross_site"},
		{"GET with Upgrade from the own Origin", "GET", "/", lines{"Cookie: session=GOOD", "Origin: http://example.com", "Upgrade: websocket"}, "served"},
		{"GET with Upgrade from nowhere", "GET", "/", lines{"Cookie: session=GOOD", "Upgrade: websocket"}, "served"},
		{"POST from a foreign Origin", "POST", "/", lines{"Cookie: session=GOOD", "Origin: https://evil.example"}, "403 cross_site"},
		{"POST from a sibling", "POST", "/", lines{"Cookie: session=GOOD", "Origin: https://www.example.com"}, "403 cross_site"},
		{"POST from another port", "POST", "/", lines{"Cookie: session=GOOD", "Origin: https://example.com:8443"}, "403 cross_site"},
		{"POST from the Origin null", "POST", "/", lines{"Cookie: session=GOOD", "Origin: null"}, "403 cross_site"},
		{"POST from an Origin that is none", "POST", "/", lines{"Cookie: session=GOOD", "Origin: %zz"}, "403 cross_site"},
		{"POST from the own Origin", "POST", "/", lines{"Cookie: session=GOOD", "Origin: http://example.com"}, "served"},
		{"POST from the own Origin in upper case", "POST", "/", lines{"Cookie: session=GOOD", "Origin: HTTP://EXAMPLE.COM"}, "served"},
		{"GET from a foreign Origin", "GET", "/", lines{"Cookie: session=GOOD", "Origin: https://evil.example"}, "served"},
		{"the same site, though of a foreign Origin", "POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: same-site", "Origin: https://www.example.com"}, "403 cross_site"},
		{"another site, though of the own Origin", "POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site", "Origin: http://example.com"}, "403 cross_site"},
		{"header", "POST", "/", lines{"Authorization: Bearer GOOD", "Sec-Fetch-Site: cross-site"}, "served"},
		{"query", "POST", "/?access_token=GOOD", lines{"Sec-Fetch-Site: cross-site"}, "served"},
		{"header beside the cookie", "POST", "/", lines{"Authorization: Bearer GOOD", "Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "served"},
		{"an empty cookie", "POST", "/", lines{"Cookie: session=", "Sec-Fetch-Site: cross-site"}, "401 token_missing"},
		{"a bad cookie", "POST", "/", lines{"Cookie: session=bad", "Sec-Fetch-Site: cross-site"}, "403 cross_site"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions)
		good := minted.Token(t, minted.Valid())
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for range [2]int{} {
					calls := service.Calls()
					rec := bothways.Send(t, handler, test.method, strings.ReplaceAll(test.target, "GOOD", good), test.sent.Header("GOOD", good), nil)
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Errorf("got %s, want %s", got, test.want)
					}
					if isServed := service.Calls() > calls; isServed != (test.want == "served") {
						t.Errorf("the service was called: got %t", isServed)
					}
				}
			})
		}
	})
}

func TestPreflight(t *testing.T) {
	const origin, asks = "Origin: https://app.example", "Access-Control-Request-Method: PUT"
	tests := []struct {
		name   string
		method string
		target string
		sent   lines
		body   io.Reader
		want   string
		seen   lines
		uri    string
	}{
		{"plain", "OPTIONS", "/", lines{origin, asks}, nil, "served", lines{origin, asks}, "/"},
		{"with what a browser adds", "OPTIONS", "/x?a=1", lines{origin, asks, "Access-Control-Request-Headers: authorization", "Sec-Fetch-Site: cross-site", "Accept: */*"}, nil, "served", lines{origin, asks, "Access-Control-Request-Headers: authorization", "Sec-Fetch-Site: cross-site", "Accept: */*"}, "/x?a=1"},
		{"claim headers", "OPTIONS", "/", lines{origin, asks, "X-User-Id: eve", "x_user_id: eve", "X.User.Id: eve", "X-User: 1"}, nil, "served", lines{origin, asks, "X-User: 1"}, "/"},
		{"overrides", "OPTIONS", "/", lines{origin, asks, "X-Http-Method: PUT", "X-Http-Method-Override: PUT", "X-Method-Override: PUT"}, nil, "served", lines{origin, asks}, "/"},
		{"overrides in other spellings", "OPTIONS", "/", lines{origin, asks, "X_HTTP_METHOD: PUT", "x.http.method_override: PUT", "X~METHOD~OVERRIDE: PUT", "X-HTTP-Method-Override: PUT"}, nil, "served", lines{origin, asks}, "/"},
		{"no overrides", "OPTIONS", "/", lines{origin, asks, "X-Method: PUT", "Http-Method: PUT", "X-Http-Method-Override-2: PUT"}, nil, "served", lines{origin, asks, "X-Method: PUT", "Http-Method: PUT", "X-Http-Method-Override-2: PUT"}, "/"},
		{"a bad token", "OPTIONS", "/", lines{origin, asks, "Authorization: Bearer bad"}, nil, "served", lines{origin, asks}, "/"},
		{"a good token, which is not read", "OPTIONS", "/", lines{origin, asks, "Authorization: bearer GOOD"}, nil, "served", lines{origin, asks}, "/"},
		{"two lines", "OPTIONS", "/", lines{origin, asks, "Authorization: Basic eDp5", "Authorization: Bearer bad"}, nil, "served", lines{origin, asks}, "/"},
		{"another scheme", "OPTIONS", "/", lines{origin, asks, "Authorization: Basic eDp5"}, nil, "served", lines{origin, asks, "Authorization: Basic eDp5"}, "/"},
		{"a bad cookie", "OPTIONS", "/", lines{origin, asks, "Cookie: a=1; session=bad"}, nil, "served", lines{origin, asks, "Cookie: a=1"}, "/"},
		{"a bad query", "OPTIONS", "/?access_token=bad&a=%20", lines{origin, asks}, nil, "served", lines{origin, asks}, "/?a=%20"},

		{"GET", "GET", "/", lines{origin, asks}, nil, "401 token_missing", nil, ""},
		{"another case", "options", "/", lines{origin, asks}, nil, "401 token_missing", nil, ""},
		{"no Origin", "OPTIONS", "/", lines{asks}, nil, "401 token_missing", nil, ""},
		{"two Origins", "OPTIONS", "/", lines{origin, origin, asks}, nil, "401 token_missing", nil, ""},
		{"no method asked", "OPTIONS", "/", lines{origin}, nil, "401 token_missing", nil, ""},
		{"two methods asked", "OPTIONS", "/", lines{origin, asks, asks}, nil, "401 token_missing", nil, ""},
		{"headers asked only", "OPTIONS", "/", lines{origin, "Access-Control-Request-Headers: x"}, nil, "401 token_missing", nil, ""},
		{"another protocol", "OPTIONS", "/", lines{origin, asks, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "Http2-Settings: AAMAAABk"}, nil, "401 token_missing", nil, ""},
		{"a body", "OPTIONS", "/", lines{origin, asks}, strings.NewReader("x"), "401 token_missing", nil, ""},
		{"a body of unknown length", "OPTIONS", "/", lines{origin, asks}, chunked{strings.NewReader("")}, "401 token_missing", nil, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		good := minted.Token(t, minted.Valid())
		for _, forwards := range []bool{false, true} {
			handler, service := e.Middleware(t, sourceOptions.With(options{"forwardAuthorization": forwards, "forwardHeaders": map[string]any{"X-User-Id": "sub"}}))
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					service.Forget()
					rec := bothways.Send(t, handler, test.method, test.target, test.sent.Header("GOOD", good), test.body)
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Fatalf("got %s, want %s", got, test.want)
					}
					if test.want == "served" {
						checkSeen(t, service, test.seen.Header(), test.uri)
					}
				})
			}
		}
	})
}

func TestForwardAuthorization(t *testing.T) {
	tests := []struct {
		name   string
		target string
		sent   lines
		seen   lines
		uri    string
	}{
		{"header", "/", lines{"Authorization: bearer GOOD"}, lines{"Authorization: bearer GOOD"}, "/"},
		{"header as it is remembered", "/", lines{"Authorization: Bearer GOOD"}, lines{"Authorization: Bearer GOOD"}, "/"},
		{"cookie", "/", lines{"Cookie: a=1; session=GOOD;b=2"}, lines{"Cookie: a=1; session=GOOD;b=2"}, "/"},
		{"query", "/?a=%20&access_token=GOOD&", nil, nil, "/?a=%20&access_token=GOOD&"},
		{"everywhere", "/?access_token=GOOD", lines{"Authorization: Bearer GOOD", "Cookie: session=GOOD"}, lines{"Authorization: Bearer GOOD", "Cookie: session=GOOD"}, "/?access_token=GOOD"},
		{"another scheme", "/", lines{"Authorization: Basic eDp5", "Cookie: session=GOOD"}, lines{"Authorization: Basic eDp5", "Cookie: session=GOOD"}, "/"},
		{"method overrides stay too", "/", lines{"Authorization: Bearer GOOD", "X-Http-Method-Override: PUT"}, lines{"Authorization: Bearer GOOD", "X-Http-Method-Override: PUT"}, "/"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions.With(options{"forwardAuthorization": true}))
		good := minted.Token(t, minted.Valid())
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for range [2]int{} {
					rec := bothways.Send(t, handler, "GET", strings.ReplaceAll(test.target, "GOOD", good), test.sent.Header("GOOD", good), nil)
					if rec.Code != 200 {
						t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
					}
					checkSeen(t, service, test.seen.Header("GOOD", good), strings.ReplaceAll(test.uri, "GOOD", good))
				}
			})
		}
	})
}

func TestOptional(t *testing.T) {
	tests := []struct {
		name   string
		target string
		sent   lines
		want   string
		seen   lines
		uri    string
	}{
		{"no token", "/?a=1", lines{"Accept: */*"}, "served", lines{"Accept: */*"}, "/?a=1"},
		{"claim headers", "/", lines{"X-User-Id: eve", "x_user_id: eve"}, "served", nil, "/"},
		{"an empty cookie", "/", lines{"Cookie: session=; a=1"}, "served", lines{"Cookie: a=1"}, "/"},
		{"an empty parameter", "/?access_token=&a=1", nil, "served", nil, "/?a=1"},
		{"another scheme", "/", lines{"Authorization: Basic eDp5"}, "served", lines{"Authorization: Basic eDp5"}, "/"},
		{"a cookie that came with a cross-site POST", "/", lines{"Cookie: session=GOOD", "Sec-Fetch-Site: cross-site"}, "403 cross_site", nil, ""},
		{"a token", "/", lines{"Authorization: Bearer GOOD", "X-User-Id: eve"}, "served", lines{"X-User-Id: ada"}, "/"},
		{"an expired token", "/", lines{"Authorization: Bearer EXPIRED"}, "401 token_expired", nil, ""},
		{"a bad token", "/", lines{"Authorization: Bearer bad"}, "401 token_malformed", nil, ""},
		{"a bad cookie", "/", lines{"Cookie: session=bad"}, "401 token_malformed", nil, ""},
		{"a header without a token", "/", lines{"Authorization: Bearer"}, "400 malformed_authorization", nil, ""},
		{"two tokens", "/?access_token=bad", lines{"Authorization: Bearer GOOD"}, "400 multiple_tokens", nil, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions.With(options{"optional": true, "forwardHeaders": map[string]any{"X-User-Id": "sub"}}))
		placeholders := []string{"GOOD", minted.Token(t, minted.Valid()), "EXPIRED", minted.Token(t, minted.Valid().With(claims{"exp": 1000}))}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for range [2]int{} {
					service.Forget()
					rec := bothways.Send(t, handler, "POST", test.target, test.sent.Header(placeholders...), nil)
					if got := bothways.Outcome(t, rec); got != test.want {
						t.Fatalf("got %s, want %s", got, test.want)
					}
					if test.want == "served" {
						checkSeen(t, service, test.seen.Header(placeholders...), test.uri)
					}
				}
			})
		}
	})
}
