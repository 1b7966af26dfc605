package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const traefik = "github.com/traefik/traefik/v3"

// Binary is the path of the Traefik to run: $TRAEFIK if it is set, else a "traefik" on the PATH, each of v3.4 or later. Else it is
// one in the user's cache directory, which comes from a Docker image of this machine, or is built from the module that this one
// requires. It tells log what takes long.
func Binary(ctx context.Context, log io.Writer) (string, error) {
	if name := os.Getenv("TRAEFIK"); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("$TRAEFIK: %w", err)
		}
		if said := version(ctx, path); !isRecent(said) {
			return "", fmt.Errorf("$TRAEFIK: %s says that it is version %q, and v3.4 is the first that runs the plugin", path, said)
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("traefik"); err == nil && isRecent(version(ctx, path)) {
		return filepath.Abs(path)
	}
	required, err := output(ctx, "", "list", "-m", "-f", "{{.Version}}", traefik)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "slidingjwt", "traefik-"+required)
	if isRecent(version(ctx, path)) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	partial := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(partial)
	if image := fromImage(ctx, partial); image != "" {
		_, _ = fmt.Fprintf(log, "Taking Traefik from the Docker image %s.\n", image)
		return path, os.Rename(partial, path)
	}
	_, _ = fmt.Fprintf(log, "Building Traefik %s, once. It takes five to ten minutes; later starts take seconds.\n"+
		"With a traefik of v3.4 or later on the PATH, or its path in $TRAEFIK, there is nothing to build.\n", required)
	if err := build(ctx, partial, required, log); err != nil {
		return "", err
	}
	return path, os.Rename(partial, path)
}

// build builds Traefik as its releases are built, without C: the result runs in any container.
func build(ctx context.Context, path, version string, log io.Writer) error {
	packages, err := output(ctx, "", "list", "-deps", traefik+"/cmd/traefik")
	if err != nil {
		return err
	}
	flags := "-s -w -X " + traefik + "/pkg/version.Version=" + strings.TrimPrefix(version, "v")
	cmd := command(ctx, "", "build", "-v", "-ldflags", flags, "-o", path, traefik+"/cmd/traefik")
	p := &progress{log: log, total: len(strings.Fields(packages)), began: time.Now()}
	cmd.Stderr = p
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", traefik, err, p.last)
	}
	_, _ = fmt.Fprintf(log, "Traefik is built, in %s.\n", time.Since(p.began).Round(time.Second))
	return nil
}

// progress is told by "go build -v" of each package that it compiles. Those that Go's cache has are not told of.
type progress struct {
	log         io.Writer
	total, done int
	began, told time.Time
	last        string
}

// Write implements [io.Writer].
func (p *progress) Write(text []byte) (int, error) {
	p.last = string(text)
	p.done += strings.Count(p.last, "\n")
	if now := time.Now(); now.Sub(p.told) >= tellEvery {
		p.told = now
		_, _ = fmt.Fprintf(p.log, "  %s: %d of at most %d packages\n", now.Sub(p.began).Round(time.Second), min(p.done, p.total), p.total)
	}
	return len(text), nil
}

const tellEvery = 5 * time.Second

// fromImage copies the Traefik out of a Docker image that the engine of this machine has, and returns the image's name. Nothing
// is pulled. It is empty if there is no engine, or no such image.
func fromImage(ctx context.Context, path string) string {
	images, err := exec.CommandContext(ctx, "docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "traefik").Output()
	if err != nil {
		return ""
	}
	for _, image := range strings.Fields(string(images)) {
		id, err := exec.CommandContext(ctx, "docker", "create", image).Output() //nolint:gosec // It is an image's name.
		if err != nil {
			continue
		}
		container := strings.TrimSpace(string(id))
		err = exec.CommandContext(ctx, "docker", "cp", container+":/usr/local/bin/traefik", path).Run() //nolint:gosec // The engine has made the ID.
		_ = exec.CommandContext(ctx, "docker", "rm", container).Run()                                   //nolint:gosec // The engine has made the ID.
		if err == nil && isRecent(version(ctx, path)) {
			return image
		}
	}
	return ""
}

// version is what the Traefik at path says of itself, or nothing.
func version(ctx context.Context, path string) string {
	said, err := exec.CommandContext(ctx, path, "version").Output() //nolint:gosec // The operator chooses it.
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(said)) // Version: 3.6.13 Codename: …
	if len(fields) < 2 {
		return ""
	}
	return fields[1]
}

// isRecent is whether a version is v3.4 or later, of Traefik 3: the first whose interpreter runs the plugin.
func isRecent(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor)
	return err == nil && major == 3 && minor >= 4
}

// command is the Go command in a directory. A workspace around the repository must not change what is built.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // The arguments are this package's.
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	return cmd
}

// output runs the Go command in a directory and returns what it prints.
func output(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := command(ctx, dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
