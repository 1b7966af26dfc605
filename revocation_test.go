package slidingjwt_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

const revoked, unlisted = "401 token_revoked", "503 revocations_unavailable"

// listFile is a file with a list of those entries.
func listFile(t testing.TB, entries ...string) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "revoked.json"), listOf(entries...))
}

func listOf(entries ...string) string { return `{"revoked": [` + strings.Join(entries, ",\n") + `]}` }

// replaceFile puts a text in a file's place at once, as a careful writer does.
func replaceFile(t testing.TB, name, text string) {
	t.Helper()
	writeFile(t, name+".new", text)
	if err := os.Rename(name+".new", name); err != nil {
		t.Error(err)
	}
}

// What an entry means, for tokens that are new and for those that are remembered.
func TestRevocationEntries(t *testing.T) {
	now := time.Now().Unix()
	at := func(ago int64) string { return strconv.FormatInt(now-ago, 10) }
	ada := claims{"sid": "s1", "jti": "j1", "iss": "https://a.example"}
	tests := []struct {
		name    string
		entries []string
		claims  claims // beside sub: ada, and iat 10 seconds ago
		want    string
	}{
		{"an empty list", nil, ada, "served"},
		{"sid", []string{`{"sid":"s1"}`}, ada, revoked},
		{"another sid", []string{`{"sid":"s2"}`}, ada, "served"},
		{"the case of a sid", []string{`{"sid":"S1"}`}, ada, "served"},
		{"a sid, and a token without one", []string{`{"sid":"s1"}`}, nil, "served"},
		{"a sid, and a token whose sid is empty", []string{`{"sid":"s1"}`}, claims{"sid": ""}, "served"},
		{"a sid of digits, and a token whose sid is a number", []string{`{"sid":"1"}`}, claims{"sid": 1}, "served"},
		{"a sid in another claim", []string{`{"sid":"j1"}`, `{"jti":"s1"}`, `{"sub":"s1"}`}, ada, "served"},
		{"jti", []string{`{"jti":"j1"}`}, ada, revoked},
		{"another jti", []string{`{"jti":"j2"}`}, ada, "served"},
		{"sub", []string{`{"sub":"ada"}`}, nil, revoked},
		{"another sub", []string{`{"sub":"grace"}`}, nil, "served"},
		{"the last of many", []string{`{"sub":"grace"}`, `{"sid":"s2"}`, `{"jti":"j2"}`, `{"sub":"ada"}`}, ada, revoked},
		{"letters that JSON escapes", []string{`{"sub":"ad\u0061"}`}, nil, revoked},
		{"letters beyond ASCII", []string{`{"sub":"ad\u00e4"}`}, claims{"sub": "adä"}, revoked},
		{"a text that looks like a member", []string{`{"sub":"\":x\"sid\":"}`, `{"sub":":"}`, `{"sid":":\":\":"}`, `{"sub":"ada"}`}, nil, revoked},

		{"sub and sid", []string{`{"sub":"ada","sid":"s1"}`}, ada, revoked},
		{"sub and another sid", []string{`{"sub":"ada","sid":"s2"}`}, ada, "served"},
		{"sub and sid, and a token without sid", []string{`{"sub":"ada","sid":"s1"}`}, nil, "served"},
		{"sid and jti", []string{`{"sid":"s1","jti":"j1"}`}, ada, revoked},
		{"sid and jti, put together otherwise", []string{`{"sid":"s1j","jti":"1"}`, `{"sid":"s","jti":"1j1"}`}, ada, "served"},
		{"all of it", []string{`{"sid":"s1","jti":"j1","sub":"ada","iss":"https://a.example","before":` + at(0) + `}`}, ada, revoked},

		{"sub of its issuer", []string{`{"sub":"ada","iss":"https://a.example"}`}, ada, revoked},
		{"sub of another issuer", []string{`{"sub":"ada","iss":"https://b.example"}`}, ada, "served"},
		{"sub of an issuer, and a token without iss", []string{`{"sub":"ada","iss":"https://a.example"}`}, nil, "served"},
		{"everybody of its issuer", []string{`{"before":` + at(0) + `,"iss":"https://a.example"}`}, ada, revoked},
		{"everybody of another issuer", []string{`{"before":` + at(0) + `,"iss":"https://b.example"}`}, ada, "served"},

		{"before, by iat", []string{`{"before":` + at(9) + `}`}, nil, revoked},
		{"before, the very second", []string{`{"before":` + at(10) + `}`}, nil, "served"},
		{"before, half a second", []string{`{"before":` + at(10) + `.5}`}, nil, revoked},
		{"before, earlier", []string{`{"before":` + at(100) + `}`}, nil, "served"},
		{"before, in the future", []string{`{"before":` + at(-1000) + `}`}, nil, revoked},
		{"before, of any size", []string{`{"before":1e300}`}, nil, revoked},
		{"before, 0", []string{`{"before":0}`}, nil, "served"},
		{"before, less than 0", []string{`{"before":-1}`}, nil, "served"},
		{"before, by auth_time", []string{`{"sub":"ada","before":` + at(50) + `}`}, claims{"auth_time": now - 100}, revoked},
		{"before auth_time", []string{`{"sub":"ada","before":` + at(150) + `}`}, claims{"auth_time": now - 100}, "served"},
		{"sub, and before by another sub", []string{`{"sub":"grace","before":` + at(0) + `}`}, nil, "served"},
		{"the later of two", []string{`{"sub":"ada","before":` + at(9) + `}`, `{"sub":"ada","before":` + at(90) + `}`}, nil, revoked},
		{"the later of two, the other way", []string{`{"sub":"ada","before":` + at(90) + `}`, `{"sub":"ada","before":` + at(9) + `}`}, nil, revoked},
		{"always, beside before", []string{`{"sub":"ada"}`, `{"sub":"ada","before":` + at(90) + `}`}, nil, revoked},
		{"no iat", []string{`{"before":1}`}, claims{"iat": nil}, revoked},
		{"no iat, and auth_time", []string{`{"before":` + at(50) + `}`}, claims{"iat": nil, "auth_time": now - 40}, "served"},
		{"no iat, and before 0", []string{`{"before":0}`}, claims{"iat": nil}, revoked},
		{"no iat, and another sub", []string{`{"sub":"grace","before":1}`}, claims{"iat": nil}, "served"},
		{"an auth_time that is no number", []string{`{"before":1}`}, claims{"auth_time": "yesterday"}, revoked},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			name := listFile(t)
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": name, "realm": distinct()})
			token := minted.Token(t, minted.Valid().With(claims{"iat": now - 10}).With(test.claims))
			if got := bothways.Verdict(t, handler, token); got != "served" {
				t.Errorf("%s, not in the list: got %s, want served", test.name, got)
			}
			name = listFile(t, test.entries...)
			handler, _ = e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": name, "realm": distinct()})
			for _, when := range []string{"first", "again"} {
				if got := bothways.Verdict(t, handler, token); got != test.want {
					t.Errorf("%s, %s: got %s, want %s", test.name, when, got, test.want)
				}
			}
		}
	})
}

// What is no list revokes nobody and everybody: without an earlier list nothing is served, with one it stays in use.
func TestMalformedRevocations(t *testing.T) {
	many := strings.Repeat(`{"sid":"s"},`, 100_000)
	tests := []struct{ name, text, logs string }{
		{"nothing", "", "it is not JSON"},
		{"half a list", `{"revoked": [{"sid":"s2"}, {"si`, "it is not JSON"},
		{"a list and more", listOf() + listOf(), "it is not JSON"},
		{"a mark of byte order", "\xef\xbb\xbf" + listOf(), "it is not JSON"},
		{"no UTF-8", listOf("{\"sid\":\"\xff\"}"), "it is not UTF-8"},
		{"null", "null", "it has no list of revocations"},
		{"a list alone", `[{"sid":"s2"}]`, "it is not a list of revocations"},
		{"an empty object", "{}", "it has no list of revocations"},
		{"revoked: null", `{"revoked":null}`, "it has no list of revocations"},
		{"revoked: an object", `{"revoked":{"sid":"s2"}}`, "it is not a list of revocations"},
		{"revoked twice", `{"revoked":[{"sid":"s2"}],"revoked":[]}`, "revoked"},
		{"revoked in another case", `{"Revoked":[{"sid":"s2"}]}`, "revoked"},
		{"a member beside", `{"revoked":[],"version":1}`, "version"},

		{"an entry of nothing", listOf(`{}`), "would mean everybody"},
		{"an entry of nothing, behind one", listOf(`{"sid":"s2"}`, `{}`), "entry 2 names none"},
		{"an entry of iss alone", listOf(`{"iss":"https://a.example"}`), "would mean everybody"},
		{"an entry that is null", listOf(`null`), "would mean everybody"},
		{"an entry that is a text", listOf(`"s2"`), "it is not a list of revocations"},
		{"an entry that is a list", listOf(`[{"sid":"s2"}]`), "it is not a list of revocations"},
		{"a member that is not known", listOf(`{"sid":"s2","exp":1}`), "exp"},
		{"a member in another case", listOf(`{"SID":"s2"}`), "spelled in another way"},
		{"a member in another case beside", listOf(`{"sid":"s2","SID":"s3"}`), "spelled in another way"},
		{"a member by a letter that folds", listOf(`{"ſid":"s2"}`), "spelled in another way"},
		{"a member that is escaped", listOf(`{"s\u0069d":"s2"}`), "spelled in another way"},
		{"a member with a space", listOf(`{"sid ":"s2"}`), "it is not a list of revocations"},
		{"a member twice", listOf(`{"sid":"s2","sid":"s3"}`), "there twice"},
		{"a member twice, beside a null", listOf(`{"sid":"s2","sid":null}`, `{"sid":"s3"}`), "there twice"},
		{"a member twice, one in another case", listOf(`{"sub":"s2","Sub":"s3"}`, `{"sid":":\":"}`), "spelled in another way"},
		{"an empty sid", listOf(`{"sid":"","sub":"grace"}`), "a member sid is empty"},
		{"a sid that is null", listOf(`{"sid":null,"sub":"grace"}`), "a member sid is empty, null"},
		{"an iss that is null", listOf(`{"sub":"grace","iss":null}`), "a member iss is empty, null"},
		{"an iss that is empty", listOf(`{"sub":"grace","iss":""}`), "a member iss is empty"},
		{"a sid that is a number", listOf(`{"sid":2}`), "it is not a list of revocations"},
		{"a sub that is a list", listOf(`{"sub":["ada"]}`), "it is not a list of revocations"},
		{"before, a text", listOf(`{"sub":"grace","before":"1767225600"}`), "it is not a list of revocations"},
		{"before, a date", listOf(`{"sub":"grace","before":"2026-01-01T00:00:00Z"}`), "it is not a list of revocations"},
		{"before, null", listOf(`{"sub":"grace","before":null}`), "a member before is empty, null"},
		{"before, true", listOf(`{"sub":"grace","before":true}`), "it is not a list of revocations"},
		{"before, a list", listOf(`{"sub":"grace","before":[1]}`), "it is not a list of revocations"},
		{"before, beyond all numbers", listOf(`{"sub":"grace","before":1e400}`), "it is not a list of revocations"},
		{"before, not a number", listOf(`{"sub":"grace","before":NaN}`), "it is not JSON"},
		{"before alone, null", listOf(`{"before":null}`), "names none"},

		{"100,001 entries", `{"revoked":[` + many + `{"sid":"s"}]}`, "more than 100000 entries"},
		{"more than 4 MiB", listOf(`{"sid":"` + strings.Repeat("s", 4<<20) + `"}`), "4194304 bytes"},
		{"a million levels", `{"revoked":` + strings.Repeat("[", 1_000_000), "it is not JSON"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		first, second := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
		signed := func(c claims) string { return minted.Signed(t, first, claims{"alg": "ES256"}, minted.Valid().With(c)) }
		for _, test := range tests {
			name := writeFile(t, filepath.Join(t.TempDir(), "revoked.json"), test.text)
			handler, service := e.Middleware(t, options{"publicKey": minted.PEM(t, "PKIX", first), "revocations": name})
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(signed(nil)), nil)
			if got, after := bothways.Outcome(t, rec), rec.Header().Get("Retry-After"); got != unlisted || after != "1" || service.Calls() != 0 {
				t.Errorf("%s, without a list: got %s with Retry-After %q, want %s with 1", test.name, got, after, unlisted)
			}
			if got := bothways.Verdict(t, handler, minted.Token(t, minted.Valid())); got != "401 wrong_algorithm" {
				t.Errorf("%s, without a list, a forged token: got %s, want 401 wrong_algorithm", test.name, got)
			}
		}

		type gateway struct {
			list, keys string
			handler    http.Handler
		}
		var gateways []gateway
		for range tests {
			g := gateway{list: listFile(t, `{"sid":"s1"}`), keys: writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, minted.PublicJWK(t, first)))}
			g.handler, _ = e.Middleware(t, options{"jwksFile": g.keys, "revocations": g.list})
			if got := bothways.Verdict(t, g.handler, signed(claims{"sid": "s1"})); got != revoked {
				t.Fatalf("the list before: got %s, want %s", got, revoked)
			}
			gateways = append(gateways, g)
		}
		for i, g := range gateways {
			writeFile(t, g.list, tests[i].text)
			writeFile(t, g.keys, minted.JWKSet(t, minted.PublicJWK(t, first), minted.PublicJWK(t, second)))
		}
		for i, g := range gateways {
			// Once the new key counts, the list was looked at.
			bothways.Eventually(t, g.handler, minted.Signed(t, second, claims{"alg": "ES256"}, minted.Valid()), "served")
			for sid, want := range map[string]string{"s1": revoked, "s2": "served", "s3": "served"} {
				if got := bothways.Verdict(t, g.handler, signed(claims{"sid": sid})); got != want {
					t.Errorf("%s, with a list before, %s: got %s, want %s", tests[i].name, sid, got, want)
				}
			}
		}
	})
	// The line in the log says why, once.
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			name := writeFile(t, filepath.Join(t.TempDir(), "revoked.json"), test.text)
			logged := e.Logged(t, func() {
				for range 3 {
					handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": name, "realm": distinct()})
					bothways.Verdict(t, handler, minted.Token(t, minted.Valid()))
				}
			})
			lines := []string{}
			for _, line := range logged {
				if strings.Contains(line, "the revocations of") {
					lines = append(lines, line)
				}
			}
			if len(lines) != 1 || !strings.Contains(lines[0], test.logs) || len(lines[0]) > 600 {
				t.Errorf("%s: got %q, want a line with %q", test.name, lines, test.logs)
			}
		}
	})
}

// New refuses what is neither a path nor a URL, and roles that verify nothing.
func TestRefusedRevocations(t *testing.T) {
	tests := []struct {
		name, value string
		others      options
		want        string
	}{
		{"a content", `{"revoked":[]}`, nil, "revocations: "},
		{"a name", "revoked.json", nil, "revocations: "},
		{"another scheme", "ftp://example.com/list", nil, "revocations: "},
		{"no host", "https:///list", nil, "revocations: "},
		{"a user", "https://ada:secret@example.com/list", nil, "revocations: "},
		{"a fragment", "https://example.com/list#1", nil, "revocations: "},
		{"a malformed URL", "https://example.com:port/", nil, "revocations: it is malformed"},
		{"a malformed escape", "https://example.com/%zz", nil, "revocations: it is malformed"},
		{"an unresolved reference", "urn:k8s:secret:list:key", nil, "revocations: "},
		{"with issue", "/list.json", options{"issue": map[string]any{"header": "X-Claims"}}, "issue: cannot be combined with revocations"},
		{"with publishJwks", "/list.json", options{"publishJwks": true, "privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "P-256"))}, "publishJwks: cannot be combined with revocations"},

		{"a path", "/no/such/list.json", nil, ""},
		{"a path from here", "./no/such/list.json", nil, ""},
		{"a drive", `C:\no\such\list.json`, nil, ""},
		{"a URL", "https://example.com/list?of=revoked", nil, ""},
		{"off", "", nil, ""},
		{"beside optional", "/no/such/list.json", options{"optional": true}, ""},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			err := e.Refusal(options{"signingSecret": minted.Secret, "revocations": test.value}.With(test.others))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) || strings.Contains(got, "secret@") {
				t.Errorf("%s: got %q, want %q", test.name, got, test.want)
			}
		}
	})
}

// A file that changes: remembered tokens are refused and accepted again, while others do not notice.
func TestRevocationFile(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		name := listFile(t)
		cookie := map[string]any{"name": "session"}
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": cookie, "revocations": name, "realm": distinct(), "forwardHeaders": map[string]any{"X-User-Id": "sub"}})
		ada := minted.Token(t, minted.Valid().With(claims{"sid": "s1"}))
		grace := minted.Token(t, minted.Valid().With(claims{"sub": "grace", "sid": "s2"}))
		late := minted.Token(t, minted.Valid().With(claims{"sid": "s1", "exp": time.Now().Unix() - 29}))
		if got := bothways.Verdict(t, handler, late); got != "served" {
			t.Errorf("by leeway: got %s, want served", got)
		}
		others := func(when string) {
			t.Helper()
			if got := bothways.Verdict(t, handler, grace); got != "served" || service.Request().Header.Get("X-User-Id") != "grace" {
				t.Errorf("%s, another: got %s, want served", when, got)
			}
		}
		wait := func(when, text, want string) {
			t.Helper()
			replaceFile(t, name, text)
			deadline := time.Now().Add(20 * time.Second)
			for bothways.Verdict(t, handler, ada) != want {
				others(when)
				if time.Now().After(deadline) {
					t.Fatalf("%s: not %s for 20 seconds", when, want)
				}
			}
			others(when)
		}
		for range 3 {
			if got := bothways.Verdict(t, handler, ada); got != "served" {
				t.Errorf("at first: got %s, want served", got)
			}
			others("at first")
		}
		wait("in the list", listOf(`{"sid":"s1"}`), revoked)

		// Its answer, in full.
		rec := bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {"session=" + ada}}, nil)
		checkProblem(t, rec.Body.String(), 401, "token_revoked", "the token was revoked")
		if got, want := rec.Header()["Set-Cookie"], []string{"session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}; !reflect.DeepEqual(got, want) {
			t.Errorf("got the cookies %q, want %q", got, want)
		}
		if got := rec.Header().Get("Www-Authenticate"); !strings.Contains(got, `error="invalid_token", error_description="the token was revoked"`) {
			t.Errorf("got the challenge %q", got)
		}
		// An expired one is refused for that, remembered or not.
		for _, token := range []string{late, minted.Token(t, minted.Payload(t, late).With(claims{"exp": time.Now().Unix() - 40}))} {
			bothways.Eventually(t, handler, token, "401 token_expired")
		}

		wait("no longer in the list", listOf(`{"sid":"s3"}`), "served")
		wait("in it again", listOf(`{"sub":"ada","before":`+strconv.FormatInt(time.Now().Unix(), 10)+`}`), revoked)
		wait("an older list", listOf(), "served")
		wait("in it once more", listOf(`{"sid":"s1"}`), revoked)
		// Without a file the list stays in use.
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		logged := e.Logged(t, func() {
			for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if got := bothways.Verdict(t, handler, ada); got != revoked {
					t.Fatalf("without a file: got %s, want %s", got, revoked)
				}
				others("without a file")
			}
		})
		if got := strings.Count(strings.Join(logged, "\n"), fmt.Sprintf("the revocations of %q cannot be read: it is missing or unreadable", name)); got != 1 {
			t.Errorf("got %d lines, want 1: %q", got, logged)
		}
		wait("there again", listOf(`{"sid":"s4"}`), "served")
	})
}

// A session that is renewed does not escape: every token that it ever had is refused once the list is read, while it goes on being
// renewed as fast as it can.
func TestRevokedWhileRenewed(t *testing.T) {
	now := time.Now().Unix()
	tests := []struct{ name, entry string }{
		{"by sid", `{"sid":"s1"}`},
		{"by sub and before", `{"sub":"ada","before":` + strconv.FormatInt(now, 10) + `}`},
		{"by before", `{"before":` + strconv.FormatInt(now, 10) + `}`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				name := listFile(t)
				handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": name, "renew": map[string]any{"before": "99%"}})
				var mu sync.Mutex
				var all []string
				var isWritten atomic.Bool
				var clients sync.WaitGroup
				for client := range 4 {
					clients.Add(1)
					go func() {
						defer clients.Done()
						// Many tokens of the session, each of which is due.
						for n := 0; ; n++ {
							token := minted.Token(t, minted.Valid().With(claims{"sid": "s1", "jti": fmt.Sprint(client, " ", n), "iat": now - 1000, "auth_time": now - 2000}))
							mu.Lock()
							all = append(all, token)
							mu.Unlock()
							rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
							if renewed := renewedToken(rec); renewed != "" {
								mu.Lock()
								all = append(all, renewed)
								mu.Unlock()
							}
							got := bothways.Outcome(t, rec)
							if got == revoked && isWritten.Load() {
								return
							}
							if got != "served" || n > 100_000 {
								t.Errorf("got %s, want served until the list has changed", got)
								return
							}
							time.Sleep(time.Millisecond)
						}
					}()
				}
				time.Sleep(100 * time.Millisecond)
				isWritten.Store(true)
				replaceFile(t, name, listOf(test.entry))
				clients.Wait()
				if len(all) < 20 {
					t.Errorf("got %d tokens of the session, want many", len(all))
				}
				for _, token := range all {
					if got := bothways.Verdict(t, handler, token); got != revoked {
						t.Errorf("got %s, want %s", got, revoked)
						break
					}
				}
			})
		}
		// The jti is one token's: its successor has another. It is not renewed once it is in the list.
		name := listFile(t, `{"jti":"j1"}`)
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": name, "renew": map[string]any{"before": "99%"}})
		rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, minted.Valid().With(claims{"jti": "j1", "iat": now - 1000}))), nil)
		if got := bothways.Outcome(t, rec); got != revoked || renewedToken(rec) != "" {
			t.Errorf("by jti: got %s and the renewed token %q, want %s and none", got, renewedToken(rec), revoked)
		}
	})
}

// A token that is revoked while its session is being confirmed has no successor, not even by its jti, which no successor has.
func TestRevokedWhileConfirmed(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		waits, answer := make(chan bool, 1), make(chan bool)
		endpoint, o := asking(t, func(rw http.ResponseWriter, _ *http.Request) {
			waits <- true
			<-answer
			rw.WriteHeader(http.StatusNoContent)
		})
		defer endpoint.Close()
		name := listFile(t)
		handler, service := e.Middleware(t, o.With(options{"revocations": name, "realm": distinct()}))
		token := minted.Token(t, minted.Due().With(claims{"jti": "j1"}))
		marker := minted.Token(t, minted.Valid().With(claims{"jti": "j2"}))
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil) }()
		<-waits
		replaceFile(t, name, listOf(`{"jti":"j1"}`, `{"jti":"j2"}`))
		bothways.Eventually(t, handler, marker, revoked)
		service.Forget()
		close(answer)
		rec := <-done
		if got := bothways.Outcome(t, rec); got != revoked || renewedToken(rec) != "" || service.Calls() != 0 {
			t.Errorf("got %s and the renewed token %q, want %s and none", got, renewedToken(rec), revoked)
		}
	})
}

// What an issuer's list takes back does not become a session, and a session that was begun is taken back by the same sid.
func TestRevokedAtExchange(t *testing.T) {
	tests := []struct{ name, entry, atExchange, atGuard string }{
		{"nothing", `{"sid":"login 2"}`, "served", "served"},
		{"by sid", `{"sid":"login 1"}`, revoked, revoked},
		{"the provider's user", `{"sub":"ada","iss":"` + provider + `"}`, revoked, "served"},
		{"the gateway's user", `{"sub":"ada","iss":"https://gateway.example"}`, "served", revoked},
		{"by before", `{"before":` + strconv.FormatInt(time.Now().Unix()+1000, 10) + `}`, revoked, revoked},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			begun, _ := e.Middleware(t, exchangeOptions(t, nil))
			token, _ := answered(t, post(t, begun, bothways.Bearer(providers(t, presented()))))
			name := listFile(t, test.entry)
			exchange, _ := e.Middleware(t, exchangeOptions(t, options{"revocations": name}))
			for range 2 {
				if got := bothways.Outcome(t, post(t, exchange, bothways.Bearer(providers(t, presented())))); got != test.atExchange {
					t.Errorf("%s, at the exchange: got %s, want %s", test.name, got, test.atExchange)
				}
			}
			guard, _ := e.Middleware(t, sessionGuard.With(options{"revocations": name}))
			if got := bothways.Verdict(t, guard, token); got != test.atGuard {
				t.Errorf("%s, at the guard: got %s, want %s", test.name, got, test.atGuard)
			}
		}
		// Without a list nothing is begun.
		exchange, _ := e.Middleware(t, exchangeOptions(t, options{"revocations": "/no/such/list.json"}))
		if got := bothways.Outcome(t, post(t, exchange, bothways.Bearer(providers(t, presented())))); got != unlisted {
			t.Errorf("without a list: got %s, want %s", got, unlisted)
		}
	})
}

// listServer is an endpoint of lists that remembers what it was asked.
func listServer(t testing.TB, answer http.HandlerFunc) *minted.KeyServer {
	t.Helper()
	s := minted.NewKeyServer(t, answer)
	s.Start()
	return s
}

// What an endpoint can answer, to a gateway that has no list and to one that has.
func TestRevocationEndpoint(t *testing.T) {
	list := listOf(`{"sid":"s2"}`)
	elsewhere := listServer(t, minted.Says(list))
	status := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("ETag", `"lie"`)
			rw.WriteHeader(code)
		}
	}
	tests := []struct {
		name     string
		answer   http.HandlerFunc
		isUsable bool
		fetches  int64
	}{
		{"a list", minted.Says(list), true, 1},
		{"a list, compressed", func(rw http.ResponseWriter, _ *http.Request) { compressed(rw, list) }, true, 1},
		{"a redirect on the same host", func(rw http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/moved" {
				http.Redirect(rw, req, "/moved", http.StatusFound)
				return
			}
			_, _ = rw.Write([]byte(list))
		}, true, 2},
		{"a redirect elsewhere", http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP, false, 1},
		{"a redirect in a circle", func(rw http.ResponseWriter, req *http.Request) { http.Redirect(rw, req, "/", http.StatusFound) }, false, 5},
		{"hangs", minted.Hangs, false, 1},
		{"hangs in the middle", func(rw http.ResponseWriter, req *http.Request) {
			_, _ = rw.Write([]byte(list[:12]))
			_ = http.NewResponseController(rw).Flush()
			<-req.Context().Done()
		}, false, 1},
		{"resets", func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}, false, 1},
		{"500", status(500), false, 1},
		{"404", status(404), false, 1},
		{"204", status(204), false, 1},
		{"304, to nobody who asked", status(304), false, 1},
		{"half a list", minted.Says(list[:len(list)-4]), false, 1},
		{"HTML", minted.Says("<!doctype html><title>Sign in</title>"), false, 1},
		{"an entry of nothing", minted.Says(listOf(`{}`)), false, 1},
		{"5 MiB of space", minted.Says(list + strings.Repeat(" ", 5<<20)), false, 1},
		{"4 MiB", minted.Says(list + strings.Repeat(" ", 4<<20-len(list))), true, 1},
		{"5 MiB, compressed", func(rw http.ResponseWriter, _ *http.Request) {
			compressed(rw, list+strings.Repeat(" ", 5<<20))
		}, false, 1},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var waiting sync.WaitGroup
		for _, test := range tests {
			waiting.Add(1)
			go func() { // Nearly all of it is waiting.
				defer waiting.Done()
				token := func(sid string) string { return minted.Token(t, minted.Valid().With(claims{"sid": sid})) }
				o := options{"signingSecret": minted.Secret, "clientConfig": once}

				endpoint := listServer(t, test.answer)
				handler, _ := e.Middleware(t, o.With(options{"revocations": endpoint.URL + "/"}))
				endpoint.WantFetches(t, 0) // New does not fetch.
				start := time.Now()
				var settled time.Time
				for range 3 {
					rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token("s2")), nil)
					if settled.IsZero() {
						settled = time.Now()
					}
					want := unlisted
					if test.isUsable {
						want = revoked
					}
					got, after := bothways.Outcome(t, rec), rec.Header().Get("Retry-After")
					if got != want || (got == unlisted) != (after == "1" || after == "2") {
						t.Errorf("%s, without a list: got %s with Retry-After %q, want %s", test.name, got, after, want)
					}
					if time.Since(settled) < 900*time.Millisecond { // Then the next attempt may be under way.
						endpoint.WantFetches(t, test.fetches)
					}
				}
				if took := settled.Sub(start); test.name == "hangs" && (took < 900*time.Millisecond || took > 5*time.Second) {
					t.Errorf("waited for %s, want timeoutSeconds: 1 s", took)
				}

				endpoint = listServer(t, func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("Cache-Control", "max-age=0") // It counts as 5 seconds.
					_, _ = rw.Write([]byte(listOf(`{"sid":"s1"}`)))
				})
				handler, _ = e.Middleware(t, o.With(options{"revocations": endpoint.URL + "/"}))
				one, two, three := token("s1"), token("s2"), token("s3")
				want := func(when, ofOne, ofTwo string) {
					t.Helper()
					for token, want := range map[string]string{one: ofOne, two: ofTwo, three: "served"} {
						start := time.Now()
						if got := bothways.Verdict(t, handler, token); got != want {
							t.Errorf("%s, %s: got %s, want %s", test.name, when, got, want)
						}
						if took := time.Since(start); test.name == "hangs" && took > 900*time.Millisecond {
							t.Errorf("%s: waited for %s, want no wait", when, took)
						}
					}
				}
				want("the list before", revoked, "served")
				endpoint.Answer(test.answer)
				endpoint.ForgetFetches()
				for deadline := time.Now().Add(20 * time.Second); endpoint.Fetches() < test.fetches && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
					if !test.isUsable {
						want("the list before, still", revoked, "served")
					} else {
						bothways.Verdict(t, handler, three)
					}
				}
				if test.isUsable {
					bothways.Eventually(t, handler, two, revoked)
					want("the new list", "served", revoked)
					return
				}
				time.Sleep(1200 * time.Millisecond) // The answer has come, or the wait for it is over, and a look is due.
				want("the list before, in spite of the answer", revoked, "served")
			}()
		}
		waiting.Wait()
	})
}

// The first list is fetched once, however many wait for it and however many middlewares they come by, and then by its ETag.
func TestRevocationsAreFetchedOnce(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var asked atomic.Value
		asked.Store("")
		version := atomic.Int64{}
		endpoint := listServer(t, func(rw http.ResponseWriter, req *http.Request) {
			time.Sleep(100 * time.Millisecond)
			asked.Store(req.Header.Get("If-None-Match"))
			tag := fmt.Sprintf(`W/"%d"`, version.Load())
			rw.Header().Set("ETag", tag)
			rw.Header().Set("Cache-Control", "private, max-age=1")
			if req.Header.Get("If-None-Match") == tag {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = fmt.Fprintf(rw, `{"revoked":[{"sid":"s%d"}]}`, version.Load())
		})
		var handlers []http.Handler
		for range 5 {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": endpoint.URL, "realm": distinct()})
			handlers = append(handlers, handler)
		}
		endpoint.WantFetches(t, 0)
		var requests sync.WaitGroup
		for n := range 50 {
			token := minted.Token(t, minted.Valid().With(claims{"sub": strconv.Itoa(n)}))
			requests.Add(1)
			go func() {
				defer requests.Done()
				if got := bothways.Verdict(t, handlers[n%len(handlers)], token); got != "served" {
					t.Errorf("got %s, want served", got)
				}
			}()
		}
		requests.Wait()
		endpoint.WantFetches(t, 1)

		token := minted.Token(t, minted.Valid().With(claims{"sid": "s1"}))
		for deadline := time.Now().Add(20 * time.Second); endpoint.Fetches() < 2 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if got := bothways.Verdict(t, handlers[0], token); got != "served" {
				t.Fatalf("got %s, want served", got)
			}
		}
		deadline := time.Now().Add(20 * time.Second)
		for asked.Load() != `W/"0"` && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if got := asked.Load(); got != `W/"0"` {
			t.Errorf("asked with the tag %q, want the last one", got)
		}
		version.Store(1)
		bothways.Eventually(t, handlers[0], token, revoked)
		for _, handler := range handlers {
			bothways.Eventually(t, handler, token, revoked)
		}
		if got := endpoint.Fetches(); got > 6 {
			t.Errorf("got %d fetches, want one in 5 seconds", got)
		}
	})
}

// Requests that come while the first one looks at the keys and the list are answered as those behind it.
func TestFirstRequestsMeetTheList(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for range 50 {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "revocations": listFile(t, `{"sid":"s1"}`), "realm": distinct()})
			var requests sync.WaitGroup
			for range 8 {
				for sid, want := range map[string]string{"s1": revoked, "s2": "served"} {
					token := minted.Token(t, minted.Valid().With(claims{"sid": sid}))
					requests.Add(1)
					go func() {
						defer requests.Done()
						if got := bothways.Verdict(t, handler, token); got != want {
							t.Errorf("got %s, want %s", got, want)
						}
					}()
				}
			}
			requests.Wait()
		}
	})
}

// manyEntries is a list of 100,000 sids, as long as the gateway's own.
func manyEntries() string {
	entries := make([]string, 0, 100_000)
	for i := range 100_000 {
		entries = append(entries, fmt.Sprintf(`{"sid":"%022d"}`, i))
	}
	return listOf(entries...)
}

// BenchmarkHitRevocations is BenchmarkHit with a list of 100,000 entries, which costs a remembered token nothing.
func BenchmarkHitRevocations(b *testing.B) {
	token := rs256(b, session())
	benchmark(b, options{"revocations": writeFile(b, filepath.Join(b.TempDir(), "list.json"), manyEntries())}, http.StatusOK, false, "Bearer "+token)
}

// BenchmarkMissRevocations is the look at such a list that a token costs when it is verified.
func BenchmarkMissRevocations(b *testing.B) {
	const tokens, room = 300, 200
	lines := make([]string, tokens)
	for i := range lines {
		lines[i] = "Bearer " + minted.Token(b, session().With(claims{"sub": strconv.Itoa(i), "sid": strconv.Itoa(i)}))
	}
	name := writeFile(b, filepath.Join(b.TempDir(), "list.json"), manyEntries())
	for _, list := range []any{nil, name} {
		b.Run(fmt.Sprintf("list=%t", list != nil), func(b *testing.B) {
			benchmark(b, options{"privateKey": nil, "signingSecret": minted.Secret, "cacheSize": room, "revocations": list}, http.StatusOK, false, lines...)
		})
	}
}

// BenchmarkReadRevocations is what reading a list of 100,000 entries takes, by a request that finds its file changed.
func BenchmarkReadRevocations(b *testing.B) {
	list := manyEntries()
	each(b, func(b *testing.B, e bothways.Engine) {
		b.ReportAllocs()
		for n := range b.N {
			b.StopTimer()
			name := writeFile(b, filepath.Join(b.TempDir(), fmt.Sprintf("list-%d.json", n)), list)
			b.StartTimer()
			e.InFront(b, service, options{"signingSecret": minted.Secret, "revocations": name})
		}
	})
}
