package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/minted"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/provider"
)

// TestExchange has users log in at a real OpenID provider, and go on in sessions of the gateway's own: by a header and as a cookie,
// past the end of the provider's token and of the session's first one.
func TestExchange(t *testing.T) {
	t.Parallel()
	p, err := provider.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	p.IDTokenLifetime = 12 * time.Second
	g := startGateway(t, gateway.Options{Dynamic: exchanging(t, p)})
	logIn := func() string {
		t.Helper()
		token, err := p.LogIn(t.Context(), "test-user2", "verysecure")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	const passes = `200 ["id2"]`
	idToken := logIn()
	ends := time.Unix(int64(minted.Payload(t, idToken)["exp"].(float64)), 0)

	// As a service does, by a client for RFC 8693 that others wrote.
	exchanger, err := tokenexchange.NewTokenExchanger(t.Context(), p.Issuer, tokenexchange.WithStaticTokenEndpoint(p.Issuer, g.URL()+"/token"))
	if err != nil {
		t.Fatal(err)
	}
	exchanged, err := tokenexchange.ExchangeToken(t.Context(), exchanger, idToken, oidc.IDTokenType, "", "", nil, nil, nil, oidc.JWTTokenType)
	if err != nil {
		t.Fatal(err)
	}
	if exchanged.IssuedTokenType != oidc.JWTTokenType || exchanged.TokenType != "Bearer" || exchanged.ExpiresIn == 0 || exchanged.ExpiresIn > 20 {
		t.Errorf("got %+v, want a JWT for 20 s", exchanged)
	}
	bearer := exchanged.AccessToken
	first := minted.Payload(t, bearer)
	if first["iss"] != "https://gateway.example" || first["idp"] != p.Issuer || first["sub"] != "id2" || first["email"] != nil {
		t.Errorf("got the session %v, want id2's", first)
	}

	// As a browser does.
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	begin := func(token, site string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL()+"/session", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + token}, "Sec-Fetch-Site": {site}}
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return fmt.Sprint(resp.StatusCode, len(resp.Header["Set-Cookie"]), len(resp.Header["Authorization"]))
	}
	if got := begin(idToken, "cross-site"); got != "403 0 0" {
		t.Errorf("from another site: got %s, want 403 without a cookie", got)
	}
	if got := begin(idToken, "same-origin"); got != "204 1 0" {
		t.Errorf("from its own site: got %s, want 204 and a cookie alone", got)
	}

	for _, test := range []struct{ name, method, path, token, want string }{
		{"the provider's token, at a guard", http.MethodGet, "/", idToken, "401 unknown_key"},
		{"a session, exchanged again", http.MethodPost, "/token", bearer, "401 wrong_issuer"},
		{"a token for another client", http.MethodPost, "/token", serviceToken(t, p), "401 wrong_audience"},
		{"another method", http.MethodGet, "/token", idToken, "405 method_not_allowed"},
	} {
		resp := do(t, test.method, g.URL()+test.path, http.Header{"Authorization": {"Bearer " + test.token}}, "")
		status, code, _ := strings.Cut(test.want, " ")
		if fmt.Sprint(resp.status) != status || !strings.Contains(resp.body, "#"+code) {
			t.Errorf("%s: got %d %s, want %s", test.name, resp.status, resp.body, test.want)
		}
	}

	// A user who is active stays, by both ways, until the first token's own end and the provider's are over.
	renewals := 0
	until := time.Unix(int64(first["exp"].(float64)), 0).Add(3 * time.Second)
	for time.Now().Before(until) {
		got, header := outcome(http.DefaultClient, g.URL(), bearer)
		if got != passes {
			t.Fatalf("by the header: got %s, want %s", got, passes)
		}
		if renewed, isRenewed := strings.CutPrefix(header.Get("Authorization"), "Bearer "); isRenewed {
			bearer = renewed
			renewals++
		}
		if got := visit(t, browser, g.URL()); got != passes {
			t.Fatalf("by the cookie: got %s, want %s", got, passes)
		}
		time.Sleep(300 * time.Millisecond)
	}
	if time.Now().Before(ends) || renewals == 0 {
		t.Errorf("got %d renewals, and the provider's token ends at %s", renewals, ends)
	}
	if got := do(t, http.MethodPost, g.URL()+"/token", http.Header{"Authorization": {"Bearer " + idToken}}, ""); got.status != 401 || !strings.Contains(got.body, "token_expired") {
		t.Errorf("the provider's token at its end: got %d %s, want 401 token_expired", got.status, got.body)
	}
	address, err := url.Parse(g.URL())
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"header": bearer, "cookie": jar.Cookies(address)[0].Value} {
		last := minted.Payload(t, token)
		for _, claim := range []string{"sid", "idp", "sub", "auth_time"} {
			if last[claim] == nil || last[claim] != first[claim] {
				t.Errorf("by the %s: got %s %v at last, want %v", name, claim, last[claim], first[claim])
			}
		}
	}
	t.Logf("%d renewals by the header, %s past the provider's token", renewals, time.Since(ends).Round(time.Second))
}

// exchanging is a dynamic configuration with two routes that begin sessions, one of them with a cookie, and all else guarded.
func exchanging(t *testing.T, p *provider.Provider) map[string]any {
	t.Helper()
	key := minted.PEM(t, "PKCS8", minted.Key(t, "P-256"))
	cookie := map[string]any{"name": "session", "secure": false} // The test's gateway has no TLS.
	begin := func(others map[string]any) map[string]any {
		options := map[string]any{
			"privateKey": key, "issuer": "https://gateway.example", "leeway": "0s",
			"trustedIssuers": []any{map[string]any{"issuer": p.Issuer}}, "audience": []string{p.WebAudience},
			"exchange": map[string]any{"claims": map[string]string{"sub": "sub", "email": "email"}, "lifetime": "20s", "audience": []string{"api"}},
		}
		maps.Copy(options, others)
		return map[string]any{"plugin": map[string]any{"slidingjwt": options}}
	}
	dynamic := guarded(whoami(t), map[string]any{
		"privateKey": key, "issuer": "https://gateway.example", "audience": []string{"api"}, "leeway": "0s", "cookie": cookie,
		"renew": map[string]any{"before": "90%"},
	})
	parts := dynamic["http"].(map[string]any)
	routers, middlewares := parts["routers"].(map[string]any), parts["middlewares"].(map[string]any)
	middlewares["token"] = begin(map[string]any{"tokenKey": "subject_token"})
	middlewares["session"] = begin(map[string]any{"cookie": cookie})
	for _, name := range []string{"token", "session"} {
		// Without a priority Traefik takes the longer rule, and PathPrefix(`/`) is longer than Path(`/token`).
		routers[name] = map[string]any{"rule": "Path(`/" + name + "`)", "middlewares": []string{name}, "service": "noop@internal", "priority": 100}
	}
	return dynamic
}

// serviceToken is a token that the provider signed for another client.
func serviceToken(t *testing.T, p *provider.Provider) string {
	t.Helper()
	token, err := p.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// visit is what a GET by a browser with its cookies comes to.
func visit(t *testing.T, browser *http.Client, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}
