package vectors

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

// question asks whether a signature is one of a message under a key set, as a token with this alg and kid would have it.
type question struct {
	Set, Alg, KeyID  string
	Input, Signature []byte
}

// valid is the answer to a question whose signature is right. Any other answer says why it is not.
const valid = "valid"

const plugin = "github.com/slidingjwt/slidingjwt"

// primitives are the plugin's decision on signatures, compiled and interpreted: what answers questions in their order. Both
// are the plugin's sources with testdata/probe/probe.go beside them, which alone calls what the plugin does not export.
func primitives(t *testing.T) []func(t *testing.T, questions []question) []string {
	t.Helper()
	var all []func(*testing.T, []question) []string
	for _, e := range bothways.Engines(t) {
		if e.Name == bothways.Native.Name {
			all = append(all, compiled(t))
		} else {
			all = append(all, interpreted(t))
		}
	}
	return all
}

// compiled builds the plugin and the probe as a program.
func compiled(t *testing.T) func(*testing.T, []question) []string {
	t.Helper()
	module := t.TempDir()
	copyFiles(t, root(t), module, "*.go", "go.mod", "go.sum")
	for _, dependency := range dependencies(t) {
		if below, isBelow := strings.CutPrefix(dependency.path, plugin+"/"); isBelow {
			copyFiles(t, dependency.dir, filepath.Join(module, filepath.FromSlash(below)), "*.go")
		}
	}
	copyFiles(t, filepath.Join("testdata", "probe"), module, "probe.go")
	copyFiles(t, filepath.Join("testdata", "probe"), filepath.Join(module, "probe"), "main.go")
	program := filepath.Join(module, "probe.exe")
	build := exec.Command("go", "build", "-mod=mod", "-o", program, "./probe")
	build.Dir = module
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, output)
	}
	return func(t *testing.T, questions []question) []string {
		t.Helper()
		var asked bytes.Buffer
		encoder := json.NewEncoder(&asked)
		for _, q := range questions {
			if err := encoder.Encode(q); err != nil {
				t.Fatal(err)
			}
		}
		run := exec.Command(program)
		run.Stdin = &asked
		output, err := run.Output()
		if err != nil {
			t.Fatalf("the probe: %v", err)
		}
		var answers []string
		for _, line := range strings.Split(string(output), "\n") {
			if !strings.HasPrefix(line, `"`) {
				continue // The plugin prints lines of its own.
			}
			var answer string
			if err := json.Unmarshal([]byte(line), &answer); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		return complete(t, answers, questions)
	}
}

// interpreted loads the plugin and the probe as Traefik loads the plugin.
func interpreted(t *testing.T) func(*testing.T, []question) []string {
	t.Helper()
	goPath := t.TempDir()
	source := func(path string) string { return filepath.Join(goPath, "src", filepath.FromSlash(path)) }
	for _, dependency := range dependencies(t) {
		copyFiles(t, dependency.dir, source(dependency.path), "*.go")
	}
	copyFiles(t, filepath.Join("testdata", "probe"), source(plugin), "probe.go")
	i := interp.New(interp.Options{GoPath: goPath, Env: os.Environ(), Stdout: io.Discard, Stderr: io.Discard})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Eval(`import "` + plugin + `"`); err != nil {
		t.Fatalf("interpreting the plugin: %v", err)
	}
	value, err := i.Eval("slidingjwt.Probe")
	if err != nil {
		t.Fatal(err)
	}
	probe, ok := value.Interface().(func(set, alg, kid, input, signature string) string)
	if !ok {
		t.Fatalf("got a probe of type %s", value.Type())
	}
	return func(t *testing.T, questions []question) []string {
		t.Helper()
		var answers []string
		for _, q := range questions {
			answers = append(answers, probe(q.Set, q.Alg, q.KeyID, string(q.Input), string(q.Signature)))
		}
		return complete(t, answers, questions)
	}
}

func complete(t *testing.T, answers []string, questions []question) []string {
	t.Helper()
	if len(answers) != len(questions) {
		t.Fatalf("got %d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

type dependency struct{ path, dir string }

// dependencies are the plugin and what it imports that is not the standard library's.
func dependencies(t *testing.T) []dependency {
	t.Helper()
	list, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}\t{{.Dir}}{{end}}", plugin).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []dependency
	for _, line := range strings.Split(strings.TrimSpace(string(list)), "\n") {
		path, dir, _ := strings.Cut(line, "\t")
		all = append(all, dependency{path, dir})
	}
	return all
}

// root is the plugin's folder.
func root(t *testing.T) string {
	t.Helper()
	for _, dependency := range dependencies(t) {
		if dependency.path == plugin {
			return dependency.dir
		}
	}
	t.Fatal("the plugin is not among its dependencies")
	return ""
}

// copyFiles copies the files of a folder that match a pattern, but no tests.
func copyFiles(t *testing.T, from, to string, patterns ...string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no %s (%v)", from, pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
