// Package signing makes the key set with which the demo's gateways sign, rotates it, and signs as they do. Only they hold it:
// the login service and the services behind them have no key.
package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// What the gateways' configuration, dynamic.yml, writes into every token.
const (
	Issuer   = "https://login.example"
	Audience = "demo"
)

// Key returns the key that signs, the first of the JWK Set in a file. If there is no file, Key makes both.
func Key(file string) (*ecdsa.PrivateKey, error) {
	keys, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		if keys, err = added(nil); err == nil {
			err = write(file, keys)
		}
	}
	if err != nil {
		return nil, err
	}
	key, ok := keys[0].Key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the first key is not a private EC key")
	}
	return key, nil
}

// Rotate replaces the key that signs in two steps, as docs/keys.md says. First every gateway has to know the new key, which
// does not sign yet; wait is what returns when they do. Then the new one signs, and the old one goes on to verify.
func Rotate(file string, wait func() error) error {
	keys, err := read(file)
	if err != nil {
		return err
	}
	if keys, err = added(keys); err != nil {
		return err
	}
	if err := write(file, keys); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	newest := len(keys) - 1
	return write(file, append([]jose.JSONWebKey{keys[newest]}, keys[:newest]...))
}

// Claims are those of a gateway's token for the demo's user, issued at a moment for a lifetime.
func Claims(now time.Time, lifetime time.Duration) jwt.MapClaims {
	return jwt.MapClaims{
		"iss":       Issuer,
		"aud":       Audience,
		"sub":       "ada",
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

func added(keys []jose.JSONWebKey) ([]jose.JSONWebKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return append(keys, jose.JSONWebKey{Key: key, KeyID: rand.Text()[:8], Algorithm: "ES256", Use: "sig"}), nil
}

func read(file string) ([]jose.JSONWebKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("the key set is empty")
	}
	return set.Keys, nil
}

// write replaces the file at once, so that no gateway reads half of it.
func write(file string, keys []jose.JSONWebKey) error {
	text, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: keys}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
