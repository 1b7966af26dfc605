package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestIsPath(t *testing.T) {
	for value, want := range map[string]bool{
		"/a": true, "/": true, "./a": true, "../a": true, `C:\keys`: true, "c:/keys": true, "z:/": true,
		"": false, "a": false, "a/b": false, ".": false, "..": false, ".a": false, "~/a": false, "file:///a": false, "C:": false, "C:a": false, "1:/a": false, "@:/a": false, "[:/a": false, "é:/a": false, "\t/a": false, "-----BEGIN": false,
	} {
		if got := IsPath(value); got != want {
			t.Errorf("%q: got %t, want %t", value, got, want)
		}
	}
}

// A file is read again when its size, time or identity has changed, and as long as it may still be written.
func TestFileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f := &File{Path: path}
	written := time.Now().Add(-time.Hour).Truncate(time.Second)
	put := func(path, text string, at time.Time) {
		t.Helper()
		write(t, path, text)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when, wantText string, wantChanged bool) {
		t.Helper()
		text, changed, err := f.Read(time.Now())
		if text != wantText || changed != wantChanged || err != nil {
			t.Errorf("%s: got %q, changed: %t, %v, want %q, %t", when, text, changed, err, wantText, wantChanged)
		}
	}
	wantProblem := func(when, problem string) {
		t.Helper()
		if text, changed, err := f.Read(time.Now()); err == nil || !strings.Contains(err.Error(), problem) || text != "" || changed {
			t.Errorf("%s: got %q, changed: %t, %v, want the error %q", when, text, changed, err, problem)
		}
	}
	wantProblem("before it is there", "missing or unreadable")
	put(path, "one", written)
	want("at first", "one", true)
	want("once more", "one", false)
	put(path, "two", written)
	want("changed, of the same size and time", "one", false) // That is all that a look sees.
	put(path, "two", written.Add(time.Second))
	want("with another time", "two", true)
	put(path, "three", written.Add(time.Second))
	want("with another size", "three", true)
	put(path+".new", "trees", written.Add(time.Second))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	want("another file in its place", "trees", true)
	put(path, "trees", written)
	want("the same text, written again", "trees", false)

	// Just written, it is read each time: its time may not tell two writes apart.
	just := time.Now()
	put(path, "a", just)
	want("just written", "a", true)
	put(path, "b", just)
	want("written again at that time", "b", true)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantProblem("removed", "missing or unreadable")
	put(path, "b", written)
	want("there again", "b", true)
	put(path, strings.Repeat("x", defaultMaxBytes+1), written)
	wantProblem("too large", "not a regular file")
	f.Path = filepath.Dir(path)
	wantProblem("a folder", "not a regular file")
}

func TestContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "text\n")
	for value, want := range map[string]string{"content": "content", "": "", path: "text\n"} {
		if got, err := Content(value); got != want || err != nil {
			t.Errorf("%q: got %q and %v, want %q", value, got, err, want)
		}
	}
	if _, err := Content(path + ".missing"); err == nil {
		t.Error("a missing file: got no error, want one")
	}
}

// write writes a file.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
