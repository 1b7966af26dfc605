package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets a test run this program: it is the test binary with DEMO_TEST_RUN set.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_TEST_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is `demo up` with a temporary directory of its own.
func program(t *testing.T, temp string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "up")
	cmd.Env = append(append(os.Environ(), "DEMO_TEST_RUN=1", "TMPDIR="+temp), env...)
	return cmd
}

// TestUp does as a person would: it starts the demo, runs the lines that it prints, and presses
// Ctrl-C.
func TestUp(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed, and the lines to try need it")
	}
	temp := t.TempDir()
	cmd := program(t, temp, "DEMO_ADDR=127.0.0.1:0", "DEMO_LIFETIME=20s", "DEMO_BEFORE=18s")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	var commands []string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
		if strings.Contains(lines.Text(), "curl") && !strings.HasPrefix(lines.Text(), "#") {
			commands = append(commands, lines.Text())
		}
	}
	if len(commands) != 4 {
		t.Fatalf("got %d lines to try, want 4: %q", len(commands), commands)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(commands, "; echo ----; ")).Output()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(out), "----\n")
	for i, want := range []string{
		`^ey[\w-]+\.[\w-]+\.[\w-]+\n$`,
		`^HTTP/1.1 200 OK\r\n(?s:.*)"X-User-Id": \[\s*"ada"`,
		`^HTTP/1.1 200 OK\r\n(?s:.*)Authorization: Bearer ey(?s:.*)"X-User-Id": \[\s*"ada"`,
		`^HTTP/1.1 200 OK\r\n(?s:.*)"X-User-Id": \[\s*"ada"`,
	} {
		if !regexp.MustCompile(want).MatchString(parts[i]) {
			t.Errorf("line %d\n%s\nprinted\n%s\nwant %s", i+1, commands[i], parts[i], want)
		}
	}
	if strings.Contains(parts[1], "Authorization:") {
		t.Errorf("the fresh token was renewed:\n%s", parts[1])
	}

	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // The program ends only if its output is read.
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	url := regexp.MustCompile(`http://[\d.:]+`).FindString(commands[1])
	if resp, err := http.Get(url); err == nil {
		_ = resp.Body.Close()
		t.Errorf("%s still answers", url)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestUpPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	out, err := program(t, t.TempDir(), "DEMO_ADDR="+taken.Addr().String()).CombinedOutput()
	if err == nil {
		t.Error("got success, want an error")
	}
	if want := syscall.EADDRINUSE.Error(); !strings.Contains(string(out), want) {
		t.Errorf("got %q, want it to say %q", out, want)
	}
}
