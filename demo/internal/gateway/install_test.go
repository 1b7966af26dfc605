package gateway

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
)

// installed are the files below the installed plugin's folder.
func installed(t *testing.T, source string) (target string, files []string) {
	t.Helper()
	dir := t.TempDir()
	if err := Install(t.Context(), dir, source); err != nil {
		t.Fatal(err)
	}
	target = sourceDir(dir, Module)
	err := filepath.WalkDir(target, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(target, path)
		files = append(files, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return target, files
}

// Traefik finds the plugin with all that it imports, and none of what only its tests need.
func TestInstall(t *testing.T) {
	target, files := installed(t, "")
	wanted := map[string]bool{
		"plugin.go": false, "config.go": false, "go.mod": false, ".traefik.yml": false,
		"vendor/github.com/golang-jwt/jwt/v5/parser.go": false, "vendor/github.com/traefik/paerser/types/duration.go": false,
	}
	for _, file := range files {
		if _, isWanted := wanted[file]; isWanted {
			wanted[file] = true
		}
		for _, unwanted := range []string{"yaegi", "mapstructure", "_test.go", "testdata", "bothways", "minted", "demo/", "docs/"} {
			if strings.Contains(file, unwanted) {
				t.Errorf("got %s, want nothing of %s", file, unwanted)
			}
		}
	}
	for file, isThere := range wanted {
		if !isThere {
			t.Errorf("%s is missing: got %q", file, files)
		}
	}
	// The catalog reads go.mod too, and refuses a plugin that requires the interpreter.
	for name, want := range map[string]int{"go.mod": 1, "go.sum": 2} {
		text, err := os.ReadFile(filepath.Join(target, name))
		if err != nil {
			t.Fatal(err)
		}
		for module, count := range map[string]int{
			"github.com/golang-jwt/jwt/v5 ": want, "github.com/traefik/paerser ": want,
			"github.com/traefik/yaegi ": 0, "github.com/mitchellh/mapstructure ": 0, "github.com/stretchr/testify ": 0,
		} {
			if got := strings.Count(string(text), module); got != count {
				t.Errorf("%s has %s%d times, want %d:\n%s", name, module, got, count, text)
			}
		}
	}
}

// The packages below the plugin come along if it imports them, directly or not.
func TestInstallPackages(t *testing.T) {
	source := t.TempDir()
	err := writeFiles(source, map[string]string{
		"go.mod": "module " + Module + "\n\ngo 1.22\n", "go.sum": "", ".traefik.yml": "", "notes.txt": "",
		"plugin.go":                "package slidingjwt\n\nimport _ \"" + Module + "/internal/a\"\n",
		"plugin_test.go":           "package slidingjwt\n\nimport _ \"" + Module + "/internal/harness\"\n",
		"internal/a/a.go":          "package a\n\nimport _ \"" + Module + "/internal/a/b\"\n",
		"internal/a/a_test.go":     "package a\n",
		"internal/a/b/b.go":        "package b\n",
		"internal/harness/main.go": "package harness\n",
		"demo/go.mod":              "module " + Module + "/demo\n",
		"demo/main.go":             "package main\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, got := installed(t, source)
	sort.Strings(got)
	want := []string{".traefik.yml", "go.mod", "go.sum", "internal/a/a.go", "internal/a/b/b.go", "plugin.go"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
