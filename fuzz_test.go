package slidingjwt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The fuzz targets are native only: Go's fuzzer instruments compiled code. Their seeds run with every test.

// Any changed octet of an accepted token is refused, or leaves the claims the same.
func FuzzChangedToken(f *testing.F) {
	c := minted.Valid().With(claims{"exp": 4e9, "iat": 1e9, "roles": []string{"a", "b"}, "name": "Ada <Lovelace>"})
	keys := map[string]any{"HS256": []byte(minted.Secret), "RS256": minted.Key(f, "RSA"), "PS384": minted.Key(f, "RSA"), "ES256": minted.Key(f, "P-256"), "ES512": minted.Key(f, "P-521"), "EdDSA": minted.Key(f, "Ed25519")}
	algs := []string{"HS256", "RS256", "PS384", "ES256", "ES512", "EdDSA"}
	tokens := make([]string, 0, len(algs))
	for i, alg := range algs {
		tokens = append(tokens, minted.Signed(f, keys[alg], claims{"alg": alg, "typ": "JWT"}, c))
		for _, at := range []int{0, 10, len(tokens[i]) / 2, len(tokens[i]) - 1} {
			f.Add(uint(i), uint(at), byte('A'), false)
			f.Add(uint(i), uint(at), byte('='), true)
		}
	}
	handler, _ := bothways.Native.Middleware(f, options{
		"signingSecret": minted.Secret, "cacheSize": 0,
		"jwksFile": minted.JWKSet(f, minted.PublicJWK(f, minted.Key(f, "RSA")), minted.PublicJWK(f, minted.Key(f, "P-256")), minted.PublicJWK(f, minted.Key(f, "P-521")), minted.PublicJWK(f, minted.Key(f, "Ed25519"))),
	})
	f.Fuzz(func(t *testing.T, which, position uint, octet byte, inserted bool) {
		token := tokens[which%uint(len(tokens))]
		at := int(position % uint(len(token)))
		changed := token[:at] + string([]byte{octet}) + token[at:]
		if !inserted {
			changed = token[:at] + string([]byte{octet}) + token[at+1:]
		}
		if got := bothways.Verdict(t, handler, changed); got == "served" && fmt.Sprint(minted.Payload(t, strings.Trim(changed, " "))) != fmt.Sprint(minted.Payload(t, token)) {
			t.Errorf("%q was served in place of %q", changed, token)
		}
	})
}

// Whatever is signed, what is served has one reading: golang-jwt accepts it too, no member stands twice, and the
// times are in order.
func FuzzSignedToken(f *testing.F) {
	const exp = `"exp":4000000000`
	for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"none"}`, `{"alg":"HS256","typ":"JWT","kid":"a"}`, `{"alg":"HS256","crit":["b64"],"b64":false}`, `{"alg":"HS256","alg":"HS256"}`, `null`} {
		f.Add(header, `{`+exp+`}`)
	}
	for _, payload := range []string{
		`{}`, `null`, `[]`, ``, `{"exp":"1"}`, `{"exp":1e400}`, `{"exp":0}`, `{` + exp + `,"nbf":1e19}`, `{` + exp + `,"iat":0.5}`, `{` + exp + `,` + exp + `}`, `{` + exp + `,"\u0065xp":1}`,
		`{` + exp + `}x`, `{` + exp + `,"aud":["a",1]}`, `{` + exp + `,"sub":null}`, `{` + exp + `,"cnf":{}}`, `{` + exp + `,"a":{"b":1,"b":1}}`, "{" + exp + ",\"a\":\"\xff\"}", `{` + exp + `,"<":[{"a":1},{"a":2}]}`,
	} {
		f.Add(`{"alg":"HS256"}`, payload)
	}
	handler, service := bothways.Native.Middleware(f, options{"signingSecret": minted.Secret, "cacheSize": 0, "forwardHeaders": map[string]any{"X-Sub": "sub"}})
	parser := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithJSONNumber(), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithValidMethods([]string{"HS256"}))
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := minted.Written(header, payload)
		if len(token) > 8<<10 || bothways.Verdict(t, handler, token) != "served" {
			return
		}
		read, err := parser.Parse(token, func(*jwt.Token) (any, error) { return []byte(minted.Secret), nil })
		if err != nil && !(errors.Is(err, jwt.ErrTokenInvalidClaims) && hasHugeTime(read.Claims.(jwt.MapClaims))) {
			t.Fatalf("%s of %s was served, and golang-jwt says: %v", payload, header, err)
		}
		for _, text := range []string{header, payload} {
			if err := eachOnce(text); err != nil {
				t.Errorf("%s was served: %v", text, err)
			}
		}
		c := read.Claims.(jwt.MapClaims)
		sub, _ := c["sub"].(string)
		if got := service.Request().Header.Get("X-Sub"); got != sub && got != "" {
			t.Errorf("got X-Sub %q, want %q", got, sub)
		}
		if _, there := c["cnf"]; there {
			t.Errorf("%s was served with cnf", payload)
		}
		for _, name := range []string{"crit", "b64", "zip"} {
			if _, there := read.Header[name]; there {
				t.Errorf("%s was served with %s", header, name)
			}
		}
	})
}

// hasHugeTime reports whether a time of a token is more seconds than an int64 has. golang-jwt converts it all the same, and
// reads an exp of 1e19 as one in the past.
func hasHugeTime(c jwt.MapClaims) bool {
	for _, name := range []string{"exp", "nbf", "iat"} {
		if number, isNumber := c[name].(json.Number); isNumber {
			if seconds, err := number.Float64(); err == nil && math.Abs(seconds) >= 1<<63 {
				return true
			}
		}
	}
	return false
}

// eachOnce reads a JSON object with the token loop of encoding/json, and finds a member that stands twice.
func eachOnce(text string) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	token, err := decoder.Token()
	if err != nil || token != json.Delim('{') {
		return errors.New("no object")
	}
	if err := eachOnceIn(decoder); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something behind")
	}
	return nil
}

// eachOnceIn reads the members of an object whose brace was read.
func eachOnceIn(decoder *json.Decoder) error {
	names := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		if names[name.(string)] {
			return fmt.Errorf("%q stands twice", name)
		}
		names[name.(string)] = true
		if err := eachOnceValue(decoder); err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return err
}

func eachOnceValue(decoder *json.Decoder) error {
	value, err := decoder.Token()
	if err != nil {
		return err
	}
	if value == json.Delim('{') {
		return eachOnceIn(decoder)
	}
	if value != json.Delim('[') {
		return nil
	}
	for decoder.More() {
		if err := eachOnceValue(decoder); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// Whatever a request says, it is answered: with the service's response or with a refusal that has a reason.
func FuzzRequest(f *testing.F) {
	good := minted.Written(`{"alg":"HS256"}`, `{"sub":"ada","exp":4000000000}`)
	for _, authorization := range []string{"", "Bearer", "Bearer ", "bearer " + good, "Bearer " + good + " ", "Basic x", "Bearer " + good + "," + good, "Bearer a.b.c"} {
		f.Add(authorization, "session="+good, "a=b&token="+good)
		f.Add(authorization, "", "")
	}
	f.Add("", "session=x; session=y", "token=%zz&token=%41")
	handler, service := bothways.Native.Middleware(f, options{"signingSecret": minted.Secret, "tokenKey": "token", "cookie": map[string]any{"name": "session"}, "forwardHeaders": map[string]any{"X-Sub": "sub"}})
	f.Fuzz(func(t *testing.T, authorization, cookie, query string) {
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == '#' || r > '~' }) {
			return // No server parses such a request.
		}
		before := service.Calls()
		rec := bothways.Send(t, handler, "GET", "/path?"+query, http.Header{"Authorization": {authorization}, "Cookie": {cookie}, "X_Sub": {"eve"}}, nil)
		got := bothways.Outcome(t, rec)
		if served := service.Calls() > before; served != (got == "served") || !served && !strings.Contains(got, " ") {
			t.Errorf("got %s, and the service was called: %t", got, served)
		}
		if got != "served" {
			return
		}
		h := service.Request().Header
		if sub := h["X-Sub"]; len(sub) != 1 || sub[0] != "ada" || len(h["X_Sub"]) > 0 {
			t.Errorf("got the headers %v, want X-Sub: ada", h)
		}
		if strings.Contains(fmt.Sprint(h["Authorization"], h["Cookie"], service.Request().RequestURI), "session="+good) {
			t.Errorf("got %v and %s, want no token", h, service.Request().RequestURI)
		}
	})
}
