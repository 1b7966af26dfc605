package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// TestCompose starts docker-compose.yml on the Docker engine of this machine, as its first line
// says, with two gateways, and follows one session through them.
func TestCompose(t *testing.T) {
	compose := composeCommand(t)
	if out, err := exec.CommandContext(t.Context(), "docker", "version").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers: %s", out)
	}
	standInForTraefik(t)
	standInForGo(t)

	address := freeAddress(t)
	t.Setenv("DEMO_ADDR", address)
	t.Setenv("DEMO_BEFORE", "59s") // So a token is renewed when it is a second old.
	compose = append(compose, "-f", "docker-compose.yml", "-p", "slidingjwt-test")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(run(t, compose, "logs", "--no-color"))
		}
		run(t, compose, "down", "--volumes", "--rmi", "local", "--timeout", "5")
	})
	run(t, compose, "up", "--build", "--detach", "--scale", "gateway=2")

	url := "http://" + address
	poll(t, func() bool { // Until the port is bound, the gateway up and its configuration read.
		resp, err := http.Get(url + "/api/")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusUnauthorized
	})
	token := logIn(t, url)
	instances, gateways, renewed := map[string]bool{}, map[string]bool{}, false
	poll(t, func() bool {
		resp := call(t, url, token, nil)
		wantHeaders(t, resp, map[string][]string{"X-User-Id": {"ada"}, "X-User-Roles": {"analyst,engineer"}})
		instances[resp.answer.Instance] = true
		gateways[resp.header.Get("X-Gateway")] = true
		if next := resp.renewed(); next != "" {
			token, renewed = next, true
		}
		return renewed && len(instances) == 3 && len(gateways) == 2
	})
	for _, service := range []string{"balancer", "gateway", "login", "page", "provider", "service-one", "service-two", "service-three"} {
		for _, id := range strings.Fields(run(t, compose, "ps", "-q", service)) {
			poll(t, func() bool {
				state := run(t, []string{"docker"}, "inspect", "-f", "{{.State.Health.Status}}", id)
				return strings.TrimSpace(state) == "healthy"
			})
		}
	}
}

// composeCommand is Docker Compose, as a part of docker or on its own.
func composeCommand(t *testing.T) []string {
	t.Helper()
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		t.Skip("neither docker compose nor docker-compose is installed")
	}
	return []string{"docker-compose"}
}

// The two functions below stand in for the images that the Dockerfile starts from where the engine
// does not have them: the test must not depend on a registry. What they build is like the official
// image in all that the demo uses of it, and is removed again.

// standInForTraefik has what the official image has: the binary, where it is, as the entry point.
func standInForTraefik(t *testing.T) {
	const name = "traefik:v3.6.13"
	if hasImage(t, name) {
		return
	}
	binary, err := gateway.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	copyFile(t, filepath.Join(root, "usr", "local", "bin", "traefik"), binary)
	buildImage(t, name, root, `ENTRYPOINT ["/usr/local/bin/traefik"]`)
}

// standInForGo has this machine's Go, and the modules that the demo needs instead of a network.
func standInForGo(t *testing.T) {
	const name = "golang:1.26-alpine"
	if hasImage(t, name) {
		return
	}
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "usr", "local", "go"), os.DirFS(goEnv(t, "GOROOT"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	// To build the demo and to copy the plugin with an empty module cache fetches just what the
	// image must have, from this machine's own cache.
	proxy := "file://" + filepath.ToSlash(filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"))
	t.Setenv("GOMODCACHE", filepath.Join(root, "go", "pkg", "mod"))
	t.Setenv("GOPROXY", proxy+","+goEnv(t, "GOPROXY"))
	t.Setenv("GOFLAGS", "-modcacherw")
	run(t, []string{"go"}, "build", "-o", filepath.Join(t.TempDir(), "demo"), ".")
	if err := gateway.Install(t.Context(), t.TempDir(), ""); err != nil {
		t.Fatal(err)
	}
	buildImage(t, name, root, "ENV PATH=/usr/local/go/bin HOME=/root GOPATH=/go GOTOOLCHAIN=local GOPROXY=off")
}

// standIn labels what is built here. A label passes to all that is built on an image, so the build
// stage, which an engine without BuildKit keeps, can be found and removed as well.
const standIn = "slidingjwt.stand-in"

// hasImage reports whether the engine has an image other than a stand-in that a killed test
// left behind.
func hasImage(t *testing.T, name string) bool {
	t.Helper()
	label := `{{index .Config.Labels "` + standIn + `"}}`
	out, err := exec.CommandContext(t.Context(), "docker", "image", "inspect", "-f", label, name).Output()
	return err == nil && strings.TrimSpace(string(out)) == ""
}

// buildImage makes an image of a directory.
func buildImage(t *testing.T, name, root, instruction string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", "build", "--label", standIn+"=yes", "-t", name, "-f", "-", root)
	cmd.Stdin = strings.NewReader("FROM scratch\nCOPY . /\n" + instruction + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build %s: %v\n%s", name, err, out)
	}
	t.Cleanup(func() {
		run(t, []string{"docker"}, "image", "prune", "--force", "--filter", "label="+standIn)
		run(t, []string{"docker"}, "rmi", name)
	})
}

// run runs a command to its end, also in a cleanup, and returns what it prints.
func run(t *testing.T, command []string, args ...string) string {
	t.Helper()
	args = append(command[1:len(command):len(command)], args...)
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), command[0], args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", command[0], strings.Join(args, " "), err, out)
	}
	return string(out)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(run(t, []string{"go"}, "env", name))
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
