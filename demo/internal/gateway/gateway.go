// Package gateway runs the real Traefik with the plugin of this repository as a local plugin. The
// demo, the end-to-end tests and the benchmark all start their gateway here, so that what one of
// them shows holds for the others.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Module is the plugin's module path. In a dynamic configuration the plugin's name is "slidingjwt".
const Module = "github.com/slidingjwt/slidingjwt"

const (
	// readyTimeout is for the gateway to bring a configuration into effect: about a second, unless
	// the machine is busy or the configuration is broken.
	readyTimeout = time.Minute
	// stopTimeout is longer than the gateway's own grace period for requests in flight.
	stopTimeout = 10 * time.Second
)

// Options says what to start. The zero value is a gateway on a free port of 127.0.0.1 with no
// router.
type Options struct {
	// Address is that of the entry point "web". The default is "127.0.0.1:0", a free port.
	Address string
	// Dynamic is the dynamic configuration: YAML text, or a value to be encoded as YAML. Traefik
	// runs templates in it, which must stand inside YAML strings.
	Dynamic any
	// Files are further files of dynamic configuration by name, which says their format: ".yml" or
	// ".toml". They stay as they are until the end.
	Files map[string]string
	// Static has further sections of the static configuration. Where the gateway has a section of
	// its own ("entryPoints", "experimental", "log", …), the entries are added to it.
	Static map[string]any
	// Plugins are further local plugins by the name that they have in the configuration.
	Plugins map[string]Plugin
	// Source is the plugin's directory. The default is the repository that the program runs in.
	Source string
	// Archive is a release's zip file. If it is set, Traefik installs that instead, as it installs any plugin of its catalog:
	// it downloads the archive from a server that stands in for the catalog, checks its hash and unpacks it. On Linux only.
	Archive string
	// Binary is the Traefik to run. The default is what [Binary] finds or builds.
	Binary string
	// LogLevel is Traefik's. The default is "DEBUG", the level that a plugin's lines have.
	LogLevel string
	// Log receives Traefik's log, JSON objects one a line, as it is written. It may be nil.
	Log io.Writer
	// Env has further variables of the environment, as "name=value".
	Env []string
}

// Plugin is a local plugin beside slidingjwt.
type Plugin struct {
	// Module is its module path, which its manifest imports.
	Module string
	// Files has its files by name, ".traefik.yml" among them.
	Files map[string]string
}

// Gateway is a running Traefik.
type Gateway struct {
	dir        string
	address    string
	cmd        *exec.Cmd
	log        *logBuffer
	exited     chan struct{}
	catalog    *catalog
	stop       sync.Once
	generation int
}

// Start starts Traefik and returns when its dynamic configuration is in effect. The context bounds
// the start; a gateway that was started runs until [Gateway.Stop].
func Start(ctx context.Context, o Options) (*Gateway, error) {
	address, err := available(o.Address)
	if err != nil {
		return nil, fmt.Errorf("the gateway's address: %w", err)
	}
	if o.Binary == "" {
		if o.Binary, err = Binary(ctx, os.Stderr); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "slidingjwt-gateway-")
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		dir: dir, address: address, log: &logBuffer{tee: o.Log}, exited: make(chan struct{}),
	}
	if err := g.start(ctx, o); err != nil {
		g.Stop()
		return nil, err
	}
	return g, nil
}

func (g *Gateway) start(ctx context.Context, o Options) error {
	if err := install(ctx, g.dir, o); err != nil {
		return err
	}
	if err := writeYAML(g.dir, staticFile, static(g.address, o)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(g.dir, dynamicDir), 0o750); err != nil {
		return err
	}
	if err := writeFiles(filepath.Join(g.dir, dynamicDir), o.Files); err != nil {
		return err
	}
	if err := g.write(o.Dynamic); err != nil {
		return err
	}
	cmd := exec.Command(o.Binary, "--configFile="+staticFile) //nolint:gosec // The caller's Traefik.
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), o.Env...)
	if o.Archive != "" {
		var err error
		if g.catalog, err = startCatalog(g.dir, o.Archive); err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, g.catalog.Env...)
	}
	cmd.Stdout, cmd.Stderr = g.log, g.log
	if err := g.run(cmd); err != nil {
		return err
	}
	if err := g.ready(ctx); err != nil {
		return err
	}
	if line := g.log.find("Plugins are disabled"); line != "" { // Traefik goes on without them.
		return fmt.Errorf("a plugin cannot be loaded; traefik said:\n%s", line)
	}
	return nil
}

// run starts the process and waits for it in the background. On Linux the death of the thread that
// started a process is what ends it with its parent, so that thread is kept for it.
func (g *Gateway) run(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // Whoever cares asks the log: it has the reason.
			close(g.exited)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	g.cmd = cmd
	return nil
}

// URL is the entry point's, without a slash at its end.
func (g *Gateway) URL() string { return "http://" + g.address }

// PID is Traefik's process ID.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Logs is what Traefik has logged so far, JSON objects one a line.
func (g *Gateway) Logs() string { return g.log.String() }

// Exited is closed when Traefik has ended, whatever the reason.
func (g *Gateway) Exited() <-chan struct{} { return g.exited }

// Reload replaces the dynamic configuration and returns when the new one is in effect. It is not
// for concurrent use.
func (g *Gateway) Reload(ctx context.Context, dynamic any) error {
	if err := g.write(dynamic); err != nil {
		return err
	}
	return g.ready(ctx)
}

// Kill ends Traefik at once, in the middle of whatever it does. What was made for it stays until [Gateway.Stop].
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill()
	<-g.exited
}

// Stop ends Traefik, gracefully if it can, and removes what was made for it.
func (g *Gateway) Stop() {
	g.stop.Do(func() {
		if g.cmd != nil {
			_ = g.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-g.exited:
			case <-time.After(stopTimeout):
				_ = g.cmd.Process.Kill()
				<-g.exited
			}
		}
		if g.catalog != nil {
			g.catalog.stop()
		}
		_ = os.RemoveAll(g.dir)
	})
}

// write puts a new generation of the dynamic configuration in place.
func (g *Gateway) write(dynamic any) error {
	g.generation++
	config, err := marked(dynamic, g.generation)
	if err != nil {
		return err
	}
	return writeYAML(filepath.Join(g.dir, dynamicDir), dynamicFile, config)
}

// ready waits until the entry point itself answers with the generation last written: that a file
// was read, or that the API shows it, does not yet mean that requests meet it.
func (g *Gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		if g.answers(ctx) {
			return nil
		}
		select {
		case <-g.exited:
			return fmt.Errorf("traefik ended; it said last:\n%s", g.log.last(10))
		case <-ctx.Done():
			return fmt.Errorf("the configuration did not come into effect: %w; traefik said last:\n%s",
				ctx.Err(), g.log.last(10))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (g *Gateway) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL()+markerPath, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Header.Get(markerHeader) == strconv.Itoa(g.generation)
}

// available resolves an address, a free port if it names none, and refuses one in use: Traefik
// would say so too, but in the middle of its log.
func available(address string) (string, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Root is the directory of the repository that the program runs in.
func Root(ctx context.Context) (string, error) {
	file, err := output(ctx, "", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("run this inside the repository's demo folder: the plugin is read from there")
	}
	return filepath.Dir(filepath.Dir(file)), nil
}
