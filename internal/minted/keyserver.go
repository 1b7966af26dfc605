package minted

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// KeyServer is an issuer's key endpoint that counts its fetches and can change its answer. It ends with the test.
type KeyServer struct {
	*httptest.Server
	fetches atomic.Int64
	answer  atomic.Value // http.HandlerFunc
}

// addresses are those at which there was a key endpoint: the middleware still knows those that ended, and the system gives
// out their ports again.
var addresses sync.Map

// NewKeyServer makes a key endpoint that is to be started.
func NewKeyServer(t testing.TB, answer http.HandlerFunc) *KeyServer {
	t.Helper()
	s := &KeyServer{}
	s.Answer(answer)
	handler := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/openid-configuration") {
			s.fetches.Add(1)
		}
		s.answer.Load().(http.HandlerFunc)(rw, req)
	})
	for isTaken := true; isTaken; {
		s.Server = httptest.NewUnstartedServer(handler)
		t.Cleanup(s.Close)
		_, isTaken = addresses.LoadOrStore(s.Listener.Addr().String(), true)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// Serving starts a key endpoint that answers as Says does.
func Serving(t testing.TB, text string) *KeyServer {
	t.Helper()
	s := NewKeyServer(t, Says(text))
	s.Start()
	return s
}

// Answer changes what the endpoint answers from now on.
func (s *KeyServer) Answer(answer http.HandlerFunc) { s.answer.Store(answer) }

// Fetches is how often its keys were asked for; discovery does not count.
func (s *KeyServer) Fetches() int64 { return s.fetches.Load() }

// ForgetFetches counts from zero on.
func (s *KeyServer) ForgetFetches() { s.fetches.Store(0) }

// WantFetches compares how often its keys were asked for.
func (s *KeyServer) WantFetches(t testing.TB, want int64) {
	t.Helper()
	if got := s.Fetches(); got != want {
		t.Errorf("got %d fetches, want %d", got, want)
	}
}

// Says answers with a text, and OpenID discovery with where that text is.
func Says(text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/.well-known/openid-configuration") {
			issuer := "http://" + req.Host + strings.TrimSuffix(req.URL.Path, "/.well-known/openid-configuration")
			_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
			return
		}
		_, _ = io.WriteString(rw, text)
	}
}

// Hangs answers nothing until the client goes, which a server sees once it has read the body.
func Hangs(_ http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	<-req.Context().Done()
}
