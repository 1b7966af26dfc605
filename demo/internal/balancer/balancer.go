// Package balancer is a plain HTTP balancer: each request goes to the next gateway, and to another one if that does not take a
// connection.
package balancer

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync/atomic"
	"time"
)

type transport struct {
	gateways func() []string
	sent     atomic.Uint64
	next     http.RoundTripper
}

// Handler balances over the gateways (host and port) that there are at the time of a request.
func Handler(gateways func() []string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "gateway", r.In.Host // RoundTrip knows which one.
			r.SetXForwarded()
		},
		Transport: &transport{gateways: gateways, next: &http.Transport{
			DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		}},
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// RoundTrip implements [http.RoundTripper]. A request that was never sent is tried at the next gateway.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	failed := errors.New("there is no gateway")
	gateways := t.gateways()
	if len(gateways) == 0 {
		return nil, failed
	}
	first := int(t.sent.Add(1) % uint64(len(gateways))) //nolint:gosec // It is less than the length.
	for _, host := range slices.Concat(gateways[first:], gateways[:first]) {
		out := req.Clone(req.Context())
		out.URL.Host = host
		resp, err := t.next.RoundTrip(out)
		if err == nil {
			return resp, nil
		}
		failed = err
		var dial *net.OpError
		if !errors.As(err, &dial) || dial.Op != "dial" || errors.Is(err, context.Canceled) {
			break
		}
	}
	return nil, failed
}

// Lookup is the addresses of a host and port that a resolver gives at a time, such as a service's in Docker: as many as it is
// scaled to. They are asked for once a second.
func Lookup(hostPort string) (func() []string, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	var last atomic.Value
	last.Store([]string{})
	look := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return // What was found last may still be there.
		}
		slices.Sort(found)
		for i, address := range found {
			found[i] = net.JoinHostPort(address, port)
		}
		last.Store(found)
	}
	look()
	go func() {
		for range time.Tick(time.Second) {
			look()
		}
	}()
	return func() []string { found, _ := last.Load().([]string); return found }, nil
}
