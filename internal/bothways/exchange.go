package bothways

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Spy is a service that remembers the last request that reached it.
type Spy struct {
	// Respond answers; nil: 200 with the body "served". It is set before the requests that it answers.
	Respond http.HandlerFunc

	mu      sync.Mutex
	calls   int
	request *http.Request
	body    string
}

// ServeHTTP reads the whole request, and answers it.
func (s *Spy) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	s.mu.Lock()
	s.calls++
	s.request, s.body = req, string(body)
	s.mu.Unlock()
	if s.Respond != nil {
		s.Respond(rw, req)
		return
	}
	_, _ = io.WriteString(rw, "served")
}

// Calls is how many requests reached the service.
func (s *Spy) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Request is the last request that reached the service; nil if none did.
func (s *Spy) Request() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.request
}

// Body is the body of the last request that reached the service.
func (s *Spy) Body() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body
}

// Forget makes the spy forget all requests that have reached it.
func (s *Spy) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.request, s.body = 0, nil, ""
}

// Lines are headers as they stand on the wire, one "Name: value" each; the name's spelling is kept.
type Lines []string

// Header parses the lines, after replacing the placeholders in them.
func (l Lines) Header(placeholders ...string) http.Header {
	h := http.Header{}
	for _, line := range l {
		name, value, _ := strings.Cut(strings.NewReplacer(placeholders...).Replace(line), ": ")
		h[name] = append(h[name], value)
	}
	return h
}

// Bearer is a header with a token.
func Bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// Send serves a request, made as a server would have parsed it.
func Send(t testing.TB, handler http.Handler, method, target string, header http.Header, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, target, body)
	for name, values := range header {
		req.Header[name] = values
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}

// Call serves a gRPC call, which is a POST over HTTP/2. The kind is its Content-Type.
func Call(t testing.TB, handler http.Handler, kind, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, target, http.NoBody)
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/2.0", 2, 0
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", kind)
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}

// Outcome is how a request ended: "served" for a 200 that refuses nothing, the status and the reason for a refusal, such as
// "401 token_expired", and the status alone for anything else. A refused gRPC call, whose status is 200, is "gRPC 16".
func Outcome(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	status := strconv.Itoa(rec.Code)
	switch grpc := rec.Header().Get("Grpc-Status"); {
	case rec.Header().Get("Content-Type") == "application/problem+json":
		if rec.Body.Len() == 0 { // A HEAD's.
			return status
		}
		var problem struct{ Type string }
		if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil {
			t.Fatalf("got the problem %q: %v", rec.Body, err)
		}
		_, code, _ := strings.Cut(problem.Type, "#")
		return status + " " + code
	case grpc != "" && grpc != "0":
		return "gRPC " + grpc
	case rec.Code == http.StatusOK:
		return "served"
	}
	return status
}

// Verdict is the outcome of a GET with a bearer token.
func Verdict(t testing.TB, handler http.Handler, token string) string {
	t.Helper()
	return Outcome(t, Send(t, handler, http.MethodGet, "/", Bearer(token), nil))
}

// Eventually repeats a GET with a bearer token until it has the wanted outcome: keys are looked at once a second.
func Eventually(t testing.TB, handler http.Handler, token, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := Verdict(t, handler, token)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %s for 20 seconds, want %s", got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
