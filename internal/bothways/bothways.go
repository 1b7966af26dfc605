// Package bothways runs one test of the middleware both ways: compiled, and interpreted as Traefik runs it. A test is
// a function of an Engine, a middleware is made of Options as Traefik's providers hand them over, and a Spy is the
// service behind it. How a request ended is one text: see Outcome.
//
// A package whose tests use it has
//
//	func TestMain(m *testing.M) { bothways.Main(m) }
//
// The environment variable BOTHWAYS=native or BOTHWAYS=interpreted runs one way alone. The race detector is for the
// compiled one: of the interpreter it reports type information that is built on a first call.
//
// The plugin must not import this package: the interpreter would come along.
package bothways

import (
	"context"
	"net/http"
	"os"
	"testing"

	"github.com/mitchellh/mapstructure"

	"github.com/slidingjwt/slidingjwt"
)

// Options are a configuration as Traefik's providers hand it over.
type Options map[string]any

// With returns the options with some added or replaced; nil removes one. Neither map is changed.
func (o Options) With(others Options) Options {
	all := Options{}
	for name, value := range o {
		all[name] = value
	}
	for name, value := range others {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// Engine runs the middleware, in one of the two ways.
type Engine struct {
	// Name is "native" or "interpreted".
	Name string
	// create decodes options and calls the plugin's New.
	create func(ctx context.Context, next http.Handler, o Options, name string) (http.Handler, error)
	// log is what the plugin logs; nil if it goes to a test's own writer.
	log *buffer
}

// Native is the compiled middleware.
var Native = Engine{Name: "native", log: nativeLog, create: func(ctx context.Context, next http.Handler, o Options, name string) (http.Handler, error) {
	config := slidingjwt.CreateConfig()
	if err := decode(o, config); err != nil {
		return nil, err
	}
	return slidingjwt.New(ctx, next, config, name)
}}

// New creates a middleware, as Traefik does, under the name that a provider gives it.
func (e Engine) New(ctx context.Context, next http.Handler, o Options, name string) (http.Handler, error) {
	return e.create(ctx, next, o, name)
}

// Middleware creates a middleware in front of a spy, and fails the test if New refuses the options.
func (e Engine) Middleware(t testing.TB, o Options) (http.Handler, *Spy) {
	t.Helper()
	service := &Spy{}
	return e.InFront(t, service, o), service
}

// InFront creates a middleware in front of a handler, and fails the test if New refuses the options.
func (e Engine) InFront(t testing.TB, next http.Handler, o Options) http.Handler {
	t.Helper()
	handler, err := e.New(context.Background(), next, o, "jwt@file")
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return handler
}

// Refusal is the error by which New refuses options; nil if it accepts them.
func (e Engine) Refusal(o Options) error {
	_, err := e.New(context.Background(), &Spy{}, o, "jwt@file")
	return err
}

// Run runs a test natively and interpreted, as subtests of these names.
func Run(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) { test(t, engine(t, name)) })
	}
}

// Engines returns both engines, for a comparison of the two or a benchmark.
func Engines(t testing.TB) []Engine {
	t.Helper()
	var engines []Engine
	for _, name := range names(t) {
		engines = append(engines, engine(t, name))
	}
	return engines
}

func names(t testing.TB) []string {
	t.Helper()
	switch only := os.Getenv("BOTHWAYS"); only {
	case "":
		return []string{"native", "interpreted"}
	case "native", "interpreted":
		return []string{only}
	default:
		t.Fatalf("BOTHWAYS: got %q, want native or interpreted", only)
		return nil
	}
}

func engine(t testing.TB, name string) Engine {
	t.Helper()
	if name == Native.Name {
		return Native
	}
	return Interpreted(t)
}

// decode decodes options as Traefik does (its pkg/plugins/middlewareyaegi.go), from a copy each time.
func decode(o Options, config any) error {
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
	return decoder.Decode(fresh(map[string]any(o)))
}

// fresh is a deep copy.
func fresh(value any) any {
	switch v := value.(type) {
	case map[string]any:
		all := map[string]any{}
		for name, member := range v {
			all[name] = fresh(member)
		}
		return all
	case []any:
		all := make([]any, 0, len(v))
		for _, element := range v {
			all = append(all, fresh(element))
		}
		return all
	}
	return value
}
