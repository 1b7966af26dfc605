package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/release"
	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

const (
	released = "v0.1.0"
	// mostBytes are for an archive: Traefik downloads it at each start of a new container.
	mostBytes = 400 << 10
)

// TestRelease makes a release of the repository as it is now, reads it as the plugin catalog does, and has Traefik install it.
func TestRelease(t *testing.T) {
	repository, out := snapshot(t), t.TempDir()
	made := makeRelease(t, repository, out)
	files := archived(t, made)
	var manifest struct {
		DisplayName string         `yaml:"displayName"`
		Type        string         `yaml:"type"`
		Import      string         `yaml:"import"`
		Summary     string         `yaml:"summary"`
		IconPath    string         `yaml:"iconPath"`
		BannerPath  string         `yaml:"bannerPath"`
		TestData    map[string]any `yaml:"testData"`
	}
	if err := yaml.Unmarshal([]byte(files[".traefik.yml"]), &manifest); err != nil {
		t.Fatal(err)
	}

	t.Run("the archive has what Traefik interprets, and no more", func(t *testing.T) {
		for _, want := range []string{
			".traefik.yml", "LICENSE", "go.mod", "go.sum", "plugin.go", "readme.md", "vendor/modules.txt",
			"vendor/github.com/golang-jwt/jwt/v5/LICENSE", "vendor/github.com/golang-jwt/jwt/v5/parser.go",
			"vendor/github.com/traefik/paerser/types/duration.go",
		} {
			if files[want] == "" {
				t.Errorf("%s is missing", want)
			}
		}
		for file, content := range files {
			for _, unwanted := range []string{"_test.go", "testdata/", "demo/", "docs/", "bothways", "minted", "yaegi", "mapstructure"} {
				if strings.Contains(file, unwanted) {
					t.Errorf("got %s, want nothing of %s", file, unwanted)
				}
			}
			if path.Ext(file) == ".go" && strings.Contains(content, `"github.com/traefik/yaegi`) {
				t.Errorf("%s imports the interpreter", file)
			}
		}
		info, err := os.Stat(made.Archive)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > mostBytes {
			t.Errorf("got %d bytes, want %d at most", info.Size(), mostBytes)
		}
	})

	t.Run("the catalog accepts it", func(t *testing.T) {
		// https://github.com/traefik/piceus checks these before it runs New with testData.
		for _, forbidden := range []string{"github.com/traefik/yaegi", "github.com/traefik/traefik"} {
			if strings.Contains(files["go.mod"], forbidden) {
				t.Errorf("go.mod requires %s:\n%s", forbidden, files["go.mod"])
			}
		}
		if manifest.DisplayName == "" || manifest.Type != "middleware" || manifest.Import != gateway.Module || manifest.Summary == "" || len(manifest.TestData) == 0 {
			t.Errorf("got the manifest %+v", manifest)
		}
		for _, image := range []string{manifest.IconPath, manifest.BannerPath} {
			if !strings.HasPrefix(files[image], "\x89PNG") {
				t.Errorf("%q is not an image of the archive", image)
			}
		}
	})

	t.Run("the readme's links lead to the repository", func(t *testing.T) {
		if count := strings.Count(files["readme.md"], "](https://github.com/slidingjwt/slidingjwt/blob/"); count < 5 {
			t.Errorf("got %d links, want more:\n%s", count, files["readme.md"])
		}
		for _, match := range link.FindAllStringSubmatch(files["readme.md"], -1) {
			if !strings.HasPrefix(match[1], "#") && !strings.Contains(match[1], "://") {
				t.Errorf("the link %s leads nowhere", match[1])
			}
		}
	})

	t.Run("the checksums and the bill of materials are right", func(t *testing.T) {
		want := ""
		for _, file := range []string{made.Archive, made.SBOM} {
			want += fmt.Sprintf("%x  %s\n", sha256.Sum256(content(t, file)), filepath.Base(file))
		}
		if got := string(content(t, made.Checksums)); got != want {
			t.Errorf("got checksums\n%swant\n%s", got, want)
		}
		type component struct{ Name, Version string }
		var sbom struct {
			Metadata   struct{ Component component }
			Components []component
		}
		if err := json.Unmarshal(content(t, made.SBOM), &sbom); err != nil {
			t.Fatal(err)
		}
		if got, want := sbom.Metadata.Component, (component{gateway.Module, released}); got != want {
			t.Errorf("got the component %v, want %v", got, want)
		}
		var names []string
		for _, c := range sbom.Components {
			names = append(names, c.Name)
		}
		if want := []string{"github.com/golang-jwt/jwt/v5", "github.com/traefik/paerser"}; !slices.Equal(names, want) {
			t.Errorf("got the modules %q, want %q", names, want)
		}
	})

	t.Run("the tag has the archive's files and is on no branch", func(t *testing.T) {
		listed := strings.Fields(git(t, repository, "ls-tree", "-r", "--name-only", released))
		if len(listed) != len(files) {
			t.Errorf("got %d files in the tag, want the archive's %d", len(listed), len(files))
		}
		if got := git(t, repository, "branch", "--contains", released); got != "" {
			t.Errorf("the tag is on %s", got)
		}
		if got, want := git(t, repository, "rev-parse", released+"^{commit}~"), git(t, repository, "rev-parse", "HEAD"); got != want {
			t.Errorf("the tag's parent is %s, want %s", got, want)
		}
		if got := git(t, repository, "status", "--porcelain"); got != "" {
			t.Errorf("the release left changes behind:\n%s", got)
		}
	})

	t.Run("another person makes the same elsewhere, at another time", func(t *testing.T) {
		for name, value := range map[string]string{
			"TZ": "JST-9", "GIT_AUTHOR_NAME": "Grace", "GIT_COMMITTER_NAME": "Grace",
			"GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
		} {
			t.Setenv(name, value)
		}
		clone := filepath.Join(t.TempDir(), "clone")
		git(t, repository, "clone", "--quiet", "--no-tags", ".", clone)
		again := makeRelease(t, clone, t.TempDir())
		if again.Commit != made.Commit {
			t.Errorf("got commit %s, want %s", again.Commit, made.Commit)
		}
		for first, second := range map[string]string{
			made.Archive: again.Archive, made.SBOM: again.SBOM, made.Checksums: again.Checksums,
		} {
			if !bytes.Equal(content(t, first), content(t, second)) {
				t.Errorf("%s and %s differ", first, second)
			}
		}
	})

	t.Run("Traefik installs it", func(t *testing.T) {
		onLinux(t)
		testGateway(t, system.Settings{Archive: made.Archive})
	})

	// The catalog runs New with the manifest's test data. Traefik drops a router whose middleware is refused.
	t.Run("Traefik takes its test data", func(t *testing.T) {
		onLinux(t)
		g := startGateway(t, gateway.Options{Archive: made.Archive, Dynamic: map[string]any{"http": map[string]any{
			"routers":     map[string]any{"test": map[string]any{"rule": "Path(`/`)", "middlewares": []string{"test"}, "service": "ping@internal"}},
			"middlewares": map[string]any{"test": map[string]any{"plugin": map[string]any{"slidingjwt": manifest.TestData}}},
		}}})
		wantProblem(t, ask(t, g.URL(), http.MethodGet, "/", nil, ""), http.StatusUnauthorized, "token_missing")
	})

	t.Run("Traefik does not take half of it", func(t *testing.T) {
		onLinux(t)
		half := filepath.Join(t.TempDir(), "half.zip")
		if err := os.WriteFile(half, content(t, made.Archive)[:mostBytes/10], 0o600); err != nil {
			t.Fatal(err)
		}
		if g, err := gateway.Start(t.Context(), gateway.Options{Archive: half}); err == nil {
			g.Stop()
			t.Error("got a gateway, want an error: the archive is not what Traefik runs")
		}
	})
}

// onLinux skips a test elsewhere: only there does the environment say whom Traefik trusts, so that it asks a stand-in for the
// catalog.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("Traefik asks a stand-in for the plugin catalog on Linux only")
	}
}

func TestReleaseRefuses(t *testing.T) {
	repository := snapshot(t)
	git(t, repository, "tag", released)
	before := git(t, repository, "show-ref")
	refused := func(t *testing.T, version, want string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "dist")
		if _, err := release.Make(t.Context(), repository, version, out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if after := git(t, repository, "show-ref"); after != before {
			t.Errorf("got the references\n%s\nwant\n%s", after, before)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("files were written")
		}
	}
	for _, version := range []string{"", "0.1.0", "v0.1", "v01.0.0", "v1.0.0/x", "v1.0.0 ", "v1.0.0-", "v1.0.0-01", "v1.0.0+1", "latest"} {
		t.Run("the version "+version, func(t *testing.T) { refused(t, version, "is not one like v1.2.3") })
	}
	t.Run("a tag that exists", func(t *testing.T) { refused(t, released, "the tag v0.1.0 exists") })
	t.Run("changes", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(repository, "new.go"), []byte("package slidingjwt\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, "v0.2.0", "new.go")
	})
}

// snapshot is a repository whose one commit has the files of this one as they are now.
func snapshot(t *testing.T) string {
	t.Helper()
	root, err := gateway.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "snapshot")
	git(t, root, "init", "--quiet", "--initial-branch=main", dir)
	for _, name := range strings.Split(git(t, root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"), "\x00") {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && !info.IsDir() { // It may have been deleted.
			copyFile(t, filepath.Join(dir, name), filepath.Join(root, name))
		}
	}
	git(t, dir, "add", "--all")
	git(t, dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgSign=false", "commit", "--quiet", "--message", "Snapshot")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, []string{"git", "-C", dir}, args...))
}

func makeRelease(t *testing.T, repository, out string) *release.Release {
	t.Helper()
	made, err := release.Make(t.Context(), repository, released, out)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func content(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// archived are the files in a release's archive, without the folder that they are in.
func archived(t *testing.T, made *release.Release) map[string]string {
	t.Helper()
	archive, err := zip.OpenReader(made.Archive)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	folder := "slidingjwt-slidingjwt-" + made.Commit[:7] + "/"
	files := map[string]string{}
	for _, entry := range archive.File {
		name, inside := strings.CutPrefix(entry.Name, folder)
		if !inside {
			t.Fatalf("%s is not in %s", entry.Name, folder)
		}
		if entry.FileInfo().IsDir() {
			continue
		}
		reader, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	return files
}
