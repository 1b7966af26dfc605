package slidingjwt

import (
	"sync"
	"time"
)

// entry is what is remembered of a token: all that a request needs of it, derived once. It is immutable.
type entry struct {
	// What the fast path reads.
	validSince time.Duration // since the epoch: when it was verified, or never; it is valid for sure from then on …
	validUntil time.Duration // … until then
	dueFrom    time.Duration // … and due for renewal from then on
	names      []string      // the headers to set …
	values     [][]string    // … and their values

	version int64 // the memory's, when the key was last known to be there

	exp, nbf, iat float64  // NumericDates; nbf and iat are 0 if absent
	authTime      float64  // when the session began
	typ           string   // the header's, for the renewed token
	refused       *refusal // why it is refused: of a token that is remembered, what time does not change
	key           *key     // that verified it …
	from          *keyURL  // … and where that key is from; nil: it is ours
}

// memory holds verified tokens, so that each is verified once. The oldest make room for new ones: with tokens
// that are renewed, those are the ones that are no longer sent. A lookup takes no more than a read lock, and
// no lock is held across a file, the network or a signature.
//
// A token is under the text of its Authorization line, "Bearer " and the token, which costs the fast path nothing to make.
//
// While key files and key sets have to be looked at, all that a lookup could find is set aside, so that the fast path need
// not ask: a request that finds nothing looks.
type memory struct {
	mu      sync.RWMutex
	entries map[string]*entry      // of this version
	headers map[string]*joseHeader // of tokens that were verified with keys of this version, by "Bearer " and the header
	version int64                  // grows when keys change; 0 while a look is due
	aside   aside

	former map[string]*entry // of versions before: they have to show that their key is still there

	lastHeader     *joseHeader // that was read, whoever wrote it
	lastHeaderText string

	queue    []string // the entries' keys, oldest first, from head on
	head     int
	weight   int
	capacity int

	// What the last look saw.
	ring *ring
	sets []*keySet

	renewals renewals
}

// aside is what a memory holds while a look is due.
type aside struct {
	entries map[string]*entry
	headers map[string]*joseHeader
	version int64
}

const (
	maxRememberedHeaders = 100
	maxForgotten         = 32 // at once, since the lock is held meanwhile
	lookEvery            = time.Second
	never                = 1 << 62 // a time that no clock shows
)

func newMemory(capacity int) *memory {
	return &memory{
		entries: map[string]*entry{}, former: map[string]*entry{}, headers: map[string]*joseHeader{}, capacity: capacity,
		aside:    aside{entries: map[string]*entry{}, headers: map[string]*joseHeader{}, version: 1},
		renewals: renewals{byToken: map[string]*renewed{}},
	}
}

// remember stores an entry, and forgets the oldest ones if there is no room. A token counts once per KiB that it begins,
// so that the bytes held are bounded too.
func remember(m *memory, line string, e *entry) {
	m.mu.Lock()
	if e.version == m.version { // Keys that changed while it was verified could be without its own.
		if m.entries[line] == nil {
			if m.former[line] == nil {
				m.queue = append(m.queue, line)
				m.weight += len(line)>>10 + 1
			}
			delete(m.former, line)
		}
		m.entries[line] = e
		if m.weight > m.capacity {
			makeRoom(m)
		}
	}
	m.mu.Unlock()
}

// makeRoom forgets the oldest tokens: a few more than have to go, so that it is not called for each new one.
func makeRoom(m *memory) {
	most := m.capacity - m.capacity/100
	if most < m.capacity-maxForgotten {
		most = m.capacity - maxForgotten
	}
	newest := m.queue[len(m.queue)-1]
	if weight := len(newest)>>10 + 1; weight > m.capacity { // There is no room for it at all.
		delete(m.entries, newest)
		m.queue = m.queue[:len(m.queue)-1]
		m.weight -= weight
		return
	}
	for m.weight > most && m.head < len(m.queue)-1 {
		oldest := m.queue[m.head]
		delete(m.entries, oldest)
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

// recall returns what is remembered of a token, if its key is still there; else nil. It looks at the keys first, if that
// is due.
func recall(s *settings, line string, at time.Duration) *entry {
	m := s.memory
	m.mu.RLock()
	e, former, version := m.entries[line], m.former[line], m.version
	m.mu.RUnlock()
	if version == 0 {
		look(s, at)
		e = recall(s, line, at)
		return e
	}
	if e == nil && former != nil && keyRemains(s, former) {
		confirmed := *former
		confirmed.version = version
		e = &confirmed
		remember(m, line, e)
	}
	return e
}

// rememberHeader stores the header of a token that was verified, under the text of its Authorization line up to the first
// dot: nobody else's text gets in. With it goes the key, where the header alone decides which key a token meets.
func rememberHeader(s *settings, text string, h *joseHeader, version int64) {
	known := *h
	known.isStrict = true
	own := currentRing(s.keys)
	if keys := candidates(own.set, h.alg, h.kid); len(keys) == 1 && len(s.endpoints) == 0 && !own.incomplete {
		known.only = keys[0]
		known.certificate, known.algorithm = keys[0].certificate, signatureAlgorithms[h.alg]
	}
	m := s.memory
	m.mu.Lock()
	if version == m.version && len(m.headers) < maxRememberedHeaders {
		m.headers[text] = &known
	}
	m.mu.Unlock()
}

// look reads changed key files, starts the refresh of key sets that are old, and notes when keys have changed, if that is
// due: on the first request, and then on the first one after each second. The others go on with what is known.
func look(s *settings, at time.Duration) {
	m := s.memory
	m.mu.Lock()
	if m.version != 0 {
		m.mu.Unlock()
		return
	}
	bringBack(m)
	m.mu.Unlock()
	scheduleLook(s) // Before the look, which a file may hold up.

	lookAtFiles(s.keys)
	r := currentRing(s.keys)
	sets := make([]*keySet, len(s.endpoints))
	for i, endpoint := range s.endpoints {
		sets[i] = freshKeys(endpoint, at.Seconds())
	}

	m.mu.Lock()
	isLate := m.version == 0 // It took so long that the next look is due, and is this one.
	if isLate {
		bringBack(m)
	}
	changed := r != m.ring || len(sets) != len(m.sets)
	for i := 0; !changed && i < len(sets); i++ {
		changed = sets[i] != m.sets[i]
	}
	if changed {
		if signerID(r) != signerID(m.ring) {
			forgetRenewals(&m.renewals)
		}
		m.version++
		m.ring, m.sets = r, sets
		m.headers = map[string]*joseHeader{}
		distrust(m)
	}
	m.mu.Unlock()
	if isLate {
		scheduleLook(s)
	}
}

// scheduleLook has the keys looked at again after a while, if they can change.
func scheduleLook(s *settings) {
	m := s.memory
	if s.keys.watches || len(s.endpoints) > 0 {
		time.AfterFunc(lookEvery, func() { callForLook(m) })
	}
}

// callForLook makes the next request look at the keys. It is all that a timer does.
func callForLook(m *memory) {
	m.mu.Lock()
	if m.version != 0 { // Else a look is due already.
		setAside(m)
	}
	m.mu.Unlock()
}

// setAside sets aside what a lookup could find. The caller holds the lock.
func setAside(m *memory) {
	m.aside = aside{entries: m.entries, headers: m.headers, version: m.version}
	m.entries = map[string]*entry{}
	m.headers = map[string]*joseHeader{}
	m.version = 0
}

// bringBack undoes setAside. The caller holds the lock.
func bringBack(m *memory) {
	m.entries, m.headers, m.version = m.aside.entries, m.aside.headers, m.aside.version
}

// distrust makes all that is remembered show its key again. The fewer are moved to the more, since nobody can look up
// anything meanwhile. The caller holds the lock.
func distrust(m *memory) {
	few, many := m.entries, m.former
	if len(few) > len(many) {
		few, many = many, few
	}
	for line, e := range few {
		many[line] = e
	}
	m.entries, m.former = map[string]*entry{}, many
}

// keyRemains says whether the key that verified an entry is still there.
func keyRemains(s *settings, e *entry) bool {
	if e.from == nil {
		return currentRing(s.keys).set.ids[e.key.id]
	}
	set := knownKeys(e.from)
	return set != nil && set.ids[e.key.id]
}
