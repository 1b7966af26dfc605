package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestFreshFor(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  time.Duration // in seconds
	}{
		{nil, 600},
		{[]string{"public"}, 600},
		{[]string{"no-store"}, 600},
		{[]string{"max-age"}, 600},
		{[]string{"max-age="}, 600},
		{[]string{"max-age=x"}, 600},
		{[]string{"max-age=0"}, 60},
		{[]string{"max-age=-1"}, 60},
		{[]string{"max-age=-99999999999999999999"}, 60},
		{[]string{"max-age=59"}, 60},
		{[]string{"max-age=60"}, 60},
		{[]string{"max-age=61"}, 61},
		{[]string{"public, Max-Age=300, must-revalidate"}, 300},
		{[]string{`max-age="300"`}, 300},
		{[]string{"public", "max-age=300"}, 300},
		{[]string{"s-maxage=70,max-age=300"}, 300},
		{[]string{"max-age=86399"}, 86399},
		{[]string{"max-age=86401"}, 86400},
		{[]string{"max-age=9223372036854775807"}, 86400},
		{[]string{"max-age=99999999999999999999"}, 86400},
	} {
		if got, want := FreshFor(http.Header{"Cache-Control": test.lines}, time.Minute, 24*time.Hour, 10*time.Minute), test.want*time.Second; got != want {
			t.Errorf("%q: got %s, want %s", test.lines, got, want)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	parsed := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, test := range []struct {
		from, to string
		hops     int
		want     string
	}{
		{"http://a/x", "http://a/y", 1, ""},
		{"http://a/x", "http://a/y", 4, ""},
		{"http://a/x", "http://a/y", 5, "too often"},
		{"https://a/x", "https://A:443/y", 1, ""},
		{"http://a/x", "http://b/x", 1, "another host"},
		{"http://a/x", "http://a:81/x", 1, "another host"},
		{"http://a/x", "https://a/x", 1, "another host or port"},
		{"https://a/x", "http://a/x", 1, "another host or port"},
		{"https://a:80/x", "http://a:80/x", 1, "from https to http"},
		{"https://a/x", "file://a/x", 1, "another host"},
	} {
		via := []*http.Request{{URL: parsed(test.from)}}
		for len(via) < test.hops {
			via = append(via, &http.Request{URL: parsed("http://elsewhere/")}) // The first alone counts.
		}
		req := &http.Request{URL: parsed(test.to), Header: http.Header{"Authorization": {"Bearer secret"}}}
		err := checkRedirect(req, via)
		if len(req.Header) > 0 {
			t.Errorf("%s to %s: got the headers %v, want no bearer token", test.from, test.to, req.Header)
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s to %s, redirect %d: got %v, want %q", test.from, test.to, test.hops, err, test.want)
		}
	}
}

// The reason of a failure is the same each time, and repeats neither a URL nor what would break a line.
func TestReasonOf(t *testing.T) {
	refused := &net.OpError{Op: "dial", Source: &net.TCPAddr{Port: 40001}, Addr: &net.TCPAddr{Port: 80}, Err: errors.New("connection refused")}
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "no answer came in time"},
		{&url.Error{Op: "Get", URL: "https://a/?secret", Err: fmt.Errorf("waiting: %w", context.DeadlineExceeded)}, "no answer came in time"},
		{&url.Error{Op: "Get", URL: "https://a/?secret", Err: refused}, `dial: "connection refused"`},
		{refused, `dial: "connection refused"`},
		{&url.Error{Op: "Get", URL: "https://a/?secret", Err: errors.New("a name with\na line")}, `"a name with\na line"`},
	} {
		if got := reasonOf(test.err).Error(); got != test.want {
			t.Errorf("%v: got %s, want %s", test.err, got, test.want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for text, isRight := range map[string]bool{
		"https://a.example/jwks?x=y": true, "http://a.example:8080": true, "": false, "/jwks": false, "a.example": false, "ftp://a.example": false, "https://": false, "https:///jwks": false,
		"https://ada@a.example": false, "https://a.example/#keys": false, "HTTPS://a.example": true, "https://a.example/%zz": false, "https://a.example\n": false,
	} {
		if err := CheckURL(text); (err == nil) != isRight {
			t.Errorf("%q: got %v, want it accepted: %t", text, err, isRight)
		}
	}
	// Neither a password nor a query is in an error.
	for _, text := range []string{"https://ada:lovelace@a.example", "ftp://a.example/?key=lovelace", "https://ada:lovelace@a.example/%zz"} {
		if err := CheckURL(text); err == nil || strings.Contains(err.Error(), "lovelace") {
			t.Errorf("%q: got the error %v, want one that hides the secret", text, err)
		}
	}
}
