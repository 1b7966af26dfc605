package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forward are the claims that go to the service.
var forward = map[string]string{
	"X-User-Id": "sub", "X-User-Name": "name", "X-User-Email": "email", "X-User-Roles": "roles", "X-Tenant-Id": "tenant_id",
}

// upstream is the service: it answers at once, and counts.
type upstream struct {
	url         string
	all, claims atomic.Int64
}

type counts struct{ all, claims int64 }

func (u *upstream) counts() counts { return counts{u.all.Load(), u.claims.Load()} }

// ServeHTTP implements [http.Handler].
func (u *upstream) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	u.all.Add(1)
	complete := len(req.Header["Authorization"]) == 0
	for name := range forward {
		complete = complete && len(req.Header[name]) == 1 && len(req.Header[name][0]) > 0
	}
	if complete {
		u.claims.Add(1)
	}
	if _, asked := req.Header["Bench-Echo"]; asked {
		_ = req.Header.Write(rw)
		return
	}
	_, _ = io.WriteString(rw, `{"orders":[]}`)
}

// verifier is what ForwardAuth asks: a compiled service that checks a token as the library's documentation shows.
func verifier(key *rsa.PublicKey) http.Handler {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired())
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		raw := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		claims := jwt.MapClaims{}
		if _, err := parser.ParseWithClaims(raw, claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		for header, claim := range forward {
			rw.Header().Set(header, fmt.Sprint(claims[claim]))
		}
	})
}

// serve starts a server on a free port and returns its URL. It ends with the program.
func serve(handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // It ends with the program.
	return "http://" + listener.Addr().String(), nil
}

// haproxyConfig verifies a token and forwards its claims as HAProxy's documentation shows.
const haproxyConfig = `global
  maxconn 256
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
frontend web
  bind %s
  http-request set-var(txn.bearer) http_auth_bearer if !{ path /bare }
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg') if !{ path /bare }
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int') if !{ path /bare }
  http-request set-var(txn.now) date if !{ path /bare }
  http-request deny deny_status 401 if { path /rs256 } !{ var(txn.alg) -m str RS256 }
  http-request deny deny_status 401 if { path /hs256 } !{ var(txn.alg) -m str HS256 }
  http-request deny deny_status 401 if { path /rs256 } !{ var(txn.bearer),jwt_verify(txn.alg,"%s") 1 }
  http-request deny deny_status 401 if { path /hs256 } !{ var(txn.bearer),jwt_verify(txn.alg,"%s") 1 }
  http-request deny deny_status 401 if !{ path /bare } { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request del-header Authorization if !{ path /bare }
%s  default_backend service
backend service
  server one %s
`

// startHAProxy starts HAProxy if it is installed, and returns its URL, its process ID and how to end it. An empty
// URL means that it is not there.
func startHAProxy(ctx context.Context, dir, serviceURL, publicKey, secret string) (url string, pid int, stop func(), err error) {
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return "", 0, func() {}, nil //nolint:nilerr // It is not installed.
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", 0, nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", 0, nil, err
	}
	var headers strings.Builder
	for header, claim := range forward {
		if claim == "roles" {
			claim = "roles[0]" // It reads no lists.
		}
		fmt.Fprintf(&headers, "  http-request set-header %s %%[var(txn.bearer),jwt_payload_query('$.%s')] if !{ path /bare }\n", header, claim)
	}
	keyFile := filepath.Join(dir, "public.pem")
	if err := os.WriteFile(keyFile, []byte(publicKey), 0o600); err != nil {
		return "", 0, nil, err
	}
	config := fmt.Sprintf(haproxyConfig, address, keyFile, secret, headers.String(), strings.TrimPrefix(serviceURL, "http://"))
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", 0, nil, err
	}
	cmd := exec.Command(binary, "-db", "-f", file) //nolint:gosec // The user's HAProxy.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		return "", 0, nil, err
	}
	stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }
	for range 500 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return "http://" + address, cmd.Process.Pid, stop, nil
		}
		select {
		case <-ctx.Done():
			stop()
			return "", 0, nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	return "", 0, nil, errors.New("haproxy does not answer")
}
