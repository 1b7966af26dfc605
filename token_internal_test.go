package slidingjwt

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// Removing a parameter leaves the rest of the query byte for byte, in URL and in RequestURI.
func FuzzRemoveParameter(f *testing.F) {
	for _, query := range []string{"", "token=x", "a=b&token=x&c=d", "token=x&token=y", "a=b&&token=x&", "%74oken=x", "token", "token=", "Token=x", "a=token", "a=%zz&token=%zz", "to+ken=x", "token;x=y", "=token", "a=b?token=x"} {
		f.Add(query, "token")
	}
	f.Add("to+ken=1&to%20ken=2&token=3", "to ken")
	f.Add("%=1&a=b", "%")
	f.Add("?&0", "0")
	f.Add(strings.Repeat("token=x&", 60)+"a=b", "token")
	f.Fuzz(func(t *testing.T, query, name string) {
		if name == "" || strings.ContainsAny(name, "&=%+") || strings.Contains(query, "#") {
			return // New refuses such a name.
		}
		req := &http.Request{URL: &url.URL{Path: "/p", RawQuery: query}, RequestURI: "/p?" + query}
		removeParameter(request.ParameterFinder(name), req)
		got := req.URL.RawQuery
		var kept []string
		removed := 0
		for _, pair := range strings.Split(query, "&") {
			key, _, _ := strings.Cut(pair, "=")
			if text, err := url.QueryUnescape(key); err == nil && text == name {
				removed++
				continue
			}
			kept = append(kept, pair)
		}
		if _, err := request.ParameterFinder(name).Find(query); err != nil {
			if got != "" || req.RequestURI != "/p" {
				t.Errorf("%q with too many like %q: got %q and %q, want no query", query, name, got, req.RequestURI)
			}
			return
		}
		if removed == 0 && (got != query || req.RequestURI != "/p?"+query) {
			t.Fatalf("%q without %q: got %q and %q, want nothing changed", query, name, got, req.RequestURI)
		}
		if want := strings.Join(kept, "&"); got != want {
			t.Errorf("%q without %q: got %q, want %q", query, name, got, want)
		}
		want := "/p"
		if got != "" {
			want += "?" + got
		}
		if removed > 0 && req.RequestURI != want {
			t.Errorf("%q without %q: got RequestURI %q, want %q", query, name, req.RequestURI, want)
		}
		// What a service reads: all the others as before, and none of that name.
		before, _ := url.ParseQuery(query)
		after, _ := url.ParseQuery(got)
		before.Del(name)
		if !reflect.DeepEqual(map[string][]string(after), map[string][]string(before)) {
			t.Errorf("%q without %q: a service reads %v, want %v", query, name, after, before)
		}
	})
}

// Removing a cookie leaves the others as they are.
func FuzzRemoveCookie(f *testing.F) {
	for _, line := range []string{"", "session=x", "a=b; session=x; c=d", "session=x; session=y", "a=b;session=x", "session", "session=", "Session=x", "a=session", `a="b; session=x"`, " session = x ; a=b", "a=b;;c=d", ";", "a=b; session=x;", "xsession=1; session2=2"} {
		f.Add(line, "session=z; k=v", "session")
	}
	f.Fuzz(func(t *testing.T, first, second, name string) {
		if !isToken(name) {
			return // New refuses such a name.
		}
		h := http.Header{"Cookie": {first, second}}
		before := (&http.Request{Header: h}).Cookies()
		lines := slices.Clone(h["Cookie"])
		if _, err := request.CookieFinder(name).Find(cookieText(h)); err != nil {
			removeCookie(request.CookieFinder(name), h)
			if len(h) > 0 {
				t.Errorf("%q with too many like %q: got %q, want no cookie", lines, name, h["Cookie"])
			}
			return
		}
		removeCookie(request.CookieFinder(name), h)
		var want, got []string
		for _, cookie := range before {
			if cookie.Name != name {
				want = append(want, cookie.Name+"="+cookie.Value)
			}
		}
		for _, cookie := range (&http.Request{Header: h}).Cookies() {
			got = append(got, cookie.Name+"="+cookie.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q without %q: got %q, want %q", lines, name, got, want)
		}
		// Byte for byte: every pair that is left stood there, in that order.
		rest := strings.Join(lines, ";")
		for _, pair := range strings.Split(strings.Join(h["Cookie"], ";"), ";") {
			at := strings.Index(rest, strings.TrimLeft(pair, " "))
			if at < 0 {
				t.Fatalf("%q without %q: got %q, where %q is new", lines, name, h["Cookie"], pair)
			}
			rest = rest[at:]
		}
		if _, there := h["Cookie"]; there && len(h["Cookie"]) == 0 {
			t.Errorf("%q without %q: got a Cookie header without a line", lines, name)
		}
	})
}
