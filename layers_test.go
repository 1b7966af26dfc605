package slidingjwt_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the packages of this module from the top down, and what each of them imports of the others: only what stands
// below it. The picture in docs/inside.md shows the same.
var layers = []struct{ name, imports string }{
	// For tests. The plugin imports none of these: what it imports, Traefik interprets.
	{"internal/bothways", "."},
	{"internal/minted", ""},

	// The story of a request.
	{".", "internal/keysource internal/revocation internal/fetch internal/file internal/jose internal/claims internal/request internal/logline"},

	// What knows nothing of it.
	{"internal/keysource", "internal/fetch internal/file internal/jose internal/request internal/logline"},
	{"internal/revocation", "internal/fetch internal/file internal/logline"},
	{"internal/fetch", "internal/file internal/request internal/logline"},
	{"internal/file", "internal/logline"},
	{"internal/jose", "internal/logline"},
	{"internal/claims", "internal/logline"},
	{"internal/request", ""},
	{"internal/logline", ""},
}

// The compiler keeps packages from importing each other in a circle. This test keeps each in its layer, and the table true.
func TestLayers(t *testing.T) {
	got := packageImports(t)
	for i, layer := range layers {
		imports, exists := got[layer.name]
		delete(got, layer.name)
		if !exists {
			t.Errorf("%s: the table has it, and the module does not", layer.name)
			continue
		}
		want := strings.Fields(layer.imports)
		for _, name := range imports {
			if !slices.Contains(want, name) {
				t.Errorf("%s imports %s, which the table does not allow", layer.name, name)
			}
		}
		for _, name := range want {
			if !slices.Contains(imports, name) {
				t.Errorf("%s no longer imports %s: take it out of the table", layer.name, name)
			}
			isBelow := slices.ContainsFunc(layers[i+1:], func(other struct{ name, imports string }) bool { return other.name == name })
			if !isBelow {
				t.Errorf("%s imports %s, which is not below it in the table", layer.name, name)
			}
		}
	}
	for name := range got {
		t.Errorf("%s: say in the table what it may import", name)
	}
}

// packageImports are the packages of this module, and what each of them imports of the others. It reads the files itself: Go
// repeats a cached result of a test that asks the go command.
func packageImports(t *testing.T) map[string][]string {
	t.Helper()
	const module = "github.com/slidingjwt/slidingjwt"
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "demo" || path == "vendor" || strings.HasPrefix(path, ".") && path != "."):
			return fs.SkipDir // demo is another module.
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(filepath.Dir(path))
		imports := found[name]
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			rest, isOwn := strings.CutPrefix(imported+"/", module+"/")
			if isOwn {
				imports = append(imports, filepath.ToSlash(filepath.Clean(rest)))
			}
		}
		found[name] = imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestInside looks for what docs/inside.md names, where it says that it is.
func TestInside(t *testing.T) {
	page, err := os.ReadFile("docs/inside.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("`(\\w+)`\\s+in\\s+`([\\w/]+\\.go)`").FindAllStringSubmatch(string(page), -1)
	if len(found) < 15 {
		t.Errorf("got %d names, want more", len(found))
	}
	for _, match := range found {
		name, file := match[1], match[2]
		source, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|var |type )` + name + `\b`)
		if !declared.Match(source) {
			t.Errorf("%s is not declared in %s", name, file)
		}
	}
}
