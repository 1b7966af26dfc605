// Package revocation knows which tokens were taken back: what a list of revocations says (List), and where it is from and when it
// is read again (Source). What happens to a token that is in the list is the middleware's to say.
package revocation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// Bounds of a list.
const (
	MaxBytes   = 4 << 20
	MaxEntries = 100_000
)

// Facts are what a list may ask of a token. An empty text is absent: no entry names one.
type Facts struct {
	SID, JTI, Subject, Issuer string
	// Start is when the session began, in seconds since 1970; NoStart if the token does not say.
	Start float64
}

// NoStart is the start of a session that does not say when it began: before all others, so that no "before" misses it.
var NoStart = math.Inf(-1)

// always is the before of an entry that has none.
var always = math.Inf(1)

// List is a list of revocations. It does not change.
type List struct{ groups []*group }

// group are the entries that name the same of sid, jti, sub and iss.
type group struct {
	shape int
	// before is the latest one, by what the entries name. All that began before it is revoked.
	before map[string]float64
}

// What an entry names, of that by which it is found.
const (
	namesSID = 1 << iota
	namesJTI
	namesSub
	namesIss
	shapes
)

// document is a list as it is written.
//
// Yaegi: one json.Unmarshal, which is compiled, reads it. It takes a name in any case, a null for an absent member and the last
// of two members of a name: see checkMembers.
type document struct {
	Revoked []entry `json:"revoked"`
}

type entry struct {
	SID    string   `json:"sid"`
	JTI    string   `json:"jti"`
	Sub    string   `json:"sub"`
	Iss    string   `json:"iss"`
	Before *float64 `json:"before"`
}

// Parse reads a list. It refuses one that has anything that is not known or not right, since an entry that is half understood
// could mean more tokens, or fewer, than whoever wrote it had in mind.
func Parse(text []byte) (*List, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("it is longer than %d MiB", MaxBytes>>20)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	compact := bytes.NewBuffer(make([]byte, 0, len(text)))
	if err := json.Compact(compact, text); err != nil {
		return nil, errors.New("it is not JSON: " + logline.Quote(err.Error()))
	}
	text = compact.Bytes()
	decoder := json.NewDecoder(compact)
	decoder.DisallowUnknownFields()
	var d document
	if err := decoder.Decode(&d); err != nil {
		return nil, errors.New("it is not a list of revocations: " + logline.Quote(err.Error()))
	}
	if d.Revoked == nil {
		return nil, errors.New("it has no list of revocations")
	}
	if len(d.Revoked) > MaxEntries {
		return nil, fmt.Errorf("it has more than %d entries", MaxEntries)
	}
	list, counts, err := index(d.Revoked)
	if err != nil {
		return nil, err
	}
	if err := checkMembers(text, counts); err != nil {
		return nil, err
	}
	return list, nil
}

// index groups the entries, and counts how many name what.
//
// Yaegi: this loop is most of what reading a list costs, so it makes as few calls as it can.
func index(entries []entry) (*List, map[string]int, error) {
	var sids, jtis, subs, issuers, befores int
	groups := make([]map[string]float64, shapes)
	for i := range entries {
		e := &entries[i]
		shape, key := 0, ""
		if e.SID != "" {
			sids++
			shape = namesSID
			key = e.SID
		}
		if e.JTI != "" {
			jtis++
			if shape != 0 {
				key += separator
			}
			shape |= namesJTI
			key += e.JTI
		}
		if e.Sub != "" {
			subs++
			if shape != 0 {
				key += separator
			}
			shape |= namesSub
			key += e.Sub
		}
		before := always
		if e.Before != nil {
			befores++
			before = *e.Before
		} else if shape == 0 {
			return nil, nil, fmt.Errorf("entry %d names none of sid, jti, sub and before, and would mean everybody", i+1)
		}
		if e.Iss != "" {
			issuers++
			if shape != 0 {
				key += separator
			}
			shape |= namesIss
			key += e.Iss
		}
		known := groups[shape]
		if known == nil {
			known = map[string]float64{}
			groups[shape] = known
		}
		if latest, there := known[key]; !there || latest < before {
			known[key] = before
		}
	}
	list := &List{}
	for shape, before := range groups {
		if before != nil {
			list.groups = append(list.groups, &group{shape: shape, before: before})
		}
	}
	return list, map[string]int{"revoked": 1, "sid": sids, "jti": jtis, "sub": subs, "iss": issuers, "before": befores}, nil
}

// separator is between the parts of a key: JSON's texts are UTF-8, so that it is in none of them.
const separator = "\xff"

// checkMembers says whether a list without white space has exactly those members that were found in it: so many of each name, none
// of them empty or null, and no others.
//
// Only a member's name stands before a colon. Else a quote and a colon are together only in a text (behind a backslash) and at its
// beginning (behind the colon of the member).
func checkMembers(text []byte, counts map[string]int) error {
	all := bytes.Count(text, []byte(`":`)) - bytes.Count(text, []byte(`\":`)) - bytes.Count(text, []byte(`:":`))
	for name, count := range counts {
		if bytes.Count(text, []byte(`"`+name+`":`)) != count {
			return fmt.Errorf("a member %s is empty, null, there twice, missing or spelled in another way", name)
		}
		all -= count
	}
	if all != 0 {
		return errors.New("a member is there twice, or spelled in another way")
	}
	return nil
}

// Has says whether a list has an entry that matches a token.
//
// Yaegi: a function, since a call of a method costs a microsecond more.
func Has(l *List, f *Facts) bool {
	for _, g := range l.groups {
		key, isComplete := keyOf(g.shape, f)
		if isComplete {
			before, there := g.before[key]
			if there && f.Start < before {
				return true
			}
		}
	}
	return false
}

// keyOf returns what entries of a shape know a token by, and whether the token has all that they name.
func keyOf(shape int, f *Facts) (string, bool) {
	parts := []string{}
	for _, part := range []struct {
		name int
		text string
	}{{namesSID, f.SID}, {namesJTI, f.JTI}, {namesSub, f.Subject}, {namesIss, f.Issuer}} {
		if shape&part.name != 0 {
			if part.text == "" {
				return "", false
			}
			parts = append(parts, part.text)
		}
	}
	return strings.Join(parts, separator), true
}
