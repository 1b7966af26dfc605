package keysource

import (
	"crypto"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/fetch"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// These tests are native only: what they show takes half a minute, ten minutes or a day, so they hand the functions a clock or
// set what these remember. The tests of the middleware run the same rules interpreted, as far as they show within seconds.

// newEndpoint is an endpoint at a server, whose client waits for as long as a slow machine may take.
func newEndpoint(url string) *Endpoint {
	return NewEndpoint("", url, "", fetch.Client{Timeout: time.Minute})
}

// keySet is a JWK Set of one key.
func keySet(t testing.TB, kid string, key crypto.Signer) string {
	t.Helper()
	return minted.JWKSet(t, minted.NamedJWK(t, kid, key))
}

func now() time.Duration { return sinceEpoch(time.Now()) }

// settled waits until no fetch is under way.
func settled(t testing.TB, e *Endpoint) {
	t.Helper()
	for range 10_000 {
		e.mu.Lock()
		isBusy := e.isBusy
		e.mu.Unlock()
		if !isBusy {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("a fetch does not end")
}

// wantFetches waits until no fetch is under way, and compares their number.
func wantFetches(t testing.TB, when string, server *minted.KeyServer, e *Endpoint, want int64) {
	t.Helper()
	settled(t, e)
	if got := server.Fetches(); got != want {
		t.Errorf("%s: got %d fetches, want %d", when, got, want)
	}
}

// forgetFailure makes the next attempt due, whenever the last one failed.
func forgetFailure(e *Endpoint) {
	e.mu.Lock()
	e.nextTry = 0
	e.mu.Unlock()
}

// Keys are refreshed when they are old, serve for a day more if nobody answers, and have expired after it.
func TestKeysThroughOutage(t *testing.T) {
	server := minted.Serving(t, keySet(t, "a", minted.Key(t, "P-256")))
	e := newEndpoint(server.URL)
	start := now()
	first, _ := e.KeysFor("a", start)
	if first == nil {
		t.Fatal("got no keys")
	}
	due := e.refreshAt
	if due < start+defaultAge || due > now()+defaultAge {
		t.Errorf("got a refresh due in %s, want %s", due-start, defaultAge)
	}
	wantFetches(t, "at first need", server, e, 1)
	e.KeysFor("a", due-time.Second)
	e.Refreshed(due - time.Second)
	wantFetches(t, "while they are fresh", server, e, 1)

	answer := make(chan bool)
	server.Answer(func(rw http.ResponseWriter, _ *http.Request) {
		<-answer
		rw.WriteHeader(http.StatusInternalServerError)
	})
	fetches := int64(1)
	for _, at := range []time.Duration{due, due + time.Hour, due + maxStale - 1} {
		fetches++
		forgetFailure(e)
		set, _ := e.KeysFor("a", at)
		e.mu.Lock()
		isBusy := e.isBusy
		e.mu.Unlock()
		if set != first || !isBusy {
			t.Errorf("%s after they are due: got other keys, or waited for the fetch", at-due)
		}
		answer <- true
		wantFetches(t, "in the outage", server, e, fetches)
		e.nextTry = at + maxBackoff
		e.KeysFor("a", at+maxBackoff-1)
		wantFetches(t, "before the next attempt", server, e, fetches)
	}
	close(answer)
	forgetFailure(e)
	set, retryAfter := e.KeysFor("a", due+maxStale)
	if set != nil || retryAfter < minBackoff || retryAfter > maxBackoff+time.Second || e.Known() != nil {
		t.Errorf("a day after they are due: got %v and %s, want no keys, and when to ask again", set, retryAfter)
	}
	wantFetches(t, "without keys", server, e, fetches+1)

	server.Answer(minted.Says(keySet(t, "b", minted.Key(t, "P-256 of a stranger"))))
	forgetFailure(e)
	if set, _ := e.KeysFor("b", due+maxStale); set == nil || !set.HasKID("b") {
		t.Error("after the outage: got no keys")
	}
}

// Nothing is fetched for keys that nobody has needed yet.
func TestRefreshedFetchesNothingFirst(t *testing.T) {
	server := minted.Serving(t, keySet(t, "a", minted.Key(t, "P-256")))
	e := newEndpoint(server.URL)
	if set := e.Refreshed(now()); set != nil || e.Known() != nil {
		t.Errorf("got %v, want no keys", set)
	}
	wantFetches(t, "before first need", server, e, 0)
	e.KeysFor("", now())
	if set := e.Refreshed(now() + maxAge); set == nil {
		t.Error("got no keys, want those that are known")
	}
	wantFetches(t, "once they are old", server, e, 2)
}

// A clock that is set back by an hour holds up no fetch: a machine may start with a wrong one, and no network.
func TestClockSetBack(t *testing.T) {
	server := minted.NewKeyServer(t, http.NotFound)
	server.Start()
	e := newEndpoint(server.URL)
	start := now()
	if set, _ := e.KeysFor("a", start); set != nil {
		t.Fatal("got keys, want none")
	}
	server.Answer(minted.Says(keySet(t, "a", minted.Key(t, "P-256"))))
	if set, _ := e.KeysFor("a", start-time.Hour); set == nil {
		t.Error("got no keys after the clock was set back")
	}
	wantFetches(t, "after a failure", server, e, 2)
	e.askedAt = start
	e.refreshAt = start - time.Hour + minAge // No refresh is due.
	e.KeysFor("x", start-time.Hour)
	wantFetches(t, "an unknown kid", server, e, 3)
	e.KeysFor("a", start-time.Hour)
	wantFetches(t, "a refresh", server, e, 4)
}

// The pauses between failed attempts double, and an answer ends them.
func TestBackoff(t *testing.T) {
	e := newEndpoint("https://keys.example")
	failed := errors.New("no answer")
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		want *= time.Second
		before := now()
		got := e.settle(nil, 0, failed, false)
		if got != want || e.nextTry < before+want || e.nextTry > now()+want {
			t.Errorf("got a pause of %s, and the next attempt in %s, want %s", got, e.nextTry-before, want)
		}
	}
	if got := e.settle(jose.NewKeySet(nil), minAge, nil, false); got != 0 || e.nextTry != 0 {
		t.Errorf("after an answer: got a pause of %s, want none", got)
	}
	if got := e.settle(nil, 0, failed, false); got != minBackoff {
		t.Errorf("after a failure behind an answer: got a pause of %s, want %s", got, minBackoff)
	}
}

// A failed fetch is not repeated per request: whoever comes before the next attempt is due is told when to come again.
func TestNoFetchPerRequest(t *testing.T) {
	server := minted.NewKeyServer(t, http.NotFound)
	server.Start()
	e := newEndpoint(server.URL)
	for range 20 {
		at := now()
		e.mu.Lock()
		if e.nextTry != 0 {
			at = e.nextTry - 1
		}
		e.mu.Unlock()
		if set, retryAfter := e.KeysFor("a", at); set != nil || retryAfter < time.Second {
			t.Errorf("got %v and %s, want no keys, and when to ask again", set, retryAfter)
		}
	}
	wantFetches(t, "before the next attempt is due", server, e, 1)
	e.KeysFor("a", e.nextTry)
	wantFetches(t, "when it is due", server, e, 2)
}

// The pause counts from the fetch's start, so that nobody can start another one just after its end.
func TestUnknownPauseFromTheStart(t *testing.T) {
	keys := keySet(t, "a", minted.Key(t, "P-256"))
	server := minted.Serving(t, keys)
	e := newEndpoint(server.URL)
	start := now()
	e.KeysFor("", start)
	underWay, answer := make(chan bool), make(chan bool)
	server.Answer(func(rw http.ResponseWriter, _ *http.Request) {
		underWay <- true
		<-answer
		_, _ = io.WriteString(rw, keys)
	})
	done := make(chan bool)
	go func() { e.KeysFor("x", start); close(done) }()
	<-underWay
	e.mu.Lock()
	got := e.askedAt
	e.mu.Unlock()
	close(answer)
	<-done
	if got != start {
		t.Errorf("while the fetch is under way: got a pause from %s on, want from %s on", got, start)
	}
}

// An unknown kid causes a fetch, and then none for 30 s; the key that was rotated in meanwhile is found after them.
func TestUnknownPause(t *testing.T) {
	server := minted.Serving(t, keySet(t, "a", minted.Key(t, "P-256")))
	e := newEndpoint(server.URL)
	start := now()
	e.KeysFor("", start)
	e.KeysFor("x", start)
	wantFetches(t, "the first unknown kid", server, e, 2)
	server.Answer(minted.Says(keySet(t, "b", minted.Key(t, "P-256 of a stranger"))))
	// The pause is counted from here, whenever that fetch ended.
	e.askedAt = start
	if set, _ := e.KeysFor("b", start+unknownPause-1); set.HasKID("b") {
		t.Error("got the key that was rotated in, before the pause ended")
	}
	wantFetches(t, "just before the pause ends", server, e, 2)
	set, _ := e.KeysFor("b", start+unknownPause)
	wantFetches(t, "when it ends", server, e, 3)
	if !set.HasKID("b") {
		t.Error("the key that was rotated in is not known")
	}
	e.KeysFor("c", start+2*unknownPause-1)
	wantFetches(t, "another unknown kid, before the pause after one that was found ends", server, e, 3)
	e.KeysFor("c", start+2*unknownPause)
	wantFetches(t, "when it ends", server, e, 4)
	for range 10 {
		e.KeysFor("b", start+10*unknownPause)
		e.KeysFor("", start+10*unknownPause)
	}
	wantFetches(t, "kids that are known, and none", server, e, 4)
}

// The same answer gives the same keys, so a remembered token keeps its own; what is left out of it is logged once.
func TestSameAnswer(t *testing.T) {
	server := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "a", minted.Key(t, "P-256"))))
	e := newEndpoint(server.URL)
	first, _ := e.KeysFor("a", now())
	for range 3 {
		e.Refreshed(now() + maxAge)
		settled(t, e)
		if e.Known() != first {
			t.Error("got other keys of the same answer")
		}
	}
	server.Answer(minted.Says(keySet(t, "b", minted.Key(t, "P-256"))))
	e.Refreshed(now() + maxAge)
	settled(t, e)
	if e.Known() == first || e.Known().HasKID("a") {
		t.Error("got the same keys of another answer")
	}
}

// A fetch that nobody waits for is not repeated.
func TestAbandon(t *testing.T) {
	server := minted.NewKeyServer(t, http.NotFound)
	server.Start()
	e := NewEndpoint("", server.URL, "", fetch.Client{Timeout: time.Second, MaxRetries: 100})
	e.KeysFor("a", now())
	e.Abandon()
	wantFetches(t, "abandoned after the first attempt", server, e, 1)
}

// What the log calls an endpoint holds no query of a URL, which may be a secret.
func TestEndpointName(t *testing.T) {
	tests := []struct{ issuer, url, want string }{
		{"", "https://keys.example/jwks?key=secret", "https://keys.example/jwks"},
		{"https://issuer.example/realm", "", "https://issuer.example/realm"},
		{"https://issuer.example/realm?key=secret", "https://keys.example", "https://issuer.example/realm"},
		{"issuer", "https://keys.example", "issuer"},
		{"%zz", "https://keys.example", "%zz"},
	}
	for _, test := range tests {
		if got := NewEndpoint(test.issuer, test.url, "", fetch.Client{}).name(); got != test.want {
			t.Errorf("%q, %q: got %q, want %q", test.issuer, test.url, got, test.want)
		}
	}
}

func TestKeySetURL(t *testing.T) {
	const issuer = "https://issuer.example"
	tests := []struct{ document, want, problem string }{
		{`{"issuer":"https://issuer.example","jwks_uri":"https://keys.example/jwks"}`, "https://keys.example/jwks", ""},
		{`{"issuer":"https://issuer.example/","jwks_uri":"https://keys.example/jwks"}`, "", "names another issuer"},
		{`{"issuer":null,"jwks_uri":"https://keys.example/jwks"}`, "", "names another issuer"},
		{`{"jwks_uri":"https://keys.example/jwks"}`, "", "names another issuer"},
		{`{"issuer":"https://issuer.example"}`, "", "jwks_uri"},
		{`{"issuer":"https://issuer.example","jwks_uri":"http://keys.example/jwks"}`, "", "from https to http"},
		{`{"issuer":"https://issuer.example","jwks_uri":"/jwks"}`, "", "jwks_uri"},
		{`{"issuer":"https://issuer.example","jwks_uri":"file:///etc/passwd"}`, "", "jwks_uri"},
		{`{"issuer":"https://issuer.example","jwks_uri":["https://keys.example/jwks"]}`, "", "jwks_uri"},
		{`{"issuer":"https://eve.example","issuer":"https://issuer.example","jwks_uri":"https://keys.example/jwks"}`, "", "not a JSON object"},
		{`[]`, "", "not a JSON object"},
	}
	for _, test := range tests {
		got, err := keySetURL(issuer, test.document)
		if got != test.want || (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %q and %v, want %q and %q", test.document, got, err, test.want, test.problem)
		}
	}
}
