package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// What a client speaks to the gateway.
const (
	overHTTP1 = "HTTP/1.1"
	overHTTPS = "HTTP/1.1 over TLS"
	overH2C   = "h2c"
	overHTTP2 = "HTTP/2 over TLS"
	overHTTP3 = "HTTP/3"
)

// dialogue is a way in which a client and a service talk. Neither goes on before the other has what it sent, wherever
// that is what a row is about, so a gateway that holds something back is found without a clock.
type dialogue struct {
	name string
	over []string // what the client speaks; all by default
	path string   // of the router: "/plain/" by default, where the service is reached over HTTP/1.1
	// service answers a request that the gateway let through; nil if the dialogue is with the gRPC server.
	service func(s *stage, w http.ResponseWriter, req *http.Request)
	client  func(t *testing.T, s *stage) answer
	// not says why this cannot be held over a protocol, or with the fast proxy; "" if it can.
	not     func(over string, isFast bool) string
	refusal string // "401 bad_signature" by default
	// in1xx says whether the renewed token goes with the service's interim response, so that the final one comes without: both
	// of Traefik's proxies send a 1xx with the headers set so far and clear them, and the plugin must not touch them by then.
	in1xx func(over string) bool
}

// answer is how a dialogue ended: served, or how the gateway refused it, and the headers of the answer.
type answer struct {
	verdict string
	header  http.Header
	interim []interim
}

// interim is a 1xx response.
type interim struct {
	code   int
	header http.Header
}

const isServed = "served"

// stage is where one dialogue is held once.
type stage struct {
	t        *testing.T
	dialogue dialogue
	over     string
	address  string // of the entry point, without a scheme
	token    string
	isForged bool
	isFast   bool
	http     *http.Client
	heard    chan told
	ack      chan struct{} // the client has what the service sent last, or the service what the client did
	left     chan struct{} // the service has seen that the client has gone
	sent     atomic.Int64  // when the service sent its first part, in nanoseconds of the Unix clock; 0: it has not
}

func (s *stage) url() string {
	scheme, path := "https://", "/plain/"
	if s.over == overHTTP1 || s.over == overH2C {
		scheme = "http://"
	}
	if s.dialogue.path != "" {
		path = s.dialogue.path
	}
	return scheme + s.address + path
}

// request is one of the client, with the token.
func (s *stage) request(method string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url(), body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	return req
}

// do sends a request. If it was refused, the answer says how, and the body is closed.
func (s *stage) do(req *http.Request) (*http.Response, answer) {
	s.t.Helper()
	var mu sync.Mutex
	var got answer
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		mu.Lock()
		defer mu.Unlock()
		got.interim = append(got.interim, interim{code, http.Header(header).Clone()})
		return nil
	}})
	resp, err := s.http.Do(req.WithContext(ctx))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	mu.Lock()
	defer mu.Unlock()
	got.verdict, got.header = isServed, resp.Header
	want := map[string]string{overHTTP1: "HTTP/1.1", overHTTPS: "HTTP/1.1", overH2C: "HTTP/2.0", overHTTP2: "HTTP/2.0", overHTTP3: "HTTP/3.0"}[s.over]
	if resp.Proto != want {
		s.t.Errorf("the client spoke %s, want %s", resp.Proto, want)
	}
	if resp.StatusCode < 400 {
		return resp, got
	}
	got.verdict = refusalOf(s.t, resp)
	return resp, got
}

// refusalOf is a refusal's status and the reason's code.
func refusalOf(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	code := regexp.MustCompile(`#(\w+)"`).FindStringSubmatch(string(body))
	if len(code) != 2 {
		return fmt.Sprintf("%d %q", resp.StatusCode, body)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, code[1])
}

// await waits for the other side.
func (s *stage) await(signal <-chan struct{}, what string) bool {
	s.t.Helper()
	select {
	case <-signal:
		return true
	case <-time.After(patience):
		s.t.Errorf("waited in vain: %s", what)
		return false
	}
}

// tell lets the other side go on.
func (s *stage) tell() { s.ack <- struct{}{} }

// send writes a part of the answer at once.
func (s *stage) send(w http.ResponseWriter, part string) {
	if s.sent.Load() == 0 {
		s.sent.Store(time.Now().UnixNano())
	}
	_, _ = io.WriteString(w, part) // The client may have gone.
	_ = http.NewResponseController(w).Flush()
}

// receive reads a part of a body, which must be what was sent.
func (s *stage) receive(body io.Reader, part string) bool {
	s.t.Helper()
	got := make([]byte, len(part))
	if _, err := io.ReadFull(body, got); err != nil || string(got) != part {
		s.t.Errorf("got %q and %v, want %q", got, err, part)
		return false
	}
	return true
}

// end reads a body's end.
func (s *stage) end(body io.Reader) {
	s.t.Helper()
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		s.t.Errorf("got %q and %v behind the body, want its end", rest, err)
	}
}

// parts are those of a body that is sent in more than one.
var parts = []string{"the first part", "the second", "and the last"}

// upload sends the parts, each once the service has the one before, and ends the body. It returns at once.
func (s *stage) upload() io.ReadCloser {
	read, write := io.Pipe()
	go func() {
		for i, part := range parts {
			if _, err := io.WriteString(write, part); err != nil {
				return // It was refused.
			}
			if s.isForged || !s.await(s.ack, fmt.Sprintf("the service's word that it has part %d", i)) {
				break
			}
		}
		_ = write.Close()
	}()
	return read
}

var dialogues = []dialogue{
	{
		name: "a request and its answer",
		service: func(_ *stage, w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(w, req.Body) // The client sees it.
		},
		client: sayOnce,
	},
	{
		name: "to a service that speaks HTTP/2",
		path: "/h2c/",
		service: func(s *stage, w http.ResponseWriter, req *http.Request) {
			if req.Proto != "HTTP/2.0" {
				s.t.Errorf("the service got %s, want HTTP/2.0", req.Proto)
			}
			_, _ = io.Copy(w, req.Body) // The client sees it.
		},
		client: sayOnce,
	},
	{
		name: "HEAD",
		service: func(_ *stage, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1234")
		},
		client: func(t *testing.T, s *stage) answer {
			resp, got := s.do(s.request(http.MethodHead, nil))
			if s.isForged { // Its reason is in a body, which a HEAD has none of.
				got.verdict = fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("WWW-Authenticate"))
				return got
			}
			if resp.StatusCode != http.StatusOK || resp.ContentLength != 1234 {
				t.Errorf("got %d and a length of %d, want 200 and 1234", resp.StatusCode, resp.ContentLength)
			}
			s.end(resp.Body)
			return got
		},
		refusal: `401 Bearer realm="api", error="invalid_token", error_description="the token's signature is wrong"`,
	},
	{
		name:    "a conditional request",
		service: serveNumbers,
		client: func(t *testing.T, s *stage) answer {
			req := s.request(http.MethodGet, nil)
			req.Header.Set("If-None-Match", `"numbers"`)
			resp, got := s.do(req)
			if got.verdict == isServed && (resp.StatusCode != http.StatusNotModified || resp.Header.Get("ETag") != `"numbers"`) {
				t.Errorf("got %d and the tag %s, want 304 and the tag", resp.StatusCode, resp.Header.Get("ETag"))
			}
			return got
		},
	},
	{
		name:    "a part of the whole, on a condition",
		service: serveNumbers,
		client: func(t *testing.T, s *stage) answer {
			req := s.request(http.MethodGet, nil)
			req.Header.Set("If-Range", `"numbers"`)
			req.Header.Set("Range", "bytes=2-4")
			resp, got := s.do(req)
			if got.verdict != isServed {
				return got
			}
			if resp.StatusCode != http.StatusPartialContent || resp.Header.Get("Content-Range") != "bytes 2-4/10" {
				t.Errorf("got %d and the range %q, want 206 and three of ten", resp.StatusCode, resp.Header.Get("Content-Range"))
			}
			if s.receive(resp.Body, "234") {
				s.end(resp.Body)
			}
			return got
		},
	},
	{
		name: "server-sent events",
		service: func(s *stage, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i, part := range parts {
				s.send(w, "data: "+part+"\n\n")
				if !s.await(s.ack, fmt.Sprintf("the client's word that it has event %d", i)) {
					return
				}
			}
		},
		client: func(t *testing.T, s *stage) answer {
			req := s.request(http.MethodGet, nil)
			req.Header.Set("Accept", "text/event-stream")
			resp, got := s.do(req)
			if got.verdict != isServed {
				return got
			}
			for i, part := range parts {
				if !s.receive(resp.Body, "data: "+part+"\n\n") {
					return got
				}
				if i == 0 {
					t.Logf("the first event came %.1f ms after it was sent", float64(time.Now().UnixNano()-s.sent.Load())/1e6)
				}
				s.tell()
			}
			s.end(resp.Body)
			return got
		},
	},
	{
		name: "a body in parts up, then one down",
		service: func(s *stage, w http.ResponseWriter, req *http.Request) {
			for _, part := range parts {
				if !s.receive(req.Body, part) {
					return
				}
				s.tell()
			}
			s.end(req.Body)
			for i, part := range parts {
				s.send(w, part)
				if !s.await(s.ack, fmt.Sprintf("the client's word that it has part %d", i)) {
					return
				}
			}
		},
		client: sayParts,
	},
	{
		name: "bodies in parts, both ways at once",
		not: func(over string, isFast bool) string {
			switch {
			case over == overHTTP1 || over == overHTTPS:
				return "the gateway's HTTP/1.1 server reads a request to its end before it answers, as net/http does by default"
			case isFast:
				return "the fast proxy sends the whole request before it reads the answer"
			}
			return ""
		},
		service: echoParts,
		client:  sayParts,
	},
	{
		name:    "bodies in parts, both ways at once, to a service that speaks HTTP/2",
		path:    "/h2c/",
		over:    []string{overH2C, overHTTP2, overHTTP3},
		service: echoParts,
		client:  sayParts,
	},
	{
		name:  "103 Early Hints",
		in1xx: func(string) bool { return true },
		service: func(s *stage, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload; as=style")
			w.WriteHeader(http.StatusEarlyHints)
			if !s.await(s.ack, "the client's word that it has the hints") {
				return
			}
			w.Header().Del("Link")
			_, _ = io.WriteString(w, "the page") // The client sees it.
		},
		client: func(t *testing.T, s *stage) answer {
			var hinted atomic.Bool
			req := s.request(http.MethodGet, nil)
			req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				if code == http.StatusEarlyHints && header.Get("Link") == "</style.css>; rel=preload; as=style" {
					hinted.Store(true)
				}
				s.tell()
				return nil
			}}))
			resp, got := s.do(req)
			if got.verdict == isServed && s.receive(resp.Body, "the page") {
				s.end(resp.Body)
			}
			if hinted.Load() == s.isForged {
				t.Errorf("got the hints: %t, want %t", hinted.Load(), !s.isForged)
			}
			return got
		},
	},
	{
		name: "Expect: 100-continue",
		// Over HTTP/2 net/http's server keeps the header to itself, so that the service has nothing to say to it.
		in1xx: func(over string) bool { return over == overHTTP1 || over == overHTTPS },
		not: func(over string, _ bool) string {
			if over == overHTTP3 {
				return "quic-go's client does not wait for the 100"
			}
			return ""
		},
		service: func(_ *stage, w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(w, req.Body) // It is this that asks for the body. The client sees the outcome.
		},
		client: func(t *testing.T, s *stage) answer {
			body := &asked{Reader: strings.NewReader("what is large")}
			req := s.request(http.MethodPut, body)
			req.Header.Set("Expect", "100-continue")
			resp, got := s.do(req)
			if got.verdict == isServed && s.receive(resp.Body, "what is large") {
				s.end(resp.Body)
			}
			// The body of a request that is refused is never sent.
			if body.was.Load() == s.isForged {
				t.Errorf("the client was asked for the body: got %t, want %t", body.was.Load(), !s.isForged)
			}
			return got
		},
	},
	{
		name:    "trailers",
		service: serveTrailers,
		client: func(t *testing.T, s *stage) answer {
			resp, got := s.do(s.requestWithTrailers("what is said"))
			if got.verdict != isServed {
				return got
			}
			s.end(resp.Body)
			if checksum, unannounced := resp.Trailer.Get("Checksum"), resp.Trailer.Get("Unannounced"); checksum != "of the answer" || unannounced != "as well" {
				t.Errorf("got the trailers %v, want both", resp.Trailer)
			}
			// Traefik's proxies forward the trailers of a request or do not. The plugin changes nothing about that.
			req := s.requestWithTrailers("what is said")
			req.URL.Path = "/bare/"
			bare, _ := s.do(req)
			s.end(bare.Body)
			const name = "Got-Checksum"
			t.Logf("the service got the trailer %q", resp.Header[name])
			if !slices.Equal(resp.Header[name], bare.Header[name]) {
				t.Errorf("the service got the trailer %q, want %q as without the plugin", resp.Header[name], bare.Header[name])
			}
			return got
		},
	},
	{
		// What the plugin has read, trailers included, is what the proxies have then.
		name:    "trailers behind a form's token",
		service: serveTrailers,
		client: func(t *testing.T, s *stage) answer {
			req := s.requestWithTrailers("access_token=" + s.token)
			req.Header.Del("Authorization")
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, got := s.do(req)
			if got.verdict == isServed {
				t.Logf("the service got the trailer %q", resp.Header["Got-Checksum"])
				s.end(resp.Body)
			}
			return got
		},
	},
	{
		name: "a client that goes away from a stream",
		service: func(s *stage, w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			ctx, cancel := context.WithTimeout(req.Context(), patience)
			defer cancel()
			for ctx.Err() == nil { // The fast proxy looks at the client only when it has something for it.
				s.send(w, "data: on and on\n\n")
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
			if errors.Is(ctx.Err(), context.Canceled) {
				s.left <- struct{}{}
			}
		},
		client: func(_ *testing.T, s *stage) answer {
			req := s.request(http.MethodGet, nil)
			ctx, cancel := context.WithCancel(req.Context())
			defer cancel()
			resp, got := s.do(req.WithContext(ctx))
			if got.verdict != isServed || !s.receive(resp.Body, "data: on and on\n\n") {
				return got
			}
			cancel()
			s.await(s.left, "that the service sees the client go")
			return got
		},
	},
	{
		name: "a client that goes away before a part that never comes",
		not: func(_ string, isFast bool) string {
			if isFast {
				return "the fast proxy looks at the client only when it has something for it"
			}
			return ""
		},
		service: func(s *stage, w http.ResponseWriter, req *http.Request) {
			s.send(w, parts[0])
			if s.await(req.Context().Done(), "that the service sees the client go") {
				s.left <- struct{}{}
			}
		},
		client: func(_ *testing.T, s *stage) answer {
			req := s.request(http.MethodGet, nil)
			ctx, cancel := context.WithCancel(req.Context())
			defer cancel()
			resp, got := s.do(req.WithContext(ctx))
			if got.verdict != isServed || !s.receive(resp.Body, parts[0]) {
				return got
			}
			cancel()
			s.await(s.left, "that the service sees the client go")
			return got
		},
	},
	{
		name: "a WebSocket",
		over: []string{overHTTP1, overHTTPS},
		service: func(s *stage, w http.ResponseWriter, req *http.Request) {
			conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
			if err != nil {
				s.t.Error(err)
				return
			}
			defer conn.CloseNow() //nolint:errcheck // It was closed.
			ctx, cancel := context.WithTimeout(req.Context(), patience)
			defer cancel()
			for _, part := range parts { // The service speaks first, each time.
				if err := conn.Write(ctx, websocket.MessageText, []byte(part)); err != nil {
					s.t.Error(err)
					return
				}
				if kind, got, err := conn.Read(ctx); err != nil || kind != websocket.MessageBinary || string(got) != "I have "+part {
					s.t.Errorf("the service got %v %q and %v, want the client's word that it has %q", kind, got, err, part)
					return
				}
			}
			if err := conn.Close(websocket.StatusNormalClosure, "that was all"); err != nil {
				s.t.Error(err)
			}
		},
		client: func(t *testing.T, s *stage) answer {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, resp, err := websocket.Dial(ctx, s.url(), &websocket.DialOptions{
				HTTPClient: s.http, HTTPHeader: s.request(http.MethodGet, nil).Header, Subprotocols: []string{"chat"},
			})
			if resp == nil {
				t.Fatal(err)
			}
			got := answer{verdict: isServed, header: resp.Header}
			if err != nil {
				got.verdict = refusalOf(t, resp)
				return got
			}
			defer conn.CloseNow() //nolint:errcheck // It was closed.
			if conn.Subprotocol() != "chat" {
				t.Errorf("got the subprotocol %q, want chat", conn.Subprotocol())
			}
			for _, part := range parts {
				if kind, text, err := conn.Read(ctx); err != nil || kind != websocket.MessageText || string(text) != part {
					t.Fatalf("the client got %v %q and %v, want %q", kind, text, err, part)
				}
				if err := conn.Write(ctx, websocket.MessageBinary, []byte("I have "+part)); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("got %v, want a normal end", err)
			}
			return got
		},
	},
	{
		name: "gRPC, unary", over: []string{overH2C, overHTTP2}, path: "/" + echoService + "/", refusal: codes.Unauthenticated.String(),
		client: func(t *testing.T, s *stage) answer {
			ctx, conn := s.dialGRPC()
			var header, trailer metadata.MD
			said := &wrapperspb.StringValue{}
			err := conn.Invoke(ctx, "/"+echoService+"/Say", wrapperspb.String(parts[0]), said, grpc.Header(&header), grpc.Trailer(&trailer))
			if err == nil && (said.Value != parts[0] || !slices.Equal(trailer.Get("echoed"), []string{"1"})) {
				t.Errorf("got %q and the trailer %v, want %q and that one was echoed", said.Value, trailer, parts[0])
			}
			return ofGRPC(header, err)
		},
	},
	{
		name: "gRPC, streaming both ways", over: []string{overH2C, overHTTP2}, path: "/" + echoService + "/", refusal: codes.Unauthenticated.String(),
		client: func(t *testing.T, s *stage) answer {
			ctx, conn := s.dialGRPC()
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+echoService+"/Talk")
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				if err := stream.SendMsg(wrapperspb.String(part)); err != nil && !errors.Is(err, io.EOF) { // RecvMsg says why.
					t.Fatal(err)
				}
				said := &wrapperspb.StringValue{}
				if err := stream.RecvMsg(said); err != nil {
					return ofGRPC(nil, err)
				}
				if said.Value != part {
					t.Errorf("got %q, want %q", said.Value, part)
				}
			}
			if err := stream.CloseSend(); err != nil {
				t.Error(err)
			}
			if err := stream.RecvMsg(&wrapperspb.StringValue{}); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want the end", err)
			}
			if got := stream.Trailer().Get("echoed"); !slices.Equal(got, []string{"3"}) {
				t.Errorf("got the trailer %q, want that three were echoed", got)
			}
			header, err := stream.Header()
			return ofGRPC(header, err)
		},
	},
}

// serveNumbers is a service with a page that has a tag.
func serveNumbers(_ *stage, w http.ResponseWriter, req *http.Request) {
	w.Header().Set("ETag", `"numbers"`)
	http.ServeContent(w, req, "numbers.txt", time.Time{}, strings.NewReader("0123456789"))
}

// requestWithTrailers is a request of which one trailer is the client's to set, and the others are not.
func (s *stage) requestWithTrailers(body string) *http.Request {
	s.t.Helper()
	req := s.request(http.MethodPost, io.NopCloser(strings.NewReader(body)))
	req.ContentLength = -1 // With a length HTTP/1.1 has no trailers.
	req.Trailer = http.Header{"Checksum": {"of the request"}, "X-User-Id": {"mallory"}, "X_user_id": {"mallory"}}
	return req
}

// serveTrailers is a service that looks at the trailers and says which it got, and has some itself.
func serveTrailers(s *stage, w http.ResponseWriter, req *http.Request) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		s.t.Error(err)
	}
	for name, values := range req.Trailer {
		if name != "Checksum" && len(values) > 0 && req.URL.Path != "/bare/" {
			s.t.Errorf("the service got the trailer %s: %q, which a client must not set", name, values)
		}
	}
	w.Header().Set("Got-Checksum", req.Trailer.Get("Checksum"))
	w.Header().Set("Trailer", "Checksum")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("Checksum", "of the answer")
	w.Header().Set(http.TrailerPrefix+"Unannounced", "as well")
}

// echoParts is a service that answers each part before it gets the next.
func echoParts(s *stage, w http.ResponseWriter, req *http.Request) {
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil && req.ProtoMajor == 1 {
		s.t.Error(err)
	}
	for _, part := range parts {
		if !s.receive(req.Body, part) {
			return
		}
		s.send(w, part)
	}
	s.end(req.Body)
}

// sayOnce is a client that sends a body at once, and wants it back.
func sayOnce(_ *testing.T, s *stage) answer {
	resp, got := s.do(s.request(http.MethodPost, strings.NewReader("what is said")))
	if got.verdict == isServed && s.receive(resp.Body, "what is said") {
		s.end(resp.Body)
	}
	return got
}

// sayParts is a client that sends a body in parts, each once it is told to, and wants them back.
func sayParts(_ *testing.T, s *stage) answer {
	resp, got := s.do(s.request(http.MethodPost, s.upload()))
	if got.verdict != isServed {
		return got
	}
	for _, part := range parts {
		if !s.receive(resp.Body, part) {
			return got
		}
		s.tell()
	}
	s.end(resp.Body)
	return got
}

// asked is a body that remembers whether it was asked for.
type asked struct {
	io.Reader
	was atomic.Bool
}

func (a *asked) Read(to []byte) (int, error) {
	a.was.Store(true)
	return a.Reader.Read(to)
}

const echoService = "echo.Echo"

// dialGRPC is a gRPC client's connection, and the context of a call with the token.
func (s *stage) dialGRPC() (context.Context, *grpc.ClientConn) {
	s.t.Helper()
	with := insecure.NewCredentials()
	if s.over == overHTTP2 {
		with = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(with))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(s.t.Context(), "authorization", "Bearer "+s.token), patience)
	s.t.Cleanup(func() { cancel(); _ = conn.Close() })
	return ctx, conn
}

// ofGRPC is how a call ended.
func ofGRPC(md metadata.MD, err error) answer {
	if err != nil {
		return answer{verdict: status.Code(err).String()}
	}
	return answer{verdict: isServed, header: asHeader(md)}
}

func asHeader(md metadata.MD) http.Header {
	header := http.Header{}
	for name, values := range md {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return header
}

// startEcho starts a gRPC server that sends each message back and, in a trailer, says how many there were.
func startEcho(t *testing.T, current *atomic.Pointer[stage]) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		current.Load().heard <- told{Header: asHeader(md)}
		for n := 0; ; n++ {
			said := &wrapperspb.StringValue{}
			err := stream.RecvMsg(said)
			if errors.Is(err, io.EOF) {
				stream.SetTrailer(metadata.Pairs("echoed", fmt.Sprint(n)))
				return nil
			}
			if err != nil {
				return err
			}
			if err := stream.SendMsg(said); err != nil {
				return err
			}
		}
	}))
	go server.Serve(listener) //nolint:errcheck // It ends with the test.
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// startService starts the service of the current dialogue. It speaks HTTP/1.1 and HTTP/2, both without TLS.
func startService(t *testing.T, current *atomic.Pointer[stage]) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s := current.Load()
		s.heard <- told{Header: req.Header.Clone()}
		if strings.HasSuffix(req.URL.Path, "/again") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.dialogue.service(s, w, req)
	}))
	server.Config.Protocols = bothProtocols()
	server.Start()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// clientsOf has an HTTP client for each protocol. The gateway's certificate is one that it made itself.
func clientsOf(t *testing.T) map[string]*http.Client {
	t.Helper()
	trusting := func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
	var only1, only2 http.Protocols
	only1.SetHTTP1(true)
	only2.SetHTTP2(true)
	// A body that waits for a 100 is sent when that has come, and not because some time has passed.
	transports := map[string]*http.Transport{
		overHTTP1: {Protocols: &only1, ExpectContinueTimeout: patience},
		overHTTPS: {Protocols: &only1, ExpectContinueTimeout: patience, TLSClientConfig: trusting()},
		overHTTP2: {Protocols: &only2, ExpectContinueTimeout: patience, TLSClientConfig: trusting()},
	}
	h2c := http2(t)
	h2c.Transport.(*http.Transport).ExpectContinueTimeout = patience
	quic := &http3.Transport{TLSClientConfig: trusting()}
	t.Cleanup(func() { _ = quic.Close() })
	clients := map[string]*http.Client{overH2C: h2c, overHTTP3: {Transport: quic, Timeout: patience}}
	for name, transport := range transports {
		t.Cleanup(transport.CloseIdleConnections)
		clients[name] = &http.Client{Transport: transport, Timeout: patience}
	}
	return clients
}

// TestProtocols holds each dialogue over each protocol that can carry it, through both of Traefik's proxies: with a
// token that is due for renewal, and with a forged one.
func TestProtocols(t *testing.T) {
	for _, proxy := range []string{"the default proxy", "the fast proxy"} {
		t.Run(proxy, func(t *testing.T) { testProtocols(t, proxy == "the fast proxy") })
	}
}

func testProtocols(t *testing.T, isFast bool) {
	secret := rand.Text() + rand.Text()
	var current atomic.Pointer[stage]
	service, echo := startService(t, &current), startEcho(t, &current)
	secure := freeAddress(t)
	static := map[string]any{"entryPoints": map[string]any{"secure": map[string]any{
		"address": secure, "http": map[string]any{"tls": map[string]any{}}, "http3": map[string]any{},
	}}}
	if isFast { // debug: it marks each request that it forwards.
		static["experimental"] = map[string]any{"fastProxy": map[string]any{"debug": true}}
	}
	router := func(path, service string) map[string]any {
		return map[string]any{"rule": "PathPrefix(`" + path + "`)", "middlewares": []string{"guarded"}, "service": service}
	}
	g := startGateway(t, gateway.Options{Static: static, Dynamic: map[string]any{"http": map[string]any{
		"routers": map[string]any{
			"bare":  map[string]any{"rule": "PathPrefix(`/bare/`)", "service": "plain"},
			"plain": router("/plain/", "plain"), "h2c": router("/h2c/", "h2c"), "grpc": router("/"+echoService+"/", "grpc"),
		},
		"middlewares": map[string]any{"guarded": guard(secret, map[string]any{"renew": map[string]any{"before": "50%"}})},
		"services": map[string]any{
			"plain": balanced("http://" + service), "h2c": balanced("h2c://" + service), "grpc": balanced("h2c://" + echo),
		},
	}}})
	addresses := map[string]string{overHTTP1: strings.TrimPrefix(g.URL(), "http://")}
	addresses[overH2C] = addresses[overHTTP1]
	for _, over := range []string{overHTTPS, overHTTP2, overHTTP3} {
		addresses[over] = secure
	}
	clients := clientsOf(t)

	for _, d := range dialogues {
		over := d.over
		if over == nil {
			over = []string{overHTTP1, overHTTPS, overH2C, overHTTP2, overHTTP3}
		}
		for _, over := range over {
			open := func(t *testing.T, key string) *stage {
				s := &stage{
					t: t, dialogue: d, over: over, address: addresses[over], token: dueToken(t, key), isForged: key != secret, isFast: isFast,
					http: clients[over], heard: make(chan told, 10), ack: make(chan struct{}, 10), left: make(chan struct{}, 1),
				}
				current.Store(s)
				return s
			}
			if d.not != nil {
				if why := d.not(over, isFast); why != "" {
					t.Run(d.name+", "+over, func(t *testing.T) { t.Skip(why) })
					continue
				}
			}
			t.Run(d.name+", "+over, func(t *testing.T) {
				s := open(t, secret)
				got := d.client(t, s)
				if got.verdict != isServed {
					t.Fatalf("got %s, want it served", got.verdict)
				}
				s.checkHeard(t)
				if d.in1xx == nil || !d.in1xx(over) {
					wantRenewal(t, secret, s.token, got.header)
					return
				}
				s.checkIn1xx(t, secret, got)
			})
			t.Run(d.name+", "+over+", with a forged token", func(t *testing.T) {
				s := open(t, rand.Text()+rand.Text())
				want := d.refusal
				if want == "" {
					want = "401 bad_signature"
				}
				got := d.client(t, s)
				if got.verdict != want {
					t.Errorf("got %s, want %s", got.verdict, want)
				}
				if renewed := got.header["Authorization"]; renewed != nil {
					t.Errorf("a refusal renewed: %q", renewed)
				}
				select {
				case was := <-s.heard:
					t.Errorf("it reached the service: %v", was.Header)
				default:
				}
			})
		}
	}

	for line := range strings.Lines(g.Logs()) {
		if strings.Contains(line, `"level":"error"`) {
			t.Errorf("the gateway logged %s", line)
		}
	}
}

// dueToken is one of ada's, of which a sixth is left.
func dueToken(t *testing.T, key string) string {
	t.Helper()
	begin := time.Now().Add(-50 * time.Minute)
	claims := jwt.MapClaims{"sub": "ada", "jti": rand.Text(), "iat": begin.Unix(), "exp": begin.Add(time.Hour).Unix()}
	return signed(t, jwt.NewWithClaims(jwt.SigningMethodHS256, claims), []byte(key))
}

// checkHeard looks at what the service was told: the claims, and not the token.
func (s *stage) checkHeard(t *testing.T) {
	t.Helper()
	var was told
	select {
	case was = <-s.heard:
	default:
		t.Fatal("the service heard nothing")
	}
	if got := was.Header["X-User-Id"]; !slices.Equal(got, []string{"ada"}) {
		t.Errorf("the service got X-User-Id: %q, want ada", got)
	}
	if text := headerText(was.Header); strings.Contains(text, s.token) || was.Header["Authorization"] != nil {
		t.Errorf("the service got the token: %s", text)
	}
	// What is HTTP/2 to the service never goes through the fast proxy.
	if got, want := was.Header.Get("X-Traefik-Fast-Proxy") != "", s.isFast && s.dialogue.path == ""; got != want {
		t.Errorf("the fast proxy forwarded it: got %t, want %t", got, want)
	}
}

// checkIn1xx looks for the renewed token in an interim response, and in the answer to the client's next request.
func (s *stage) checkIn1xx(t *testing.T, secret string, got answer) {
	t.Helper()
	if renewed := got.header["Authorization"]; renewed != nil {
		t.Errorf("the final response has a renewed token as well: %q", renewed)
	}
	isRenewed := false
	for _, interim := range got.interim {
		if interim.header.Get("Authorization") != "" {
			wantRenewal(t, secret, s.token, interim.header)
			isRenewed = true
		}
	}
	if !isRenewed {
		t.Errorf("got the interim responses %v, want a renewed token in one", got.interim)
	}
	req := s.request(http.MethodGet, nil)
	req.URL.Path += "again"
	_, next := s.do(req)
	wantRenewal(t, secret, s.token, next.header)
}

// wantRenewal checks the renewed token of a response.
func wantRenewal(t *testing.T, secret, presented string, header http.Header) {
	t.Helper()
	lines := header["Authorization"]
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "Bearer ") || header.Get("Token-Expires-In") == "" {
		t.Errorf("got %v, want one renewed token and when it expires", header)
		return
	}
	var claims [2]jwt.MapClaims
	for i, text := range []string{presented, strings.TrimPrefix(lines[0], "Bearer ")} {
		claims[i] = jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(text, claims[i], func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
			t.Errorf("token %d: %v", i, err)
			return
		}
	}
	before, after := claims[0], claims[1]
	if after["sub"] != "ada" || after["jti"] == before["jti"] || after["exp"].(float64) <= before["exp"].(float64) || after["auth_time"] != before["iat"] {
		t.Errorf("got the renewed claims %v from %v", after, before)
	}
}
