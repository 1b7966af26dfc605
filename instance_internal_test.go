package slidingjwt

import (
	"context"
	"testing"
	"time"
)

// What is shared is dropped once it has not been in use for ten minutes, and not before.
func TestSweep(t *testing.T) {
	c := CreateConfig()
	c.JWKSURL = "https://swept.example"
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	in, err := instanceOf(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	isKept := func(at int64) bool {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		sweep(at)
		registry.nextSweep = 0
		instanceKept, endpointKept := false, false
		for _, shared := range registry.leases {
			instanceKept = instanceKept || shared.instance == in
		}
		for _, shared := range registry.endpoints {
			endpointKept = endpointKept || shared == in.endpoints[0]
		}
		if instanceKept != endpointKept {
			t.Errorf("instance kept: %t, endpoint kept: %t, want the same", instanceKept, endpointKept)
		}
		return instanceKept
	}
	if !isKept(now + 3600) {
		t.Error("dropped while in use")
	}
	cancel()
	if !isKept(now+3600) || !isKept(now+3600+keptIdle-1) {
		t.Error("dropped before ten minutes")
	}
	// A reload brings it back.
	again, err := instanceOf(context.Background(), c)
	if err != nil || again != in {
		t.Errorf("got another instance (%v), want the same", err)
	}
	if !isKept(now + 3600 + keptIdle + 1) {
		t.Error("dropped after it was used again")
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if _, err := instanceOf(ended, c); err != nil {
		t.Fatal(err)
	}
	if isKept(now+10_000) && isKept(now+10_000+keptIdle) {
		t.Error("kept after ten minutes")
	}
	fresh, err := instanceOf(context.Background(), c)
	if err != nil || fresh == in || fresh.endpoints[0] == in.endpoints[0] {
		t.Errorf("got what was dropped (%v), want another instance and endpoint", err)
	}
}

// An endpoint that other options use stays with all that was fetched.
func TestSweepKeepsSharedEndpoint(t *testing.T) {
	c := CreateConfig()
	c.JWKSURL = "https://shared.example"
	ended, end := context.WithCancel(context.Background())
	one, err := instanceOf(ended, c)
	if err != nil {
		t.Fatal(err)
	}
	other := *c
	other.Realm = "other"
	two, err := instanceOf(context.Background(), &other)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || one.endpoints[0] != two.endpoints[0] {
		t.Fatal("got one instance, or two endpoints, want two instances with one endpoint")
	}
	end()
	now := time.Now().Unix()
	registry.mu.Lock()
	sweep(now + 3600)
	sweep(now + 3600 + keptIdle)
	registry.nextSweep = 0
	registry.mu.Unlock()
	if again, err := instanceOf(context.Background(), c); err != nil || again == one || again.endpoints[0] != two.endpoints[0] {
		t.Errorf("got the instance that was dropped, or another endpoint (%v)", err)
	}
}
