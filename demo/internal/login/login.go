// Package login is the demo's login service: it checks a name and a password and signs the first
// token of a session. Every later one comes from the gateway.
package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What the gateway's configuration asks of a token.
const (
	Issuer   = "https://login.example"
	Audience = "demo"
)

const (
	username = "ada"
	password = "lovelace"
)

// Claims are those of a token for the demo's one user, issued at a moment for a lifetime.
func Claims(now time.Time, lifetime time.Duration) jwt.MapClaims {
	return jwt.MapClaims{
		"iss":       Issuer,
		"aud":       Audience,
		"sub":       username,
		"name":      "Ada Lovelace",
		"email":     "ada@example.com",
		"roles":     []string{"analyst", "engineer"},
		"iat":       now.Unix(),
		"exp":       now.Add(lifetime).Unix(),
		"auth_time": now.Unix(),
		"jti":       rand.Text(),
	}
}

// Sign is the token with those claims.
func Sign(key *ecdsa.PrivateKey, claims jwt.MapClaims) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
}

// Handler answers POST /login with a token, in the Authorization header and in the body.
func Handler(key *ecdsa.PrivateKey, lifetime time.Duration, logger *log.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		var who struct{ Username, Password string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&who); err != nil {
			http.Error(w, `send {"username": …, "password": …}`, http.StatusBadRequest)
			return
		}
		if !equal(who.Username, username) || !equal(who.Password, password) {
			logger.Printf("login: wrong name or password for %q", who.Username)
			http.Error(w, "wrong name or password", http.StatusUnauthorized)
			return
		}
		token, err := Sign(key, Claims(time.Now(), lifetime))
		if err != nil {
			logger.Printf("login: %v", err)
			http.Error(w, "no token could be signed", http.StatusInternalServerError)
			return
		}
		logger.Printf("login: %s is logged in, with a token for %s", who.Username, lifetime)
		w.Header().Set("Authorization", "Bearer "+token)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
	})
	return mux
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Key reads the key that signs from a PEM file, which the gateway reads too. If there is no file
// yet, Key makes both.
func Key(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(path)
	}
	if err != nil {
		return nil, err
	}
	return jwt.ParseECPrivateKeyFromPEM(text)
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return key, os.WriteFile(path, text, 0o600)
}
