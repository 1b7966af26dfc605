package jose_test

import (
	"encoding/pem"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestParsePEM(t *testing.T) {
	rs, ec, ed := minted.Key(t, "RSA"), minted.Key(t, "P-384"), minted.Key(t, "Ed25519")
	block := func(kind, octets string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(octets)}))
	}
	const unreadable, none = "no key that can be read", "there is no PEM key in it"
	tests := []struct {
		name, text string
		key        string // of minted; empty: none
		isPrivate  bool
		problem    string
	}{
		{"PKCS1", minted.PEM(t, "PKCS1", rs), "RSA", true, ""},
		{"PKCS8", minted.PEM(t, "PKCS8", ed), "Ed25519", true, ""},
		{"SEC1", minted.PEM(t, "SEC1", ec), "P-384", true, ""},
		{"PKIX", minted.PEM(t, "PKIX", ed), "Ed25519", false, ""},
		{"PKCS1 public", minted.PEM(t, "PKCS1 public", rs), "RSA", false, ""},
		{"certificate", minted.PEM(t, "certificate", ec), "P-384", false, ""},
		{"text around it", "# the key\n" + minted.PEM(t, "PKIX", ec) + "# its end\n", "P-384", false, ""},
		{"the first of two", minted.PEM(t, "PKIX", ec) + minted.PEM(t, "PKIX", rs), "P-384", false, ""},
		{"parameters before it", block("EC PARAMETERS", "\x06\x05+\x81\x04\x00\"") + minted.PEM(t, "SEC1", ec), "P-384", true, ""},
		{"parameters alone", block("EC PARAMETERS", "x"), "", false, none},
		{"empty", "", "", false, none},
		{"no PEM", minted.Secret, "", false, none},
		{"a request", block("CERTIFICATE REQUEST", "x"), "", false, `a PEM block "CERTIFICATE REQUEST" is neither a key nor a certificate`},
		{"an encrypted key", block("ENCRYPTED PRIVATE KEY", "x"), "", false, "neither a key nor a certificate"},
		{"an unreadable key", block("PUBLIC KEY", "x"), "", false, unreadable},
		{"an unreadable RSA key", block("RSA PUBLIC KEY", "x"), "", false, unreadable},
		{"an unreadable certificate", block("CERTIFICATE", "x"), "", false, unreadable},
		{"an unreadable private key", block("PRIVATE KEY", "x"), "", false, unreadable},
		{"an unreadable private RSA key", block("RSA PRIVATE KEY", "x"), "", false, unreadable},
		{"an unreadable private EC key", block("EC PRIVATE KEY", "x"), "", false, unreadable},
		{"a private key of 8 KiB", block("PRIVATE KEY", strings.Repeat("x", 8<<10)), "", false, unreadable},
		{"a longer private key", block("PRIVATE KEY", strings.Repeat("x", 8<<10+1)), "", false, "longer than an RSA key of 8192 bits"},
	}
	for _, test := range tests {
		k, err := jose.ParsePEM(test.text)
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v, want an error %q", test.name, err, test.problem)
		}
		if err != nil || test.key == "" {
			continue
		}
		if want := minted.Thumbprint(t, minted.Key(t, test.key)); k.Thumbprint != want || k.IsPrivate() != test.isPrivate || k.KID != "" {
			t.Errorf("%s: got %s, private: %t, kid %q, want %s, %t, none", test.name, k.Thumbprint, k.IsPrivate(), k.KID, want, test.isPrivate)
		}
	}
}
