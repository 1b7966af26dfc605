package jose_test

import (
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestParseHeader(t *testing.T) {
	tests := []struct {
		header   string
		want     jose.Header
		problem  jose.Problem
		isStrict bool
	}{
		{`{"alg":"HS256"}`, jose.Header{Alg: "HS256"}, jose.NoProblem, true},
		{`{"alg":"HS256","kid":"a","typ":"JWT"}`, jose.Header{Alg: "HS256", KID: "a", Typ: "JWT"}, jose.NoProblem, true},
		{`{"alg":"","kid":"","typ":""}`, jose.Header{}, jose.NoProblem, true},
		{` { "alg" : "none" } `, jose.Header{Alg: "none"}, jose.NoProblem, true},
		{`{"alg":"HS256","jwk":{"kty":"oct"},"jku":"https://example.com","x5u":1,"x5c":[]}`, jose.Header{Alg: "HS256"}, jose.NoProblem, true},
		{`{"alg":"HS256","alg":"none"}`, jose.Header{Alg: "none"}, jose.NoProblem, false}, // StrictHeader is asked before it counts.
		{`{"alg":"HS256","x":{"y":1,"y":2}}`, jose.Header{Alg: "HS256"}, jose.NoProblem, false},
		{"{\"alg\":\"HS256\",\"x\":\"\xff\"}", jose.Header{Alg: "HS256"}, jose.NoProblem, false},
		{`{"alg":"HS256","crit":["exp"]}`, jose.Header{}, jose.Unsupported, true},
		{`{"alg":"HS256","crit":null}`, jose.Header{}, jose.Unsupported, true},
		{`{"alg":"HS256","b64":true}`, jose.Header{}, jose.Unsupported, true},
		{`{"alg":"HS256","zip":"DEF"}`, jose.Header{}, jose.Unsupported, true},
		{`{"typ":"JWT"}`, jose.Header{}, jose.Malformed, true},
		{`{"Alg":"HS256"}`, jose.Header{}, jose.Malformed, true},
		{`{"alg":256}`, jose.Header{}, jose.Malformed, true},
		{`{"alg":null}`, jose.Header{}, jose.Malformed, true},
		{`{"alg":"HS256","kid":1}`, jose.Header{}, jose.Malformed, true},
		{`{"alg":"HS256","kid":["a"]}`, jose.Header{}, jose.Malformed, true},
		{`{"alg":"HS256","typ":{}}`, jose.Header{}, jose.Malformed, true},
		{`{"alg":"HS256"}{}`, jose.Header{}, jose.Malformed, false},
		{`{"alg":"HS256"`, jose.Header{}, jose.Malformed, false},
		{`["alg"]`, jose.Header{}, jose.Malformed, false},
		{`null`, jose.Header{}, jose.Malformed, false},
		{``, jose.Header{}, jose.Malformed, false},
	}
	for _, test := range tests {
		part := minted.Base64(test.header)
		h, problem := jose.ParseHeader(part)
		got := jose.Header{}
		if h != nil {
			got = *h
		}
		if got != test.want || problem != test.problem {
			t.Errorf("%s: got %+v and %q, want %+v and %q", test.header, got, problem, test.want, test.problem)
		}
		if isStrict := jose.StrictHeader(part); isStrict != test.isStrict {
			t.Errorf("%s: got strict %t, want %t", test.header, isStrict, test.isStrict)
		}
	}
	for _, part := range []string{"e30=", "e31", "e3 0", "+/+/", "e"} { // Padded, not canonical, spaced, of another alphabet, cut.
		if _, problem := jose.ParseHeader(part); problem != jose.Malformed {
			t.Errorf("%q: got %q, want %q", part, problem, jose.Malformed)
		}
		if jose.StrictHeader(part) {
			t.Errorf("%q: got it strict, want not", part)
		}
	}
}

func TestMediaType(t *testing.T) {
	for typ, want := range map[string]string{"": "", "JWT": "jwt", "at+jwt": "at+jwt", "Application/AT+JWT": "at+jwt", "application/": "", "text/jwt": "text/jwt", "application/application/jwt": "application/jwt"} {
		if got := jose.MediaType(typ); got != want {
			t.Errorf("%q: got %q, want %q", typ, got, want)
		}
	}
}
