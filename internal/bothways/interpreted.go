package bothways

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

const module = "github.com/slidingjwt/slidingjwt"

var interpreted = sync.OnceValues(func() (Engine, error) {
	log := &buffer{}
	create, err := interpret(log)
	return Engine{Name: "interpreted", create: create, log: log}, err
})

// Interpreted is the middleware as Traefik interprets it. It is loaded once a process.
func Interpreted(t testing.TB) Engine {
	t.Helper()
	e, err := interpreted()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

type createFunc = func(ctx context.Context, next http.Handler, o Options, name string) (http.Handler, error)

// interpret loads the plugin into an interpreter of its own, as Traefik does, and returns its New. What the plugin
// prints and logs goes to output.
func interpret(output io.Writer) (createFunc, error) {
	goPath, err := os.MkdirTemp("", "slidingjwt-gopath-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(goPath) }() // All of it is read by then.
	if err := layOut(goPath); err != nil {
		return nil, err
	}
	i := interp.New(interp.Options{GoPath: goPath, Env: os.Environ(), Stdout: output, Stderr: output})
	if err := i.Use(stdlib.Symbols); err != nil {
		return nil, err
	}
	if _, err := i.Eval(fmt.Sprintf("import %q", module)); err != nil {
		return nil, fmt.Errorf("interpreting the plugin: %w", err)
	}
	fnNew, errNew := i.Eval("slidingjwt.New")
	fnCreateConfig, errCreateConfig := i.Eval("slidingjwt.CreateConfig")
	if err := errors.Join(errNew, errCreateConfig); err != nil {
		return nil, err
	}
	return func(ctx context.Context, next http.Handler, o Options, name string) (http.Handler, error) {
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
	}, nil
}

// layOut writes the plugin, and whatever it imports that is not the standard library's, under a GOPATH. The Go command
// says where all that is, to the tests of any package of this module, or of one that requires it.
func layOut(goPath string) error {
	list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}\t{{.Dir}}{{end}}", module)
	var stderr bytes.Buffer
	list.Stderr = &stderr
	packages, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list %s: %w\n%s", module, err, stderr.String())
	}
	for _, line := range strings.Split(strings.TrimSpace(string(packages)), "\n") {
		name, dir, _ := strings.Cut(line, "\t")
		if err := copyPackage(dir, filepath.Join(goPath, "src", filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	return nil
}

// copyPackage copies the Go files of a package, without its tests.
func copyPackage(from, to string) error {
	sources, err := filepath.Glob(filepath.Join(from, "*.go"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o750); err != nil {
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
