package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// pause is that of a connection between two requests, so that the load leaves the machine room for other things.
const pause = 10 * time.Millisecond

// Report counts what has happened.
type Report struct {
	// Answers are those with status 200, and Renewals the renewed tokens that were adopted, by the gateway's name.
	Answers, Renewals map[string]int
	// Crossed is how many answers came from one gateway to a token of the other.
	Crossed int
	// InFlight is how many requests were lost that were under way when a gateway was killed.
	InFlight int
	// Failed are all other requests that were not answered with status 200.
	Failed []string
}

func (r Report) String() string {
	return fmt.Sprintf("  answered %d (gateway one %d, two %d), renewed by one %d, by two %d, token of the other gateway %d times, lost in flight %d, failed %d",
		r.Answers["one"]+r.Answers["two"], r.Answers["one"], r.Answers["two"], r.Renewals["one"], r.Renewals["two"], r.Crossed, r.InFlight, len(r.Failed))
}

func (r Report) renewals() int { return r.Renewals["one"] + r.Renewals["two"] }

// load is one session, used from many connections.
type load struct {
	url    string
	client *http.Client
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	current string
	from    map[string]string // which gateway a token is from
	counts  Report
	killed  time.Time
}

func startLoad(ctx context.Context, url string) (*load, error) {
	token, err := logIn(ctx, url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &load{
		url: url, cancel: cancel, current: token, from: map[string]string{},
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}},
		counts: Report{Answers: map[string]int{}, Renewals: map[string]int{}},
	}
	for range connections {
		l.ended.Go(func() {
			for ctx.Err() == nil {
				l.request()
				time.Sleep(pause)
			}
		})
	}
	return l, nil
}

// request asks once. It is not canceled: each answer counts.
func (l *load) request() {
	token, start := l.token(), time.Now()
	req, err := http.NewRequest(http.MethodGet, l.url+"/api/", nil) //nolint:noctx // The client has a timeout.
	if err != nil {
		l.failed(start, err.Error())
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.client.Do(req)
	if err != nil {
		l.failed(start, err.Error())
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		l.failed(start, fmt.Sprintf("%d %v %s", resp.StatusCode, err, text))
		return
	}
	l.answered(resp.Header.Get("X-Gateway"), token, bearer(resp))
}

func (l *load) answered(gateway, token, renewed string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Answers[gateway]++
	if from := l.from[token]; from != "" && from != gateway {
		l.counts.Crossed++
	}
	if renewed != "" && expiry(renewed) > expiry(l.current) {
		l.current = renewed
		l.from[renewed] = gateway
		l.counts.Renewals[gateway]++
	}
}

// failed counts a request that was not answered. One that was on its way to a gateway when that was killed cannot be.
func (l *load) failed(start time.Time, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if start.Before(l.killed) && time.Since(l.killed) < l.client.Timeout {
		l.counts.InFlight++
		return
	}
	l.counts.Failed = append(l.counts.Failed, why)
}

// killing notes that a gateway is killed within the next moment.
func (l *load) killing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.killed = time.Now().Add(killTakes)
}

// killTakes is how long a killed process may still take connections.
const killTakes = 100 * time.Millisecond

func (l *load) token() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

func (l *load) keyID() string {
	token, _, err := jwt.NewParser().ParseUnverified(l.token(), jwt.MapClaims{})
	if err != nil {
		return ""
	}
	id, _ := token.Header["kid"].(string)
	return id
}

func (l *load) report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.counts
	r.Answers, r.Renewals = maps.Clone(r.Answers), maps.Clone(r.Renewals)
	r.Failed = append([]string{}, r.Failed...)
	return r
}

func (l *load) stop() {
	l.cancel()
	l.ended.Wait()
}

func expiry(token string) int64 {
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(token, claims); err != nil {
		return 0
	}
	at, err := claims.GetExpirationTime()
	if err != nil || at == nil {
		return 0
	}
	return at.Unix()
}
