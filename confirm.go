package slidingjwt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/fetch"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// confirmSettings are renew.confirm; without a URL it is off.
type confirmSettings struct {
	url    string
	name   string // what the log calls it
	client fetch.Client
}

// validateConfirm checks the URL that is asked before a renewal.
func validateConfirm(p *problems, c *Config) confirmSettings {
	if c.Renew.Confirm == "" {
		return confirmSettings{}
	}
	if err := fetch.CheckURL(c.Renew.Confirm); err != nil {
		p.add("renew.confirm: %w", err)
		return confirmSettings{}
	}
	s := confirmSettings{url: c.Renew.Confirm}
	u, err := url.Parse(c.Renew.Confirm)
	if err == nil {
		s.name = logline.Quote(fetch.ShownURL(u))
	}
	s.client = clientOf(c.ClientConfig)
	return s
}

// validateUnless returns the request header that keeps a request from renewing, in its canonical form; empty if there is none.
func validateUnless(p *problems, c *Config) string {
	name := c.Renew.Unless
	if name == "" {
		return ""
	}
	header := headerName(p, "renew.unless", name)
	if c.HeaderName != "" && request.Normalize(name) == request.Normalize(c.HeaderName) {
		p.add("renew.unless: %q is also headerName", name)
	}
	if c.Renew.Header != "" && request.Normalize(name) == request.Normalize(c.Renew.Header) {
		p.add("renew.unless: %q is also renew.header", name)
	}
	for other := range c.ForwardHeaders {
		if request.Normalize(name) == request.Normalize(other) {
			p.add("renew.unless: %q is also in forwardHeaders", name)
		}
	}
	return header
}

// confirmation is what was said of one token: whether its session may go on.
type confirmation struct {
	done chan struct{} // closed once it is decided; nothing changes then

	verdict   int
	claims    string // the renewed token's, as a JSON object; empty: the presented token's
	isDecided bool
	decidedAt time.Time // by the monotonic clock: one that is set back brings nobody back in
}

// What may be said.
const (
	notNow = iota // There was no answer, so nothing is renewed for now.
	goesOn
	isOver
)

// confirmations are those of the last seconds, by token, and those that are under way. A request waits for its own token's alone,
// and no lock is held meanwhile.
type confirmations struct {
	confirmSettings

	mu      sync.Mutex
	byToken map[string]*confirmation
	queue   []decided // oldest first, from head on
	head    int
	weight  int // bytes held, about

	lastErr    string
	isFailing  bool
	reportedAt time.Time
}

type decided struct {
	token string
	is    *confirmation
}

const (
	confirmationKept  = 10 * time.Second
	maxConfirmations  = 8 << 20  // bytes of those that are kept, about
	confirmationBytes = 200      // that one takes beside its texts
	maxAnswerBytes    = 64 << 10 // Claims that fit a token are a tenth of it.
	reportEvery       = time.Minute
)

// newConfirmations returns nil if nobody is asked.
func newConfirmations(s confirmSettings) *confirmations {
	if s.url == "" {
		return nil
	}
	return &confirmations{confirmSettings: s, byToken: map[string]*confirmation{}}
}

// confirm returns whether the session of a token may go on. The first request asks, and those that come meanwhile wait for its
// answer; for ten seconds the answer then counts.
func confirm(all *confirmations, token string) *confirmation {
	all.mu.Lock()
	c := all.byToken[token]
	asks := c == nil || c.isDecided && time.Since(c.decidedAt) >= confirmationKept
	if asks {
		c = &confirmation{done: make(chan struct{})}
		all.byToken[token] = c
	}
	all.mu.Unlock()
	if asks {
		askWhether(all, token, c)
		return c
	}
	<-c.done
	return c
}

// hasEnded says whether the session of a token was said to be over within the last ten seconds.
func hasEnded(all *confirmations, token string) bool {
	all.mu.Lock()
	c := all.byToken[token]
	ended := c != nil && c.isDecided && c.verdict == isOver && time.Since(c.decidedAt) < confirmationKept
	all.mu.Unlock()
	return ended
}

// askWhether asks once, and lets those go on that wait. It goes to its end even if the client of this request is gone.
func askWhether(all *confirmations, token string, c *confirmation) {
	verdict, granted := notNow, ""
	defer func() { settle(all, token, c, verdict, granted) }() // Even if it breaks off: others wait.
	ctx, cancel := context.WithTimeout(context.Background(), all.client.Timeout)
	defer func() { cancel() }()
	payload, err := payloadOf(token)
	if err != nil {
		return
	}
	answer, err := fetch.Do(ctx, all.client, fetch.Request{
		Method: http.MethodPost, URL: all.url, Body: string(payload), MaxBytes: maxAnswerBytes,
		Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}},
	})
	status := answer.Status
	if err == nil && status == http.StatusOK {
		granted, err = mergeClaims(payload, answer.Text)
	} else if err == nil && status != http.StatusNoContent && !isNo(status) {
		err = fmt.Errorf("the answer is %d", status)
	}
	report(all, err)
	if err != nil {
		return
	}
	verdict = goesOn
	if isNo(status) {
		verdict = isOver
	}
}

// isNo says whether a status says that the session is over.
func isNo(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusGone
}

// settle records an answer, makes room, and lets those go on that wait.
func settle(all *confirmations, token string, c *confirmation, verdict int, granted string) {
	now := time.Now()
	kept := strings.Clone(token) // It is part of a request's text.
	all.mu.Lock()
	c.verdict = verdict
	c.claims = granted
	c.decidedAt = now
	c.isDecided = true
	all.queue = append(all.queue, decided{token: kept, is: c})
	all.weight += weightOf(kept, c)
	dropOldest(all, now)
	all.mu.Unlock()
	close(c.done)
}

// dropOldest drops what counts no more, and what there is no room for: a few at a time, since nobody can look up anything meanwhile.
// The caller holds the lock.
func dropOldest(all *confirmations, now time.Time) {
	for i := 0; i < maxForgotten && all.head < len(all.queue)-1; i++ {
		oldest := all.queue[all.head]
		if all.weight <= maxConfirmations && now.Sub(oldest.is.decidedAt) < confirmationKept {
			break
		}
		if all.byToken[oldest.token] == oldest.is {
			delete(all.byToken, oldest.token)
		}
		all.weight -= weightOf(oldest.token, oldest.is)
		all.queue[all.head] = decided{}
		all.head++
	}
	if all.head > 1000 && all.head > len(all.queue)/2 { // Most of the queue is behind its head.
		all.queue = append([]decided{}, all.queue[all.head:]...)
		all.head = 0
	}
}

func weightOf(token string, c *confirmation) int {
	return len(token) + len(c.claims) + confirmationBytes
}

// report logs that there is no answer: once until there is one or the reason changes, and once a minute at most.
func report(all *confirmations, err error) {
	message := ""
	if err != nil {
		message = err.Error()
	}
	now := time.Now()
	all.mu.Lock()
	isNew := message != "" && (!all.isFailing || message != all.lastErr) && now.Sub(all.reportedAt) >= reportEvery
	all.isFailing = message != ""
	if isNew {
		all.lastErr = message
		all.reportedAt = now
	}
	all.mu.Unlock()
	if isNew {
		logline.Error("renew.confirm: sessions are not renewed, since %s gives no answer that can be used: %s", all.name, message)
	}
}

// unsettable are the claims that stay as they are in the presented token, or absent: those that say whose token it is, and those
// that renewal sets itself.
var unsettable = map[string]bool{
	"iss": true, "aud": true, "sub": true, "nbf": true, "cnf": true,
	"iat": true, "exp": true, "jti": true, "auth_time": true, "sid": true,
}

// mergeClaims puts the answered claims in the place of a payload's, but for those that nobody sets.
func mergeClaims(payload []byte, answered string) (string, error) {
	if _, err := jose.StrictObject([]byte(answered)); err != nil {
		return "", errors.New("the answer is not one JSON object with distinct members")
	}
	presented, err := members(payload)
	if err != nil {
		return "", err
	}
	others, err := members([]byte(answered))
	if err != nil {
		return "", err
	}
	written := []string{}
	for _, m := range presented {
		if unsettable[m.name] {
			written = append(written, m.key+":"+m.value)
		}
	}
	for _, m := range others {
		if !unsettable[m.name] {
			var compact bytes.Buffer
			if err := json.Compact(&compact, []byte(m.value)); err != nil {
				return "", err
			}
			written = append(written, m.key+":"+compact.String())
		}
	}
	return "{" + strings.Join(written, ",") + "}", nil
}

// checkGranted says what is wrong with a renewed token of claims that were answered: this middleware has to accept it. That its
// claims suffice here is not asked for: roles that are gone are refused as everybody's are.
func checkGranted(in *instance, token string, now time.Duration) error {
	_, _, r := verify(in, token, now)
	if r != nil {
		return errors.New("it would be refused: " + r.phrase)
	}
	return nil
}

// judgeAlways keeps a token from being served at a glance, even if the clock is set back.
func judgeAlways(m *memory, key string) {
	m.mu.Lock()
	for _, known := range []map[string]*verified{m.known, m.aside.known, m.former} {
		if v := known[key]; v != nil {
			known[key] = neverAtAGlance(v)
		}
	}
	m.mu.Unlock()
}

func neverAtAGlance(v *verified) *verified {
	again := *v
	again.until = 0
	return &again
}
