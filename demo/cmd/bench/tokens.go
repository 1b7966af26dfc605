package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// session are the n-th user's claims: ten hours long, nine of which are over, so that it is valid for the whole
// run and due for renewal where "renew" is on.
func session(n int) jwt.MapClaims {
	now := time.Now().Unix()
	return jwt.MapClaims{
		"sub": fmt.Sprintf("user-%07d", n), "name": "Ada Lovelace", "email": "ada@example.com", "roles": []string{"buyer", "author"},
		"tenant_id": "t-17", "jti": fmt.Sprintf("%016x", n), "iat": now - 9*3600, "exp": now + 3600,
	}
}

// mint signs n users' tokens, on all cores, and returns them as lines of Authorization. The changes are made to each
// one's claims.
func mint(from, n int, method jwt.SigningMethod, key crypto.PrivateKey, changes jwt.MapClaims) ([]string, error) {
	lines := make([]string, n)
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n; i += workers {
				claims := session(from + i)
				maps.Copy(claims, changes)
				token, err := jwt.NewWithClaims(method, claims).SignedString(key)
				if err != nil {
					failures[w] = err
					return
				}
				lines[i] = "Bearer " + token
			}
		})
	}
	group.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// mintLong makes tokens of a length, "Bearer " included; or a byte less, as base64 has it.
func mintLong(from, n, length int) ([]string, error) {
	short, err := mint(from, 1, jwt.SigningMethodHS256, []byte(hmacSecret), jwt.MapClaims{"more": ""})
	if err != nil {
		return nil, err
	}
	more := strings.Repeat("x", (length-len(short[0]))*3/4)
	return mint(from, n, jwt.SigningMethodHS256, []byte(hmacSecret), jwt.MapClaims{"more": more})
}

// forged are the tokens with each other's signatures: well formed, made by the right key, and wrong.
func forged(lines []string) []string {
	all := make([]string, len(lines))
	for i, line := range lines {
		other := lines[(i+1)%len(lines)]
		all[i] = line[:strings.LastIndexByte(line, '.')] + other[strings.LastIndexByte(other, '.'):]
	}
	return all
}

// garbage are lines that look like the given one and hold nothing.
func garbage(n int, like string) []string {
	all := make([]string, n)
	for i := range all {
		var text strings.Builder
		text.WriteString("Bearer ")
		for j, part := range strings.Split(strings.TrimPrefix(like, "Bearer "), ".") {
			if j > 0 {
				text.WriteByte('.')
			}
			bytes := make([]byte, len(part)*3/4)
			for k := range bytes {
				bytes[k] = byte(rand.IntN(256)) //nolint:gosec // Garbage need not be secret.
			}
			text.WriteString(base64.RawURLEncoding.EncodeToString(bytes))
		}
		all[i] = text.String()
	}
	return all
}

// pemOf is a key pair as the options take it.
func pemOf(key *rsa.PrivateKey) (private, public string, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	publicDER, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	private = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	public = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}))
	return private, public, nil
}
