package slidingjwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// Every key source serves its algorithms and no others, as content and from a file.
func TestKeySources(t *testing.T) {
	secret32, secret48, secret64 := minted.Secret[:32], minted.Secret[:48], minted.Secret[:64]
	encoded := func(encoding *base64.Encoding) string { return encoding.EncodeToString([]byte("\xfb\xff" + secret32)) }
	rs, ec256, ec384, ec521, ed := minted.Key(t, "RSA"), minted.Key(t, "P-256"), minted.Key(t, "P-384"), minted.Key(t, "P-521"), minted.Key(t, "Ed25519")
	const rsaAlgs = "RS256 RS384 RS512 PS256 PS384 PS512"
	tests := []struct {
		name    string
		options options
		key     any
		algs    string
	}{
		{"32 octets", options{"signingSecret": secret32}, []byte(secret32), "HS256"},
		{"47 octets", options{"signingSecret": minted.Secret[:47]}, []byte(minted.Secret[:47]), "HS256"},
		{"48 octets", options{"signingSecret": secret48}, []byte(secret48), "HS256 HS384"},
		{"63 octets", options{"signingSecret": minted.Secret[:63]}, []byte(minted.Secret[:63]), "HS256 HS384"},
		{"64 octets", options{"signingSecret": secret64}, []byte(secret64), "HS256 HS384 HS512"},
		{"64 octets narrowed", options{"signingSecret": secret64, "algorithms": []string{"HS384"}}, []byte(secret64), "HS384"},
		{"base64", options{"signingSecret": encoded(base64.StdEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"base64 unpadded", options{"signingSecret": encoded(base64.RawStdEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"base64url", options{"signingSecret": encoded(base64.URLEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"base64url unpadded", options{"signingSecret": encoded(base64.RawURLEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"PKCS1", options{"privateKey": minted.PEM(t, "PKCS1", rs)}, rs, rsaAlgs},
		{"PKCS8 RSA", options{"privateKey": minted.PEM(t, "PKCS8", rs)}, rs, rsaAlgs},
		{"PKCS8 P-256", options{"privateKey": minted.PEM(t, "PKCS8", ec256)}, ec256, "ES256"},
		{"PKCS8 P-384", options{"privateKey": minted.PEM(t, "PKCS8", ec384)}, ec384, "ES384"},
		{"PKCS8 P-521", options{"privateKey": minted.PEM(t, "PKCS8", ec521)}, ec521, "ES512"},
		{"PKCS8 Ed25519", options{"privateKey": minted.PEM(t, "PKCS8", ed)}, ed, "EdDSA Ed25519"},
		{"SEC1 P-256", options{"privateKey": minted.PEM(t, "SEC1", ec256)}, ec256, "ES256"},
		{"SEC1 P-384", options{"privateKey": minted.PEM(t, "SEC1", ec384)}, ec384, "ES384"},
		{"SEC1 P-521", options{"privateKey": minted.PEM(t, "SEC1", ec521)}, ec521, "ES512"},
		{"SEC1 as openssl writes it", options{"privateKey": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + minted.PEM(t, "SEC1", ec256)}, ec256, "ES256"},
		{"PKIX RSA", options{"publicKey": minted.PEM(t, "PKIX", rs)}, rs, rsaAlgs},
		{"PKIX RSA narrowed", options{"publicKey": minted.PEM(t, "PKIX", rs), "algorithms": []string{"PS256", "RS512"}}, rs, "RS512 PS256"},
		{"PKIX P-256", options{"publicKey": minted.PEM(t, "PKIX", ec256)}, ec256, "ES256"},
		{"PKIX P-384", options{"publicKey": minted.PEM(t, "PKIX", ec384)}, ec384, "ES384"},
		{"PKIX P-521", options{"publicKey": minted.PEM(t, "PKIX", ec521)}, ec521, "ES512"},
		{"PKIX Ed25519", options{"publicKey": minted.PEM(t, "PKIX", ed)}, ed, "EdDSA Ed25519"},
		{"PKIX Ed25519 by one name", options{"publicKey": minted.PEM(t, "PKIX", ed), "algorithms": []string{"EdDSA"}}, ed, "EdDSA Ed25519"},
		{"PKIX Ed25519 by the other", options{"publicKey": minted.PEM(t, "PKIX", ed), "algorithms": []string{"Ed25519"}}, ed, "EdDSA Ed25519"},
		{"PKIX behind white space", options{"publicKey": "\n  \n" + minted.PEM(t, "PKIX", rs)}, rs, rsaAlgs},
		{"PKCS1 public", options{"publicKey": minted.PEM(t, "PKCS1 public", rs)}, rs, rsaAlgs},
		{"certificate RSA", options{"publicKey": minted.PEM(t, "certificate", rs)}, rs, rsaAlgs},
		{"certificate P-256", options{"publicKey": minted.PEM(t, "certificate", ec256)}, ec256, "ES256"},
		{"certificate P-384", options{"publicKey": minted.PEM(t, "certificate", ec384)}, ec384, "ES384"},
		{"certificate P-521", options{"publicKey": minted.PEM(t, "certificate", ec521)}, ec521, "ES512"},
		{"certificate Ed25519", options{"publicKey": minted.PEM(t, "certificate", ed)}, ed, "EdDSA Ed25519"},
		{"JWK RSA", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs))}, rs, rsaAlgs},
		{"JWK P-256", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec256))}, ec256, "ES256"},
		{"JWK P-384", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec384))}, ec384, "ES384"},
		{"JWK P-521", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec521))}, ec521, "ES512"},
		{"JWK Ed25519", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ed))}, ed, "EdDSA Ed25519"},
		{"JWK oct", options{"jwksFile": minted.JWKSet(t, minted.SecretJWK(secret48))}, []byte(secret48), "HS256 HS384"},
		{"private JWK RSA", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, rs))}, rs, rsaAlgs},
		{"private JWK P-256", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, ec256))}, ec256, "ES256"},
		{"private JWK P-384", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, ec384))}, ec384, "ES384"},
		{"private JWK P-521", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, ec521))}, ec521, "ES512"},
		{"private JWK Ed25519", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, ed))}, ed, "EdDSA Ed25519"},
		{"JWK with use", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs).With(jwk{"use": "sig"}))}, rs, rsaAlgs},
		{"JWK with key_ops", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs).With(jwk{"key_ops": []string{"verify"}}))}, rs, rsaAlgs},
		{"JWK RS256", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs).With(jwk{"alg": "RS256"}))}, rs, "RS256"},
		{"JWK PS512", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs).With(jwk{"alg": "PS512"}))}, rs, "PS512"},
		{"JWK HS256", options{"jwksFile": minted.JWKSet(t, minted.SecretJWK(secret64).With(jwk{"alg": "HS256"}))}, []byte(secret64), "HS256"},
		{"JWK ES256", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec256).With(jwk{"alg": "ES256"}))}, ec256, "ES256"},
		{"JWK EdDSA", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ed).With(jwk{"alg": "EdDSA"}))}, ed, "EdDSA Ed25519"},
		{"JWK alg Ed25519", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ed).With(jwk{"alg": "Ed25519"}))}, ed, "EdDSA Ed25519"},
		{"JWK with unknown members", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec256).With(jwk{"x5t": "x", "ext": true, "oth": []any{1}}))}, ec256, "ES256"},
	}
	possible := map[string]string{"[]uint8": "HS256 HS384 HS512", "*rsa.PrivateKey": rsaAlgs, "*ecdsa.PrivateKey": "", "ed25519.PrivateKey": "EdDSA Ed25519"}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			fromFile := options{}
			for option, value := range test.options {
				fromFile[option] = value
				if text, ok := value.(string); ok {
					end := ""
					if option == "signingSecret" {
						end = "\r\n" // An editor's.
					}
					fromFile[option] = writeFile(t, filepath.Join(t.TempDir(), "key"), text+end)
				}
			}
			for from, o := range map[string]options{"content": test.options, "file": fromFile} {
				handler, _ := e.Middleware(t, o)
				algs := possible[fmt.Sprintf("%T", test.key)]
				if algs == "" {
					algs = test.algs
				}
				for _, alg := range strings.Fields(algs) {
					want := "401 wrong_algorithm"
					if strings.Contains(" "+test.algs+" ", " "+alg+" ") {
						want = "served"
					}
					token := minted.Signed(t, test.key, claims{"alg": alg}, minted.Valid())
					if got := bothways.Verdict(t, handler, token); got != want {
						t.Errorf("%s from %s, %s: got %s, want %s", test.name, from, alg, got, want)
					}
					if want != "served" {
						continue
					}
					mangled := token[:len(token)-8] + "AAAAAAAA"
					if got := bothways.Verdict(t, handler, mangled); got != "401 bad_signature" {
						t.Errorf("%s from %s, %s with a mangled signature: got %s, want 401 bad_signature", test.name, from, alg, got)
					}
				}
			}
		}
	})
}

// No token chooses how a key is used, or which key (RFC 8725 2.1, 3.1).
func TestAlgorithmConfusion(t *testing.T) {
	rs, ec256, ec384, ed := minted.Key(t, "RSA").(*rsa.PrivateKey), minted.Key(t, "P-256").(*ecdsa.PrivateKey), minted.Key(t, "P-384"), minted.Key(t, "Ed25519")
	stranger := minted.Key(t, "RSA of a stranger")
	rsPEM, ecPEM := minted.PEM(t, "PKIX", rs), minted.PEM(t, "PKIX", ec256)
	der, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := options{"publicKey": rsPEM}
	rsaAndSecret := options{"publicKey": rsPEM, "signingSecret": minted.Secret}
	ecKey := options{"publicKey": ecPEM}
	edKey := options{"publicKey": minted.PEM(t, "PKIX", ed)}
	var fetched atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = rw.Write([]byte(minted.JWKSet(t, minted.PublicJWK(t, stranger))))
	}))
	defer elsewhere.Close()

	// forged signs claims under a header that is free to lie.
	forged := func(header claims, sign func(input string) []byte) string {
		input := minted.Segment(t, header) + "." + minted.Segment(t, minted.Valid())
		return input + "." + minted.Base64(sign(input))
	}
	hmacWith := func(key string) func(string) []byte {
		return func(input string) []byte {
			signature, err := jwt.SigningMethodHS256.Sign(input, []byte(key))
			if err != nil {
				t.Fatal(err)
			}
			return signature
		}
	}
	as := func(alg string, key any) func(string) []byte {
		return func(input string) []byte {
			signature, err := jwt.GetSigningMethod(alg).Sign(input, key)
			if err != nil {
				t.Fatal(err)
			}
			return signature
		}
	}
	constant := func(octets ...byte) func(string) []byte { return func(string) []byte { return octets } }
	salted := func(length int) func(string) []byte {
		return func(input string) []byte {
			digest := sha256.Sum256([]byte(input))
			signature, err := rsa.SignPSS(rand.Reader, rs, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: length})
			if err != nil {
				t.Fatal(err)
			}
			return signature
		}
	}
	asDER := func(input string) []byte {
		digest := sha256.Sum256([]byte(input))
		signature, err := ec256.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	// padded is a signature of the right numbers in too many octets.
	padded := func(input string) []byte {
		var parts struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(asDER(input), &parts); err != nil {
			t.Fatal(err)
		}
		return append(append([]byte{0}, parts.R.FillBytes(make([]byte, 32))...), parts.S.FillBytes(make([]byte, 32))...)
	}

	tests := []struct {
		name    string
		options options
		token   string
		want    string
	}{
		{"HS256 with the PEM", rsaKey, forged(claims{"alg": "HS256"}, hmacWith(rsPEM)), "401 wrong_algorithm"},
		{"HS256 with the PEM trimmed", rsaKey, forged(claims{"alg": "HS256"}, hmacWith(strings.TrimSpace(rsPEM))), "401 wrong_algorithm"},
		{"HS256 with the DER", rsaKey, forged(claims{"alg": "HS256"}, hmacWith(string(der))), "401 wrong_algorithm"},
		{"HS256 with the modulus", rsaKey, forged(claims{"alg": "HS256"}, hmacWith(string(rs.N.Bytes()))), "401 wrong_algorithm"},
		{"HS256 with nothing", rsaKey, forged(claims{"alg": "HS256"}, hmacWith("")), "401 wrong_algorithm"},
		{"HS256 with the PEM beside a secret", rsaAndSecret, forged(claims{"alg": "HS256"}, hmacWith(rsPEM)), "401 bad_signature"},
		{"HS256 with nothing beside a secret", rsaAndSecret, forged(claims{"alg": "HS256"}, hmacWith("")), "401 bad_signature"},
		{"HS256 with the EC PEM", ecKey, forged(claims{"alg": "HS256"}, hmacWith(ecPEM)), "401 wrong_algorithm"},
		{"HS256 with the Ed25519 key", edKey, forged(claims{"alg": "HS256"}, hmacWith(string(ed.Public().(ed25519.PublicKey)))), "401 wrong_algorithm"},
		{"HS256 with the PEM, told the kid", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs).With(jwk{"kid": "a"}))}, forged(claims{"alg": "HS256", "kid": "a"}, hmacWith(rsPEM)), "401 wrong_algorithm"},
		{"HS256 cut short", rsaAndSecret, forged(claims{"alg": "HS256"}, func(input string) []byte { return hmacWith(minted.Secret)(input)[:16] }), "401 bad_signature"},
		{"HS256 made longer", rsaAndSecret, forged(claims{"alg": "HS256"}, func(input string) []byte { return append(hmacWith(minted.Secret)(input), 0) }), "401 bad_signature"},
		{"HS256 without a signature", rsaAndSecret, forged(claims{"alg": "HS256"}, constant()), "401 bad_signature"},
		{"none", rsaKey, forged(claims{"alg": "none"}, constant()), "401 wrong_algorithm"},
		{"None", rsaKey, forged(claims{"alg": "None"}, constant()), "401 wrong_algorithm"},
		{"NONE", rsaKey, forged(claims{"alg": "NONE"}, constant()), "401 wrong_algorithm"},
		{"nOnE", rsaKey, forged(claims{"alg": "nOnE"}, constant()), "401 wrong_algorithm"},
		{"none with a signature", rsaKey, forged(claims{"alg": "none"}, as("RS256", rs)), "401 wrong_algorithm"},
		{"no name", rsaKey, forged(claims{"alg": ""}, as("RS256", rs)), "401 wrong_algorithm"},
		{"no alg", rsaKey, forged(claims{}, as("RS256", rs)), "401 token_malformed"},
		{"alg a list", rsaKey, forged(claims{"alg": []string{"RS256"}}, as("RS256", rs)), "401 token_malformed"},
		{"alg a number", rsaKey, forged(claims{"alg": 256}, as("RS256", rs)), "401 token_malformed"},
		{"alg in lower case", rsaKey, forged(claims{"alg": "rs256"}, as("RS256", rs)), "401 wrong_algorithm"},
		{"alg with a space", rsaKey, forged(claims{"alg": "RS256 "}, as("RS256", rs)), "401 wrong_algorithm"},
		{"alg unknown", rsaKey, forged(claims{"alg": "RS1"}, as("RS256", rs)), "401 wrong_algorithm"},
		{"alg for a curve that is not served", ecKey, forged(claims{"alg": "ES256K"}, as("ES256", ec256)), "401 wrong_algorithm"},
		{"RS256 called PS256", rsaKey, forged(claims{"alg": "PS256"}, as("RS256", rs)), "401 bad_signature"},
		{"PS256 called RS256", rsaKey, forged(claims{"alg": "RS256"}, as("PS256", rs)), "401 bad_signature"},
		{"RS256 called RS512", rsaKey, forged(claims{"alg": "RS512"}, as("RS256", rs)), "401 bad_signature"},
		{"PS256 with a salt as long as the hash", rsaKey, forged(claims{"alg": "PS256"}, salted(32)), "served"},
		{"PS256 without salt", rsaKey, forged(claims{"alg": "PS256"}, salted(0)), "401 bad_signature"},
		{"PS256 with a shorter salt", rsaKey, forged(claims{"alg": "PS256"}, salted(20)), "401 bad_signature"},
		{"PS256 with the longest salt", rsaKey, forged(claims{"alg": "PS256"}, salted(rsa.PSSSaltLengthAuto)), "401 bad_signature"},
		{"RS256 of a stranger", rsaKey, forged(claims{"alg": "RS256"}, as("RS256", stranger)), "401 bad_signature"},
		{"RS256 of zeros", rsaKey, forged(claims{"alg": "RS256"}, constant(make([]byte, 256)...)), "401 bad_signature"},
		{"RS256 with an EC key", ecKey, forged(claims{"alg": "RS256"}, as("RS256", rs)), "401 wrong_algorithm"},
		{"ES256 with an RSA key", rsaKey, forged(claims{"alg": "ES256"}, as("ES256", ec256)), "401 wrong_algorithm"},
		{"ES256 with a P-384 key", options{"publicKey": minted.PEM(t, "PKIX", ec384)}, forged(claims{"alg": "ES256"}, as("ES384", ec384)), "401 wrong_algorithm"},
		{"ES384 with a P-256 key", ecKey, forged(claims{"alg": "ES384"}, as("ES256", ec256)), "401 wrong_algorithm"},
		{"ES256 of a stranger", ecKey, forged(claims{"alg": "ES256"}, as("ES256", minted.Key(t, "P-256 of a stranger"))), "401 bad_signature"},
		{"ES256 of zeros", ecKey, forged(claims{"alg": "ES256"}, constant(make([]byte, 64)...)), "401 bad_signature"},
		{"ES256 of the order", ecKey, forged(claims{"alg": "ES256"}, constant(append(elliptic.P256().Params().N.Bytes(), elliptic.P256().Params().N.Bytes()...)...)), "401 bad_signature"},
		{"ES256 in DER", ecKey, forged(claims{"alg": "ES256"}, asDER), "401 bad_signature"},
		{"ES256 with a leading zero", ecKey, forged(claims{"alg": "ES256"}, padded), "401 bad_signature"},
		{"ES256 without a signature", ecKey, forged(claims{"alg": "ES256"}, constant()), "401 bad_signature"},
		{"EdDSA of a stranger", edKey, forged(claims{"alg": "EdDSA"}, as("EdDSA", minted.Key(t, "Ed25519 of a stranger"))), "401 bad_signature"},
		{"EdDSA of zeros", edKey, forged(claims{"alg": "EdDSA"}, constant(make([]byte, 64)...)), "401 bad_signature"},
		{"EdDSA without a signature", edKey, forged(claims{"alg": "EdDSA"}, constant()), "401 bad_signature"},
		{"EdDSA for an RSA key", rsaKey, forged(claims{"alg": "EdDSA"}, as("EdDSA", ed)), "401 wrong_algorithm"},
		{"jwk of a stranger", rsaKey, forged(claims{"alg": "RS256", "jwk": minted.PublicJWK(t, stranger)}, as("RS256", stranger)), "401 bad_signature"},
		{"jwk of a secret", rsaAndSecret, forged(claims{"alg": "HS256", "jwk": minted.SecretJWK("x")}, hmacWith("x")), "401 bad_signature"},
		{"jku of a stranger", rsaKey, forged(claims{"alg": "RS256", "jku": elsewhere.URL}, as("RS256", stranger)), "401 bad_signature"},
		{"x5u of a stranger", rsaKey, forged(claims{"alg": "RS256", "x5u": elsewhere.URL}, as("RS256", stranger)), "401 bad_signature"},
		{"x5c of a stranger", rsaKey, forged(claims{"alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(der)}}, as("RS256", stranger)), "401 bad_signature"},
		{"jwk, jku, x5u and x5c ignored", rsaKey, forged(claims{"alg": "RS256", "jwk": minted.PublicJWK(t, stranger), "jku": elsewhere.URL, "x5u": elsewhere.URL, "x5c": 7}, as("RS256", rs)), "served"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, service := e.Middleware(t, test.options)
			for range [2]int{} {
				if got := bothways.Verdict(t, handler, test.token); got != test.want {
					t.Errorf("%s: got %s, want %s", test.name, got, test.want)
				}
			}
			if test.want != "served" && service.Calls() > 0 {
				t.Errorf("%s: the service was called", test.name)
			}
		}
	})
	if got := fetched.Load(); got != 0 {
		t.Errorf("got %d requests to the URL of a token, want none", got)
	}
}

// It is the key that verified a token that decides whether the token may be renewed.
func TestOwnKeysRenew(t *testing.T) {
	a, b := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	now := time.Now().Unix()
	due := minted.Valid().With(claims{"iat": now - 3000, "exp": now + 600})
	private, renew := minted.PEM(t, "PKCS8", a), map[string]any{"before": "30m"}
	tests := []struct {
		name    string
		options options
		key     any
		header  claims
		renewed string // the alg and kid of the renewed token; empty: none
	}{
		{"privateKey", options{"privateKey": private}, a, claims{"alg": "ES256"}, "ES256 "},
		{"signingSecret", options{"signingSecret": minted.Secret}, []byte(minted.Secret), claims{"alg": "HS384"}, "HS384 "},
		{"signingSecret narrowed", options{"signingSecret": minted.Secret, "algorithms": []string{"HS512", "HS256"}}, []byte(minted.Secret), claims{"alg": "HS256"}, "HS256 "},
		{"publicKey that is privateKey's half", options{"privateKey": private, "publicKey": minted.PEM(t, "PKIX", a)}, a, claims{"alg": "ES256"}, "ES256 "},
		{"publicKey that is privateKey's half, as a certificate", options{"privateKey": private, "publicKey": minted.PEM(t, "certificate", a)}, a, claims{"alg": "ES256", "kid": "x"}, "ES256 x"},
		{"another publicKey", options{"privateKey": private, "publicKey": minted.PEM(t, "PKIX", b)}, b, claims{"alg": "ES256"}, ""},
		{"another publicKey under privateKey's kid", options{"privateKey": private, "publicKey": minted.PEM(t, "PKIX", b)}, b, claims{"alg": "ES256", "kid": minted.Thumbprint(t, a)}, ""},
		{"publicKey beside a secret", options{"signingSecret": minted.Secret, "publicKey": minted.PEM(t, "PKIX", b)}, b, claims{"alg": "ES256"}, ""},
		{"first of jwksFile", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, a).With(jwk{"kid": "a"}), minted.PublicJWK(t, b).With(jwk{"kid": "b"}))}, a, claims{"alg": "ES256"}, "ES256 "},
		{"rotated out, in jwksFile", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, a).With(jwk{"kid": "a"}), minted.PublicJWK(t, b).With(jwk{"kid": "b"}))}, b, claims{"alg": "ES256", "kid": "b"}, "ES256 a"},
		{"the first with private members signs", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, b).With(jwk{"kid": "b"}), minted.PrivateJWK(t, a).With(jwk{"kid": "a"}))}, b, claims{"alg": "ES256", "kid": "b"}, "ES256 a"},
		{"one that may only verify does not sign", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, b).With(jwk{"kid": "b", "key_ops": []string{"verify"}}), minted.PrivateJWK(t, a).With(jwk{"kid": "a"}))}, b, claims{"alg": "ES256", "kid": "b"}, "ES256 a"},
		{"a secret that may only verify does not sign", options{"jwksFile": minted.JWKSet(t, minted.SecretJWK(minted.Secret).With(jwk{"kid": "b", "key_ops": []string{"verify"}}), minted.PrivateJWK(t, a).With(jwk{"kid": "a"}))}, []byte(minted.Secret), claims{"alg": "HS256", "kid": "b"}, "ES256 a"},
		{"one that may only sign verifies its own", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, a).With(jwk{"kid": "a", "key_ops": []string{"sign"}}))}, a, claims{"alg": "ES256", "kid": "a"}, "ES256 a"},
		{"jwksFile without kids", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, a)), "signingSecret": minted.Secret}, []byte(minted.Secret), claims{"alg": "HS256"}, "ES256 " + minted.Thumbprint(t, a)},
		{"jwksFile's alg", options{"jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, minted.Key(t, "RSA")).With(jwk{"kid": "r", "alg": "PS384"})), "signingSecret": minted.Secret}, []byte(minted.Secret), claims{"alg": "HS256"}, "PS384 r"},
		{"privateKey before jwksFile before signingSecret", options{"signingSecret": minted.Secret, "jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, b)), "privateKey": private}, []byte(minted.Secret), claims{"alg": "HS256"}, "ES256 " + minted.Thumbprint(t, a)},
		{"jwksFile before signingSecret", options{"signingSecret": minted.Secret, "jwksFile": minted.JWKSet(t, minted.PrivateJWK(t, b).With(jwk{"kid": "b"}))}, []byte(minted.Secret), claims{"alg": "HS256"}, "ES256 b"},
		{"RSA by default", options{"privateKey": minted.PEM(t, "PKCS1", minted.Key(t, "RSA")), "signingSecret": minted.Secret}, []byte(minted.Secret), claims{"alg": "HS256"}, "RS256 " + minted.Thumbprint(t, minted.Key(t, "RSA"))},
		{"RSA, the first that is allowed", options{"privateKey": minted.PEM(t, "PKCS1", minted.Key(t, "RSA")), "signingSecret": minted.Secret, "algorithms": []string{"HS256", "PS256", "RS256"}}, []byte(minted.Secret), claims{"alg": "HS256"}, "PS256 " + minted.Thumbprint(t, minted.Key(t, "RSA"))},
		{"RSA, as it was", options{"privateKey": minted.PEM(t, "PKCS1", minted.Key(t, "RSA"))}, minted.Key(t, "RSA"), claims{"alg": "PS512"}, "PS512 "},
		{"Ed25519 by default", options{"privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "Ed25519")), "signingSecret": minted.Secret}, []byte(minted.Secret), claims{"alg": "HS256"}, "EdDSA " + minted.Thumbprint(t, minted.Key(t, "Ed25519"))},
		{"Ed25519, as it was", options{"privateKey": minted.PEM(t, "PKCS8", minted.Key(t, "Ed25519"))}, minted.Key(t, "Ed25519"), claims{"alg": "Ed25519"}, "Ed25519 "},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			o := options{"renew": renew}
			for option, value := range test.options {
				o[option] = value
			}
			handler, _ := e.Middleware(t, o)
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Signed(t, test.key, test.header, due)), nil)
			got := ""
			if renewed, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer "); ok {
				header := minted.Header(t, renewed)
				kid, _ := header["kid"].(string)
				got = fmt.Sprint(header["alg"], " ", kid)
				if again := bothways.Verdict(t, handler, renewed); again != "served" {
					t.Errorf("%s: the renewed token: got %s, want served", test.name, again)
				}
			}
			if answer := bothways.Outcome(t, rec); answer != "served" || got != test.renewed {
				t.Errorf("%s: got %s and a token by %q, want served and %q", test.name, answer, got, test.renewed)
			}
		}
	})
}

// Key files are read again when they change, and a broken one leaves the known keys in use.
func TestKeyFiles(t *testing.T) {
	a, b := minted.Key(t, "P-256"), minted.Key(t, "P-256 of a stranger")
	byA := minted.Signed(t, a, claims{"alg": "ES256"}, minted.Valid())
	byB := minted.Signed(t, b, claims{"alg": "ES256"}, minted.Valid())
	bySecret := minted.Token(t, minted.Valid())
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		// All at once, since each of them waits: for a second, most of the time.
		var running sync.WaitGroup
		defer running.Wait()
		run := func(name string, test func(t *testing.T)) {
			running.Add(1)
			go func() {
				defer running.Done()
				t.Run(name, test)
			}()
		}
		run("changed", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), minted.PEM(t, "PKIX", a))
			handler, _ := e.Middleware(t, options{"publicKey": name})
			for range [2]int{} { // The second is remembered.
				if got := bothways.Verdict(t, handler, byA); got != "served" {
					t.Errorf("got %s, want served", got)
				}
			}
			writeFile(t, name, minted.PEM(t, "PKIX", b))
			bothways.Eventually(t, handler, byB, "served")
			// The remembered token went with its key.
			if got := bothways.Verdict(t, handler, byA); got != "401 bad_signature" {
				t.Errorf("the token of the old key: got %s, want 401 bad_signature", got)
			}
		})
		run("grown", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, minted.PublicJWK(t, a).With(jwk{"kid": "a"})))
			handler, _ := e.Middleware(t, options{"jwksFile": name})
			if got := bothways.Verdict(t, handler, byA); got != "served" {
				t.Errorf("got %s, want served", got)
			}
			writeFile(t, name, minted.JWKSet(t, minted.PublicJWK(t, b).With(jwk{"kid": "b"}), minted.PublicJWK(t, a).With(jwk{"kid": "a"})))
			bothways.Eventually(t, handler, byB, "served")
			for range [2]int{} {
				if got := bothways.Verdict(t, handler, byA); got != "served" {
					t.Errorf("the token of the key that stayed: got %s, want served", got)
				}
			}
		})
		for _, broken := range []string{"{", `{"keys":[]}`, "", `{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}`} {
			run("broken, mended "+broken, func(t *testing.T) {
				name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, minted.PublicJWK(t, a)))
				marker := writeFile(t, filepath.Join(t.TempDir(), "secret"), minted.Secret)
				handler, _ := e.Middleware(t, options{"jwksFile": name, "signingSecret": marker})
				writeFile(t, name, broken)
				// Another file that changes shows when the files were looked at.
				logged := e.Logged(t, func() {
					for _, other := range []string{"another " + minted.Secret, "a third " + minted.Secret} {
						writeFile(t, marker, other)
						bothways.Eventually(t, handler, hs256With(t, other), "served")
						if got := bothways.Verdict(t, handler, byA); got != "served" {
							t.Errorf("got %s, want the old keys in use", got)
						}
					}
				})
				line := fmt.Sprintf("jwksFile: the file %q cannot be used", name)
				if got := strings.Count(strings.Join(logged, "\n"), line); got != 1 {
					t.Errorf("got %d lines %q, want 1", got, line)
				}
				writeFile(t, name, minted.JWKSet(t, minted.PublicJWK(t, b)))
				bothways.Eventually(t, handler, byB, "served")
				if got := bothways.Verdict(t, handler, byA); got != "401 bad_signature" {
					t.Errorf("the token of the old key: got %s, want 401 bad_signature", got)
				}
			})
		}
		run("removed, then there again", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), minted.PEM(t, "PKIX", a))
			marker := writeFile(t, filepath.Join(t.TempDir(), "secret"), minted.Secret)
			handler, _ := e.Middleware(t, options{"publicKey": name, "signingSecret": marker})
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			writeFile(t, marker, "another "+minted.Secret)
			bothways.Eventually(t, handler, hs256With(t, "another "+minted.Secret), "served")
			if got := bothways.Verdict(t, handler, byA); got != "served" {
				t.Errorf("got %s, want the old key in use", got)
			}
			writeFile(t, name, minted.PEM(t, "PKIX", b))
			bothways.Eventually(t, handler, byB, "served")
		})
		run("missing at first", func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key.pem")
			service := &bothways.Spy{}
			var handler http.Handler
			logged := e.Logged(t, func() { handler = e.InFront(t, service, options{"publicKey": name, "realm": "missing at first"}) })
			if !strings.Contains(strings.Join(logged, "\n"), fmt.Sprintf("publicKey: the file %q cannot be used", name)) {
				t.Errorf("got the log %q, want an error line", logged)
			}
			for _, token := range []string{byA, byB, bySecret} {
				rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(token), nil)
				if got := bothways.Outcome(t, rec); got != "503 keys_unavailable" || rec.Header().Get("Retry-After") == "" {
					t.Errorf("got %s, Retry-After %q, want 503 keys_unavailable with one", got, rec.Header().Get("Retry-After"))
				}
			}
			if service.Calls() != 0 {
				t.Error("the service was called")
			}
			writeFile(t, name, minted.PEM(t, "PKIX", a))
			bothways.Eventually(t, handler, byA, "served")
			if got := bothways.Verdict(t, handler, byB); got != "401 bad_signature" {
				t.Errorf("got %s, want 401 bad_signature", got)
			}
		})
		run("broken at first", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), "-----BEGIN PUBLIC KEY-----")
			handler, _ := e.Middleware(t, options{"publicKey": name})
			if got := bothways.Verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
			writeFile(t, name, minted.PEM(t, "PKIX", a))
			bothways.Eventually(t, handler, byA, "served")
		})
		run("no regular file", func(t *testing.T) {
			handler, _ := e.Middleware(t, options{"publicKey": t.TempDir()})
			if got := bothways.Verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
		})
		run("too large a file", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), minted.PEM(t, "PKIX", a)+strings.Repeat("\n", 1<<20))
			handler, _ := e.Middleware(t, options{"publicKey": name})
			if got := bothways.Verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
		})
		run("no longer an own key", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, minted.PublicJWK(t, a)))
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "jwksFile": name, "publicKey": minted.PEM(t, "PKIX", a), "renew": map[string]any{"before": "50%"}})
			now := time.Now().Unix()
			due := minted.Signed(t, a, claims{"alg": "ES256"}, minted.Valid().With(claims{"iat": now - 3000, "exp": now + 600}))
			if got := bothways.Send(t, handler, "GET", "/", bothways.Bearer(due), nil).Header().Get("Authorization"); got == "" {
				t.Error("got no renewed token, want one")
			}
			writeFile(t, name, minted.JWKSet(t, minted.PublicJWK(t, b)))
			bothways.Eventually(t, handler, byB, "served")
			// The key is still there, but no longer as an own one: what is remembered of the token changes with it.
			rec := bothways.Send(t, handler, "GET", "/", bothways.Bearer(due), nil)
			if got := rec.Header().Get("Authorization"); rec.Code != http.StatusOK || got != "" {
				t.Errorf("got %d and the renewed token %q, want 200 and none", rec.Code, got)
			}
		})
		run("many at once", func(t *testing.T) {
			ofA, ofB := minted.PublicJWK(t, a).With(jwk{"kid": "a"}), minted.PublicJWK(t, b).With(jwk{"kid": "b"})
			name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, ofA, ofB))
			handler, _ := e.Middleware(t, options{"jwksFile": name, "cacheSize": 50})
			forged := byA[:len(byA)-10] + strings.Repeat("A", 10)
			var requests sync.WaitGroup
			for i := range [8]int{} {
				requests.Add(1)
				go func() {
					defer requests.Done()
					for j := range [40]int{} {
						fresh := minted.Signed(t, a, claims{"alg": "ES256"}, minted.Valid().With(claims{"sub": fmt.Sprint(i, j)}))
						for token, want := range map[string]string{byA: "served", byB: "served", fresh: "served", forged: "401 bad_signature"} {
							if got := bothways.Verdict(t, handler, token); got != want {
								t.Errorf("got %s, want %s", got, want)
							}
						}
						if i == 0 && j%10 == 0 {
							writeFile(t, name+".new", minted.JWKSet(t, ofB, ofA.With(jwk{"use": "sig", "n": fmt.Sprint(j)})))
							if err := os.Rename(name+".new", name); err != nil {
								t.Error(err)
							}
						}
					}
				}()
			}
			requests.Wait()
		})
		run("one of two missing", func(t *testing.T) {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "publicKey": "./there/is/no/such.pem"})
			for token, want := range map[string]string{bySecret: "served", byA: "503 keys_unavailable", "a.b.c": "401 token_malformed"} {
				if got := bothways.Verdict(t, handler, token); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
		run("missing with what a signer would serve", func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key.pem")
			handler, _ := e.Middleware(t, options{"privateKey": name, "renew": map[string]any{"before": "99%"}, "algorithms": []string{"ES256"}})
			if got := bothways.Verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
			writeFile(t, name, minted.PEM(t, "PKCS8", a))
			bothways.Eventually(t, handler, byA, "served")
		})
		run("paths are told by their start", func(t *testing.T) {
			for _, path := range []string{"/no/such/file", "./no/such/file", "../no/such/file", `C:\no\such\file`, "c:/no/such/file"} {
				handler, _ := e.Middleware(t, options{"signingSecret": path})
				if got := bothways.Verdict(t, handler, bySecret); got != "503 keys_unavailable" {
					t.Errorf("%s: got %s, want 503 keys_unavailable", path, got)
				}
			}
			for _, content := range []string{".../no such file, but a secret of some length", "no/such/file/but/a/secret/of/some/length", " /no such file, but a secret of some length", "9:/no such file, but a secret of some length"} {
				handler, _ := e.Middleware(t, options{"signingSecret": content})
				if got := bothways.Verdict(t, handler, hs256With(t, content)); got != "served" {
					t.Errorf("%s: got %s, want served", content, got)
				}
			}
		})
		// As Kubernetes mounts a secret: the file is a link into a directory that is a link, which is swapped.
		run("swapped link", func(t *testing.T) {
			dir := t.TempDir()
			for version, pair := range map[string]crypto.Signer{"v1": a, "v2": b} {
				if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
					t.Fatal(err)
				}
				name := writeFile(t, filepath.Join(dir, version, "key.pem"), minted.PEM(t, "PKIX", pair))
				// Nothing but the file's identity differs.
				if err := os.Chtimes(name, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			}
			link := func(to, name string) {
				if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
					t.Skip("no links here:", err)
				}
			}
			link("v1", "..data")
			link(filepath.Join("..data", "key.pem"), "key.pem")
			handler, _ := e.Middleware(t, options{"publicKey": filepath.Join(dir, "key.pem")})
			if got := bothways.Verdict(t, handler, byA); got != "served" {
				t.Errorf("got %s, want served", got)
			}
			link("v2", "..data_tmp")
			if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
			bothways.Eventually(t, handler, byB, "served")
			if got := bothways.Verdict(t, handler, byA); got != "401 bad_signature" {
				t.Errorf("got %s, want 401 bad_signature", got)
			}
		})
	})
}
