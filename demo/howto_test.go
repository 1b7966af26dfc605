package main

import (
	"crypto/rand"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// recipe is a section of docs/howto.md that runs in a gateway of its own.
type recipe struct {
	gateway *gateway.Gateway
	secret  string
}

// token is a good one, of which less than a renewal's margin is left, so that each answer that can bring a renewal does.
func (r *recipe) token(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	now := time.Now().Unix()
	all := jwt.MapClaims{"sub": "ada", "iat": now - 3500, "exp": now + 100}
	maps.Copy(all, claims)
	return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, all), []byte(r.secret))
}

// ask sends a request to a host by what follows it, with headers one a line.
func (r *recipe) ask(t *testing.T, method, address string, lines ...string) response {
	t.Helper()
	host, path, _ := strings.Cut(address, "/")
	u, err := url.Parse(r.gateway.URL() + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	return roundTrip(t, &http.Request{Method: method, URL: u, Host: host, Header: header})
}

var serviceURL = regexp.MustCompile(`http://([a-z]+):8080`)

// newRecipe starts a section's block: a service of each name in it, and the secret in a file.
func newRecipe(t *testing.T, heading string) *recipe {
	t.Helper()
	_, section, found := strings.Cut(text(t, "docs/howto.md"), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/howto.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	match := fence.FindStringSubmatch(section)
	if match == nil {
		t.Fatalf("the section %q has no block", heading)
	}
	r := &recipe{secret: rand.Text() + rand.Text()}
	file := filepath.Join(t.TempDir(), "session")
	if err := os.WriteFile(file, []byte(r.secret), 0o600); err != nil {
		t.Fatal(err)
	}
	block := strings.ReplaceAll(match[1], "/run/secrets/session", file)
	block = serviceURL.ReplaceAllStringFunc(block, func(address string) string {
		server := httptest.NewServer(echo.Handler(serviceURL.FindStringSubmatch(address)[1], log.New(io.Discard, "", 0)))
		t.Cleanup(server.Close)
		return server.URL
	})
	r.gateway = startGateway(t, gateway.Options{Files: map[string]string{"howto.yml": block}})
	return r
}

// renews says whether the answer brings a renewed cookie.
func renews(resp response) bool {
	return strings.HasPrefix(resp.header.Get("Set-Cookie"), "__Host-session=ey")
}

// TestHowTo shows that each block of docs/howto.md does what the page says of it.
func TestHowTo(t *testing.T) {
	const websocket = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
	tried := map[string]bool{}
	run := func(heading string, test func(t *testing.T, r *recipe)) {
		tried[heading] = true
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			test(t, newRecipe(t, heading))
		})
	}

	run("An app with its own bearer token", func(t *testing.T, r *recipe) {
		cookie := "Cookie: __Host-session=" + r.token(t, nil)
		resp := r.ask(t, http.MethodGet, "app.example.com/", cookie, "Authorization: Bearer of-the-app")
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "Authorization": {"Bearer of-the-app"}, "Cookie": nil})
		if !renews(resp) {
			t.Errorf("got %v, want a renewed cookie", resp.header)
		}
		resp = r.ask(t, http.MethodGet, "app.example.com/", "Authorization: Bearer "+r.token(t, nil))
		wantProblem(t, resp, http.StatusUnauthorized, "token_missing")
	})

	run("WebSocket in a browser", func(t *testing.T, r *recipe) {
		handshake := func(uri string, lines ...string) response {
			return r.ask(t, http.MethodGet, "app.example.com"+uri, append(lines, strings.Split(websocket, "\n")...)...)
		}
		cookie := "Cookie: __Host-session=" + r.token(t, nil)
		resp := handshake("/live", cookie, "Sec-Fetch-Site: same-origin", "Origin: http://app.example.com")
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "Upgrade": {"websocket"}})
		if !renews(resp) {
			t.Errorf("got %v, want a renewed cookie", resp.header)
		}
		wantHeaders(t, handshake("/live", cookie, "Origin: http://app.example.com"), map[string][]string{"X-User-Id": {"ada"}})
		wantProblem(t, handshake("/live", cookie, "Origin: http://evil.example"), http.StatusForbidden, "cross_site")
		resp = handshake("/live?access_token="+r.token(t, nil), "Origin: http://app.example.com")
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}})
		if renews(resp) || resp.renewed() != "" {
			t.Errorf("got %v, want no renewal of a token in a query", resp.header)
		}
		resp = handshake("/live", "Sec-WebSocket-Protocol: bearer, "+r.token(t, nil))
		wantProblem(t, resp, http.StatusUnauthorized, "token_missing")
	})

	run("Two checks on one router", func(t *testing.T, r *recipe) {
		resp := r.ask(t, http.MethodGet, "app.example.com/admin", "Authorization: Bearer "+r.token(t, jwt.MapClaims{"roles": []string{"admin"}}))
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "X-User-Roles": {"admin"}, "Authorization": nil})
		if resp.renewed() == "" {
			t.Error("got no renewed token")
		}
		resp = r.ask(t, http.MethodGet, "app.example.com/admin", "Authorization: Bearer "+r.token(t, nil))
		wantProblem(t, resp, http.StatusForbidden, "claims_not_sufficient")
		if resp.renewed() == "" {
			t.Error("the refusal brings no renewed token")
		}
	})

	run("A rate limit for each user", func(t *testing.T, r *recipe) {
		ada := "Authorization: Bearer " + r.token(t, nil)
		resp := r.ask(t, http.MethodGet, "api.example.com/", ada)
		for sent := 1; resp.status == http.StatusOK && sent < 500; sent++ {
			resp = r.ask(t, http.MethodGet, "api.example.com/", ada, "X-User-Id: bob")
		}
		if resp.status != http.StatusTooManyRequests || resp.renewed() == "" {
			t.Errorf("got %d %v, want 429 and a renewed token", resp.status, resp.header)
		}
		resp = r.ask(t, http.MethodGet, "api.example.com/", "Authorization: Bearer "+r.token(t, jwt.MapClaims{"sub": "bob"}))
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"bob"}})
	})

	run("Routing by a claim", func(t *testing.T, r *recipe) {
		for _, test := range []struct {
			claims jwt.MapClaims
			want   string
		}{
			{jwt.MapClaims{"plan": "gold"}, "gold"},
			{jwt.MapClaims{"plan": "free"}, "standard"},
			{nil, "standard"},
		} {
			resp := r.ask(t, http.MethodGet, "api.example.com/", "Authorization: Bearer "+r.token(t, test.claims), "X-Plan: gold")
			wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}})
			if resp.answer.Instance != test.want || resp.renewed() == "" {
				t.Errorf("%v: got the service %q, renewed %t, want %s and a renewal", test.claims, resp.answer.Instance, resp.renewed() != "", test.want)
			}
		}
		wantProblem(t, r.ask(t, http.MethodGet, "api.example.com/", "X-Plan: gold"), http.StatusUnauthorized, "token_missing")
	})

	run("Several services behind stripPrefix", func(t *testing.T, r *recipe) {
		cookie := "Cookie: __Host-session=" + r.token(t, nil)
		for _, name := range []string{"shop", "billing"} {
			resp := r.ask(t, http.MethodGet, "example.com/"+name+"/orders", cookie)
			wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "X-Forwarded-Prefix": {"/" + name}, "Cookie": nil})
			if resp.answer.Instance != name || !renews(resp) || !strings.Contains(resp.header.Get("Set-Cookie"), "; Path=/;") {
				t.Errorf("got the service %q and %v, want %s and a renewed cookie for all paths", resp.answer.Instance, resp.header, name)
			}
		}
		wantProblem(t, r.ask(t, http.MethodGet, "example.com/shop/orders"), http.StatusUnauthorized, "token_missing")
		// The refusal's line has the path without the prefix.
		poll(t, func() bool { return strings.Contains(r.gateway.Logs(), "GET /orders") })
	})

	run("Names beyond ASCII", func(t *testing.T, r *recipe) {
		token := r.token(t, jwt.MapClaims{"name": "Zoë", "groups": []string{"a,b", "c"}})
		wantHeaders(t, r.ask(t, http.MethodGet, "api.example.com/", "Authorization: Bearer "+token), map[string][]string{
			"X-User-Id": {"ada"}, "X-User-Name": {`"Zo\u00eb"`}, "X-User-Name-Encoded": {"Wm_Dqw"}, "X-Groups": {`["a,b","c"]`},
		})
	})

	run("A single-page application on a sibling host", func(t *testing.T, r *recipe) {
		const page = "Origin: https://app.example.com"
		resp := r.ask(t, http.MethodOptions, "api.example.com/orders", page, "Access-Control-Request-Method: PUT")
		if resp.status != http.StatusOK || resp.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("the preflight: got %d %v, want 200 and credentials", resp.status, resp.header)
		}
		cookie := "Cookie: __Host-session=" + r.token(t, nil)
		resp = r.ask(t, http.MethodPost, "api.example.com/orders", cookie, page, "Sec-Fetch-Site: same-site")
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}})
		if !renews(resp) || resp.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("got %v, want a renewed cookie and the page's origin", resp.header)
		}
		if got := resp.header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "Token-Expires-In") {
			t.Errorf("got Access-Control-Expose-Headers %q, want Token-Expires-In in it", got)
		}
		resp = r.ask(t, http.MethodPost, "api.example.com/orders", cookie, "Origin: https://blog.example.com", "Sec-Fetch-Site: same-site")
		wantProblem(t, resp, http.StatusForbidden, "cross_site")
	})

	const navigate = "Sec-Fetch-Mode: navigate"

	run("Send a browser to the login", func(t *testing.T, r *recipe) {
		wantLogin := func(resp response, back string) {
			t.Helper()
			if got, want := resp.header.Get("Location"), "/login?back="+back; resp.status != http.StatusFound || got != want {
				t.Errorf("got %d to %q, want 302 to %q", resp.status, got, want)
			}
		}
		resp := r.ask(t, http.MethodGet, "app.example.com/orders?page=2", navigate)
		wantLogin(resp, "http%3A%2F%2Fapp.example.com%2Forders%3Fpage%3D2")
		resp = r.ask(t, http.MethodGet, "app.example.com/", navigate, "Cookie: __Host-session="+r.token(t, jwt.MapClaims{"exp": 1000}))
		wantLogin(resp, "http%3A%2F%2Fapp.example.com%2F")
		if got := resp.header.Get("Set-Cookie"); !strings.HasPrefix(got, "__Host-session=; ") {
			t.Errorf("got Set-Cookie %q, want the old cookie cleared", got)
		}
		wantProblem(t, r.ask(t, http.MethodGet, "app.example.com/", "Sec-Fetch-Mode: cors"), http.StatusUnauthorized, "token_missing")
		wantProblem(t, r.ask(t, http.MethodGet, "app.example.com/"), http.StatusUnauthorized, "token_missing")
		if resp := r.ask(t, http.MethodGet, "evil.example/", navigate); resp.status != http.StatusNotFound {
			t.Errorf("another host: got %d, want 404", resp.status)
		}
		if resp := r.ask(t, http.MethodGet, "app.example.com/login?back=x", navigate); resp.answer.Instance != "login" {
			t.Errorf("got %d, want the login", resp.status)
		}
		wantHeaders(t, r.ask(t, http.MethodGet, "app.example.com/", navigate, "Cookie: __Host-session="+r.token(t, nil)), map[string][]string{"X-User-Id": {"ada"}})
	})

	run("Log out here", func(t *testing.T, r *recipe) {
		cookie := "Cookie: __Host-session=" + r.token(t, nil)
		wantHeaders(t, r.ask(t, http.MethodGet, "app.example.com/", cookie), map[string][]string{"X-User-Id": {"ada"}})
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			resp := r.ask(t, method, "app.example.com/logout", cookie, "Sec-Fetch-Site: same-origin", navigate)
			if got := resp.header.Get("Set-Cookie"); resp.status != http.StatusSeeOther || resp.header.Get("Location") != "/goodbye" ||
				!strings.HasPrefix(got, "__Host-session=; Path=/; Max-Age=0;") {
				t.Errorf("%s: got %d %v, want a 303 to /goodbye without the cookie", method, resp.status, resp.header)
			}
			for _, site := range []string{"same-site", "cross-site"} {
				resp = r.ask(t, method, "app.example.com/logout", cookie, "Sec-Fetch-Site: "+site, navigate)
				wantProblem(t, resp, http.StatusForbidden, "cross_site")
				if resp.header.Get("Set-Cookie") != "" {
					t.Errorf("%s from %s: got %v, want the cookie left alone", method, site, resp.header)
				}
			}
		}
		wantProblem(t, r.ask(t, http.MethodGet, "app.example.com/logout", cookie), http.StatusForbidden, "cross_site")
		if resp := r.ask(t, http.MethodHead, "app.example.com/logout", cookie, "Sec-Fetch-Site: same-origin"); resp.status != http.StatusMethodNotAllowed {
			t.Errorf("HEAD: got %d, want 405", resp.status)
		}
	})

	run("Ask again for the password before a payment", func(t *testing.T, r *recipe) {
		now := time.Now().Unix()
		long := "Cookie: __Host-session=" + r.token(t, nil) // The first token's iat is no login.
		earlier := "Cookie: __Host-session=" + r.token(t, jwt.MapClaims{"auth_time": now - 3500})
		recent := "Cookie: __Host-session=" + r.token(t, jwt.MapClaims{"iat": now - 10, "auth_time": now - 10})
		for _, cookie := range []string{long, earlier, recent} {
			wantHeaders(t, r.ask(t, http.MethodGet, "app.example.com/", cookie), map[string][]string{"X-User-Id": {"ada"}})
		}
		for _, cookie := range []string{long, earlier} {
			resp := r.ask(t, http.MethodPost, "app.example.com/pay", cookie, "Sec-Fetch-Site: same-origin")
			wantProblem(t, resp, http.StatusUnauthorized, "insufficient_user_authentication")
			if challenge := resp.header.Get("Www-Authenticate"); !strings.HasSuffix(challenge, ", max_age=300") || resp.header.Get("Set-Cookie") != "" {
				t.Errorf("got %v, want max_age in the challenge, and no cookie", resp.header)
			}
			resp = r.ask(t, http.MethodGet, "app.example.com/pay", cookie, navigate)
			if got := resp.header.Get("Location"); resp.status != http.StatusFound || got != "/login?again=true&back=http%3A%2F%2Fapp.example.com%2Fpay" {
				t.Errorf("got %d to %q, want the login", resp.status, got)
			}
		}
		wantHeaders(t, r.ask(t, http.MethodPost, "app.example.com/pay", recent, "Sec-Fetch-Site: same-origin"), map[string][]string{"X-User-Id": {"ada"}})
	})

	// That it cuts is shown by TestEndStreams.
	run("End streams with the session", func(t *testing.T, r *recipe) {
		cookie := "Cookie: __Host-session=" + r.token(t, nil)
		for _, wanted := range []string{"Accept: text/event-stream", websocket + "\nSec-Fetch-Site: same-origin"} {
			resp := r.ask(t, http.MethodGet, "app.example.com/live", append(strings.Split(wanted, "\n"), cookie)...)
			wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}})
			if !renews(resp) {
				t.Errorf("got %v, want a renewed cookie", resp.header)
			}
		}
	})

	for _, section := range strings.Split(text(t, "docs/howto.md"), "\n## ")[1:] {
		if heading, _, _ := strings.Cut(section, "\n"); !tried[heading] {
			t.Errorf("no test has the section %q", heading)
		}
	}
}
