package system

import (
	"slices"
	"sync"
)

// gateways are the hosts and ports that the balancer sends requests to.
type gateways struct {
	mu    sync.Mutex
	hosts []string
}

func (g *gateways) add(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hosts = append(g.hosts, host)
}

// remove takes a gateway out, as a balancer's health check does with one that has not read its configuration yet.
func (g *gateways) remove(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hosts = slices.DeleteFunc(g.hosts, func(other string) bool { return other == host })
}

func (g *gateways) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.hosts)
}
