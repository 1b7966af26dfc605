package vectors

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/slidingjwt/slidingjwt/demo/conformance/vectors/probe"
)

// question asks whether a signature is one of a message under a key set, as a token with this alg and kid would have it.
type question struct {
	set, alg, kid    string
	input, signature []byte
}

// primitive answers a question: see probe.Signature.
type primitive func(set, alg, kid, input, signature string) string

func (p primitive) answer(q question) string {
	return p(q.set, q.alg, q.kid, string(q.input), string(q.signature))
}

// primitives are the plugin's decision on signatures, compiled and interpreted.
func primitives(t *testing.T) []primitive {
	t.Helper()
	var all []primitive
	for _, e := range bothways.Engines(t) {
		if e.Name == bothways.Native.Name {
			all = append(all, probe.Signature)
		} else {
			all = append(all, interpreted(t))
		}
	}
	return all
}

const probePath = "github.com/slidingjwt/slidingjwt/demo/conformance/vectors/probe"

// interpreted loads package probe, and whatever of the plugin it imports, as Traefik loads the plugin.
func interpreted(t *testing.T) primitive {
	t.Helper()
	list, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}\t{{.Dir}}{{end}}", probePath).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	goPath := t.TempDir()
	for _, line := range strings.Split(strings.TrimSpace(string(list)), "\n") {
		path, dir, _ := strings.Cut(line, "\t")
		copySources(t, dir, filepath.Join(goPath, "src", filepath.FromSlash(path)))
	}
	i := interp.New(interp.Options{GoPath: goPath, Env: os.Environ(), Stdout: io.Discard, Stderr: io.Discard})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Eval(`import "` + probePath + `"`); err != nil {
		t.Fatalf("interpreting the probe: %v", err)
	}
	value, err := i.Eval("probe.Signature")
	if err != nil {
		t.Fatal(err)
	}
	signature, ok := value.Interface().(func(set, alg, kid, message, signature string) string)
	if !ok {
		t.Fatalf("got a probe of type %s", value.Type())
	}
	return signature
}

// copySources copies the Go files of a package, without its tests.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob(filepath.Join(from, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(source)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
