package slidingjwt

import "sync"

// entry is what is remembered of a verified token: all that a request needs of it, derived once. It is immutable.
type entry struct {
	// What the fast path reads.
	version    int64 // the memory's, when the key was last known to be there
	freshSince int64 // whole seconds between which it is valid for sure and no renewal is due
	freshUntil int64
	names      []string   // the headers to set …
	values     [][]string // … and their values

	exp, nbf, iat float64  // NumericDates; nbf and iat are 0 if absent
	due           float64  // when renewal is due; 0: never
	authTime      float64  // when the session began
	typ           string   // the header's, for the renewed token
	refused       *refusal // what scopes and claims say of it, which time does not change
	keyID         string   // of the key that verified it …
	from          *keyURL  // … and where that key is from; nil: it is ours
}

// memory holds verified tokens, so that each is verified once. The oldest make room for new ones: with tokens
// that are renewed, those are the ones that are no longer sent. A lookup takes no more than a read lock, and
// no lock is held while anything slow happens.
//
// A token is under the text of its Authorization line, "Bearer " and the token, which costs the fast path nothing to make.
type memory struct {
	mu       sync.RWMutex
	entries  map[string]*entry
	version  int64 // grows when keys change: entries of an older version have to show that theirs is still there
	nextLook int64 // the Unix second from which key files and key sets are looked at again …
	lookedAt int64 // … and before which too, since then the clock was set back
	headers  map[string]*joseHeader

	queue    []string // the entries' keys, oldest first, from head on
	head     int
	weight   int
	capacity int

	// What the last look saw.
	ring *ring
	sets []*keySet

	renewals renewals
}

const (
	maxRememberedHeaders = 100
	lookEvery            = 1 // second
	neverLook            = 1 << 62
)

func newMemory(capacity int) *memory {
	return &memory{
		entries: map[string]*entry{}, headers: map[string]*joseHeader{}, capacity: capacity,
		renewals: renewals{byToken: map[string]*renewed{}},
	}
}

// weightOf counts a token once per KiB, so that the bytes held are bounded too.
func weightOf(line string) int { return (len(line) + 1023) / 1024 }

// remember stores an entry, and forgets the oldest ones if there is no room.
func remember(m *memory, line string, e *entry) {
	if weightOf(line) > m.capacity {
		return
	}
	m.mu.Lock()
	if _, there := m.entries[line]; !there {
		makeRoom(m, weightOf(line))
		m.queue = append(m.queue, line)
	}
	m.entries[line] = e
	m.mu.Unlock()
}

// makeRoom forgets the oldest entries. The caller holds the lock.
func makeRoom(m *memory, weight int) {
	m.weight += weight
	for m.weight > m.capacity {
		oldest := m.queue[m.head]
		m.queue[m.head] = ""
		m.head++
		delete(m.entries, oldest)
		m.weight -= weightOf(oldest)
	}
	if m.head > 1000 && m.head > len(m.queue)/2 {
		m.queue = append([]string{}, m.queue[m.head:]...)
		m.head = 0
	}
}

// recall returns what is remembered of a token, and the memory's version; nil if it is not there.
func recall(m *memory, line string) (*entry, int64) {
	m.mu.RLock()
	e := m.entries[line]
	version := m.version
	m.mu.RUnlock()
	return e, version
}

// rememberHeader stores the header of a token that was verified: nobody else's text gets in. With it goes the
// key, where the header alone decides which key a token meets.
func rememberHeader(s *settings, text string, h *joseHeader, version int64) {
	known := *h
	known.only = nil // Yaegi: a nil among several assigned values panics.
	known.version = version
	own := currentRing(s.keys)
	if keys := candidates(own.set, h.alg, h.kid); len(keys) == 1 && len(s.endpoints) == 0 && !own.incomplete {
		known.only = keys[0]
	}
	m := s.memory
	m.mu.Lock()
	if m.headers[text] != nil || len(m.headers) < maxRememberedHeaders {
		m.headers[text] = &known
	}
	m.mu.Unlock()
}

// look reads changed key files and starts the refresh of key sets that are old. It does so at most once a
// second, on one request, and notes when keys have changed.
func look(s *settings, now float64) {
	m := s.memory
	m.mu.RLock()
	isDue := int64(now) >= m.nextLook || int64(now) < m.lookedAt
	m.mu.RUnlock()
	if isDue {
		lookAgain(s, now)
	}
}

func lookAgain(s *settings, now float64) {
	m := s.memory
	m.mu.Lock()
	if int64(now) < m.nextLook && int64(now) >= m.lookedAt {
		m.mu.Unlock()
		return
	}
	m.lookedAt, m.nextLook = int64(now), int64(now)+lookEvery
	if !s.keys.watches && len(s.endpoints) == 0 {
		m.nextLook = neverLook
	}
	m.mu.Unlock()

	lookAtFiles(s.keys)
	r := currentRing(s.keys)
	sets := make([]*keySet, len(s.endpoints))
	for i, endpoint := range s.endpoints {
		sets[i] = freshKeys(endpoint, now)
	}

	m.mu.Lock()
	changed := r != m.ring || len(sets) != len(m.sets)
	for i := 0; !changed && i < len(sets); i++ {
		changed = sets[i] != m.sets[i]
	}
	if changed {
		m.version++
		m.ring, m.sets = r, sets
	}
	m.mu.Unlock()
}

// keyRemains says whether the key that verified an entry is still there.
func keyRemains(s *settings, e *entry) bool {
	if e.from == nil {
		return currentRing(s.keys).set.ids[e.keyID]
	}
	set := knownKeys(e.from)
	return set != nil && set.ids[e.keyID]
}
