package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// listOf is a list of so many revocations, with those entries at its end.
func listOf(others int, entries ...string) string {
	all := make([]string, 0, others+len(entries))
	for i := range others {
		all = append(all, fmt.Sprintf(`{"sid":"%022d"}`, i))
	}
	return `{"revoked":[` + strings.Join(append(all, entries...), ",\n") + `]}`
}

// listPlace is where a list is: what the option says, and how the list is replaced.
type listPlace struct {
	option  string
	replace func(text string)
	most    time.Duration // from a change to the first 401
	fetches *atomic.Int64
}

func fileOfList(t *testing.T, text string) listPlace {
	t.Helper()
	name := filepath.Join(t.TempDir(), "revoked.json")
	replace := func(text string) {
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Error(err)
		}
	}
	replace(text)
	return listPlace{option: name, replace: replace, most: 10 * time.Second, fetches: &atomic.Int64{}}
}

func endpointOfList(t *testing.T, text string) listPlace {
	t.Helper()
	var current atomic.Value // http.HandlerFunc
	p := listPlace{most: 20 * time.Second, fetches: &atomic.Int64{}}
	p.replace = func(text string) {
		tag := fmt.Sprintf(`"%x"`, len(text))
		current.Store(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=5")
			w.Header().Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, text) // The client has gone.
		}))
	}
	p.replace(text)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		if r.URL.Query().Get("hang") != "" {
			<-r.Context().Done()
			return
		}
		current.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(server.Close)
	p.option = server.URL
	return p
}

// TestRevocations has two gateways with one list. A session that is taken back gets its first 401 on each within seconds, while
// other sessions, remembered and new ones, go on without one error.
func TestRevocations(t *testing.T) {
	for _, test := range []struct {
		name    string
		place   func(t *testing.T, text string) listPlace
		entries int
	}{
		{"file of 100,000 entries", fileOfList, 99_999},
		{"URL", endpointOfList, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := newKidKey(t, "own")
			place := test.place(t, listOf(0))
			dynamic := guarded(whoami(t), map[string]any{
				"jwksFile": keySetText(t, true, key), "revocations": place.option, "renew": map[string]any{"before": "10m"},
			})
			now := time.Now()
			session := func(sid string) string { return key.token(t, jwt.MapClaims{"sid": sid, "iat": now.Unix()}) }
			gateways := []*gateway.Gateway{
				startGateway(t, gateway.Options{Dynamic: dynamic, LogLevel: "INFO"}),
				startGateway(t, gateway.Options{Dynamic: dynamic, LogLevel: "INFO"}),
			}
			taken := session("taken")
			var others tally
			var slowest atomic.Int64
			for _, g := range gateways {
				if got, _ := outcome(http.DefaultClient, g.URL(), taken); got != served {
					t.Fatalf("got %s, want %s", got, served)
				}
				clients := []*http.Client{connection(t), connection(t)}
				remembered := session("remembered")
				stop := inBackground(func(worker, turn int) {
					token := remembered
					if turn%4 == 0 {
						token = session("new")
					}
					start := time.Now()
					got, _ := outcome(clients[worker], g.URL(), token)
					others.add(got)
					for took := int64(time.Since(start)); took > slowest.Load(); {
						slowest.Store(took)
					}
					time.Sleep(5 * time.Millisecond)
				}, len(clients))
				defer stop()
			}
			time.Sleep(1500 * time.Millisecond)
			before := []int{rss(t, gateways[0]), rss(t, gateways[1])}

			entries := []string{}
			for round := range 3 {
				entries = append(entries, fmt.Sprintf(`{"sid":"taken %d"}`, round))
				taken := session(fmt.Sprint("taken ", round))
				start := time.Now()
				place.replace(listOf(test.entries-round, entries...))
				var wg sync.WaitGroup
				for i, g := range gateways {
					client := connection(t)
					wg.Go(func() {
						for time.Since(start) < place.most {
							got, _ := outcome(client, g.URL(), taken)
							if got == "401 token_revoked" {
								t.Logf("round %d, gateway %d: the first 401 after %s", round+1, i+1, time.Since(start).Round(time.Millisecond))
								return
							}
							if got != served {
								t.Errorf("got %s, want %s until the list is read", got, served)
							}
							time.Sleep(2 * time.Millisecond)
						}
						t.Errorf("gateway %d: no 401 in %s", i+1, place.most)
					})
				}
				wg.Wait()
			}
			t.Logf("resident memory: %d and %d KiB, before %v; %d fetches; the slowest request of another session: %s",
				rss(t, gateways[0]), rss(t, gateways[1]), before, place.fetches.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
			others.only(t, served, 500)

			// What is no list leaves the last one in use.
			for _, text := range []string{"", listOf(0, `{"sid":`), listOf(0, `{}`), listOf(100_001), listOf(0) + strings.Repeat(" ", 5<<20)} {
				place.replace(text)
				for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					for _, g := range gateways {
						if got, _ := outcome(http.DefaultClient, g.URL(), session("taken 0")); got != "401 token_revoked" {
							t.Fatalf("with %.20q in its place: got %s, want the last list in use", text, got)
						}
					}
				}
			}
			others.only(t, served, 500)
		})
	}
}

// TestRevocationsHang has an endpoint that never answers: without a list, requests get 503 after timeoutSeconds, and at once
// before the next attempt.
func TestRevocationsHang(t *testing.T) {
	t.Parallel()
	key := newKidKey(t, "own")
	place := endpointOfList(t, listOf(0))
	g := startGateway(t, gateway.Options{LogLevel: "INFO", Dynamic: guarded(whoami(t), map[string]any{
		"jwksFile": keySetText(t, true, key), "revocations": place.option + "/?hang=1", "clientConfig": map[string]any{"timeoutSeconds": 1},
	})})
	start := time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, header := outcome(http.DefaultClient, g.URL(), key.token(t, nil))
			if got != "503 revocations_unavailable" || header.Get("Retry-After") == "" {
				t.Errorf("got %s with Retry-After %q, want 503 revocations_unavailable", got, header.Get("Retry-After"))
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took < 900*time.Millisecond || place.fetches.Load() != 1 {
		t.Errorf("took %s and %d fetches, want timeoutSeconds, 1 s, and one", took, place.fetches.Load())
	}
}

// rss is a gateway's resident memory, in KiB.
func rss(t *testing.T, g *gateway.Gateway) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.PID()))
	if err != nil {
		return 0 // Not on Linux.
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Error(err)
	}
	return kib
}
