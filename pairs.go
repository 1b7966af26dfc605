package slidingjwt

import (
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strings"
)

// pairFinder finds the pairs of one name in a list such as a Cookie line or a query.
//
// Yaegi: a stranger can send a thousand pairs for nothing, and each one that the interpreter looks at costs a microsecond.
// So the whole text is searched by a few compiled calls, and only the pairs they point at are looked at one by one.
type pairFinder struct {
	name      string
	separator string // between two pairs
	// normal writes every spelling of the name as the name itself, and leaves the separators alone. It may make
	// other names equal to it: isNamed decides.
	normal  *strings.Replacer
	isNamed func(key, name string) bool
}

// maxNamed is how many pairs of the token's name are looked at. They hold the same token or are refused.
const maxNamed = 16

var errTooMany = errors.New("there are more pairs of the name than are looked at")

// cookieFinder finds cookies (RFC 6265 4.2.1): services differ in which white space around a name they ignore.
func cookieFinder(name string) *pairFinder {
	return &pairFinder{name: name, separator: ";", normal: spaces, isNamed: isTrimmed}
}

func isTrimmed(key, name string) bool { return strings.TrimSpace(key) == name }

// spaces removes what strings.TrimSpace counts as space.
var spaces = strings.NewReplacer(
	" ", "", "\t", "", "\n", "", "\v", "", "\f", "", "\r", "", "\u0085", "", "\u00a0", "", "\u1680", "", "\u2000", "", "\u2001", "",
	"\u2002", "", "\u2003", "", "\u2004", "", "\u2005", "", "\u2006", "", "\u2007", "", "\u2008", "", "\u2009", "", "\u200a", "",
	"\u2028", "", "\u2029", "", "\u202f", "", "\u205f", "", "\u3000", "")

// parameterFinder finds parameters of a query or form, whose names may be percent-encoded.
func parameterFinder(name string) *pairFinder {
	var spellings []string
	for i := 0; i < len(name); i++ {
		octet, upper := name[i:i+1], fmt.Sprintf("%%%02X", name[i])
		spellings = append(spellings, upper, octet, strings.ToLower(upper), octet)
		// A hexadecimal number of two letters has two more spellings.
		spellings = append(spellings, upper[:2]+strings.ToLower(upper[2:]), octet, strings.ToLower(upper[:2])+upper[2:], octet)
		if octet == " " {
			spellings = append(spellings, "+", octet)
		}
	}
	return &pairFinder{name: name, separator: "&", normal: strings.NewReplacer(spellings...), isNamed: isDecoded}
}

func isDecoded(key, name string) bool {
	text, err := url.QueryUnescape(key)
	return err == nil && text == name
}

// findPairs returns the pairs of a text, and the positions among them of those that have the name. Where there is none,
// as is usual, it returns nothing.
func findPairs(f *pairFinder, text string) (pairs []string, named []int, err error) {
	if text == "" {
		return pairs, named, nil
	}
	// Each pair between two separators of its own: "a=1&b=2" becomes "&a=1&&b=2&".
	normal := f.separator + strings.ReplaceAll(f.normal.Replace(text), f.separator, f.separator+f.separator) + f.separator
	withValue, alone := f.separator+f.name+"=", f.separator+f.name+f.separator
	count := strings.Count(normal, withValue) + strings.Count(normal, alone)
	if count == 0 {
		return pairs, named, nil
	}
	if count > maxNamed {
		return pairs, named, errTooMany
	}
	pairs = strings.Split(text, f.separator)
	for _, start := range []string{withValue, alone} {
		at := 0
		for {
			next := strings.Index(normal[at:], start)
			if next < 0 {
				break
			}
			i := strings.Count(normal[:at+next+1], f.separator) / 2
			key, _, _ := strings.Cut(pairs[i], "=")
			if f.isNamed(key, f.name) {
				named = append(named, i)
			}
			at += next + len(start)
		}
	}
	return pairs, named, nil
}

// valueOf is what stands behind the name of a pair.
func valueOf(pair string) string {
	_, value, _ := strings.Cut(pair, "=")
	return value
}

// without joins the pairs again, but those at some positions.
//
// Yaegi: pairs = append(pairs[:i], pairs[i+1:]...) panics, since both slices share a variable's place.
func without(f *pairFinder, pairs []string, named []int) string {
	sort.Ints(named)
	var kept []string
	start := 0
	for _, i := range named {
		kept = append(kept, pairs[start:i]...)
		start = i + 1
	}
	kept = append(kept, pairs[start:]...)
	return strings.Join(kept, f.separator)
}
