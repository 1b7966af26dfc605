// Package system is the whole demo in one process: the gateway in front of the login service and of
// two instances of the service. The end-to-end tests start the very same.
package system

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/login"
)

// Settings says what may differ between two systems.
type Settings struct {
	// Dynamic is the gateway's dynamic configuration, the text of dynamic.yml.
	Dynamic string
	// Address is the gateway's. The default is a free port of 127.0.0.1.
	Address string
	// Lifetime is that of the login service's tokens. The default is 60 seconds.
	Lifetime time.Duration
	// Before, MaxSession and Leeway are options of the plugin. The defaults are dynamic.yml's.
	Before, MaxSession, Leeway string
	// Archive is a release to install, as [gateway.Options] has it. The default is the repository's plugin.
	Archive string
	// Log receives what the services have to say. The default is to drop it.
	Log io.Writer
	// GatewayLog receives Traefik's log.
	GatewayLog io.Writer
}

// System is a running demo.
type System struct {
	*gateway.Gateway
	// Key is the one that the login service and the gateway share.
	Key *ecdsa.PrivateKey

	dir     string
	servers []*http.Server
}

// Start starts a system and returns when its gateway is ready.
func Start(ctx context.Context, settings Settings) (*System, error) {
	dir, err := os.MkdirTemp("", "slidingjwt-demo-")
	if err != nil {
		return nil, err
	}
	s := &System{dir: dir}
	if err := s.start(ctx, settings); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *System) start(ctx context.Context, settings Settings) error {
	file := filepath.Join(s.dir, "key.pem")
	var err error
	if s.Key, err = login.Key(file); err != nil {
		return err
	}
	logger := log.New(cmp.Or(settings.Log, io.Discard), "", log.Ltime)
	env := []string{
		"DEMO_KEY=" + file,
		"DEMO_BEFORE=" + settings.Before,
		"DEMO_MAX_SESSION=" + settings.MaxSession,
		"DEMO_LEEWAY=" + settings.Leeway,
	}
	for name, handler := range map[string]http.Handler{
		"DEMO_LOGIN":       login.Handler(s.Key, cmp.Or(settings.Lifetime, time.Minute), logger),
		"DEMO_SERVICE_ONE": echo.Handler("one", logger),
		"DEMO_SERVICE_TWO": echo.Handler("two", logger),
	} {
		url, err := s.serve(handler)
		if err != nil {
			return err
		}
		env = append(env, name+"="+url)
	}
	s.Gateway, err = gateway.Start(ctx, gateway.Options{
		Address: settings.Address,
		Dynamic: settings.Dynamic,
		Archive: settings.Archive,
		Env:     env,
		Log:     settings.GatewayLog,
	})
	return err
}

// serve starts a server on a free port and returns its URL.
func (s *System) serve(handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	go server.Serve(listener) //nolint:errcheck // It ends when Stop closes it.
	return "http://" + listener.Addr().String(), nil
}

// Stop ends the gateway, then the services, and removes the key.
func (s *System) Stop() {
	if s.Gateway != nil {
		s.Gateway.Stop()
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	_ = os.RemoveAll(s.dir)
}
