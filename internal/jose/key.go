package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Key is a key that verifies, and may sign. It is held in its typed form and bound to its algorithms when it is read, so
// no token can choose how it is used (RFC 8725 3.1). It does not change once it is bound.
//
// Yaegi: a comma-ok assertion cannot tell interpreted types apart, so there is a field for each kind.
type Key struct {
	KID  string // empty for a PEM key or secret, which is tried for tokens of any kid
	Algs []string
	// Thumbprint is the RFC 7638 thumbprint of a public key, or "oct " and a hash of a secret.
	Thumbprint string
	// ID is the same for two keys only if they treat every token alike.
	ID string
	// IsOwn says that the operator holds it: its tokens may be renewed.
	IsOwn bool
	// SignAlg is how it signs; empty if it does not.
	SignAlg string

	algorithms map[string]*Algorithm // those of Algs, by name; nil until it is bound

	secret  []byte
	rsa     *rsa.PublicKey
	ecdsa   *ecdsa.PublicKey
	ed25519 ed25519.PublicKey
	// checker is a certificate with nothing but the RSA or Ed25519 key: package x509 checks signatures with it.
	checker *x509.Certificate

	private any    // *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or []byte; nil if it cannot sign
	jwkAlg  string // the JWK's alg; empty if there is none
}

// The length of an RSA modulus, in bits. A shorter one is weak (RFC 7518 3.3); with a longer one each signature is costly to check,
// a forged one too.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// ErrTooWeak is the error of a key that no algorithm may use.
var ErrTooWeak = errors.New("it is too weak")

// NewSecret makes a key of an HMAC secret, for the algorithms whose hash is not longer (RFC 7518 3.2). It refuses a secret
// under 32 bytes, and a public key in any form.
func NewSecret(secret []byte, kid string) (*Key, error) {
	if kind := publicKind(secret); kind != "" {
		return nil, fmt.Errorf("it is %s, which is not a secret", kind)
	}
	k := &Key{KID: kid, secret: secret, private: secret}
	for _, algorithm := range algorithms {
		if algorithm.KeyType == "oct" && len(secret) >= algorithm.MinSecret {
			k.Algs = append(k.Algs, algorithm.Name)
		}
	}
	if len(k.Algs) == 0 {
		return nil, fmt.Errorf("a secret of %d bytes is shorter than the 32 that HS256 needs", len(secret))
	}
	sum := sha256.Sum256(secret)
	k.Thumbprint = "oct " + Base64.EncodeToString(sum[:])
	return k, nil
}

// newPublic makes a key of a public key of the standard library.
func newPublic(public any, kid string) (*Key, error) {
	k := &Key{KID: kid}
	switch pub := public.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(pub); err != nil {
			return nil, err
		}
		k.rsa = pub
		k.checker = &x509.Certificate{PublicKeyAlgorithm: x509.RSA, PublicKey: pub}
		k.Algs = algorithmsOf("RSA", "")
	case *ecdsa.PublicKey:
		k.Algs = algorithmsOf("EC", pub.Curve.Params().Name)
		if len(k.Algs) == 0 {
			return nil, errors.New("the curve is not P-256, P-384 or P-521")
		}
		if _, err := pub.ECDH(); err != nil {
			return nil, errors.New("the point is not on the curve")
		}
		k.ecdsa = pub
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return nil, errors.New("the Ed25519 key is not 32 bytes long")
		}
		k.ed25519 = pub
		k.checker = &x509.Certificate{PublicKeyAlgorithm: x509.Ed25519, PublicKey: pub}
		k.Algs = algorithmsOf("OKP", "Ed25519")
	default:
		return nil, errors.New("the key is not RSA, ECDSA or Ed25519")
	}
	sum := sha256.Sum256([]byte(publicMembers(k)))
	k.Thumbprint = Base64.EncodeToString(sum[:])
	return k, nil
}

func checkRSA(public *rsa.PublicKey) error {
	if bits := public.N.BitLen(); bits < minRSABits {
		return fmt.Errorf("an RSA key of %d bits is shorter than %d", bits, minRSABits)
	}
	if bits := public.N.BitLen(); bits > maxRSABits {
		return fmt.Errorf("an RSA key of %d bits is longer than %d", bits, maxRSABits)
	}
	if public.E < 3 || public.E%2 == 0 {
		return errors.New("the RSA key's exponent is not odd and at least 3")
	}
	return nil
}

// newPrivate makes a signing key of a private key of the standard library.
func newPrivate(private any, kid string) (*Key, error) {
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

// IsPrivate says whether it can sign.
func (k *Key) IsPrivate() bool { return k.private != nil }

// PublicKID is the kid of its tokens and of its public half: its own, else its thumbprint (RFC 7638). A secret without a kid
// has none.
func (k *Key) PublicKID() string {
	if k.KID == "" && k.secret == nil {
		return k.Thumbprint
	}
	return k.KID
}

// Bind fixes what the key may do: its algorithms, narrowed to the configured ones if there are any; whether it is the operator's own,
// so that its tokens may be renewed; and how it signs: as its JWK says, else with the first configured algorithm that fits,
// else with the first of its type. It is called once, before other goroutines see the key.
func (k *Key) Bind(configured []string, isOwn bool) {
	k.IsOwn = isOwn
	if len(configured) > 0 {
		possible := k.Algs
		k.Algs = nil
		for _, alg := range possible {
			if Allows(configured, alg) {
				k.Algs = append(k.Algs, alg)
			}
		}
	}
	k.algorithms = map[string]*Algorithm{}
	for _, alg := range k.Algs {
		k.algorithms[alg] = algorithmsByName[alg]
	}
	k.ID = fmt.Sprintf("%s %t %s %s", k.Thumbprint, isOwn, strings.Join(k.Algs, ","), k.KID)
	if k.private == nil || len(k.Algs) == 0 {
		return
	}
	k.SignAlg = k.Algs[0]
	for _, alg := range configured {
		if k.jwkAlg == "" && contains(k.Algs, alg) {
			k.SignAlg = alg
			return
		}
	}
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}
