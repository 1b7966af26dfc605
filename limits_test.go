package slidingjwt_test

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// What a client can repeat at no cost to itself is bounded before the interpreter walks over it.
func TestTooManyParts(t *testing.T) {
	everywhere := options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "tokenKey": "token", "forwardHeaders": map[string]any{"X-User-Id": "sub"}}
	tests := []struct {
		name, target string
		header       http.Header
		want         int
	}{
		{"500 cookies", "/", http.Header{"Cookie": {strings.Repeat("a=b;", 499) + "a=b"}}, 401},
		{"502 cookies", "/", http.Header{"Cookie": {strings.Repeat("a=b;", 501) + "a=b"}}, 400},
		{"cookies in many lines", "/", http.Header{"Cookie": strings.Split(strings.Repeat("session=x,", 600), ",")}, 400},
		{"1001 parameters", "/?" + strings.Repeat("a&", 1000), nil, 401},
		{"1002 parameters", "/?" + strings.Repeat("a&", 1001), nil, 400},
		{"101 connection options", "/", http.Header{"Connection": {strings.Repeat("a,", 100)}}, 401},
		{"102 connection options", "/", http.Header{"Connection": {strings.Repeat("a,", 101)}}, 400},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, everywhere)
		for _, test := range tests {
			rec := bothways.Send(t, handler, "GET", test.target, test.header, nil)
			if rec.Code != test.want {
				t.Errorf("%s: got %d, want %d", test.name, rec.Code, test.want)
			}
		}
		form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		if rec := bothways.Send(t, handler, "POST", "/", form, strings.NewReader(strings.Repeat("a&", 1001))); rec.Code != 400 || !strings.Contains(rec.Body.String(), "#too_many_parts") {
			t.Errorf("a form of 1002 fields: got %d %s, want 400 too_many_parts", rec.Code, rec.Body)
		}
		if service.Calls() > 0 {
			t.Errorf("got %d calls of the service, want none", service.Calls())
		}
	})
}

// A client whose service agrees to h2c would send it further requests past the gateway.
func TestUpgrades(t *testing.T) {
	tests := []struct {
		upgrade []string
		want    bool
	}{
		{[]string{"websocket"}, true},
		{[]string{"WebSocket"}, true},
		{[]string{"h2c"}, false},
		{[]string{"websocket, h2c"}, false},
		{[]string{"websocket", "h2c"}, false},
		{[]string{"SPDY/3.1"}, false},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret})
		line := "Bearer " + minted.Token(t, minted.Valid())
		for _, test := range tests {
			for _, name := range []string{"first", "remembered"} {
				header := http.Header{"Authorization": {line}, "Connection": {"Upgrade"}, "Upgrade": test.upgrade, "Http2-Settings": {"AAAA"}}
				rec := bothways.Send(t, handler, "GET", "/", header, nil)
				got := len(service.Request().Header["Upgrade"]) > 0
				if rec.Code != 200 || got != test.want {
					t.Errorf("%s, %s: got %d and an upgrade %t, want 200 and %t", test.upgrade, name, rec.Code, got, test.want)
				}
			}
		}
	})
}

// A token is walked over member by member only once its signature was found right.
func TestLooseTokenIsVerifiedFirst(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		header := minted.Segment(t, map[string]string{"alg": "HS256"})
		twice := base64.RawURLEncoding.EncodeToString([]byte(`{"exp": 4102444800, "a": 1, "a": 2}`))
		for token, want := range map[string]string{
			minted.HS256(header + "." + twice):                                       "token_malformed",
			minted.HS256(header + "." + twice + "x")[:len(header+twice)+1] + ".AAAA": "bad_signature",
		} {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
			if body := rec.Body.String(); rec.Code != 401 || !strings.Contains(body, "#"+want) {
				t.Errorf("got %d %s, want 401 %s", rec.Code, body, want)
			}
		}
	})
}

// A modulus of any length would make each signature cost seconds, a stranger's too.
func TestLongRSAKey(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 8192)
	n := base64.RawURLEncoding.EncodeToString(modulus.Bytes())
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		err := e.Refusal(options{"jwksFile": `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + n + `"}]}`})
		if err == nil || !strings.Contains(err.Error(), "no key that can be used") {
			t.Errorf("got %v, want the key left out", err)
		}
	})
}

// A secret in base64 may start with a slash, and so be taken for a path.
func TestSecretIsNoPathInTheLog(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var err error
		logged := e.Logged(t, func() {
			err = e.Refusal(options{"signingSecret": "/8dGhpc2lzYXNlY3JldA", "signingSecretBase64Encoded": true, "realm": distinct()})
		})
		if err != nil || len(logged) != 1 || !strings.Contains(logged[0], "signingSecret: the file that it names cannot be used") || strings.Contains(logged[0], "8dGhpc2lz") {
			t.Errorf("got %v and the log %q, want one line, without the secret", err, logged)
		}
	})
}

// A provider that knows no Kubernetes hands the reference over as it is, and its text would be the secret.
func TestUnresolvedSecret(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, option := range []string{"signingSecret", "privateKey", "publicKey", "jwksFile"} {
			err := e.Refusal(options{option: "urn:k8s:secret:a-name-of-some-length:signingSecret"})
			if err == nil || !strings.Contains(err.Error(), option+": it is an unresolved reference to a Kubernetes Secret") {
				t.Errorf("%s: got %v, want it refused", option, err)
			}
		}
	})
}

// A list of audiences ends none of the checks behind it.
func TestListOfAudiencesIsCheckedOn(t *testing.T) {
	list := claims{"aud": []string{"api", "web"}}
	tests := []struct {
		name string
		c    claims
		want string
	}{
		{"bound", minted.Valid().With(list).With(claims{"cnf": map[string]any{"jkt": "x"}}), "bound_token"},
		{"bound, a string", minted.Valid().With(list).With(claims{"cnf": "x"}), "bound_token"},
		{"no expiry", minted.Valid().With(list).With(claims{"exp": nil}), "no_expiry"},
		{"neither", minted.Valid().With(list), ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		for _, test := range tests {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, test.c)), nil)
			if test.want == "" && rec.Code != 200 || test.want != "" && !strings.Contains(rec.Body.String(), "#"+test.want) {
				t.Errorf("%s: got %d %s, want %q", test.name, rec.Code, rec.Body, test.want)
			}
		}
	})
}

// What is not searched is not counted: a request is answered alike at a glance and by the whole of the way.
func TestUnsearchedPartsAreNotCounted(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret})
		header := http.Header{
			"Authorization": {"Bearer " + minted.Token(t, minted.Valid())}, "Cookie": {strings.Repeat("a=b;", 600)}, "Connection": {strings.Repeat("a,", 200)},
		}
		for _, name := range []string{"first", "second", "upgrade"} {
			if name == "upgrade" {
				header["Upgrade"] = []string{"websocket"}
			}
			if rec := bothways.Send(t, handler, "GET", "/?"+strings.Repeat("a&", 1500), header.Clone(), nil); rec.Code != 200 {
				t.Errorf("%s: got %d %s, want 200", name, rec.Code, rec.Body)
			}
		}
	})
}
