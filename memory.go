package slidingjwt

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/revocation"
)

// verified is what is known of a token with a right signature: all that its requests need, worked out once. It does not change.
type verified struct {
	// From since to until the token is valid, its claims suffice, and it is not due for renewal, so a request needs nothing but
	// its headers. The remembered path compares only these two; outside of them judge decides by times and denied.
	since, until time.Duration
	headers      []header // that it sets

	times      times
	renewAt    time.Duration       // when it is due for renewal; farAway: never
	authTime   time.Duration       // when the session began
	freshUntil time.Duration       // when the login is too long ago for maxAge
	typ        string              // the header's
	user       *url.Userinfo       // whom the access log shows; nil: no user
	generation int64               // of the keys that it was verified with
	denied     *refusal            // why its claims do not suffice, which time does not change; nil: they do
	key        *jose.Key           // that verified it …
	from       *keysource.Endpoint // … and where that key is from; nil: it is the operator's
	facts      *revocation.Facts   // what a list of revocations may ask of it; nil: there is none
}

// header is a request header and the claim in it. All requests with the token share the slice: a middleware behind this one may
// replace it, but must not write into it.
type header struct {
	name   string
	values []string
}

// memory holds verified tokens, so that each is verified once. The oldest make room for new ones: with tokens that are
// renewed, those are the ones that are no longer sent. A lookup takes no more than a read lock, and no lock is held across a
// file, the network or a signature.
//
// The key of a token is the whole line of its usual header, "Bearer " included, so the remembered path need not cut it.
//
// Once a look at the keys is due, known and headers are set aside until a request has looked. The remembered path then finds
// nothing and hands its request to judge, which looks; so it need not ask on each request whether a look is due.
type memory struct {
	mu         sync.RWMutex
	known      map[string]*verified    // by keys of this generation
	headers    map[string]*jose.Header // the headers of tokens that keys of this generation verified, by their text
	lastText   string                  // of the header that was read last …
	lastHeader *jose.Header
	isLookDue  bool
	aside      aside // while a look is due

	// A generation is the time between two changes of the keys or the revocations. A token that was verified in a former one counts
	// again once its key was found in the present keys, and the token not in the list: see recallFormer.
	generation int64
	former     map[string]*verified

	queue    []string // the tokens' keys, oldest first, from head on
	head     int
	weight   int
	capacity int

	// The keys of this generation.
	ring *keysource.Ring
	sets []*jose.KeySet
	// The revocations of this generation; nil: there are none, or none were read yet.
	revoked *revocation.List
}

type aside struct {
	known   map[string]*verified
	headers map[string]*jose.Header
}

const (
	maxRememberedHeaders = 1000
	maxForgotten         = 32 // tokens at once, beyond those that must go
	lookEvery            = time.Second
)

// newMemory makes a memory for so many tokens, and the keys that were read by New. A first look at the keys is due.
func newMemory(capacity int, ring *keysource.Ring) *memory {
	return &memory{
		capacity: capacity, ring: ring, isLookDue: true,
		known: map[string]*verified{}, headers: map[string]*jose.Header{}, former: map[string]*verified{},
		aside: aside{known: map[string]*verified{}, headers: map[string]*jose.Header{}},
	}
}

// recall returns what is known of a token in this generation, and what was known of it in a former one; nil for nothing.
//
// Yaegi: functions here, since a call of a method costs a microsecond more.
func recall(m *memory, key string) (*verified, *verified) {
	m.mu.RLock()
	v := m.known[key]
	former := m.former[key]
	m.mu.RUnlock()
	return v, former
}

// recallLastHeader returns the header that was read last if it had that text; else nil.
func recallLastHeader(m *memory, text string) *jose.Header {
	m.mu.RLock()
	h := m.lastHeader
	if m.lastText != text {
		h = nil
	}
	m.mu.RUnlock()
	return h
}

// rememberLastHeader stores the header that was read last. It holds only one, since its token is not verified yet.
func rememberLastHeader(m *memory, text string, h *jose.Header) {
	m.mu.Lock()
	m.lastText = strings.Clone(text) // It is part of a request's text.
	m.lastHeader = h
	m.mu.Unlock()
}

// rememberHeader stores the header of a token that was verified in a generation. So an attacker cannot fill the memory with headers.
func rememberHeader(m *memory, text string, h *jose.Header, generation int64) {
	m.mu.Lock()
	if generation == m.generation && !m.isLookDue && len(m.headers) < maxRememberedHeaders {
		m.headers[text] = h
	}
	m.mu.Unlock()
}

// remember stores a token that was verified, and forgets the oldest if there is no room. A token counts
// once per KiB that it begins, so that the bytes held are bounded too.
func remember(m *memory, key string, v *verified) {
	m.mu.Lock()
	if v.generation == m.generation && !m.isLookDue { // Otherwise its key may be gone by now.
		if m.known[key] == nil && m.former[key] == nil {
			m.queue = append(m.queue, key)
			m.weight += len(key)>>10 + 1
		}
		delete(m.former, key)
		m.known[key] = v
		if m.weight > m.capacity {
			makeRoom(m)
		}
	}
	m.mu.Unlock()
}

// makeRoom forgets the oldest tokens: a few more than have to go, so that it is not called for each new one. The caller holds
// the lock.
func makeRoom(m *memory) {
	most := m.capacity - m.capacity/100
	if most < m.capacity-maxForgotten {
		most = m.capacity - maxForgotten
	}
	newest := m.queue[len(m.queue)-1]
	if weight := len(newest)>>10 + 1; weight > m.capacity { // There is no room for it at all.
		delete(m.known, newest)
		m.queue = m.queue[:len(m.queue)-1]
		m.weight -= weight
		return
	}
	for m.weight > most && m.head < len(m.queue)-1 {
		oldest := m.queue[m.head]
		delete(m.known, oldest)
		delete(m.former, oldest)
		m.weight -= len(oldest)>>10 + 1
		m.queue[m.head] = ""
		m.head++
	}
	if m.head > 1000 && m.head > len(m.queue)/2 { // Most of the queue is behind its head.
		m.queue = append([]string{}, m.queue[m.head:]...)
		m.head = 0
	}
}

// callForLook makes the next request look at the keys. Timers call it; they do nothing else.
func (m *memory) callForLook() {
	m.mu.Lock()
	if !m.isLookDue {
		m.aside = aside{known: m.known, headers: m.headers}
		m.known = map[string]*verified{}
		m.headers = map[string]*jose.Header{}
		m.isLookDue = true
	}
	m.mu.Unlock()
}

// startLook says whether the caller has to look at the keys. Of several requests only one has to; the others go on with what is known.
func (m *memory) startLook() bool {
	m.mu.RLock()
	isDue := m.isLookDue
	m.mu.RUnlock()
	if !isDue {
		return false
	}
	m.mu.Lock()
	isDue = m.bringBack()
	m.mu.Unlock()
	return isDue
}

// bringBack makes the tokens known again that were set aside, and says whether they were. The caller holds the lock.
func (m *memory) bringBack() bool {
	if !m.isLookDue {
		return false
	}
	m.known = m.aside.known
	m.headers = m.aside.headers
	m.isLookDue = false
	return true
}

// endLook begins a new generation if the keys or the revocations have changed since the last look. It says whether another key signs
// now, and whether the look took so long that the next one became due meanwhile (this one counts for both).
func (m *memory) endLook(r *keysource.Ring, sets []*jose.KeySet, revoked *revocation.List) (signerChanged, isLate bool) {
	m.mu.Lock()
	wasLate := m.bringBack()
	changed := r != m.ring || len(sets) != len(m.sets) || revoked != m.revoked
	for i := 0; !changed && i < len(sets); i++ {
		changed = sets[i] != m.sets[i]
	}
	isOther := false
	if changed {
		isOther = signerID(r) != signerID(m.ring)
		m.generation++
		m.ring = r
		m.sets = sets
		m.revoked = revoked
		m.headers = map[string]*jose.Header{}
		m.lastHeader = nil
		m.lastText = ""
		m.distrust()
	}
	m.mu.Unlock()
	return isOther, wasLate
}

// signerID is the ID of the key that signs; empty if none does.
func signerID(r *keysource.Ring) string {
	if r == nil || r.Signer == nil {
		return ""
	}
	return r.Signer.ID
}

// distrust makes all known tokens former ones. It moves the smaller map into the larger, because requests wait for the lock meanwhile.
// The caller holds the lock.
func (m *memory) distrust() {
	few, many := m.known, m.former
	if len(few) > len(many) {
		few, many = many, few
	}
	for key, v := range few {
		many[key] = v
	}
	m.known = map[string]*verified{}
	m.former = many
}
