package attacks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// stranger is an attacker's own key.
func stranger(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	return minted.Key(t, kind+" of a stranger")
}

// forged is a token of a header that is free to lie, claims, and a signature that a function makes of the signing input.
func forged(t *testing.T, header, c claims, sign func(input string) []byte) string {
	t.Helper()
	input := minted.Segment(t, header) + "." + minted.Segment(t, c)
	return input + "." + minted.Base64(sign(input))
}

// octets is a signature that does not depend on what is signed.
func octets(all ...byte) func(string) []byte { return func(string) []byte { return all } }

// macWith signs with an HMAC under whatever an attacker knows.
func macWith(t *testing.T, alg string, key []byte) func(string) []byte {
	t.Helper()
	return func(input string) []byte {
		mac := hmac.New(map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[alg], key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

// as signs as an algorithm does, whatever the header says.
func as(t *testing.T, alg string, key any) func(string) []byte {
	t.Helper()
	if alg == "Ed25519" {
		alg = "EdDSA"
	}
	return func(input string) []byte {
		signature, err := jwt.GetSigningMethod(alg).Sign(input, key)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		return signature
	}
}

// with changes a signature.
func with(sign func(string) []byte, change func([]byte) []byte) func(string) []byte {
	return func(input string) []byte { return change(append([]byte{}, sign(input)...)) }
}

// forms are the ways to configure a key that verifies.
func forms(t *testing.T, kind string) map[string]options {
	t.Helper()
	if kind == "secret" {
		return map[string]options{
			"secret": underKey(options{"signingSecret": minted.Secret}),
			"JWK":    underKey(options{"jwksFile": minted.JWKSet(t, minted.SecretJWK(minted.Secret))}),
		}
	}
	key := minted.Key(t, kind)
	return map[string]options{
		"PEM":         underKey(options{"publicKey": minted.PEM(t, "PKIX", key)}),
		"certificate": underKey(options{"publicKey": minted.PEM(t, "certificate", key)}),
		"JWK":         underKey(options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, key))}),
		"private PEM": underKey(options{"privateKey": minted.PEM(t, "PKCS8", key)}),
	}
}

// halves are the numbers of an ECDSA signature.
func halves(signature []byte) (r, s *big.Int) {
	half := len(signature) / 2
	return new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
}

// sideBySide writes them.
func sideBySide(r, s *big.Int, size int) []byte {
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

func orderOf(key any) *big.Int { return key.(*ecdsa.PrivateKey).Params().N }

// orderOfEd25519 is L of RFC 8032 5.1.
var orderOfEd25519, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// overOrder adds L to the second half of an Ed25519 signature, which is little-endian.
func overOrder(signature []byte) []byte {
	s := new(big.Int).SetBytes(reversed(signature[32:]))
	return append(append([]byte{}, signature[:32]...), reversed(s.Add(s, orderOfEd25519).FillBytes(make([]byte, 32)))...)
}

func reversed(all []byte) []byte {
	other := slices.Clone(all)
	slices.Reverse(other)
	return other
}

// publicOctets are what anybody knows of a public key, each in the forms in which it could be mistaken for a secret.
func publicOctets(t *testing.T, kind string) map[string][]byte {
	t.Helper()
	key := minted.Key(t, kind)
	pem := minted.PEM(t, "PKIX", key)
	all := map[string][]byte{
		"the PEM":                  []byte(pem),
		"the PEM without its end":  []byte(strings.TrimSpace(pem)),
		"the PEM's lines together": []byte(strings.ReplaceAll(pem, "\n", "")),
		"the certificate":          []byte(minted.PEM(t, "certificate", key)),
		"the JWK Set":              []byte(minted.JWKSet(t, minted.PublicJWK(t, key))),
		"the thumbprint":           []byte(minted.Thumbprint(t, key)),
		"nothing (CVE-2026-44699)": {},
		"a zero octet":             {0},
	}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		all["the modulus"] = public.N.Bytes()
		all["the PKCS #1 PEM (CVE-2023-48223)"] = []byte(minted.PEM(t, "PKCS1 public", key))
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y (SEC 1 2.3.3)
		if err != nil {
			t.Fatal(err)
		}
		all["the point (CVE-2024-33663)"] = append([]byte{2 | point[len(point)-1]&1}, point[1:1+len(point)/2]...)
	default:
		all["the x"] = []byte(minted.PublicJWK(t, key)["x"].(string))
	}
	return all
}
