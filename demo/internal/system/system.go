// Package system is the whole demo in one process, but for Traefik: its gateways, in front of the page, the login service, an
// OpenID provider and three instances of a service. The end-to-end tests start the very same.
package system

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/balancer"
	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/login"
	"github.com/slidingjwt/slidingjwt/demo/internal/openid"
	"github.com/slidingjwt/slidingjwt/demo/internal/page"
	"github.com/slidingjwt/slidingjwt/demo/internal/signing"
)

// Settings says what may differ between two systems.
type Settings struct {
	// Dynamic is the gateway's dynamic configuration, the text of dynamic.yml.
	Dynamic string
	// Address is the gateway's, or with several gateways the balancer's. The default is a free port of 127.0.0.1.
	Address string
	// Gateways is how many there are. The default is one. Several are behind a balancer.
	Gateways int
	// Lifetime, Before, MaxSession and Leeway are options of the plugin. The defaults are dynamic.yml's.
	Lifetime, Before, MaxSession, Leeway string
	// Archive is a release to install, as [gateway.Options] has it. The default is the repository's plugin.
	Archive string
	// Log receives what the services have to say. The default is to drop it.
	Log io.Writer
	// GatewayLog receives Traefik's log.
	GatewayLog io.Writer
}

// System is a running demo.
type System struct {
	// Gateways are the running Traefiks; the first is always there.
	Gateways []*gateway.Gateway
	// Key is the one that the gateways sign with until it is rotated.
	Key *ecdsa.PrivateKey

	options  gateway.Options
	env      []string
	keys     string // the file of the gateways' key set
	balanced gateways
	url      string
	dir      string
	servers  []*http.Server
}

var names = []string{"one", "two", "three"}

// Start starts a system and returns when its gateways are ready.
func Start(ctx context.Context, settings Settings) (*System, error) {
	dir, err := os.MkdirTemp("", "slidingjwt-demo-")
	if err != nil {
		return nil, err
	}
	s := &System{dir: dir, keys: filepath.Join(dir, "keys.json")}
	if err := s.start(ctx, settings); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *System) start(ctx context.Context, settings Settings) error {
	var err error
	if s.Key, err = signing.Key(s.keys); err != nil {
		return err
	}
	s.env = []string{
		"DEMO_KEYS=" + s.keys,
		"DEMO_LIFETIME=" + settings.Lifetime,
		"DEMO_BEFORE=" + settings.Before,
		"DEMO_MAX_SESSION=" + settings.MaxSession,
		"DEMO_LEEWAY=" + settings.Leeway,
	}
	if err := s.startServices(log.New(cmp.Or(settings.Log, io.Discard), "", log.Ltime)); err != nil {
		return err
	}
	s.options = gateway.Options{
		Dynamic: settings.Dynamic, Archive: settings.Archive, Log: settings.GatewayLog, Address: settings.Address,
	}
	count := max(1, settings.Gateways)
	if count > 1 {
		s.options.Address = ""
		if s.url, err = s.serve(cmp.Or(settings.Address, "127.0.0.1:0"), balancer.Handler(s.balanced.list)); err != nil {
			return err
		}
	}
	for i := range count {
		g, err := s.startGateway(ctx, i, s.options.Address)
		if err != nil {
			return err
		}
		s.Gateways = append(s.Gateways, g)
		s.balanced.add(host(g))
	}
	if count == 1 {
		s.url = s.Gateways[0].URL()
	}
	return nil
}

func (s *System) startServices(logger *log.Logger) error {
	provider, err := openid.Handler(logger)
	if err != nil {
		return err
	}
	for name, handler := range map[string]http.Handler{
		"DEMO_LOGIN":         login.Handler(logger),
		"DEMO_PAGE":          page.Handler(),
		"DEMO_PROVIDER":      provider,
		"DEMO_SERVICE_ONE":   echo.Handler("one", logger),
		"DEMO_SERVICE_TWO":   echo.Handler("two", logger),
		"DEMO_SERVICE_THREE": echo.Handler("three", logger),
	} {
		url, err := s.serve("127.0.0.1:0", handler)
		if err != nil {
			return err
		}
		s.env = append(s.env, name+"="+url)
	}
	return nil
}

func (s *System) startGateway(ctx context.Context, i int, address string) (*gateway.Gateway, error) {
	options := s.options
	options.Address = address
	options.Env = slices.Concat(s.env, []string{"DEMO_GATEWAY=" + names[i%len(names)]})
	g, err := gateway.Start(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", names[i%len(names)], err)
	}
	return g, nil
}

func host(g *gateway.Gateway) string { return strings.TrimPrefix(g.URL(), "http://") }

// Kill ends a gateway at once, as a failing machine does.
func (s *System) Kill(i int) { s.Gateways[i].Kill() }

// Restart starts a killed gateway again, at the same address.
func (s *System) Restart(ctx context.Context, i int) error {
	s.Gateways[i].Stop()
	s.balanced.remove(host(s.Gateways[i]))
	g, err := s.startGateway(ctx, i, host(s.Gateways[i]))
	if err != nil {
		return err
	}
	s.Gateways[i] = g
	s.balanced.add(host(g))
	return nil
}

// Rotate makes a new key that signs from now on. It needs requests on all gateways: they look at the file when one arrives, once
// a second at most.
func (s *System) Rotate(ctx context.Context) error {
	return signing.Rotate(s.keys, func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookedAt):
			return nil
		}
	})
}

// lookedAt is when every gateway has looked at the key set's file, with some time to spare.
const lookedAt = 3 * time.Second

// serve starts a server and returns its URL.
func (s *System) serve(address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	go server.Serve(listener) //nolint:errcheck // It ends when Stop closes it.
	return "http://" + listener.Addr().String(), nil
}

// URL is where a client reaches the system, without a slash at its end.
func (s *System) URL() string { return s.url }

// Logs is what the gateways have logged so far.
func (s *System) Logs() string {
	var all string
	for _, g := range s.Gateways {
		all += g.Logs()
	}
	return all
}

// Exited is closed when the first gateway has ended, whatever the reason.
func (s *System) Exited() <-chan struct{} { return s.Gateways[0].Exited() }

// Stop ends the gateways, then the services, and removes the keys.
func (s *System) Stop() {
	for _, g := range s.Gateways {
		g.Stop()
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	_ = os.RemoveAll(s.dir)
}
