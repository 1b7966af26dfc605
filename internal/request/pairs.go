package request

import (
	"errors"
	"net/url"
	"sort"
	"strings"
)

// PairFinder finds the pairs of one name in a list such as a Cookie line or a query.
//
// Yaegi: sending a thousand pairs costs a client almost nothing, and each pair that interpreted code looks at costs a microsecond.
// So the pairs are sorted, in one compiled call, and only those that begin like the name are looked at.
type PairFinder struct {
	name      string
	separator string   // between two pairs
	starts    []string // every pair of that name begins with one of these, and few others do
	isNamed   func(key, name string) bool
}

// maxAlike is how many pairs that begin like the name are looked at.
const maxAlike = 16

// ErrTooMany is the error of a text in which more pairs begin like the name than are looked at.
var ErrTooMany = errors.New("there are more pairs that begin like the name than are looked at")

// CookieFinder finds cookies (RFC 6265 4.2.1), also with white space around the name, since some services ignore that.
func CookieFinder(name string) *PairFinder {
	// The second line has the first octets of what Unicode counts as white space.
	starts := []string{name, " ", "\t", "\n", "\v", "\f", "\r", "\xc2", "\xe1\x9a", "\xe2\x80", "\xe2\x81", "\xe3\x80"}
	return &PairFinder{name: name, separator: ";", starts: starts, isNamed: isTrimmed}
}

func isTrimmed(key, name string) bool { return strings.TrimSpace(key) == name }

// ParameterFinder finds parameters of a query or form, whose names may be percent-encoded from any octet on.
func ParameterFinder(name string) *PairFinder {
	starts := []string{name}
	for i := 0; i < len(name); i++ { // Also within a character of several octets.
		starts = append(starts, name[:i]+"%")
		if name[i] == ' ' {
			starts = append(starts, name[:i]+"+")
		}
	}
	return &PairFinder{name: name, separator: "&", starts: starts, isNamed: isDecoded}
}

func isDecoded(key, name string) bool {
	text, err := url.QueryUnescape(key)
	return err == nil && text == name
}

// Find returns the pairs of a text that have the name, as they stand there, in no order.
func (f *PairFinder) Find(text string) ([]string, error) {
	if !strings.Contains(text, f.name) && !strings.ContainsAny(text, "%+") {
		return nil, nil
	}
	pairs := strings.Split(text, f.separator)
	sort.Strings(pairs)
	named := []string{}
	alike := 0
	for _, start := range f.starts {
		for i := sort.SearchStrings(pairs, start); i < len(pairs) && strings.HasPrefix(pairs[i], start); i++ {
			alike++
			if alike > maxAlike {
				return nil, ErrTooMany
			}
			key, _, _ := strings.Cut(pairs[i], "=")
			if f.isNamed(key, f.name) {
				named = append(named, pairs[i])
			}
		}
	}
	return named, nil
}

// ValueOf is a pair's value.
func ValueOf(pair string) string {
	_, value, _ := strings.Cut(pair, "=")
	return value
}

// Without removes pairs from a text, and leaves the rest as it is.
func (f *PairFinder) Without(text string, pairs []string) string {
	// Each pair gets two separators of its own ("a=1&b=2" becomes "&a=1&&b=2&"), so that it can be replaced with them.
	one, two := f.separator, f.separator+f.separator
	text = one + strings.ReplaceAll(text, one, two) + one
	for _, pair := range pairs {
		text = strings.ReplaceAll(text, one+pair+one, "")
	}
	text = strings.TrimPrefix(strings.TrimSuffix(text, one), one)
	return strings.ReplaceAll(text, two, one)
}
