package logline_test

import (
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// What a stranger wrote takes one line of ASCII, and not too much of it.
func TestQuote(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", `""`},
		{"ada", `"ada"`},
		{`"a\b"`, `"\"a\\b\""`},
		{"a\nslidingjwt: b\r", `"a\nslidingjwt: b\r"`},
		{"\x1b[31m\x00", `"\x1b[31m\x00"`},
		{"é\u202e", `"\u00e9\u202e"`},
		{"\xff", `"\xff"`},
		{strings.Repeat("x", 200), `"` + strings.Repeat("x", 200) + `"`},
		{strings.Repeat("x", 201), `"` + strings.Repeat("x", 200) + `"`},
		{strings.Repeat("x", 199) + "é", `"` + strings.Repeat("x", 199) + `\xc3"`},
	}
	for _, test := range tests {
		if got := logline.Quote(test.text); got != test.want {
			t.Errorf("%q: got %s, want %s", test.text, got, test.want)
		}
	}
}
