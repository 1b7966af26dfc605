package minted

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"
)

// keys are generated once a process: two of each kind, so that a test has a stranger's.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	for _, suffix := range []string{"", " of a stranger"} {
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			all[curve.Params().Name+suffix], _ = ecdsa.GenerateKey(curve, rand.Reader)
		}
		all["RSA"+suffix], _ = rsa.GenerateKey(rand.Reader, 2048)
		_, all["Ed25519"+suffix], _ = ed25519.GenerateKey(rand.Reader)
	}
	return all
})

// Key is a key pair, the same one each time: "RSA" (of 2048 bits), "P-256", "P-384", "P-521" or "Ed25519", or another of
// that kind, "RSA of a stranger" and so on.
func Key(t testing.TB, name string) crypto.Signer {
	t.Helper()
	key := keys()[name]
	if key == nil {
		t.Fatalf("there is no key %q", name)
	}
	return key
}

// Algorithms are those of RFC 7518 3.1 that make signatures, and of RFC 8037 and 9864, each with the name of a SigningKey for it.
var Algorithms = []struct{ Alg, Key string }{
	{"HS256", "secret"},
	{"HS384", "secret"},
	{"HS512", "secret"},
	{"RS256", "RSA"},
	{"RS384", "RSA"},
	{"RS512", "RSA"},
	{"PS256", "RSA"},
	{"PS384", "RSA"},
	{"PS512", "RSA"},
	{"ES256", "P-256"},
	{"ES384", "P-384"},
	{"ES512", "P-521"},
	{"EdDSA", "Ed25519"},
	{"Ed25519", "Ed25519"},
}

// SigningKey is a key as Signed takes it: the octets of Secret for "secret", or else the Key of that name.
func SigningKey(t testing.TB, name string) any {
	t.Helper()
	if name == "secret" {
		return []byte(Secret)
	}
	return Key(t, name)
}

// PEM writes a key as a PEM of a kind: "PKCS1", "PKCS8", "SEC1", "PKIX", "PKCS1 public" or "certificate".
func PEM(t testing.TB, kind string, key crypto.Signer) string {
	t.Helper()
	var label string
	var der []byte
	var err error
	switch kind {
	case "PKCS1":
		label, der = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))
	case "PKCS8":
		label = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(key)
	case "SEC1":
		label = "EC PRIVATE KEY"
		der, err = x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	case "PKIX":
		label = "PUBLIC KEY"
		der, err = x509.MarshalPKIXPublicKey(key.Public())
	case "PKCS1 public":
		label, der = "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(key.Public().(*rsa.PublicKey))
	case "certificate":
		label = "CERTIFICATE"
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
		der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	default:
		t.Fatalf("there is no PEM of kind %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// JWK are a key's members (RFC 7517).
type JWK map[string]any

// With returns the members with some added or replaced; nil removes one. Neither map is changed.
func (k JWK) With(others JWK) JWK { return JWK(Claims(k).With(Claims(others))) }

// PublicJWK writes a key's public half.
func PublicJWK(t testing.TB, key crypto.Signer) JWK {
	t.Helper()
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		return JWK{"kty": "RSA", "n": Base64(public.N.Bytes()), "e": Base64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		size := (public.Params().BitSize + 7) / 8
		return JWK{"kty": "EC", "crv": public.Params().Name, "x": Base64(public.X.FillBytes(make([]byte, size))), "y": Base64(public.Y.FillBytes(make([]byte, size)))}
	case ed25519.PublicKey:
		return JWK{"kty": "OKP", "crv": "Ed25519", "x": Base64([]byte(public))}
	}
	t.Fatalf("got a %T, want a key", key)
	return nil
}

// NamedJWK writes a key's public half with a kid.
func NamedJWK(t testing.TB, kid string, key crypto.Signer) JWK {
	t.Helper()
	return PublicJWK(t, key).With(JWK{"kid": kid})
}

// PrivateJWK writes both halves.
func PrivateJWK(t testing.TB, key crypto.Signer) JWK {
	t.Helper()
	k := PublicJWK(t, key)
	switch private := key.(type) {
	case *rsa.PrivateKey:
		k["d"], k["p"], k["q"] = Base64(private.D.Bytes()), Base64(private.Primes[0].Bytes()), Base64(private.Primes[1].Bytes())
	case *ecdsa.PrivateKey:
		k["d"] = Base64(private.D.FillBytes(make([]byte, (private.Params().BitSize+7)/8)))
	case ed25519.PrivateKey:
		k["d"] = Base64(private.Seed())
	}
	return k
}

// SecretJWK writes a secret.
func SecretJWK(secret string) JWK { return JWK{"kty": "oct", "k": Base64(secret)} }

// JWKSet writes a set of keys.
func JWKSet(t testing.TB, keys ...JWK) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Thumbprint is a key's, by RFC 7638.
func Thumbprint(t testing.TB, key crypto.Signer) string {
	t.Helper()
	text, err := json.Marshal(PublicJWK(t, key)) // In the order of the names, without white space.
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return Base64(sum[:])
}
