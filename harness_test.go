package slidingjwt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/mitchellh/mapstructure"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/slidingjwt/slidingjwt"
)

// options are a configuration as Traefik's providers hand it over.
type options map[string]any

// engine runs the plugin: compiled, or interpreted as Traefik does.
type engine struct {
	name string
	// new decodes the options as Traefik does and calls New.
	new func(ctx context.Context, next http.Handler, o options, name string) (http.Handler, error)
	log *lockedBuffer
}

// engines returns both. Every table is run by each of them.
func engines(t testing.TB) []engine {
	t.Helper()
	return []engine{native, interpreted(t)}
}

// bothWays runs a test natively and interpreted.
func bothWays(t *testing.T, test func(t *testing.T, e engine)) {
	t.Helper()
	for _, e := range engines(t) {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

var nativeLog = &lockedBuffer{}

var native = engine{name: "native", log: nativeLog, new: func(ctx context.Context, next http.Handler, o options, name string) (http.Handler, error) {
	config := slidingjwt.CreateConfig()
	if err := decode(o, config); err != nil {
		return nil, err
	}
	return slidingjwt.New(ctx, next, config, name)
}}

// decode is what Traefik does to a plugin's options (pkg/plugins/middlewareyaegi.go).
func decode(o options, config any) error {
	if len(o) == 0 {
		return nil
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook:       mapstructure.StringToSliceHookFunc(","),
		WeaklyTypedInput: true,
		Result:           config,
	})
	if err != nil {
		return err
	}
	return decoder.Decode(map[string]any(o))
}

var (
	interpretedOnce   sync.Once
	interpretedEngine engine
	errInterpreted    error
)

// interpreted loads the plugin once a test process: into a temporary GOPATH, as Traefik loads it.
func interpreted(t testing.TB) engine {
	t.Helper()
	interpretedOnce.Do(func() { interpretedEngine, errInterpreted = interpret() })
	if errInterpreted != nil {
		t.Fatal(errInterpreted)
	}
	return interpretedEngine
}

func interpret() (engine, error) {
	goPath, err := os.MkdirTemp("", "slidingjwt-gopath-")
	if err != nil {
		return engine{}, err
	}
	defer os.RemoveAll(goPath)
	if err := layOut(goPath); err != nil {
		return engine{}, err
	}
	output := &lockedBuffer{}
	i := interp.New(interp.Options{GoPath: goPath, Env: os.Environ(), Stdout: output, Stderr: output})
	if err := i.Use(stdlib.Symbols); err != nil {
		return engine{}, err
	}
	if _, err := i.Eval(`import "github.com/slidingjwt/slidingjwt"`); err != nil {
		return engine{}, fmt.Errorf("interpreting the plugin: %w", err)
	}
	fnNew, err := i.Eval("slidingjwt.New")
	if err != nil {
		return engine{}, err
	}
	fnCreateConfig, err := i.Eval("slidingjwt.CreateConfig")
	if err != nil {
		return engine{}, err
	}
	e := engine{name: "interpreted", log: output}
	e.new = func(ctx context.Context, next http.Handler, o options, name string) (http.Handler, error) {
		config := fnCreateConfig.Call(nil)[0]
		if err := decode(o, config.Interface()); err != nil {
			return nil, err
		}
		results := fnNew.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf(name)})
		if err, ok := results[1].Interface().(error); ok && err != nil {
			return nil, err
		}
		handler, ok := results[0].Interface().(http.Handler)
		if !ok {
			return nil, fmt.Errorf("New returned a %T", results[0].Interface())
		}
		return handler, nil
	}
	return e, nil
}

// layOut writes the plugin and its dependencies under a GOPATH.
func layOut(goPath string) error {
	if err := copyGo(".", filepath.Join(goPath, "src", "github.com", "slidingjwt", "slidingjwt")); err != nil {
		return err
	}
	for _, module := range []string{"github.com/golang-jwt/jwt/v5", "github.com/traefik/paerser/types"} {
		list := exec.Command("go", "list", "-f", "{{.Dir}}", module)
		list.Stderr = os.Stderr
		dir, err := list.Output()
		if err != nil {
			return fmt.Errorf("go list %s: %w", module, err)
		}
		target := filepath.Join(goPath, "src", filepath.FromSlash(module))
		if err := copyGo(strings.TrimSpace(string(dir)), target); err != nil {
			return err
		}
	}
	return nil
}

func copyGo(from, to string) error {
	sources, err := filepath.Glob(filepath.Join(from, "*.go"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(source)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// TestMain collects what the native plugin logs, as the interpreter does for the interpreted one.
func TestMain(m *testing.M) {
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	stdout := os.Stdout
	os.Stdout = writer
	log.SetOutput(nativeLog)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The testing package's own lines come by here too.
		_, _ = io.Copy(io.MultiWriter(stdout, nativeLog), reader)
	}()
	code := m.Run()
	_ = writer.Close()
	<-done
	os.Exit(code)
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// spy is a service that remembers the last request that reached it.
type spy struct {
	mu      sync.Mutex
	calls   int
	request *http.Request
	body    string
	// respond answers; nil: 200 with the body "served".
	respond http.HandlerFunc
}

func (s *spy) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	s.mu.Lock()
	s.calls++
	s.request, s.body = req, string(body)
	s.mu.Unlock()
	if s.respond != nil {
		s.respond(rw, req)
		return
	}
	_, _ = io.WriteString(rw, "served")
}

// middleware makes a middleware in front of a spy, and fails the test if New refuses.
func (e engine) middleware(t testing.TB, o options) (http.Handler, *spy) {
	t.Helper()
	service := &spy{}
	handler, err := e.new(context.Background(), service, o, "jwt@file")
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return handler, service
}

// send serves a request that a client sent: in its wire form, so that it is what a server would have parsed.
func send(t testing.TB, handler http.Handler, method, target string, header http.Header, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, target, body)
	for name, values := range header {
		req.Header[name] = values
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}
