package slidingjwt

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/revocation"
)

// instance is a configuration at work: its settings, which do not change, and the keys, tokens and renewals, which do. All
// middlewares with the same options share one, across routers and reloads.
type instance struct {
	settings  *settings
	own       *keysource.Own
	unnamed   []*keysource.Endpoint          // of no particular issuer: jwksUrl, and trusted issuers without a name
	trusted   map[string]*keysource.Endpoint // by issuer
	endpoints []*keysource.Endpoint          // all of them
	memory    *memory
	renewals  *renewals

	confirmations *confirmations     // nil: nobody is asked
	revocations   *revocation.Source // nil: off

	hasOnlyTrusted bool      // no key is for tokens of other issuers
	outliving      sync.Once // a token that lives longer than maxSession was seen
}

// lookAtKeys checks whether keys or revocations have changed, if that is due: on the first request, and then at most once a second. It
// reads changed files, starts to refresh old key sets and lists, and begins a new generation of the memory if there is a change.
func lookAtKeys(in *instance, at time.Duration) {
	if !in.memory.startLook() {
		return
	}
	scheduleLook(in) // First, since reading a file can take long.
	in.own.Look()
	revoked := lookAtRevocations(in, at)
	ring := keysource.Current(in.own)
	sets := make([]*jose.KeySet, len(in.endpoints))
	for i, endpoint := range in.endpoints {
		sets[i] = endpoint.Refreshed(at)
	}
	signerChanged, isLate := in.memory.endLook(ring, sets, revoked)
	if signerChanged {
		in.renewals.forget()
	}
	if isLate {
		scheduleLook(in)
	}
}

// scheduleLook makes the next look at the keys due after a second, if they can change.
func scheduleLook(in *instance) {
	if in.own.Watches() || len(in.endpoints) > 0 || in.revocations != nil {
		m := in.memory
		time.AfterFunc(lookEvery, func() { m.callForLook() })
	}
}

// lease records since when an instance is unused. Traefik cancels the context of New at the next reload, and calls New again for
// the middlewares that are still in use.
type lease struct {
	instance  *instance
	ctx       context.Context //nolint:containedctx // Only whether it was cancelled is of interest.
	idleSince int64           // in seconds; 0: in use
}

// registry keeps instances and key endpoints, which are costly to make, across middlewares and reloads.
var registry = struct {
	mu          sync.Mutex
	leases      map[string]*lease
	endpoints   map[string]*keysource.Endpoint
	revocations map[string]*revocation.Source
	nextSweep   int64
}{leases: map[string]*lease{}, endpoints: map[string]*keysource.Endpoint{}, revocations: map[string]*revocation.Source{}}

const (
	keptIdle   = 600 // seconds
	sweepEvery = 60
)

// instanceOf returns the instance of a configuration, and makes one only if there is none with the same options. Traefik calls New
// for one router after the other, so two calls never make the same instance.
func instanceOf(ctx context.Context, c *Config) (*instance, error) {
	options, err := json.Marshal(c) //nolint:gosec // It is only a key of the registry.
	if err != nil {
		return nil, unwritable(c)
	}
	now := time.Now().Unix()
	registry.mu.Lock()
	if now >= registry.nextSweep {
		sweep(now)
	}
	shared := registry.leases[string(options)]
	if shared != nil {
		shared.ctx = ctx
		shared.idleSince = 0
	}
	registry.mu.Unlock()
	if shared != nil {
		return shared.instance, nil
	}
	in, err := newInstance(c)
	if err != nil {
		return nil, err
	}
	registry.mu.Lock()
	registry.leases[string(options)] = &lease{instance: in, ctx: ctx}
	registry.mu.Unlock()
	return in, nil
}

// unwritable says what is wrong with options that JSON cannot write. That can only be an unknown one, which newInstance refuses by
// name.
func unwritable(c *Config) error {
	if _, err := newInstance(c); err != nil {
		return err
	}
	return errors.New("the options cannot be read")
}

// newInstance makes the instance of a configuration. It never waits for the network.
func newInstance(c *Config) (*instance, error) {
	s, own, err := compile(c)
	if err != nil {
		return nil, err
	}
	in := &instance{
		settings: s, own: own, trusted: map[string]*keysource.Endpoint{},
		memory: newMemory(c.CacheSize, keysource.Current(own)), renewals: newRenewals(), confirmations: newConfirmations(s.confirm),
	}
	if c.JWKSURL != "" {
		in.unnamed = append(in.unnamed, sharedEndpoint(TrustedIssuer{JWKSURL: c.JWKSURL}, c.ClientConfig))
	}
	for _, trusted := range c.TrustedIssuers {
		endpoint := sharedEndpoint(trusted, c.ClientConfig)
		if trusted.Issuer == "" {
			in.unnamed = append(in.unnamed, endpoint)
		} else {
			in.trusted[trusted.Issuer] = endpoint
			in.endpoints = append(in.endpoints, endpoint)
		}
	}
	in.endpoints = append(in.endpoints, in.unnamed...)
	hasOthers := len(in.unnamed) > 0 || c.SigningSecret != "" || c.PrivateKey != "" || c.PublicKey != "" || c.JWKSFile != ""
	in.hasOnlyTrusted = !hasOthers || s.exchange.isOn // Your own tokens, too, are not exchanged.
	if c.Revocations != "" {
		in.revocations = sharedRevocations(c)
	}
	return in, nil
}

// sharedEndpoint returns the key endpoint with these options, with the keys that it has fetched if it is in use already.
func sharedEndpoint(trusted TrustedIssuer, client ClientConfig) *keysource.Endpoint {
	text, err := json.Marshal([]any{trusted.Issuer, trusted.JWKSURL, trusted.BearerToken, client})
	registry.mu.Lock()
	endpoint := registry.endpoints[string(text)]
	if endpoint == nil || err != nil {
		endpoint = keysource.NewEndpoint(trusted.Issuer, trusted.JWKSURL, trusted.BearerToken, clientOf(client))
		registry.endpoints[string(text)] = endpoint
	}
	registry.mu.Unlock()
	return endpoint
}

// sweep drops instances that have been unused for ten minutes, and the endpoints of no others. The caller holds the lock.
func sweep(now int64) {
	registry.nextSweep = now + sweepEvery
	used := map[*keysource.Endpoint]bool{}
	consulted := map[*revocation.Source]bool{}
	for options, shared := range registry.leases {
		switch {
		case shared.ctx.Err() == nil:
			shared.idleSince = 0
		case shared.idleSince == 0:
			shared.idleSince = now
		case now-shared.idleSince >= keptIdle:
			delete(registry.leases, options)
			continue
		}
		for _, endpoint := range shared.instance.endpoints {
			used[endpoint] = true
		}
		consulted[shared.instance.revocations] = true
	}
	for place, source := range registry.revocations {
		if !consulted[source] {
			delete(registry.revocations, place)
		}
	}
	for address, endpoint := range registry.endpoints {
		if !used[endpoint] {
			delete(registry.endpoints, address)
			endpoint.Abandon()
		}
	}
}
