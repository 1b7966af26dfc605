package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// What tokens, key sets and applications of others are like, through the real gateway.

// realWorld is a gateway with a router for each block of options, below the path of the block's name.
type realWorld struct {
	*gateway.Gateway
	secret string
}

func startRealWorld(t *testing.T, static map[string]any, blocks, services map[string]map[string]any) realWorld {
	t.Helper()
	api := httptest.NewServer(echo.Handler("api", log.New(io.Discard, "", 0)))
	t.Cleanup(api.Close)
	routers, middlewares := map[string]any{}, map[string]any{}
	balancers := map[string]any{"api": balanced(api.URL)}
	for name, service := range services {
		balancers[name] = service
	}
	w := realWorld{secret: rand.Text() + rand.Text()}
	for name, block := range blocks {
		service := "api"
		if services[name] != nil {
			service = name
		}
		if block["trustedIssuers"] == nil {
			block["signingSecret"] = w.secret
		}
		routers[name] = map[string]any{"rule": "PathPrefix(`/" + name + "/`)", "middlewares": []string{name}, "service": service}
		middlewares[name] = map[string]any{"plugin": map[string]any{"slidingjwt": block}}
	}
	w.Gateway = startGateway(t, gateway.Options{Static: static, Dynamic: map[string]any{"http": map[string]any{
		"routers": routers, "middlewares": middlewares, "services": balancers,
	}}})
	return w
}

// token is one under the gateway's secret, of which too little is left for it not to be renewed where there is renewal.
func (w realWorld) token(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	r := recipe{secret: w.secret}
	return r.token(t, claims)
}

func (w realWorld) ask(t *testing.T, method, path string, lines ...string) response {
	t.Helper()
	r := recipe{gateway: w.Gateway}
	return r.ask(t, method, "app.example.com"+path, lines...)
}

// TestTokenElsewhere has tokens in other headers, and in a cookie in front of an app with a bearer token of its own. Each is asked
// twice: the second time the token is a remembered one.
func TestTokenElsewhere(t *testing.T) {
	inHeader := func(name string) map[string]any {
		return map[string]any{"headerName": name, "forwardHeaders": map[string]any{"X-User-Id": "sub"}, "renew": map[string]any{"before": "5m"}}
	}
	inCookie := func(optional bool) map[string]any {
		return map[string]any{
			"headerName": "", "optional": optional, "cookie": map[string]any{"name": "session"},
			"forwardHeaders": map[string]any{"X-User-Id": "sub"}, "renew": map[string]any{"before": "5m"},
		}
	}
	w := startRealWorld(t, nil, map[string]map[string]any{
		"app": inCookie(false), "optional": inCookie(true),
		"iap": inHeader("X-Goog-IAP-JWT-Assertion"), "access": inHeader("Cf-Access-Jwt-Assertion"), "plain": inHeader("X-Auth-Token"),
	}, nil)
	token := w.token(t, nil)
	const own = "Bearer of-the-app"
	tests := []struct {
		name, path string
		sent       []string
		seen       map[string][]string // by the service; nil: the token is missing
		renewedIn  string              // the header; empty: not renewed
	}{
		{
			"a cookie and the app's bearer token", "/app/",
			[]string{"Cookie: theme=dark; session=" + token, "Authorization: " + own},
			map[string][]string{"X-User-Id": {"ada"}, "Authorization": {own}, "Cookie": {"theme=dark"}},
			"Set-Cookie",
		},
		{
			"two lines of the app's", "/app/",
			[]string{"Cookie: session=" + token, "Authorization: Bearer one", "Authorization: Bearer two"},
			map[string][]string{"X-User-Id": {"ada"}, "Authorization": {"Bearer one", "Bearer two"}},
			"Set-Cookie",
		},
		{"the session's token in Authorization", "/app/", []string{"Authorization: Bearer " + token}, nil, ""},
		{
			"optional, the app's bearer token alone", "/optional/",
			[]string{"Authorization: " + own},
			map[string][]string{"X-User-Id": nil, "Authorization": {own}},
			"",
		},
		{
			"optional, both", "/optional/",
			[]string{"Cookie: session=" + token, "Authorization: " + own},
			map[string][]string{"X-User-Id": {"ada"}, "Authorization": {own}, "Cookie": nil},
			"Set-Cookie",
		},
		{
			"IAP's header", "/iap/",
			[]string{"X-Goog-IAP-JWT-Assertion: " + token, "Authorization: " + own},
			map[string][]string{"X-User-Id": {"ada"}, "X-Goog-Iap-Jwt-Assertion": nil, "Authorization": {own}},
			"X-Goog-Iap-Jwt-Assertion",
		},
		{
			"Access's header", "/access/",
			[]string{"Cf-Access-Jwt-Assertion: " + token},
			map[string][]string{"X-User-Id": {"ada"}, "Cf-Access-Jwt-Assertion": nil},
			"Cf-Access-Jwt-Assertion",
		},
		{
			"behind Bearer in another header", "/plain/",
			[]string{"X-Auth-Token: Bearer " + token},
			map[string][]string{"X-User-Id": {"ada"}, "X-Auth-Token": nil},
			"X-Auth-Token",
		},
		{"Authorization instead of that header", "/plain/", []string{"Authorization: Bearer " + token}, nil, ""},
	}
	for _, test := range tests {
		for _, when := range []string{"first", "again"} {
			t.Run(test.name+", "+when, func(t *testing.T) {
				resp := w.ask(t, http.MethodGet, test.path, test.sent...)
				if test.seen == nil {
					wantProblem(t, resp, http.StatusUnauthorized, "token_missing")
					return
				}
				wantHeaders(t, resp, test.seen)
				for _, name := range []string{"Authorization", "Set-Cookie", "X-Goog-Iap-Jwt-Assertion", "Cf-Access-Jwt-Assertion", "X-Auth-Token"} {
					// In a header other than Authorization the token is bare.
					value, isCookie := strings.CutPrefix(resp.header.Get(name), "session=")
					if got, want := strings.HasPrefix(value, "ey"), name == test.renewedIn; got != want || isCookie != (want && name == "Set-Cookie") {
						t.Errorf("got %s: %q, want a renewed token there: %t", name, resp.header.Get(name), want)
					}
				}
			})
		}
	}
}

// TestLoginRedirect has a login form that answers with a redirect, and one that answers with claims and a status that begins no
// session.
func TestLoginRedirect(t *testing.T) {
	form := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		status := http.StatusSeeOther
		switch req.URL.Path {
		case "/login/callback":
			status = http.StatusFound
		case "/login/wrong":
			status = http.StatusUnauthorized
		}
		rw.Header().Set("X-Issue-Claims", `{"sub":"ada"}`)
		rw.Header().Set("Location", "/home/")
		rw.WriteHeader(status)
	}))
	t.Cleanup(form.Close)
	cookie := map[string]any{"name": "session"}
	w := startRealWorld(t, nil, map[string]map[string]any{
		"login": {"cookie": cookie, "issue": map[string]any{"header": "X-Issue-Claims"}},
		"home":  {"cookie": cookie, "forwardHeaders": map[string]any{"X-User-Id": "sub"}},
	}, map[string]map[string]any{"login": balanced(form.URL)})

	for _, test := range []struct {
		method, path string
		status       int
		begins       bool
	}{
		{http.MethodPost, "/login/form", http.StatusSeeOther, true},
		{http.MethodGet, "/login/callback", http.StatusFound, true},
		{http.MethodPost, "/login/wrong", http.StatusUnauthorized, false},
	} {
		t.Run(test.path, func(t *testing.T) {
			resp := do(t, test.method, w.URL()+test.path, nil, "")
			if resp.status != test.status || resp.header.Get("Location") != "/home/" || resp.header.Get("X-Issue-Claims") != "" {
				t.Errorf("got %d %v, want %d, the service's Location and no claims", resp.status, resp.header, test.status)
			}
			line, _, _ := strings.Cut(resp.header.Get("Set-Cookie"), ";")
			if got := strings.HasPrefix(line, "session=ey"); got != test.begins {
				t.Fatalf("got Set-Cookie %q, want a token: %t", line, test.begins)
			}
			const says = `no token was issued by \"login@file\": the login service answered`
			if test.begins {
				if strings.Contains(w.Logs(), says) {
					t.Error("the log says that no token was issued")
				}
				wantHeaders(t, w.ask(t, http.MethodGet, "/home/", "Cookie: "+line), map[string][]string{"X-User-Id": {"ada"}})
				return
			}
			poll(t, func() bool {
				return strings.Contains(strings.Join(errorLines(w.Gateway), "\n"), "the login service answered 401")
			})
			if !strings.Contains(w.Logs(), says) {
				t.Error("the line does not name the middleware")
			}
		})
	}
}

// errorLines are the lines of the plugin, and of Traefik about it, at error level.
func errorLines(g *gateway.Gateway) []string {
	var found []string
	for line := range strings.Lines(g.Logs()) {
		var entry struct{ Level, Message, Error string }
		if json.Unmarshal([]byte(line), &entry) == nil && (entry.Level == "error" || entry.Level == "fatal") {
			found = append(found, entry.Message+" "+entry.Error)
		}
	}
	return found
}

// strictEndpoint is a key endpoint that wants a bearer token, and records each one that it got.
type strictEndpoint struct {
	*httptest.Server
	mu     sync.Mutex
	wanted string // behind Bearer; empty: none
	got    map[string][]string
}

func serveStrictly(t *testing.T, wanted string, answer http.HandlerFunc) *strictEndpoint {
	t.Helper()
	e := &strictEndpoint{wanted: wanted, got: map[string][]string{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		bearer := req.Header.Get("Authorization")
		e.mu.Lock()
		e.got[req.URL.Path] = append(e.got[req.URL.Path], bearer)
		e.mu.Unlock()
		if strings.HasPrefix(req.URL.Path, "/strict") && bearer != "Bearer "+e.wanted {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(rw, req)
	}))
	t.Cleanup(e.Close)
	return e
}

// bearers are what came to a path, each once.
func (e *strictEndpoint) bearers(path string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Clone(e.got[path])
	slices.Sort(all)
	return slices.Compact(all)
}

// TestBearerToken has key endpoints that want a bearer token, as that of Kubernetes does: it is sent there, and to no other host nor
// behind a redirect.
func TestBearerToken(t *testing.T) {
	key := newKidKey(t, "service-accounts")
	const secret = "of-the-gateways-service-account"
	answer := func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, keySetText(t, false, key)) // The client has gone.
	}
	elsewhere := serveStrictly(t, "", answer)
	var cluster *strictEndpoint
	cluster = serveStrictly(t, secret, func(rw http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/strict/moved":
			http.Redirect(rw, req, "/open/keys", http.StatusFound)
		case "/strict/gone":
			http.Redirect(rw, req, elsewhere.URL+"/redirected", http.StatusFound)
		case "/strict/.well-known/openid-configuration":
			_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": cluster.URL + "/strict", "jwks_uri": elsewhere.URL + "/discovered"})
		default:
			answer(rw, req)
		}
	})
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("not-yet\n")

	blocks := map[string]map[string]any{}
	issuers := map[string]string{}
	block := func(name, path, bearer string) {
		issuers[name] = "https://" + name + ".example"
		trusted := map[string]any{"issuer": issuers[name], "jwksUrl": cluster.URL + path, "bearerToken": bearer}
		if path == "" {
			issuers[name] = cluster.URL + "/strict"
			trusted = map[string]any{"issuer": issuers[name], "bearerToken": bearer}
		}
		blocks[name] = map[string]any{"trustedIssuers": []any{trusted}, "audience": []string{"api"}, "forwardHeaders": map[string]any{"X-User-Id": "sub"}}
	}
	block("content", "/strict/content", secret)
	block("none", "/strict/none", "")
	block("file", "/strict/file", file)
	block("moved", "/strict/moved", secret)
	block("gone", "/strict/gone", secret)
	block("discovery", "", secret)
	w := startRealWorld(t, nil, blocks, nil)
	call := func(name string) response {
		token := key.token(t, jwt.MapClaims{"iss": issuers[name], "aud": "api"})
		return w.ask(t, http.MethodGet, "/"+name+"/", "Authorization: Bearer "+token)
	}

	for _, name := range []string{"content", "moved", "discovery"} {
		wantHeaders(t, call(name), map[string][]string{"X-User-Id": {"ada"}})
	}
	for _, name := range []string{"none", "gone", "file"} {
		wantProblem(t, call(name), http.StatusServiceUnavailable, "keys_unavailable")
	}
	write(secret + "\n") // It is read at each fetch, of which the next is a second later.
	poll(t, func() bool { return call("file").status == http.StatusOK })

	for path, want := range map[string][]string{
		"/strict/content": {"Bearer " + secret}, "/strict/none": {""}, "/strict/file": {"Bearer not-yet", "Bearer " + secret},
		"/strict/moved": {"Bearer " + secret}, "/open/keys": {""},
	} {
		if got := cluster.bearers(path); !slices.Equal(got, want) {
			t.Errorf("%s got the tokens %q, want %q", path, got, want)
		}
	}
	if got := elsewhere.bearers("/discovered"); !slices.Equal(got, []string{""}) {
		t.Errorf("another host got the tokens %q, want a request without one", got)
	}
	if got := elsewhere.bearers("/redirected"); len(got) > 0 {
		t.Errorf("another host was asked after a redirect, with %q", got)
	}
	for line := range strings.Lines(w.Logs()) { // Traefik itself logs every option at debug level.
		if strings.Contains(line, `"plugin":"plugin-`) && strings.Contains(line, secret) {
			t.Errorf("the bearer token is in the log: %s", line)
		}
	}
}

// TestEncryptionKey has a key set with a key for encryption, as each of Keycloak has one: nothing stands in the log at error level. A
// key that contradicts itself does.
func TestEncryptionKey(t *testing.T) {
	key := newKidKey(t, "signs")
	set := func(other map[string]any) string {
		var all map[string][]any
		if err := json.Unmarshal([]byte(keySetText(t, false, key)), &all); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"keys": append(all["keys"], other)})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	public := func(private *ecdsa.PrivateKey, members map[string]any) map[string]any {
		var all map[string][]map[string]any
		if err := json.Unmarshal([]byte(keySetText(t, false, kidKey{"other", private})), &all); err != nil {
			t.Fatal(err)
		}
		for name, value := range members {
			all["keys"][0][name] = value
		}
		return all["keys"][0]
	}
	block := func(text string) map[string]any {
		return map[string]any{
			"trustedIssuers": []any{map[string]any{"issuer": "https://idp.example", "jwksUrl": serveKeySet(t, text).URL}},
			"audience":       []string{"api"}, "forwardHeaders": map[string]any{"X-User-Id": "sub"},
		}
	}
	w := startRealWorld(t, nil, map[string]map[string]any{
		"encryption": block(set(public(newKey(t), map[string]any{"use": "enc", "alg": "ECDH-ES"}))),
		"odd":        block(set(public(newKey(t), map[string]any{"alg": "ES384"}))),
	}, nil)
	bearer := "Authorization: Bearer " + key.token(t, jwt.MapClaims{"iss": "https://idp.example", "aud": "api"})

	wantHeaders(t, w.ask(t, http.MethodGet, "/encryption/", bearer), map[string][]string{"X-User-Id": {"ada"}})
	poll(t, func() bool { return strings.Contains(w.Logs(), "is left out") })
	if lines := errorLines(w.Gateway); len(lines) > 0 {
		t.Errorf("got %q at error level, want nothing", lines)
	}
	wantHeaders(t, w.ask(t, http.MethodGet, "/odd/", bearer), map[string][]string{"X-User-Id": {"ada"}})
	poll(t, func() bool { return strings.Contains(strings.Join(errorLines(w.Gateway), "\n"), "warning: key 1") })
}

// TestFormats has claims that a header cannot carry as they are.
func TestFormats(t *testing.T) {
	w := startRealWorld(t, nil, map[string]map[string]any{"names": {"forwardHeaders": map[string]any{
		"X-Plain": "name", "X-Json": "name | json", "X-Encoded": "name|base64url",
		"X-Groups": "groups", "X-Groups-Json": "groups | json", "X-Groups-Encoded": "groups | base64url",
		"X-Address-Json": "address | json", "X-Address-Encoded": "address | base64url", "X-Deep": "address.city | json", "X-Absent": "nothing | json",
	}}}, nil)
	bearer := "Authorization: Bearer " + w.token(t, jwt.MapClaims{
		"name": "Zoë 🦉", "groups": []any{"a,b", "ç"}, "address": map[string]any{"city": "Łódź", "no": json.Number("7.0")},
	})
	for _, when := range []string{"first", "again"} {
		t.Run(when, func(t *testing.T) {
			wantHeaders(t, w.ask(t, http.MethodGet, "/names/", bearer, "X-Absent: spoofed", "X-Groups: spoofed"), map[string][]string{
				"X-Plain": {"Zoë 🦉"}, "X-Json": {`"Zo\u00eb \ud83e\udd89"`}, "X-Encoded": {"Wm_DqyDwn6aJ"},
				"X-Groups": nil, "X-Groups-Json": {`["a,b","\u00e7"]`}, "X-Groups-Encoded": nil, "X-Address-Encoded": {"eyJjaXR5IjoixYHDs2TFuiIsIm5vIjo3LjB9"},
				"X-Address-Json": {`{"city":"\u0141\u00f3d\u017a","no":7.0}`}, "X-Deep": {`"\u0141\u00f3d\u017a"`}, "X-Absent": nil,
			})
		})
	}
}

// TestUsername reads the user's name in Traefik's access log. What a client writes in front of the host is no user's name.
func TestUsername(t *testing.T) {
	for _, proxy := range []string{"the default proxy", "the fast proxy"} {
		t.Run(proxy, func(t *testing.T) {
			static := map[string]any{"accessLog": map[string]any{"format": "json"}}
			if proxy == "the fast proxy" {
				static["experimental"] = map[string]any{"fastProxy": map[string]any{}}
			}
			forward := map[string]any{"X-User-Id": "sub"}
			w := startRealWorld(t, static, map[string]map[string]any{
				"named":   {"usernameClaim": "preferred_username", "forwardHeaders": forward, "optional": true, "renew": map[string]any{"before": "5m"}},
				"cookie":  {"usernameClaim": "profile.name", "forwardHeaders": forward, "cookie": map[string]any{"name": "session"}},
				"unnamed": {"forwardHeaders": forward},
			}, nil)
			fresh := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()}
			named := func(claims jwt.MapClaims) string {
				for name, claim := range fresh {
					if claims[name] == nil {
						claims[name] = claim
					}
				}
				return w.token(t, claims)
			}
			ada := named(jwt.MapClaims{"preferred_username": "ada@acme.example", "profile": map[string]any{"name": "Zoë"}})
			due := w.token(t, jwt.MapClaims{"preferred_username": "ada@acme.example"})
			nameless := named(jwt.MapClaims{})
			tests := []struct {
				name, path string
				user       string // in front of the host; empty: none
				line       string
				status     int
				want       string
			}{
				{"a token", "/named/1", "", "Authorization: Bearer " + ada, http.StatusOK, "ada@acme.example"},
				{"a remembered token", "/named/2", "", "Authorization: Bearer " + ada, http.StatusOK, "ada@acme.example"},
				{"a token that is renewed", "/named/3", "", "Authorization: Bearer " + due, http.StatusOK, "ada@acme.example"},
				{"a token and the client's name", "/named/4", "root", "Authorization: Bearer " + ada, http.StatusOK, "ada@acme.example"},
				{"a token without the claim", "/named/5", "root", "Authorization: Bearer " + nameless, http.StatusOK, "-"},
				{"no token, and the client's name", "/named/6", "root", "", http.StatusOK, "-"},
				{"a bad token, and the client's name", "/named/7", "root", "Authorization: Bearer " + ada + "x", http.StatusUnauthorized, "-"},
				{"a malformed header, and the client's name", "/named/8", "root", "Authorization: Bearer", http.StatusBadRequest, "-"},
				{"a claim within another, of a cookie's token", "/cookie/1", "", "Cookie: session=" + ada, http.StatusOK, "Zoë"},
				{"without the option, the client's name", "/unnamed/1", "root", "Authorization: Bearer " + ada, http.StatusOK, "root"},
			}
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					resp := w.askByURL(t, test.path, test.user, test.line)
					if resp.status != test.status {
						t.Errorf("got %d %q, want %d", resp.status, resp.body, test.status)
					}
					if got := resp.answer.Headers["Authorization"]; got != nil {
						t.Errorf("the service got Authorization: %q, want none", got)
					}
					got := ""
					poll(t, func() bool {
						got = w.username(test.path)
						return got != ""
					})
					if got != test.want {
						t.Errorf("the access log has the user %q, want %q", got, test.want)
					}
				})
			}
		})
	}
}

// askByURL sends a request whose target is a whole URL (RFC 9112 3.2.2), in which a client can name a user. Go's client never does.
func (w realWorld) askByURL(t *testing.T, path, user, line string) response {
	t.Helper()
	host := strings.TrimPrefix(w.URL(), "http://")
	if user != "" {
		user += "@"
	}
	if line != "" {
		line += "\r\n"
	}
	text := fmt.Sprintf("GET http://%s%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", user, host, path, host, line)
	return responseOf(t, exchange(t, w.Gateway, text))
}

// username is the user in the access log's line for a path; empty if there is no such line yet.
func (w realWorld) username(path string) string {
	for line := range strings.Lines(w.Logs()) {
		var entry struct{ RequestPath, ClientUsername string }
		if json.Unmarshal([]byte(line), &entry) == nil && strings.HasSuffix(entry.RequestPath, path) {
			return entry.ClientUsername
		}
	}
	return ""
}
