// Package release makes a release of the plugin from the repository's last commit: a tag whose tree has what Traefik
// interprets and what its plugin catalog shows, an archive of that tree, its checksums and its bill of materials.
//
// The catalog serves the archive that GitHub makes of the tag, so it is the tag's tree that has to be small and complete.
// The tagged commit is a child of the one that is released and is on no branch, which is how the dependencies below vendor
// stay out of the branches. Everything in it follows from its parent, its date too, so a release can be made again anywhere
// and compared by the commit's hash.
package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

const (
	name       = "slidingjwt"
	repository = "https://github.com/slidingjwt/slidingjwt"
	// sbomTool lists the modules of the release in the CycloneDX format.
	sbomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
)

// shown are the files that are for people: what the license demands, and what the catalog shows beside the readme.
var shown = []string{"LICENSE", ".assets/icon.png", ".assets/banner.png"}

// Release is what [Make] made.
type Release struct {
	Tag, Commit string
	// Archive is a zip file laid out as the catalog serves it, SBOM a CycloneDX document in JSON, and Checksums has the
	// SHA-256 of both.
	Archive, SBOM, Checksums string
}

// semantic is a semantic version as the catalog wants it of every tag, without build metadata ("+…").
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-` + identifier + `(\.` + identifier + `)*)?$`)

const identifier = `(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)`

// Make makes a release of the repository at root and writes its files to out. The repository gets a tag, and nothing else of
// it changes. A tag that is there already stays as it is: the catalog keeps the first archive of a version that it sees.
func Make(ctx context.Context, root, version, out string) (*Release, error) {
	if !semantic.MatchString(version) {
		return nil, fmt.Errorf("the version %q is not one like v1.2.3", version)
	}
	if _, err := git(ctx, root, nil, "rev-parse", "--quiet", "--verify", "refs/tags/"+version); err == nil {
		return nil, fmt.Errorf("the tag %s exists; the catalog keeps the first archive of a version, so a release needs a new one", version)
	}
	changes, err := git(ctx, root, nil, "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changes != "" {
		return nil, fmt.Errorf("commit these changes first, or take them back:\n%s", changes)
	}
	temp, err := os.MkdirTemp("", "slidingjwt-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)

	// The commit, and the tag, are made in a clone, so an error leaves the repository as it was.
	tree := filepath.Join(temp, "tree")
	if _, err := git(ctx, root, nil, "clone", "--quiet", "--no-checkout", "--template=", root, tree); err != nil {
		return nil, err
	}
	r := &Release{Tag: version}
	if err := fill(ctx, root, tree); err != nil {
		return nil, err
	}
	if r.Commit, err = commit(ctx, tree, version); err != nil {
		return nil, err
	}
	if err := r.write(ctx, tree, out); err != nil {
		return nil, err
	}
	_, err = git(ctx, root, nil, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", tree, "refs/tags/"+version+":refs/tags/"+version)
	return r, err
}

// fill writes the files of the release to tree.
func fill(ctx context.Context, root, tree string) error {
	if err := gateway.Copy(ctx, root, tree); err != nil {
		return err
	}
	source, err := git(ctx, root, nil, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(root, "readme.md"))
	if err != nil {
		return err
	}
	files := map[string][]byte{"readme.md": []byte(absolute(string(readme), source))}
	for _, file := range shown {
		if files[file], err = os.ReadFile(filepath.Join(root, file)); err != nil {
			return err
		}
	}
	for file, content := range files {
		to := filepath.Join(tree, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

var link = regexp.MustCompile(`(\]\(|(?:href|src|srcset)=")([^)"\s]+)`)

// absolute makes links to the repository's files of those that are relative: what they lead to is not in the release, and
// the catalog shows the readme on a page of its own.
func absolute(readme, commit string) string {
	return link.ReplaceAllStringFunc(readme, func(match string) string {
		parts := link.FindStringSubmatch(match)
		before, target := parts[1], parts[2]
		view := "/blob/"
		switch path.Ext(target) {
		case ".svg", ".png":
			view = "/raw/"
		}
		if strings.HasPrefix(target, "#") || strings.Contains(target, ":") {
			return match
		}
		return before + repository + view + commit + "/" + target
	})
}

// commit commits and tags what is in tree, as the author of the commit that is released and at its time.
func commit(ctx context.Context, tree, version string) (string, error) {
	said, err := git(ctx, tree, nil, "show", "--no-patch", "--format=%an%n%ae%n%aI%n%cn%n%ce%n%cI", "HEAD")
	if err != nil {
		return "", err
	}
	var env []string
	for i, value := range strings.Split(said, "\n") {
		env = append(env, []string{
			"GIT_AUTHOR_NAME=", "GIT_AUTHOR_EMAIL=", "GIT_AUTHOR_DATE=", "GIT_COMMITTER_NAME=", "GIT_COMMITTER_EMAIL=", "GIT_COMMITTER_DATE=",
		}[i]+value)
	}
	message := "Release " + version
	for _, args := range [][]string{
		{"add", "--all", "--force", "."},
		{"-c", "commit.gpgSign=false", "commit", "--quiet", "--message", message},
		{"tag", "--annotate", "--message", message, version},
	} {
		if _, err := git(ctx, tree, env, append([]string{"-c", "core.autocrlf=false"}, args...)...); err != nil {
			return "", err
		}
	}
	return git(ctx, tree, nil, "rev-parse", "HEAD")
}

// write writes the release's files.
func (r *Release) write(ctx context.Context, tree, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // It is for everyone to read.
		return err
	}
	base := filepath.Join(out, name+"-"+r.Tag)
	r.Archive, r.SBOM, r.Checksums = base+".zip", base+".cdx.json", base+".sha256"

	// GitHub's archives have one folder, named like this. A zip file has local times.
	prefix := fmt.Sprintf("--prefix=%s-%s-%.7s/", name, name, r.Commit)
	if _, err := git(ctx, tree, []string{"TZ=UTC"}, "archive", "--format=zip", "-9", prefix, "--output", r.Archive, r.Commit); err != nil {
		return err
	}
	if err := sbom(ctx, tree, r.SBOM); err != nil {
		return err
	}
	var sums strings.Builder
	for _, file := range []string{r.Archive, r.SBOM} {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), filepath.Base(file))
	}
	return os.WriteFile(r.Checksums, []byte(sums.String()), 0o644) //nolint:gosec // It is for everyone to read.
}

// sbom writes the bill of materials. The Go command asks a module proxy whether the tool's version is still a good one, and
// the module cache can be that proxy, so it works offline once the tool was downloaded.
func sbom(ctx context.Context, tree, file string) error {
	env, err := run(ctx, tree, nil, "go", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		return err
	}
	cache, proxy, _ := strings.Cut(env, "\n")
	proxies := "GOPROXY=file://" + filepath.ToSlash(filepath.Join(cache, "cache", "download")) + "," + proxy
	_, err = run(ctx, tree, []string{"GOWORK=off", proxies}, "go", "run", "-trimpath", sbomTool, "mod",
		"-json", "-licenses", "-type", "library", "-short-purls", "-noserial", "-notimestamp", "-output", file, ".")
	return err
}

func git(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	return run(ctx, dir, env, "git", args...)
}

// run runs a command in a directory and returns what it prints.
func run(ctx context.Context, dir string, env []string, command string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command, args...) //nolint:gosec // The commands are this package's.
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s %s: %w", command, strings.Join(args, " "), err), errors.New(strings.TrimSpace(stderr.String())))
	}
	return strings.TrimSpace(string(out)), nil
}
