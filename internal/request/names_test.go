package request_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

func TestNames(t *testing.T) {
	names := request.NewNames("X-User-Id", "From")
	tests := []struct {
		name string
		want bool
	}{
		{"X-User-Id", true},
		{"x-user-id", true},
		{"X_User_Id", true},
		{"X.User.Id", true},
		{"x!USER~id", true},
		{"X-User_Id", true},
		{"FROM", true},
		{"X User Id", true},
		{"X/User:Id", true},
		{"XUserId", false},
		{"X-User-Idx", false},
		{"X--User-Id", false},
		{"-X-User-Id", false},
		{"X-User-1d", false},
		{"Fr-m", false},
		{"", false},
		{"Fröm", false},
	}
	for _, test := range tests {
		if got := names.Has(test.name); got != test.want {
			t.Errorf("%q: got %t, want %t", test.name, got, test.want)
		}
		h := http.Header{test.name: {"eve"}, "Accept": {"*/*"}}
		names.RemoveFrom(h)
		if _, stays := h[test.name]; stays == test.want || len(h["Accept"]) != 1 {
			t.Errorf("%q: got the headers %v, want it removed: %t", test.name, h, test.want)
		}
	}
	names.RemoveFrom(nil)
	if request.NewNames().Has("") {
		t.Error("no names: got one of them")
	}
}

// Each character that a header's name may hold beside letters and digits (RFC 9110 5.6.2) is a hyphen to some service.
func TestNormalize(t *testing.T) {
	for c := rune(0x21); c < 0x7f; c++ {
		isAlphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if strings.ContainsRune(`"(),;<=>?[]{}`, c) {
			continue // No name has it.
		}
		want := "a-b"
		if isAlphanumeric {
			want = "a" + strings.ToLower(string(c)) + "b"
		}
		if got := request.Normalize("a" + string(c) + "b"); got != want {
			t.Errorf("a%cb: got %q, want %q", c, got, want)
		}
	}
}

func TestRemoveFromList(t *testing.T) {
	names := request.NewNames("X-User-Id", "From")
	tests := []struct {
		lines, want []string
	}{
		{nil, nil},
		{[]string{""}, []string{""}},
		{[]string{"close"}, []string{"close"}},
		{[]string{"keep-alive,  Upgrade", "X-Other"}, []string{"keep-alive,  Upgrade", "X-Other"}}, // As it is.
		{[]string{"x_user_id"}, nil},
		{[]string{"close, X-User-Id"}, []string{"close"}},
		{[]string{"X-User-Id,close", "from , Upgrade"}, []string{"close, Upgrade"}},
		{[]string{",, From ,,"}, nil},
		{[]string{"X-User-Ids, Xfrom"}, []string{"X-User-Ids, Xfrom"}},
		{[]string{"X-User-Id X"}, []string{"X-User-Id X"}},
	}
	for _, test := range tests {
		h := http.Header{"Accept": {"From"}}
		if test.lines != nil {
			h["Connection"] = test.lines
		}
		names.RemoveFromList(h, "Connection")
		if got := h["Connection"]; !reflect.DeepEqual(got, test.want) || h["Accept"][0] != "From" {
			t.Errorf("%q: got %q, want %q", test.lines, got, test.want)
		}
	}
}

// A request with ordinary headers alone holds none of the names; one that a name is a spelling of is not ordinary.
func TestOrdinaryBut(t *testing.T) {
	ordinary := request.OrdinaryBut(request.NewNames("from", "X_Real.Ip"))
	for name, want := range map[string]bool{"Accept": true, "Authorization": true, "From": false, "X-Real-Ip": false, "X-User-Id": false, "Connection": false, "Trailer": false, "X-Http-Method-Override": false, "accept": false} {
		if got := ordinary[name]; got != want {
			t.Errorf("%s: got %t, want %t", name, got, want)
		}
	}
	for name := range ordinary {
		if name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s: net/http writes it %s, so no request would hold it", name, http.CanonicalHeaderKey(name))
		}
	}
	if err := (http.Header{"Accept": {"*/*"}}).WriteSubset(request.Nowhere, ordinary); err != nil {
		t.Errorf("ordinary headers: got %v, want none", err)
	}
	if err := (http.Header{"Accept": {"*/*"}, "From": {"eve"}}).WriteSubset(request.Nowhere, ordinary); err == nil {
		t.Error("another header: got no error, want one")
	}
}

func TestRemoveOverrides(t *testing.T) {
	req := &http.Request{Header: http.Header{"X-HTTP-Method": {"PUT"}, "x_http_method_override": {"PUT"}, "X.Method.Override": {"PUT"}, "X-Methods": {"PUT"}}}
	request.RemoveOverrides(req)
	if want := (http.Header{"X-Methods": {"PUT"}}); !reflect.DeepEqual(req.Header, want) {
		t.Errorf("got %v, want %v", req.Header, want)
	}
}
