package keysource

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestIsSameOrigin(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"https://a.example/x?y", "https://A.example:443/z", true},
		{"http://a.example", "http://a.example:80", true},
		{"https://a.example", "http://a.example", false},
		{"https://a.example:80", "http://a.example:80", false},
		{"https://a.example", "https://a.example:444", false},
		{"https://a.example", "https://b.example", false},
		{"https://a.example", "https://a.example.b.example", false},
		{"https://a.example/%zz", "https://a.example", false},
		{"https://a.example", "https://a.example/%zz", false},
	} {
		if got := isSameOrigin(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: got %t, want %t", test.a, test.b, got, test.want)
		}
	}
}

// A bearer token is what a header may carry, in its option or in a file; an error does not repeat it.
func TestBearer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, " a.b-c_d~e+f/g=\r\n")
	for _, test := range []struct {
		option, want string
		isChecked    bool // as content
	}{
		{"", "", true},
		{"lovelace", "lovelace", true},
		{" lovelace\n", "lovelace", true},
		{path, "a.b-c_d~e+f/g=", true},
		{path + ".missing", "an error", true},
		{" ", "an error", false},
		{"love lace", "an error", false},
		{"love\nlace", "an error", false},
		{"lovelaceé", "an error", false},
		{"urn:k8s:secret:lovelace", "an error", false},
	} {
		got, err := readBearer(test.option)
		if err != nil {
			got = "an error"
			if strings.Contains(err.Error(), "lace") {
				t.Errorf("%q: got the error %v, want one without the token", test.option, err)
			}
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.option, got, test.want)
		}
		if err := CheckBearer(test.option); (err == nil) != test.isChecked {
			t.Errorf("%q: got %v, want it accepted: %t", test.option, err, test.isChecked)
		}
	}
}
