// Package attacks is one table of attacks on the middleware. It follows RFC 8725 and its successor (draft-ietf-oauth-rfc8725bis,
// "BCP" here) point by point, and the classes of advisories that were published against JWT libraries and gateways from 2020
// to 2026. It has tests only.
//
// A row is what an attacker sends, the answer's status and reason that are wanted, and what may reach the service: nothing,
// unless the row says so. Each row runs natively and interpreted, twice, so that the second time whatever is remembered is
// remembered. The root's tests have more of each kind (attack_test.go, keys_test.go, verify_test.go, source_test.go,
// forward_test.go, renew_test.go); this table is for the reader who wants to know what was tried.
package attacks

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"

	"github.com/slidingjwt/slidingjwt/demo/conformance/tally"
)

func TestMain(m *testing.M) { bothways.Main(m) }

type (
	options = bothways.Options
	lines   = bothways.Lines
	claims  = minted.Claims
	jwk     = minted.JWK
)

// row is an attack.
type row struct {
	source string // whose point it is: a section of BCP or of an RFC, an advisory, or a name for its kind
	input  string // what is sent, in words

	options options // of the middleware
	first   string  // a token that is served before; empty: none
	others  options // of the middleware that serves it; nil: this one
	token   string  // comes as a bearer token; empty: none
	method  string  // GET if empty
	target  string  // / if empty
	header  lines   // of the request
	form    string  // its body, a form
	trailer lines   // behind its body
	major   int     // the major version of HTTP; 1 if 0

	// want is the status and the reason's code, and then nothing may reach the service. Or it is "served", with what reached
	// the service of what it believes (see reached), and "renewed" if the answer brings a new token.
	want string
}

// maxSession is as long as a session lasts by default, in seconds.
const maxSession = 24 * 3600

// guard verifies HS256, finds the token wherever it can be, and forwards who it is and what that person may do.
var guard = options{
	"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "tokenKey": "access_token", "realm": "attacked",
	"forwardHeaders": map[string]any{"X-User-Id": "sub", "X-Role": "role"}, "renew": map[string]any{"before": "50%"},
}

// underKey is such a guard with another key, which cannot sign.
func underKey(more options) options {
	return guard.With(options{"signingSecret": nil, "renew": nil}).With(more)
}

// user is what ada is given, and admin what an attacker would like to be.
func user() claims  { return minted.Valid().With(claims{"role": "user"}) }
func admin() claims { return minted.Valid().With(claims{"sub": "root", "role": "admin"}) }

const asUser = "served, X-Role: user, X-User-Id: ada"

func TestAttacks(t *testing.T) {
	// Nobody may ask this server, to which tokens and headers point.
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(rw, minted.JWKSet(t, minted.PublicJWK(t, stranger(t, "RSA")), minted.PublicJWK(t, stranger(t, "P-256")), minted.PublicJWK(t, stranger(t, "Ed25519"))))
	}))
	defer elsewhere.Close()
	groups := []struct {
		name string
		rows []row
	}{
		{"none", noneRows(t)},
		{"confused algorithms", confusionRows(t)},
		{"keys that a token brings", broughtKeyRows(t, elsewhere.URL)},
		{"kid", keyIDRows(t)},
		{"signatures", signatureRows(t)},
		{"form", formRows(t)},
		{"claims", claimRows(t)},
		{"issuers and kinds of tokens", issuerRows(t, elsewhere.URL)},
		{"places in a request", placeRows(t)},
		{"what a service believes", beliefRows(t)},
		{"sessions and what is remembered", sessionRows(t)},
	}
	total := 0
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			s := tally.Of(t, "attacks: "+group.name)
			for _, r := range group.rows {
				var got []string
				for _, e := range bothways.Engines(t) {
					got = append(got, attack(t, e, r))
				}
				s.Compare(r.source+": "+r.input, r.want, "", got...)
			}
		})
		total += len(group.rows)
	}
	if got := asked.Load(); got != 0 {
		t.Errorf("got %d requests to where tokens point, want none", got)
	}
	fmt.Printf("conformance: the attack table has %d rows\n", total)
}

// attack sends a row's request twice, and returns what came of it. It fails the test if the second differs, if something
// reached the service although the request was refused, or if a refusal brings a token.
func attack(t *testing.T, e bothways.Engine, r row) string {
	t.Helper()
	handler, service := e.Middleware(t, r.options)
	if r.first != "" {
		by := handler
		if r.others != nil {
			by, _ = e.Middleware(t, r.others)
		}
		for range 2 {
			if got := bothways.Verdict(t, by, r.first); got != "served" {
				t.Fatalf("%s: %s: the good token before it: got %s, want served", r.source, r.input, got)
			}
		}
	}
	var outcomes []string
	for range 2 {
		service.Forget()
		req := request(r)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		outcome := bothways.Outcome(t, rec)
		brought := renewedToken(rec)
		switch {
		case outcome == "served":
			outcome += reached(t, service.Request(), r.token)
		case service.Calls() > 0:
			outcome += ", but the service was called"
		case brought != "":
			outcome += ", but renewed"
		}
		if brought != "" && outcome != "" {
			outcome += ", renewed"
			checkRenewed(t, r, brought)
		}
		outcomes = append(outcomes, outcome)
	}
	if outcomes[0] != outcomes[1] {
		t.Errorf("%s: %s: %s: got %q first and then %q, want the same", e.Name, r.source, r.input, outcomes[0], outcomes[1])
	}
	return outcomes[0]
}

func request(r row) *http.Request {
	method, target := r.method, r.target
	if method == "" {
		method = http.MethodGet
	}
	if target == "" {
		target = "/"
	}
	var body io.Reader
	if r.form != "" || r.trailer != nil {
		body = strings.NewReader(r.form)
	}
	req := httptest.NewRequest(method, target, body)
	if r.major != 0 {
		req.ProtoMajor, req.ProtoMinor, req.Proto = r.major, 0, fmt.Sprintf("HTTP/%d.0", r.major)
	}
	for name, values := range r.header.Header() {
		req.Header[name] = values
	}
	if r.token != "" {
		req.Header["Authorization"] = []string{"Bearer " + r.token}
	}
	if r.form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.trailer != nil {
		req.ContentLength = -1
		req.Trailer = http.Header{"X-Announced": nil}
		req.Body = &trailing{body: req.Body, request: req, trailer: r.trailer.Header()}
	}
	return req
}

// trailing is a body behind which trailers come, as net/http has them: they are added to the request when the body ends,
// announced or not.
type trailing struct {
	body    io.ReadCloser
	request *http.Request
	trailer http.Header
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err == io.EOF {
		for name, values := range b.trailer {
			b.request.Trailer[name] = values
		}
	}
	return n, err
}

func (b *trailing) Close() error { return b.body.Close() }

// reached is what of a request the service would believe or that is nobody else's business: claim headers and trailers in
// any spelling, an Upgrade, an overridden method, claim headers that Connection would take off, and the token.
func reached(t *testing.T, req *http.Request, token string) string {
	t.Helper()
	watched := map[string]bool{
		"x-user-id": true, "x-role": true, "upgrade": true, "x-http-method": true, "x-http-method-override": true, "x-method-override": true,
	}
	var all []string
	for name, values := range req.Header {
		if watched[spelled(name)] {
			all = append(all, name+": "+strings.Join(values, "|"))
		}
		for _, value := range values {
			if token != "" && strings.Contains(value, token) {
				all = append(all, "the token in "+name)
			}
		}
	}
	for name, values := range req.Trailer {
		if watched[spelled(name)] {
			all = append(all, "trailer "+name+": "+strings.Join(values, "|"))
		}
	}
	for _, option := range strings.Split(strings.Join(req.Header["Connection"], ","), ",") {
		if watched[spelled(strings.TrimSpace(option))] && !strings.EqualFold(strings.TrimSpace(option), "upgrade") {
			all = append(all, "Connection: "+option)
		}
	}
	if strings.Contains(req.RequestURI+req.URL.String(), "access_token") {
		all = append(all, "the token in the URL")
	}
	sort.Strings(all)
	return strings.Join(append([]string{""}, all...), ", ")
}

// spelled is a header's name as a service may read it.
func spelled(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

// renewedToken is the token that an answer brings; a cookie that is cleared is none.
func renewedToken(rec *httptest.ResponseRecorder) string {
	if token, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer "); ok {
		return token
	}
	for _, cookie := range rec.Result().Cookies() {
		if cookie.Name == "session" && cookie.Value != "" {
			return cookie.Value
		}
	}
	return ""
}

// checkRenewed checks that a renewed token is of the same user, and does not outlive the session.
func checkRenewed(t *testing.T, r row, token string) {
	t.Helper()
	payload := minted.Payload(t, token)
	began, isNumber := payload["auth_time"].(float64)
	exp, _ := payload["exp"].(float64)
	if !isNumber || exp > began+maxSession || payload["sub"] != "ada" || payload["role"] != "user" {
		t.Errorf("%s: %s: got the renewed claims %v, want the same user's and none beyond the session", r.source, r.input, payload)
	}
}
