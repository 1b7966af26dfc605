package main

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// kidKey is a key with a name.
type kidKey struct {
	kid     string
	private *ecdsa.PrivateKey
}

func newKidKey(t *testing.T, kid string) kidKey {
	t.Helper()
	return kidKey{kid, newKey(t)}
}

// token is one under this key that no other is equal to.
func (k kidKey) token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "nonce": nonces.Add(1)}
	maps.Copy(all, claims)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	token.Header["kid"] = k.kid
	text, err := token.SignedString(k.private)
	if err != nil {
		t.Error(err)
	}
	return text
}

var nonces atomic.Int64

// keySetText is a JWK Set of those keys, with their private members or without.
func keySetText(t testing.TB, private bool, keys ...kidKey) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	var list []map[string]string
	for _, key := range keys {
		point, err := key.private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		members := map[string]string{"kty": "EC", "crv": "P-256", "kid": key.kid, "x": encode(point[1:33]), "y": encode(point[33:])}
		if private {
			scalar, err := key.private.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			members["d"] = encode(scalar)
		}
		list = append(list, members)
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keySetServer is a key endpoint that counts its fetches.
type keySetServer struct {
	*httptest.Server
	fetches atomic.Int64
	text    atomic.Value // string
}

func serveKeySet(t *testing.T, text string) *keySetServer {
	t.Helper()
	s := &keySetServer{}
	s.text.Store(text)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		_, _ = io.WriteString(w, s.text.Load().(string)) // The client has gone.
	}))
	t.Cleanup(s.Close)
	return s
}

// whoami is a service that says whom it was told of.
func whoami(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q", r.Header["X-User-Id"]) // The client has gone.
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const toldOfAda = `["ada"]`

// guarded is a dynamic configuration whose one router is guarded with those options. By default the service is told the sub,
// in the header that whoami looks at.
func guarded(service string, options map[string]any) map[string]any {
	options = maps.Clone(options)
	if options["forwardHeaders"] == nil {
		options["forwardHeaders"] = map[string]string{"X-User-Id": "sub"}
	}
	return map[string]any{"http": map[string]any{
		"routers":     map[string]any{"all": map[string]any{"rule": "PathPrefix(`/`)", "middlewares": []string{"jwt"}, "service": "whoami"}},
		"middlewares": map[string]any{"jwt": map[string]any{"plugin": map[string]any{"slidingjwt": options}}},
		"services":    map[string]any{"whoami": balanced(service)},
	}}
}

func balanced(service string) map[string]any {
	return map[string]any{"loadBalancer": map[string]any{"servers": []map[string]string{{"url": service}}}}
}

// outcome is what a request came to, short enough to be counted.
func outcome(client *http.Client, url, token string) (string, http.Header) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err.Error(), nil
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err.Error(), nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error(), nil
	}
	if resp.StatusCode == http.StatusOK {
		return "200 " + string(body), resp.Header
	}
	code := regexp.MustCompile(`#(\w+)"`).FindStringSubmatch(string(body))
	if len(code) != 2 {
		return strconv.Itoa(resp.StatusCode), resp.Header
	}
	return strconv.Itoa(resp.StatusCode) + " " + code[1], resp.Header
}

const served = "200 " + toldOfAda

// connection is a client with one connection to each host, as one user's browser.
func connection(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// tally counts outcomes.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[outcome]++
}

// only checks that nothing but this came out, and that often at least.
func (c *tally) only(t *testing.T, want string, atLeast int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("outcomes: %v", c.counts)
	if len(c.counts) != 1 || c.counts[want] < atLeast {
		t.Errorf("got %v, want %d or more times %s and nothing else", c.counts, atLeast, want)
	}
}

// inBackground runs something again and again until the returned function is called.
func inBackground(do func(worker, turn int), workers int) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-done:
					return
				default:
					do(worker, turn)
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
}

// TestUnknownKeyIDs sends 1,000 tokens of unknown key IDs in 10 seconds on 8 connections: the endpoint sees one
// fetch at most, valid requests notice nothing, and a key that was rotated in meanwhile is accepted within 30 seconds.
func TestUnknownKeyIDs(t *testing.T) {
	t.Parallel()
	known, rotated, stranger := newKidKey(t, "known"), newKidKey(t, "rotated"), newKidKey(t, "")
	endpoint := serveKeySet(t, keySetText(t, false, known))
	g := startGateway(t, gateway.Options{Dynamic: guarded(whoami(t), map[string]any{"jwksUrl": endpoint.URL}), LogLevel: "INFO"})
	if got, _ := outcome(http.DefaultClient, g.URL(), known.token(t, nil)); got != served {
		t.Fatalf("got %s, want %s", got, served)
	}
	if got := endpoint.fetches.Load(); got != 1 {
		t.Fatalf("got %d fetches at first need, want 1", got)
	}

	var valid, unknown tally
	client, remembered := connection(t), known.token(t, nil)
	stop := inBackground(func(_, turn int) {
		token := remembered
		if turn%2 == 0 {
			token = known.token(t, nil)
		}
		got, _ := outcome(client, g.URL(), token)
		valid.add(got)
		time.Sleep(5 * time.Millisecond)
	}, 1)
	defer stop()

	start := time.Now()
	var wg sync.WaitGroup
	for worker := range 8 {
		client := connection(t)
		wg.Go(func() {
			for i := range 125 {
				time.Sleep(time.Until(start.Add(time.Duration(i) * 80 * time.Millisecond)))
				key := kidKey{fmt.Sprintf("%d-%d", worker, i), stranger.private}
				got, _ := outcome(client, g.URL(), key.token(t, nil))
				unknown.add(got)
			}
		})
	}
	time.Sleep(time.Until(start.Add(5 * time.Second)))
	endpoint.text.Store(keySetText(t, false, known, rotated))
	rotatedAt := time.Now()
	var acceptedAfter time.Duration
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		client := &http.Client{Timeout: 20 * time.Second}
		for acceptedAfter == 0 && time.Since(rotatedAt) < 40*time.Second {
			if got, _ := outcome(client, g.URL(), rotated.token(t, nil)); got == served {
				acceptedAfter = time.Since(rotatedAt)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	wg.Wait()
	t.Logf("%d fetches after 1,000 unknown key IDs in %s", endpoint.fetches.Load()-1, time.Since(start).Round(time.Millisecond))
	if got := endpoint.fetches.Load() - 1; got > 1 {
		t.Errorf("got %d fetches, want 1 at most", got)
	}
	unknown.only(t, "401 unknown_key", 1000)
	<-accepted
	stop()
	t.Logf("the key that was rotated in was accepted after %s, with %d fetches in all", acceptedAfter.Round(time.Millisecond), endpoint.fetches.Load())
	if acceptedAfter == 0 || acceptedAfter > 30*time.Second {
		t.Errorf("the key that was rotated in was accepted after %s, want 30 s at most", acceptedAfter)
	}
	if got := endpoint.fetches.Load(); got > 3 {
		t.Errorf("got %d fetches in all, want 3 at most", got)
	}
	valid.only(t, served, 100)
}

// TestProviderDownAtStart starts a gateway whose provider does not answer: neither the start nor a reload waits for
// it, tokens under your own keys are served, the provider's get 503, and pass soon after it is there.
func TestProviderDownAtStart(t *testing.T) {
	t.Parallel()
	own, external := newKidKey(t, "own"), newKidKey(t, "external")
	up := make(chan struct{})
	var fetches atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		select {
		case <-up:
			_, _ = io.WriteString(w, keySetText(t, false, external)) // The client has gone.
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(endpoint.Close)
	config := guarded(whoami(t), map[string]any{
		"jwksFile": keySetText(t, true, own), "jwksUrl": endpoint.URL, "clientConfig": map[string]any{"timeoutSeconds": 2},
	})
	g := startGateway(t, gateway.Options{Dynamic: config, LogLevel: "INFO"})
	if got := fetches.Load(); got != 0 {
		t.Errorf("got %d fetches at the start, want none before a token needs one", got)
	}
	got, header := outcome(http.DefaultClient, g.URL(), external.token(t, nil))
	if got != "503 keys_unavailable" || header.Get("Retry-After") == "" {
		t.Errorf("got %s with %v, want 503 keys_unavailable with Retry-After", got, header)
	}
	var valid tally
	client := connection(t)
	stop := inBackground(func(int, int) {
		start := time.Now()
		got, _ := outcome(client, g.URL(), own.token(t, nil))
		valid.add(got)
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("a token under the own key took %s", took)
		}
		time.Sleep(5 * time.Millisecond)
	}, 1)
	defer stop()
	for range 3 {
		start := time.Now()
		if err := g.Reload(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		t.Logf("a reload took %s", time.Since(start).Round(time.Millisecond))
	}
	close(up)
	start := time.Now()
	poll(t, func() bool {
		got, _ := outcome(http.DefaultClient, g.URL(), external.token(t, nil))
		return got == served
	})
	t.Logf("served %s after the provider was there, with %d fetches", time.Since(start).Round(time.Millisecond), fetches.Load())
	stop()
	valid.only(t, served, 50)
}

// TestKeysThroughProxy reaches a key endpoint only by the proxy that the environment names.
func TestKeysThroughProxy(t *testing.T) {
	t.Parallel()
	key := newKidKey(t, "one")
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, keySetText(t, false, key)) // The client has gone.
	}))
	t.Cleanup(endpoint.Close)
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host)
		there, err := net.Dial("tcp", endpoint.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n") // What fails shows in the copies.
		go func() { _, _ = io.Copy(there, buffered) }()
		_, _ = io.Copy(here, there)
	}))
	t.Cleanup(proxy.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: endpoint.Certificate().Raw})
	g := startGateway(t, gateway.Options{
		Dynamic: guarded(whoami(t), map[string]any{
			"jwksUrl": "https://example.com/keys", "clientConfig": map[string]any{"tls": map[string]any{"ca": string(ca)}},
		}),
		Env: []string{"HTTPS_PROXY=" + proxy.URL, "NO_PROXY=", "no_proxy=", "https_proxy="},
	})
	if got, _ := outcome(http.DefaultClient, g.URL(), key.token(t, nil)); got != served {
		t.Errorf("got %s, want %s", got, served)
	}
	if got := asked.Load(); got != "CONNECT example.com:443" {
		t.Errorf("the proxy was asked %v, want CONNECT example.com:443", got)
	}
}

// TestThousandRouters reloads a thousand routers on one middleware three times under traffic.
func TestThousandRouters(t *testing.T) {
	t.Parallel()
	const routers = 1000
	key := newKidKey(t, "one")
	endpoint := serveKeySet(t, keySetText(t, false, key))
	service := whoami(t)
	dynamic := func(generation int) map[string]any {
		config := guarded(service, map[string]any{"jwksUrl": endpoint.URL})
		all := map[string]any{}
		for i := range routers {
			all[fmt.Sprintf("router-%d", i)] = map[string]any{
				"rule":        fmt.Sprintf("Path(`/%d`)", i),
				"middlewares": []string{"generation", "jwt"}, "service": "whoami",
			}
		}
		web := config["http"].(map[string]any)
		web["routers"] = all
		web["middlewares"].(map[string]any)["generation"] = map[string]any{
			"headers": map[string]any{"customResponseHeaders": map[string]string{"Generation": strconv.Itoa(generation)}},
		}
		return config
	}
	debug := freeAddress(t)
	g := startGateway(t, gateway.Options{
		Dynamic: dynamic(0), LogLevel: "INFO",
		Static: map[string]any{
			"api":         map[string]any{"insecure": true, "debug": true},
			"entryPoints": map[string]any{"traefik": map[string]any{"address": debug}},
		},
	})

	var valid tally
	stop := inBackground(func() func(worker, turn int) {
		clients := []*http.Client{connection(t), connection(t)}
		tokens := []string{key.token(t, nil), key.token(t, nil)}
		return func(worker, turn int) {
			got, _ := outcome(clients[worker], fmt.Sprintf("%s/%d", g.URL(), (turn*7+worker)%routers), tokens[worker])
			valid.add(got)
			time.Sleep(2 * time.Millisecond)
		}
	}(), 2)
	defer stop()
	reload := func(generation int) {
		start := time.Now()
		if err := g.Reload(t.Context(), dynamic(generation)); err != nil {
			t.Fatal(err)
		}
		t.Logf("reload %d took %s", generation, time.Since(start).Round(time.Millisecond))
		time.Sleep(time.Second)
	}
	reload(1) // What Traefik itself keeps of an earlier configuration is there from now on.
	goroutines, heap := profile(t, debug)
	for generation := 2; generation <= 4; generation++ {
		reload(generation)
	}
	goroutinesAfter, heapAfter := profile(t, debug)
	stop()
	valid.only(t, served, 500)
	if got := endpoint.fetches.Load(); got != 1 {
		t.Errorf("got %d fetches by %d routers and four reloads, want 1", got, routers)
	}
	t.Logf("%d fetches; goroutines %d, then %d; heap %d KiB, then %d KiB", endpoint.fetches.Load(), goroutines, goroutinesAfter, heap>>10, heapAfter>>10)
	if goroutinesAfter > goroutines+20 {
		t.Errorf("got %d goroutines after three reloads, %d before", goroutinesAfter, goroutines)
	}
	if heapAfter > heap+heap/4 {
		t.Errorf("got a heap of %d KiB after three reloads, %d KiB before", heapAfter>>10, heap>>10)
	}
}

// profile is the number of the gateway's goroutines and what is alive in its heap, after a collection.
func profile(t *testing.T, address string) (goroutines int, heap uint64) {
	t.Helper()
	read := func(path string) string { return do(t, http.MethodGet, "http://"+address+path, nil, "").body }
	read("/debug/pprof/heap?gc=1")
	read("/debug/pprof/heap?gc=1") // What has a finalizer goes with the second.
	if _, err := fmt.Sscanf(read("/debug/pprof/goroutine?debug=1"), "goroutine profile: total %d", &goroutines); err != nil {
		t.Fatal(err)
	}
	var vars struct {
		MemStats struct{ HeapAlloc uint64 } `json:"memstats"`
	}
	if err := json.Unmarshal([]byte(read("/debug/vars")), &vars); err != nil {
		t.Fatal(err)
	}
	return goroutines, vars.MemStats.HeapAlloc
}

// keyDir is a mounted Kubernetes secret: the file is a link into a directory that is a link itself, which is swapped.
type keyDir struct {
	dir   string
	count int
}

func (d *keyDir) file() string { return filepath.Join(d.dir, "keys.json") }

func (d *keyDir) write(t *testing.T, text string) {
	t.Helper()
	d.count++
	version := fmt.Sprintf("..%d", d.count)
	err := errors.Join(
		os.Mkdir(filepath.Join(d.dir, version), 0o700),
		os.WriteFile(filepath.Join(d.dir, version, "keys.json"), []byte(text), 0o600),
		os.Symlink(version, filepath.Join(d.dir, "..data_tmp")),
		os.Rename(filepath.Join(d.dir, "..data_tmp"), filepath.Join(d.dir, "..data")),
	)
	if d.count == 1 {
		err = errors.Join(err, os.Symlink("..data/keys.json", d.file()))
	} else {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, fmt.Sprintf("..%d", d.count-1))))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOwnKeyRotation rotates the signing key in the three steps of docs/keys.md, on two gateways under load, with a
// third that only knows what the first publishes. No valid session meets a 401.
func TestOwnKeyRotation(t *testing.T) {
	t.Parallel()
	const lifetime, maxSession = 4 * time.Second, 10 * time.Second
	old, next := newKidKey(t, "old"), newKidKey(t, "next")
	service := whoami(t)
	var dirs []*keyDir
	var gateways []*gateway.Gateway
	for range 2 {
		dir := &keyDir{dir: t.TempDir()}
		dir.write(t, keySetText(t, true, old))
		config := guarded(service, map[string]any{
			"jwksFile": dir.file(), "leeway": "0s",
			"renew": map[string]any{"before": "3s", "maxSession": maxSession.String()},
		})
		web := config["http"].(map[string]any)
		web["routers"].(map[string]any)["keys"] = map[string]any{
			"rule": "Path(`/keys`)", "priority": 100, "middlewares": []string{"keys"}, "service": "noop@internal",
		}
		web["middlewares"].(map[string]any)["keys"] = map[string]any{
			"plugin": map[string]any{"slidingjwt": map[string]any{"jwksFile": dir.file(), "publishJwks": true}},
		}
		dirs = append(dirs, dir)
		gateways = append(gateways, startGateway(t, gateway.Options{Dynamic: config, LogLevel: "INFO"}))
	}
	reader := startGateway(t, gateway.Options{
		Dynamic: guarded(service, map[string]any{"jwksUrl": gateways[0].URL() + "/keys", "leeway": "0s"}), LogLevel: "INFO",
	})

	// Whoever logs in gets a token of the key that signs.
	var signer atomic.Value
	signer.Store(old)
	var valid, read, kids tally
	stop := inBackground(func() func(worker, turn int) {
		clients := make([]*http.Client, 4)
		tokens := make([]string, 4)
		ends := make([]time.Time, 4)
		for i := range clients {
			clients[i] = connection(t)
		}
		return func(worker, turn int) {
			now := time.Now()
			if now.After(ends[worker]) {
				tokens[worker] = signer.Load().(kidKey).token(t, jwt.MapClaims{
					"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(lifetime).Unix(),
				})
				ends[worker] = now.Truncate(time.Second).Add(maxSession - 2*time.Second)
			}
			got, header := outcome(clients[worker], gateways[turn%2].URL(), tokens[worker])
			valid.add(got)
			if renewed := (response{header: header}).renewed(); renewed != "" {
				tokens[worker] = renewed
				parsed, _, err := jwt.NewParser().ParseUnverified(renewed, jwt.MapClaims{})
				if err != nil {
					t.Error(err)
					return
				}
				kids.add(fmt.Sprint(parsed.Header["kid"]))
			}
			got, header = outcome(clients[worker], reader.URL(), tokens[worker])
			read.add(got)
			if header.Get("Authorization") != "" {
				t.Error("a gateway renewed a token under a key that is not its own")
			}
			time.Sleep(10 * time.Millisecond)
		}
	}(), 4)
	defer stop()
	time.Sleep(2 * time.Second)

	step := func(want []string, keys ...kidKey) {
		for _, dir := range dirs {
			dir.write(t, keySetText(t, true, keys...))
			time.Sleep(1500 * time.Millisecond) // They are not updated together.
		}
		for _, g := range gateways {
			poll(t, func() bool { return slices.Equal(publishedBy(t, g), want) })
		}
	}
	step([]string{"old", "next"}, old, next)
	step([]string{"next", "old"}, next, old)
	signer.Store(next)
	kids.mu.Lock()
	t.Logf("renewals until the new key signs everywhere: %v", kids.counts)
	kids.mu.Unlock()
	time.Sleep(maxSession)
	before := old.token(t, nil)
	if got, _ := outcome(http.DefaultClient, gateways[1].URL(), before); got != served {
		t.Errorf("before the old key is dropped: got %s, want %s", got, served)
	}
	step([]string{"next"}, next)
	for _, g := range gateways {
		if got, _ := outcome(http.DefaultClient, g.URL(), before); got != "401 unknown_key" {
			t.Errorf("after the old key was dropped: got %s, want 401 unknown_key", got)
		}
	}
	time.Sleep(time.Second)
	stop()
	valid.only(t, served, 200)
	read.only(t, served, 200)
	t.Logf("renewals in all: %v", kids.counts)
	if kids.counts["next"] == 0 || kids.counts["old"] == 0 {
		t.Errorf("got renewals %v, want some under each key", kids.counts)
	}
}

// publishedBy is what a gateway publishes: the key IDs, in order.
func publishedBy(t *testing.T, g *gateway.Gateway) []string {
	t.Helper()
	resp := do(t, http.MethodGet, g.URL()+"/keys", nil, "")
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(resp.body), &set); err != nil || resp.status != http.StatusOK {
		t.Fatalf("got %d %q: %v", resp.status, resp.body, err)
	}
	if got := resp.header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("got Cache-Control %q, want public, max-age=300", got)
	}
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, fmt.Sprint(key["kid"]))
		if _, there := key["d"]; there {
			t.Error("a private member is published")
		}
	}
	return kids
}
