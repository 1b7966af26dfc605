package slidingjwt_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestRenewalIsDue(t *testing.T) {
	const never = 0
	type renew = map[string]any
	// Times are seconds from now.
	tests := []struct {
		name   string
		renew  renew
		iat    int64
		exp    int64
		claims claims
		want   float64 // the renewed token's exp
	}{
		{"before 10m, at 9m", renew{"before": "10m"}, -3060, 540, nil, 3600},
		{"before 10m, at 11m", renew{"before": "10m"}, -2940, 660, nil, never},
		{"before 600, at 9m", renew{"before": "600"}, -3060, 540, nil, 3600},
		{"before 600, at 11m", renew{"before": "600"}, -2940, 660, nil, never},
		{"before 50%, at 48%", renew{"before": "50%"}, -1880, 1720, nil, 3600},
		{"before 50%, at 52%", renew{"before": "50%"}, -1720, 1880, nil, never},
		{"before 1%, at 0.9%", renew{"before": "1%"}, -35680, 320, nil, 36000},
		{"before 1%, at 1.1%", renew{"before": "1%"}, -35600, 400, nil, never},
		{"before 99%, at 85%", renew{"before": "99%"}, -5400, 30600, nil, 36000},
		{"before the whole lifetime, at 48%", renew{"before": "1h"}, -1880, 1720, nil, 3600},
		{"before the whole lifetime, at 52%", renew{"before": "1h"}, -1720, 1880, nil, never},
		{"before more than the lifetime, at 48%", renew{"before": "23h"}, -1880, 1720, nil, 3600},
		{"before more than the lifetime, at 52%", renew{"before": "23h"}, -1720, 1880, nil, never},
		{"before almost the lifetime", renew{"before": "59m"}, -500, 3100, nil, 3600},

		{"accepted by leeway alone", renew{"before": "10m"}, -3610, -5, nil, never},
		{"issued later than now, by leeway", renew{"before": "99%"}, 25, 600, nil, never},
		{"not valid yet, by leeway", renew{"before": "10m"}, -3060, 540, claims{"nbf": 25}, never},
		{"valid since just now", renew{"before": "10m"}, -3060, 540, claims{"nbf": -10}, 3600},
		{"without iat", renew{"before": "10m"}, 0, 540, claims{"iat": nil}, never},
		{"iat after exp", renew{"before": "10m"}, 20, 10, nil, never},

		{"auth_time long ago", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -50000}, 3600},
		{"auth_time as iat", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -3060}, 3600},
		{"auth_time after iat, by leeway", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -3035}, 3600},
		{"auth_time after iat", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -3000}, never},
		{"auth_time later than now", renew{"before": "10m"}, -3060, 540, claims{"auth_time": 5000}, never},
		{"auth_time a string", renew{"before": "10m"}, -3060, 540, claims{"auth_time": "1700000000"}, never},
		{"auth_time a string, beside an escape", renew{"before": "10m"}, -3060, 540, claims{"auth_time": "1700000000", "other": rawJSON(`"\u0041"`)}, never},
		{"auth_time beside an escape", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -50000, "other": rawJSON(`"\u0041"`)}, 3600},
		{"auth_time after iat, beside an escape", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -3000, "other": rawJSON(`"\u0041"`)}, never},
		{"auth_time null", renew{"before": "10m"}, -3060, 540, claims{"auth_time": rawJSON("null")}, never},
		{"auth_time true", renew{"before": "10m"}, -3060, 540, claims{"auth_time": true}, never},
		{"auth_time a list", renew{"before": "10m"}, -3060, 540, claims{"auth_time": []int{1}}, never},
		{"auth_time beyond a float", renew{"before": "10m"}, -3060, 540, claims{"auth_time": rawJSON("1e400")}, never},
		{"auth_time minus beyond a float", renew{"before": "10m"}, -3060, 540, claims{"auth_time": rawJSON("-1e400")}, never},
		{"auth_time zero", renew{"before": "10m"}, -3060, 540, claims{"auth_time": rawJSON("0")}, never},
		{"auth_time before 1970", renew{"before": "10m"}, -3060, 540, claims{"auth_time": rawJSON("-1e300")}, never},

		{"the session ends before the token's next end", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -86400 + 2000}, 2000},
		{"the session ends soon after the token", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -86400 + 880}, never},
		{"the session ends a little later", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -86400 + 920}, 920},
		{"the session ends with the token", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -86400 + 540}, never},
		{"the session has ended", renew{"before": "10m"}, -3060, 540, claims{"auth_time": -86400 - 1}, never},
		{"maxSession 2h from iat", renew{"before": "10m", "maxSession": "2h"}, -3060, 540, nil, 3600},
		{"maxSession 70m from iat", renew{"before": "10m", "maxSession": "70m"}, -3060, 540, nil, 1140},
		{"maxSession 64m from iat", renew{"before": "10m", "maxSession": "64m"}, -3060, 540, nil, never},
		{"maxSession 70m from auth_time", renew{"before": "10m", "maxSession": "70m"}, -3060, 540, claims{"auth_time": -3200}, 1000},
		{"maxSession 30d", renew{"before": "10m", "maxSession": "720h"}, -3060, 540, claims{"auth_time": -86400 * 20}, 3600},

		{"a tenth is gained", renew{"before": "99%"}, -390, 3210, nil, 3600},
		{"less than a tenth would be gained", renew{"before": "99%"}, -330, 3270, nil, never},
		{"another lifetime", renew{"before": "10m", "lifetime": "2h"}, -3060, 540, nil, 7200},
		{"a lifetime in seconds", renew{"before": "10m", "lifetime": "1000"}, -3060, 540, nil, 1000},
		{"a shorter lifetime than what remains", renew{"before": "10m", "lifetime": "5m"}, -3060, 540, nil, never},
		{"a tenth of another lifetime", renew{"before": "10m", "lifetime": "630s"}, -3060, 540, nil, 630},
		{"less than a tenth of another lifetime", renew{"before": "10m", "lifetime": "570s"}, -3060, 540, nil, never},
		{"fractions", renew{"before": "10m"}, 0, 0, claims{"iat": rawJSON("NOW-3060.25"), "exp": rawJSON("NOW+539.75")}, 3600},

		{"off", nil, -3060, 540, nil, never},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "renew": test.renew})
				now := time.Now().Unix()
				all := claims{"sub": "ada", "iat": now + test.iat, "exp": now + test.exp}.With(test.claims)
				for name, claim := range test.claims {
					switch value := claim.(type) {
					case int:
						all[name] = now + int64(value)
					case rawJSON:
						all[name] = value.at(now)
					}
				}
				text := minted.Token(t, all)
				for range [2]int{} {
					rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(text), nil)
					if rec.Code != 200 {
						t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
					}
					renewed := renewedToken(rec)
					if renewed == "" || test.want == never {
						if renewed != "" || test.want != never {
							t.Errorf("got %q, want a renewed token: %t", renewed, test.want != never)
						}
						if got := rec.Result().Header; renewed == "" && len(got) != 1 {
							t.Errorf("got the headers %v, want the service's Content-Type only", got)
						}
						continue
					}
					got := minted.Payload(t, renewed)
					if exp := got["exp"].(float64) - float64(now); !near(exp, test.want) {
						t.Errorf("exp: got now%+g, want now%+g", exp, test.want)
					}
					if iat := got["iat"].(float64) - float64(now); !near(iat, 0) {
						t.Errorf("iat: got now%+g, want now", iat)
					}
					if again := bothways.Send(t, handler, "GET", "/", bothways.Bearer(renewed), nil); again.Code != 200 || renewedToken(again) != "" {
						t.Errorf("the renewed token: got %d and %q, want 200 and no renewal", again.Code, renewedToken(again))
					}
				}
			})
		}
	})
}

// rawJSON is a number as it is written; NOW-x and NOW+x are relative.
type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func (r rawJSON) at(now int64) rawJSON {
	offset, isRelative := strings.CutPrefix(string(r), "NOW")
	if !isRelative {
		return r
	}
	seconds, err := strconv.ParseFloat(offset, 64)
	if err != nil {
		return r
	}
	return rawJSON(strconv.FormatFloat(float64(now)+seconds, 'f', -1, 64))
}

// A renewed token has the same claims, byte for byte, but for those that renewal changes.
func TestRenewedClaims(t *testing.T) {
	// OLD and SOON are the presented token's iat and exp; NOW, NEW and ID are what the renewed one has, each ID a new one.
	tests := []struct{ name, payload, want string }{
		{"the least", `{"iat":OLD,"exp":SOON}`, `{"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"another order", `{"exp":SOON,"sub":"ada","iat":OLD}`, `{"exp":NEW,"sub":"ada","iat":NOW,"auth_time":OLD,"sid":"ID"}`},
		{"auth_time stays", `{"auth_time":OLD,"exp":SOON,"iat":OLD}`, `{"auth_time":OLD,"exp":NEW,"iat":NOW,"sid":"ID"}`},
		{"auth_time as it is written", `{"exp":SOON,"auth_time":OLD.0,"iat":OLD}`, `{"exp":NEW,"auth_time":OLD.0,"iat":NOW,"sid":"ID"}`},
		{"sid stays", `{"sid":"a","exp":SOON,"iat":OLD}`, `{"sid":"a","exp":NEW,"iat":NOW,"auth_time":OLD}`},
		{"sid of another type stays", `{"sid":[1],"exp":SOON,"iat":OLD}`, `{"sid":[1],"exp":NEW,"iat":NOW,"auth_time":OLD}`},
		{"an escaped name of sid", `{"s\u0069d":"a","exp":SOON,"iat":OLD}`, `{"s\u0069d":"a","exp":NEW,"iat":NOW,"auth_time":OLD}`},
		{"sid null is absent", `{"sid":null,"exp":SOON,"iat":OLD}`, `{"sid":"ID","exp":NEW,"iat":NOW,"auth_time":OLD}`},
		{"jti is new", `{"jti":"a","exp":SOON,"iat":OLD}`, `{"jti":"ID","exp":NEW,"iat":NOW,"auth_time":OLD,"sid":"ID"}`},
		{"empty jti", `{"exp":SOON,"jti":"","iat":OLD}`, `{"exp":NEW,"jti":"ID","iat":NOW,"auth_time":OLD,"sid":"ID"}`},
		{"nbf stays", `{"nbf":OLD,"iat":OLD,"exp":SOON}`, `{"nbf":OLD,"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"iss, sub and aud", `{"iss":"https://a.example/","sub":"ada","aud":["x","y"],"iat":OLD,"exp":SOON}`, `{"iss":"https://a.example/","sub":"ada","aud":["x","y"],"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"escapes", `{"a":"\u0041\/\"\\\b\f\n\r\t","b":"\ud83d\ude00","iat":OLD,"exp":SOON}`, `{"a":"\u0041\/\"\\\b\f\n\r\t","b":"\ud83d\ude00","iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"an escaped name", `{"s\u0075b":"ada","iat":OLD,"exp":SOON}`, `{"s\u0075b":"ada","iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"escaped names of what is replaced", `{"i\u0061t":OLD,"\u0065xp":SOON,"jt\u0069":"x"}`, `{"iat":NOW,"exp":NEW,"jti":"ID","auth_time":OLD,"sid":"ID"}`},
		{"an escaped name of auth_time", `{"auth\u005ftime":OLD,"iat":OLD,"exp":SOON}`, `{"auth\u005ftime":OLD,"iat":NOW,"exp":NEW,"sid":"ID"}`},
		{"names that differ in case", `{"IAT":1,"Exp":2,"JTI":"x","Auth_Time":3,"iat":OLD,"exp":SOON}`, `{"IAT":1,"Exp":2,"JTI":"x","Auth_Time":3,"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"the same names deeper", `{"a":{"iat":1,"exp":2,"jti":"x","auth_time":3},"iat":OLD,"exp":SOON}`, `{"a":{"iat":1,"exp":2,"jti":"x","auth_time":3},"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"the same names as values", `{"a":"iat","b":["exp","jti"],"iat":OLD,"exp":SOON}`, `{"a":"iat","b":["exp","jti"],"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"numbers", `{"a":1.0,"b":1E+2,"c":-0,"d":9007199254740993,"e":1e400,"f":0.10,"iat":OLD,"exp":SOON}`, `{"a":1.0,"b":1E+2,"c":-0,"d":9007199254740993,"e":1e400,"f":0.10,"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"white space in values", `{"a":{ "x" : [ 1 ,	2 ] },"b":[ ],"iat":OLD,"exp":SOON}`, `{"a":{ "x" : [ 1 ,	2 ] },"b":[ ],"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"white space between members", "{ \"a\" : \"x , y\" ,\r\n\t\"iat\" : OLD , \"exp\" : SOON\n}", `{"a":"x , y","iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"what HTML knows", `{"a":"<>&'","b<>&":"` + "\u2028\u2029" + `","iat":OLD,"exp":SOON}`, `{"a":"<>&'","b<>&":"` + "\u2028\u2029" + `","iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"beyond ASCII", `{"größe":"é😀` + "\ufffd\u0085" + `","iat":OLD,"exp":SOON}`, `{"größe":"é😀` + "\ufffd\u0085" + `","iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"an empty name", `{"":"x"," ":"y",",":"z","iat":OLD,"exp":SOON}`, `{"":"x"," ":"y",",":"z","iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"literals", `{"a":null,"b":true,"c":false,"d":{},"iat":OLD,"exp":SOON}`, `{"a":null,"b":true,"c":false,"d":{},"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
		{"times as they are written", `{"iat":OLD.000,"exp":SOON.0}`, `{"iat":NOW,"exp":NEW,"auth_time":OLD,"sid":"ID"}`},
	}
	numbers := regexp.MustCompile(`"(iat|exp)":([0-9]+)`)
	id := regexp.MustCompile(`"(jti|sid)":"([A-Za-z0-9_-]{22})"`)
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "10m"}})
		ids := map[string]bool{}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				now := time.Now().Unix()
				times := strings.NewReplacer("OLD", fmt.Sprint(now-3500), "SOON", fmt.Sprint(now+100))
				rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(withPayload(t, times.Replace(test.payload))), nil)
				renewed := renewedToken(rec)
				if rec.Code != 200 || renewed == "" {
					t.Fatalf("got %d %s and %q, want 200 and a renewed token", rec.Code, rec.Body, renewed)
				}
				text, err := base64.RawURLEncoding.DecodeString(strings.Split(renewed, ".")[1])
				if err != nil {
					t.Fatal(err)
				}
				for _, found := range id.FindAllSubmatch(text, -1) {
					if ids[string(found[2])] {
						t.Errorf("got the %s %s again, want a new one", found[1], found[2])
					}
					ids[string(found[2])] = true
				}
				got := id.ReplaceAllString(string(text), `"$1":"ID"`)
				got = numbers.ReplaceAllStringFunc(got, func(member string) string {
					found := numbers.FindStringSubmatch(member)
					seconds, _ := strconv.ParseFloat(found[2], 64)
					switch {
					case found[1] == "iat" && near(seconds-float64(now), 0):
						return `"iat":NOW`
					case found[1] == "exp" && near(seconds-float64(now), 3600):
						return `"exp":NEW`
					}
					return member
				})
				if want := times.Replace(test.want); got != want {
					t.Errorf("got\n%s, want\n%s", got, want)
				}
				if again := bothways.Send(t, handler, "GET", "/", bothways.Bearer(renewed), nil); again.Code != 200 {
					t.Errorf("the renewed token: got %d %s, want 200", again.Code, again.Body)
				}
			})
		}
	})
}

// A renewed token has the same header, as it was written.
func TestRenewedType(t *testing.T) {
	tests := []struct{ tokenType, jose, want string }{
		{"", `{"alg":"HS256"}`, `{"alg":"HS256"}`},
		{"", `{"alg":"HS256","typ":"JWT"}`, `{"alg":"HS256","typ":"JWT"}`},
		{"", `{"typ":"jwt","alg":"HS256"}`, `{"typ":"jwt","alg":"HS256"}`},
		{"", `{"alg":"HS256","typ":"at+jwt"}`, `{"alg":"HS256","typ":"at+jwt"}`},
		{"", `{"alg":"HS256","typ":"application/AT+JWT"}`, `{"alg":"HS256","typ":"application/AT+JWT"}`},
		{"session+jwt", `{"alg":"HS256","typ":"Session+JWT"}`, `{"alg":"HS256","typ":"Session+JWT"}`},
		{"", `{"alg":"HS384","typ":"JWT","kid":"theirs","jku":"https://evil.example","cty":"JWT"}`, `{"alg":"HS384","cty":"JWT","jku":"https://evil.example","kid":"theirs","typ":"JWT"}`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "tokenType": optional(test.tokenType), "renew": map[string]any{"before": "99%"}})
			text := minted.HS256(minted.Base64(test.jose) + "." + minted.Segment(t, minted.Due()))
			if strings.Contains(test.jose, "HS384") {
				text = minted.Signed(t, []byte(minted.Secret), claims{"alg": "HS384", "typ": "JWT", "kid": "theirs", "jku": "https://evil.example", "cty": "JWT"}, minted.Due())
			}
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(text), nil)
			got, err := base64.RawURLEncoding.DecodeString(strings.Split(renewedToken(rec), ".")[0])
			if err != nil || string(got) != test.want {
				t.Errorf("%s: got %d %s and the header %s, want %s", test.jose, rec.Code, rec.Body, got, test.want)
			}
		}
	})
}

// Keys from a URL never get a token renewed, whatever kid they claim; a rotation drains by itself.
func TestRenewedByKey(t *testing.T) {
	current, old, external := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger"), minted.Key(t, "P-384")
	remote := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, minted.JWKSet(t, minted.PublicJWK(t, external).With(jwk{"kid": "a"}), minted.PublicJWK(t, current).With(jwk{"kid": "a"})))
	}))
	defer remote.Close()
	own := minted.JWKSet(t, minted.PrivateJWK(t, current).With(jwk{"kid": "a"}), minted.PublicJWK(t, old).With(jwk{"kid": "b"}))
	tests := []struct {
		name    string
		options options
		key     any
		header  claims
		claims  claims
		want    string // the renewed token's kid; empty: none
	}{
		{"the first key", options{"jwksFile": own}, current, claims{"alg": "ES256", "kid": "a"}, nil, "a"},
		{"the old key", options{"jwksFile": own}, old, claims{"alg": "ES256", "kid": "b"}, nil, "a"},
		{"the old key, no kid", options{"jwksFile": own}, old, claims{"alg": "ES256"}, nil, "a"},
		{"the old secret", options{"jwksFile": own, "signingSecret": minted.Secret}, []byte(minted.Secret), claims{"alg": "HS256"}, nil, "a"},
		{"publicKey that is in jwksFile too", options{"jwksFile": own, "publicKey": minted.PEM(t, "PKIX", old)}, old, claims{"alg": "ES256", "kid": "b"}, nil, "a"},
		{"publicKey that is in jwksFile too, another kid", options{"jwksFile": own, "publicKey": minted.PEM(t, "PKIX", old)}, old, claims{"alg": "ES256", "kid": "c"}, nil, ""},
		{"jwksUrl", options{"jwksFile": own, "jwksUrl": remote.URL}, external, claims{"alg": "ES384", "kid": "a"}, nil, ""},
		{"the key in jwksUrl too", options{"jwksFile": own, "jwksUrl": remote.URL}, current, claims{"alg": "ES256", "kid": "a"}, nil, "a"},
		{"the key, by the URL alone", options{"signingSecret": minted.Secret, "jwksUrl": remote.URL}, current, claims{"alg": "ES256", "kid": "a"}, nil, ""},
		{"trusted issuer", options{"jwksFile": own, "trustedIssuers": []any{map[string]any{"issuer": "x", "jwksUrl": remote.URL}}}, external, claims{"alg": "ES384", "kid": "a"}, claims{"iss": "x"}, ""},
		{"trusted issuer with the own key", options{"jwksFile": own, "trustedIssuers": []any{map[string]any{"issuer": "x", "jwksUrl": remote.URL}}}, current, claims{"alg": "ES256", "kid": "a"}, claims{"iss": "x"}, ""},
		{"beside a trusted issuer", options{"jwksFile": own, "trustedIssuers": []any{map[string]any{"issuer": "x", "jwksUrl": remote.URL}}}, current, claims{"alg": "ES256", "kid": "a"}, claims{"iss": "y"}, "a"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				handler, _ := e.Middleware(t, test.options.With(options{"renew": map[string]any{"before": "99%"}}))
				text := minted.Signed(t, test.key, test.header, minted.Due().With(test.claims))
				for range [2]int{} {
					rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(text), nil)
					if rec.Code != 200 {
						t.Fatalf("got %d %s, want 200", rec.Code, rec.Body)
					}
					got := ""
					if renewed := renewedToken(rec); renewed != "" {
						got = fmt.Sprint(minted.Header(t, renewed)["kid"])
					}
					if got != test.want {
						t.Errorf("got a token by %q, want %q", got, test.want)
					}
				}
			})
		}
	})
}

// A renewed token goes back the way the token came, in every place it came by, and nowhere else.
func TestRenewalGoesBack(t *testing.T) {
	const (
		inHeader   = "Authorization: Bearer NEW"
		inOther    = "X-Renewed: NEW"
		inCookie   = "Set-Cookie: session=NEW; Path=/; Max-Age=LIFE; HttpOnly; Secure; SameSite=Lax"
		expires    = "Token-Expires-In: LIFE"
		session    = "Session-Expires-In: SESSION"
		noStore    = "Cache-Control: no-store"
		cdnNoStore = "Cdn-Cache-Control: no-store"
		form       = "Content-Type: application/x-www-form-urlencoded"
		origin     = "Origin: https://app.example"
		names      = "Token-Expires-In, Session-Expires-In"
	)
	other := map[string]any{"before": "10m", "header": "x-renewed"}
	tests := []struct {
		name   string
		renew  map[string]any
		method string
		target string
		sent   lines
		body   string
		before lines // on the response, by a middleware further out
		want   lines
	}{
		{"header", nil, "GET", "/", lines{"Authorization: Bearer DUE"}, "", nil, lines{inHeader, expires, session, noStore}},
		{"header of a POST", nil, "POST", "/", lines{"Authorization: bearer DUE"}, "", nil, lines{inHeader, expires, session, noStore}},
		{"header of a HEAD", nil, "HEAD", "/", lines{"Authorization: Bearer DUE"}, "", nil, lines{inHeader, expires, session, noStore}},
		{"another header", other, "GET", "/", lines{"Authorization: Bearer DUE"}, "", nil, lines{inOther, expires, session, noStore}},
		{"cookie", nil, "GET", "/", lines{"Cookie: session=DUE"}, "", nil, lines{inCookie, cdnNoStore, expires, session, noStore}},
		{"cookie among others", other, "GET", "/", lines{"Cookie: a=1; session=DUE"}, "", nil, lines{inCookie, cdnNoStore, expires, session, noStore}},
		{"cookie twice", nil, "GET", "/", lines{"Cookie: session=DUE", "Cookie: session=DUE"}, "", nil, lines{inCookie, cdnNoStore, expires, session, noStore}},
		{"form", nil, "POST", "/", lines{form}, "access_token=DUE", nil, lines{inHeader, expires, session, noStore}},
		{"form, another header", other, "POST", "/", lines{form}, "access_token=DUE", nil, lines{inOther, expires, session, noStore}},
		{"query", nil, "GET", "/?access_token=DUE", nil, "", nil, nil},
		{"query with Origin", nil, "GET", "/?access_token=DUE", lines{origin}, "", nil, nil},
		{"header and cookie", nil, "GET", "/", lines{"Authorization: Bearer DUE", "Cookie: session=DUE"}, "", nil, lines{inHeader, inCookie, cdnNoStore, expires, session, noStore}},
		{"header and query", nil, "GET", "/?access_token=DUE", lines{"Authorization: Bearer DUE"}, "", nil, lines{inHeader, expires, session, noStore}},
		{"cookie and query", nil, "GET", "/?access_token=DUE", lines{"Cookie: session=DUE"}, "", nil, lines{inCookie, cdnNoStore, expires, session, noStore}},
		{"everywhere", other, "GET", "/?access_token=DUE", lines{"Authorization: Bearer DUE", "Cookie: session=DUE"}, "", nil, lines{inOther, inCookie, cdnNoStore, expires, session, noStore}},
		{"header with Origin", nil, "GET", "/", lines{"Authorization: Bearer DUE", origin}, "", nil, lines{inHeader, expires, session, noStore, "Access-Control-Expose-Headers: Authorization, " + names}},
		{"another header with Origin", other, "GET", "/", lines{"Authorization: Bearer DUE", origin}, "", nil, lines{inOther, expires, session, noStore, "Access-Control-Expose-Headers: X-Renewed, " + names}},
		{"cookie with Origin", nil, "GET", "/", lines{"Cookie: session=DUE", origin}, "", nil, lines{inCookie, cdnNoStore, expires, session, noStore, "Access-Control-Expose-Headers: " + names}},
		{"appended", nil, "GET", "/", lines{"Authorization: Bearer DUE", "Cookie: session=DUE", origin}, "", lines{"Access-Control-Expose-Headers: ETag", "Set-Cookie: a=1", "X-Other: 1"}, lines{"Access-Control-Expose-Headers: ETag", "Set-Cookie: a=1", "X-Other: 1", inHeader, inCookie, cdnNoStore, expires, session, noStore, "Access-Control-Expose-Headers: Authorization, " + names}},
		{"replaced", nil, "GET", "/", lines{"Authorization: Bearer DUE"}, "", lines{"Cache-Control: public", "Authorization: old", "Token-Expires-In: 1", "Session-Expires-In: 2"}, lines{inHeader, expires, session, noStore}},
		{"nothing due", nil, "GET", "/", lines{"Authorization: Bearer FRESH", origin}, "", lines{"Cache-Control: public"}, lines{"Cache-Control: public"}},
		{"no token", nil, "GET", "/", lines{origin}, "", nil, nil},
		{"a preflight", nil, "OPTIONS", "/", lines{"Authorization: Bearer DUE", "Cookie: session=DUE", origin, "Access-Control-Request-Method: PUT"}, "", nil, nil},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				renew := test.renew
				if renew == nil {
					renew = map[string]any{"before": "10m"}
				}
				handler, service := e.Middleware(t, sourceOptions.With(options{"renew": renew, "optional": true}))
				service.Respond = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }
				now := time.Now().Unix()
				placeholders := strings.NewReplacer(
					"DUE", minted.Token(t, claims{"iat": now - 3500, "exp": now + 100, "auth_time": now - 6400, "n": test.name}), "FRESH", minted.Token(t, minted.Valid()),
				)
				for range [2]int{} {
					rec := httptest.NewRecorder()
					for name, values := range test.before.Header() {
						rec.Header()[name] = values
					}
					req := httptest.NewRequest(test.method, placeholders.Replace(test.target), strings.NewReader(placeholders.Replace(test.body)))
					for _, line := range test.sent {
						name, value, _ := strings.Cut(placeholders.Replace(line), ": ")
						req.Header[name] = append(req.Header[name], value)
					}
					handler.ServeHTTP(rec, req)
					if rec.Code != 204 {
						t.Fatalf("got %d %s, want 204", rec.Code, rec.Body)
					}
					if got, want := sorted(described(t, handler, rec.Result().Header)), sorted(test.want); got != want {
						t.Errorf("got\n%s\nwant\n%s\nand nothing more", got, want)
					}
				}
			})
		}
	})
}

func TestRenewedCookie(t *testing.T) {
	tests := []struct {
		cookie map[string]any
		want   string
	}{
		{map[string]any{"name": "session"}, "session=NEW; Path=/; Max-Age=LIFE; HttpOnly; Secure; SameSite=Lax"},
		{map[string]any{"name": "__Host-session"}, "__Host-session=NEW; Path=/; Max-Age=LIFE; HttpOnly; Secure; SameSite=Lax"},
		{map[string]any{"name": "s", "sessionOnly": true}, "s=NEW; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{map[string]any{"name": "s", "path": "/app", "domain": "example.com"}, "s=NEW; Path=/app; Domain=example.com; Max-Age=LIFE; HttpOnly; Secure; SameSite=Lax"},
		{map[string]any{"name": "s", "sameSite": "strict"}, "s=NEW; Path=/; Max-Age=LIFE; HttpOnly; Secure; SameSite=Strict"},
		{map[string]any{"name": "s", "sameSite": "None"}, "s=NEW; Path=/; Max-Age=LIFE; HttpOnly; Secure; SameSite=None"},
		{map[string]any{"name": "s", "secure": false}, "s=NEW; Path=/; Max-Age=LIFE; HttpOnly; SameSite=Lax"},
		{map[string]any{"name": "s", "httpOnly": false}, "s=NEW; Path=/; Max-Age=LIFE; Secure; SameSite=Lax"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": test.cookie, "renew": map[string]any{"before": "99%", "lifetime": "1h"}})
			rec := bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {fmt.Sprint(test.cookie["name"]) + "=" + minted.Token(t, minted.Due())}}, nil)
			if got, want := sorted(described(t, handler, http.Header{"Set-Cookie": rec.Header()["Set-Cookie"]})), "Set-Cookie: "+test.want; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// A session keeps its sid however often its token is renewed, so that it can be revoked by it.
func TestSessionID(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "50%"}})
		due := minted.Due()
		session := ""
		for n := 0; n < 4; n++ {
			renewed := renewedToken(bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, due)), nil))
			if renewed == "" {
				t.Fatalf("renewal %d: got none", n)
			}
			due = minted.Payload(t, renewed)
			sid, _ := due["sid"].(string)
			if n == 0 {
				session = sid
			}
			if sid == "" || sid != session {
				t.Errorf("renewal %d: got sid %q, want %q", n, sid, session)
			}
			// The same token, later.
			due["iat"], due["exp"] = due["iat"].(float64)-3000-float64(n), due["exp"].(float64)-3000
			due["auth_time"] = due["auth_time"].(float64) - 3000
		}
	})
}

// Browsers keep a cookie of 4,096 bytes at most: one that they would drop is not set, and takes no other way.
func TestRenewedCookieTooLong(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}, "renew": map[string]any{"before": "99%"}})
		text := func(pad int) string {
			return minted.Token(t, minted.Due().With(claims{"auth_time": time.Now().Unix() - 3000, "pad": strings.Repeat("x", pad)}))
		}
		var longest int
		for pad := 2700; pad < 2900; pad++ {
			due := text(pad)
			service.Forget()
			rec := bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {"session=" + due}}, nil)
			cookie := rec.Header().Get("Set-Cookie")
			if rec.Code != 200 || rec.Body.String() != "served" {
				t.Fatalf("got %d %s, want it served", rec.Code, rec.Body)
			}
			if cookie != "" {
				if longest = len(cookie); longest > 4096 {
					t.Fatalf("got a cookie of %d bytes", longest)
				}
				continue
			}
			if longest < 4094 {
				t.Errorf("the longest cookie that was set: got %d bytes, want almost 4,096", longest)
			}
			if got := rec.Result().Header; len(got) != 1 {
				t.Errorf("got the headers %v, want the service's only", got)
			}
			logged := e.Logged(t, func() { bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {"session=" + due}}, nil) })
			if len(logged) != 1 || !strings.Contains(logged[0], "4096") || strings.Contains(logged[0], due[:20]) {
				t.Errorf("got the lines %q, want one of the cookie, without its token", logged)
			}
			both := bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {"session=" + due}, "Authorization": {"Bearer " + due}}, nil)
			if renewedToken(both) == "" || both.Header().Get("Token-Expires-In") == "" || both.Header()["Set-Cookie"] != nil {
				t.Errorf("by the header too: got %v, want the header without the cookie", both.Header())
			}
			if got := service.Calls(); got != 3 {
				t.Errorf("got %d calls of the service for the last three requests, want 3", got)
			}
			return
		}
		t.Error("no cookie was too long")
	})
}

// A renewed token that would be refused for its length would end the session: the presented one stays in use.
func TestRenewedTokenTooLong(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "99%"}})
		for _, test := range []struct {
			pad     int
			renewed bool
		}{{5955, true}, {6020, false}} {
			due := minted.Token(t, minted.Due().With(claims{"pad": strings.Repeat("x", test.pad)}))
			if len(due) > 8192 {
				t.Fatalf("got a token of %d bytes", len(due))
			}
			var rec *httptest.ResponseRecorder
			logged := e.Logged(t, func() { rec = bothways.Send(t, handler, "GET", "/", bothways.Bearer(due), nil) })
			renewed := renewedToken(rec)
			if rec.Code != 200 || renewed != "" != test.renewed || len(renewed) > 8192 {
				t.Errorf("%d bytes: got %d and %d bytes, want 200 and a renewed token: %t", len(due), rec.Code, len(renewed), test.renewed)
			}
			if isLogged := len(logged) == 1; isLogged == test.renewed || len(rec.Header()) == 1 == test.renewed {
				t.Errorf("%d bytes: got the lines %q and the headers %v", len(due), logged, rec.Header())
			}
		}
	})
}

// The same token asked for again gets the very same renewed token, however many ask at once.
func TestRenewedOnce(t *testing.T) {
	const clients = 50
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, memory := range []int{10000, 0} {
			handler, _ := e.Middleware(t, options{"privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "P-256")), "cookie": map[string]any{"name": "session"}, "cacheSize": memory, "renew": map[string]any{"before": "99%"}})
			due := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Due().With(claims{"jti": "x"}))
			renewed := make([]string, clients)
			var start, done sync.WaitGroup
			start.Add(1)
			for i := range renewed {
				done.Add(1)
				go func() {
					defer done.Done()
					start.Wait()
					req := httptest.NewRequest("GET", "/", nil)
					if i%2 == 0 {
						req.Header.Set("Authorization", "Bearer "+due)
					} else {
						req.Header.Set("Cookie", "session="+due)
					}
					rec := httptest.NewRecorder()
					handler.ServeHTTP(rec, req)
					renewed[i] = renewedToken(rec)
					if i%2 == 1 {
						renewed[i], _, _ = strings.Cut(strings.TrimPrefix(rec.Header().Get("Set-Cookie"), "session="), ";")
					}
				}()
			}
			start.Done()
			done.Wait()
			for i, text := range renewed {
				if text == "" || text != renewed[0] {
					t.Errorf("client %d: got %q, want %q", i, text, renewed[0])
				}
			}
			if other := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, minted.Due().With(claims{"jti": "x"}))), nil); renewedToken(other) == "" || renewedToken(other) == renewed[0] {
				t.Errorf("another token: got the renewed token %q, want one of its own", renewedToken(other))
			}
		}
	})
}

// At most 1,000 renewed tokens are held, and the oldest go first.
func TestRenewalsHeld(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		due := minted.Due()
		for range 10 {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "cacheSize": 0, "renew": map[string]any{"before": "99%"}, "realm": distinct()})
			ask := func(n int) string {
				return renewedToken(bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, due.With(claims{"jti": fmt.Sprint(n)}))), nil))
			}
			started := time.Now()
			first := ask(0)
			for n := 1; n < 1000; n++ {
				ask(n)
			}
			held := ask(0)
			ask(1000)
			gone := ask(0)
			if first == "" || gone == "" || gone == first {
				t.Errorf("the 1,001st: got %q after %q, want a new one", gone, first)
			}
			if held == first {
				return
			}
			if time.Since(started) < 9*time.Second {
				t.Fatalf("the 1,000th: got %q, want %q", held, first)
			}
			// The machine was busy: what is ten seconds old is held no longer.
		}
		t.Fatal("1,000 renewals never fitted into nine seconds")
	})
}

// Nothing touches the response's headers once the service is called, and the service gets the very writer that
// came in.
func TestWriterIsHandedOn(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions.With(options{"renew": map[string]any{"before": "99%"}}))
		for name, sent := range map[string]http.Header{
			"due":        bothways.Bearer(minted.Token(t, minted.Due())),
			"fresh":      bothways.Bearer(minted.Token(t, minted.Valid())),
			"due cookie": {"Cookie": {"session=" + minted.Token(t, minted.Due())}, "Origin": {"https://example.com"}},
		} {
			for range [2]int{} {
				rec := httptest.NewRecorder()
				var isSame bool
				service.Respond = func(rw http.ResponseWriter, _ *http.Request) {
					isSame = rw == http.ResponseWriter(rec)
					for header := range rw.Header() {
						delete(rw.Header(), header)
					}
					rw.Header()["X-Service"] = []string{"1"}
					rw.WriteHeader(http.StatusAccepted)
					delete(rw.Header(), "X-Service")
				}
				req := httptest.NewRequest("GET", "/", nil)
				req.Header = sent.Clone()
				handler.ServeHTTP(rec, req)
				if !isSame {
					t.Errorf("%s: the service got another writer", name)
				}
				checkResponse(t, rec, http.StatusAccepted, http.Header{"X-Service": {"1"}})
				if len(rec.Header()) > 0 {
					t.Errorf("%s: got %v after the service, want nothing", name, rec.Header())
				}
			}
		}
	})
}

// A service that clears the cookie wins: its line follows the gateway's.
func TestServiceClearsCookie(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, sourceOptions.With(options{"renew": map[string]any{"before": "99%"}}))
		service.Respond = func(rw http.ResponseWriter, _ *http.Request) {
			http.SetCookie(rw, &http.Cookie{Name: "session", Path: "/", MaxAge: -1})
		}
		rec := bothways.Send(t, handler, "POST", "/logout", http.Header{"Cookie": {"session=" + minted.Token(t, minted.Due())}}, nil)
		got := rec.Header()["Set-Cookie"]
		if len(got) != 2 || !strings.HasPrefix(got[0], "session=ey") || got[1] != "session=; Path=/; Max-Age=0" {
			t.Errorf("got %q, want the gateway's and then the service's", got)
		}
	})
}

// Over the network: what streams goes on streaming, with the renewed token in front, and a connection can be taken over.
func TestRenewalOverTheNetwork(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		release := make(chan struct{})
		service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			switch req.URL.Path {
			case "/stream":
				rw.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(rw, "data: 1\n\n")
				_ = http.NewResponseController(rw).Flush()
				<-release
				_, _ = io.WriteString(rw, "data: 2\n\n")
			case "/upgrade":
				conn, buffered, err := http.NewResponseController(rw).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				_ = buffered.Flush()
				line, _ := buffered.ReadString('\n')
				_, _ = io.WriteString(conn, line)
				_ = conn.Close()
			case "/hints":
				rw.Header().Set("Link", "</a.css>; rel=preload")
				rw.WriteHeader(http.StatusEarlyHints)
				_, _ = io.WriteString(rw, "done")
			}
		}))
		defer service.Close()
		address, err := url.Parse(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		handler, err := e.New(context.Background(), httputil.NewSingleHostReverseProxy(address), options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "99%"}}, "jwt@file")
		if err != nil {
			t.Fatal(err)
		}
		gateway := httptest.NewServer(handler)
		defer gateway.Close()
		due := minted.Token(t, minted.Due())
		open := func(path, more string) (net.Conn, *bufio.Reader, *http.Response) {
			t.Helper()
			conn, err := net.Dial("tcp", gateway.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+due+"\r\n"+more+"\r\n")
			buffered := bufio.NewReader(conn)
			resp, err := http.ReadResponse(buffered, nil)
			if err != nil {
				t.Fatal(err)
			}
			return conn, buffered, resp
		}

		conn, _, resp := open("/stream", "")
		body := bufio.NewReader(resp.Body)
		if first, err := body.ReadString('\n'); err != nil || first != "data: 1\n" || !strings.HasPrefix(resp.Header.Get("Authorization"), "Bearer ") {
			t.Errorf("stream: got %q, %v and %v, want the first event and a renewed token before the second", first, err, resp.Header)
		}
		close(release)
		if rest, err := io.ReadAll(body); err != nil || string(rest) != "\ndata: 2\n\n" {
			t.Errorf("stream: got %q and %v, want the second event", rest, err)
		}
		_ = conn.Close()

		conn, buffered, resp := open("/upgrade", "Connection: Upgrade\r\nUpgrade: websocket\r\n")
		if resp.StatusCode != http.StatusSwitchingProtocols || !strings.HasPrefix(resp.Header.Get("Authorization"), "Bearer ") {
			t.Errorf("upgrade: got %d and %v, want 101 and a renewed token", resp.StatusCode, resp.Header)
		}
		_, _ = io.WriteString(conn, "ping\n")
		if line, err := buffered.ReadString('\n'); err != nil || line != "ping\n" {
			t.Errorf("upgrade: got %q and %v, want an echo", line, err)
		}
		_ = conn.Close()

		// After a 1xx the renewal may be lost; the response must not be.
		conn, buffered, resp = open("/hints", "")
		if resp.StatusCode == http.StatusEarlyHints {
			if resp, err = http.ReadResponse(buffered, nil); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := io.ReadAll(io.LimitReader(resp.Body, 4)); err != nil || resp.StatusCode != 200 || string(text) != "done" {
			t.Errorf("hints: got %d, %q and %v, want 200", resp.StatusCode, text, err)
		}
		_ = conn.Close()
	})
}

// What the server's own writer can do, the service's can, interpreted too.
func TestWriterKeepsItsMethods(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		var kinds []string
		next := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_, flusher := rw.(http.Flusher)
			_, hijacker := rw.(http.Hijacker)
			_, readerFrom := rw.(io.ReaderFrom)
			kinds = append(kinds, fmt.Sprintf("%T %t %t %t", rw, flusher, hijacker, readerFrom))
		})
		handler, err := e.New(context.Background(), next, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "99%"}}, "jwt@file")
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(handler)
		defer server.Close()
		due, fresh := minted.Token(t, minted.Due()), minted.Token(t, minted.Valid())
		for _, text := range []string{due, due, fresh, fresh} {
			req, err := http.NewRequest(http.MethodGet, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = bothways.Bearer(text)
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		const one = "*http.response true true true"
		if want := []string{one, one, one, one}; !reflect.DeepEqual(kinds, want) {
			t.Errorf("got %q, want %q", kinds, want)
		}
	})
}

// What is added for scripts of another origin goes by the client's Origin, not by a claim that the service gets as one:
// of a token that is new and of one that is remembered.
func TestRenewalGoesByTheClientsOrigin(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "2h"}, "forwardHeaders": map[string]any{"Origin": "sub"}})
		text := minted.Token(t, session())
		for i := range 3 {
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(text), nil)
			if rec.Header().Get("Token-Expires-In") == "" || rec.Header()["Access-Control-Expose-Headers"] != nil {
				t.Errorf("request %d: got the headers %v, want a renewal and nothing exposed", i, rec.Header())
			}
			if got := service.Request().Header.Get("Origin"); got != "ada" {
				t.Errorf("request %d: the service got the Origin %q, want ada", i, got)
			}
		}
	})
}
