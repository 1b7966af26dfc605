package main

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/cmd/bench/plugins"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

const (
	hmacSecret = "a secret for the benchmark that is long enough for its hash"
	// unseen tokens come in turn: when one comes again, as many others have come since, so that a memory of
	// cacheSize (10,000) has long let go of it.
	unseen = 12_000
	// profiledFor is how long a profile lasts.
	profiledFor = 10 * time.Second
)

// row is a line of the table: medians over the rounds.
type row struct {
	Name string `json:"name"`
	sample
	Lowest float64  `json:"lowestRatio"`
	Most   float64  `json:"highestRatio"`
	Rounds []sample `json:"rounds,omitempty"` // but a bare one's, which are many
}

// results are what is written.
type results struct {
	When        string  `json:"when"`
	CPU         string  `json:"cpu"`
	Cores       int     `json:"cores"`
	Connections int     `json:"connections"`
	Rounds      int     `json:"rounds"`
	Seconds     float64 `json:"secondsPerRound"`
	Rows        []row   `json:"rows"`
}

func compare(ctx context.Context, s settings) error {
	rounds, duration := 18, 800*time.Millisecond
	if s.short {
		rounds, duration = 4, 300*time.Millisecond
	}
	service := &upstream{}
	targets, stop, err := start(ctx, s, service)
	if err != nil {
		return err
	}
	defer stop()
	if s.only != "" {
		wanted, err := regexp.Compile(s.only)
		if err != nil {
			return err
		}
		all := slices.Clone(targets)
		targets = slices.DeleteFunc(targets, func(t *target) bool { // A bare one stays if a row is compared with it.
			return !slices.ContainsFunc(all, func(row *target) bool {
				return row.base != nil && (row == t || row.base == t) && wanted.MatchString(row.name)
			})
		})
		if len(targets) == 0 {
			return fmt.Errorf("no row is called %q", s.only)
		}
	}
	for _, t := range targets {
		t.connect()
		if err := t.check(ctx, service); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	samples, err := measureAll(ctx, s, service, targets, rounds, duration)
	if err != nil {
		return err
	}
	found := results{
		When: time.Now().UTC().Format(time.DateTime + "Z"), CPU: processor(), Cores: runtime.NumCPU(),
		Connections: connections, Rounds: rounds, Seconds: duration.Seconds(),
	}
	for _, t := range targets {
		found.Rows = append(found.Rows, summarize(t, samples))
	}
	printTable(os.Stdout, found)
	if s.only != "" {
		return nil
	}
	text, err := json.MarshalIndent(found, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(write(s, "results.json", append(text, '\n')), write(s, "chart.svg", chart(found)))
}

// start starts everything, and returns the rows to measure.
func start(ctx context.Context, s settings, service *upstream) (targets []*target, stop func(), err error) {
	key, err := rsa.GenerateKey(cryptorand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	private, public, err := pemOf(key)
	if err != nil {
		return nil, nil, err
	}
	if service.url, err = serve(service); err != nil {
		return nil, nil, err
	}
	verifierURL, err := serve(verifier(&key.PublicKey))
	if err != nil {
		return nil, nil, err
	}
	others, err := plugins.All()
	if err != nil {
		return nil, nil, err
	}
	g, err := startGateway(ctx, s, others, routes(service.url, verifierURL, private, public))
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "slidingjwt-bench-")
	if err != nil {
		g.Stop()
		return nil, nil, err
	}
	haproxy, haproxyPID, stopHAProxy, err := startHAProxy(ctx, dir, service.url, public, hmacSecret)
	stop = func() { stopHAProxy(); g.Stop(); _ = os.RemoveAll(dir) }
	if err != nil {
		stopHAProxy = func() {}
		stop()
		return nil, nil, err
	}

	fmt.Printf("signing %d tokens …\n", unseen)
	fresh, err1 := mint(0, unseen, jwt.SigningMethodRS256, key, nil)
	expired, err2 := mint(0, 1000, jwt.SigningMethodRS256, key, jwt.MapClaims{"exp": time.Now().Unix() - 3600})
	hs256, err3 := mint(0, 100, jwt.SigningMethodHS256, []byte(hmacSecret), nil)
	if err := errors.Join(err1, err2, err3); err != nil {
		stop()
		return nil, nil, err
	}
	url, pid := g.URL(), g.PID()
	seen := fresh[:100]
	bare := &target{name: "bare", url: url + "/bare", tokens: seen, pid: pid, status: 200, served: true}
	passes := func(name, path string, tokens []string) *target {
		return &target{name: name, url: url + path, tokens: tokens, pid: pid, base: bare, status: 200, served: true, claims: true}
	}
	refused := func(name string, tokens []string) *target {
		return &target{name: name, url: url + "/refused", tokens: tokens, pid: pid, base: bare, status: 401}
	}
	renews := func(name string, tokens []string) *target {
		t := passes(name, "/renewing", tokens)
		t.renews = true
		return t
	}
	empty := passes("empty plugin", "/empty", seen)
	empty.claims = false
	// Long enough that the thousand signatures are not all that there is: each is good for ten seconds.
	thousand := renews("renewal due: 1,000 tokens", fresh[1:1001])
	thousand.longer = 10
	targets = []*target{
		bare, empty, passes("five fixed headers, compiled", "/fixed", seen),
		passes("token seen before", "/seen", seen),
		passes("token never seen", "/unseen", fresh),
		refused("refused: garbage", garbage(1000, fresh[0])),
		refused("refused: expired", expired),
		refused("refused: wrong signature", forged(fresh)),
		renews("renewal due: one token", fresh[:1]),
		thousand,
		passes("textbook golang-jwt plugin", "/textbook", seen),
		passes("ForwardAuth, compiled Go", "/forwardauth", seen),
	}
	if haproxy != "" {
		proxied := &target{name: "HAProxy: bare", url: haproxy + "/bare", tokens: seen, pid: haproxyPID, status: 200, served: true}
		targets = append(targets, proxied)
		for _, alg := range []struct {
			name   string
			tokens []string
		}{{"HS256", hs256}, {"RS256", seen}} {
			t := passes("HAProxy: jwt_verify "+alg.name, "", alg.tokens)
			t.url, t.pid, t.base = haproxy+"/"+strings.ToLower(alg.name), haproxyPID, proxied
			targets = append(targets, t)
		}
	}
	return targets, stop, nil
}

// startGateway starts a gateway that logs no refusals, and serves profiles of itself.
func startGateway(ctx context.Context, s settings, others map[string]gateway.Plugin, dynamic map[string]any) (*gateway.Gateway, error) {
	return gateway.Start(ctx, gateway.Options{
		Binary: s.binary, Plugins: others, LogLevel: "ERROR", Dynamic: dynamic,
		Static: map[string]any{"api": map[string]any{"debug": true}},
	})
}

// routes is the gateway's configuration: a router for each way to check a token. Middlewares with different realms
// share no memory.
func routes(serviceURL, verifierURL, private, public string) map[string]any {
	plugin := func(realm string, more map[string]any) map[string]any {
		options := map[string]any{"privateKey": private, "realm": realm}
		maps.Copy(options, more)
		return middleware(options)
	}
	headers := make([]string, 0, len(forward))
	for header := range forward {
		headers = append(headers, header)
	}
	// What it costs to hand on five headers instead of the token, with no plugin at all.
	fixed := map[string]any{
		"Authorization": "", "X-User-Id": "user-0000000", "X-User-Name": "Ada Lovelace", "X-User-Email": "ada@example.com",
		"X-User-Roles": "buyer,author", "X-Tenant-Id": "t-17",
	}
	middlewares := map[string]any{
		"fixed":       map[string]any{"headers": map[string]any{"customRequestHeaders": fixed}},
		"empty":       map[string]any{"plugin": map[string]any{"empty": map[string]any{}}},
		"seen":        plugin("seen", nil),
		"unseen":      plugin("unseen", nil),
		"refused":     plugin("refused", nil),
		"renewing":    plugin("renewing", map[string]any{"renew": map[string]any{"before": "2h"}}),
		"textbook":    map[string]any{"plugin": map[string]any{"textbook": map[string]any{"publicKey": public, "forwardHeaders": forward}}},
		"forwardauth": map[string]any{"chain": map[string]any{"middlewares": []string{"ask", "strip"}}},
		"ask":         map[string]any{"forwardAuth": map[string]any{"address": verifierURL, "authResponseHeaders": headers}},
		"strip":       map[string]any{"headers": map[string]any{"customRequestHeaders": map[string]any{"Authorization": ""}}},
	}
	routed := []string{"empty", "fixed", "seen", "unseen", "refused", "renewing", "textbook", "forwardauth"}
	return dynamic(serviceURL, middlewares, routed...)
}

// middleware is this plugin with five claims to forward, and further options.
func middleware(options map[string]any) map[string]any {
	options["forwardHeaders"] = forward
	return map[string]any{"plugin": map[string]any{"slidingjwt": options}}
}

// dynamic is a configuration with a router for each of those middlewares, a bare one, and the profiles.
func dynamic(serviceURL string, middlewares map[string]any, routed ...string) map[string]any {
	routers := map[string]any{
		"debug": map[string]any{"rule": "PathPrefix(`/debug`)", "service": "api@internal"},
		"bare":  map[string]any{"rule": "Path(`/bare`)", "service": "service", "priority": 100},
	}
	for _, name := range routed {
		routers[name] = map[string]any{"rule": "Path(`/" + name + "`)", "service": "service", "priority": 100, "middlewares": []string{name}}
	}
	return map[string]any{"http": map[string]any{
		"routers": routers, "middlewares": middlewares,
		"services": map[string]any{"service": map[string]any{"loadBalancer": map[string]any{"servers": []any{map[string]any{"url": serviceURL}}}}},
	}}
}

// check asks once, and looks at the whole answer: that the claims are the token's, and not those that the request
// itself brought along.
func (t *target) check(ctx context.Context, service *upstream) error {
	before := service.counts()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", t.tokens[0])
	req.Header.Set("Bench-Echo", "1")
	req.Header.Set("X-User-Id", "spoofed")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != t.status {
		return fmt.Errorf("got %d, want %d: %s", resp.StatusCode, t.status, body)
	}
	if t.status == http.StatusUnauthorized && !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		return fmt.Errorf("got the challenge %q", resp.Header.Get("WWW-Authenticate"))
	}
	if t.claims && (!strings.Contains(string(body), "X-User-Id: user-00") || strings.Contains(string(body), "spoofed")) {
		return fmt.Errorf("the service got\n%s", body)
	}
	if err := t.reached(before, service.counts(), 1); err != nil {
		return fmt.Errorf("%w:\n%s", err, body)
	}
	return nil
}

// measureAll measures every target in every round, between two runs of its bare one, and in proportion to their mean: what
// others take of the machine meanwhile is taken from both. Each round has an order of its own.
func measureAll(ctx context.Context, s settings, service *upstream, targets []*target, rounds int, duration time.Duration) (map[*target][]sample, error) {
	samples := map[*target][]sample{}
	for round := -1; round < rounds; round++ { // The first one warms up.
		var bare *target
		var before sample
		for _, t := range shuffled(targets) {
			var err error
			if t.base != bare {
				bare = t.base
				if before, err = bare.measure(ctx, service, duration); err != nil {
					return nil, err
				}
			}
			var m sample
			if s.profile != "" && round == rounds-1 && bare == targets[0] {
				m, err = t.measureProfiled(ctx, service, s.profile)
			} else {
				m, err = t.measure(ctx, service, duration*time.Duration(max(t.longer, 1)))
			}
			if err != nil {
				return nil, err
			}
			after, err := bare.measure(ctx, service, duration)
			if err != nil {
				return nil, err
			}
			m.Ratio = m.Throughput / ((before.Throughput + after.Throughput) / 2)
			m.Added = m.P50 - (before.P50+after.P50)/2
			before = after
			if round >= 0 {
				samples[t] = append(samples[t], m)
				samples[bare] = append(samples[bare], after)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
	}
	return samples, nil
}

// shuffled are the targets that have a bare one, in a random order, but those of one bare target together.
func shuffled(targets []*target) []*target {
	order := slices.DeleteFunc(slices.Clone(targets), func(t *target) bool { return t.base == nil })
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] }) //nolint:gosec // An order need not be secret.
	slices.SortStableFunc(order, func(a, b *target) int { return strings.Compare(a.base.url, b.base.url) })
	return order
}

// measureProfiled is measure, while the gateway profiles itself.
func (t *target) measureProfiled(ctx context.Context, service *upstream, file string) (sample, error) {
	profile := make(chan error, 1)
	go func() { profile <- writeProfile(ctx, t, file) }()
	m, err := t.measure(ctx, service, profiledFor)
	return m, errors.Join(err, <-profile)
}

// writeProfile has the gateway profile itself.
func writeProfile(ctx context.Context, t *target, file string) error {
	base, _, _ := strings.Cut(strings.TrimPrefix(t.url, "http://"), "/")
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", base, int(profiledFor.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the profile: %d, %w", resp.StatusCode, err)
	}
	return os.WriteFile(file, text, 0o600)
}

// summarize takes the medians of a target's rounds.
func summarize(t *target, samples map[*target][]sample) row {
	all := samples[t]
	r := row{Name: t.name}
	r.Ratio, r.Lowest, r.Most = 1, 1, 1
	r.Throughput = median(all, func(i int) float64 { return all[i].Throughput })
	r.P50 = median(all, func(i int) float64 { return all[i].P50 })
	r.P99 = median(all, func(i int) float64 { return all[i].P99 })
	r.CPU = median(all, func(i int) float64 { return all[i].CPU })
	if t.base != nil {
		r.Rounds = all
		r.Ratio = median(all, func(i int) float64 { return all[i].Ratio })
		r.Added = median(all, func(i int) float64 { return all[i].Added })
		r.Lowest, r.Most = all[0].Ratio, all[0].Ratio
		for _, m := range all {
			r.Lowest, r.Most = min(r.Lowest, m.Ratio), max(r.Most, m.Ratio)
		}
	}
	return r
}

func median(all []sample, value func(i int) float64) float64 {
	values := make([]float64, len(all))
	for i := range all {
		values[i] = value(i)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// processor is the CPU's name, where Linux tells it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(strings.TrimLeft(after, "\t: "), "\n")
	return name
}
