package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/cmd/bench/plugins"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// point is one place of a growth curve.
type point struct {
	N int `json:"n"`
	row
}

// curve is how a path's cost changes with something.
type curve struct {
	Name   string  `json:"name"`
	Points []point `json:"points"`
	// Slope is how much the ratio to bare changes from the first point to the last, by the line that fits them best.
	Slope float64 `json:"slope"`
	// Spread is how much three runs of the bare gateway differ, as a share of their median.
	Spread float64 `json:"spread"`
}

// held is what the gateway's heap holds after some requests.
type held struct {
	Requests int     `json:"requests"`
	MiB      float64 `json:"mib"`
}

// growth is what is written.
type growth struct {
	When          string             `json:"when"`
	CPU           string             `json:"cpu"`
	Cores         int                `json:"cores"`
	Connections   int                `json:"connections"`
	Curves        []curve            `json:"curves"`
	BytesPerToken map[string]float64 `json:"bytesPerToken"` // by the size of a token
	Stream        []held             `json:"stream"`
	ReloadMS      map[string]float64 `json:"reloadMs"`
	ReloadRatio   float64            `json:"reloadRatio"` // to an empty plugin's
	CPUPerRequest map[string]float64 `json:"cpuPerRequest"`
}

// sizes are how much a run measures.
type sizes struct {
	tokens, keys []int
	stream       int
	rounds       int
	duration     time.Duration
	reloads      int
}

func grow(ctx context.Context, s settings) error {
	size := sizes{[]int{1, 100, 1_000, 10_000, 100_000}, []int{1, 10, 50, 200}, 1_000_000, 15, 700 * time.Millisecond, 41}
	if s.short {
		size = sizes{[]int{1, 100, 10_000}, []int{1, 200}, 50_000, 3, 500 * time.Millisecond, 3}
		fmt.Println("short: up to 10,000 remembered tokens instead of 100,000, and a stream of 50,000 instead of a million")
	}
	service := &upstream{}
	var err error
	if service.url, err = serve(service); err != nil {
		return err
	}
	found := growth{
		When: time.Now().UTC().Format(time.DateTime + "Z"), CPU: processor(), Cores: runtime.NumCPU(), Connections: connections,
	}
	for _, part := range []func(context.Context, settings, sizes, *upstream, *growth) error{growTokens, growKeys, fill, attack, reload} {
		if err := part(ctx, s, size, service, &found); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(found, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(write(s, "growth.json", append(text, '\n')), write(s, "growth.svg", growthChart(found)))
}

// targetsOf returns the bare route of a gateway, and a path of it.
func targetsOf(g *gateway.Gateway, name, path string, tokens []string) (bare, t *target) {
	bare = &target{name: name + ", bare", url: g.URL() + "/bare", tokens: tokens[:1], pid: g.PID(), status: 200, served: true}
	t = &target{name: name, url: g.URL() + path, tokens: tokens, pid: g.PID(), base: bare, status: 200, served: true, claims: true}
	bare.connect()
	t.connect()
	return bare, t
}

// growTokens measures the path of a remembered token. Each number of tokens has a gateway of its own, so that no
// other memory is in its heap; HS256, since signing and verifying are not what is measured.
func growTokens(ctx context.Context, s settings, size sizes, service *upstream, found *growth) error {
	lines, err := mint(0, slices.Max(size.tokens), jwt.SigningMethodHS256, []byte(hmacSecret), nil)
	if err != nil {
		return err
	}
	var targets []*target
	for _, n := range size.tokens {
		g, err := startGateway(ctx, s, nil, dynamic(service.url, map[string]any{
			"seen": middleware(map[string]any{"signingSecret": hmacSecret, "cacheSize": 100_000}),
		}, "seen"))
		if err != nil {
			return err
		}
		defer g.Stop()
		bare, t := targetsOf(g, fmt.Sprintf("%d remembered tokens", n), "/seen", lines[:n])
		if _, err := t.send(ctx, t.tokens); err != nil {
			return err
		}
		targets = append(targets, bare, t)
	}
	return measureCurve(ctx, s, size, service, found, "remembered tokens", size.tokens, targets)
}

// growKeys measures the path of a remembered token whose key is the last of a set.
func growKeys(ctx context.Context, s settings, size sizes, service *upstream, found *growth) error {
	dir, err := os.MkdirTemp("", "slidingjwt-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var targets []*target
	for _, n := range size.keys {
		file := filepath.Join(dir, strconv.Itoa(n)+".json")
		line, err := writeKeys(file, n)
		if err != nil {
			return err
		}
		g, err := startGateway(ctx, s, nil, dynamic(service.url, map[string]any{"seen": middleware(map[string]any{"jwksFile": file})}, "seen"))
		if err != nil {
			return err
		}
		defer g.Stop()
		bare, t := targetsOf(g, fmt.Sprintf("%d keys", n), "/seen", []string{line})
		targets = append(targets, bare, t)
	}
	return measureCurve(ctx, s, size, service, found, "keys in a JWK Set", size.keys, targets)
}

// writeKeys writes a set of n P-256 keys, and returns a token of the last one.
func writeKeys(file string, n int) (string, error) {
	var keys []map[string]string
	var line string
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", err
		}
		public, err := key.PublicKey.Bytes() // 4, x, y
		if err != nil {
			return "", err
		}
		kid := fmt.Sprintf("key-%d", i)
		keys = append(keys, map[string]string{
			"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256",
			"x": base64.RawURLEncoding.EncodeToString(public[1:33]), "y": base64.RawURLEncoding.EncodeToString(public[33:]),
		})
		token := jwt.NewWithClaims(jwt.SigningMethodES256, session(i))
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			return "", err
		}
		line = "Bearer " + text
	}
	set, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		return "", err
	}
	return line, os.WriteFile(file, set, 0o600)
}

// measureCurve measures pairs of a bare target and one with the plugin.
func measureCurve(ctx context.Context, s settings, size sizes, service *upstream, found *growth, name string, ns []int, targets []*target) error {
	for _, t := range targets {
		if err := t.check(ctx, service); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	s.profile = ""
	samples, err := measureAll(ctx, s, service, targets, size.rounds, size.duration)
	if err != nil {
		return err
	}
	c := curve{Name: name}
	fmt.Printf("\n%s\n", name)
	for i, n := range ns {
		p := point{n, summarize(targets[2*i+1], samples)}
		c.Points = append(c.Points, p)
		fmt.Printf("%8d  %6.0f requests/s, %.2f of bare, %.0f µs of the gateway's CPU\n", n, p.Throughput, p.Ratio, p.CPU)
	}
	c.Slope = slope(c.Points)
	// The first three gateways' bare routes serve the same: what they differ by is noise.
	var bare []float64
	for i := 0; i < len(targets) && i < 6; i += 2 {
		bare = append(bare, summarize(targets[i], samples).Throughput)
	}
	slices.Sort(bare)
	c.Spread = (bare[len(bare)-1] - bare[0]) / bare[len(bare)/2]
	fmt.Printf("from first to last the ratio changes by %+.3f; bare runs differ by %.3f\n", c.Slope, c.Spread)
	found.Curves = append(found.Curves, c)
	return nil
}

// slope is the change of the ratio from the first point to the last along the line of least squares over log n.
func slope(points []point) float64 {
	var sumX, sumY, sumXX, sumXY float64
	for _, p := range points {
		x := math.Log10(float64(p.N))
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+p.Ratio, sumXX+x*x, sumXY+x*p.Ratio
	}
	n := float64(len(points))
	perDecade := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return perDecade * math.Log10(float64(points[len(points)-1].N)/float64(points[0].N))
}

// fill measures what remembered tokens hold, and that a stream of others does not make it more.
func fill(ctx context.Context, s settings, size sizes, service *upstream, found *growth) error {
	found.BytesPerToken = map[string]float64{}
	for _, length := range []int{1024, 4096} {
		g, err := startGateway(ctx, s, nil, dynamic(service.url, map[string]any{"seen": middleware(map[string]any{"signingSecret": hmacSecret})}, "seen"))
		if err != nil {
			return err
		}
		err = fillWith(ctx, length, size, g, found)
		g.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

const capacity = 10_000 // the default of cacheSize

func fillWith(ctx context.Context, length int, size sizes, g *gateway.Gateway, found *growth) error {
	lines, err := mintLong(0, capacity, length)
	if err != nil {
		return err
	}
	bare, t := targetsOf(g, fmt.Sprintf("tokens of %d bytes", length), "/seen", lines)
	// What the gateway needs for serving at all is there before anything is remembered but one token.
	_, err1 := bare.send(ctx, lines)
	_, err2 := t.send(ctx, lines[:1])
	before, err3 := heap(ctx, g)
	_, err4 := t.send(ctx, lines)
	after, err5 := heap(ctx, g)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	kept := min(capacity, capacity*1024/length) // A longer token counts once per KiB.
	bytes := (after - before) * (1 << 20) / float64(kept)
	found.BytesPerToken[strconv.Itoa(length)] = bytes
	fmt.Printf("\n%d remembered tokens of %d bytes: %.1f MiB, %.0f bytes a token\n", kept, length, after-before, bytes)
	if length != 1024 {
		return nil
	}
	found.Stream = []held{{capacity, after - before}}
	for sent := capacity; sent < size.stream; sent += capacity {
		if lines, err = mintLong(sent, capacity, length); err != nil {
			return err
		}
		if _, err := t.send(ctx, lines); err != nil {
			return err
		}
		if (sent+capacity)%(size.stream/5) == 0 {
			now, err := heap(ctx, g)
			if err != nil {
				return err
			}
			found.Stream = append(found.Stream, held{sent + capacity, now - before})
			fmt.Printf("after %d distinct tokens: %.1f MiB\n", sent+capacity, now-before)
		}
	}
	return nil
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)

// heap is what the gateway's heap holds after a collection, in MiB.
func heap(ctx context.Context, g *gateway.Gateway) (float64, error) {
	var text []byte
	for range 2 { // What has a finalizer goes with the second collection, and the figure is of the end of the last one.
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL()+"/debug/pprof/heap?gc=1&debug=1", nil)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		text, err = io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return 0, err
		}
	}
	match := heapAlloc.FindSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("the gateway does not tell its heap: %.100s", text)
	}
	bytes, err := strconv.ParseFloat(string(match[1]), 64)
	return bytes / (1 << 20), err
}

// attack fills the memory, sends refused tokens, and shows by the gateway's CPU time that what was remembered still is.
func attack(ctx context.Context, s settings, _ sizes, service *upstream, found *growth) error {
	g, err := startGateway(ctx, s, nil, dynamic(service.url, map[string]any{"seen": middleware(map[string]any{"signingSecret": hmacSecret})}, "seen"))
	if err != nil {
		return err
	}
	defer g.Stop()
	lines, err := mint(0, capacity, jwt.SigningMethodHS256, []byte(hmacSecret), nil)
	if err != nil {
		return err
	}
	expired, err := mint(0, capacity, jwt.SigningMethodHS256, []byte(hmacSecret), jwt.MapClaims{"exp": time.Now().Unix() - 3600})
	if err != nil {
		return err
	}
	_, t := targetsOf(g, "refused tokens", "/seen", lines)
	_, refused := targetsOf(g, "refused tokens", "/seen", lines)
	refused.status = http.StatusUnauthorized
	attackers := slices.Concat(garbage(capacity, lines[0]), expired, forged(lines))

	fmt.Printf("\n%d refused tokens (garbage, expired, wrong signatures) beside %d remembered ones: gateway CPU a request\n", len(attackers), capacity)
	found.CPUPerRequest = map[string]float64{}
	for _, step := range []struct {
		name  string
		t     *target
		lines []string
	}{
		{"never seen", t, lines},
		{"seen before", t, slices.Repeat(lines, 3)},
		{"refused", refused, attackers},
		{"seen before, after the refused ones", t, slices.Repeat(lines, 3)},
	} {
		used, err := step.t.send(ctx, step.lines)
		if err != nil {
			return err
		}
		found.CPUPerRequest[step.name] = used
		fmt.Printf("%5.0f µs  %s\n", used, step.name)
	}
	return nil
}

// reload measures how long a new configuration with 1,000 routers takes to come into effect.
func reload(ctx context.Context, s settings, size sizes, service *upstream, found *growth) error {
	others, err := plugins.All()
	if err != nil {
		return err
	}
	middlewares := map[string]any{
		"empty": map[string]any{"plugin": map[string]any{"empty": map[string]any{}}},
		"seen":  middleware(map[string]any{"signingSecret": hmacSecret}),
	}
	g, err := startGateway(ctx, s, others, dynamic(service.url, middlewares))
	if err != nil {
		return err
	}
	defer g.Stop()
	names := []string{"bare", "empty", "seen"}
	took := map[string][]sample{}
	for n := range size.reloads + 1 {
		for _, name := range names {
			config := dynamic(service.url, middlewares)
			web, _ := config["http"].(map[string]any)
			routers, _ := web["routers"].(map[string]any)
			for i := range 1000 {
				router := map[string]any{"rule": fmt.Sprintf("Path(`/orders/%d`)", i), "service": "service"}
				if name != "bare" {
					router["middlewares"] = []string{name}
				}
				routers[fmt.Sprintf("router-%d", i)] = router
			}
			start := time.Now()
			if err := g.Reload(ctx, config); err != nil {
				return err
			}
			if n > 0 { // The first one warms up.
				took[name] = append(took[name], sample{P50: microseconds(time.Since(start)) / 1000})
			}
		}
	}
	found.ReloadMS = map[string]float64{}
	fmt.Println("\na reload with 1,000 routers")
	for _, name := range names {
		found.ReloadMS[name] = median(took[name], func(i int) float64 { return took[name][i].P50 })
		fmt.Printf("%6.0f ms  %s\n", found.ReloadMS[name], map[string]string{"bare": "no middleware", "seen": "this plugin", "empty": "empty plugin"}[name])
	}
	found.ReloadRatio = median(took["seen"], func(i int) float64 { return took["seen"][i].P50 / took["empty"][i].P50 })
	fmt.Printf("  %.2f  of an empty plugin's\n", found.ReloadRatio)
	return nil
}
