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
)

const traefik = "github.com/traefik/traefik/v3"

// Binary is the path of the Traefik to run: $TRAEFIK if it is set, else a "traefik" on the PATH that
// has the version which this module requires, else one built from that module, once, into the
// user's cache directory. It tells log before it builds.
func Binary(ctx context.Context, log io.Writer) (string, error) {
	if name := os.Getenv("TRAEFIK"); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("$TRAEFIK: %w", err)
		}
		return filepath.Abs(path)
	}
	version, err := output(ctx, "", "list", "-m", "-f", "{{.Version}}", traefik)
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("traefik"); err == nil && isVersion(ctx, path, version) {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "slidingjwt", "traefik-"+version)
	if isVersion(ctx, path, version) {
		return path, nil
	}
	_, _ = fmt.Fprintf(log, "Building Traefik %s, once: this takes five to ten minutes …\n", version)
	if err := build(ctx, path, version); err != nil {
		return "", err
	}
	return path, nil
}

// build builds Traefik as its releases are built, without C: the result runs in any container.
func build(ctx context.Context, path, version string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	partial := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(partial)
	flags := "-s -w -X " + traefik + "/pkg/version.Version=" + strings.TrimPrefix(version, "v")
	if _, err := output(ctx, "", "build", "-ldflags", flags, "-o", partial, traefik+"/cmd/traefik"); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

// isVersion reports whether the Traefik at path says that it is that version.
func isVersion(ctx context.Context, path, version string) bool {
	said, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return false
	}
	fields := strings.Fields(string(said)) // Version: 3.6.13 Codename: …
	return len(fields) > 1 && fields[1] == strings.TrimPrefix(version, "v")
}

// output runs the Go command in a directory and returns what it prints. A workspace around the
// repository must not change what is built.
func output(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // The arguments are this package's.
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
