package slidingjwt

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These tests are native only: they hand the functions a clock, or look at what is remembered.

const (
	oneSecret     = "a secret that is long enough for its hash"
	anotherSecret = "another secret that is long enough for it"
)

// watching are settings whose secret is in a file, and a token that is valid at the time of each test.
func watching(t *testing.T, now float64) (s *settings, file, token string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys.json")
	writeSecret(t, file, oneSecret)
	c := CreateConfig()
	c.JWKSFile = file
	s, err := compile(c)
	if err != nil {
		t.Fatal(err)
	}
	payload := fmt.Sprintf(`{"sub":"ada","iat":%d,"exp":%d}`, int64(now)-7200, int64(now)+7200)
	token, err = sign(currentRing(s.keys).signer, "JWT", payload)
	if err != nil {
		t.Fatal(err)
	}
	return s, file, token
}

func writeSecret(t *testing.T, file, secret string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(secretSet(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func secretSet(secret string) string {
	return `{"keys":[{"kty":"oct","k":"` + b64.EncodeToString([]byte(secret)) + `"}]}`
}

// at is a NumericDate as the plugin's clock shows it.
func at(date float64) time.Duration { return time.Duration(date * 1e9) }

func accept(t *testing.T, s *settings, token string, now float64) *entry {
	t.Helper()
	e, r := verify(s, "Bearer "+token, at(now))
	if r != nil {
		t.Fatalf("at %f: got %s, want it accepted", now, r.code)
	}
	return e
}

// A remembered token that the clock now precedes goes by its times alone, on the exact way.
func TestTokenWhenClockIsSetBack(t *testing.T) {
	const now = 1_800_000_000.0
	s, _, token := watching(t, now)
	e := accept(t, s, token, now)
	if then := at(now - 3500); then >= e.validSince {
		t.Errorf("at %s it is valid for sure, though it was verified later", then)
	}
	if again := accept(t, s, token, now-3500); again != e {
		t.Error("it was verified anew")
	}
	if _, r := verify(s, "Bearer "+token, at(now-7200-31)); r != refuseIssuedLate {
		t.Errorf("before it was issued: got %v, want %s", r, refuseIssuedLate.code)
	}
}

// The usual path does not serve a remembered token when a look at the keys is due, and gives what it served before after it.
func TestGlanceWhenLookIsDue(t *testing.T) {
	s, file, token := watching(t, time.Since(epoch).Seconds())
	handler := guarding(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "jwt@file")
	ask := func(want int) {
		t.Helper()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		handler(rec, req)
		if rec.Code != want {
			t.Errorf("got %d, want %d", rec.Code, want)
		}
	}
	ask(http.StatusOK)
	m := s.memory
	known := held(m, token)
	callForLook(m)
	callForLook(m) // It changes nothing more.
	ask(http.StatusOK)
	if got := held(m, token); got != known || sizes(m) != "1 entries, 0 former, 1 headers, 1 queued, weight 1" {
		t.Errorf("got the entry %p and %s after a look that found nothing, want %p and 1 header", got, sizes(m), known)
	}
	writeSecret(t, file, anotherSecret)
	callForLook(m)
	ask(http.StatusUnauthorized)
}

// While a look is due nothing is remembered that was verified before it.
func TestRememberWhenLookIsDue(t *testing.T) {
	const now = 1_800_000_000.0
	s, _, token := watching(t, now)
	e, m := accept(t, s, token, now), s.memory
	callForLook(m)
	remember(m, "Bearer other", e)
	rememberHeader(s, "Bearer header", &joseHeader{alg: "HS256"}, e.version)
	if got, want := sizes(m), "0 entries, 0 former, 0 headers, 1 queued, weight 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if again := accept(t, s, token, now+1); again != e {
		t.Error("after the look it was verified anew")
	}
	if got, want := sizes(m), "1 entries, 0 former, 1 headers, 1 queued, weight 1"; got != want {
		t.Errorf("after the look: got %s, want %s", got, want)
	}
}

// A request that found nothing, since a look was due, finds what another one's look has brought back.
func TestAnothersLook(t *testing.T) {
	const now = 1_800_000_000.0
	s, _, token := watching(t, now)
	e := accept(t, s, token, now)
	callForLook(s.memory)
	look(s, at(now+1))
	if again := verifyAnew(s, "Bearer "+token, at(now+1)); again != e {
		t.Error("a remembered token was verified anew")
	}
}

// A look is due again after a while where there are files, and never where there are none.
func TestLookIsDueAgain(t *testing.T) {
	isDue := func(s *settings) bool { return versionOf(s.memory) == 0 }
	s, _, _ := watching(t, 0)
	c := CreateConfig()
	c.SigningSecret = oneSecret
	fixed, err := compile(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		look(s, 0)
		look(fixed, 0)
		if isDue(s) || isDue(fixed) {
			t.Fatal("a look is due just after one")
		}
		if !becomes(s.memory, true) || isDue(fixed) {
			t.Fatalf("after a while a look is due: %t with a file, %t without, want true and false", isDue(s), isDue(fixed))
		}
	}
}

// A file that holds up a look does not hold up those that follow, and what the look finds in the end counts.
func TestLookThatTakesLong(t *testing.T) {
	const now = 1_800_000_000.0
	s, file, token := watching(t, now)
	accept(t, s, token, now)
	callForLook(s.memory)
	writeSecret(t, file, anotherSecret)
	s.keys.mu.Lock() // The look waits for it.
	done := make(chan struct{})
	go func() {
		look(s, at(now+1))
		close(done)
	}()
	isAsBefore, isDue := becomes(s.memory, false), becomes(s.memory, true)
	s.keys.mu.Unlock()
	<-done
	if !isAsBefore || !isDue {
		t.Fatalf("while a look takes long: the memory is as before: %t, a look is due: %t, want both", isAsBefore, isDue)
	}
	if got, want := sizes(s.memory), "0 entries, 1 former, 0 headers, 1 queued, weight 1"; got != want || versionOf(s.memory) == 0 {
		t.Errorf("got %s, version %d, want %s, and no look that is due", got, versionOf(s.memory), want)
	}
	if !becomes(s.memory, true) {
		t.Error("a look is never due again")
	}
	if _, r := verify(s, "Bearer "+token, at(now+2)); r != refuseSignature {
		t.Errorf("got %v, want a wrong signature", r)
	}
}

// A file that hangs holds up no other: its own keys stay, and the others' are read.
func TestFileThatHangs(t *testing.T) {
	const now = 1_800_000_000.0
	s, file, token := watching(t, now)
	accept(t, s, token, now)
	hanging := &keySource{option: "jwksFile", known: true, file: &watchedFile{path: filepath.Join(t.TempDir(), "keys.json")}}
	hanging.looking.Lock() // As another request does, whose look does not end.
	s.keys.sources = append([]*keySource{hanging}, s.keys.sources...)
	writeSecret(t, file, anotherSecret)
	callForLook(s.memory)
	if _, r := verify(s, "Bearer "+token, at(now+1)); r != refuseSignature {
		t.Errorf("got %v, want a wrong signature", r)
	}
}

// What a request has read, whose look then hangs in another file, counts from the next one's look on.
func TestReadByAnother(t *testing.T) {
	s, _, _ := watching(t, 0)
	keys, err := parseKeys(s.keys.sources[0], secretSet(anotherSecret))
	if err != nil {
		t.Fatal(err)
	}
	s.keys.sources[0].read = keys
	lookAtFiles(s.keys)
	if r := currentRing(s.keys); r.signer != keys[0] || s.keys.sources[0].read != nil {
		t.Error("the keys are not in use")
	}
}

// A token whose key is gone is not verified by what its header decided when it was there.
func TestKeyIsGoneMeanwhile(t *testing.T) {
	const now = 1_800_000_000.0
	s, file, token := watching(t, now)
	e := accept(t, s, token, now)
	m := s.memory
	writeSecret(t, file, anotherSecret)
	callForLook(m)
	look(s, at(now+1))
	// As if verifyAnew had read the memory before that look.
	m.mu.Lock()
	text := "Bearer " + strings.Split(token, ".")[0]
	m.headers[text] = &joseHeader{alg: "HS256", typ: "JWT", only: e.key}
	m.mu.Unlock()
	if again := verifyAnew(s, "Bearer "+token, at(now+1)); again.validSince != never || again.refused != refuseSignature {
		t.Errorf("got an entry valid since %d, refused by %v, want never, by a wrong signature", again.validSince, again.refused)
	}
}

// becomes waits until a look at a memory's keys is due, or is not.
func becomes(m *memory, isDue bool) bool {
	for range 1000 {
		if (versionOf(m) == 0) == isDue {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// held is what is remembered of a token.
func held(m *memory, token string) *entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.entries["Bearer "+token]
}

func versionOf(m *memory) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.version
}

func sizes(m *memory) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return fmt.Sprintf("%d entries, %d former, %d headers, %d queued, weight %d", len(m.entries), len(m.former), len(m.headers), len(m.queue)-m.head, m.weight)
}

// What was verified with keys that have changed meanwhile is not remembered, and what is remembered shows its key.
func TestKeysChangeMeanwhile(t *testing.T) {
	const now = 1_800_000_000.0
	s, file, token := watching(t, now)
	e := accept(t, s, token, now)
	writeSecret(t, file, anotherSecret)
	callForLook(s.memory)
	look(s, at(now+2))
	if version := versionOf(s.memory); version != e.version+1 {
		t.Fatalf("got version %d, want %d", version, e.version+1)
	}
	if got, want := sizes(s.memory), "0 entries, 1 former, 0 headers, 1 queued, weight 1"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	remember(s.memory, "Bearer "+token, e)
	if held(s.memory, token) != nil {
		t.Error("an entry of the version before was remembered")
	}
	if _, r := verify(s, "Bearer "+token, at(now+2)); r != refuseSignature {
		t.Errorf("got %v, want a wrong signature", r)
	}

	writeSecret(t, file, oneSecret)
	callForLook(s.memory)
	e = accept(t, s, token, now+4)
	if got, want := sizes(s.memory), "1 entries, 0 former, 0 headers, 1 queued, weight 1"; got != want || held(s.memory, token) != e {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The memory holds as much as its capacity, and nearly that when it is full, whatever comes and however often keys change.
func TestMemoryIsBounded(t *testing.T) {
	for _, capacity := range []int{1, 9, 100, 2000} {
		m := newMemory(capacity)
		for i := range 10_000 {
			line := fmt.Sprintf("Bearer %04d", i%7000)
			switch {
			case i%4999 == 0:
				line += strings.Repeat("x", capacity<<10-20) // It takes all the room that there is.
			case i%3 == 0:
				line += strings.Repeat("x", i%5000)
			}
			remember(m, line, &entry{version: m.version})
			if (i%4999 == 0 || capacity > 5) && m.entries[line] == nil {
				t.Fatalf("capacity %d, %d: the newest token is not there", capacity, i)
			}
			if i%37 == 0 { // Keys change.
				m.version++
				distrust(m)
			}
			weight := 0
			for _, line := range m.queue[m.head:] {
				if m.entries[line] == nil && m.former[line] == nil {
					t.Fatalf("capacity %d, %d: a token in the queue is not there", capacity, i)
				}
				weight += len(line)/1024 + 1
			}
			if weight != m.weight || weight > capacity || len(m.entries)+len(m.former) != len(m.queue)-m.head || len(m.queue) > 2*capacity+1100 {
				t.Fatalf("capacity %d, %d: weight %d, counted %d; %d entries, %d former ones, queue of %d from %d", capacity, i, m.weight, weight, len(m.entries), len(m.former), len(m.queue), m.head)
			}
			// So many others have come since the heavy one.
			if least := capacity - min(capacity/100, maxForgotten) - 5; i%4999 > capacity && weight < least {
				t.Fatalf("capacity %d, %d: weight %d, want at least %d", capacity, i, weight, least)
			}
		}
	}
}
