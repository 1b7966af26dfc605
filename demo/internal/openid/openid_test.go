package openid

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const verifier = "a verifier of the page, which nobody else knows"

// TestFlow logs in and takes the code, and tries what a thief would.
func TestFlow(t *testing.T) {
	handler, err := Handler(log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	proof := sha256.Sum256([]byte(verifier))
	page := server.URL + "/"
	request := url.Values{
		"client_id": {client}, "response_type": {"code"}, "redirect_uri": {page}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(proof[:])}, "code_challenge_method": {"S256"},
	}

	if got := post(t, server.URL+"/provider/authorize?"+request.Encode(), url.Values{"username": {username}, "password": {"wrong"}}); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: got %d, want 401", got.StatusCode)
	}
	for name, value := range map[string]string{"redirect_uri": "http://elsewhere.example/", "code_challenge_method": "plain", "client_id": "another"} {
		changed := maps.Clone(request)
		changed.Set(name, value)
		if got := post(t, server.URL+"/provider/authorize?"+changed.Encode(), url.Values{"username": {username}, "password": {password}}); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %s: got %d, want 400", name, value, got.StatusCode)
		}
	}

	code := func() string {
		t.Helper()
		resp := post(t, server.URL+"/provider/authorize?"+request.Encode(), url.Values{"username": {username}, "password": {password}})
		back, err := resp.Location()
		if err != nil || !strings.HasPrefix(back.String(), page+"?") || back.Query().Get("state") != "s" {
			t.Fatalf("got %d to %v, want the page with the state", resp.StatusCode, back)
		}
		return back.Query().Get("code")
	}
	good := code()
	for _, test := range []struct {
		name, code, verifier, redirect string
		want                           int
	}{
		{"the code", good, verifier, page, http.StatusOK},
		{"the code again", good, verifier, page, http.StatusBadRequest},
		{"another verifier", code(), "another", page, http.StatusBadRequest},
		{"another redirect URI", code(), verifier, page + "x", http.StatusBadRequest},
		{"no code", "", verifier, page, http.StatusBadRequest},
	} {
		form := url.Values{"code": {test.code}, "code_verifier": {test.verifier}, "redirect_uri": {test.redirect}}
		if got := post(t, server.URL+"/provider/token", form); got.StatusCode != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got.StatusCode, test.want)
		}
	}
}

func post(t *testing.T, url string, form url.Values) *http.Response {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(url, form)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}
