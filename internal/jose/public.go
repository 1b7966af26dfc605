package jose

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
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

// keyLine is the start of a public key as OpenSSH writes it: its type, and its type again in base64, after a length.
var keyLine = regexp.MustCompile(`(ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+[ \t]+AAAA`)

func plainPublicKind(secret []byte) string {
	text := strings.ReplaceAll(string(secret), "\x00", "") // UTF-16, as some editors write it.
	switch {                                               // Yaegi: of several conditions in one case only one is looked at.
	case strings.Contains(text, "-----BEGIN "):
		return "a PEM"
	case strings.Contains(text, "---- BEGIN SSH2 ") || keyLine.MatchString(text):
		return "an SSH key"
	case strings.Contains(text, "<Modulus>") || strings.Contains(text, "Public-Key: ("):
		return "a public key"
	}
	var object map[string]json.RawMessage
	start := strings.IndexByte(text, '{')
	if start >= 0 && json.NewDecoder(strings.NewReader(text[start:])).Decode(&object) == nil && (object["kty"] != nil || object["keys"] != nil) {
		return "a JSON Web Key"
	}
	if isDER(secret) {
		return "a public key"
	}
	return ""
}

// isDER says whether data is a public key or certificate in DER, the bytes that a PEM has in base64.
func isDER(data []byte) bool {
	if len(data) == 0 || data[0] != 0x30 { // ASN.1's SEQUENCE
		return false
	}
	if _, err := x509.ParsePKIXPublicKey(data); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PublicKey(data); err == nil {
		return true
	}
	_, err := x509.ParseCertificate(data)
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
