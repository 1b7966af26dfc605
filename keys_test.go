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
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
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
)

// keyPairs are generated once a process: two of each kind, so that a test has a stranger's.
var keyPairs = sync.OnceValue(func() map[string]crypto.Signer {
	pairs := map[string]crypto.Signer{}
	for _, suffix := range []string{"", " of a stranger"} {
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			pairs[curve.Params().Name+suffix], _ = ecdsa.GenerateKey(curve, rand.Reader)
		}
		pairs["RSA"+suffix], _ = rsa.GenerateKey(rand.Reader, 2048)
		_, pairs["Ed25519"+suffix], _ = ed25519.GenerateKey(rand.Reader)
	}
	return pairs
})

func keyPair(t testing.TB, name string) crypto.Signer {
	t.Helper()
	pair := keyPairs()[name]
	if pair == nil {
		t.Fatalf("there is no key %q", name)
	}
	return pair
}

// pemText writes a key as a PEM of a kind: PKCS1, PKCS8, SEC1, PKIX, PKCS1 public or certificate.
func pemText(t testing.TB, kind string, pair crypto.Signer) string {
	t.Helper()
	var label string
	var der []byte
	var err error
	switch kind {
	case "PKCS1":
		label, der = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(pair.(*rsa.PrivateKey))
	case "PKCS8":
		label = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(pair)
	case "SEC1":
		label = "EC PRIVATE KEY"
		der, err = x509.MarshalECPrivateKey(pair.(*ecdsa.PrivateKey))
	case "PKIX":
		label = "PUBLIC KEY"
		der, err = x509.MarshalPKIXPublicKey(pair.Public())
	case "PKCS1 public":
		label, der = "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(pair.Public().(*rsa.PublicKey))
	case "certificate":
		label = "CERTIFICATE"
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
		der, err = x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	default:
		t.Fatalf("there is no PEM of kind %q", kind)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// jwk are a key's members.
type jwk map[string]any

// with returns the members with some replaced; nil removes one.
func (k jwk) with(other jwk) jwk { return jwk(claims(k).with(claims(other))) }

func b64url(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }

// publicJWK writes a key's public half.
func publicJWK(t testing.TB, pair crypto.Signer) jwk {
	t.Helper()
	switch public := pair.Public().(type) {
	case *rsa.PublicKey:
		return jwk{"kty": "RSA", "n": b64url(public.N.Bytes()), "e": b64url(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		size := (public.Params().BitSize + 7) / 8
		return jwk{"kty": "EC", "crv": public.Params().Name, "x": b64url(public.X.FillBytes(make([]byte, size))), "y": b64url(public.Y.FillBytes(make([]byte, size)))}
	case ed25519.PublicKey:
		return jwk{"kty": "OKP", "crv": "Ed25519", "x": b64url(public)}
	}
	t.Fatalf("got a %T, want a key", pair)
	return nil
}

// privateJWK writes both halves.
func privateJWK(t testing.TB, pair crypto.Signer) jwk {
	t.Helper()
	k := publicJWK(t, pair)
	switch private := pair.(type) {
	case *rsa.PrivateKey:
		k["d"], k["p"], k["q"] = b64url(private.D.Bytes()), b64url(private.Primes[0].Bytes()), b64url(private.Primes[1].Bytes())
	case *ecdsa.PrivateKey:
		k["d"] = b64url(private.D.FillBytes(make([]byte, (private.Params().BitSize+7)/8)))
	case ed25519.PrivateKey:
		k["d"] = b64url(private.Seed())
	}
	return k
}

func secretJWK(secret string) jwk { return jwk{"kty": "oct", "k": b64url([]byte(secret))} }

func jwkSet(t testing.TB, keys ...jwk) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// signedBy makes a token of a header and claims; the key is a signer, or a secret's octets.
func signedBy(t testing.TB, key any, header, c claims) string {
	t.Helper()
	alg := header["alg"].(string)
	if alg == "Ed25519" {
		alg = "EdDSA" // As golang-jwt calls it.
	}
	input := segment(t, header) + "." + segment(t, c)
	signature, err := jwt.GetSigningMethod(alg).Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64url(signature)
}

// verdict sends a token and says what became of it: "served", or the status and the reason's code.
func verdict(t testing.TB, handler http.Handler, token string) string {
	t.Helper()
	return answered(t, send(t, handler, "GET", "/", bearer(token), nil))
}

func answered(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	if rec.Code == http.StatusOK {
		return "served"
	}
	var problem struct{ Type string }
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil {
		t.Errorf("got the body %q, want a problem", rec.Body)
	}
	_, code, _ := strings.Cut(problem.Type, "#")
	return fmt.Sprintf("%d %s", rec.Code, code)
}

var distinctRealms atomic.Int32

// distinct is a realm that no other middleware has, so that its options are looked at anew.
func distinct() string { return fmt.Sprint("realm ", distinctRealms.Add(1)) }

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Every key source serves its algorithms and no others, as content and from a file.
func TestKeySources(t *testing.T) {
	secret32, secret48, secret64 := secret[:32], secret[:48], secret[:64]
	encoded := func(encoding *base64.Encoding) string { return encoding.EncodeToString([]byte("\xfb\xff" + secret32)) }
	rs, ec256, ec384, ec521, ed := keyPair(t, "RSA"), keyPair(t, "P-256"), keyPair(t, "P-384"), keyPair(t, "P-521"), keyPair(t, "Ed25519")
	const rsaAlgs = "RS256 RS384 RS512 PS256 PS384 PS512"
	tests := []struct {
		name    string
		options options
		key     any
		algs    string
	}{
		{"32 octets", options{"signingSecret": secret32}, []byte(secret32), "HS256"},
		{"47 octets", options{"signingSecret": secret[:47]}, []byte(secret[:47]), "HS256"},
		{"48 octets", options{"signingSecret": secret48}, []byte(secret48), "HS256 HS384"},
		{"63 octets", options{"signingSecret": secret[:63]}, []byte(secret[:63]), "HS256 HS384"},
		{"64 octets", options{"signingSecret": secret64}, []byte(secret64), "HS256 HS384 HS512"},
		{"64 octets narrowed", options{"signingSecret": secret64, "algorithms": []string{"HS384"}}, []byte(secret64), "HS384"},
		{"base64", options{"signingSecret": encoded(base64.StdEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"base64 unpadded", options{"signingSecret": encoded(base64.RawStdEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"base64url", options{"signingSecret": encoded(base64.URLEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"base64url unpadded", options{"signingSecret": encoded(base64.RawURLEncoding), "signingSecretBase64Encoded": true}, []byte("\xfb\xff" + secret32), "HS256"},
		{"PKCS1", options{"privateKey": pemText(t, "PKCS1", rs)}, rs, rsaAlgs},
		{"PKCS8 RSA", options{"privateKey": pemText(t, "PKCS8", rs)}, rs, rsaAlgs},
		{"PKCS8 P-256", options{"privateKey": pemText(t, "PKCS8", ec256)}, ec256, "ES256"},
		{"PKCS8 P-384", options{"privateKey": pemText(t, "PKCS8", ec384)}, ec384, "ES384"},
		{"PKCS8 P-521", options{"privateKey": pemText(t, "PKCS8", ec521)}, ec521, "ES512"},
		{"PKCS8 Ed25519", options{"privateKey": pemText(t, "PKCS8", ed)}, ed, "EdDSA Ed25519"},
		{"SEC1 P-256", options{"privateKey": pemText(t, "SEC1", ec256)}, ec256, "ES256"},
		{"SEC1 P-384", options{"privateKey": pemText(t, "SEC1", ec384)}, ec384, "ES384"},
		{"SEC1 P-521", options{"privateKey": pemText(t, "SEC1", ec521)}, ec521, "ES512"},
		{"SEC1 as openssl writes it", options{"privateKey": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pemText(t, "SEC1", ec256)}, ec256, "ES256"},
		{"PKIX RSA", options{"publicKey": pemText(t, "PKIX", rs)}, rs, rsaAlgs},
		{"PKIX RSA narrowed", options{"publicKey": pemText(t, "PKIX", rs), "algorithms": []string{"PS256", "RS512"}}, rs, "RS512 PS256"},
		{"PKIX P-256", options{"publicKey": pemText(t, "PKIX", ec256)}, ec256, "ES256"},
		{"PKIX P-384", options{"publicKey": pemText(t, "PKIX", ec384)}, ec384, "ES384"},
		{"PKIX P-521", options{"publicKey": pemText(t, "PKIX", ec521)}, ec521, "ES512"},
		{"PKIX Ed25519", options{"publicKey": pemText(t, "PKIX", ed)}, ed, "EdDSA Ed25519"},
		{"PKIX Ed25519 by one name", options{"publicKey": pemText(t, "PKIX", ed), "algorithms": []string{"EdDSA"}}, ed, "EdDSA Ed25519"},
		{"PKIX Ed25519 by the other", options{"publicKey": pemText(t, "PKIX", ed), "algorithms": []string{"Ed25519"}}, ed, "EdDSA Ed25519"},
		{"PKIX behind white space", options{"publicKey": "\n  \n" + pemText(t, "PKIX", rs)}, rs, rsaAlgs},
		{"PKCS1 public", options{"publicKey": pemText(t, "PKCS1 public", rs)}, rs, rsaAlgs},
		{"certificate RSA", options{"publicKey": pemText(t, "certificate", rs)}, rs, rsaAlgs},
		{"certificate P-256", options{"publicKey": pemText(t, "certificate", ec256)}, ec256, "ES256"},
		{"certificate P-384", options{"publicKey": pemText(t, "certificate", ec384)}, ec384, "ES384"},
		{"certificate P-521", options{"publicKey": pemText(t, "certificate", ec521)}, ec521, "ES512"},
		{"certificate Ed25519", options{"publicKey": pemText(t, "certificate", ed)}, ed, "EdDSA Ed25519"},
		{"JWK RSA", options{"jwksFile": jwkSet(t, publicJWK(t, rs))}, rs, rsaAlgs},
		{"JWK P-256", options{"jwksFile": jwkSet(t, publicJWK(t, ec256))}, ec256, "ES256"},
		{"JWK P-384", options{"jwksFile": jwkSet(t, publicJWK(t, ec384))}, ec384, "ES384"},
		{"JWK P-521", options{"jwksFile": jwkSet(t, publicJWK(t, ec521))}, ec521, "ES512"},
		{"JWK Ed25519", options{"jwksFile": jwkSet(t, publicJWK(t, ed))}, ed, "EdDSA Ed25519"},
		{"JWK oct", options{"jwksFile": jwkSet(t, secretJWK(secret48))}, []byte(secret48), "HS256 HS384"},
		{"private JWK RSA", options{"jwksFile": jwkSet(t, privateJWK(t, rs))}, rs, rsaAlgs},
		{"private JWK P-256", options{"jwksFile": jwkSet(t, privateJWK(t, ec256))}, ec256, "ES256"},
		{"private JWK P-384", options{"jwksFile": jwkSet(t, privateJWK(t, ec384))}, ec384, "ES384"},
		{"private JWK P-521", options{"jwksFile": jwkSet(t, privateJWK(t, ec521))}, ec521, "ES512"},
		{"private JWK Ed25519", options{"jwksFile": jwkSet(t, privateJWK(t, ed))}, ed, "EdDSA Ed25519"},
		{"JWK with use", options{"jwksFile": jwkSet(t, publicJWK(t, rs).with(jwk{"use": "sig"}))}, rs, rsaAlgs},
		{"JWK with key_ops", options{"jwksFile": jwkSet(t, publicJWK(t, rs).with(jwk{"key_ops": []string{"verify"}}))}, rs, rsaAlgs},
		{"JWK RS256", options{"jwksFile": jwkSet(t, publicJWK(t, rs).with(jwk{"alg": "RS256"}))}, rs, "RS256"},
		{"JWK PS512", options{"jwksFile": jwkSet(t, publicJWK(t, rs).with(jwk{"alg": "PS512"}))}, rs, "PS512"},
		{"JWK HS256", options{"jwksFile": jwkSet(t, secretJWK(secret64).with(jwk{"alg": "HS256"}))}, []byte(secret64), "HS256"},
		{"JWK ES256", options{"jwksFile": jwkSet(t, publicJWK(t, ec256).with(jwk{"alg": "ES256"}))}, ec256, "ES256"},
		{"JWK EdDSA", options{"jwksFile": jwkSet(t, publicJWK(t, ed).with(jwk{"alg": "EdDSA"}))}, ed, "EdDSA Ed25519"},
		{"JWK alg Ed25519", options{"jwksFile": jwkSet(t, publicJWK(t, ed).with(jwk{"alg": "Ed25519"}))}, ed, "EdDSA Ed25519"},
		{"JWK with unknown members", options{"jwksFile": jwkSet(t, publicJWK(t, ec256).with(jwk{"x5t": "x", "ext": true, "oth": []any{1}}))}, ec256, "ES256"},
	}
	possible := map[string]string{"[]uint8": "HS256 HS384 HS512", "*rsa.PrivateKey": rsaAlgs, "*ecdsa.PrivateKey": "", "ed25519.PrivateKey": "EdDSA Ed25519"}
	bothWays(t, func(t *testing.T, e engine) {
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
				handler, _ := e.middleware(t, o)
				algs := possible[fmt.Sprintf("%T", test.key)]
				if algs == "" {
					algs = test.algs
				}
				for _, alg := range strings.Fields(algs) {
					want := "401 wrong_algorithm"
					if strings.Contains(" "+test.algs+" ", " "+alg+" ") {
						want = "served"
					}
					token := signedBy(t, test.key, claims{"alg": alg}, valid())
					if got := verdict(t, handler, token); got != want {
						t.Errorf("%s from %s, %s: got %s, want %s", test.name, from, alg, got, want)
					}
					if want != "served" {
						continue
					}
					mangled := token[:len(token)-8] + "AAAAAAAA"
					if got := verdict(t, handler, mangled); got != "401 bad_signature" {
						t.Errorf("%s from %s, %s with a mangled signature: got %s, want 401 bad_signature", test.name, from, alg, got)
					}
				}
			}
		}
	})
}

// A JWK whose members disagree is left out, with a log line; the others of its set stay.
func TestContradictingJWKs(t *testing.T) {
	rs, ec, ed := keyPair(t, "RSA"), keyPair(t, "P-256"), keyPair(t, "Ed25519")
	tests := []struct {
		name string
		jwk  jwk
		key  any
		alg  string
	}{
		{"use enc", publicJWK(t, rs).with(jwk{"use": "enc"}), rs, "RS256"},
		{"use a number", publicJWK(t, rs).with(jwk{"use": 1}), rs, "RS256"},
		{"use empty", publicJWK(t, rs).with(jwk{"use": ""}), rs, "RS256"},
		{"key_ops encrypt", publicJWK(t, rs).with(jwk{"key_ops": []string{"encrypt"}}), rs, "RS256"},
		{"key_ops sign without a private half", publicJWK(t, rs).with(jwk{"key_ops": []string{"sign"}}), rs, "RS256"},
		{"key_ops empty", publicJWK(t, rs).with(jwk{"key_ops": []string{}}), rs, "RS256"},
		{"key_ops a string", publicJWK(t, rs).with(jwk{"key_ops": "verify"}), rs, "RS256"},
		{"use and key_ops", publicJWK(t, rs).with(jwk{"use": "sig", "key_ops": []string{"encrypt"}}), rs, "RS256"},
		{"kty another's", publicJWK(t, ec).with(jwk{"kty": "RSA"}), ec, "ES256"},
		{"kty unknown", publicJWK(t, ec).with(jwk{"kty": "EC2"}), ec, "ES256"},
		{"kty absent", publicJWK(t, ec).with(jwk{"kty": nil}), ec, "ES256"},
		{"kty a number", publicJWK(t, ec).with(jwk{"kty": 2}), ec, "ES256"},
		{"kty in lower case", publicJWK(t, ec).with(jwk{"kty": "ec"}), ec, "ES256"},
		{"kty oct of a public key", publicJWK(t, rs).with(jwk{"kty": "oct"}), rs, "RS256"},
		{"crv another", publicJWK(t, ec).with(jwk{"crv": "P-384"}), ec, "ES256"},
		{"crv secp256k1", publicJWK(t, ec).with(jwk{"crv": "secp256k1"}), ec, "ES256"},
		{"crv absent", publicJWK(t, ec).with(jwk{"crv": nil}), ec, "ES256"},
		{"crv Ed448", publicJWK(t, ed).with(jwk{"crv": "Ed448"}), ed, "EdDSA"},
		{"crv X25519", publicJWK(t, ed).with(jwk{"crv": "X25519"}), ed, "EdDSA"},
		{"alg of another kind", publicJWK(t, ec).with(jwk{"alg": "RS256"}), ec, "ES256"},
		{"alg of another curve", publicJWK(t, ec).with(jwk{"alg": "ES384"}), ec, "ES256"},
		{"alg HS256 of a public key", publicJWK(t, rs).with(jwk{"alg": "HS256"}), rs, "RS256"},
		{"alg for encryption", publicJWK(t, rs).with(jwk{"alg": "RSA-OAEP"}), rs, "RS256"},
		{"alg none", publicJWK(t, rs).with(jwk{"alg": "none"}), rs, "RS256"},
		{"alg empty", publicJWK(t, rs).with(jwk{"alg": ""}), rs, "RS256"},
		{"alg a number", publicJWK(t, rs).with(jwk{"alg": 256}), rs, "RS256"},
		{"alg null", jwk{"kty": "OKP", "crv": "Ed25519", "x": publicJWK(t, ed)["x"], "alg": json.RawMessage("null")}, ed, "EdDSA"},
		{"kid a number", publicJWK(t, rs).with(jwk{"kid": 1}), rs, "RS256"},
		{"kid a list", publicJWK(t, rs).with(jwk{"kid": []string{"a"}}), rs, "RS256"},
		{"n absent", publicJWK(t, rs).with(jwk{"n": nil}), rs, "RS256"},
		{"n padded", publicJWK(t, rs).with(jwk{"n": publicJWK(t, rs)["n"].(string) + "=="}), rs, "RS256"},
		{"n with a line break", publicJWK(t, rs).with(jwk{"n": publicJWK(t, rs)["n"].(string) + "\n"}), rs, "RS256"},
		{"e absent", publicJWK(t, rs).with(jwk{"e": nil}), rs, "RS256"},
		{"e 1", publicJWK(t, rs).with(jwk{"e": "AQ"}), rs, "RS256"},
		{"e even", publicJWK(t, rs).with(jwk{"e": "AQAA"}), rs, "RS256"},
		{"e a number", publicJWK(t, rs).with(jwk{"e": 65537}), rs, "RS256"},
		{"e large", publicJWK(t, rs).with(jwk{"e": "AQAAAAE"}), rs, "RS256"},
		{"x absent", publicJWK(t, ec).with(jwk{"x": nil}), ec, "ES256"},
		{"x short", publicJWK(t, ec).with(jwk{"x": "AQAB"}), ec, "ES256"},
		{"y another", publicJWK(t, ec).with(jwk{"y": publicJWK(t, keyPair(t, "P-256 of a stranger"))["y"]}), ec, "ES256"},
		{"Ed25519's x short", publicJWK(t, ed).with(jwk{"x": "AQAB"}), ed, "EdDSA"},
		{"Ed25519's d another's", privateJWK(t, ed).with(jwk{"d": privateJWK(t, keyPair(t, "Ed25519 of a stranger"))["d"]}), ed, "EdDSA"},
		{"Ed25519's d short", privateJWK(t, ed).with(jwk{"d": "AQAB"}), ed, "EdDSA"},
		{"P-256's d another's", privateJWK(t, ec).with(jwk{"d": privateJWK(t, keyPair(t, "P-256 of a stranger"))["d"]}), ec, "ES256"},
		{"P-256's d zero", privateJWK(t, ec).with(jwk{"d": b64url(make([]byte, 32))}), ec, "ES256"},
		{"RSA's d another's", privateJWK(t, rs).with(jwk{"d": privateJWK(t, keyPair(t, "RSA of a stranger"))["d"]}), rs, "RS256"},
		{"RSA's primes absent", privateJWK(t, rs).with(jwk{"p": nil, "q": nil}), rs, "RS256"},
		{"oct with an RSA alg", secretJWK(secret).with(jwk{"alg": "RS256"}), []byte(secret), "HS256"},
		{"oct too short for its alg", secretJWK(secret[:32]).with(jwk{"alg": "HS512"}), []byte(secret[:32]), "HS256"},
		{"oct without k", jwk{"kty": "oct"}, []byte(secret), "HS256"},
	}
	good := keyPair(t, "P-384")
	goodToken := signedBy(t, good, claims{"alg": "ES384"}, valid())
	bothWays(t, func(t *testing.T, e engine) {
		for _, test := range tests {
			before := len(e.log.String())
			handler, _ := e.middleware(t, options{"jwksFile": jwkSet(t, test.jwk, publicJWK(t, good)), "realm": distinct()})
			if got := verdict(t, handler, goodToken); got != "served" {
				t.Errorf("%s: the key beside it: got %s, want served", test.name, got)
			}
			if got := verdict(t, handler, signedBy(t, test.key, claims{"alg": test.alg}, valid())); got != "401 wrong_algorithm" {
				t.Errorf("%s: got %s, want 401 wrong_algorithm", test.name, got)
			}
			if logged := e.log.String()[before:]; !strings.Contains(logged, "key 0 of jwksFile is left out") {
				t.Errorf("%s: got the log %q, want a line that it is left out", test.name, logged)
			}
		}
	})
}

// A token with a kid meets the keys of that kid and those without one; a token without one meets every key.
func TestKeyIDs(t *testing.T) {
	a, b, c, r := keyPair(t, "P-256"), keyPair(t, "P-256 of a stranger"), keyPair(t, "P-384"), keyPair(t, "RSA")
	named := options{"jwksFile": jwkSet(t, publicJWK(t, a).with(jwk{"kid": "a"}), publicJWK(t, b).with(jwk{"kid": "b"}), publicJWK(t, c).with(jwk{"kid": "c"}))}
	unnamed := options{"jwksFile": jwkSet(t, publicJWK(t, a).with(jwk{"kid": "a"}), publicJWK(t, b))}
	emptyName := options{"jwksFile": jwkSet(t, publicJWK(t, a).with(jwk{"kid": "a"}), publicJWK(t, b).with(jwk{"kid": ""}))}
	twins := options{"jwksFile": jwkSet(t, publicJWK(t, a).with(jwk{"kid": "x"}), publicJWK(t, b).with(jwk{"kid": "x"}), publicJWK(t, r).with(jwk{"kid": "x"}))}
	pemAndSet := options{"publicKey": pemText(t, "PKIX", b), "jwksFile": jwkSet(t, publicJWK(t, a).with(jwk{"kid": "a"}))}
	secretAndSet := options{"signingSecret": secret, "jwksFile": jwkSet(t, publicJWK(t, a).with(jwk{"kid": "a"}))}
	tests := []struct {
		name    string
		options options
		key     any
		header  claims
		want    string
	}{
		{"its own kid", named, a, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"another's kid", named, b, claims{"alg": "ES256", "kid": "a"}, "401 bad_signature"},
		{"the kid of a key of another alg", named, a, claims{"alg": "ES256", "kid": "c"}, "401 wrong_algorithm"},
		{"unknown kid", named, a, claims{"alg": "ES256", "kid": "z"}, "401 unknown_key"},
		{"kid in another case", named, a, claims{"alg": "ES256", "kid": "A"}, "401 unknown_key"},
		{"no kid, first key", named, a, claims{"alg": "ES256"}, "served"},
		{"no kid, second key", named, b, claims{"alg": "ES256"}, "served"},
		{"no kid, another alg", named, c, claims{"alg": "ES384"}, "served"},
		{"no kid, no key", named, r, claims{"alg": "RS256"}, "401 wrong_algorithm"},
		{"empty kid", named, b, claims{"alg": "ES256", "kid": ""}, "served"},
		{"kid like a composed name", named, a, claims{"alg": "ES256", "kid": "ES256 a"}, "401 unknown_key"},
		{"key without a kid, any kid", unnamed, b, claims{"alg": "ES256", "kid": "z"}, "served"},
		{"key without a kid, another's kid", unnamed, b, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"key with a kid beside one without", unnamed, a, claims{"alg": "ES256", "kid": "z"}, "401 bad_signature"},
		{"key with an empty kid", emptyName, b, claims{"alg": "ES256", "kid": "z"}, "served"},
		{"first of one kid", twins, a, claims{"alg": "ES256", "kid": "x"}, "served"},
		{"second of one kid", twins, b, claims{"alg": "ES256", "kid": "x"}, "served"},
		{"third of one kid", twins, r, claims{"alg": "PS256", "kid": "x"}, "served"},
		{"PEM, any kid", pemAndSet, b, claims{"alg": "ES256", "kid": "z"}, "served"},
		{"PEM, another's kid", pemAndSet, b, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"PEM, a kid that is a path", pemAndSet, b, claims{"alg": "ES256", "kid": "../../../dev/null"}, "served"},
		{"PEM beside the kid's own", pemAndSet, a, claims{"alg": "ES256", "kid": "a"}, "served"},
		{"PEM, the other's unknown kid", pemAndSet, a, claims{"alg": "ES256", "kid": "z"}, "401 bad_signature"},
		{"secret, any kid", secretAndSet, []byte(secret), claims{"alg": "HS256", "kid": "z"}, "served"},
		{"secret, another's kid", secretAndSet, []byte(secret), claims{"alg": "HS256", "kid": "a"}, "served"},
		{"secret beside a set, unknown kid", secretAndSet, a, claims{"alg": "ES256", "kid": "z"}, "401 unknown_key"},
	}
	bothWays(t, func(t *testing.T, e engine) {
		for _, test := range tests {
			handler, _ := e.middleware(t, test.options)
			if got := verdict(t, handler, signedBy(t, test.key, test.header, valid())); got != test.want {
				t.Errorf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
	})
}

// At most 16 signatures are tried for a token.
func TestCandidates(t *testing.T) {
	var named, unnamed []jwk
	var pairs []crypto.Signer
	for i := range [17]int{} {
		_, pair, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair)
		named = append(named, publicJWK(t, pair).with(jwk{"kid": fmt.Sprint("k", i+1)}))
		unnamed = append(unnamed, publicJWK(t, pair))
	}
	late := keyPair(t, "Ed25519")
	tests := []struct {
		name    string
		options options
		key     crypto.Signer
		kid     any
		want    string
	}{
		{"the first of 17", options{"jwksFile": jwkSet(t, unnamed...)}, pairs[0], nil, "served"},
		{"the 16th of 17", options{"jwksFile": jwkSet(t, unnamed...)}, pairs[15], nil, "served"},
		{"the 17th of 17", options{"jwksFile": jwkSet(t, unnamed...)}, pairs[16], nil, "401 bad_signature"},
		{"the 17th of 17 whose kid it names", options{"jwksFile": jwkSet(t, named...)}, pairs[16], "k17", "served"},
		{"the 17th of 17, without naming it", options{"jwksFile": jwkSet(t, named...)}, pairs[16], nil, "401 bad_signature"},
		{"the kid's own before 16 without one", options{"jwksFile": jwkSet(t, append(unnamed[:16:16], publicJWK(t, late).with(jwk{"kid": "late"}))...)}, late, "late", "served"},
		{"another option's, behind 16", options{"jwksFile": jwkSet(t, unnamed[:16]...), "publicKey": pemText(t, "PKIX", late)}, late, nil, "401 bad_signature"},
		{"another option's, behind 15", options{"jwksFile": jwkSet(t, unnamed[:15]...), "publicKey": pemText(t, "PKIX", late)}, late, nil, "served"},
	}
	bothWays(t, func(t *testing.T, e engine) {
		for _, test := range tests {
			handler, _ := e.middleware(t, test.options)
			if got := verdict(t, handler, signedBy(t, test.key, claims{"alg": "EdDSA"}.with(claims{"kid": test.kid}), valid())); got != test.want {
				t.Errorf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
	})
}

// No token chooses how a key is used, or which key (RFC 8725 2.1, 3.1).
func TestAlgorithmConfusion(t *testing.T) {
	rs, ec256, ec384, ed := keyPair(t, "RSA").(*rsa.PrivateKey), keyPair(t, "P-256").(*ecdsa.PrivateKey), keyPair(t, "P-384"), keyPair(t, "Ed25519")
	stranger := keyPair(t, "RSA of a stranger")
	rsPEM, ecPEM := pemText(t, "PKIX", rs), pemText(t, "PKIX", ec256)
	der, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := options{"publicKey": rsPEM}
	rsaAndSecret := options{"publicKey": rsPEM, "signingSecret": secret}
	ecKey := options{"publicKey": ecPEM}
	edKey := options{"publicKey": pemText(t, "PKIX", ed)}
	var fetched atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = rw.Write([]byte(jwkSet(t, publicJWK(t, stranger))))
	}))
	defer elsewhere.Close()

	// forged signs claims under a header that is free to lie.
	forged := func(header claims, sign func(input string) []byte) string {
		input := segment(t, header) + "." + segment(t, valid())
		return input + "." + b64url(sign(input))
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
		{"HS256 with the PEM, told the kid", options{"jwksFile": jwkSet(t, publicJWK(t, rs).with(jwk{"kid": "a"}))}, forged(claims{"alg": "HS256", "kid": "a"}, hmacWith(rsPEM)), "401 wrong_algorithm"},
		{"HS256 cut short", rsaAndSecret, forged(claims{"alg": "HS256"}, func(input string) []byte { return hmacWith(secret)(input)[:16] }), "401 bad_signature"},
		{"HS256 made longer", rsaAndSecret, forged(claims{"alg": "HS256"}, func(input string) []byte { return append(hmacWith(secret)(input), 0) }), "401 bad_signature"},
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
		{"ES256 with a P-384 key", options{"publicKey": pemText(t, "PKIX", ec384)}, forged(claims{"alg": "ES256"}, as("ES384", ec384)), "401 wrong_algorithm"},
		{"ES384 with a P-256 key", ecKey, forged(claims{"alg": "ES384"}, as("ES256", ec256)), "401 wrong_algorithm"},
		{"ES256 of a stranger", ecKey, forged(claims{"alg": "ES256"}, as("ES256", keyPair(t, "P-256 of a stranger"))), "401 bad_signature"},
		{"ES256 of zeros", ecKey, forged(claims{"alg": "ES256"}, constant(make([]byte, 64)...)), "401 bad_signature"},
		{"ES256 of the order", ecKey, forged(claims{"alg": "ES256"}, constant(append(elliptic.P256().Params().N.Bytes(), elliptic.P256().Params().N.Bytes()...)...)), "401 bad_signature"},
		{"ES256 in DER", ecKey, forged(claims{"alg": "ES256"}, asDER), "401 bad_signature"},
		{"ES256 with a leading zero", ecKey, forged(claims{"alg": "ES256"}, padded), "401 bad_signature"},
		{"ES256 without a signature", ecKey, forged(claims{"alg": "ES256"}, constant()), "401 bad_signature"},
		{"EdDSA of a stranger", edKey, forged(claims{"alg": "EdDSA"}, as("EdDSA", keyPair(t, "Ed25519 of a stranger"))), "401 bad_signature"},
		{"EdDSA of zeros", edKey, forged(claims{"alg": "EdDSA"}, constant(make([]byte, 64)...)), "401 bad_signature"},
		{"EdDSA without a signature", edKey, forged(claims{"alg": "EdDSA"}, constant()), "401 bad_signature"},
		{"EdDSA for an RSA key", rsaKey, forged(claims{"alg": "EdDSA"}, as("EdDSA", ed)), "401 wrong_algorithm"},
		{"jwk of a stranger", rsaKey, forged(claims{"alg": "RS256", "jwk": publicJWK(t, stranger)}, as("RS256", stranger)), "401 bad_signature"},
		{"jwk of a secret", rsaAndSecret, forged(claims{"alg": "HS256", "jwk": secretJWK("x")}, hmacWith("x")), "401 bad_signature"},
		{"jku of a stranger", rsaKey, forged(claims{"alg": "RS256", "jku": elsewhere.URL}, as("RS256", stranger)), "401 bad_signature"},
		{"x5u of a stranger", rsaKey, forged(claims{"alg": "RS256", "x5u": elsewhere.URL}, as("RS256", stranger)), "401 bad_signature"},
		{"x5c of a stranger", rsaKey, forged(claims{"alg": "RS256", "x5c": []string{base64.StdEncoding.EncodeToString(der)}}, as("RS256", stranger)), "401 bad_signature"},
		{"jwk, jku, x5u and x5c ignored", rsaKey, forged(claims{"alg": "RS256", "jwk": publicJWK(t, stranger), "jku": elsewhere.URL, "x5u": elsewhere.URL, "x5c": 7}, as("RS256", rs)), "served"},
	}
	bothWays(t, func(t *testing.T, e engine) {
		for _, test := range tests {
			handler, service := e.middleware(t, test.options)
			for range [2]int{} {
				if got := verdict(t, handler, test.token); got != test.want {
					t.Errorf("%s: got %s, want %s", test.name, got, test.want)
				}
			}
			if test.want != "served" && service.calls > 0 {
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
	a, b := keyPair(t, "P-256"), keyPair(t, "P-256 of a stranger")
	now := time.Now().Unix()
	due := valid().with(claims{"iat": now - 3000, "exp": now + 600})
	private, renew := pemText(t, "PKCS8", a), map[string]any{"before": "30m"}
	tests := []struct {
		name    string
		options options
		key     any
		header  claims
		renewed string // the alg and kid of the renewed token; empty: none
	}{
		{"privateKey", options{"privateKey": private}, a, claims{"alg": "ES256"}, "ES256 " + thumbprint(t, a)},
		{"signingSecret", options{"signingSecret": secret}, []byte(secret), claims{"alg": "HS384"}, "HS256 "},
		{"signingSecret narrowed", options{"signingSecret": secret, "algorithms": []string{"HS512", "HS256"}}, []byte(secret), claims{"alg": "HS256"}, "HS512 "},
		{"publicKey that is privateKey's half", options{"privateKey": private, "publicKey": pemText(t, "PKIX", a)}, a, claims{"alg": "ES256"}, "ES256 " + thumbprint(t, a)},
		{"publicKey that is privateKey's half, as a certificate", options{"privateKey": private, "publicKey": pemText(t, "certificate", a)}, a, claims{"alg": "ES256", "kid": "x"}, "ES256 " + thumbprint(t, a)},
		{"another publicKey", options{"privateKey": private, "publicKey": pemText(t, "PKIX", b)}, b, claims{"alg": "ES256"}, ""},
		{"another publicKey under privateKey's kid", options{"privateKey": private, "publicKey": pemText(t, "PKIX", b)}, b, claims{"alg": "ES256", "kid": thumbprint(t, a)}, ""},
		{"publicKey beside a secret", options{"signingSecret": secret, "publicKey": pemText(t, "PKIX", b)}, b, claims{"alg": "ES256"}, ""},
		{"first of jwksFile", options{"jwksFile": jwkSet(t, privateJWK(t, a).with(jwk{"kid": "a"}), publicJWK(t, b).with(jwk{"kid": "b"}))}, a, claims{"alg": "ES256"}, "ES256 a"},
		{"rotated out, in jwksFile", options{"jwksFile": jwkSet(t, privateJWK(t, a).with(jwk{"kid": "a"}), publicJWK(t, b).with(jwk{"kid": "b"}))}, b, claims{"alg": "ES256", "kid": "b"}, "ES256 a"},
		{"the first with private members signs", options{"jwksFile": jwkSet(t, publicJWK(t, b).with(jwk{"kid": "b"}), privateJWK(t, a).with(jwk{"kid": "a"}))}, b, claims{"alg": "ES256", "kid": "b"}, "ES256 a"},
		{"one that may only verify does not sign", options{"jwksFile": jwkSet(t, privateJWK(t, b).with(jwk{"kid": "b", "key_ops": []string{"verify"}}), privateJWK(t, a).with(jwk{"kid": "a"}))}, b, claims{"alg": "ES256", "kid": "b"}, "ES256 a"},
		{"a secret that may only verify does not sign", options{"jwksFile": jwkSet(t, secretJWK(secret).with(jwk{"kid": "b", "key_ops": []string{"verify"}}), privateJWK(t, a).with(jwk{"kid": "a"}))}, []byte(secret), claims{"alg": "HS256", "kid": "b"}, "ES256 a"},
		{"one that may only sign verifies its own", options{"jwksFile": jwkSet(t, privateJWK(t, a).with(jwk{"kid": "a", "key_ops": []string{"sign"}}))}, a, claims{"alg": "ES256", "kid": "a"}, "ES256 a"},
		{"jwksFile without kids", options{"jwksFile": jwkSet(t, privateJWK(t, a))}, a, claims{"alg": "ES256"}, "ES256 " + thumbprint(t, a)},
		{"jwksFile's alg", options{"jwksFile": jwkSet(t, privateJWK(t, keyPair(t, "RSA")).with(jwk{"kid": "r", "alg": "PS384"}))}, keyPair(t, "RSA"), claims{"alg": "PS384"}, "PS384 r"},
		{"privateKey before jwksFile before signingSecret", options{"signingSecret": secret, "jwksFile": jwkSet(t, privateJWK(t, b)), "privateKey": private}, []byte(secret), claims{"alg": "HS256"}, "ES256 " + thumbprint(t, a)},
		{"jwksFile before signingSecret", options{"signingSecret": secret, "jwksFile": jwkSet(t, privateJWK(t, b).with(jwk{"kid": "b"}))}, []byte(secret), claims{"alg": "HS256"}, "ES256 b"},
		{"RSA by default", options{"privateKey": pemText(t, "PKCS1", keyPair(t, "RSA"))}, keyPair(t, "RSA"), claims{"alg": "PS512"}, "RS256 " + thumbprint(t, keyPair(t, "RSA"))},
		{"Ed25519 by default", options{"privateKey": pemText(t, "PKCS8", keyPair(t, "Ed25519"))}, keyPair(t, "Ed25519"), claims{"alg": "Ed25519"}, "EdDSA " + thumbprint(t, keyPair(t, "Ed25519"))},
	}
	bothWays(t, func(t *testing.T, e engine) {
		for _, test := range tests {
			o := options{"renew": renew}
			for option, value := range test.options {
				o[option] = value
			}
			handler, _ := e.middleware(t, o)
			rec := send(t, handler, "GET", "/", bearer(signedBy(t, test.key, test.header, due)), nil)
			got := ""
			if renewed, ok := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer "); ok {
				header := headerOf(t, renewed)
				kid, _ := header["kid"].(string)
				got = fmt.Sprint(header["alg"], " ", kid)
				if again := verdict(t, handler, renewed); again != "served" {
					t.Errorf("%s: the renewed token: got %s, want served", test.name, again)
				}
			}
			if answer := answered(t, rec); answer != "served" || got != test.renewed {
				t.Errorf("%s: got %s and a token by %q, want served and %q", test.name, answer, got, test.renewed)
			}
		}
	})
}

// thumbprint is a key's, by RFC 7638.
func thumbprint(t testing.TB, pair crypto.Signer) string {
	t.Helper()
	text, err := json.Marshal(publicJWK(t, pair)) // In the order of the names, without white space.
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return b64url(sum[:])
}

func headerOf(t testing.TB, token string) claims {
	t.Helper()
	return payload(t, "."+strings.SplitN(token, ".", 2)[0]+".")
}

// The key of RFC 7638 3.1 has the thumbprint that the RFC gives: it is the kid under which its JWK is published.
func TestThumbprint(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	bothWays(t, func(t *testing.T, e engine) {
		handler, _ := e.middleware(t, options{"publishJwks": true, "jwksFile": jwkSet(t, jwk{"kty": "RSA", "n": n, "e": "AQAB"})})
		rec := send(t, handler, "GET", "/", nil, nil)
		if want := `"kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`; !strings.Contains(rec.Body.String(), want) {
			t.Errorf("got %s, want it to hold %s", rec.Body, want)
		}
	})
}

// eventually repeats a request until it has the wanted answer: key files are looked at once a second.
func eventually(t testing.TB, handler http.Handler, token, want string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := verdict(t, handler, token)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %s for 20 seconds, want %s", got, want)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Key files are read again when they change, and a broken one leaves the known keys in use.
func TestKeyFiles(t *testing.T) {
	a, b := keyPair(t, "P-256"), keyPair(t, "P-256 of a stranger")
	byA := signedBy(t, a, claims{"alg": "ES256"}, valid())
	byB := signedBy(t, b, claims{"alg": "ES256"}, valid())
	bySecret := token(t, valid())
	bothWays(t, func(t *testing.T, e engine) {
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
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), pemText(t, "PKIX", a))
			handler, _ := e.middleware(t, options{"publicKey": name})
			for range [2]int{} { // The second is remembered.
				if got := verdict(t, handler, byA); got != "served" {
					t.Errorf("got %s, want served", got)
				}
			}
			writeFile(t, name, pemText(t, "PKIX", b))
			eventually(t, handler, byB, "served")
			// The remembered token went with its key.
			if got := verdict(t, handler, byA); got != "401 bad_signature" {
				t.Errorf("the token of the old key: got %s, want 401 bad_signature", got)
			}
		})
		run("grown", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), jwkSet(t, publicJWK(t, a).with(jwk{"kid": "a"})))
			handler, _ := e.middleware(t, options{"jwksFile": name})
			if got := verdict(t, handler, byA); got != "served" {
				t.Errorf("got %s, want served", got)
			}
			writeFile(t, name, jwkSet(t, publicJWK(t, b).with(jwk{"kid": "b"}), publicJWK(t, a).with(jwk{"kid": "a"})))
			eventually(t, handler, byB, "served")
			for range [2]int{} {
				if got := verdict(t, handler, byA); got != "served" {
					t.Errorf("the token of the key that stayed: got %s, want served", got)
				}
			}
		})
		for _, broken := range []string{"{", `{"keys":[]}`, "", `{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}`} {
			run("broken, mended "+broken, func(t *testing.T) {
				name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), jwkSet(t, publicJWK(t, a)))
				marker := writeFile(t, filepath.Join(t.TempDir(), "secret"), secret)
				handler, _ := e.middleware(t, options{"jwksFile": name, "signingSecret": marker})
				writeFile(t, name, broken)
				// Another file that changes shows when the files were looked at.
				for _, other := range []string{"another " + secret, "a third " + secret} {
					writeFile(t, marker, other)
					eventually(t, handler, hs256With(t, other), "served")
					if got := verdict(t, handler, byA); got != "served" {
						t.Errorf("got %s, want the old keys in use", got)
					}
				}
				line := fmt.Sprintf("jwksFile: the file %q cannot be used", name)
				if got := strings.Count(e.log.String(), line); got != 1 {
					t.Errorf("got %d lines %q, want 1", got, line)
				}
				writeFile(t, name, jwkSet(t, publicJWK(t, b)))
				eventually(t, handler, byB, "served")
				if got := verdict(t, handler, byA); got != "401 bad_signature" {
					t.Errorf("the token of the old key: got %s, want 401 bad_signature", got)
				}
			})
		}
		run("removed, then there again", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), pemText(t, "PKIX", a))
			marker := writeFile(t, filepath.Join(t.TempDir(), "secret"), secret)
			handler, _ := e.middleware(t, options{"publicKey": name, "signingSecret": marker})
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			writeFile(t, marker, "another "+secret)
			eventually(t, handler, hs256With(t, "another "+secret), "served")
			if got := verdict(t, handler, byA); got != "served" {
				t.Errorf("got %s, want the old key in use", got)
			}
			writeFile(t, name, pemText(t, "PKIX", b))
			eventually(t, handler, byB, "served")
		})
		run("missing at first", func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key.pem")
			before := len(e.log.String())
			handler, service := e.middleware(t, options{"publicKey": name, "realm": "missing at first"})
			if logged := e.log.String()[before:]; !strings.Contains(logged, fmt.Sprintf("publicKey: the file %q cannot be used", name)) {
				t.Errorf("got the log %q, want an error line", logged)
			}
			for _, token := range []string{byA, byB, bySecret} {
				rec := send(t, handler, "GET", "/", bearer(token), nil)
				if got := answered(t, rec); got != "503 keys_unavailable" || rec.Header().Get("Retry-After") == "" {
					t.Errorf("got %s, Retry-After %q, want 503 keys_unavailable with one", got, rec.Header().Get("Retry-After"))
				}
			}
			if service.calls != 0 {
				t.Error("the service was called")
			}
			writeFile(t, name, pemText(t, "PKIX", a))
			eventually(t, handler, byA, "served")
			if got := verdict(t, handler, byB); got != "401 bad_signature" {
				t.Errorf("got %s, want 401 bad_signature", got)
			}
		})
		run("broken at first", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), "-----BEGIN PUBLIC KEY-----")
			handler, _ := e.middleware(t, options{"publicKey": name})
			if got := verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
			writeFile(t, name, pemText(t, "PKIX", a))
			eventually(t, handler, byA, "served")
		})
		run("no regular file", func(t *testing.T) {
			handler, _ := e.middleware(t, options{"publicKey": t.TempDir()})
			if got := verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
		})
		run("too large a file", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "key.pem"), pemText(t, "PKIX", a)+strings.Repeat("\n", 1<<20))
			handler, _ := e.middleware(t, options{"publicKey": name})
			if got := verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
		})
		run("no longer ours", func(t *testing.T) {
			name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), jwkSet(t, publicJWK(t, a)))
			handler, _ := e.middleware(t, options{"signingSecret": secret, "jwksFile": name, "publicKey": pemText(t, "PKIX", a), "renew": map[string]any{"before": "50%"}})
			now := time.Now().Unix()
			due := signedBy(t, a, claims{"alg": "ES256"}, valid().with(claims{"iat": now - 3000, "exp": now + 600}))
			if got := send(t, handler, "GET", "/", bearer(due), nil).Header().Get("Authorization"); got == "" {
				t.Error("got no renewed token, want one")
			}
			writeFile(t, name, jwkSet(t, publicJWK(t, b)))
			eventually(t, handler, byB, "served")
			// The key is still there, but as somebody else's: what is remembered of the token changes with it.
			rec := send(t, handler, "GET", "/", bearer(due), nil)
			if got := rec.Header().Get("Authorization"); rec.Code != http.StatusOK || got != "" {
				t.Errorf("got %d and the renewed token %q, want 200 and none", rec.Code, got)
			}
		})
		run("many at once", func(t *testing.T) {
			ofA, ofB := publicJWK(t, a).with(jwk{"kid": "a"}), publicJWK(t, b).with(jwk{"kid": "b"})
			name := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), jwkSet(t, ofA, ofB))
			handler, _ := e.middleware(t, options{"jwksFile": name, "cacheSize": 50})
			forged := byA[:len(byA)-10] + strings.Repeat("A", 10)
			var requests sync.WaitGroup
			for i := range [8]int{} {
				requests.Add(1)
				go func() {
					defer requests.Done()
					for j := range [40]int{} {
						fresh := signedBy(t, a, claims{"alg": "ES256"}, valid().with(claims{"sub": fmt.Sprint(i, j)}))
						for token, want := range map[string]string{byA: "served", byB: "served", fresh: "served", forged: "401 bad_signature"} {
							if got := verdict(t, handler, token); got != want {
								t.Errorf("got %s, want %s", got, want)
							}
						}
						if i == 0 && j%10 == 0 {
							writeFile(t, name+".new", jwkSet(t, ofB, ofA.with(jwk{"use": "sig", "n": fmt.Sprint(j)})))
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
			handler, _ := e.middleware(t, options{"signingSecret": secret, "publicKey": "./there/is/no/such.pem"})
			for token, want := range map[string]string{bySecret: "served", byA: "503 keys_unavailable", "a.b.c": "401 token_malformed"} {
				if got := verdict(t, handler, token); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
		run("missing with what a signer would serve", func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key.pem")
			handler, _ := e.middleware(t, options{"privateKey": name, "renew": map[string]any{"before": "99%"}, "algorithms": []string{"ES256"}})
			if got := verdict(t, handler, byA); got != "503 keys_unavailable" {
				t.Errorf("got %s, want 503 keys_unavailable", got)
			}
			writeFile(t, name, pemText(t, "PKCS8", a))
			eventually(t, handler, byA, "served")
		})
		run("paths are told by their start", func(t *testing.T) {
			for _, path := range []string{"/no/such/file", "./no/such/file", "../no/such/file", `C:\no\such\file`, "c:/no/such/file"} {
				handler, _ := e.middleware(t, options{"signingSecret": path})
				if got := verdict(t, handler, bySecret); got != "503 keys_unavailable" {
					t.Errorf("%s: got %s, want 503 keys_unavailable", path, got)
				}
			}
			for _, content := range []string{".../no such file, but a secret of some length", "no/such/file/but/a/secret/of/some/length", " /no such file, but a secret of some length", "9:/no such file, but a secret of some length"} {
				handler, _ := e.middleware(t, options{"signingSecret": content})
				if got := verdict(t, handler, hs256With(t, content)); got != "served" {
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
				name := writeFile(t, filepath.Join(dir, version, "key.pem"), pemText(t, "PKIX", pair))
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
			handler, _ := e.middleware(t, options{"publicKey": filepath.Join(dir, "key.pem")})
			if got := verdict(t, handler, byA); got != "served" {
				t.Errorf("got %s, want served", got)
			}
			link("v2", "..data_tmp")
			if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
			eventually(t, handler, byB, "served")
			if got := verdict(t, handler, byA); got != "401 bad_signature" {
				t.Errorf("got %s, want 401 bad_signature", got)
			}
		})
	})
}

// hs256With is a token under a given secret.
func hs256With(t testing.TB, secret string) string {
	t.Helper()
	return signedBy(t, []byte(secret), claims{"alg": "HS256"}, valid())
}
