package slidingjwt

import (
	"sync"
	"time"
)

// entry is what is remembered of a verified token: all that a request needs of it, derived once. It is immutable.
type entry struct {
	// What the fast path reads.
	validSince time.Duration // since the epoch: between these it is valid for sure …
	validUntil time.Duration
	dueFrom    time.Duration // … and due for renewal from then on
	names      []string      // the headers to set …
	values     [][]string    // … and their values

	version int64 // the memory's, when the key was last known to be there

	exp, nbf, iat float64  // NumericDates; nbf and iat are 0 if absent
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
	entries  map[string]*entry // of this version
	nextLook time.Duration     // since the epoch: from when on key files and key sets are looked at again …
	lookedAt time.Duration     // … and before when too, since then the clock was set back: a second before the look
	version  int64             // grows when keys change: entries of the version before have to show that theirs is still there
	former   map[string]*entry // those that have not shown it yet

	headers        map[string]*joseHeader // of tokens that were verified with keys of this version, by "Bearer " and the header
	lastHeader     *joseHeader            // that was read, whoever wrote it
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

const (
	maxRememberedHeaders = 100
	maxForgotten         = 32 // at once, since the lock is held meanwhile
	lookEvery            = time.Second
	never                = 1 << 62 // a time that no clock shows
)

func newMemory(capacity int) *memory {
	return &memory{
		entries: map[string]*entry{}, former: map[string]*entry{}, headers: map[string]*joseHeader{}, capacity: capacity,
		renewals: renewals{byToken: map[string]*renewed{}},
	}
}

// remember stores an entry, and forgets the oldest ones if there is no room. A token counts once per KiB that it begins,
// so that the bytes held are bounded too.
func remember(m *memory, line string, e *entry) {
	weight := len(line)>>10 + 1
	m.mu.Lock()
	// Keys that changed while it was verified could be without its own.
	if e.version == m.version {
		if weight <= m.capacity {
			if m.entries[line] == nil {
				if m.former[line] == nil {
					m.queue = append(m.queue, line)
					m.weight += weight
					if m.weight > m.capacity {
						makeRoom(m)
					}
				}
				delete(m.former, line)
			}
			m.entries[line] = e
		}
	}
	m.mu.Unlock()
}

// makeRoom forgets the oldest tokens, never the newest: a few more than have to go, so that it is not called for each new one.
func makeRoom(m *memory) {
	most := m.capacity - m.capacity/100
	if most < m.capacity-maxForgotten {
		most = m.capacity - maxForgotten
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

// recall returns what is remembered of a token, and the memory's version; nil if it is not there, or has to show its key
// again. It looks at the keys first, if that is due.
func recall(s *settings, line string, at time.Duration) (*entry, int64) {
	m := s.memory
	m.mu.RLock()
	e, version, isDue := m.entries[line], m.version, at >= m.nextLook || at < m.lookedAt
	m.mu.RUnlock()
	if isDue {
		version = look(s, at)
	}
	return e, version
}

// rememberHeader stores the header of a token that was verified, under the text of its Authorization line up to the first
// dot: nobody else's text gets in. With it goes the key, where the header alone decides which key a token meets.
func rememberHeader(s *settings, text string, h *joseHeader, version int64) {
	known := *h
	own := currentRing(s.keys)
	if keys := candidates(own.set, h.alg, h.kid); len(keys) == 1 && len(s.endpoints) == 0 && !own.incomplete {
		known.only = keys[0]
	}
	m := s.memory
	m.mu.Lock()
	if version == m.version && len(m.headers) < maxRememberedHeaders {
		m.headers[text] = &known
	}
	m.mu.Unlock()
}

// look reads changed key files and starts the refresh of key sets that are old. It does so at most once a
// second, on one request, notes when keys have changed, and returns the memory's version after that.
func look(s *settings, at time.Duration) int64 {
	m := s.memory
	m.mu.Lock()
	if at < m.nextLook && at >= m.lookedAt {
		version := m.version
		m.mu.Unlock()
		return version
	}
	m.lookedAt, m.nextLook = at-lookEvery, at+lookEvery // A request may have read its clock earlier, and come later.
	if !s.keys.watches && len(s.endpoints) == 0 {
		m.nextLook = never
	}
	m.mu.Unlock()

	lookAtFiles(s.keys)
	r := currentRing(s.keys)
	sets := make([]*keySet, len(s.endpoints))
	for i, endpoint := range s.endpoints {
		sets[i] = freshKeys(endpoint, at.Seconds())
	}

	m.mu.Lock()
	changed := r != m.ring || len(sets) != len(m.sets)
	for i := 0; !changed && i < len(sets); i++ {
		changed = sets[i] != m.sets[i]
	}
	if changed {
		m.version++
		m.ring, m.sets = r, sets
		m.headers = map[string]*joseHeader{}
		setAside(m)
	}
	version := m.version
	m.mu.Unlock()
	return version
}

// setAside makes all that is remembered show its key again. The fewer are moved to the more, since nobody can look up
// anything meanwhile. The caller holds the lock.
func setAside(m *memory) {
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
		return currentRing(s.keys).set.ids[e.keyID]
	}
	set := knownKeys(e.from)
	return set != nil && set.ids[e.keyID]
}
