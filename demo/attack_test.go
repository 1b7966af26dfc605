package main

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// The tests of this file attack the real gateway: what one says is what an attacker would say of it.

// told is what a service was told, in the header and, once it has read the body, in the trailer.
type told struct {
	Header, Trailer http.Header
}

// listener is a service that keeps what it is told.
func listener(t *testing.T) (url string, heard <-chan told) {
	t.Helper()
	all := make(chan told, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			w.WriteHeader(http.StatusTeapot)
		}
		all <- told{req.Header, req.Trailer}
	}))
	server.Config.Protocols = bothProtocols()
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, all
}

// bothProtocols are HTTP/1.1 and HTTP/2, both without TLS.
func bothProtocols() *http.Protocols {
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	return &both
}

// http2 is a client that speaks HTTP/2 without TLS.
func http2(t *testing.T) *http.Client {
	t.Helper()
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &only}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// guard is a middleware of this plugin that looks for the token in the header and in a form.
func guard(secret string, further map[string]any) map[string]any {
	options := map[string]any{
		"signingSecret": secret, "tokenKey": "access_token", "forwardHeaders": map[string]any{"X-User-Id": "sub", "X-Tenant": "tenant"},
	}
	maps.Copy(options, further)
	return map[string]any{"plugin": map[string]any{"slidingjwt": options}}
}

// mintFor is a token under a secret that is good for an hour.
func mintFor(t *testing.T, secret, subject string) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": subject, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, claims), []byte(secret))
}

// TestSpoofInTrailer: "I say who I am behind the body, where nobody looks: the service takes a trailer for a header".
func TestSpoofInTrailer(t *testing.T) {
	secret := rand.Text() + rand.Text()
	token := mintFor(t, secret, "ada")
	const form = "application/x-www-form-urlencoded"

	// The ways a token comes, or does not.
	ways := []struct {
		name, path, header, body string
	}{
		{"a form token", "/guarded/", "Content-Type: " + form, "a=1&access_token=" + token},
		{"a form without a token, optional", "/optional/", "Content-Type: " + form, "a=1"},
		{"no token, optional", "/optional/", "Content-Type: text/plain", "a=1"},
		{"a header token", "/guarded/", "Authorization: Bearer " + token, "a=1"},
		{"a header token and a form", "/guarded/", "Content-Type: " + form + "\r\nAuthorization: Bearer " + token, "a=1"},
		{"a header token, in the header alone", "/alone/", "Authorization: Bearer " + token, "a=1"},
		{"a header token, in the header alone, optional", "/alone-optional/", "Authorization: Bearer " + token, "a=1"},
		{"no token, in the header alone, optional", "/alone-optional/", "Content-Type: text/plain", "a=1"},
	}
	// Who reads the body beside the plugin and the service.
	readers := []string{"", "/buffered", "/buffered-after", "/mirrored", "/retried"}
	announced := map[string]string{
		"announced":              "X-Other, X-User-Id, X_user_id, x.user.id, X-Tenant",
		"another announced":      "X-Other",
		"none of them announced": "",
	}

	for _, proxy := range []string{"the default proxy", "the fast proxy"} {
		t.Run(proxy, func(t *testing.T) {
			service, heard := listener(t)
			copies, copied := listener(t)
			routers := map[string]any{}
			for _, reader := range readers {
				for _, path := range []string{"guarded", "optional", "alone", "alone-optional"} {
					chain := []string{path}
					target := "service"
					switch reader {
					case "/buffered":
						chain = []string{"buffering", path}
					case "/buffered-after":
						chain = []string{path, "buffering"}
					case "/mirrored":
						target = "mirroring"
					case "/retried":
						chain = []string{"retry", path}
					}
					routers[path+strings.ReplaceAll(reader, "/", "-")] = map[string]any{
						"rule": "PathPrefix(`" + reader + "/" + path + "/`)", "middlewares": chain, "service": target,
					}
				}
			}
			inHeader := map[string]any{"tokenKey": ""}
			static := map[string]any{}
			if proxy == "the fast proxy" {
				static["experimental"] = map[string]any{"fastProxy": map[string]any{}}
			}
			g := startGateway(t, gateway.Options{Static: static, Dynamic: map[string]any{"http": map[string]any{
				"routers": routers,
				"middlewares": map[string]any{
					"guarded":        guard(secret, nil),
					"optional":       guard(secret, map[string]any{"optional": true}),
					"alone":          guard(secret, inHeader),
					"alone-optional": guard(secret, map[string]any{"optional": true, "tokenKey": ""}),
					"buffering":      map[string]any{"buffering": map[string]any{"maxRequestBodyBytes": 1 << 20}},
					"retry":          map[string]any{"retry": map[string]any{"attempts": 2}},
				},
				"services": map[string]any{
					"service": balanced(service), "copies": balanced(copies),
					"mirroring": map[string]any{"mirroring": map[string]any{
						"service": "service", "mirrors": []any{map[string]any{"name": "copies", "percent": 100}},
					}},
				},
			}}})

			// check looks at what the services were told.
			check := func(t *testing.T, status int, way, reader string) {
				t.Helper()
				if status != http.StatusOK {
					t.Errorf("got %d, want 200", status)
					return
				}
				all := []<-chan told{heard}
				if reader == "/mirrored" { // It makes two of each request.
					all = append(all, copied)
				}
				for i, channel := range all {
					var was told
					select {
					case was = <-channel:
					case <-time.After(patience):
						t.Errorf("service %d was never told", i)
						return
					}
					for _, part := range []http.Header{was.Header, was.Trailer} {
						for name, values := range part {
							if plain := regexp.MustCompile(`[^a-z0-9]`).ReplaceAllString(strings.ToLower(name), "-"); plain != "x-user-id" && plain != "x-tenant" {
								continue
							}
							if !slices.Equal(values, []string{"ada"}) || name != "X-User-Id" || strings.HasPrefix(way, "no token") {
								t.Errorf("service %d was told %s: %q", i, name, values)
							}
						}
					}
					if strings.Contains(way, "a header token") || strings.Contains(way, "a form token") {
						if got := was.Header["X-User-Id"]; !slices.Equal(got, []string{"ada"}) {
							t.Errorf("service %d was told X-User-Id: %q, want ada", i, got)
						}
					}
				}
			}

			for _, reader := range readers {
				for _, way := range ways {
					for name, line := range announced {
						t.Run(fmt.Sprintf("HTTP/1.1%s, %s, %s", reader, way.name, name), func(t *testing.T) {
							text := "POST " + reader + way.path + " HTTP/1.1\r\nHost: example.com\r\n" + way.header + "\r\nTransfer-Encoding: chunked\r\n"
							if line != "" {
								text += "Trailer: " + line + "\r\n"
							}
							text += fmt.Sprintf("Connection: close\r\n\r\n%x\r\n%s\r\n0\r\n", len(way.body), way.body)
							for _, spoofed := range []string{"X-Other: harmless", "X-User-Id: admin", "X_user_id: admin", "x.user.id: admin", "X-Tenant: all"} {
								text += spoofed + "\r\n"
							}
							check(t, exchange(t, g, text+"\r\n").StatusCode, way.name, reader)
						})
					}
					t.Run(fmt.Sprintf("HTTP/2%s, %s", reader, way.name), func(t *testing.T) {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL()+reader+way.path, io.NopCloser(strings.NewReader(way.body)))
						if err != nil {
							t.Fatal(err)
						}
						for line := range strings.SplitSeq(way.header, "\r\n") {
							name, value, _ := strings.Cut(line, ": ")
							req.Header.Set(name, value)
						}
						req.Trailer = http.Header{"X-Other": {"harmless"}, "X-User-Id": {"admin"}, "X_user_id": {"admin"}, "X.user.id": {"admin"}, "X-Tenant": {"all"}}
						resp, err := http2(t).Do(req)
						if err != nil {
							t.Fatal(err)
						}
						_ = resp.Body.Close()
						check(t, resp.StatusCode, way.name, reader)
					})
				}
			}
		})
	}
}

// exchange sends a request as it is written, and returns the answer.
func exchange(t *testing.T, g *gateway.Gateway, text string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

// TestRefusalThatLooksLikeYes: "I say that I speak gRPC: its refusals are a 200, and whoever asks by HTTP lets me in".
func TestRefusalThatLooksLikeYes(t *testing.T) {
	secret := rand.Text() + rand.Text()
	service := whoami(t)
	token := mintFor(t, secret, "ada")
	config := func(address string) map[string]any {
		return map[string]any{"http": map[string]any{
			"routers": map[string]any{
				"guarded": map[string]any{"rule": "PathPrefix(`/guarded/`)", "middlewares": []string{"guarded"}, "service": "whoami"},
				"asking":  map[string]any{"rule": "PathPrefix(`/asking/`)", "middlewares": []string{"ask"}, "service": "whoami"},
			},
			"middlewares": map[string]any{
				"guarded": guard(secret, nil),
				"ask":     map[string]any{"forwardAuth": map[string]any{"address": address + "/guarded/"}},
			},
			"services": map[string]any{"whoami": balanced(service)},
		}}
	}
	g := startGateway(t, gateway.Options{Dynamic: config("http://127.0.0.1:1")})
	if err := g.Reload(t.Context(), config(g.URL())); err != nil { // Now its own address is known.
		t.Fatal(err)
	}
	http1, http2 := connection(t), http2(t)
	tests := []struct {
		name       string
		client     *http.Client
		method     string
		path       string
		kind       string // the content type
		token      string
		wantStatus int
		wantGRPC   string // the gRPC status
	}{
		{"GET", http1, "GET", "/guarded/", "application/grpc", "", 401, ""},
		{"GET, a subtype", http1, "GET", "/guarded/", "application/grpc+proto", "", 401, ""},
		{"GET, a bad token", http1, "GET", "/guarded/", "application/grpc", "garbage", 401, ""},
		{"HEAD", http1, "HEAD", "/guarded/", "application/grpc", "", 401, ""},
		{"POST", http1, "POST", "/guarded/", "application/grpc", "", 401, ""},
		{"GET over HTTP/2", http2, "GET", "/guarded/", "application/grpc", "", 401, ""},
		{"PUT over HTTP/2", http2, "PUT", "/guarded/", "application/grpc", "", 401, ""},
		{"POST over HTTP/2 of another kind", http2, "POST", "/guarded/", "application/grpc-web", "", 401, ""},
		{"POST over HTTP/2", http2, "POST", "/guarded/", "application/grpc", "", 200, "16"},
		{"POST over HTTP/2, a subtype", http2, "POST", "/guarded/", "application/grpc+proto", "garbage", 200, "16"},
		{"whoever asks the guard, GET", http1, "GET", "/asking/", "application/grpc", "", 401, ""},
		{"whoever asks the guard, POST", http1, "POST", "/asking/", "application/grpc", "", 401, ""},
		{"whoever asks the guard, POST over HTTP/2", http2, "POST", "/asking/", "application/grpc", "", 401, ""},
		{"whoever asks the guard, with a token", http1, "GET", "/asking/", "application/grpc", token, 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, g.URL()+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.kind)
			req.Header.Set("Te", "trailers")
			if test.token != "" {
				req.Header.Set("Authorization", "Bearer "+test.token)
			}
			resp, err := test.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Grpc-Status"); resp.StatusCode != test.wantStatus || got != test.wantGRPC {
				t.Errorf("got %d and the gRPC status %q, want %d and %q", resp.StatusCode, got, test.wantStatus, test.wantGRPC)
			}
			if reached := strings.HasPrefix(string(body), "["); reached != (test.token == token) {
				t.Errorf("the service was reached: got %t, want %t", reached, test.token == token)
			}
			if test.wantGRPC != "" && (resp.Header.Get("Content-Type") != "application/grpc" || len(body) > 0 || resp.Header.Get("Grpc-Message") == "") {
				t.Errorf("got %v and %q, want a trailers-only answer", resp.Header, body)
			}
		})
	}
}

// TestWriteFromAnotherSite: "I make the user's browser write with the user's cookie, from a page that I can put on the
// same host without TLS, or with a header that no guard has heard of".
func TestWriteFromAnotherSite(t *testing.T) {
	secret := rand.Text() + rand.Text()
	service := whoami(t)
	secure := freeAddress(t)
	cookie := map[string]any{"name": "session"}
	withOrigins := map[string]any{"name": "session", "origins": []string{"https://app.example.com"}}
	router := func(path string) map[string]any {
		return map[string]any{"rule": "PathPrefix(`/" + path + "/`)", "middlewares": []string{path}, "service": "whoami"}
	}
	entry := map[string]any{"entryPoints": map[string]any{"secure": map[string]any{
		"address": secure, "http": map[string]any{"tls": map[string]any{}},
	}}}
	dynamic := func(names ...string) map[string]any {
		middlewares := map[string]any{"guarded": guard(secret, map[string]any{"cookie": cookie}), "origins": guard(secret, map[string]any{"cookie": withOrigins})}
		routers := map[string]any{}
		for _, name := range names {
			routers[name] = router(name)
			routers[name].(map[string]any)["entryPoints"] = []string{"web"}
			routers[name+"-secure"] = router(name)
			routers[name+"-secure"].(map[string]any)["entryPoints"] = []string{"secure"}
		}
		return map[string]any{"http": map[string]any{
			"routers": routers, "middlewares": middlewares, "services": map[string]any{"whoami": balanced(service)},
		}}
	}
	g := startGateway(t, gateway.Options{Static: entry, Dynamic: dynamic("guarded", "origins")})
	plain := strings.TrimPrefix(g.URL(), "http://")
	// The gateway's certificate is one that it made itself.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: patience}

	type header = map[string]string
	tests := []struct {
		name    string
		address string // with the scheme
		path    string // "/guarded/" by default
		method  string // POST by default
		header  header
		want    int
	}{
		{name: "its own page", address: "https://" + secure, header: header{"Origin": "https://" + secure}, want: 200},
		{name: "its own page, as the browser says", address: "https://" + secure, header: header{"Sec-Fetch-Site": "same-origin", "Origin": "https://" + secure}, want: 200},
		{name: "no page", address: "https://" + secure, header: header{"Sec-Fetch-Site": "none"}, want: 200},
		{name: "no browser", address: "https://" + secure, want: 200},
		{name: "its own page without TLS", address: "http://" + plain, header: header{"Origin": "http://" + plain}, want: 200},
		{name: "a page of the host without TLS", address: "https://" + secure, header: header{"Origin": "http://" + secure}, want: 403},
		{name: "the same, PUT", address: "https://" + secure, method: "PUT", header: header{"Origin": "http://" + secure}, want: 403},
		{name: "the same, in capitals", address: "https://" + secure, header: header{"Origin": "HTTP://" + secure}, want: 403},
		{name: "the same, and the scheme claimed", address: "https://" + secure, header: header{"Origin": "http://" + secure, "X-Forwarded-Proto": "http"}, want: 403},
		{name: "a page of the host with TLS", address: "http://" + plain, header: header{"Origin": "https://" + plain}, want: 403},
		{name: "the same, and the scheme claimed, without TLS", address: "http://" + plain, header: header{"Origin": "https://" + plain, "X-Forwarded-Proto": "https"}, want: 403},
		{name: "no scheme", address: "https://" + secure, header: header{"Origin": "//" + secure}, want: 403},
		{name: "another scheme", address: "https://" + secure, header: header{"Origin": "ftp://" + secure}, want: 403},
		{name: "an origin that is none", address: "https://" + secure, header: header{"Origin": "null"}, want: 403},
		{name: "another site", address: "https://" + secure, header: header{"Origin": "https://evil.example"}, want: 403},
		{name: "the browser says another site", address: "https://" + secure, header: header{"Sec-Fetch-Site": "cross-site", "Origin": "https://" + secure}, want: 403},
		{name: "a neighbour's page", address: "https://" + secure, header: header{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example"}, want: 403},
		{name: "a word that is unknown", address: "https://" + secure, header: header{"Sec-Fetch-Site": "same-planet"}, want: 403},
		{name: "a word in capitals", address: "https://" + secure, header: header{"Sec-Fetch-Site": "CROSS-SITE"}, want: 403},
		{name: "two words", address: "https://" + secure, header: header{"Sec-Fetch-Site": "same-origin, cross-site"}, want: 403},
		{name: "a word that is unknown, reading", address: "https://" + secure, method: "GET", header: header{"Sec-Fetch-Site": "same-planet"}, want: 200},
		{name: "a listed origin", address: "https://" + secure, path: "/origins/", header: header{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com"}, want: 200},
		{name: "a listed origin, unlisted scheme", address: "https://" + secure, path: "/origins/", header: header{"Sec-Fetch-Site": "cross-site", "Origin": "http://app.example.com"}, want: 403},
		{name: "an origin that is not listed", address: "https://" + secure, path: "/origins/", header: header{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.com.evil.example"}, want: 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), cmp.Or(test.method, "POST"), test.address+cmp.Or(test.path, "/guarded/"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", "session="+mintFor(t, secret, "ada"))
			for name, value := range test.header {
				req.Header.Set(name, value)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != test.want {
				t.Errorf("got %d %.200q, want %d", resp.StatusCode, body, test.want)
			}
			if test.want == http.StatusForbidden && !strings.Contains(string(body), "#cross_site") {
				t.Errorf("got %.200q, want cross_site", body)
			}
		})
	}
}

// TestKeyTooLongToRead: "I serve a key set of which one key takes minutes to look at: nobody of that issuer gets in until
// then, and the gateway has a core less".
func TestKeyTooLongToRead(t *testing.T) {
	good := newKidKey(t, "good")
	// Half of a minute of a core, in 33 KB: what it takes grows with the cube.
	long := longPrivateJWK(44497, 23209)
	set := strings.Replace(keySetText(t, false, good), `{"keys":[`, `{"keys":[`+long+`,`, 1)
	endpoint := serveKeySet(t, set)
	file := t.TempDir() + "/keys.json"
	if err := os.WriteFile(file, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	service := whoami(t)
	for name, options := range map[string]map[string]any{
		"a URL":  {"jwksUrl": endpoint.URL, "clientConfig": map[string]any{"timeoutSeconds": 5}},
		"a file": {"jwksFile": file},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, gateway.Options{Dynamic: guarded(service, options)})
			client := &http.Client{Timeout: 20 * time.Second} // Four times timeoutSeconds.
			unknown := kidKey{"unknown", newKey(t)}
			if got, _ := outcome(client, g.URL(), unknown.token(t, nil)); got != "401 unknown_key" {
				t.Errorf("an unknown key: got %s, want 401 unknown_key", got)
			}
			if got, _ := outcome(client, g.URL(), good.token(t, nil)); got != served {
				t.Errorf("the good key: got %s, want %s", got, served)
			}
			if runtime.GOOS != "linux" {
				return
			}
			// What it has used since it started, for which it needs a second or two.
			if used := cpuSeconds(t, g.PID()); used > 10 {
				t.Errorf("the gateway used %.1f s of CPU, want less than 10", used)
			}
		})
	}
}

// longPrivateJWK is a good RSA key whose primes are Mersenne's: 2 to the power of p or q, less one.
func longPrivateJWK(p, q uint) string {
	one := big.NewInt(1)
	first := new(big.Int).Sub(new(big.Int).Lsh(one, p), one)
	second := new(big.Int).Sub(new(big.Int).Lsh(one, q), one)
	totient := new(big.Int).Mul(new(big.Int).Sub(first, one), new(big.Int).Sub(second, one))
	members := map[string]any{"kty": "RSA", "kid": "long"}
	for _, e := range []int64{65537, 257, 17} {
		if d := new(big.Int).ModInverse(big.NewInt(e), totient); d != nil {
			for name, number := range map[string]*big.Int{"e": big.NewInt(e), "d": d, "p": first, "q": second, "n": new(big.Int).Mul(first, second)} {
				members[name] = base64.RawURLEncoding.EncodeToString(number.Bytes())
			}
			break
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// cpuSeconds is what a process has used so far, from /proc/PID/stat: fields 14 and 15, in hundredths of a second.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] { // The name and the PID before it are cut off.
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return float64(ticks) / 100
}
