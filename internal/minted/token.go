// Package minted makes the keys and tokens of tests, good ones and bad ones, and serves keys as an issuer does. It knows
// nothing of the middleware. Keys are generated, so that none is in the repository.
package minted

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Secret signs the tokens that are signed by no other key. It is long enough for HS512.
const Secret = "a secret for tests that is long enough: 0123456789 0123456789 01" //nolint:gosec // It is no secret.

// Claims are a token's claims, or the members of its header.
type Claims map[string]any

// With returns the claims with some added or replaced; nil removes one. Neither map is changed.
func (c Claims) With(others Claims) Claims {
	all := Claims{}
	for name, claim := range c {
		all[name] = claim
	}
	for name, claim := range others {
		all[name] = claim
		if claim == nil {
			delete(all, name)
		}
	}
	return all
}

// Valid are the claims of a token that is valid for an hour.
func Valid() Claims {
	now := time.Now().Unix()
	return Claims{"sub": "ada", "iat": now - 10, "exp": now + 3600}
}

// Due are the claims of a token of which five sixths have passed, so that it is due for renewal before 20 % or more.
func Due() Claims {
	now := time.Now().Unix()
	return Claims{"sub": "ada", "iat": now - 3000, "exp": now + 600}
}

// Base64 is base64url without padding, as everywhere in JOSE (RFC 7515 2).
func Base64[T string | []byte](octets T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(octets))
}

// Segment is a value as a part of a token.
func Segment(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return Base64(text)
}

// HS256 signs a header and a payload that are segments already. It does so by hand: what no library would sign as well.
func HS256(input string) string {
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write([]byte(input))
	return input + "." + Base64(mac.Sum(nil))
}

// Written is an HS256 token of a header and a payload as they are written, be they JSON or not.
func Written(header, payload string) string {
	return HS256(Base64(header) + "." + Base64(payload))
}

// Token is an HS256 token of claims, under Secret.
func Token(t testing.TB, c Claims) string {
	t.Helper()
	return HS256(Segment(t, Claims{"alg": "HS256", "typ": "JWT"}) + "." + Segment(t, c))
}

// Signed is a token of a header and claims. The header's alg says how; the key is a crypto.Signer, or a secret's octets.
func Signed(t testing.TB, key any, header, c Claims) string {
	t.Helper()
	alg := header["alg"].(string)
	if alg == "Ed25519" {
		alg = "EdDSA" // As golang-jwt calls it.
	}
	input := Segment(t, header) + "." + Segment(t, c)
	signature, err := jwt.GetSigningMethod(alg).Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + Base64(signature)
}

// Header reads a token's header.
func Header(t testing.TB, token string) Claims {
	t.Helper()
	return read(t, token, 0)
}

// Payload reads a token's claims.
func Payload(t testing.TB, token string) Claims {
	t.Helper()
	return read(t, token, 1)
}

func read(t testing.TB, token string, part int) Claims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts, want a token", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	var c Claims
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
