package revocation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/fetch"
)

func now() time.Duration { return sinceEpoch(time.Now()) }

// settled waits until no fetch is under way.
func settled(t *testing.T, s *Source) {
	t.Helper()
	s.mu.Lock()
	attempt := s.attempt
	s.mu.Unlock()
	if attempt != nil {
		<-attempt
	}
}

// An answer is fresh for its max-age, within bounds.
func TestFresh(t *testing.T) {
	tests := []struct {
		header string
		want   time.Duration
	}{
		{"", 10 * time.Second},
		{"no-store", 10 * time.Second},
		{"max-age=0", 5 * time.Second},
		{"max-age=7", 7 * time.Second},
		{"public, max-age=3600", time.Hour},
		{"max-age=86400", time.Hour},
	}
	for _, test := range tests {
		var fetches atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fetches.Add(1)
			w.Header().Set("Cache-Control", test.header)
			_, _ = fmt.Fprint(w, `{"revoked":[]}`)
		}))
		s := NewSource(server.URL, fetch.Client{Timeout: time.Minute})
		first, _ := s.Wait(now())
		due := s.refreshAt
		if got := due - now(); got > test.want || got < test.want-4*time.Second {
			t.Errorf("%q: fresh for %s, want %s", test.header, got, test.want)
		}
		for _, look := range []struct {
			at   time.Duration
			want int64
		}{{due - 1, 1}, {due, 2}, {due - test.want - time.Hour, 3}} { // The last: the clock was set back.
			s.mu.Lock()
			s.refreshAt = due
			s.mu.Unlock()
			if got := s.Look(look.at); got != first {
				t.Errorf("%q: got another list of the same answer", test.header)
			}
			settled(t, s)
			if got := fetches.Load(); got != look.want {
				t.Errorf("%q: got %d fetches %s after it is due, want %d", test.header, got, look.at-due, look.want)
			}
		}
		server.Close()
	}
}

// The pauses between failed attempts double, an answer ends them, and a list is never given up.
func TestPauses(t *testing.T) {
	s := NewSource("https://lists.example", fetch.Client{})
	list := &List{}
	s.settle(list, minAge, nil)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30, 30} {
		before := now()
		s.settle(nil, 0, errors.New("no answer"))
		if got := s.nextTry - before; got < want*time.Second || got > (want+5)*time.Second {
			t.Errorf("got a pause of %s, want %d s", got, want)
		}
	}
	if got, _ := s.Wait(s.nextTry - 1); got != list || s.attempt != nil {
		t.Errorf("got %v, want the list, and no attempt", got)
	}
	s.settle(list, minAge, nil)
	if s.nextTry != 0 || s.backoff != 0 {
		t.Errorf("got a pause until %s, want none", s.nextTry)
	}
}

// A tag is sent for the list that it came with, and no more once something was wrong.
func TestTag(t *testing.T) {
	var asked, tag, text atomic.Value
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", tag.Load().(string))
		w.WriteHeader(int(status.Load()))
		if status.Load() == 200 {
			_, _ = fmt.Fprint(w, text.Load())
		}
	}))
	defer server.Close()
	s := NewSource(server.URL, fetch.Client{Timeout: time.Minute})
	var lists []*List
	for i, step := range []struct {
		status           int64
		tag, text, asked string
		list             int // the step that its list is from
	}{
		{200, `"1"`, `{"revoked":[{"sid":"1"}]}`, "", 0},
		{304, `"1"`, "", `"1"`, 0},
		{200, `"1"`, `{"revoked":[{"sid":"2"}]}`, `"1"`, 2}, // Another list under the same tag.
		{200, `"3"`, `{"revoked":[{}]}`, `"1"`, 2},          // No list.
		{304, `"3"`, "", "", 2},                             // Nobody asked.
		{200, `W/"5"`, `{"revoked":[]}`, "", 5},
		{500, "", "", `W/"5"`, 5},
		{200, "", `{"revoked":[]}`, "", 5},
		{200, "", `{"revoked":[ ]}`, "", 8},
	} {
		status.Store(step.status)
		tag.Store(step.tag)
		text.Store(step.text)
		s.mu.Lock()
		s.refreshAt, s.nextTry = 0, 0
		s.mu.Unlock()
		s.Look(now())
		settled(t, s)
		list := s.list
		lists = append(lists, list)
		if got := asked.Load(); got != step.asked {
			t.Errorf("step %d: asked with %q, want %q", i, got, step.asked)
		}
		if list != lists[step.list] {
			t.Errorf("step %d: got another list than in step %d", i, step.list)
		}
	}
}

// What the log calls a source has no query, which may be a secret.
func TestName(t *testing.T) {
	for place, want := range map[string]string{
		"https://lists.example/revoked?key=secret": `"https://lists.example/revoked"`, "/run/list.json": `"/run/list.json"`,
	} {
		if got := NewSource(place, fetch.Client{}).name(); got != want {
			t.Errorf("%s: got %s, want %s", place, got, want)
		}
	}
	s := NewSource(filepath.Join(t.TempDir(), "missing.json"), fetch.Client{})
	if list, retryAfter := s.Wait(now()); list != nil || retryAfter > time.Second || s.attempt != nil {
		t.Errorf("got %v and %s, want no list, and no fetch for a file", list, retryAfter)
	}
}

// FuzzParse says that a list that is accepted has nothing but what is known, each member once, and that each of its entries matches
// a token that has all it names.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"revoked":[]}`, `{"revoked":[{"sid":"a"},{"jti":"b","iss":"c"},{"sub":"d","before":1},{"before":1e3}]}`,
		` { "revoked" : [ { "sub" : "\":\\" } ] } `, `{"revoked":[{"sub":":","SUB":"x"},{"sid":"\":"}]}`, `{"revoked":[{"sub":"\\\":","iss":":\":"}]}`,
		`{"revoked":[{"sid":"a","sid":"b"}],"revoked":null}`, `{"revoked":[{"s\u0069d":"a"}]}`, `{"revoked":[{"before":0}]}`, `{"revoked":[{"sub":"é","before":-1}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := Parse(text)
		if err != nil {
			return
		}
		if names := memberNames(t, text); strings.Contains(names, "?") {
			t.Fatalf("%s: accepted with the members %s", text, names)
		}
		var d struct{ Revoked []map[string]any }
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, e := range d.Revoked {
			facts := &Facts{Start: NoStart}
			facts.SID, _ = e["sid"].(string)
			facts.JTI, _ = e["jti"].(string)
			facts.Subject, _ = e["sub"].(string)
			facts.Issuer, _ = e["iss"].(string)
			if !Has(list, facts) {
				t.Errorf("%s: the entry %v does not match its token", text, e)
			}
		}
		if Has(list, &Facts{Start: always}) {
			t.Errorf("%s: it matches a token that has nothing", text)
		}
	})
}

// memberNames walks over a list, and marks with ? what is not known or there twice.
func memberNames(t *testing.T, text []byte) string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	all := ""
	known := []map[string]bool{{"revoked": true}, {"sid": true, "jti": true, "sub": true, "iss": true, "before": true}}
	var seen []map[string]bool
	isName := false
	for {
		token, err := decoder.Token()
		if err != nil {
			return all
		}
		switch token {
		case json.Delim('{'):
			seen = append(seen, map[string]bool{})
			isName = true
			continue
		case json.Delim('}'):
			seen = seen[:len(seen)-1]
			isName = len(seen) > 0
			continue
		case json.Delim('['), json.Delim(']'):
			isName = token == json.Delim(']')
			continue
		}
		if name, isText := token.(string); isText && isName {
			depth := len(seen) - 1
			if depth > 1 || !known[depth][name] || seen[depth][name] {
				all += "?"
			}
			seen[depth][name] = true
			all += name + " "
			isName = false
			continue
		}
		isName = true
	}
}
