package system

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// balancer is a plain HTTP balancer: each request goes to the next gateway, and to another one if that does not take a connection.
type balancer struct {
	transport http.RoundTripper

	mu       sync.Mutex
	gateways []string // their host and port
	next     int
}

func (s *System) startBalancer(address string) error {
	s.balancer = &balancer{transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
	}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "gateway", r.In.Host // RoundTrip knows which one.
			r.SetXForwarded()
		},
		Transport: s.balancer,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	if address == "" {
		address = "127.0.0.1:0"
	}
	var err error
	s.url, err = s.serve(address, proxy)
	return err
}

func (b *balancer) add(gateway string) {
	u, err := url.Parse(gateway)
	if err != nil {
		return // The gateway has made it.
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gateways = append(b.gateways, u.Host)
}

// remove takes a gateway out, as a balancer's health check does with one that has not read its configuration yet.
func (b *balancer) remove(gateway string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gateways = slices.DeleteFunc(slices.Clone(b.gateways), func(host string) bool { return "http://"+host == gateway })
}

// turn is the gateways in the order in which this request tries them.
func (b *balancer) turn() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	first := b.next % len(b.gateways)
	return append(slices.Clone(b.gateways[first:]), b.gateways[:first]...)
}

// RoundTrip implements [http.RoundTripper]. A request that was never sent is tried at the next gateway.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	var failed error
	for _, host := range b.turn() {
		out := req.Clone(req.Context())
		out.URL.Host = host
		resp, err := b.transport.RoundTrip(out)
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
