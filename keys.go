package slidingjwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// key is a key that verifies, and may sign. It is held in its typed form and bound to its algorithms, so that
// no token can choose how it is used (RFC 8725 3.1).
//
// Yaegi: a comma-ok assertion cannot tell interpreted types apart, so there is a field for each kind.
type key struct {
	kid    string // empty for a PEM key or secret, which meets tokens of any kid
	print  string // RFC 7638 thumbprint, or the hash of a secret
	id     string // distinguishes it from every key that would treat a token differently
	algs   []string
	own    bool // it is ours: its tokens may be renewed
	secret []byte
	rsa    *rsa.PublicKey
	ecdsa  *ecdsa.PublicKey
	ed     ed25519.PublicKey

	certificate *x509.Certificate // of the RSA or Ed25519 key alone: it verifies with it

	private any    // for signing: *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or []byte; nil if it cannot sign
	signAlg string // how it signs; empty if it cannot
	jwkAlg  string // the JWK's alg; empty if there is none
}

// A longer RSA key makes every signature that it checks costly, a stranger's too.
const (
	minRSABits = 2048
	maxRSABits = 8192

	maxPrivateBytes = 8 << 10 // of a PEM: such a key has less than 5 KiB
)

var knownAlgorithms = map[string]bool{
	"HS256": true, "HS384": true, "HS512": true, "RS256": true, "RS384": true, "RS512": true, "PS256": true, "PS384": true, "PS512": true,
	"ES256": true, "ES384": true, "ES512": true, "EdDSA": true, "Ed25519": true,
}

// b64 is base64url without padding, in its one canonical form (RFC 7515 2).
var b64 = base64.RawURLEncoding.Strict()

// keySet are keys by what a token says of its own: no key is tried that does not fit.
type keySet struct {
	byAlg map[string][]*key // every key of an algorithm
	byKid map[string][]*key // "alg kid": the keys of that kid
	noKid map[string][]*key // the keys of an algorithm that have no kid
	kids  map[string]bool
	ids   map[string]bool // what a remembered token's key must be among
}

func newKeySet(keys []*key) *keySet {
	set := &keySet{byAlg: map[string][]*key{}, byKid: map[string][]*key{}, noKid: map[string][]*key{}, kids: map[string]bool{}, ids: map[string]bool{}}
	for _, k := range keys {
		set.ids[k.id] = true
		if k.kid != "" {
			set.kids[k.kid] = true
		}
		for _, alg := range k.algs {
			set.byAlg[alg] = append(set.byAlg[alg], k)
			if k.kid == "" {
				set.noKid[alg] = append(set.noKid[alg], k)
			} else {
				set.byKid[alg+" "+k.kid] = append(set.byKid[alg+" "+k.kid], k)
			}
		}
	}
	return set
}

// newSecret makes a key of an HMAC secret (RFC 7518 3.2).
func newSecret(secret []byte, kid string) (*key, error) {
	if kind := publicKind(secret); kind != "" {
		return nil, fmt.Errorf("it is %s, which is not a secret", kind)
	}
	k := &key{kid: kid, secret: secret, private: secret}
	for i, alg := range []string{"HS256", "HS384", "HS512"} {
		if len(secret) >= 32+16*i {
			k.algs = append(k.algs, alg)
		}
	}
	if len(k.algs) == 0 {
		return nil, fmt.Errorf("a secret of %d bytes is shorter than the 32 that HS256 needs", len(secret))
	}
	sum := sha256.Sum256(secret)
	k.print = "oct " + b64.EncodeToString(sum[:])
	return k, nil
}

// newPublic makes a key of a public key of the standard library.
func newPublic(public any, kid string) (*key, error) {
	k := &key{kid: kid}
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if pub.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is shorter than 2048", pub.N.BitLen())
		}
		if pub.N.BitLen() > maxRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is longer than 8192", pub.N.BitLen())
		}
		if pub.E < 3 || pub.E%2 == 0 {
			return nil, errors.New("the RSA key's exponent is not odd and at least 3")
		}
		k.rsa = pub
		k.certificate = &x509.Certificate{PublicKeyAlgorithm: x509.RSA, PublicKey: pub}
		k.algs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[pub.Curve.Params().Name]
		if alg == "" {
			return nil, errors.New("the curve is not P-256, P-384 or P-521")
		}
		if _, err := pub.ECDH(); err != nil {
			return nil, errors.New("the point is not on the curve")
		}
		k.ecdsa = pub
		k.algs = []string{alg}
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return nil, errors.New("the Ed25519 key has not 32 bytes")
		}
		k.ed = pub
		k.certificate = &x509.Certificate{PublicKeyAlgorithm: x509.Ed25519, PublicKey: pub}
		k.algs = []string{"EdDSA", "Ed25519"}
	default:
		return nil, errors.New("the key is not RSA, ECDSA or Ed25519")
	}
	sum := sha256.Sum256([]byte(publicJWK(k)))
	k.print = b64.EncodeToString(sum[:])
	return k, nil
}

// newPrivate makes a signing key of a private key of the standard library.
func newPrivate(private any, kid string) (*key, error) {
	var public any
	switch priv := private.(type) {
	case *rsa.PrivateKey:
		public = &priv.PublicKey
	case *ecdsa.PrivateKey:
		public = &priv.PublicKey
	case ed25519.PrivateKey:
		public = priv.Public()
	default:
		return nil, errors.New("the key is not RSA, ECDSA or Ed25519")
	}
	k, err := newPublic(public, kid)
	if err != nil {
		return nil, err
	}
	k.private = private
	return k, nil
}

// bindKey narrows a key to the configured algorithms and decides how it signs: as its JWK says, else with the
// first configured algorithm that fits, else with the usual one of its type.
func bindKey(k *key, configured []string) {
	possible := k.algs
	if len(configured) > 0 {
		k.algs = nil
		for _, alg := range possible {
			if allows(configured, alg) {
				k.algs = append(k.algs, alg)
			}
		}
	}
	k.id = k.print + " " + k.kid + " " + strings.Join(k.algs, ",")
	if k.own {
		k.id += " ours" // The same key may also be a publicKey, whose tokens are not renewed.
	}
	if k.private == nil || len(k.algs) == 0 {
		return
	}
	k.signAlg = k.algs[0]
	for _, alg := range configured {
		if k.jwkAlg == "" && contains(k.algs, alg) {
			k.signAlg = alg
			break
		}
	}
}

// allows says whether an algorithm is in a list; EdDSA and Ed25519 are two names of one (RFC 9864).
func allows(list []string, alg string) bool {
	if alg == "EdDSA" || alg == "Ed25519" {
		return contains(list, "EdDSA") || contains(list, "Ed25519")
	}
	return contains(list, alg)
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}

// parsePEM reads the first key or certificate of a PEM.
func parsePEM(text string) (*key, error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("there is no PEM key in it")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") && len(block.Bytes) > maxPrivateBytes {
			return nil, errors.New("the private key is longer than an RSA key of 8192 bits") // To check it would take long.
		}
		var parsed any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				parsed = certificate.PublicKey
			}
		case "PRIVATE KEY":
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
			return finishPrivate(parsed, err)
		case "RSA PRIVATE KEY":
			parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
			return finishPrivate(parsed, err)
		case "EC PRIVATE KEY":
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
			return finishPrivate(parsed, err)
		case "EC PARAMETERS":
			continue
		default:
			return nil, fmt.Errorf("a PEM block %s is neither a key nor a certificate", quote(block.Type))
		}
		if err != nil {
			return nil, errors.New("the PEM block holds no key that can be read")
		}
		k, err := newPublic(parsed, "")
		return k, err
	}
}

func finishPrivate(parsed any, err error) (*key, error) {
	if err != nil {
		return nil, errors.New("the PEM block holds no key that can be read")
	}
	k, err := newPrivate(parsed, "")
	return k, err
}
