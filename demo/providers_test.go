package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.yaml.in/yaml/v3"

	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

const examples = "../examples"

// scene is what the examples have around them: the service, the secret, and a partner who signs tokens.
type scene struct {
	service *httptest.Server
	partner *httptest.Server
	secret  string
	key     *jwk
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{secret: rand.Text() + rand.Text(), key: newJWK(t)}
	s.service = httptest.NewServer(echo.Handler("api", log.New(io.Discard, "", 0)))
	t.Cleanup(s.service.Close)
	s.partner = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{s.key.public}}) // The client has gone.
	}))
	t.Cleanup(s.partner.Close)
	return s
}

// authority is the certificate of the partner's authority.
func (s *scene) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.partner.Certificate().Raw}))
}

// port is the service's.
func (s *scene) port() string {
	return s.service.Listener.Addr().(*net.TCPAddr).AddrPort().String()[len("127.0.0.1:"):]
}

// put replaces the examples' addresses by those of the scene, and one option by another.
func (s *scene) put(text string, further ...string) string {
	return strings.NewReplacer(append(further,
		"https://partner.example.org/keys", s.partner.URL,
		"http://api:8080", s.service.URL,
	)...).Replace(text)
}

// env is the environment of a gateway in the scene. The partner's authority is among the system's.
func (s *scene) env(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(file, []byte(s.authority()), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"SESSION_SECRET=" + s.secret, "SSL_CERT_FILE=" + file}
}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// configured is a way that Traefik takes the configuration of an example.
type configured struct {
	name string
	// typo is how the example writes an option, and how it does so wrongly.
	typo []string
	// gateway has the options of a gateway with the example, in which texts are replaced.
	gateway func(t *testing.T, s *scene, replaced ...string) gateway.Options
}

var providers = []configured{
	{"YAML", []string{"issuer: https://login", "isuer: https://login", "maxSession:", "maxSesion:", "jwksUrl:", "jwksUri:"}, func(t *testing.T, s *scene, replaced ...string) gateway.Options {
		text := s.put(example(t, "dynamic.yml"), replaced...)
		return gateway.Options{Files: map[string]string{"dynamic.yml": text}, Env: s.env(t)}
	}},
	{"TOML", []string{`issuer = "https://login`, `isuer = "https://login`, "maxSession =", "maxSesion =", "jwksUrl =", "jwksUri ="}, func(t *testing.T, s *scene, replaced ...string) gateway.Options {
		text := s.put(example(t, "dynamic.toml"), replaced...)
		return gateway.Options{Files: map[string]string{"dynamic.toml": text}, Env: s.env(t)}
	}},
	{"Docker labels", []string{"issuer=https://login", "isuer=https://login", "maxSession=", "maxSesion=", "jwksUrl=", "jwksUri="}, func(t *testing.T, s *scene, replaced ...string) gateway.Options {
		labels := composeLabels(t, s.put(example(t, "docker-compose.yml"), append(replaced, "server.port=8080", "server.port="+s.port())...), s.secret)
		return gateway.Options{Env: s.env(t), Static: map[string]any{"providers": map[string]any{
			"docker": map[string]any{"endpoint": dockerEngine(t, labels), "exposedByDefault": false},
		}}}
	}},
	{"Kubernetes", []string{"issuer: https://login", "isuer: https://login", "maxSession:", "maxSesion:", "jwksUrl:", "jwksUri:"}, func(t *testing.T, s *scene, replaced ...string) gateway.Options {
		text := s.put(example(t, "kubernetes.yml"), replaced...)
		return gateway.Options{Static: map[string]any{"providers": map[string]any{
			"kubernetesCRD": map[string]any{"endpoint": kubernetesAPI(t, s, text), "token": "a token"},
		}}}
	}},
}

// TestProviders shows that each example is the same session, whatever way its options take.
func TestProviders(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			g := startGateway(t, provider.gateway(t, s))
			ask := func(header http.Header) response {
				return askHost(t, g.URL(), "example.com", header)
			}
			poll(t, func() bool { return ask(nil).status != http.StatusNotFound }) // A provider may be slower than the file.

			now := time.Now().Unix()
			own := jwt.MapClaims{
				"iss": "https://login.example.com", "aud": "web", "sub": "ada", "iat": now, "exp": now + 3600,
				"realm_access": map[string]any{"roles": []string{"guest", "reader"}}, "name": "Zoë",
			}
			with := func(claims jwt.MapClaims, name string, value any) jwt.MapClaims {
				claims = maps.Clone(claims)
				claims[name] = value
				return claims
			}
			token := func(claims jwt.MapClaims) string {
				return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, claims), []byte(s.secret))
			}
			due := token(with(with(own, "iat", now-3500), "exp", now+100))

			t.Run("no token", func(t *testing.T) {
				wantProblem(t, ask(nil), http.StatusUnauthorized, "token_missing")
			})
			t.Run("a map, a list and a renewal", func(t *testing.T) {
				resp := ask(http.Header{"Authorization": {"Bearer " + token(own)}, "X_User_Id": {"mallory"}})
				wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "X-User-Roles": {"guest,reader"}, "X-User-Name": {`"Zo\u00eb"`}, "X_User_Id": nil, "Authorization": nil})
				if resp.renewed() != "" {
					t.Error("a fresh token was renewed")
				}
				resp = ask(http.Header{"Authorization": {"Bearer " + due}})
				wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}})
				if resp.renewed() == "" {
					t.Error("a token that is due was not renewed")
				}
			})
			t.Run("a block: the cookie", func(t *testing.T) {
				resp := ask(http.Header{"Cookie": {"__Host-session=" + due}})
				wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "Cookie": nil})
				cookie := resp.header.Get("Set-Cookie")
				if !strings.HasPrefix(cookie, "__Host-session=ey") || !strings.HasSuffix(cookie, "; HttpOnly; Secure; SameSite=Strict") {
					t.Errorf("got cookie %q, want a renewed one", cookie)
				}
			})
			t.Run("what is refused", func(t *testing.T) {
				ask := func(claims jwt.MapClaims) response {
					return ask(http.Header{"Authorization": {"Bearer " + token(claims)}})
				}
				wantProblem(t, ask(with(own, "aud", "other")), http.StatusUnauthorized, "wrong_audience")
				wantProblem(t, ask(with(own, "iss", "other")), http.StatusUnauthorized, "wrong_issuer")
				wantProblem(t, ask(with(own, "email_verified", false)), http.StatusForbidden, "claims_not_sufficient")
				wantProblem(t, ask(with(own, "realm_access", nil)), http.StatusForbidden, "claims_not_sufficient")
			})
			t.Run("a list of blocks: the partner", func(t *testing.T) {
				theirs := jwt.NewWithClaims(jwt.SigningMethodES256, with(with(with(own, "iss", "https://partner.example.org"), "iat", now-3500), "exp", now+100))
				theirs.Header["kid"] = s.key.public["kid"]
				resp := ask(http.Header{"Authorization": {"Bearer " + signed(t, theirs, s.key.private)}})
				wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}})
				if resp.renewed() != "" {
					t.Error("a partner's token was renewed")
				}
			})
		})
	}
}

// TestUnknownOption shows that an option that does not exist is refused by name, whatever way it takes.
func TestUnknownOption(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			g := startGateway(t, provider.gateway(t, s, provider.typo...))
			poll(t, func() bool { return strings.Contains(g.Logs(), "unknown option") })
			for _, want := range []string{
				`\"isuer\" (did you mean issuer?)`,
				`\"renew.maxSesion\" (did you mean renew.maxSession?)`,
				`\"trustedIssuers[0].jwksUri\" (did you mean trustedIssuers[0].jwksUrl?)`,
			} {
				if !strings.Contains(g.Logs(), want) { // The log is JSON, so the quotes are escaped.
					t.Errorf("the log does not say %s", want)
				}
			}
			if got := askHost(t, g.URL(), "example.com", nil).status; got != http.StatusNotFound {
				t.Errorf("got status %d, want 404: Traefik has no router then", got)
			}
		})
	}
}

// TestLabelForms shows the forms that a label can write an option in: numbers, booleans, a list by its
// indices, several blocks in a list, and names in another case.
func TestLabelForms(t *testing.T) {
	s := newScene(t)
	labels := map[string]string{"traefik.enable": "true", "traefik.http.services.api.loadbalancer.server.port": s.port()}
	routes := map[string]map[string]string{
		"optional":  {"optional": "true"},
		"indices":   {"audience[0]": "first", "audience[1]": "second"},
		"scopes":    {"scopes": "read, write", "leeway": "5", "cacheSize": "0"},
		"cookie":    {"cookie.name": "session", "cookie.secure": "false", "cookie.sessionOnly": "true", "renew.before": "50%"},
		"lowercase": {"forwardheaders.x-user-id": "sub", "tokentype": "session+jwt"},
		"issuers": {
			"trustedIssuers[0].issuer": "https://one.example.org", "trustedIssuers[0].jwksUrl": "http://127.0.0.1:1/keys",
			"trustedIssuers[1].issuer": "https://two.example.org", "trustedIssuers[1].jwksUrl": s.partner.URL,
			"clientConfig.tls.insecureSkipVerify": "true", "clientConfig.timeoutSeconds": "30", "clientConfig.maxRetries": "0",
		},
	}
	for name, options := range routes {
		labels["traefik.http.routers."+name+".rule"] = "Host(`" + name + "`)"
		labels["traefik.http.routers."+name+".middlewares"] = name
		for option, value := range options {
			labels["traefik.http.middlewares."+name+".plugin.slidingjwt."+option] = value
		}
		labels["traefik.http.middlewares."+name+".plugin.slidingjwt.signingSecret"] = s.secret
	}
	g := startGateway(t, gateway.Options{Static: map[string]any{"providers": map[string]any{
		"docker": map[string]any{"endpoint": dockerEngine(t, labels), "exposedByDefault": false},
	}}})
	poll(t, func() bool { return askHost(t, g.URL(), "optional", nil).status != http.StatusNotFound })

	now := time.Now().Unix()
	token := func(claims jwt.MapClaims, typ string) http.Header {
		all := jwt.MapClaims{"sub": "ada", "iat": now - 3000, "exp": now + 600}
		maps.Copy(all, claims)
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, all)
		token.Header["typ"] = typ
		return http.Header{"Authorization": {"Bearer " + signed(t, token, []byte(s.secret))}}
	}
	theirs := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://two.example.org", "exp": now + 600})
	for _, test := range []struct {
		host   string
		header http.Header
		status int
	}{
		{"optional", nil, 200},
		{"optional", http.Header{"Authorization": {"Bearer x"}}, 401},
		{"indices", token(jwt.MapClaims{"aud": "second"}, "JWT"), 200},
		{"indices", token(jwt.MapClaims{"aud": "third"}, "JWT"), 401},
		{"scopes", token(jwt.MapClaims{"scope": "read write"}, "JWT"), 200},
		{"scopes", token(jwt.MapClaims{"scope": "read"}, "JWT"), 403},
		{"scopes", token(jwt.MapClaims{"scope": "read write", "exp": now - 10}, "JWT"), 401},
		{"lowercase", token(nil, "session+jwt"), 200},
		{"lowercase", token(nil, "JWT"), 401},
		{"issuers", http.Header{"Authorization": {"Bearer " + signed(t, theirs, s.key.private)}}, 200},
	} {
		resp := askHost(t, g.URL(), test.host, test.header)
		if resp.status != test.status {
			t.Errorf("%s: got %d %q, want %d", test.host, resp.status, resp.body, test.status)
		}
		if want := test.host == "lowercase" && test.status == 200; (resp.answer.Headers.Get("X-User-Id") == "ada") != want {
			t.Errorf("%s: got %v, want the user: %t", test.host, resp.answer.Headers, want)
		}
	}
	cookie := strings.Replace(token(nil, "JWT").Get("Authorization"), "Bearer ", "session=", 1)
	resp := askHost(t, g.URL(), "cookie", http.Header{"Cookie": {cookie}})
	if got := resp.header.Get("Set-Cookie"); !strings.HasPrefix(got, "session=ey") || !strings.HasSuffix(got, "; Path=/; HttpOnly; SameSite=Lax") {
		t.Errorf("got Set-Cookie %q, want it for the browser's session and not secure", got)
	}
}

// composeLabels are the labels of the compose file's service, as `docker compose` gives them to the engine.
func composeLabels(t *testing.T, text, secret string) map[string]string {
	t.Helper()
	var file struct {
		Services map[string]struct{ Labels []string }
	}
	text = regexp.MustCompile(`\$\{SESSION_SECRET[^}]*\}`).ReplaceAllLiteralString(text, secret)
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, label := range file.Services["api"].Labels {
		name, value, _ := strings.Cut(label, "=")
		labels[name] = value
	}
	if len(labels) < 10 {
		t.Fatalf("got %d labels, want those of the example", len(labels))
	}
	return labels
}

// dockerEngine answers what Traefik's Docker provider asks: that there is one container, with those labels.
func dockerEngine(t *testing.T, labels map[string]string) string {
	t.Helper()
	container := map[string]any{
		"Id": "c0ffee", "Name": "/api", "Names": []string{"/api"},
		"State":           map[string]any{"Status": "running", "Running": true},
		"Config":          map[string]any{"Labels": labels},
		"HostConfig":      map[string]any{"NetworkMode": "default"},
		"NetworkSettings": map[string]any{"Networks": map[string]any{"default": map[string]any{"IPAddress": "127.0.0.1"}}},
	}
	return "tcp://" + serveJSON(t, func(req *http.Request) any {
		name := path.Base(req.URL.Path)
		switch {
		case name == "events":
			return nil
		case name == "version":
			return map[string]any{"Version": "28.0.0", "ApiVersion": "1.44"}
		case strings.HasSuffix(req.URL.Path, "/containers/json"):
			return []any{map[string]any{"Id": "c0ffee", "Names": []string{"/api"}, "State": "running"}}
		case name == "json":
			return container
		}
		return map[string]any{}
	})
}

// kubernetesAPI answers what Traefik's Kubernetes provider asks: the resources of the example, with the
// scene's secrets, and the service.
func kubernetesAPI(t *testing.T, s *scene, text string) string {
	t.Helper()
	resources := map[string][]any{
		"services": {map[string]any{
			"metadata": map[string]any{"name": "api", "namespace": "shop"},
			"spec":     map[string]any{"ports": []any{map[string]any{"name": "web", "port": 8080}}},
		}},
		"endpointslices": {map[string]any{
			"metadata":    map[string]any{"name": "api-1", "namespace": "shop", "labels": map[string]any{"kubernetes.io/service-name": "api"}},
			"addressType": "IPv4",
			"endpoints":   []any{map[string]any{"addresses": []string{"127.0.0.1"}, "conditions": map[string]any{"ready": true}}},
			"ports":       []any{map[string]any{"name": "web", "port": json.Number(s.port())}},
		}},
	}
	for _, document := range documents(t, text) {
		kind, _ := document["kind"].(string)
		if given, ok := document["stringData"].(map[string]any); ok {
			// A cluster keeps a secret's strings in base64.
			if given["signing-secret"] == nil || given["partner-ca"] == nil {
				t.Fatal("the example lacks a secret")
			}
			delete(document, "stringData")
			document["data"] = map[string]any{
				"signing-secret": base64.StdEncoding.EncodeToString([]byte(s.secret)),
				"partner-ca":     base64.StdEncoding.EncodeToString([]byte(s.authority())),
			}
		}
		name := strings.ToLower(kind) + "s"
		resources[name] = append(resources[name], document)
	}
	return "http://" + serveJSON(t, func(req *http.Request) any {
		if req.URL.Query().Get("watch") != "" {
			return nil
		}
		items := resources[path.Base(req.URL.Path)]
		if items == nil {
			items = []any{}
		}
		return map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": items}
	})
}

// serveJSON answers requests with JSON, and with nothing, for ever, where there is no answer.
func serveJSON(t *testing.T, answer func(req *http.Request) any) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		value := answer(req)
		if value == nil {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush() // The client has gone.
			<-req.Context().Done()
			return
		}
		_ = json.NewEncoder(w).Encode(value) // The client has gone.
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

// documents are those of a YAML text.
func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, document)
	}
}

// startGateway starts a gateway that ends with the test, and shows its errors if that has failed.
func startGateway(t *testing.T, o gateway.Options) *gateway.Gateway {
	t.Helper()
	g, err := gateway.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Stop()
		if t.Failed() {
			for line := range strings.Lines(g.Logs()) {
				if strings.Contains(line, `"plugin":"plugin-`) || strings.Contains(line, `"level":"error"`) {
					t.Log(strings.TrimSpace(line))
				}
			}
		}
	})
	return g
}

// askHost calls the service by a host's name.
func askHost(t *testing.T, address, host string, header http.Header) response {
	t.Helper()
	u, err := url.Parse(address + "/api/")
	if err != nil {
		t.Fatal(err)
	}
	if header == nil {
		header = http.Header{}
	}
	return roundTrip(t, &http.Request{Method: http.MethodGet, URL: u, Host: host, Header: header})
}

// wantProblem checks a refusal.
func wantProblem(t *testing.T, resp response, status int, code string) {
	t.Helper()
	if resp.status != status || !strings.Contains(resp.body, "#"+code+`"`) {
		t.Errorf("got %d %q, want %d %s", resp.status, resp.body, status, code)
	}
	if got := resp.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got content type %q, want a problem", got)
	}
	if resp.answer.Instance != "" {
		t.Error("the request reached the service")
	}
}

func signed(t *testing.T, token *jwt.Token, key any) string {
	t.Helper()
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// jwk is a key and its public half as a JWK.
type jwk struct {
	private any
	public  map[string]any
}

func newJWK(t *testing.T) *jwk {
	t.Helper()
	key := newKey(t)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	coordinate := base64.RawURLEncoding.EncodeToString
	return &jwk{private: key, public: map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": fmt.Sprintf("key of %s", t.Name()),
		"x": coordinate(point[1:33]), "y": coordinate(point[33:]),
	}}
}
