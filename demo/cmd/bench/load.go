package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	connections = 16
	ramp        = 150 * time.Millisecond // not counted: caches and the collector settle after another target
)

// browser are thirteen headers that a browser sends; with Host and Authorization they are the whole request.
var browser = [][2]string{
	{"Accept", "application/json, text/plain, */*"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Accept-Language", "en-GB,en;q=0.9,de;q=0.8"},
	{"Cache-Control", "no-cache"},
	{"Origin", "https://shop.example.com"},
	{"Referer", "https://shop.example.com/orders"},
	{"Sec-Ch-Ua", `"Chromium";v="142", "Not_A Brand";v="99"`},
	{"Sec-Ch-Ua-Mobile", "?0"},
	{"Sec-Ch-Ua-Platform", `"Linux"`},
	{"Sec-Fetch-Dest", "empty"},
	{"Sec-Fetch-Mode", "cors"},
	{"Sec-Fetch-Site", "same-origin"},
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
}

// target is what a row of the table asks, and what it must get.
type target struct {
	name   string
	url    string
	tokens []string // in turn, also from one round to the next
	pid    int      // the gateway's
	base   *target  // what its throughput is a ratio of; nil: it is itself a bare one

	status int
	served bool // the service is called
	claims bool // … with the claims, and without the token
	renews bool // a renewed token is in the answer
	longer int  // than the others' rounds, so many times

	next    atomic.Uint64
	clients []*fasthttp.HostClient
}

// sample is what one round measured.
type sample struct {
	Throughput float64 `json:"throughput"` // requests a second
	P50        float64 `json:"p50"`        // microseconds
	P99        float64 `json:"p99"`
	CPU        float64 `json:"cpu"` // microseconds of the gateway's a request

	// Against the mean of the bare runs before and after it.
	Ratio float64 `json:"ratio,omitempty"` // of the throughput
	Added float64 `json:"added,omitempty"` // microseconds of the median latency beyond the bare one's
}

// connect opens a target's connections. Each is one client's own, so nothing is shared while the load runs.
func (t *target) connect() {
	address, _, _ := strings.Cut(strings.TrimPrefix(t.url, "http://"), "/")
	for range connections {
		t.clients = append(t.clients, &fasthttp.HostClient{
			Addr: address, MaxConns: 1, MaxIdleConnDuration: time.Hour,
			NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true, DisablePathNormalizing: true,
			ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		})
	}
}

func (t *target) request() *fasthttp.Request {
	req := &fasthttp.Request{}
	req.SetRequestURI(t.url)
	req.Header.DisableNormalizing()
	for _, header := range browser {
		req.Header.Set(header[0], header[1])
	}
	return req
}

// measure keeps every connection busy for a while: as soon as one answer is there, the next request goes out.
func (t *target) measure(ctx context.Context, service *upstream, duration time.Duration) (sample, error) {
	before := service.counts()
	begin := time.Now().Add(ramp)
	end := begin.Add(duration)
	latencies := make([][]time.Duration, connections)
	renewed := make([]map[string]bool, connections)
	failures := make([]error, connections)
	var sent atomic.Int64
	var group sync.WaitGroup
	for c := range t.clients {
		group.Go(func() {
			renewed[c] = map[string]bool{}
			latencies[c], failures[c] = t.converse(ctx, c, begin, end, &sent, renewed[c])
		})
	}
	time.Sleep(time.Until(begin))
	used, err := cpuTime(t.pid)
	started := time.Now()
	if err == nil {
		time.Sleep(time.Until(end))
		var now time.Duration
		now, err = cpuTime(t.pid)
		used = now - used
	}
	elapsed := time.Since(started)
	group.Wait()
	for _, failure := range failures {
		if failure != nil {
			return sample{}, fmt.Errorf("%s: %w", t.name, failure)
		}
	}
	if err != nil {
		return sample{}, err
	}
	if err := t.reached(before, service.counts(), sent.Load()); err != nil {
		return sample{}, fmt.Errorf("%s: %w", t.name, err)
	}
	if err := t.signed(renewed); err != nil {
		return sample{}, fmt.Errorf("%s: %w", t.name, err)
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return sample{}, fmt.Errorf("%s: no answer in %s", t.name, duration)
	}
	slices.Sort(all)
	return sample{
		Throughput: float64(len(all)) / elapsed.Seconds(),
		P50:        microseconds(all[len(all)/2]),
		P99:        microseconds(all[len(all)*99/100]),
		CPU:        microseconds(used) / float64(len(all)),
	}, nil
}

// converse is one connection's part: the latencies of what ended between begin and end.
func (t *target) converse(ctx context.Context, c int, begin, end time.Time, sent *atomic.Int64, renewed map[string]bool) ([]time.Duration, error) {
	req, resp := t.request(), &fasthttp.Response{}
	var latencies []time.Duration
	for start := time.Now(); start.Before(end); {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		req.Header.Set("Authorization", t.tokens[(t.next.Add(1)-1)%uint64(len(t.tokens))])
		if err := t.ask(c, req, resp); err != nil {
			return nil, err
		}
		sent.Add(1)
		if token := resp.Header.Peek("Authorization"); len(token) > 0 && !renewed[string(token)] {
			renewed[string(token)] = true
		}
		now := time.Now()
		if now.After(begin) && now.Before(end) {
			latencies = append(latencies, now.Sub(start))
		}
		start = now
	}
	return latencies, nil
}

// ask sends a request on a connection, and looks at the answer.
func (t *target) ask(c int, req *fasthttp.Request, resp *fasthttp.Response) error {
	if err := t.clients[c].Do(req, resp); err != nil {
		return err
	}
	if got := resp.StatusCode(); got != t.status {
		return fmt.Errorf("got %d, want %d: %s", got, t.status, resp.Body())
	}
	if got := len(resp.Header.Peek("Token-Expires-In")) > 0; got != t.renews {
		return fmt.Errorf("renewed: got %t, want %t", got, t.renews)
	}
	return nil
}

// send sends each of the lines once, on all connections, and returns the gateway's CPU time a request in microseconds.
func (t *target) send(ctx context.Context, lines []string) (float64, error) {
	before, err := cpuTime(t.pid)
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	failures := make([]error, connections)
	var group sync.WaitGroup
	for c := range t.clients {
		group.Go(func() {
			req, resp := t.request(), &fasthttp.Response{}
			for i := next.Add(1) - 1; i < int64(len(lines)) && failures[c] == nil; i = next.Add(1) - 1 {
				req.Header.Set("Authorization", lines[i])
				failures[c] = errors.Join(ctx.Err(), t.ask(c, req, resp))
			}
		})
	}
	group.Wait()
	after, err := cpuTime(t.pid)
	if err := errors.Join(append(failures, err)...); err != nil {
		return 0, fmt.Errorf("%s: %w", t.name, err)
	}
	return microseconds(after-before) / float64(len(lines)), nil
}

// reached compares what the service saw with what it should have seen.
func (t *target) reached(before, after counts, sent int64) error {
	var want counts
	if t.served {
		want.all = sent
	}
	if t.claims {
		want.claims = sent
	}
	if got := (counts{after.all - before.all, after.claims - before.claims}); got != want {
		return fmt.Errorf("of %d requests the service got %d, %d with the claims, want %d and %d", sent, got.all, got.claims, want.all, want.claims)
	}
	return nil
}

// signed checks that a token is renewed once in ten seconds, not on every request. A round can see the end of one
// renewal's time and the beginning of the next one's.
func (t *target) signed(renewed []map[string]bool) error {
	all := map[string]bool{}
	for _, some := range renewed {
		maps.Copy(all, some)
	}
	if len(all) > 2*len(t.tokens) {
		return fmt.Errorf("%d tokens were renewed to %d", len(t.tokens), len(all))
	}
	return nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// cpuTime is what a process has used so far, from /proc/PID/stat: fields 14 and 15, in hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // The name and the PID before it are cut off.
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}
