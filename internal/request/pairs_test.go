package request_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// The fuzz targets are native only: Go's fuzzer instruments compiled code. Their seeds run with every test.

// The pairs that are found are those whose decoded name is the one, and without them the rest is as it was, byte for byte.
func FuzzParameters(f *testing.F) {
	for _, query := range []string{"", "token=x", "a=b&token=x&c=d", "token=x&token=y", "a=b&&token=x&", "%74oken=x", "token", "token=", "Token=x", "a=token", "a=%zz&token=%zz", "to+ken=x", "token;x=y", "=token", "a=b?token=x", "tokens=1&token=2&toke=3"} {
		f.Add(query, "token")
	}
	f.Add("to+ken=1&to%20ken=2&token=3", "to ken")
	f.Add("%=1&a=b", "%")
	f.Add("?&0", "0")
	f.Add(strings.Repeat("token=x&", 60), "token")
	f.Fuzz(func(t *testing.T, query, name string) {
		if name == "" || strings.ContainsAny(name, "&=%+") {
			return // New refuses such a name.
		}
		checkPairs(t, request.ParameterFinder(name), query, "&", func(key string) bool {
			text, err := url.QueryUnescape(key)
			return err == nil && text == name
		})
	})
}

// Cookies are found whatever white space services ignore around their names.
func FuzzCookies(f *testing.F) {
	for _, line := range []string{"", "session=x", "a=b;session=x;c=d", "session=x;session=y", "session", "session=", "Session=x", "a=session", " session = x ;a=b", "\tsession=x;\u00a0session=y;\u2003session=z", "a=b;;c=d", ";", "xsession=1;session2=2"} {
		f.Add(line, "session")
	}
	f.Fuzz(func(t *testing.T, line, name string) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }) {
			return // New refuses such a name.
		}
		checkPairs(t, request.CookieFinder(name), line, ";", func(key string) bool { return strings.TrimSpace(key) == name })
	})
}

// checkPairs compares what a finder finds, and leaves, with what a plain loop over the pairs does.
func checkPairs(t *testing.T, finder *request.PairFinder, text, separator string, isNamed func(key string) bool) {
	t.Helper()
	var named, kept []string
	for _, pair := range strings.Split(text, separator) {
		key, _, _ := strings.Cut(pair, "=")
		if isNamed(key) {
			named = append(named, pair)
		} else {
			kept = append(kept, pair)
		}
	}
	got, err := finder.Find(text)
	if errors.Is(err, request.ErrTooMany) {
		if strings.Count(text, separator) < 50 {
			t.Errorf("%q: got too many of %d pairs", text, strings.Count(text, separator)+1)
		}
		return
	}
	slices.Sort(got)
	slices.Sort(named)
	if err != nil || !slices.Equal(got, named) {
		t.Fatalf("%q: got %q and %v, want %q", text, got, err, named)
	}
	if rest := finder.Without(text, got); rest != strings.Join(kept, separator) {
		t.Errorf("%q without %q: got %q, want %q", text, got, rest, strings.Join(kept, separator))
	}
}

// At most 50 pairs are looked at that begin as the name may.
func TestTooManyPairs(t *testing.T) {
	tests := []struct {
		name, text string
		isTooMany  bool
	}{
		{"as many as are looked at", strings.Repeat("token=x&", 16), false},
		{"more", strings.Repeat("token=x&", 17), true},
		{"more that only begin like it", strings.Repeat("tokens=x&", 17), true},
		{"more that are encoded", strings.Repeat("%74oken=x&", 17), true},
		{"more whose encoded names are others", strings.Repeat("t%6fto=x&", 17), true},
		{"a thousand others", strings.Repeat("a=token&", 1000) + "token=x", false},
	}
	for _, test := range tests {
		pairs, err := request.ParameterFinder("token").Find(test.text)
		if errors.Is(err, request.ErrTooMany) != test.isTooMany || test.isTooMany && pairs != nil {
			t.Errorf("%s: got %d pairs and %v, want too many: %t", test.name, len(pairs), err, test.isTooMany)
		}
	}
}

func TestValueOf(t *testing.T) {
	for pair, want := range map[string]string{"a=b": "b", "a": "", "a=": "", "a=b=c": "b=c", "=b": "b", "": "", "a\t=\tb": "\tb"} {
		if got := request.ValueOf(pair); got != want {
			t.Errorf("%q: got %q, want %q", pair, got, want)
		}
	}
}

// Some services ignore whatever Unicode calls white space around a cookie's name.
func TestCookiesBehindWhiteSpace(t *testing.T) {
	finder := request.CookieFinder("session")
	for r := range rune(0x10000) {
		if !unicode.IsSpace(r) {
			continue
		}
		for _, pair := range []string{string(r) + "session=x", "session" + string(r) + "=x", string(r) + " session=x"} {
			if got, err := finder.Find("a=b;" + pair); err != nil || len(got) != 1 || got[0] != pair {
				t.Errorf("%q: got %q and %v, want it found", pair, got, err)
			}
		}
	}
}

// A service that parses a line finds no cookie of the name in what is left of it.
func TestWithoutCookies(t *testing.T) {
	finder := request.CookieFinder("session")
	for text, want := range map[string]string{"session=x": "", "a=b;session=x": "a=b", "session=x;a=b": "a=b", "a=b;session=x;c=d": "a=b;c=d", "session=x;session=y": "", "session=x;;session=x": "", "a=1;a=1;session=x": "a=1;a=1"} {
		pairs, err := finder.Find(text)
		if err != nil {
			t.Fatal(err)
		}
		got := finder.Without(text, pairs)
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if _, err := (&http.Request{Header: http.Header{"Cookie": {got}}}).Cookie("session"); err == nil {
			t.Errorf("%q: a service still finds the cookie in %q", text, got)
		}
	}
}
