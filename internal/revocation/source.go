package revocation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/fetch"
	"github.com/slidingjwt/slidingjwt/internal/file"
	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// Source is where a list is from: a file, or an endpoint. What was read last stays in use until something that is right takes its
// place, for however long. It is shared by every middleware with the same list.
//
// Its times are since 1970, as the requests' clock shows them.
type Source struct {
	file    *file.File // nil: it is an endpoint
	looking sync.Mutex // held by the one request that looks at the file

	url    string
	client fetch.Client

	mu        sync.Mutex
	list      *List // nil: none was read yet
	lastErr   string
	attempt   chan struct{} // closed when the fetch that is under way has ended; nil: none is
	refreshAt time.Duration // when a refresh is due …
	age       time.Duration // … which is that long after the answer
	nextTry   time.Duration // not before, after a failure
	backoff   time.Duration

	// The answer that the list is from. It is the one fetch's that is under way, and needs no lock.
	readText string
	etag     string
	read     *List
}

const (
	minAge     = 5 * time.Second
	maxAge     = time.Hour
	defaultAge = 10 * time.Second
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// Check accepts what can be the place of a list: a path, or an absolute http(s) URL.
func Check(place string) error {
	if file.IsPath(place) {
		return nil
	}
	if err := fetch.CheckURL(place); err != nil {
		return fmt.Errorf("%w (a file is a path that begins with /, ./ or ../)", err)
	}
	return nil
}

// NewSource makes the source of a list at a place that Check accepts. It reads and fetches nothing.
func NewSource(place string, client fetch.Client) *Source {
	if file.IsPath(place) {
		return &Source{file: &file.File{Path: place, MaxBytes: MaxBytes}}
	}
	return &Source{url: place, client: client}
}

// Look reads the file if it has changed, or has the endpoint asked in the background if its answer is old, and returns the list
// that is known; nil if none is. One request looks at the file at a time; the others go on with what is known.
func (s *Source) Look(now time.Duration) *List {
	if s.file != nil && s.looking.TryLock() {
		s.readFile()
		s.looking.Unlock()
	}
	s.mu.Lock()
	s.refreshIfDue(now)
	list := s.list
	s.mu.Unlock()
	return list
}

// Wait returns the list. If none is known it waits for a fetch, once, and a fetch ends within the client's timeout. Without any
// list it returns when to ask again.
func (s *Source) Wait(now time.Duration) (list *List, retryAfter time.Duration) {
	s.mu.Lock()
	found := s.list
	var attempt chan struct{}
	if found == nil {
		s.refreshIfDue(now)
		attempt = s.attempt
	}
	wait := s.nextTry - now + time.Second
	s.mu.Unlock()
	if attempt == nil {
		return found, wait
	}
	<-attempt
	s.mu.Lock()
	found = s.list
	wait = s.nextTry - sinceEpoch(time.Now()) + time.Second
	s.mu.Unlock()
	return found, wait
}

// readFile reads the file if it has changed. A file of which only a part is written yet is no list, and leaves the one that is
// known in use.
func (s *Source) readFile() {
	text, changed, err := s.file.Read(time.Now())
	if err == nil && !changed {
		return
	}
	var list *List
	if err == nil {
		list, err = Parse([]byte(text))
	}
	if err != nil {
		s.mu.Lock()
		s.report(err.Error())
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	s.list = list
	s.report("")
	s.mu.Unlock()
}

// refreshIfDue starts a fetch if there is no list or it is old. The caller holds the lock.
func (s *Source) refreshIfDue(now time.Duration) {
	if s.file == nil && s.attempt == nil && (s.list == nil || isDue(s.refreshAt, now, s.age)) && isDue(s.nextTry, now, maxBackoff) {
		s.startFetch()
	}
}

// isDue says whether a time has come, or is further away than it can be: then the clock was set back.
func isDue(at, now, most time.Duration) bool { return now >= at || at-now > most+time.Second }

// startFetch starts a fetch, with which its goroutine ends. One that fails is repeated on a later request, and not by itself: what
// is asked for every few seconds needs no repetitions in between. The caller holds the lock.
func (s *Source) startFetch() {
	s.attempt = make(chan struct{})
	// Yaegi: a panic in a goroutine would end Traefik, and only a func literal can recover from it.
	go func() {
		defer func() {
			if r := recover(); r != nil {
				s.settle(nil, 0, errors.New("the fetch broke off: "+logline.Quote(fmt.Sprint(r))))
			}
		}()
		list, age, err := s.fetch()
		if err != nil {
			s.etag = "" // What was wrong may be the tag.
		}
		s.settle(list, age, err)
	}()
}

// settle records how a fetch ended and lets those go on that wait for it.
func (s *Source) settle(list *List, age time.Duration, err error) {
	now := sinceEpoch(time.Now())
	message := ""
	s.mu.Lock()
	if err == nil {
		s.list = list
		s.refreshAt = now + age
		s.age = age
		s.backoff = 0
		s.nextTry = 0
	} else {
		message = err.Error()
		s.backoff *= 2
		if s.backoff < minBackoff {
			s.backoff = minBackoff
		}
		if s.backoff > maxBackoff {
			s.backoff = maxBackoff
		}
		s.nextTry = now + s.backoff
	}
	s.report(message)
	attempt := s.attempt
	s.attempt = nil
	if attempt != nil {
		close(attempt)
	}
	s.mu.Unlock()
}

// report logs why the list cannot be read, once for each reason, and that it can again (""). The caller holds the lock.
func (s *Source) report(message string) {
	isNew := message != s.lastErr
	s.lastErr = message
	if !isNew {
		return
	}
	if message == "" {
		logline.Debug("the revocations of %s are read again", s.name())
		return
	}
	logline.Error("the revocations of %s cannot be read: %s", s.name(), message)
}

// name is what the log calls the source.
func (s *Source) name() string {
	if s.file != nil {
		return logline.Quote(s.file.Path)
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return "a malformed URL"
	}
	return logline.Quote(fetch.ShownURL(u))
}

// fetch asks the endpoint, and returns the list and for how long it is fresh. An answer that says what the last one said leaves
// the very same list, so that remembered tokens need not be looked up again.
func (s *Source) fetch() (*List, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.client.Timeout)
	defer func() { cancel() }()
	header := http.Header{"Accept": {"application/json"}}
	if s.etag != "" {
		header["If-None-Match"] = []string{s.etag}
	}
	answer, err := fetch.Do(ctx, s.client, fetch.Request{
		Method: http.MethodGet, URL: s.url, Header: header, FollowsRedirects: true, MaxBytes: MaxBytes,
	})
	if err != nil {
		return nil, 0, err
	}
	age := fetch.FreshFor(answer.Header, minAge, maxAge, defaultAge)
	if answer.Status == http.StatusNotModified && s.etag != "" {
		return s.read, age, nil
	}
	if answer.Status != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %d", answer.Status)
	}
	if s.read == nil || answer.Text != s.readText {
		list, err := Parse([]byte(answer.Text))
		if err != nil {
			return nil, 0, err
		}
		s.read = list
		s.readText = answer.Text
	}
	s.etag = answer.Header.Get("ETag")
	return s.read, age, nil
}

func sinceEpoch(t time.Time) time.Duration { return time.Duration(t.UnixNano()) }
