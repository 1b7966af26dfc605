package slidingjwt

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The tests of this package's inside are native only: they hand the functions a clock, or call for a look at the keys. What a
// middleware shows by itself runs both ways in the others.

const anotherSecret = "another " + minted.Secret

// newTestInstance is a configuration at work that no other test shares.
func newTestInstance(t testing.TB, change func(c *Config)) *instance {
	t.Helper()
	c := CreateConfig()
	change(c)
	in, err := newInstance(c)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// watching is an instance whose secret is in a file, and a token that lives for two hours on either side of a time.
func watching(t testing.TB, now int64) (in *instance, file, token string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys.json")
	writeSecret(t, file, minted.Secret)
	in = newTestInstance(t, func(c *Config) { c.JWKSFile = file })
	return in, file, minted.Token(t, minted.Claims{"sub": "ada", "iat": now - 7200, "exp": now + 7200})
}

func writeSecret(t testing.TB, file, secret string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(minted.JWKSet(t, minted.SecretJWK(secret))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// seconds is a NumericDate as the plugin's clock shows it.
func seconds(date float64) time.Duration { return time.Duration(date * 1e9) }

// accept judges a token, and fails the test if it is refused.
func accept(t testing.TB, in *instance, token string, at time.Duration) *verified {
	t.Helper()
	v, r := judge(in, bearerPrefix+token, at)
	if r != nil {
		t.Fatalf("at %s: got %s, want it accepted", at, r.code)
	}
	return v
}

// wantRefused judges a token that is to be refused.
func wantRefused(t testing.TB, in *instance, token string, at time.Duration, want *refusal) {
	t.Helper()
	if _, r := judge(in, bearerPrefix+token, at); r != want {
		t.Errorf("at %s: got %v, want %s", at, r, want.code)
	}
}

// isLookDue waits until a look at the keys is due, and says whether it is.
func isLookDue(m *memory) bool {
	for range 1000 {
		m.mu.RLock()
		isDue := m.isLookDue
		m.mu.RUnlock()
		if isDue {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// rememberedHeader is the header of a token that was verified; nil: it is not remembered.
func rememberedHeader(m *memory, text string) *jose.Header {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.headers[text]
}

// A remembered token goes by its times alone, wherever the clock goes.
func TestClockMoves(t *testing.T) {
	const now = 1_800_000_000
	in, _, token := watching(t, now)
	v := accept(t, in, token, seconds(now))
	for _, date := range []float64{now - 3600, now + 7229.9, now - 7230, now} {
		if again := accept(t, in, token, seconds(date)); again != v {
			t.Errorf("at %f: it was verified anew", date)
		}
	}
	wantRefused(t, in, token, seconds(now-7230.1), refuseIssuedLate)
	wantRefused(t, in, token, seconds(now+7230), refuseExpired)
	if again := accept(t, in, token, seconds(now)); again != v {
		t.Error("after it was refused: it was verified anew")
	}
}

// The remembered path does not serve a token when a look at the keys is due, and gives after it what it gave before.
func TestGlanceWhenLookIsDue(t *testing.T) {
	in, file, token := watching(t, time.Now().Unix())
	handler := glance(in, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "jwt@file")
	ask := func(want int) {
		t.Helper()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Authorization", bearerPrefix+token)
		rec := httptest.NewRecorder()
		handler(rec, req)
		if rec.Code != want {
			t.Errorf("got %d, want %d", rec.Code, want)
		}
	}
	ask(http.StatusOK)
	v := accept(t, in, token, time.Since(epoch))
	in.memory.callForLook()
	in.memory.callForLook() // It changes nothing more.
	if found, _ := recall(in.memory, bearerPrefix+token); found != nil {
		t.Error("while a look is due: got the token, want nothing that the remembered path could find")
	}
	ask(http.StatusOK)
	if again := accept(t, in, token, time.Since(epoch)); again != v {
		t.Error("after a look that found nothing: it was verified anew")
	}
	writeSecret(t, file, anotherSecret)
	in.memory.callForLook()
	ask(http.StatusUnauthorized)
}

// While a look is due nothing is remembered that was verified before it.
func TestRememberWhenLookIsDue(t *testing.T) {
	const now = 1_800_000_000
	in, _, token := watching(t, now)
	v, m := accept(t, in, token, seconds(now)), in.memory
	m.callForLook()
	remember(m, "Bearer other", v)
	rememberHeader(m, "header", &jose.Header{Alg: "HS256"}, v.generation)
	if again := accept(t, in, token, seconds(now+1)); again != v {
		t.Error("after the look it was verified anew")
	}
	if other, former := recall(m, "Bearer other"); other != nil || former != nil {
		t.Error("got a token that was verified before the look")
	}
	if rememberedHeader(m, "header") != nil {
		t.Error("got the header of a token that was verified before the look")
	}
}

// A request that found nothing, since a look was due, finds what another one's look has brought back.
func TestAnothersLook(t *testing.T) {
	const now = 1_800_000_000
	in, _, token := watching(t, now)
	v := accept(t, in, token, seconds(now))
	in.memory.callForLook()
	lookAtKeys(in, seconds(now+1))
	lookAtKeys(in, seconds(now+1)) // It is no longer due.
	if again := accept(t, in, token, seconds(now+1)); again != v {
		t.Error("a remembered token was verified anew")
	}
}

// A request that comes while another one takes the first look goes on with the keys that New has read.
func TestJudgeDuringFirstLook(t *testing.T) {
	const now = 1_800_000_000
	in, _, token := watching(t, now)
	if !in.memory.startLook() { // As another request does, whose look has not ended.
		t.Fatal("got no look due, want the first")
	}
	accept(t, in, token, seconds(now))
}

// However looks, requests and changes of the keys fall together, a token is accepted while its key is there.
func TestLooksAtOnce(t *testing.T) {
	const now = 1_800_000_000
	in, file, token := watching(t, now)
	both := minted.JWKSet(t, minted.SecretJWK(minted.Secret), minted.SecretJWK(anotherSecret))
	var requests sync.WaitGroup
	for range 4 {
		requests.Add(1)
		go func() {
			defer requests.Done()
			for i := range 500 {
				if _, r := judge(in, bearerPrefix+token, seconds(now)); r != nil {
					t.Errorf("got %s, want it accepted", r.code)
				}
				if i%10 == 0 {
					in.memory.callForLook()
				}
			}
		}()
	}
	other := filepath.Join(t.TempDir(), "keys.json")
	for i := range 50 {
		writeSecret(t, other, minted.Secret)
		if i%2 == 0 {
			if err := os.WriteFile(other, []byte(both), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(other, file); err != nil { // Nobody reads half of it.
			t.Fatal(err)
		}
	}
	requests.Wait()
}

// A look is due again after a while where there are files, and never where there are none.
func TestLookIsDueAgain(t *testing.T) {
	in, _, _ := watching(t, 0)
	fixed := newTestInstance(t, func(c *Config) { c.SigningSecret = minted.Secret })
	lookAtKeys(in, 0)
	lookAtKeys(fixed, 0)
	if !isLookDue(in.memory) {
		t.Error("with a file: a look is never due again")
	}
	if fixed.memory.startLook() {
		t.Error("without files: a look is due again")
	}
}

// blockedLog is a log that nobody can write to until it is released.
type blockedLog struct {
	once               sync.Once
	isBlocked, release chan struct{}
}

func (b *blockedLog) Write(p []byte) (int, error) {
	b.once.Do(func() { close(b.isBlocked) })
	<-b.release
	return len(p), nil
}

// A file that holds up a look does not hold up those that follow, and what the look finds in the end counts.
func TestLookThatTakesLong(t *testing.T) {
	const now = 1_800_000_000
	slow, file := filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(slow, []byte(minted.PEM(t, "PKCS8", minted.Key(t, "P-256"))), 0o600); err != nil {
		t.Fatal(err)
	}
	writeSecret(t, file, minted.Secret)
	in := newTestInstance(t, func(c *Config) { c.PrivateKey, c.JWKSFile = slow, file })
	token := minted.Token(t, minted.Claims{"iat": now - 7200, "exp": now + 7200})
	v := accept(t, in, token, seconds(now))
	if !isLookDue(in.memory) {
		t.Fatal("a look is never due again")
	}

	// What is wrong with a file is logged, and the log holds up the look, as the file itself might.
	if err := os.WriteFile(slow, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	former, blocked := log.Writer(), &blockedLog{isBlocked: make(chan struct{}), release: make(chan struct{})}
	log.SetOutput(blocked)
	defer log.SetOutput(former)
	done := make(chan struct{})
	go func() {
		lookAtKeys(in, seconds(now+1))
		close(done)
	}()
	<-blocked.isBlocked
	if again := accept(t, in, token, seconds(now+1)); again != v {
		t.Error("while the look takes long: it was verified anew")
	}
	writeSecret(t, file, anotherSecret)
	if !isLookDue(in.memory) {
		t.Error("while the look takes long: the next one is never due")
	}
	close(blocked.release)
	<-done
	if known, _ := recall(in.memory, bearerPrefix+token); known != nil {
		t.Error("after the look: got the token known, want it to show its key")
	}
	wantRefused(t, in, token, seconds(now+2), refuseSignature)
	if !isLookDue(in.memory) {
		t.Error("after the look: the next one is never due")
	}
}

// What was verified with keys that have changed meanwhile is not remembered, and what is remembered shows its key.
func TestKeysChangeMeanwhile(t *testing.T) {
	const now = 1_800_000_000
	in, file, token := watching(t, now)
	v := accept(t, in, token, seconds(now))
	other := minted.Token(t, minted.Claims{"sub": "eve", "exp": now + 7200}) // Its header is remembered.
	writeSecret(t, file, anotherSecret)
	in.memory.callForLook()
	lookAtKeys(in, seconds(now+1))
	remember(in.memory, bearerPrefix+token, v)
	if known, former := recall(in.memory, bearerPrefix+token); known != nil || former != v {
		t.Error("got the token remembered by keys that are gone, or forgotten")
	}
	wantRefused(t, in, token, seconds(now+1), refuseSignature)
	wantRefused(t, in, other, seconds(now+1), refuseSignature)

	writeSecret(t, file, minted.Secret)
	in.memory.callForLook()
	again := accept(t, in, token, seconds(now+2))
	if accept(t, in, token, seconds(now+2)) != again {
		t.Error("with its key there again: got the token not remembered")
	}
	accept(t, in, other, seconds(now+2))
}

// A token of a key that stays is not verified anew when others come and go.
func TestKeyStays(t *testing.T) {
	const now = 1_800_000_000
	in, file, token := watching(t, now)
	v := accept(t, in, token, seconds(now))
	for i := range 3 {
		others := minted.JWKSet(t, minted.SecretJWK(fmt.Sprint(i, anotherSecret)), minted.SecretJWK(minted.Secret))
		if err := os.WriteFile(file, []byte(others), 0o600); err != nil {
			t.Fatal(err)
		}
		in.memory.callForLook()
		if again := accept(t, in, token, seconds(now)); again.key != v.key {
			t.Error("it was verified anew, by the key that was read again")
		}
	}
}

// The memory holds as much as its capacity, and nearly that when it is full, whatever comes and however often keys change.
func TestMemoryIsBounded(t *testing.T) {
	for _, capacity := range []int{0, 1, 9, 100, 2000} {
		m := newMemory(capacity, nil)
		m.bringBack() // No look is due.
		seen := map[string]bool{}
		sinceHeavy := 0
		for i := range 10_000 {
			key := fmt.Sprintf("Bearer %04d", i%7000)
			sinceHeavy++
			switch {
			case i%4999 == 0 && capacity > 0:
				key += strings.Repeat("x", capacity<<10-20) // It takes all the room that there is.
				sinceHeavy = 0
			case i%3 == 0:
				key += strings.Repeat("x", i%5000)
			}
			seen[key] = true
			remember(m, key, &verified{generation: m.generation})
			if known, _ := recall(m, key); (sinceHeavy == 0 || capacity > 5) && known == nil && capacity > 0 {
				t.Fatalf("capacity %d, %d: the newest token is not there", capacity, i)
			}
			if i%37 == 0 { // Keys change.
				m.mu.Lock()
				m.generation++
				m.distrust()
				m.mu.Unlock()
			}
			if len(m.queue) > 2*capacity+1100 {
				t.Fatalf("capacity %d, %d: got a queue of %d", capacity, i, len(m.queue))
			}
			if i%101 != 0 && sinceHeavy > 0 {
				continue
			}
			weight := 0
			for key := range seen {
				if known, former := recall(m, key); known != nil || former != nil {
					weight += len(key)>>10 + 1
				}
			}
			if weight > capacity {
				t.Fatalf("capacity %d, %d: got a weight of %d", capacity, i, weight)
			}
			// So many others have come since the heavy one.
			if least := capacity - min(capacity/100, maxForgotten) - 5; sinceHeavy > capacity && weight < least {
				t.Fatalf("capacity %d, %d: got a weight of %d, want at least %d", capacity, i, weight, least)
			}
		}
	}
}

// What comes while a look is due takes no room, then or later.
func TestNoRoomTakenWhenLookIsDue(t *testing.T) {
	m := newMemory(10, nil)
	m.bringBack() // No look is due.
	keys := []string{}
	for round := range 20 {
		for i := range 5 {
			keys = append(keys, fmt.Sprint(round, " ", i))
			remember(m, keys[len(keys)-1], &verified{})
		}
		m.callForLook()
		for i := range 100 {
			remember(m, fmt.Sprint(round, " meanwhile ", i), &verified{})
		}
		m.bringBack()
		for i, key := range keys {
			known, _ := recall(m, key)
			if isNewest := i >= len(keys)-10; (known != nil) != isNewest {
				t.Fatalf("round %d: got the token %q remembered: %t, want %t", round, key, known != nil, isNewest)
			}
		}
	}
}

// Of headers at most a thousand are remembered, of tokens that were verified alone, and the last that was read.
func TestHeadersAreBounded(t *testing.T) {
	m := newMemory(10, nil)
	m.bringBack()
	for i := range 2000 {
		rememberHeader(m, fmt.Sprint("verified ", i), &jose.Header{}, m.generation)
		rememberLastHeader(m, fmt.Sprint("read ", i), &jose.Header{})
	}
	verifiedOnes, readOnes := 0, 0
	for i := range 2000 {
		if rememberedHeader(m, fmt.Sprint("verified ", i)) != nil {
			verifiedOnes++
		}
		if recallLastHeader(m, fmt.Sprint("read ", i)) != nil {
			readOnes++
		}
	}
	if verifiedOnes != maxRememberedHeaders || readOnes != 1 {
		t.Errorf("got %d verified and %d read, want %d and 1", verifiedOnes, readOnes, maxRememberedHeaders)
	}
}
