package slidingjwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// These tests are native only: what they show takes a minute, half a minute, ten minutes or a day, so they hand
// the functions a clock or set what these remember. The same rules run interpreted in keyurl_test.go, as far as
// they show within seconds, and in demo/, as far as they do within a minute.

// endpoint is a key endpoint with one key, which can change or fail.
type endpoint struct {
	*httptest.Server
	fetches atomic.Int64
	keys    atomic.Value // string; empty: 500
}

func newEndpoint(t *testing.T, keys string) (*endpoint, *keyURL) {
	t.Helper()
	e := &endpoint{}
	e.keys.Store(keys)
	e.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		e.fetches.Add(1)
		if e.keys.Load() == "" {
			rw.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(rw, e.keys.Load().(string))
	}))
	t.Cleanup(e.Close)
	return e, &keyURL{url: e.URL, client: ClientConfig{TimeoutSeconds: 1}, unknownAt: -unknownPause}
}

// wantFetches waits until no fetch is under way, and compares their number.
func wantFetches(t *testing.T, when string, e *endpoint, k *keyURL, want int64) {
	t.Helper()
	for range 1000 {
		k.mu.Lock()
		busy := k.busy
		k.mu.Unlock()
		if !busy {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := e.fetches.Load(); got != want {
		t.Errorf("%s: got %d fetches, want %d", when, got, want)
	}
}

func newPair(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func keysOf(t *testing.T, kid string, pair *ecdsa.PrivateKey) string {
	t.Helper()
	k, err := newPublic(&pair.PublicKey, kid)
	if err != nil {
		t.Fatal(err)
	}
	return string(jwkSet([]*key{k}))
}

func TestFreshFor(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  float64
	}{
		{nil, 600},
		{[]string{"public"}, 600},
		{[]string{"no-store"}, 600},
		{[]string{"max-age"}, 600},
		{[]string{"max-age=x"}, 600},
		{[]string{"max-age=0"}, 60},
		{[]string{"max-age=-1"}, 60},
		{[]string{"max-age=59"}, 60},
		{[]string{"max-age=60"}, 60},
		{[]string{"max-age=61"}, 61},
		{[]string{"public, Max-Age=300, must-revalidate"}, 300},
		{[]string{`max-age="300"`}, 300},
		{[]string{"public", "max-age=300"}, 300},
		{[]string{"s-maxage=70,max-age=300"}, 300},
		{[]string{"max-age=86399"}, 86399},
		{[]string{"max-age=86401"}, 86400},
		{[]string{"max-age=99999999999999999999"}, 86400},
	} {
		if got := freshFor(http.Header{"Cache-Control": test.lines}); got != test.want {
			t.Errorf("%q: got %v, want %v", test.lines, got, test.want)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     string
	}{
		{"http://a/x", "http://a/y", ""},
		{"https://a/x", "https://A:443/y", ""},
		{"http://a/x", "http://b/x", "another host"},
		{"http://a/x", "http://a:81/x", "another host"},
		{"http://a/x", "https://a/x", "another host or port"},
		{"https://a/x", "http://a/x", "another host or port"},
		{"https://a:80/x", "http://a:80/x", "from https to http"},
		{"https://a/x", "file://a/x", "another host"},
	} {
		to, err := url.Parse(test.to)
		if err != nil {
			t.Fatal(err)
		}
		from, err := url.Parse(test.from)
		if err != nil {
			t.Fatal(err)
		}
		err = checkRedirect(&http.Request{URL: to}, []*http.Request{{URL: from}})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s to %s: got %v, want %q", test.from, test.to, err, test.want)
		}
	}
}

// Keys are refreshed when they are old, serve for a day more if nobody answers, and count no longer after it.
func TestKeysThroughOutage(t *testing.T) {
	e, k := newEndpoint(t, keysOf(t, "a", newPair(t)))
	now := seconds(time.Now())
	first, _ := keysFor(k, "a", now)
	if first == nil {
		t.Fatal("got no keys")
	}
	stale := k.staleAt
	if stale < now+599 || stale > now+610 {
		t.Errorf("due in %v s, want 600", stale-now)
	}
	wantFetches(t, "at first need", e, k, 1)
	keysFor(k, "a", stale-1)
	wantFetches(t, "while they are fresh", e, k, 1)

	e.keys.Store("")
	tries := int64(1)
	for _, at := range []float64{stale, stale + 3600, stale + maxStale - 1} {
		tries++
		k.nextTry = 0
		start := time.Now()
		if set, _ := keysFor(k, "a", at); set != first {
			t.Errorf("%v s after they are due: got other keys, want the known ones", at-stale)
		}
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("waited for %s, want none", took)
		}
		wantFetches(t, "in the outage", e, k, tries)
		keysFor(k, "a", seconds(time.Now()))
		wantFetches(t, "before the next attempt", e, k, tries)
	}
	k.nextTry = 0
	set, retryAfter := keysFor(k, "a", stale+maxStale)
	if set != nil || retryAfter < 1 || retryAfter > 30 {
		t.Errorf("a day after they are due: got %v and %d, want no keys, and when to ask again", set, retryAfter)
	}
	wantFetches(t, "without keys", e, k, tries+1)

	e.keys.Store(keysOf(t, "b", newPair(t)))
	k.nextTry = 0
	if set, _ := keysFor(k, "b", stale+maxStale); set == nil || !set.kids["b"] {
		t.Error("after the outage: got no keys")
	}
}

// A clock that is set back by an hour holds up no fetch: a machine may start with a wrong one, and no network.
func TestClockSetBack(t *testing.T) {
	e, k := newEndpoint(t, "")
	now := seconds(time.Now())
	if set, _ := keysFor(k, "a", now); set != nil {
		t.Fatal("got keys, want none")
	}
	e.keys.Store(keysOf(t, "a", newPair(t)))
	set, _ := keysFor(k, "a", now-3600)
	if set == nil {
		t.Error("got no keys after the clock was set back")
	}
	wantFetches(t, "after a failure", e, k, 2)
	k.unknownAt = now
	keysFor(k, "x", now-3600)
	wantFetches(t, "an unknown kid", e, k, 3)
	keysFor(k, "a", now-3600)
	wantFetches(t, "a refresh", e, k, 4)
}

// The pauses between failed attempts double, and an answer ends them.
func TestBackoff(t *testing.T) {
	k := &keyURL{url: "https://keys.example"}
	for _, want := range []float64{1, 2, 4, 8, 16, 30, 30, 30} {
		if got := settle(k, nil, 0, errors.New("no answer"), false); got != want {
			t.Errorf("got a pause of %v s, want %v", got, want)
		}
		if left := k.nextTry - seconds(time.Now()); left < want-1 || left > want {
			t.Errorf("the next attempt is in %v s, want %v", left, want)
		}
	}
	settle(k, newKeySet(nil), 60, nil, false)
	if got := settle(k, nil, 0, errors.New("no answer"), false); got != 1 {
		t.Errorf("after an answer: got a pause of %v s, want 1", got)
	}
}

// The pause counts from the fetch's start, so that nobody can start another one just after its end.
func TestUnknownPauseFromTheStart(t *testing.T) {
	keys := keysOf(t, "a", newPair(t))
	_, k := newEndpoint(t, keys)
	now := seconds(time.Now())
	keysFor(k, "", now)
	underWay, answer := make(chan bool), make(chan bool)
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		underWay <- true
		<-answer
		_, _ = io.WriteString(rw, keys)
	}))
	t.Cleanup(slow.Close)
	k.url = slow.URL
	done := make(chan bool)
	go func() { keysFor(k, "x", now); close(done) }()
	<-underWay
	k.mu.Lock()
	got := k.unknownAt
	k.mu.Unlock()
	close(answer)
	<-done
	if got != now {
		t.Errorf("while the fetch is under way: got a pause from %v on, want from %v on", got, now)
	}
}

// An unknown kid causes a fetch, and then none for 30 s; the key that was rotated in meanwhile is found after them.
func TestUnknownPause(t *testing.T) {
	e, k := newEndpoint(t, keysOf(t, "a", newPair(t)))
	now := seconds(time.Now())
	keysFor(k, "", now)
	keysFor(k, "x", now)
	wantFetches(t, "the first unknown kid", e, k, 2)
	e.keys.Store(keysOf(t, "b", newPair(t)))
	keysFor(k, "b", now+29)
	wantFetches(t, "29 s later", e, k, 2)
	set, _ := keysFor(k, "b", now+32)
	wantFetches(t, "32 s later", e, k, 3)
	if !set.kids["b"] {
		t.Error("the key that was rotated in is not known")
	}
	keysFor(k, "c", now+60)
	wantFetches(t, "another unknown kid, 28 s after one that was found", e, k, 3)
	keysFor(k, "c", now+63)
	wantFetches(t, "31 s after it", e, k, 4)
}

// A key that left the set counts no more from the next refresh on, for remembered tokens as well.
func TestWithdrawnKey(t *testing.T) {
	first, second := newPair(t), newPair(t)
	e, _ := newEndpoint(t, keysOf(t, "a", first))
	c := CreateConfig()
	c.JWKSURL = e.URL
	handler, err := New(context.Background(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), c, "test")
	if err != nil {
		t.Fatal(err)
	}
	signed := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "ada", "exp": time.Now().Unix() + 3600})
	signed.Header["kid"] = "a"
	token, err := signed.SignedString(first)
	if err != nil {
		t.Fatal(err)
	}
	status := func() int {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		return rec.Code
	}
	if got := status(); got != http.StatusOK {
		t.Fatalf("got %d, want 200", got)
	}
	registry.mu.Lock()
	var k *keyURL
	for _, shared := range registry.endpoints {
		if shared.url == e.URL {
			k = shared
		}
	}
	registry.mu.Unlock()

	e.keys.Store(keysOf(t, "b", second))
	if got := status(); got != http.StatusOK {
		t.Errorf("before the refresh: got %d, want 200", got)
	}
	k.mu.Lock()
	k.staleAt = 0
	k.mu.Unlock()
	deadline := time.Now().Add(5 * time.Second)
	for status() == http.StatusOK && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("after the refresh: got %d, want 401", got)
	}
	wantFetches(t, "a remembered token counts as a need", e, k, 3) // The last is for its kid, which is unknown now.
}

// What is shared is dropped once it has not been in use for ten minutes, and not before.
func TestSweep(t *testing.T) {
	c := CreateConfig()
	c.JWKSURL = "https://swept.example"
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := sharedSettings(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	isKept := func(at int64) bool {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		registry.nextSweep = 0
		sweep(at)
		registry.nextSweep = 0
		settingsKept, endpointKept := false, false
		for _, shared := range registry.settings {
			settingsKept = settingsKept || shared.settings == s
		}
		for _, shared := range registry.endpoints {
			endpointKept = endpointKept || shared == s.others
		}
		if settingsKept != endpointKept {
			t.Errorf("settings kept: %t, endpoint kept: %t, want the same", settingsKept, endpointKept)
		}
		return settingsKept
	}
	if !isKept(now + 3600) {
		t.Error("dropped while in use")
	}
	cancel()
	if !isKept(now+3600) || !isKept(now+3600+keptIdle-1) {
		t.Error("dropped before ten minutes")
	}
	// A reload brings it back.
	again, err := sharedSettings(context.Background(), c)
	if err != nil || again != s {
		t.Errorf("got other settings (%v), want the same", err)
	}
	if !isKept(now + 3600 + keptIdle + 1) {
		t.Error("dropped after it was used again")
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := sharedSettings(ended, c); err != nil {
		t.Fatal(err)
	}
	if isKept(now+10_000) && isKept(now+10_000+keptIdle) {
		t.Error("kept after ten minutes")
	}
	if !s.others.dropped {
		t.Error("its fetch would go on")
	}
}
