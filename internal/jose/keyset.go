package jose

// KeySet holds keys by what a token says of its own, so no key is tried that does not fit. It does not change.
type KeySet struct {
	byAlg map[string][]*Key // every key of an algorithm
	byKID map[string][]*Key // "alg kid": the keys of that kid
	noKID map[string][]*Key // the keys of an algorithm that have no kid
	kids  map[string]bool
	ids   map[string]bool
}

// NewKeySet makes a set of keys that are bound.
func NewKeySet(keys []*Key) *KeySet {
	set := &KeySet{byAlg: map[string][]*Key{}, byKID: map[string][]*Key{}, noKID: map[string][]*Key{}, kids: map[string]bool{}, ids: map[string]bool{}}
	for _, k := range keys {
		set.ids[k.ID] = true
		if k.KID != "" {
			set.kids[k.KID] = true
		}
		for _, alg := range k.Algs {
			set.byAlg[alg] = append(set.byAlg[alg], k)
			if k.KID == "" {
				set.noKID[alg] = append(set.noKID[alg], k)
			} else {
				set.byKID[alg+" "+k.KID] = append(set.byKID[alg+" "+k.KID], k)
			}
		}
	}
	return set
}

// Has says whether a key is in the set: one that treats every token in the same way.
func (s *KeySet) Has(k *Key) bool { return s.ids[k.ID] }

// HasKID says whether a key in the set has that kid.
func (s *KeySet) HasKID(kid string) bool { return s.kids[kid] }

// Serves says whether a key in the set can verify an algorithm.
func (s *KeySet) Serves(alg string) bool { return len(s.byAlg[alg]) > 0 }

// For returns the keys that a token meets: those of its algorithm and kid and those of its algorithm without a kid, or, if the
// token has no kid, all of its algorithm.
func (s *KeySet) For(alg, kid string) []*Key {
	if kid == "" {
		return s.byAlg[alg]
	}
	named, unnamed := s.byKID[alg+" "+kid], s.noKID[alg]
	if len(unnamed) == 0 {
		return named
	}
	return append(append([]*Key{}, named...), unnamed...)
}
