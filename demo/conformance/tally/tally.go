// Package tally counts what the conformance suites compare, and prints a line for each suite, and one for each reason why
// cases rightly differ from the verdict that is expected:
//
//	conformance: vectors: RFC examples: 20 cases, 13 agree, 7 listed exceptions, 0 cannot be expressed, 0 differ between native and interpreted
//	conformance:   7 exceptions: JSON serialisation is refused
//
// It knows nothing of what a case is: a vector, a token of another implementation, an attack.
package tally

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// Tally is what one suite came to. Its lines are printed when its test ends.
type Tally struct {
	t     *testing.T
	suite string

	cases, agree, differ    int
	exceptions, unexpressed map[string]int // by the reason
}

// Of counts a suite. Its name begins with its kind: "vectors: …", "interop: …" or "attacks: …".
func Of(t *testing.T, suite string) *Tally {
	t.Helper()
	s := &Tally{t: t, suite: suite, exceptions: map[string]int{}, unexpressed: map[string]int{}}
	t.Cleanup(s.finish)
	return s
}

// Compare counts a case: the verdict that is expected, what each engine came to, and the reason if the case is listed as one
// that rightly differs. A listed one that agrees after all is an error.
func (s *Tally) Compare(name, want, reason string, got ...string) {
	s.t.Helper()
	s.cases++
	for _, other := range got {
		if other != got[0] {
			s.differ++
			s.t.Errorf("%s: %s: native against interpreted: got %q", s.suite, name, got)
			return
		}
	}
	switch {
	case got[0] == want && reason != "":
		s.t.Errorf("%s: %s: got %s as expected, but it is listed as an exception: %s", s.suite, name, want, reason)
	case got[0] == want:
		s.agree++
	case reason != "":
		s.exceptions[reason]++
	default:
		s.t.Errorf("%s: %s: got %s, want %s", s.suite, name, got[0], want)
	}
}

// Unexpressed counts a case that the suite has no way to put to the middleware, and says why.
func (s *Tally) Unexpressed(reason string) {
	s.cases++
	s.unexpressed[reason]++
}

func (s *Tally) finish() {
	if s.cases == 0 {
		s.t.Errorf("%s: got no cases", s.suite)
	}
	fmt.Printf("conformance: %s: %d cases, %d agree, %d listed exceptions, %d cannot be expressed, %d differ between native and interpreted\n",
		s.suite, s.cases, s.agree, sum(s.exceptions), sum(s.unexpressed), s.differ)
	printReasons("exceptions", s.exceptions)
	printReasons("not expressed", s.unexpressed)
}

func sum(counts map[string]int) int {
	total := 0
	for _, count := range counts {
		total += count
	}
	return total
}

func printReasons(what string, counts map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Printf("conformance:   %d %s: %s\n", counts[reason], what, reason)
	}
}
