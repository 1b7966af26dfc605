package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
)

// publicKind names the kind of key that is given as a secret by mistake, in any of the forms that keys are passed around in; empty if
// the secret is none. Otherwise whoever knows a public key could sign with it (RFC 8725 2.1).
func publicKind(secret []byte) string {
	for range [3]int{} { // The base64 inside a PEM may itself be in base64.
		if kind := plainPublicKind(secret); kind != "" {
			return kind
		}
		decoded, err := DecodeAnyBase64(string(bytes.TrimPrefix(secret, byteOrderMark)))
		if err != nil {
			return ""
		}
		secret = decoded
	}
	return ""
}

var byteOrderMark = []byte("\ufeff")

var (
	// keyLine is the start of a public key as OpenSSH writes it: its type, and its type again in base64, after a length. keyBlob is the
	// start of what that base64 holds.
	keyLine = regexp.MustCompile(`(ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+\s+AAAA`)
	keyBlob = regexp.MustCompile(`^\x00\x00\x00.(ssh-|ecdsa-sha2-|sk-)`)
	// webKey is a member that every JWK or JWK Set has, wherever it stands in a document.
	webKey = regexp.MustCompile(`(?i)["']kty\\?["']\s*:|["']keys\\?["']\s*:\s*\[`)
	xmlKey = regexp.MustCompile(`(?i)<(\w+:)?(Modulus|X509Certificate)>`)
)

func plainPublicKind(secret []byte) string {
	text := strings.ReplaceAll(string(secret), "\x00", "") // UTF-16, as some editors write it.
	switch {                                               // Yaegi: of several conditions in one case only one is looked at.
	case strings.Contains(text, "-----BEGIN"): // What follows may be percent-encoded.
		return "a PEM"
	case strings.Contains(text, "---- BEGIN SSH2 ") || keyLine.MatchString(text) || keyBlob.Match(secret):
		return "an SSH key"
	case xmlKey.MatchString(text) || strings.Contains(text, "Public-Key: ("):
		return "a public key"
	}
	if webKey.MatchString(text) {
		return "a JSON Web Key"
	}
	if isDER(secret) {
		return "a public key"
	}
	return ""
}

// isDER says whether data begins with a public key, certificate or request for one in DER, the bytes that a PEM has in base64.
func isDER(data []byte) bool {
	var first asn1.RawValue
	if _, err := asn1.Unmarshal(data, &first); err != nil {
		return false
	}
	if _, err := x509.ParsePKIXPublicKey(first.FullBytes); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PublicKey(first.FullBytes); err == nil {
		return true
	}
	if _, err := x509.ParseCertificateRequest(first.FullBytes); err == nil {
		return true
	}
	_, err := x509.ParseCertificate(first.FullBytes)
	return err == nil
}

// DecodeAnyBase64 decodes either alphabet of base64, with or without padding and white space.
func DecodeAnyBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	if strings.ContainsAny(text, "-_") {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("it is not base64")
		}
		return decoded, nil
	}
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	return decoded, nil
}
