package slidingjwt

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/claims"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/keysource"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The times of a token, to the instant: exp is the first at which it has expired, and leeway moves each of them.
func TestTimes(t *testing.T) {
	tests := []struct {
		exp, nbf, iat, leeway, now float64
		want                       *refusal
	}{
		{exp: 100, now: 99.999},
		{exp: 100, now: 100, want: refuseExpired},
		{exp: 100, leeway: 30, now: 129.999},
		{exp: 100, leeway: 30, now: 130, want: refuseExpired},
		{exp: 100.5, now: 100.4},
		{exp: 100.5, now: 100.5, want: refuseExpired},
		{exp: 200, nbf: 100, now: 100},
		{exp: 200, nbf: 100, now: 99.999, want: refuseNotYet},
		{exp: 200, nbf: 100, leeway: 30, now: 70},
		{exp: 200, nbf: 100, leeway: 30, now: 69.999, want: refuseNotYet},
		{exp: 200, iat: 100, now: 100},
		{exp: 200, iat: 100, now: 99.999, want: refuseIssuedLate},
		{exp: 200, iat: 100, leeway: 30, now: 70},
		{exp: 200, iat: 100, leeway: 30, now: 69.999, want: refuseIssuedLate},
		{exp: math.MaxFloat64, nbf: -math.MaxFloat64, iat: -math.MaxFloat64, now: 100},
		{exp: 1e18, nbf: 1e18, now: 4e9, want: refuseNotYet},
		{exp: -1, now: 100, want: refuseExpired},
	}
	for _, test := range tests {
		all := map[string]any{}
		for name, date := range map[string]float64{"exp": test.exp, "nbf": test.nbf, "iat": test.iat} {
			text, err := json.Marshal(date)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = json.Number(text)
		}
		v := &verified{}
		if got := readRegistered(v, all, seconds(test.now), seconds(test.leeway)); got != test.want {
			t.Errorf("%+v: got %v, want %v", test, got, test.want)
		}
		if got := compare(v.times, seconds(test.now), seconds(test.leeway)); got != test.want {
			t.Errorf("%+v, remembered: got %v, want %v", test, got, test.want)
		}
	}
}

// A token that is new meets the same clock as one that is remembered, and while it counts as valid for sure it is.
func FuzzValidity(f *testing.F) {
	f.Add("4e9", "0", "1e9", uint8(30), uint64(2e12), uint64(0))
	f.Add("2000100.5", "2000020.5", "2000020.25", uint8(1), uint64(2_000_050_001), uint64(50_999))
	f.Add("1.7e308", "-1.7e308", "-5", uint8(0), uint64(1000), uint64(1e12))
	f.Add("1e18", "1e10", "2", uint8(255), uint64(4e12), uint64(1))
	f.Add("1e18", "0", "0", uint8(0), uint64(4e12), uint64(1))
	f.Add("-1e300", "0", "0", uint8(0), uint64(0), uint64(0))
	f.Add("1800000000", "1800000030", "1800000030", uint8(30), uint64(18e11), uint64(29_999))
	instances := map[uint8]*instance{}
	f.Fuzz(func(t *testing.T, exp, nbf, iat string, leeway uint8, milliseconds, later uint64) {
		in := instances[leeway]
		if in == nil {
			in = newTestInstance(t, func(c *Config) {
				c.SigningSecret = minted.Secret
				c.Leeway = (time.Duration(leeway) * time.Second).String()
			})
			instances[leeway] = in
		}
		all, err := jose.StrictObject([]byte(`{"exp":` + exp + `,"nbf":` + nbf + `,"iat":` + iat + `}`))
		if err != nil || len(all) != 3 {
			return
		}
		dates := map[string]float64{}
		for name, claim := range all {
			number, isNumber := claim.(json.Number)
			date, err := number.Float64()
			if !isNumber || err != nil {
				return
			}
			dates[name] = date
		}
		token := minted.Written(`{"alg":"HS256"}`, `{"exp":`+exp+`,"nbf":`+nbf+`,"iat":`+iat+`}`)
		if len(token) > jose.MaxTokenBytes {
			return
		}
		// From 1970's second week to the year 2128: no clock shows another time.
		at := time.Duration(1e9+milliseconds%5_000_000_000_000) * time.Millisecond
		then := at + time.Duration(later%1_000_000_000)*time.Millisecond
		v, r := judge(in, bearerPrefix+token, at)
		for _, moment := range []time.Duration{at, then} {
			got := r
			if moment == then {
				_, got = judge(in, bearerPrefix+token, then) // Remembered, if it was accepted.
			}
			if want, isSure := expected(dates, moment.Seconds(), float64(leeway)); isSure && got != want {
				t.Errorf("%v at %s: got %v, want %v", dates, moment, got, want)
			}
		}
		if r != nil {
			return
		}
		for _, moment := range []time.Duration{at, then, v.since, v.until - 1} {
			if moment >= v.since && moment < v.until && compare(v.times, moment, in.settings.leeway) != nil {
				t.Errorf("%v: it counts as valid at %s, and is not", dates, moment)
			}
		}
		if v.until <= at-time.Second || v.since > at {
			t.Errorf("%v at %s: got it valid from %s to %s", dates, at, v.since, v.until)
		}
	})
}

// expected is why a token with these dates is refused, by plain floats; it is sure but at a microsecond around each limit.
func expected(dates map[string]float64, now, leeway float64) (want *refusal, isSure bool) {
	limits := []struct {
		at      float64
		refused bool
		by      *refusal
	}{
		{dates["exp"] + leeway, now >= dates["exp"]+leeway, refuseExpired},
		{dates["nbf"] - leeway, now < dates["nbf"]-leeway, refuseNotYet},
		{dates["iat"] - leeway, now < dates["iat"]-leeway, refuseIssuedLate},
	}
	for _, limit := range limits {
		if math.Abs(limit.at-now) < 2e-6 {
			return nil, false
		}
	}
	for _, limit := range limits {
		if limit.refused {
			return limit.by, true
		}
	}
	return nil, true
}

// Claims are accepted only if they are strict JSON, and give the same headers whichever way they are read.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		`"a":"b"`, `"a":1.0`, `"a":1e400`, `"a":["b","c"]`, `"a":["b",1]`, `"a":["b,c"]`, `"a":[]`, `"a":{"b":"c"}`, `"a":{"b":12345678901234567890}`, `"a":null`, `"a":true`, `"a":" b"`, `"a":"b "`, `"a": "b"`, `"a" :"b"`,
		`"a":1,"a":1`, `"a" :1,"a":1`, `"a":{"b":1,"b":1}`, `"a":":","a":1`, `":":":"`, `"a":"\u0000"`, "\"a\":\"\u0085\"", "\"a\":\"\xff\"", "\"a\":\"\ufffd\"", "\"a\"\t:1,\"a\":1", `"a":"<"`, `"exp":1`, `"a":1}{"b":1`, `"a":"` + strings.Repeat("b", 5000) + `"`,
		`"a":["` + strings.Repeat("b", 2000) + `","` + strings.Repeat("b", 2000) + `"]`, `"a":[` + strings.Repeat(`"b",`, 300) + `1]`, `"a":""`, `"a":["b "]`, `"a":"` + strings.Repeat("é", 1000) + `"`,
	} {
		f.Add(text)
	}
	forwarded := map[string]string{"X-A": "a", "X-Deep": "a.b", "X-Exp": "exp", "X-Colon": ":", "X-Json": "a | json", "X-Base64": "a | base64url"}
	in := newTestInstance(f, func(c *Config) {
		c.SigningSecret = minted.Secret
		c.ForwardHeaders = forwarded
	})
	lookAtKeys(in, time.Second)
	f.Fuzz(func(t *testing.T, members string) {
		payload := []byte(`{` + members + `,"exp":4000000000}`)
		token := minted.Written(`{"alg":"HS256"}`, string(payload))
		if len(token) > jose.MaxTokenBytes {
			return
		}
		v, _, r := verify(in, token, time.Second)
		want, err := jose.StrictObject(payload)
		isStrict := err == nil
		if isStrict && r == refuseMalformed || !isStrict && r == nil {
			t.Fatalf("%q: got %v, strict: %t", payload, r, isStrict)
		}
		if r != nil {
			return
		}
		got, exact := map[string]string{}, map[string]string{}
		for _, h := range v.headers {
			got[h.name] = h.values[0]
		}
		for name, form := range forwarded {
			path, format := claims.ParseForm(form)
			if text, ok := claims.Formatted(claims.In(path, want), format); ok && text != "" && isSendable(text) {
				exact[name] = text
			}
		}
		if !maps.Equal(got, exact) {
			t.Errorf("%q: got %v, want %v", payload, got, exact)
		}
	})
}

// A token is due for renewal from the configured time before it ends, and never before it was issued.
func FuzzDue(f *testing.F) {
	f.Add(int64(1e18+100e9), int64(1e18), int64(50e9), 0.0)
	f.Add(int64(1e18+100e9+1), int64(1e18), int64(0), 0.37)
	f.Add(int64(farAway), int64(0), int64(50e9), 0.99)
	f.Add(int64(farAway), int64(2e9), int64(farAway), 0.0)
	f.Add(int64(10), int64(9), int64(1), 0.01)
	f.Add(int64(10), int64(10), int64(1), 0.0)
	in := newTestInstance(f, func(c *Config) {
		c.SigningSecret = minted.Secret
		c.Renew.Before = "1s"
	})
	signer := keysource.Current(in.own).Signer
	f.Fuzz(func(t *testing.T, expires, issuedAt, before int64, share float64) {
		if expires < 0 || expires > int64(farAway) || issuedAt < 0 || issuedAt > int64(farAway) || before < 0 || before > int64(farAway) || !(share >= 0 && share < 1) || (before > 0) == (share > 0) {
			return
		}
		s := *in.settings
		s.renewal.before, s.renewal.share, s.renewal.maxSession = time.Duration(before), share, farAway
		at := &instance{settings: &s}
		v := &verified{times: times{expires: time.Duration(expires), issuedAt: time.Duration(issuedAt)}, renewAt: farAway, key: signer}
		scheduleRenewal(at, v, map[string]any{"iat": json.Number("0")})
		lifetime := expires - issuedAt
		if lifetime <= 0 {
			if v.renewAt != farAway {
				t.Errorf("without a lifetime: got it due at %s, want never", v.renewAt)
			}
			return
		}
		if share > 0 {
			before = int64(share * float64(lifetime))
		}
		if before >= lifetime {
			before = lifetime / 2
		}
		if want := time.Duration(expires - before); v.renewAt != want || v.renewAt < v.times.issuedAt || v.renewAt > v.times.expires {
			t.Errorf("from %d to %d, before %d, share %f: got it due at %s, want %s", issuedAt, expires, before, share, v.renewAt, want)
		}
	})
}

// A key that left the set counts no more from the next refresh on, for remembered tokens as well.
func TestWithdrawnKey(t *testing.T) {
	first, second := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	server := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "a", first)))
	in := newTestInstance(t, func(c *Config) { c.JWKSURL = server.URL })
	start := time.Since(epoch)
	token := minted.Signed(t, first, minted.Claims{"alg": "ES256", "kid": "a"}, minted.Claims{"sub": "ada", "exp": time.Now().Unix() + 7200})
	accept(t, in, token, start)
	without := minted.Says(minted.JWKSet(t, minted.NamedJWK(t, "b", second)))
	server.Answer(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Cache-Control", "max-age=3600")
		without(rw, req)
	})
	in.memory.callForLook()
	accept(t, in, token, start+5*time.Minute)
	server.WantFetches(t, 1)
	const later = 11 * time.Minute // than the ten after which a refresh is due
	in.memory.callForLook()
	accept(t, in, token, start+later) // It starts the refresh, and does not wait for it.
	var r *refusal
	for range 1000 {
		in.memory.callForLook()
		if _, r = judge(in, bearerPrefix+token, start+later); r != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if r != refuseUnknownKey {
		t.Errorf("after the refresh: got %v, want %s", r, refuseUnknownKey.code)
	}
	server.WantFetches(t, 3) // The last is for its kid, which is unknown now.
}
