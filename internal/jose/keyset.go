package jose

import "strings"

// KeySet finds keys by a token's alg and kid, so that only those are tried which can have signed it. It does not change.
type KeySet struct {
	byAlg map[string][]*Key // every key of an algorithm
	byKID map[string][]*Key // "alg kid": the keys of that kid, and behind them those without one
	noKID map[string][]*Key // the keys of an algorithm that have no kid
	kids  map[string]bool
	ids   map[string]bool
}

// NewKeySet makes a set of keys. They have to be bound: see Key.Bind.
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
	for id, named := range set.byKID {
		alg, _, _ := strings.Cut(id, " ")
		named = append(named, set.noKID[alg]...)
		set.byKID[id] = named
	}
	return set
}

// Has says whether the set has this key, or another that treats every token alike.
func (s *KeySet) Has(k *Key) bool { return s.ids[k.ID] }

// HasKID says whether a key in the set has that kid.
func (s *KeySet) HasKID(kid string) bool { return s.kids[kid] }

// Serves says whether a key in the set can verify an algorithm.
func (s *KeySet) Serves(alg string) bool { return len(s.byAlg[alg]) > 0 }

// Find finds the key that signed a token, and says how many were tried before, up to a limit. A token meets the keys of its
// algorithm and kid and those of its algorithm without a kid, or, if it has no kid, all of its algorithm.
//
// Yaegi: a function, since a call of a method costs a microsecond more.
func Find(s *KeySet, h *Header, input string, signature []byte, limit int) (*Key, int) {
	keys := s.byAlg[h.Alg]
	if h.KID != "" {
		keys = s.byKID[h.Alg+" "+h.KID]
		if keys == nil {
			keys = s.noKID[h.Alg]
		}
	}
	tried := 0
	for _, k := range keys {
		if tried == limit {
			break
		}
		isRight := false
		if k.checker != nil {
			isRight = k.checker.CheckSignature(k.algorithms[h.Alg].verifier, []byte(input), signature) == nil
		} else {
			isRight = Verify(k, h.Alg, input, signature)
		}
		if isRight {
			return k, tried
		}
		tried++
	}
	return nil, tried
}
