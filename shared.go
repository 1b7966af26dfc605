package slidingjwt

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// lease says since when something shared is not in use. Traefik cancels the context of New at the next reload,
// and calls New again for what is still in use.
type lease struct {
	ctx       context.Context //nolint:containedctx // It is kept for its state alone.
	idleSince int64           // 0: in use
}

// leasedSettings are settings that every middleware with the same options shares.
type leasedSettings struct {
	lease
	settings *settings
}

// registry keeps what is costly across middlewares and reloads.
var registry = struct {
	mu        sync.Mutex
	settings  map[string]*leasedSettings
	endpoints map[string]*keyURL
	nextSweep int64
}{settings: map[string]*leasedSettings{}, endpoints: map[string]*keyURL{}}

const (
	keptIdle   = 600 // seconds
	sweepEvery = 60
)

// sharedSettings returns the settings of a configuration, made anew only for options that are not known. For each router
// Traefik calls New again, so what is known costs little.
func sharedSettings(ctx context.Context, c *Config) (*settings, error) {
	options, err := json.Marshal(c) //nolint:gosec // It stays here: it is what the options are known by.
	if err != nil {
		return nil, unwritable(c)
	}
	now := time.Now().Unix()
	registry.mu.Lock()
	if now >= registry.nextSweep {
		sweep(now)
	}
	shared := registry.settings[string(options)]
	if shared != nil {
		shared.ctx = ctx
		shared.idleSince = 0
		registry.mu.Unlock()
		return shared.settings, nil
	}
	registry.mu.Unlock()
	return newSettings(ctx, c, string(options))
}

// unwritable says what is wrong with options that JSON cannot write: one that does not exist, as those that do can be.
func unwritable(c *Config) error {
	if _, err := compile(c); err != nil {
		return err
	}
	return errors.New("the options cannot be read")
}

// newSettings compiles a configuration. Traefik calls New for one router after the other, so nothing is compiled twice.
func newSettings(ctx context.Context, c *Config, options string) (*settings, error) {
	s, err := compile(c)
	if err != nil {
		return nil, err
	}
	registry.mu.Lock()
	shareEndpoints(s)
	registry.settings[options] = &leasedSettings{lease: lease{ctx: ctx}, settings: s}
	registry.mu.Unlock()
	return s, nil
}

// shareEndpoints gives settings their key endpoints, and those that are known already with all that was fetched.
func shareEndpoints(s *settings) {
	c := s.config
	if c.JWKSURL != "" {
		s.others = sharedEndpoint("", c.JWKSURL, c.ClientConfig)
		s.endpoints = append(s.endpoints, s.others)
	}
	s.trusted = map[string]*keyURL{}
	for _, trusted := range c.TrustedIssuers {
		endpoint := sharedEndpoint(trusted.Issuer, trusted.JWKSURL, c.ClientConfig)
		s.trusted[trusted.Issuer] = endpoint
		s.endpoints = append(s.endpoints, endpoint)
	}
}

func sharedEndpoint(issuer, address string, client ClientConfig) *keyURL {
	text, err := json.Marshal([]any{issuer, address, client})
	endpoint := registry.endpoints[string(text)]
	if endpoint == nil || err != nil {
		endpoint = &keyURL{issuer: issuer, url: address, client: client, unknownAt: -unknownPause}
		registry.endpoints[string(text)] = endpoint
	}
	return endpoint
}

// sweep drops what has not been in use for ten minutes. The caller holds the lock.
func sweep(now int64) {
	registry.nextSweep = now + sweepEvery
	used := map[*keyURL]bool{}
	for fingerprint, shared := range registry.settings {
		switch {
		case shared.ctx.Err() == nil:
			shared.idleSince = 0
		case shared.idleSince == 0:
			shared.idleSince = now
		case now-shared.idleSince >= keptIdle:
			delete(registry.settings, fingerprint)
			continue
		}
		for _, endpoint := range shared.settings.endpoints {
			used[endpoint] = true
		}
	}
	for address, endpoint := range registry.endpoints {
		if !used[endpoint] {
			delete(registry.endpoints, address)
			drop(endpoint)
		}
	}
}
