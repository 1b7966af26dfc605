package slidingjwt_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The oracle of TestDifferential: what the documentation promises, written again without the plugin's code. It is never
// handed a request to parse: it knows the parts that a request was put together from, and what every token is, since both
// were made for it. Where the promise leaves something open, the oracle allows each possibility.

// margin keeps the oracle's expectations away from the moments at which they change, in seconds.
const margin = 60

// expectation is what may become of a request.
type expectation struct {
	outcomes []string  // "served", or a status and a reason's code
	token    *specimen // the one that counts; nil: none does
	header, cookie, form,
	query bool // where it came by
	preflight bool
}

// expect says what may become of a request.
func expect(s *setup, r *request, now float64) expectation {
	if isExcessive(s, r) {
		return expectation{outcomes: answers(r, "400 too_many_parts")}
	}
	if r.isPreflight() {
		return expectation{outcomes: []string{"served"}, preflight: true}
	}
	var x expectation
	var texts, bad []string
	take := func(text string) bool {
		if text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
		return text != ""
	}
	if len(r.authorization) > 1 {
		bad = append(bad, "400 multiple_tokens")
	}
	for _, a := range r.authorization {
		if a.malformed {
			bad = append(bad, "400 malformed_authorization")
		}
		x.header = take(a.token) || x.header
	}
	for _, c := range r.cookies {
		if c.name == s.cookieName() {
			x.cookie = take(c.value) || x.cookie
		}
	}
	for _, q := range r.query {
		if q.name == s.tokenKey() {
			x.query = take(q.value) || x.query
		}
	}
	if len(texts) == 0 && s.tokenKey() != "" && r.isForm() {
		for _, f := range r.form {
			if f.name == s.tokenKey() {
				x.form = take(f.value) || x.form
			}
		}
	}
	if len(texts) > 1 {
		bad = append(bad, "400 multiple_tokens")
	}
	if len(texts) == 1 && len(texts[0]) > 8<<10 {
		bad = append(bad, "400 token_too_long")
	}
	crossSite := "no"
	if x.cookie && !x.header {
		crossSite = isCrossSite(s, r)
	}
	switch {
	case len(bad) > 0:
	case len(texts) == 0 && s.is("optional"):
		return expectation{outcomes: []string{"served"}}
	case len(texts) == 0:
		bad = append(bad, "401 token_missing")
	default:
		x.token = r.tokens[texts[0]]
		if x.token == nil {
			x.token = &specimen{text: texts[0], faults: []string{"401 token_malformed"}}
		}
		bad = faultsOf(s, x.token, now)
	}
	if crossSite != "no" {
		x.outcomes = append(x.outcomes, "403 cross_site")
	}
	x.outcomes = append(x.outcomes, bad...)
	// The token that came by the query as well counts by that, or does not: both can be said.
	if len(bad) == 0 && (crossSite != "yes" || x.query) {
		x.outcomes = append(x.outcomes, "served")
	}
	x.outcomes = answers(r, x.outcomes...)
	return x
}

// answers writes outcomes as a gRPC caller gets them, if the request is one's.
func answers(r *request, outcomes ...string) []string {
	if !r.isGRPC() {
		return outcomes
	}
	for i, outcome := range outcomes {
		status, code, isRefused := strings.Cut(outcome, " ")
		if isRefused {
			outcomes[i] = "grpc " + map[string]string{"400": "16", "401": "16", "403": "7", "503": "14"}[status] + " " + code
		}
	}
	return outcomes
}

// allows says whether an outcome is among the expected ones; a HEAD has no body, which the code would be in.
func (x expectation) allows(outcome string) bool {
	return slices.ContainsFunc(x.outcomes, func(one string) bool {
		return outcome == one || strings.HasSuffix(outcome, " ") && strings.HasPrefix(one, outcome)
	})
}

func isExcessive(s *setup, r *request) bool {
	return s.cookieName() != "" && len(r.cookies) > 500 || s.tokenKey() != "" && (len(r.query) > 1000 || !r.hasQueryToken(s) && r.isForm() && len(r.form) > 1000)
}

// isCrossSite says whether another site may have sent the cookie: "yes", "no", or "perhaps" where that is not promised.
func isCrossSite(s *setup, r *request) string {
	upgrade := r.header("Upgrade")
	if r.method == http.MethodGet || r.method == http.MethodHead {
		if upgrade == "" {
			return "no"
		}
		if !strings.EqualFold(upgrade, "websocket") {
			return perhaps(crossSiteHeaders(s, r)) // It is taken off, before this or after.
		}
	}
	return crossSiteHeaders(s, r)
}

func perhaps(answer string) string {
	if answer == "yes" {
		return "perhaps"
	}
	return answer
}

func crossSiteHeaders(s *setup, r *request) string {
	if r.count("Origin") > 1 || r.count("Sec-Fetch-Site") > 1 { // No browser says two things.
		return "yes"
	}
	origin := r.header("Origin")
	if origins, _ := s.block("cookie")["origins"].([]any); origin != "" && slices.Contains(origins, any(origin)) {
		return "no"
	}
	if site := r.header("Sec-Fetch-Site"); site != "" {
		if site == "same-origin" || site == "none" {
			return "no"
		}
		return "yes"
	}
	if origin == "" {
		return "no"
	}
	scheme, host, _ := strings.Cut(origin, "://")
	if host != gatewayHost {
		return "yes"
	}
	forwarded := r.header("X-Forwarded-Proto")
	if forwarded == "" {
		return "perhaps"
	}
	// Traefik writes ws and wss for a WebSocket, whose Origin is that of a page.
	if scheme == strings.Replace(forwarded, "ws", "http", 1) {
		return "no"
	}
	return "yes"
}

// faultsOf are all the reasons for which a middleware refuses a token; none: it is served.
func faultsOf(s *setup, m *specimen, now float64) []string {
	faults := slices.Clone(m.faults)
	add := func(codes ...string) { faults = append(faults, codes...) }
	if len(m.text) > 8<<10 {
		add("400 token_too_long")
	}
	leeway := s.duration("leeway", 30)
	if m.hasExp && now >= m.exp+leeway {
		add("401 token_expired")
	}
	if now < m.nbf-leeway {
		add("401 token_not_yet_valid")
	}
	if now < m.iat-leeway {
		add("401 issued_in_future")
	}
	types := []string{"", "jwt", "at+jwt"}
	if wanted := s.text("tokenType"); wanted != "" {
		types = []string{strings.TrimPrefix(strings.ToLower(wanted), "application/")}
	}
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(m.typ), "application/")) {
		add("401 wrong_type")
	}
	if s.verifierOf(m) == nil {
		add("401 unknown_key", "401 bad_signature", "401 wrong_algorithm")
	}
	if wanted := s.text("issuer"); wanted != "" && m.iss != wanted && !s.trusts(m.iss) {
		add("401 wrong_issuer")
	}
	if wanted := s.list("audience"); len(wanted) > 0 && !slices.ContainsFunc(m.aud, func(aud string) bool { return slices.Contains(wanted, aud) }) {
		add("401 wrong_audience")
	}
	for _, scope := range s.list("scopes") {
		if !slices.Contains(m.scopes, scope) {
			add("403 insufficient_scope")
		}
	}
	if s.holds != nil && !s.holds(m) {
		add("403 claims_not_sufficient")
	}
	return faults
}

// verifierOf is the key of a configuration that verifies a token; nil if none does.
func (s *setup) verifierOf(m *specimen) *keyUse {
	narrowed := s.list("algorithms")
	isNamed := slices.Contains(narrowed, m.alg) || m.alg == "Ed25519" && slices.Contains(narrowed, "EdDSA") // Two names of one.
	if len(narrowed) > 0 && !isNamed {
		return nil
	}
	for i, use := range s.keys {
		isTrusted := use.issuer != ""
		if isTrusted && use.issuer != m.iss || !isTrusted && s.trusts(m.iss) {
			continue
		}
		if use.key == m.key && slices.Contains(use.algs, m.alg) && (m.kid == "" || use.kid == "" || use.kid == m.kid) {
			return &s.keys[i]
		}
	}
	return nil
}

func (s *setup) trusts(issuer string) bool {
	return slices.ContainsFunc(s.keys, func(use keyUse) bool { return use.issuer != "" && use.issuer == issuer })
}

// isSpelling says whether a header's name is one of a claim header's, to whoever takes all but letters and digits for "-".
func (s *setup) isSpelling(name string) bool {
	return slices.ContainsFunc(s.claimHeaders(), func(header string) bool { return spelled(header) == spelled(name) })
}

func spelled(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// complaint is what is wrong with what became of a request: of a kind, so that each is told once.
type complaint struct{ kind, detail string }

// complain compares what became of a request with what may.
func complain(s *setup, r *request, got *result) (all []complaint) {
	add := func(kind, format string, args ...any) {
		all = append(all, complaint{kind, fmt.Sprintf(format, args...)})
	}
	x := expect(s, r, got.sentAt)
	if !x.allows(got.outcome) {
		kind := "refused otherwise than expected"
		switch {
		case strings.HasPrefix(got.outcome, "grpc") && !r.isGRPC():
			kind = "a gRPC answer to what is no gRPC"
		case got.outcome == "served" && strings.HasSuffix(x.outcomes[0], "cross_site"):
			kind = "served, and it comes from another site"
		case got.outcome == "served":
			kind = "served, and it may not be"
		case slices.Contains(x.outcomes, "served"):
			kind = "refused, and it should be served"
		}
		add(kind, "got %q, want one of %q", got.outcome, x.outcomes)
		return all
	}
	if got.outcome != "served" {
		complainOfRefusal(s, r, x, got, add)
		return all
	}
	if got.calls != 1 {
		add("the service is called more than once", "got %d calls", got.calls)
	}
	complainOfClaims(s, x, got, add)
	complainOfView(s, r, x, got, add)
	complainOfRenewal(s, r, x, got, add)
	return all
}

// complainOfRefusal looks at a refusal's headers: it renews nothing, and clears no cookie but one that is lost.
func complainOfRefusal(s *setup, r *request, x expectation, got *result, add func(kind, format string, args ...any)) {
	h := got.header
	for _, name := range []string{"Authorization", s.renewHeader(), "Token-Expires-In", "Session-Expires-In"} {
		if h[name] != nil {
			add("a refusal renews", "got %s: %q", name, h[name])
		}
	}
	if got := h.Get("Cache-Control"); got != "no-store" {
		add("a refusal may be stored", "got Cache-Control: %q", got)
	}
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.Name != s.cookieName() || c.Value != "" || c.MaxAge >= 0 || !x.cookie {
			add("a refusal sets a cookie", "got %q", h["Set-Cookie"])
		}
	}
	code := got.outcome[strings.LastIndexByte(got.outcome, ' ')+1:]
	lost := []string{"token_malformed", "token_expired", "unsupported_header", "malformed_claims", "no_expiry", "bound_token", "token_too_long"}
	if isLost := slices.Contains(lost, code); x.cookie && code != "" && isLost != (h["Set-Cookie"] != nil) {
		add("the cookie of a refusal", "%s: got Set-Cookie: %q", code, h["Set-Cookie"])
	}
	if r.isGRPC() {
		return
	}
	if got := h.Get("Content-Type"); got != "application/problem+json" {
		add("a refusal is no problem+json", "got Content-Type: %q", got)
	}
	challenge := h.Get("Www-Authenticate")
	saysNothing := code == "cross_site" || code == "" && strings.HasPrefix(got.outcome, "403") // A HEAD does not say which.
	if !saysNothing && !strings.HasPrefix(challenge, `Bearer realm="api"`) {
		add("a refusal is no challenge", "got WWW-Authenticate: %q", challenge)
	}
	if code == "token_missing" && strings.Contains(challenge, "error") {
		add("a missing token is an error", "got WWW-Authenticate: %q", challenge)
	}
}

// complainOfClaims looks at the claim headers that the service sees, in its header and its trailers.
func complainOfClaims(s *setup, x expectation, got *result, add func(kind, format string, args ...any)) {
	want := s.claimsOf(x.token)
	for name, values := range got.view.header {
		if s.isSpelling(name) && (want[name] == nil || !slices.Equal(values, want[name])) {
			add("the service sees a claim header that is not the token's", "got %s: %q, want %q", name, values, want[name])
		}
	}
	for name, values := range got.view.trailer {
		if s.isSpelling(name) {
			add("the service sees a claim header as a trailer", "got the trailer %s: %q", name, values)
		}
	}
	for name, values := range want {
		if !slices.Equal(got.view.header[name], values) {
			add("the service does not see a claim", "got %s: %q, want %q", name, got.view.header[name], values)
		}
	}
}

// claimsOf are the claim headers of a token, by the names under which they are set.
func (s *setup) claimsOf(m *specimen) http.Header {
	h := http.Header{}
	if m == nil {
		return h
	}
	for header, path := range s.block("forwardHeaders") {
		if text := m.forwarded[path.(string)]; text != "" {
			h[http.CanonicalHeaderKey(header)] = []string{text}
		}
	}
	return h
}

// complainOfView looks at the rest of the request that the service sees: as it was sent, but for the token.
func complainOfView(s *setup, r *request, x expectation, got *result, add func(kind, format string, args ...any)) {
	sent, seen := got.sent, got.view
	isRemoved := !s.is("forwardAuthorization") || x.preflight
	want := sent.header.Clone()
	for name := range want {
		if s.isSpelling(name) || x.preflight && isMethodOverride(name) {
			delete(want, name)
		}
	}
	for name, values := range s.claimsOf(x.token) {
		want[name] = values
	}
	header := seen.header.Clone()
	if isRemoved && x.header {
		delete(want, "Authorization")
	}
	if x.preflight {
		// Of several lines, a token among them or not, none is anything to a service.
		if slices.ContainsFunc(header["Authorization"], func(line string) bool { return strings.HasPrefix(strings.ToLower(line), "bearer") }) {
			add("the service sees a token", "got Authorization: %q of a preflight", header["Authorization"])
		}
		delete(want, "Authorization")
		delete(header, "Authorization")
	}
	if upgrade := want["Upgrade"]; upgrade != nil && !strings.EqualFold(upgrade[0], "websocket") {
		delete(want, "Upgrade")
		delete(want, "Http2-Settings")
	}

	// Lists are compared by their elements.
	options := func(h http.Header) []string {
		return slices.DeleteFunc(elements(h["Connection"], ","), s.isSpelling)
	}
	if got := elements(header["Connection"], ","); !slices.Equal(got, options(want)) {
		add("the connection's options", "got %q, want %q", got, options(want))
	}
	cookies := func(h http.Header, isRemoved bool) []string {
		return slices.DeleteFunc(elements(h["Cookie"], ";"), func(pair string) bool {
			name, value, _ := strings.Cut(pair, "=")
			return name == s.cookieName() && name != "" && (isRemoved || value == "")
		})
	}
	if got, want := cookies(header, false), cookies(want, isRemoved); !slices.Equal(got, want) {
		add("the cookies that the service sees", "got %q, want %q", got, want)
	}
	for _, name := range []string{"Connection", "Cookie"} {
		delete(want, name)
		delete(header, name)
	}
	if got, want := fmt.Sprintf("%q", header), fmt.Sprintf("%q", want); got != want {
		add("the header that the service sees", "got\n\t%s\nwant\n\t%s", got, want)
	}

	target, query := r.target(func(name string) bool { return isRemoved && s.tokenKey() != "" && name == s.tokenKey() })
	if query == "" {
		seen.uri, target = strings.TrimSuffix(seen.uri, "?"), strings.TrimSuffix(target, "?")
	}
	if seen.uri != target || seen.url.RawQuery != query || seen.url.Path != sent.url.Path || seen.url.User != nil {
		add("the URL that the service sees", "got %s and %v, want %s", seen.uri, seen.url, target)
	}
	if seen.body != r.body {
		add("the body that the service sees", "got %d bytes, want %d: %.200q", len(seen.body), len(r.body), seen.body)
	}
	if got, want := fmt.Sprint(seen.method, seen.host, seen.proto, seen.length, seen.encoding), fmt.Sprint(sent.method, sent.host, sent.proto, sent.length, sent.encoding); got != want {
		add("the request that the service sees", "got %s, want %s", got, want)
	}

	// A trailer that was not announced may be lost.
	trailers := http.Header{}
	for _, line := range r.trailers {
		name := http.CanonicalHeaderKey(line.name)
		trailers[name] = append(trailers[name], line.value)
	}
	for name, values := range seen.trailer {
		if !s.isSpelling(name) && !slices.Equal(values, trailers[name]) {
			add("the trailers that the service sees", "got %s: %q, want %q", name, values, trailers[name])
		}
	}
	for _, name := range r.announced {
		name = http.CanonicalHeaderKey(name)
		if !s.isSpelling(name) && !slices.Equal(seen.trailer[name], trailers[name]) {
			add("the trailers that the service sees", "got %s: %q, want %q", name, seen.trailer[name], trailers[name])
		}
	}
}

func isMethodOverride(name string) bool {
	return slices.Contains([]string{"x-http-method", "x-http-method-override", "x-method-override"}, spelled(name))
}

// elements splits a header's lines.
func elements(lines []string, separator string) []string {
	var all []string
	for _, element := range strings.Split(strings.Join(lines, separator), separator) {
		if element = strings.TrimSpace(element); element != "" {
			all = append(all, element)
		}
	}
	return all
}

// complainOfRenewal looks at what a served response has beside the service's: a renewed token, if it is due, and nothing else.
func complainOfRenewal(s *setup, r *request, x expectation, got *result, add func(kind, format string, args ...any)) {
	h := got.header
	added := []string{"Authorization", s.renewHeader(), "Set-Cookie", "Token-Expires-In", "Session-Expires-In", "Cache-Control", "Cdn-Cache-Control", "Access-Control-Expose-Headers"}
	for name := range h {
		if !slices.Contains(append(added, "Content-Type", "Content-Length", "Date", "X-Service"), name) && name != "Connection" {
			add("a response header that nobody set", "got %s: %q", name, h[name])
		}
	}
	lifetime, sessionEnd, due := renewalOf(s, x, got.sentAt)
	has := slices.ContainsFunc(added, func(name string) bool { return h[name] != nil })
	switch {
	case due == "yes" && !has:
		add("a due token is not renewed", "%s", x.token.about)
		return
	case due == "no" && has:
		add("a token is renewed that is not due", "%s: got %q", x.outcomes, h)
		return
	case !has:
		return
	}

	inHeader, inCookie := x.header || x.form, x.cookie
	if len(x.token.text) > 3500 && h["Set-Cookie"] == nil {
		inCookie = false // No browser would keep it.
	}
	renewed := ""
	if inHeader {
		values := h[s.renewHeader()]
		prefix := ""
		if s.renewHeader() == "Authorization" {
			prefix = "Bearer "
		}
		renewed, _ = strings.CutPrefix(strings.Join(values, "|"), prefix)
		if len(values) != 1 || values[0] != prefix+renewed {
			add("the renewed token's header", "got %s: %q", s.renewHeader(), values)
		}
	} else if h[s.renewHeader()] != nil {
		add("a cookie's token is in a readable header", "got %s: %q", s.renewHeader(), h[s.renewHeader()])
	}
	cookies := (&http.Response{Header: h}).Cookies()
	switch {
	case inCookie && len(cookies) == 1:
		if renewed != "" && cookies[0].Value != renewed {
			add("two renewed tokens", "got %q", h)
		}
		renewed = cookies[0].Value
		complainOfCookie(s, cookies[0], lifetime, add)
	case inCookie || len(cookies) > 0:
		add("the renewed token's cookie", "got Set-Cookie: %q", h["Set-Cookie"])
	}
	complainOfToken(s, x.token, renewed, got, lifetime, sessionEnd, add)

	if got := h.Get("Cache-Control"); got != "no-store" {
		add("a renewed token may be stored", "got Cache-Control: %q", got)
	}
	if cdn := h.Get("Cdn-Cache-Control"); inCookie != (cdn == "no-store") {
		add("what a CDN may store", "got CDN-Cache-Control: %q", cdn)
	}
	var exposed []string
	if r.header("Origin") != "" {
		exposed = []string{"Session-Expires-In", "Token-Expires-In"}
		if inHeader {
			exposed = append(exposed, s.renewHeader())
		}
	}
	names := elements(h["Access-Control-Expose-Headers"], ",")
	slices.Sort(names)
	slices.Sort(exposed)
	if !slices.Equal(names, exposed) {
		add("the exposed headers", "got %q, want %q", names, exposed)
	}
}

// renewalOf says whether a served token is renewed ("yes", "no" or "perhaps", if a moment is near at which that changes),
// to which lifetime, and when its session ends.
func renewalOf(s *setup, x expectation, now float64) (lifetime, sessionEnd float64, due string) {
	m := x.token
	before := s.block("renew")["before"]
	if m == nil || before == nil || !x.header && !x.cookie && !x.form || !s.verifierOf(m).own {
		return 0, 0, "no"
	}
	own := m.exp - m.iat
	if !m.hasIAT || m.oddAuthTime {
		return 0, 0, "no"
	}
	start := m.iat
	if m.hasAuthTime {
		start = m.authTime
	}
	if start > m.iat+s.duration("leeway", 30) || now >= m.exp || now < m.iat || now < m.nbf {
		return 0, 0, "no"
	}
	early := seconds(before.(string), own)
	if early >= own {
		early = own / 2
	}
	lifetime = own
	if configured := s.block("renew")["lifetime"]; configured != nil {
		lifetime = seconds(configured.(string), 0)
	}
	maxSession := 24 * 3600.0
	if configured := s.block("renew")["maxSession"]; configured != nil {
		maxSession = seconds(configured.(string), 0)
	}
	sessionEnd = start + maxSession
	isDue := early - (m.exp - now)                                                  // at least 0
	gains := math.Min(now+lifetime, sessionEnd) - m.exp - lifetime/10               // at least 0
	isSet := x.header || x.form || len(m.text) < 3500 || math.Min(isDue, gains) < 0 // A cookie may be longer than browsers keep.
	switch least := math.Min(isDue, gains); {
	case least < -margin:
		return lifetime, sessionEnd, "no"
	case least < margin || !isSet:
		return lifetime, sessionEnd, "perhaps"
	}
	return lifetime, sessionEnd, "yes"
}

// seconds reads a duration, which is a number of seconds without a unit, or a share of another one.
func seconds(text string, of float64) float64 {
	if n, err := strconv.Atoi(text); err == nil {
		return float64(n)
	}
	if percent, isShare := strings.CutSuffix(text, "%"); isShare {
		var share float64
		_, _ = fmt.Sscan(percent, &share)
		return share / 100 * of
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d.Seconds()
}

// complainOfCookie compares a renewed cookie's attributes with the configured ones.
func complainOfCookie(s *setup, c *http.Cookie, lifetime float64, add func(kind, format string, args ...any)) {
	block := s.block("cookie")
	want := http.Cookie{Name: s.cookieName(), Path: "/", SameSite: http.SameSiteLaxMode, Secure: block["secure"] != false, HttpOnly: block["httpOnly"] != false}
	if path, isSet := block["path"].(string); isSet {
		want.Path = path
	}
	if domain, isSet := block["domain"].(string); isSet {
		want.Domain = domain
	}
	if block["sameSite"] == "Strict" {
		want.SameSite = http.SameSiteStrictMode
	}
	got := http.Cookie{Name: c.Name, Path: c.Path, Domain: c.Domain, SameSite: c.SameSite, Secure: c.Secure, HttpOnly: c.HttpOnly}
	if got.String() != want.String() {
		add("the renewed cookie's attributes", "got %q, want %q", got.String(), want.String())
	}
	if isLasting := block["sessionOnly"] != true; isLasting != (c.MaxAge > 0) || float64(c.MaxAge) > lifetime+1 {
		add("the renewed cookie's Max-Age", "got %d", c.MaxAge)
	}
}

// complainOfToken compares a renewed token with the presented one: by a key that signs, with the same claims byte for byte
// but for those that the renewal changes.
func complainOfToken(s *setup, presented *specimen, renewed string, got *result, lifetime, sessionEnd float64, add func(kind, format string, args ...any)) {
	parts := strings.Split(renewed, ".")
	if len(parts) != 3 {
		add("the renewed token", "got %q", renewed)
		return
	}
	var header struct{ Alg, Kid, Typ string }
	var octets [3][]byte
	for i, part := range parts {
		octets[i], _ = base64.RawURLEncoding.DecodeString(part)
	}
	if err := json.Unmarshal(octets[0], &header); err != nil {
		add("the renewed token", "its header: %v", err)
		return
	}
	signer := &specimen{key: s.signer, alg: header.Alg, kid: header.Kid, iss: presented.iss}
	if s.verifierOf(signer) == nil || header.Typ != presented.typ {
		add("the renewed token's header", "got %s for one with typ %q, signed by %s", octets[0], presented.typ, s.signer)
	}
	alg := strings.Replace(header.Alg, "Ed25519", "EdDSA", 1)
	if err := jwt.GetSigningMethod(alg).Verify(parts[0]+"."+parts[1], octets[2], publicKeys[s.signer]); err != nil {
		add("the renewed token's signature", "by %s with %s: %v", s.signer, alg, err)
	}

	members, err := membersOf(octets[1])
	if err != nil {
		add("the renewed token", "its payload %s: %v", octets[1], err)
		return
	}
	want := presented.members
	if !presented.hasAuthTime {
		want = append(slices.Clone(want), member{"auth_time", fmt.Sprint(int64(presented.iat))})
	}
	hasSID := slices.ContainsFunc(want, func(m member) bool { return m.name == "sid" })
	if !hasSID {
		want = append(slices.Clone(want), member{"sid", ""})
	}
	times := map[string]float64{}
	isSame := len(members) == len(want)
	for i := 0; isSame && i < len(want); i++ {
		isSame = members[i].name == want[i].name
		switch name := want[i].name; name {
		case "iat", "exp":
			var value float64
			_, err := fmt.Sscan(members[i].raw, &value)
			times[name] = value
			isSame = isSame && err == nil
		case "jti":
			isSame = isSame && members[i].raw != want[i].raw && len(members[i].raw) > 20
		case "sid":
			isSame = isSame && (members[i].raw == want[i].raw || !hasSID && len(members[i].raw) == 24)
		default:
			isSame = isSame && members[i].raw == want[i].raw
		}
	}
	if !isSame {
		add("the renewed token's claims", "got %q, want %q", members, want)
		return
	}
	// It may be ten seconds old, with the rounding of both.
	iat, exp := times["iat"], times["exp"]
	if iat < got.sentAt-12 || iat > got.receivedAt {
		add("the renewed token's iat", "got %f at %f", iat, got.receivedAt)
	}
	if end := math.Min(iat+lifetime, sessionEnd); exp < end-1 || exp > end+1 {
		add("the renewed token's exp", "got %f, want %f", exp, end)
	}
	for name, end := range map[string]float64{"Token-Expires-In": exp, "Session-Expires-In": sessionEnd} {
		var left float64
		_, err := fmt.Sscan(got.header.Get(name), &left)
		if err != nil || left < end-got.receivedAt-1 || left > end-got.sentAt {
			add(name, "got %q, want %f to %f", got.header[name], end-got.receivedAt-1, end-got.sentAt)
		}
	}
}

// membersOf splits a JSON object into its members, as they are written.
func membersOf(object []byte) ([]member, error) {
	var members []member
	decoder := json.NewDecoder(strings.NewReader(string(object)))
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, err
		}
		members = append(members, member{name.(string), string(raw)})
	}
	return members, nil
}

// What a configuration and a request say, in the terms of the documentation.

func (s *setup) text(option string) string { text, _ := s.options[option].(string); return text }
func (s *setup) is(option string) bool     { return s.options[option] == true }
func (s *setup) list(option string) []string {
	return elements([]string{s.text(option)}, ",")
}

func (s *setup) block(option string) map[string]any {
	block, _ := s.options[option].(map[string]any)
	return block
}

func (s *setup) duration(option string, fallback float64) float64 {
	if text := s.text(option); text != "" {
		return seconds(text, 0)
	}
	return fallback
}

func (s *setup) cookieName() string { name, _ := s.block("cookie")["name"].(string); return name }
func (s *setup) tokenKey() string   { return s.text("tokenKey") }

func (s *setup) renewHeader() string {
	if name, isSet := s.block("renew")["header"].(string); isSet {
		return name
	}
	return "Authorization"
}

func (s *setup) claimHeaders() (names []string) {
	for name := range s.block("forwardHeaders") {
		names = append(names, name)
	}
	return names
}

// header is what a request says in a header that it has once at most.
func (r *request) header(name string) string {
	for _, line := range r.lines {
		if strings.EqualFold(line.name, name) {
			return line.value
		}
	}
	return ""
}

func (r *request) count(name string) (n int) {
	for _, line := range r.lines {
		if strings.EqualFold(line.name, name) {
			n++
		}
	}
	return n
}

func (r *request) isPreflight() bool {
	// A chunked body may turn out to be empty, which shows only to who has read it.
	hasBody := r.body != "" || r.chunked && r.reader != "buffered before"
	return r.method == http.MethodOptions && r.count("Origin") == 1 && r.count("Access-Control-Request-Method") == 1 && !hasBody && r.header("Upgrade") == ""
}

func (r *request) isForm() bool {
	kind, _, _ := mime.ParseMediaType(r.header("Content-Type"))
	return r.hasBody && kind == "application/x-www-form-urlencoded"
}

func (r *request) isGRPC() bool {
	kind := r.header("Content-Type")
	return r.proto == 2 && r.method == http.MethodPost && (kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+"))
}

// hasQueryToken says whether there is a token in a place that is looked at before a form.
func (r *request) hasQueryToken(s *setup) bool {
	for _, a := range r.authorization {
		if a.token != "" || a.malformed || len(r.authorization) > 1 {
			return true
		}
	}
	return slices.ContainsFunc(r.query, func(p parameter) bool { return p.name == s.tokenKey() && p.value != "" }) ||
		slices.ContainsFunc(r.cookies, func(c parameter) bool { return c.name == s.cookieName() && c.value != "" })
}

// target is the request's, and its query, without some parameters.
func (r *request) target(isRemoved func(name string) bool) (target, query string) {
	var kept []string
	for _, p := range r.query {
		if !isRemoved(p.name) {
			kept = append(kept, p.raw)
		}
	}
	query = strings.Join(kept, "&")
	target = r.path
	if query != "" || r.bareMark {
		target += "?" + query
	}
	return target, query
}

// view is what one side of the plugin saw of a request.
type view struct {
	method, uri, host, proto string
	url                      url.URL
	header, trailer          http.Header
	body                     string
	length                   int64
	encoding                 []string
}

func viewOf(req *http.Request, body string) view {
	return view{
		method: req.Method, uri: req.RequestURI, host: req.Host, proto: req.Proto, url: *req.URL, header: req.Header.Clone(), trailer: req.Trailer.Clone(),
		body: body, length: req.ContentLength, encoding: slices.Clone(req.TransferEncoding),
	}
}
