package request_test

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/request"
)

// mergingBody adds trailers to its request when it ends or is closed, as net/http's does.
type mergingBody struct {
	io.Reader
	req      *http.Request
	trailers http.Header
	fails    error // in place of its end
}

func (b *mergingBody) Read(data []byte) (int, error) {
	n, err := b.Reader.Read(data)
	if err != nil {
		b.merge()
		if b.fails != nil {
			err = b.fails
		}
	}
	return n, err
}

func (b *mergingBody) Close() error {
	b.merge()
	return b.fails
}

func (b *mergingBody) merge() {
	if b.req.Trailer == nil {
		b.req.Trailer = http.Header{}
	}
	for name, values := range b.trailers {
		b.req.Trailer[name] = values
	}
}

// Whoever reads or closes the body sees no trailer that is a spelling of a name, and all the others.
func TestGuardTrailers(t *testing.T) {
	names := request.NewNames("X-User-Id")
	broken := errors.New("it broke off")
	tests := []struct {
		name      string
		length    int64
		announced http.Header
		fails     error
		closes    bool
		isGuarded bool
	}{
		{"chunked, read", -1, nil, nil, false, true},
		{"chunked, closed", -1, nil, nil, true, true},
		{"chunked, broken off", -1, nil, broken, false, true},
		{"chunked, closed in vain", -1, nil, broken, true, true},
		{"announced, read", 4, http.Header{"X-User-Id": nil, "X-Sum": nil}, nil, false, true},
		{"announced, closed", 4, http.Header{"x_user.id": nil}, nil, true, true},
		{"of a known length, without trailers", 4, nil, nil, false, false},
	}
	for _, test := range tests {
		req := &http.Request{ContentLength: test.length, Trailer: test.announced}
		body := &mergingBody{Reader: strings.NewReader("body"), req: req, fails: test.fails}
		if test.isGuarded {
			body.trailers = http.Header{"X-User-Id": {"eve"}, "X_USER_ID": {"eve"}, "X-Sum": {"1"}}
		}
		req.Body = body
		request.GuardTrailers(req, names)
		for name := range req.Trailer {
			if names.Has(name) {
				t.Errorf("%s: got the announced trailer %s, want it removed", test.name, name)
			}
		}
		if isGuarded := req.Body != io.ReadCloser(body); isGuarded != test.isGuarded {
			t.Fatalf("%s: got the body guarded: %t, want %t", test.name, isGuarded, test.isGuarded)
		}
		if !test.isGuarded {
			continue
		}
		var err error
		if test.closes {
			err = req.Body.Close()
		} else {
			var text []byte
			text, err = io.ReadAll(req.Body)
			if string(text) != "body" {
				t.Errorf("%s: got the body %q, want it as it was", test.name, text)
			}
		}
		if !errors.Is(err, test.fails) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.fails)
		}
		if want := (http.Header{"X-Sum": {"1"}}); !reflect.DeepEqual(req.Trailer, want) {
			t.Errorf("%s: got the trailers %v, want %v", test.name, req.Trailer, want)
		}
	}
	withoutBody := &http.Request{ContentLength: -1}
	request.GuardTrailers(withoutBody, names)
	if withoutBody.Body != nil {
		t.Errorf("without a body: got %v, want none", withoutBody.Body)
	}
}
