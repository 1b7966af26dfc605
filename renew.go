package slidingjwt

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// renewal is the renewed token for one presented token: signed once, however many requests ask for it.
type renewal struct {
	once       sync.Once
	at         time.Duration
	isSigned   bool
	token      string   // empty: it could not be signed
	line       []string // the response header's value with the token
	expires    time.Duration
	sessionEnd time.Duration
}

// renewals are the renewals of the last ten seconds, by the token that they replace.
type renewals struct {
	mu      sync.Mutex
	byToken map[string]*renewal
	queue   []string
}

const (
	renewalKept = 10 * time.Second
	maxRenewals = 1000
)

func newRenewals() *renewals { return &renewals{byToken: map[string]*renewal{}} }

// scheduleRenewal decides when a token is due for renewal. Only a token that was verified with one of the operator's own keys
// ever is: only those who hold the key may prolong a session.
func scheduleRenewal(in *instance, v *verified, all map[string]any) {
	s := in.settings
	if !v.key.IsOwn {
		return
	}
	lifetime := v.times.expires - v.times.issuedAt
	if all["iat"] == nil || lifetime <= 0 {
		return
	}
	if lifetime > s.renewal.maxSession {
		in.outliving.Do(func() {
			logline.Warning("a token of your own key lives for %s, longer than renew.maxSession (%s): it is neither shortened nor renewed", lifetime, s.renewal.maxSession)
		})
	}
	v.authTime = v.times.issuedAt
	if claim, there := all["auth_time"]; there {
		seconds, isNumber := claims.Number(claim)
		authTime := time.Duration(math.Max(0, math.Min(seconds, farSeconds)) * 1e9)
		if !isNumber || authTime > v.times.issuedAt+s.leeway {
			return
		}
		v.authTime = authTime
	}
	before := s.renewal.before
	if s.renewal.share > 0 {
		before = time.Duration(s.renewal.share * float64(lifetime))
	}
	if before >= lifetime {
		before = lifetime / 2
	}
	// Not while it is accepted only thanks to the leeway.
	v.renewAt = later(v.times.expires-before, later(v.times.issuedAt, v.times.notBefore))
}

// renew returns the renewal of a token that is due. It is nil if there is none: because the token is accepted only thanks to the
// leeway, would gain less than a tenth of its lifetime, or could not be signed, or nobody has confirmed its session. A token whose
// session is over is refused. The first request asks and signs; others wait for it.
func renew(in *instance, token string, v *verified, now time.Duration) (*renewal, *refusal) {
	r := in.renewals.held(token, now)
	if r != nil && now < v.times.expires {
		return r, nil
	}
	s := in.settings
	expires := renewedExpiry(s, v, now)
	if now >= v.times.expires || expires == 0 {
		return nil, nil
	}
	granted := ""
	if in.confirmations != nil {
		c := confirm(in.confirmations, token)
		if c.verdict == isOver {
			judgeAlways(in.memory, s.prefix+token)
			return nil, refuseEnded
		}
		granted = c.claims
		now = time.Since(epoch) // The answer may have taken a while.
		expires = renewedExpiry(s, v, now)
		if c.verdict == notNow || expires == 0 {
			return nil, nil
		}
	}
	sessionEnd := v.authTime + s.renewal.maxSession
	r = in.renewals.begin(token, now)
	r.once.Do(func() {
		signed, err := signRenewed(keysource.Current(in.own).Signer, token, granted, v, now, expires)
		if err == nil && granted != "" {
			err = checkGranted(in, signed, now)
		}
		if err != nil {
			signed = ""
			reportUnsigned(in, granted, err)
		}
		line := s.renewal.prefix + signed
		in.renewals.mu.Lock()
		r.token = line[len(s.renewal.prefix):] // Shares the line's memory.
		r.line = []string{line}
		r.expires = expires
		r.sessionEnd = sessionEnd
		r.isSigned = true
		in.renewals.mu.Unlock()
	})
	if r.token == "" {
		return nil, nil
	}
	// To confirm and to sign take a while: a token that was revoked meanwhile, by its jti say, has no successor.
	if in.revocations != nil {
		revoked := checkRevoked(in, v, now)
		if revoked != nil {
			return nil, revoked
		}
	}
	return r, nil
}

// reportUnsigned logs why a token was not renewed: that of answered claims as often as that there is no answer.
func reportUnsigned(in *instance, granted string, err error) {
	if granted != "" && !errors.Is(err, errNoSigner) {
		report(in.confirmations, fmt.Errorf("the token with the claims of the answer: %w", err))
		return
	}
	logline.Error("a token was not renewed: %s", err.Error())
}

// renewedExpiry is the exp of a token that is renewed now; 0 if that would gain less than a tenth of its lifetime.
func renewedExpiry(s *settings, v *verified, now time.Duration) time.Duration {
	lifetime := s.renewal.lifetime
	if lifetime == 0 {
		lifetime = v.times.expires - v.times.issuedAt
	}
	sessionEnd := v.authTime + s.renewal.maxSession
	expires := now + lifetime
	if sessionEnd < expires {
		expires = sessionEnd
	}
	expires = expires.Truncate(time.Second)
	if expires-v.times.expires < lifetime/10 {
		return 0
	}
	return expires
}

// held returns the renewal of a token if it is signed and not older than ten seconds; nil if there is none.
func (all *renewals) held(token string, now time.Duration) *renewal {
	all.mu.Lock()
	r := all.byToken[token]
	isHeld := false
	if r != nil {
		isHeld = r.isSigned && r.token != "" && now >= r.at && now < r.at+renewalKept
	}
	all.mu.Unlock()
	if !isHeld {
		return nil
	}
	return r
}

// begin returns the renewal of a token that is under way or at most ten seconds old, or begins a new one.
func (all *renewals) begin(token string, now time.Duration) *renewal {
	all.mu.Lock()
	r := all.byToken[token]
	// The renewal may be younger than now: its request may have read the clock after this one.
	if r == nil || now-r.at >= renewalKept || r.at-now >= renewalKept {
		if r == nil {
			if len(all.queue) == maxRenewals {
				delete(all.byToken, all.queue[0])
				all.queue = append([]string{}, all.queue[1:]...)
			}
			all.queue = append(all.queue, token)
		}
		r = &renewal{at: now}
		all.byToken[token] = r
	}
	all.mu.Unlock()
	return r
}

// forget drops all renewals, when another key signs from now on: the former key may be gone, and its tokens refused.
func (all *renewals) forget() {
	all.mu.Lock()
	all.byToken = map[string]*renewal{}
	all.queue = nil
	all.mu.Unlock()
}

// signRenewed signs a token's claims again, or those that were granted in their place. They stay the same byte for byte, except iat,
// exp and jti, and auth_time and sid, which are added.
func signRenewed(signer *jose.Key, token, granted string, v *verified, now, expires time.Duration) (string, error) {
	if signer == nil {
		return "", errNoSigner
	}
	payload, err := payloadOf(token)
	if err != nil {
		return "", err
	}
	if granted != "" {
		payload = []byte(granted)
	}
	jti, err := newTokenID()
	if err != nil {
		return "", err
	}
	sid, err := newTokenID()
	if err != nil {
		return "", err
	}
	replaced := map[string]string{
		"iat": wholeSeconds(now),
		"exp": wholeSeconds(expires),
		"jti": `"` + jti + `"`,
	}
	added := map[string]string{"auth_time": wholeSeconds(v.authTime), "sid": `"` + sid + `"`}
	renewed, err := replaceMembers(payload, replaced, added)
	if err != nil {
		return "", err
	}
	if v.key.ID == signer.ID {
		signed, err := signer.SignAgain(token[:strings.IndexByte(token, '.')], renewed)
		return signed, err
	}
	signed, err := signer.Sign(v.typ, renewed)
	return signed, err
}

var errNoSigner = errors.New("there is no key that can sign")

// payloadOf decodes the claims of a token that was verified.
func payloadOf(token string) ([]byte, error) {
	payload, err := jose.Base64.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, errors.New("its payload cannot be read")
	}
	return payload, nil
}

func wholeSeconds(at time.Duration) string { return strconv.FormatInt(int64(at/time.Second), 10) }

// member is one of a JSON object's, its key and value as they are written.
type member struct{ name, key, value string }

// members reads the members of a JSON object, in their order.
func members(object []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	all := []member{}
	for decoder.More() {
		start := decoder.InputOffset()
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		key := string(bytes.Trim(object[start:decoder.InputOffset()], ", \t\r\n"))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		all = append(all, member{name: name, key: key, value: string(value)})
	}
	return all, nil
}

// replaceMembers writes a JSON object again, byte for byte, but for the members that are replaced where they are there, and
// those that are added where they are not, or null. Both are JSON texts.
func replaceMembers(object []byte, replaced, added map[string]string) (string, error) {
	all, err := members(object)
	if err != nil {
		return "", err
	}
	written := []string{}
	missing := map[string]string{}
	for name, text := range added {
		missing[name] = text
	}
	for _, m := range all {
		other, isReplaced := replaced[m.name]
		if !isReplaced && m.value == "null" {
			other, isReplaced = added[m.name]
		}
		if isReplaced {
			written = append(written, `"`+m.name+`":`+other)
		} else {
			written = append(written, m.key+":"+m.value)
		}
		delete(missing, m.name)
	}
	names := []string{}
	for name := range missing {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		written = append(written, `"`+name+`":`+missing[name])
	}
	return "{" + strings.Join(written, ",") + "}", nil
}

const idBytes = 16 // of a jti or sid

// newTokenID makes a jti or sid: 128 random bits.
func newTokenID() (string, error) {
	id := make([]byte, idBytes)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	return jose.Base64.EncodeToString(id), nil
}

// deliver adds a renewed token to the response's headers, in every way that the presented one came. A token from a cookie alone goes into
// no header that scripts can read. A cookie that browsers would drop is not set.
func deliver(s *settings, h http.Header, req *http.Request, c credential, r *renewal, now time.Duration) {
	now = later(now, r.at) // A request that waited for an answer has an older clock.
	inHeader := c.inHeader || c.inForm
	isSet := c.inCookie && setCookie(s, h, r, now)
	if !isSet && !inHeader {
		return
	}
	exposed := exposedWithCookie
	if inHeader {
		h[s.renewal.header] = r.line
		exposed = s.renewal.exposed
	}
	announce(h, req, r, exposed, now)
}

// announce says in the response's headers how long a token and its session last, and lets scripts of other origins read the added
// headers (Fetch 3.3.5).
func announce(h http.Header, req *http.Request, r *renewal, exposed string, now time.Duration) {
	h["Token-Expires-In"] = []string{wholeSeconds(r.expires - now)}
	h["Session-Expires-In"] = []string{wholeSeconds(r.sessionEnd - now)}
	h["Cache-Control"] = noStore
	if req.Header["Origin"] != nil {
		h["Access-Control-Expose-Headers"] = append(h["Access-Control-Expose-Headers"], exposed)
	}
}

const exposedWithCookie = "Token-Expires-In, Session-Expires-In"

var noStore = []string{"no-store"}
