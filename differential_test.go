package slidingjwt_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
)

// How TestDifferential is run:
//
//	go test -run TestDifferential                                         twenty seconds, always the same requests
//	go test -run TestDifferential -seed=7 -differential=10m -timeout=15m  other requests, for longer
//	go test -run TestDifferential -seed=7 -replay=1234                    up to a request that failed, which it shows
var (
	seedFlag         = flag.Uint64("seed", 1, "what TestDifferential makes its requests from")
	differentialFlag = flag.Duration("differential", 0, "how long TestDifferential runs (default: a number of requests that takes about 20s, and at most 20s)")
	replayFlag       = flag.Int("replay", -1, "the index of a request of TestDifferential: it is sent again, with those before it that share its tokens")
)

const (
	blockSize        = 100 // requests that share tokens
	tokensInBlock    = 40
	usualRequests    = 30000
	shortRequests    = 3000
	maxKindsOfFaults = 30
	responseWait     = 30 * time.Second
)

// TestDifferential sends whole requests, made at random, through the plugin as it is compiled and as it is interpreted. Both
// have to give the same answer and to call the service with the same request, and both have to do what the oracle expects.
func TestDifferential(t *testing.T) {
	makeKeys(t)
	all := setups(t)
	engines, output := bothways.Engines(t), tokenless(t)
	gateways := make([]*gateway, len(engines))
	for i, e := range engines {
		gateways[i] = newGateway(t, all, e.LoggingTo(t, output))
	}

	seed, requests, deadline := *seedFlag, usualRequests, time.Now().Add(20*time.Second)
	if testing.Short() {
		requests = shortRequests
	}
	if *differentialFlag > 0 {
		requests, deadline = 1<<62, time.Now().Add(*differentialFlag)
	}
	from := 0
	if *replayFlag >= 0 {
		requests, deadline = *replayFlag+1, time.Now().Add(time.Hour)
		from = *replayFlag - *replayFlag%blockSize
	}
	f := &findings{t: t, seed: seed, counts: map[string]int{}}
	start := time.Now()
	sent, served, renewed := 0, 0, 0
	for at := from; at < requests && time.Now().Before(deadline) && len(f.kinds) < maxKindsOfFaults; at += blockSize {
		b := newBlock(t, all, seed, at, min(blockSize, requests-at))
		results := make([][]*result, len(gateways))
		var both sync.WaitGroup
		for i, g := range gateways {
			both.Add(1)
			go func() {
				defer both.Done()
				results[i] = g.run(b)
			}()
		}
		both.Wait()
		for i, r := range b.requests {
			s, first := b.setups[i], results[0][i]
			for j, e := range engines {
				got := results[j][i]
				for _, c := range complain(s, r, got) {
					f.add(at+i, s, r, e.Name+": "+c.kind, c.detail)
				}
				if a, b := first.String(), got.String(); a != b {
					f.add(at+i, s, r, "the engines differ", fmt.Sprintf("%s\n%s\nand %s\n%s", engines[0].Name, a, e.Name, b))
				}
			}
			if at+i == *replayFlag {
				t.Logf("%s\n%s\n\n%s", s.describe(), r, first)
			}
			sent++
			served += first.calls
			if first.header["Token-Expires-In"] != nil {
				renewed++
			}
		}
	}
	f.report()
	t.Logf("seed %d: %d requests in %s by %d configurations: %d served, %d renewed", seed, sent, time.Since(start).Round(time.Second/10), len(all), served, renewed)
	if !t.Failed() && *replayFlag < 0 && (served < sent/5 || renewed < sent/50) {
		t.Errorf("got %d of %d requests served and %d tokens renewed, too few to tell much", served, sent, renewed)
	}
}

// findings are the faults that were found, by their kinds.
type findings struct {
	t      *testing.T
	seed   uint64
	kinds  []string
	counts map[string]int
	first  []string
}

func (f *findings) add(index int, s *setup, r *request, kind, detail string) {
	if f.counts[kind]++; f.counts[kind] > 1 {
		return
	}
	f.kinds = append(f.kinds, kind)
	f.first = append(f.first, fmt.Sprintf("%s\nagain: go test -run TestDifferential -seed=%d -replay=%d\n%s\n%s", detail, f.seed, index, s.describe(), r))
}

func (f *findings) report() {
	f.t.Helper()
	for i, kind := range f.kinds {
		f.t.Errorf("%s (%d times), first: %s", kind, f.counts[kind], f.first[i])
	}
}

// describe writes a configuration without its keys.
func (s *setup) describe() string {
	shown := options{}
	for option, value := range s.options {
		if text, _ := value.(string); strings.HasPrefix(text, "-----") || strings.HasPrefix(text, "{") || option == "signingSecret" {
			value = "…"
		}
		shown[option] = value
	}
	text, _ := json.Marshal(shown)
	return fmt.Sprintf("configuration %q: %s", s.name, text)
}

// block is some requests that share tokens, so that there are remembered ones among them.
type block struct {
	setups   []*setup
	requests []*request
}

// newBlock makes the requests from an index on. Each has a generator of its own, so what a seed and an index mean does not
// depend on what was sent before.
func newBlock(t *testing.T, all []*setup, seed uint64, first, size int) *block {
	t.Helper()
	now := time.Now().Unix()
	random := rand.New(rand.NewPCG(seed, uint64(first)<<1|1))
	tokens := make([]*specimen, tokensInBlock)
	for i := range tokens {
		tokens[i] = mint(t, random, now)
	}
	b := &block{}
	for i := range size {
		random := rand.New(rand.NewPCG(seed, uint64(first+i)<<1))
		s := one(random, all...)
		b.setups = append(b.setups, s)
		b.requests = append(b.requests, draft(random, s, tokens, float64(now)))
	}
	return b
}

// gateway is a server with a handler for each configuration. It serves one request at a time.
type gateway struct {
	handlers map[*setup]http.Handler
	http1    *httptest.Server
	http2    *httptest.Server
	conn     net.Conn // to http1; nil: none is open
	reader   *bufio.Reader

	mu      sync.Mutex
	current *inFlight
}

// inFlight is a request on its way.
type inFlight struct {
	setup   *setup
	request *request
	entered chan struct{} // closed when it comes to the plugin …
	left    chan struct{} // … and when the plugin is done with it
	got     *result
}

// result is what became of a request.
type result struct {
	outcome            string // "served", or the status and the reason's code
	calls              int    // of the service
	sent, view         view   // the request as it came to the plugin, and as the service saw it
	status             int
	header             http.Header
	body               string
	sentAt, receivedAt float64
	failure            string // of the connection, or a panic
}

func newGateway(t *testing.T, all []*setup, e bothways.Engine) *gateway {
	t.Helper()
	g := &gateway{handlers: map[*setup]http.Handler{}}
	for _, s := range all {
		g.handlers[s] = e.InFront(t, http.HandlerFunc(g.serve), s.options)
	}
	for _, server := range []**httptest.Server{&g.http1, &g.http2} {
		*server = httptest.NewUnstartedServer(http.HandlerFunc(g.dispatch))
		(*server).Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup((*server).Close)
	}
	g.http1.Start()
	g.http2.EnableHTTP2 = true
	g.http2.StartTLS()
	g.http2.Client().Transport.(*http.Transport).DisableCompression = true
	g.http2.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(g.hangUp)
	return g
}

// dispatch hands a request to the plugin.
func (g *gateway) dispatch(rw http.ResponseWriter, req *http.Request) {
	g.mu.Lock()
	x := g.current
	g.mu.Unlock()
	close(x.entered)
	defer close(x.left)
	defer func() {
		if r := recover(); r != nil {
			x.got.failure = fmt.Sprint("panic: ", r)
			panic(http.ErrAbortHandler)
		}
	}()
	if x.request.reader == "buffered before" { // As Traefik's buffering does.
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.ContentLength, req.TransferEncoding = int64(len(body)), nil
	}
	x.got.sent = viewOf(req, "")
	g.handlers[x.setup].ServeHTTP(rw, req)
}

// serve is the service. It reads the body before it looks at the request, which has all its trailers then.
func (g *gateway) serve(rw http.ResponseWriter, req *http.Request) {
	g.mu.Lock()
	x := g.current
	g.mu.Unlock()
	x.got.calls++
	var body []byte
	switch x.request.reader {
	case "in small parts":
		part := make([]byte, 7)
		for err := error(nil); err == nil; {
			var n int
			n, err = req.Body.Read(part)
			body = append(body, part[:n]...)
		}
	default:
		body, _ = io.ReadAll(req.Body)
	}
	if x.request.reader == "mirrored" { // Traefik's mirroring clones the request once it has the body.
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	x.got.view = viewOf(req, string(body))
	rw.Header().Set("Content-Type", "text/plain")
	rw.Header().Set("X-Service", "1")
	rw.WriteHeader(x.request.status)
	if x.request.status != http.StatusNoContent {
		_, _ = io.WriteString(rw, "the service's answer")
	}
}

// run sends the requests of a block one by one.
func (g *gateway) run(b *block) []*result {
	results := make([]*result, len(b.requests))
	for i, r := range b.requests {
		x := &inFlight{setup: b.setups[i], request: r, entered: make(chan struct{}), left: make(chan struct{}), got: &result{}}
		g.mu.Lock()
		g.current = x
		g.mu.Unlock()
		x.got.sentAt = clock()
		err := g.send(x)
		if err != nil && !x.hasEntered() { // The server ended the connection before that: nothing came of it.
			err = g.send(x)
		}
		x.got.receivedAt = clock()
		if x.hasEntered() {
			<-x.left
		} else {
			err = fmt.Errorf("it never came to the plugin: %d %s, %w", x.got.status, x.got.body, err)
		}
		if err != nil && x.got.failure == "" {
			x.got.failure = err.Error()
		}
		x.got.outcome = outcomeOf(x.got)
		results[i] = x.got
	}
	return results
}

// send sends a request and reads the response.
func (g *gateway) send(x *inFlight) error {
	if x.request.proto == 2 {
		return g.sendHTTP2(x)
	}
	err := g.sendHTTP1(x)
	if err != nil {
		g.hangUp()
	}
	return err
}

func (x *inFlight) hasEntered() bool {
	select {
	case <-x.entered:
		return true
	default:
		return false
	}
}

func clock() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// sendHTTP1 sends a request octet by octet, since no library would write it so.
func (g *gateway) sendHTTP1(x *inFlight) error {
	if g.conn == nil {
		conn, err := net.Dial("tcp", g.http1.Listener.Addr().String())
		if err != nil {
			return err
		}
		g.conn, g.reader = conn, bufio.NewReader(conn)
	}
	_ = g.conn.SetDeadline(time.Now().Add(responseWait))
	if _, err := io.WriteString(g.conn, x.request.wire()); err != nil {
		return err
	}
	resp, err := http.ReadResponse(g.reader, &http.Request{Method: x.request.method})
	if err != nil {
		return err
	}
	if err := x.got.read(resp); err != nil {
		return err
	}
	if resp.Close {
		g.hangUp()
	}
	return nil
}

func (g *gateway) hangUp() {
	if g.conn != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
}

// sendHTTP2 sends a request by the library's client.
func (g *gateway) sendHTTP2(x *inFlight) error {
	r := x.request
	ctx, cancel := context.WithTimeout(context.Background(), responseWait)
	defer cancel()
	target, _ := r.target(func(string) bool { return false })
	var body io.Reader
	if r.hasBody {
		body = strings.NewReader(r.body)
	}
	if r.chunked {
		body = io.NopCloser(body) // Its length is not known.
	}
	req, err := http.NewRequestWithContext(ctx, r.method, g.http2.URL, body)
	if err != nil {
		return err
	}
	opaque, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery, req.URL.ForceQuery = opaque.Path, opaque.RawPath, opaque.RawQuery, opaque.ForceQuery
	req.Host = gatewayHost
	for _, l := range r.lines {
		name := http.CanonicalHeaderKey(l.name)
		req.Header[name] = append(req.Header[name], l.value)
	}
	for _, l := range r.trailers {
		if req.Trailer == nil {
			req.Trailer = http.Header{}
		}
		req.Trailer[l.name] = []string{l.value}
	}
	resp, err := g.http2.Client().Do(req)
	if err != nil {
		return err
	}
	return x.got.read(resp)
}

// read reads a response.
func (got *result) read(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	got.status, got.header, got.body = resp.StatusCode, resp.Header, string(body)
	return err
}

// outcomeOf says what became of a request: "served", or the status and the reason's code.
func outcomeOf(got *result) string {
	switch {
	case got.failure != "":
		return got.failure
	case got.calls > 0:
		return "served"
	case got.header["Grpc-Status"] != nil:
		message, _ := url.PathUnescape(got.header.Get("Grpc-Message"))
		code, _, _ := strings.Cut(message, ":")
		return "grpc " + got.header.Get("Grpc-Status") + " " + code
	}
	var problem struct{ Type string }
	_ = json.Unmarshal([]byte(got.body), &problem)
	_, code, _ := strings.Cut(problem.Type, "#")
	return fmt.Sprintf("%d %s", got.status, code)
}

var (
	tokenInHeader = regexp.MustCompile(`[\w-]+\.[\w-]+\.[\w-]+`)
	secondsLeft   = regexp.MustCompile(`Max-Age=[1-9]\d*`)
)

// String is a result without what depends on chance and time: of a renewed token, its header and the claims that stay.
func (got *result) String() string {
	if got.failure != "" {
		return got.failure
	}
	h := got.header.Clone()
	delete(h, "Date")
	for _, name := range []string{"Token-Expires-In", "Session-Expires-In"} {
		if h[name] != nil {
			h[name] = []string{"…"}
		}
	}
	for name, values := range h {
		for i, value := range values {
			values[i] = secondsLeft.ReplaceAllString(tokenInHeader.ReplaceAllStringFunc(value, stable), "Max-Age=…")
		}
		h[name] = values
	}
	v := got.view
	return fmt.Sprintf("%s %d %q %.500q\nservice: %d calls, %s %s %s %s %s, header %q, trailers %q, body %.500q (%d), %d %q",
		got.outcome, got.status, h, got.body, got.calls, v.method, v.uri, &v.url, v.host, v.proto, v.header, v.trailer, v.body, len(v.body), v.length, v.encoding)
}

// stable writes what of a token depends neither on chance nor on time.
func stable(text string) string {
	parts := strings.Split(text, ".")
	var octets [2][]byte
	for i := range octets {
		octets[i], _ = base64.RawURLEncoding.DecodeString(parts[i])
	}
	members, err := membersOf(octets[1])
	if err != nil {
		return text
	}
	members = slices.DeleteFunc(members, func(one member) bool { return one.name == "iat" || one.name == "exp" })
	for i := range members {
		isNewSID := members[i].name == "sid" && len(members[i].raw) == 24 // A presented one is shorter.
		if members[i].name == "jti" || isNewSID {
			members[i].raw = "…"
		}
	}
	return fmt.Sprintf("<token %s %q>", octets[0], members)
}

// tokenless is a log that no token may get into. The compiled plugin's goes the same way for as long as the test runs.
func tokenless(t *testing.T) io.Writer {
	t.Helper()
	watch := writerFunc(func(text []byte) (int, error) {
		if bytes.Contains(text, []byte("eyJ")) { // As every token begins.
			t.Errorf("the log has a token: %.300q", text)
		}
		return len(text), nil
	})
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			_, _ = watch(lines.Bytes())
		}
	}()
	stdout := os.Stdout
	os.Stdout = writer
	t.Cleanup(func() {
		os.Stdout = stdout
		_ = writer.Close()
		<-done
	})
	return watch
}

type writerFunc func(text []byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }
