package slidingjwt

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// renewalSettings are the renew options, in seconds.
type renewalSettings struct {
	before     float64 // 0: see share
	share      float64 // of the token's lifetime; 0: see before
	lifetime   float64 // 0: the presented token's own
	maxSession float64
	header     string // canonical
	exposed    string // the names of what is added to a response when the token is in the header
}

// renewed is a token that another one was renewed to: one signature, however many requests ask for it.
type renewed struct {
	once       sync.Once
	at         float64
	isSigned   bool
	token      string   // empty: it could not be signed
	line       []string // the header's, with it
	exp        float64
	sessionEnd float64
}

// renewals are the renewed tokens of the last seconds, by the token that they replace.
type renewals struct {
	mu      sync.Mutex
	byToken map[string]*renewed
	queue   []string
}

const (
	renewalKept = 10 // seconds
	maxRenewals = 1000
	maxCookie   = 4096 // bytes of a Set-Cookie's name, value and attributes (RFC 6265bis 5.6)
)

// scheduleRenewal decides when a token is due for renewal. Only a token that our own key verified ever is,
// since whoever holds the key is who may say that the session goes on.
func scheduleRenewal(s *settings, e *entry, claims map[string]any) {
	if !e.key.own {
		return
	}
	lifetime := e.exp - e.iat
	if claims["iat"] == nil || lifetime <= 0 {
		return
	}
	e.authTime = e.iat
	if claim, there := claims["auth_time"]; there {
		authTime, isNumber := number(claim)
		if !isNumber || authTime > e.iat+s.leeway {
			return
		}
		e.authTime = authTime
	}
	before := s.renewal.before
	if s.renewal.share > 0 {
		before = s.renewal.share * lifetime
	}
	if before >= lifetime {
		before = lifetime / 2
	}
	// One that is accepted by leeway alone is not renewed yet.
	due := math.Max(e.exp-before, math.Max(e.iat, e.nbf))
	e.dueFrom = time.Duration(math.Ceil(math.Max(0, math.Min(due, farAway))*1000)) * time.Millisecond
}

// number reads a claim that is a finite number.
func number(claim any) (float64, bool) {
	if text, isExact := claim.(json.Number); isExact {
		value, err := text.Float64()
		return value, err == nil
	}
	value, isNumber := claim.(float64)
	return value, isNumber
}

// renewalOf returns what a token that is due was renewed to; nil if nothing: it is accepted by leeway alone, or would gain
// less than a tenth of its lifetime.
func renewalOf(s *settings, token string, e *entry, now float64) (r *renewed) {
	all := &s.memory.renewals
	all.mu.Lock()
	r = all.byToken[token]
	if r != nil {
		if !r.isSigned {
			r = nil
		}
	}
	all.mu.Unlock()
	if r != nil {
		if now >= r.at {
			if now < r.at+renewalKept {
				if now < e.exp {
					return r
				}
			}
		}
	}
	return makeRenewal(s, token, e, now)
}

// makeRenewal renews a token once for all who ask for it meanwhile.
func makeRenewal(s *settings, token string, e *entry, now float64) *renewed {
	if now >= e.exp {
		return nil
	}
	lifetime := s.renewal.lifetime
	if lifetime == 0 {
		lifetime = e.exp - e.iat
	}
	exp := math.Floor(math.Min(now+lifetime, e.authTime+s.renewal.maxSession))
	if exp-e.exp < lifetime/10 {
		return nil
	}
	r, isSigned := renewal(&s.memory.renewals, token, now)
	if !isSigned {
		signOnce(s, r, token, e, now, exp)
	}
	return r
}

// signOnce makes a renewed token: the first request signs, the others wait for it.
func signOnce(s *settings, r *renewed, presented string, e *entry, now, exp float64) {
	r.once.Do(func() {
		token, err := renewToken(currentRing(s.keys).signer, presented, e, now, exp)
		if err != nil {
			logError("a token was not renewed: %s", err.Error())
		}
		line := "Bearer " + token
		all := &s.memory.renewals
		all.mu.Lock()
		r.token, r.line, r.isSigned = line[len("Bearer "):], []string{line}, true // One text for both.
		r.exp, r.sessionEnd = exp, e.authTime+s.renewal.maxSession
		all.mu.Unlock()
	})
}

// renewal returns the renewal of a token that is under way or not older than ten seconds, or a new one, and
// whether it is signed already.
func renewal(all *renewals, token string, now float64) (*renewed, bool) {
	all.mu.Lock()
	r := all.byToken[token]
	// A request that read its clock before the first one did may come here after it.
	if r == nil || math.Abs(now-r.at) >= renewalKept {
		if r == nil {
			if len(all.queue) == maxRenewals {
				delete(all.byToken, all.queue[0])
				all.queue = append([]string{}, all.queue[1:]...)
			}
			all.queue = append(all.queue, token)
		}
		r = &renewed{at: now}
		all.byToken[token] = r
	}
	isSigned := r.isSigned
	all.mu.Unlock()
	return r, isSigned
}

// forgetRenewals forgets renewed tokens whose signer signs no more: it may be gone, and its tokens refused.
func forgetRenewals(all *renewals) {
	all.mu.Lock()
	all.byToken = map[string]*renewed{}
	all.queue = nil
	all.mu.Unlock()
}

// signerID tells the keys that sign apart; empty if none does.
func signerID(r *ring) string {
	if r == nil || r.signer == nil {
		return ""
	}
	return r.signer.id
}

// renewToken signs a token's claims again, byte for byte, but for iat, exp, jti and auth_time.
func renewToken(signer *key, token string, e *entry, now, exp float64) (string, error) {
	parts := strings.Split(token, ".")
	payload, err := b64.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("its payload cannot be read")
	}
	jti, err := newTokenID()
	if err != nil {
		return "", err
	}
	replaced := map[string]string{
		"iat": strconv.FormatInt(int64(now), 10),
		"exp": strconv.FormatInt(int64(exp), 10),
		"jti": `"` + jti + `"`,
	}
	var written strings.Builder
	hasAuthTime := false
	err = eachMember(payload, func(name string, member, value []byte) {
		if written.Len() > 0 {
			written.WriteString(",")
		}
		if text, ok := replaced[name]; ok {
			written.WriteString(`"` + name + `":` + text)
		} else {
			written.Write(member)
			written.WriteString(":")
			written.Write(value)
		}
		hasAuthTime = hasAuthTime || name == "auth_time"
	})
	if err != nil {
		return "", err
	}
	claims := "{" + written.String()
	if !hasAuthTime {
		claims += `,"auth_time":` + strconv.FormatInt(int64(e.authTime), 10)
	}
	signed, err := sign(signer, e.typ, claims+"}")
	return signed, err
}

// eachMember calls back with each member of a JSON object: its name, and its name and value as they are written.
func eachMember(object []byte, member func(name string, text, value []byte)) error {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		start := decoder.InputOffset()
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		text := bytes.Trim(object[start:decoder.InputOffset()], ", \t\r\n")
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		member(name.(string), text, value)
	}
	return nil
}

// newTokenID returns a fresh jti: 128 random bits.
func newTokenID() (string, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	return b64.EncodeToString(id), nil
}

// sign makes a token of a payload.
func sign(signer *key, typ, payload string) (string, error) {
	if signer == nil {
		return "", errors.New("there is no key that can sign")
	}
	header := map[string]string{"alg": signer.signAlg}
	if kid := keyID(signer); kid != "" {
		header["kid"] = kid
	}
	if typ != "" {
		header["typ"] = typ
	}
	text, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	alg := signer.signAlg
	if alg == "Ed25519" {
		alg = "EdDSA" // As golang-jwt calls it.
	}
	input := b64.EncodeToString(text) + "." + b64.EncodeToString([]byte(payload))
	signature, err := jwt.GetSigningMethod(alg).Sign(input, signer.private)
	if err != nil {
		return "", errors.New("signing failed")
	}
	token := input + "." + b64.EncodeToString(signature)
	if len(token) > maxTokenBytes {
		return "", errors.New("it would be longer than 8 KiB, and refused")
	}
	return token, nil
}

// deliver adds a token to the response's headers, by every way that it came: never a cookie's in a header that
// a script can read.
func deliver(s *settings, h http.Header, req *http.Request, p presented, r *renewed, now float64) {
	inHeader := p.header || p.form
	if r.token == "" || p.cookie && !deliverCookie(s, h, r.token, int(r.exp-now)) && !inHeader {
		return
	}
	exposed := exposedWithCookie
	if inHeader {
		h[s.renewal.header] = r.line
		exposed = s.renewal.exposed
	}
	announce(h, req, r, exposed, now)
}

// announce says in the response's headers how long a token and its session last, and lets scripts of another origin read
// what was added (Fetch 3.3.5).
func announce(h http.Header, req *http.Request, r *renewed, exposed string, now float64) {
	h["Token-Expires-In"] = []string{strconv.Itoa(int(r.exp - now))}
	h["Session-Expires-In"] = []string{strconv.Itoa(int(r.sessionEnd - now))}
	h["Cache-Control"] = noStore
	if req.Header["Origin"] != nil {
		h["Access-Control-Expose-Headers"] = append(h["Access-Control-Expose-Headers"], exposed)
	}
}

const exposedWithCookie = "Token-Expires-In, Session-Expires-In"

var noStore = []string{"no-store"}

// deliverCookie sets the cookie, and says whether a browser would keep it.
func deliverCookie(s *settings, h http.Header, token string, maxAge int) bool {
	line := cookieLine(s, token, maxAge)
	if len(line) > maxCookie {
		logError("a cookie of %d bytes was not set: browsers keep at most %d", len(line), maxCookie)
		return false
	}
	h["Set-Cookie"] = append(h["Set-Cookie"], line)
	h["Cdn-Cache-Control"] = noStore // A service's own would count before Cache-Control (RFC 9213 2.2).
	return true
}

// cookieLine writes the cookie under the configured attributes; an empty token clears it.
func cookieLine(s *settings, token string, maxAge int) string {
	c := s.config.Cookie
	cookie := &http.Cookie{
		Name: c.Name, Value: token, Path: c.Path, Domain: c.Domain, Secure: c.Secure, HttpOnly: c.HTTPOnly,
		SameSite: map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}[strings.ToLower(c.SameSite)],
	}
	if token == "" {
		cookie.MaxAge = -1 // Max-Age=0
	} else if !c.SessionOnly {
		cookie.MaxAge = maxAge
	}
	return cookie.String()
}
