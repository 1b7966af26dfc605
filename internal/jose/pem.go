package jose

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// maxPrivateBytes bounds a private key in a PEM: the time to check one grows with the cube of its length. An RSA key of 8192 bits
// has less than 5 KiB.
const maxPrivateBytes = 8 << 10

// ParsePEM reads the first key or certificate of a PEM (RFC 7468): a public key or certificate, or a private key in PKCS#1,
// PKCS#8 or SEC 1. Its errors do not repeat the text.
func ParsePEM(text string) (*Key, error) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n") // As environment variables bring it.
	}
	rest := []byte(text)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("there is no PEM key in it")
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") && len(block.Bytes) > maxPrivateBytes {
			return nil, errors.New("the private key is longer than an RSA key of 8192 bits") // Not even parsed: that would take long.
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
			return nil, fmt.Errorf("a PEM block %s is neither a key nor a certificate", logline.Quote(block.Type))
		}
		if err != nil {
			return nil, errors.New("the PEM block holds no key that can be read")
		}
		k, err := newPublic(parsed, "")
		return k, err
	}
}

func finishPrivate(parsed any, err error) (*Key, error) {
	if err != nil {
		return nil, errors.New("the PEM block holds no key that can be read")
	}
	k, err := newPrivate(parsed, "")
	return k, err
}
