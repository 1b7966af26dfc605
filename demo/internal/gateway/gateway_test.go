package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// greeting is a plugin that sets a response header and says so; it stands in for slidingjwt.
var greeting = map[string]string{
	"go.mod": "module " + gateway.Module + "\n\ngo 1.22\n",
	"go.sum": "",
	".traefik.yml": "displayName: Greeting\ntype: middleware\nsummary: A test.\nimport: " + gateway.Module +
		"\ntestData: {}\n",
	"plugin_test.go": "This file must not be read.",
	"plugin.go": `package slidingjwt

import (
	"context"
	"fmt"
	"net/http"
)

type Config struct{ Greeting string }

func CreateConfig() *Config { return &Config{} }

func New(_ context.Context, next http.Handler, config *Config, name string) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(name, "greets")
		w.Header().Set("Greeting", config.Greeting)
		next.ServeHTTP(w, r)
	}), nil
}
`,
}

// greets is a dynamic configuration whose one router answers 418 with that greeting.
func greets(plugin, text string) map[string]any {
	return map[string]any{"http": map[string]any{
		"routers": map[string]any{"all": map[string]any{
			"rule": "PathPrefix(`/`)", "middlewares": []string{"greet"}, "service": "noop@internal",
		}},
		"middlewares": map[string]any{"greet": map[string]any{
			"plugin": map[string]any{plugin: map[string]any{"greeting": text}},
		}},
	}}
}

func writeSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range greeting {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func start(t *testing.T, o gateway.Options) *gateway.Gateway {
	t.Helper()
	if o.Source == "" {
		o.Source = writeSource(t)
	}
	g, err := gateway.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

func greetingOf(t *testing.T, g *gateway.Gateway) string {
	t.Helper()
	resp, err := http.Get(g.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.Header.Get("Greeting")
}

func TestReload(t *testing.T) {
	g := start(t, gateway.Options{Dynamic: greets("slidingjwt", "hello")})
	if got := greetingOf(t, g); got != "hello" {
		t.Errorf("got greeting %q, want hello", got)
	}
	for i := range 5 {
		want := "again " + strconv.Itoa(i)
		if err := g.Reload(t.Context(), greets("slidingjwt", want)); err != nil {
			t.Fatal(err)
		}
		if got := greetingOf(t, g); got != want {
			t.Errorf("after a reload: got greeting %q, want %q", got, want)
		}
	}
	if !strings.Contains(g.Logs(), "greet@file greets") {
		t.Error("the plugin's lines are missing from the log")
	}
}

func TestFurtherPluginAndTemplate(t *testing.T) {
	files := map[string]string{}
	for name, text := range greeting {
		files[name] = strings.ReplaceAll(strings.ReplaceAll(text, gateway.Module, "example.com/other"),
			"package slidingjwt", "package other")
	}
	g := start(t, gateway.Options{
		Dynamic: greets("other", `{{ env "GREETING" }}`),
		Env:     []string{"GREETING=from outside"},
		Plugins: map[string]gateway.Plugin{"other": {Module: "example.com/other", Files: files}},
	})
	if got, want := greetingOf(t, g), "from outside"; got != want {
		t.Errorf("got greeting %q, want %q", got, want)
	}
}

func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	tests := []struct {
		name    string
		options gateway.Options
		want    string
	}{
		{"port in use", gateway.Options{Address: taken.Addr().String()}, "address already in use"},
		{"no YAML", gateway.Options{Dynamic: "http: ]"}, "the dynamic configuration: yaml"},
		{"broken plugin", gateway.Options{Plugins: map[string]gateway.Plugin{
			"broken": {Module: "example.com/broken", Files: map[string]string{
				".traefik.yml": strings.ReplaceAll(greeting[".traefik.yml"], gateway.Module, "example.com/broken"),
				"broken.go":    "package broken\n\nvar New string = 1\n",
			}},
		}}, "a plugin cannot be loaded"},
		{"Traefik ends", gateway.Options{Static: map[string]any{
			"entryPoints": map[string]any{"far": map[string]any{"address": "127.0.0.1:65536"}},
		}}, "invalid port"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.options.Source = writeSource(t)
			g, err := gateway.Start(t.Context(), test.options)
			if err == nil {
				g.Stop()
				t.Fatal("got a gateway, want an error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %q, want one with %q", err, test.want)
			}
		})
	}
}

func TestStopLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	g := start(t, gateway.Options{})
	g.Stop()
	if running(g.PID()) {
		t.Errorf("process %d is still there", g.PID())
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "slidingjwt-gateway-*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	g.Stop() // A second time is harmless.
}

// TestParentKilled starts a gateway in a second process and kills that.
func TestParentKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can end a process with its parent")
	}
	if source := os.Getenv("GATEWAY_TEST_SOURCE"); source != "" {
		fmt.Println("pid", start(t, gateway.Options{Source: source}).PID())
		<-t.Context().Done()
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestParentKilled$")
	cmd.Env = append(os.Environ(), "GATEWAY_TEST_SOURCE="+writeSource(t), "TMPDIR="+t.TempDir())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(stdout); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "pid %d", &pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if pid == 0 {
		t.Fatal("the second process started no gateway")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for running(pid) {
		select {
		case <-ctx.Done():
			t.Fatalf("process %d outlives its parent", pid)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// running reports whether a process is there and is not only waiting to be reaped.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
