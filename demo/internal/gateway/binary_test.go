package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBinary(t *testing.T) {
	required, err := output(t.Context(), "", "list", "-m", "-f", "{{.Version}}", traefik)
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	cached := standIn(t, filepath.Join(cache, "slidingjwt"), "traefik-"+required, required)
	path := os.Getenv("PATH")
	for _, test := range []struct {
		name         string
		onPath, said string // by the one on the PATH, and by $TRAEFIK
		want         string
	}{
		{"the cache's", "", "", "cache"},
		{"v3.4 on the PATH", "3.4.0", "", "PATH"},
		{"a later one on the PATH", "v3.10.2", "", "PATH"},
		{"v3.3 on the PATH", "3.3.9", "", "cache"},
		{"v2 on the PATH", "2.11.0", "", "cache"},
		{"one that does not say its version", "dev", "", "cache"},
		{"$TRAEFIK", "3.6.0", "3.5.1", "TRAEFIK"},
		{"$TRAEFIK of v3.3", "3.6.0", "3.3.9", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dirs := map[string]string{"PATH": t.TempDir(), "TRAEFIK": t.TempDir()}
			want := map[string]string{"cache": cached}
			if test.onPath != "" {
				want["PATH"] = standIn(t, dirs["PATH"], "traefik", test.onPath)
			}
			t.Setenv("PATH", dirs["PATH"]+string(os.PathListSeparator)+path)
			t.Setenv("TRAEFIK", "")
			if test.said != "" {
				want["TRAEFIK"] = standIn(t, dirs["TRAEFIK"], "traefik", test.said)
				t.Setenv("TRAEFIK", want["TRAEFIK"])
			}
			got, err := Binary(t.Context(), t.Output())
			if got != want[test.want] || (err != nil) != (test.want == "") {
				t.Errorf("got %q and error %v, want %q", got, err, want[test.want])
			}
		})
	}
}

// standIn is a program that says that it is a Traefik of a version.
func standIn(t *testing.T, dir, name, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	script := fmt.Sprintf("#!/bin/sh\necho 'Version:      %s'\necho 'Codename:     any'\n", strings.TrimPrefix(version, "v"))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgress(t *testing.T) {
	var said strings.Builder
	p := &progress{log: &said, total: 3}
	_, _ = fmt.Fprint(p, "a\nb\n")
	_, _ = fmt.Fprint(p, "c\n") // It is not told of within five seconds.
	if got, want := said.String(), "2 of at most 3 packages\n"; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q, want one line that ends with %q", got, want)
	}
	if p.done != 3 {
		t.Errorf("got %d packages done, want 3", p.done)
	}
}
