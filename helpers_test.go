package slidingjwt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestMain(m *testing.M) { bothways.Main(m) }

// Short names, so that a row of a table is a line.
type (
	options = bothways.Options
	lines   = bothways.Lines
	claims  = minted.Claims
	jwk     = minted.JWK
)

var sourceOptions = options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "tokenKey": "access_token"}

// chunked hides a body's length.
type chunked struct{ io.Reader }

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("it broke off") }

// withPayload is an HS256 token of a payload as it is written; EXP in it is an hour from now.
func withPayload(t testing.TB, payload string) string {
	t.Helper()
	payload = strings.ReplaceAll(payload, "EXP", fmt.Sprint(time.Now().Unix()+3600))
	return minted.HS256(minted.Segment(t, map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + minted.Base64(payload))
}

// session are claims as a session has them: due for renewal if that is asked for.
func session() claims {
	now := time.Now().Unix()
	return claims{
		"sub": "ada", "name": "Ada Lovelace", "email": "ada@example.com", "roles": []string{"admin", "author"},
		"tenant_id": "t-17", "jti": strconv.FormatInt(now, 36), "iat": now - 9*3600, "exp": now + 3600,
	}
}

var distinctRealms atomic.Int32

// distinct is a realm that no other middleware has, so that its options are looked at anew.
func distinct() string { return fmt.Sprint("realm ", distinctRealms.Add(1)) }

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// hs256With is a token under a given secret.
func hs256With(t testing.TB, secret string) string {
	t.Helper()
	return minted.Signed(t, []byte(secret), claims{"alg": "HS256"}, minted.Valid())
}

// checkResponse compares a response with its status and all its headers, and nothing more.
func checkResponse(t testing.TB, rec *httptest.ResponseRecorder, status int, header http.Header) {
	t.Helper()
	if rec.Code != status {
		t.Errorf("got status %d, want %d", rec.Code, status)
	}
	if got := rec.Result().Header; !reflect.DeepEqual(got, header) {
		t.Errorf("got the headers\n%v, want\n%v", got, header)
	}
}

// checkProblem compares a body with the problem that it is to be (RFC 9457).
func checkProblem(t testing.TB, body string, status int, code, detail string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("got %q, want a problem: %v", body, err)
	}
	want := map[string]any{
		"type": "https://github.com/slidingjwt/slidingjwt/blob/main/docs/reasons.md#" + code, "title": http.StatusText(status), "status": float64(status), "detail": detail,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// renewedToken is the bearer token that a response brings; empty: none.
func renewedToken(rec *httptest.ResponseRecorder) string {
	return strings.TrimPrefix(rec.Header().Get("Authorization"), "Bearer ")
}

// near says whether a number is what is wanted, but for the seconds that a slow machine may take.
func near(got, want float64) bool { return got >= want-1 && got <= want+20 }

// described writes a response's headers as lines, with placeholders for a renewed token and the seconds of it and its
// session. All of a response's renewed tokens are the same, valid, and last as long as it says.
func described(t testing.TB, handler http.Handler, h http.Header) lines {
	t.Helper()
	tokens := regexp.MustCompile(`[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	life := regexp.MustCompile(`(Max-Age=|Token-Expires-In: )([0-9]+)`)
	session := regexp.MustCompile(`(Session-Expires-In: )([0-9]+)`)
	var all lines
	found := map[string]bool{}
	inRange := func(text string, pattern *regexp.Regexp, want float64, placeholder string) string {
		return pattern.ReplaceAllStringFunc(text, func(match string) string {
			parts := pattern.FindStringSubmatch(match)
			if seconds, _ := strconv.ParseFloat(parts[2], 64); near(want, seconds) {
				return parts[1] + placeholder
			}
			return match
		})
	}
	for name, values := range h {
		for _, value := range values {
			for _, text := range tokens.FindAllString(value, -1) {
				found[text] = true
			}
			line := name + ": " + tokens.ReplaceAllString(value, "NEW")
			all = append(all, inRange(inRange(line, life, 3600, "LIFE"), session, 80000, "SESSION"))
		}
	}
	if len(found) > 1 {
		t.Errorf("got %d different tokens, want one", len(found))
	}
	for text := range found {
		if rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(text), nil); rec.Code >= 400 {
			t.Errorf("the renewed token: got %d %s", rec.Code, rec.Body)
		}
	}
	return all
}

func sorted(all lines) string {
	all = append(lines{}, all...)
	sort.Strings(all)
	return strings.Join(all, "\n")
}
