package keysource

import (
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/fetch"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// Endpoint is a JWK Set of another issuer, at a fixed URL or found by OpenID discovery. It is fetched at first need and
// refreshed in the background. All middlewares with the same endpoint and client settings share one.
//
// Its times are durations since 1970, like the time that a request is judged at.
type Endpoint struct {
	issuer string // whose keys they are; empty: of no particular issuer
	url    string // empty: discovery
	bearer string // file or content of a token that the endpoint wants; empty: none
	client fetch.Client

	mu          sync.Mutex
	set         *jose.KeySet  // nil: never fetched, or too old
	refreshAt   time.Duration // when a refresh is due …
	age         time.Duration // … which is so long after the last answer
	attempt     chan struct{} // closed when the fetch that is under way has an answer; nil: none is
	isBusy      bool          // a fetch is under way, or pauses before it is repeated
	nextTry     time.Duration // after a failure: no fetch before this
	backoff     time.Duration
	askedAt     time.Duration // when an unknown kid last caused a fetch
	lastErr     string
	isAbandoned bool // nothing has used it for ten minutes

	// What was read last. Only the one fetch that is under way uses these, so they need no lock.
	readText string
	readSet  *jose.KeySet
	readErr  error
}

const (
	minAge       = time.Minute
	maxAge       = 24 * time.Hour
	defaultAge   = 10 * time.Minute
	maxStale     = 24 * time.Hour // beyond the age at which a refresh is due
	minBackoff   = time.Second
	maxBackoff   = 30 * time.Second
	unknownPause = 30 * time.Second
	maxSetBytes  = 1 << 20
)

// NewEndpoint makes an endpoint, and fetches nothing. Without a URL the keys are found by OpenID discovery of the issuer. The
// bearer token (file or content, a file read at each fetch) is sent to the scheme, host and port of that URL or issuer alone, and
// never after a redirect.
func NewEndpoint(issuer, url, bearer string, client fetch.Client) *Endpoint {
	return &Endpoint{issuer: issuer, url: url, bearer: bearer, client: client, askedAt: -unknownPause}
}

// KeysFor returns the keys to verify a token of this kid with. It waits for at most one fetch, which ends within the client's
// timeout. If no keys are known, the set is nil and retryAfter says when to ask again.
func (e *Endpoint) KeysFor(kid string, now time.Duration) (set *jose.KeySet, retryAfter time.Duration) {
	e.mu.Lock()
	e.refreshIfDue(now)
	attempt := e.attempt
	if e.set != nil {
		if kid == "" || e.set.HasKID(kid) {
			attempt = nil
		} else if !e.isBusy && isDue(e.nextTry, now, maxBackoff) && isDue(e.askedAt+unknownPause, now, unknownPause) {
			// There may be a new key. One fetch finds out for all requests with an unknown kid.
			e.startFetch()
			attempt = e.attempt
			e.askedAt = now
		}
	}
	e.mu.Unlock()
	if attempt != nil {
		<-attempt
		now = sinceEpoch(time.Now())
	}
	e.mu.Lock()
	found := e.set
	if attempt != nil && found != nil && kid != "" && !found.HasKID(kid) {
		e.askedAt = now // The kid is still unknown: pause before the next fetch for one.
	}
	wait := e.nextTry - now + time.Second
	e.mu.Unlock()
	return found, wait
}

// Refreshed returns the known keys, nil if there are none, and starts a fetch in the background if they are old.
func (e *Endpoint) Refreshed(now time.Duration) *jose.KeySet {
	e.mu.Lock()
	if e.set != nil {
		e.refreshIfDue(now)
	}
	set := e.set
	e.mu.Unlock()
	return set
}

// Known returns the known keys; nil if there are none.
func (e *Endpoint) Known() *jose.KeySet {
	e.mu.Lock()
	set := e.set
	e.mu.Unlock()
	return set
}

// Abandon ends the repetitions of a failing fetch, once no middleware uses the endpoint.
func (e *Endpoint) Abandon() {
	e.mu.Lock()
	e.isAbandoned = true
	e.mu.Unlock()
}

// refreshIfDue starts a fetch if the keys are missing or old, and drops them after a day without an answer. The caller holds
// the lock.
func (e *Endpoint) refreshIfDue(now time.Duration) {
	if e.set != nil && now >= e.refreshAt+maxStale {
		e.set = nil
		logline.Error("the keys of %s have expired: no refresh succeeded for a day", logline.Quote(e.name()))
	}
	if (e.set == nil || isDue(e.refreshAt, now, e.age)) && !e.isBusy && isDue(e.nextTry, now, maxBackoff) {
		e.startFetch()
	}
}

// isDue says whether a time has come. One that is further away than most says that the clock was set back, and counts as come.
func isDue(at, now, most time.Duration) bool { return now >= at || at-now > most+time.Second }

// startFetch starts a goroutine that fetches the keys, and repeats that if it fails, up to MaxRetries times. The caller holds the lock.
func (e *Endpoint) startFetch() {
	e.isBusy = true
	e.attempt = make(chan struct{})
	// Yaegi: a panic in a goroutine would end Traefik, and only a func literal can recover from it.
	go func() {
		defer func() {
			if r := recover(); r != nil {
				logline.Error("fetching the keys of %s failed: %s", logline.Quote(e.name()), logline.Quote(fmt.Sprint(r)))
				e.settle(nil, 0, errors.New("the fetch ended unexpectedly"), false)
			}
		}()
		for try := 0; ; try++ {
			set, age, err := e.fetch()
			again := err != nil && try < e.client.MaxRetries
			pause := e.settle(set, age, err, again)
			if !again {
				return
			}
			time.Sleep(pause)
			e.mu.Lock()
			isAbandoned := e.isAbandoned
			e.isBusy = !isAbandoned
			if !isAbandoned {
				e.attempt = make(chan struct{})
			}
			e.mu.Unlock()
			if isAbandoned {
				return
			}
		}
	}()
}

// settle records how an attempt ended, and wakes the requests that wait for it. It returns the pause before the next attempt.
func (e *Endpoint) settle(set *jose.KeySet, age time.Duration, err error, again bool) time.Duration {
	now := sinceEpoch(time.Now())
	e.mu.Lock()
	pause := time.Duration(0)
	message := ""
	if err == nil {
		e.set = set
		e.refreshAt = now + age
		e.age = age
		e.backoff = 0
		e.nextTry = 0
	} else {
		message = err.Error()
		e.backoff *= 2
		if e.backoff < minBackoff {
			e.backoff = minBackoff
		}
		if e.backoff > maxBackoff {
			e.backoff = maxBackoff
		}
		pause = e.backoff
		e.nextTry = now + pause
	}
	isNew := message != e.lastErr
	e.lastErr = message
	e.isBusy = again
	attempt := e.attempt
	e.attempt = nil
	if attempt != nil {
		close(attempt)
	}
	e.mu.Unlock()
	if isNew && message != "" {
		logline.Error("the keys of %s cannot be fetched: %s", logline.Quote(e.name()), message)
	} else if isNew {
		logline.Debug("the keys of %s are fetched again", logline.Quote(e.name()))
	}
	return pause
}

// name is what the log calls the endpoint.
func (e *Endpoint) name() string {
	name := e.issuer
	if name == "" {
		name = e.url
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return name // An issuer need not be a URL.
	}
	return fetch.ShownURL(u)
}

func sinceEpoch(t time.Time) time.Duration { return time.Duration(t.UnixNano()) }
