package jose_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// TestPublicKeyAsSecret gives a public key as HMAC secret in the forms that people pass keys around in: whoever knows it
// could sign.
func TestPublicKeyAsSecret(t *testing.T) {
	public := minted.PEM(t, "PKIX", minted.Key(t, "RSA"))
	certificate := minted.PEM(t, "certificate", minted.Key(t, "P-256"))
	body := strings.Join(strings.Split(public, "\n")[1:len(strings.Split(public, "\n"))-2], "")
	jwkText := string(minted.JWKSet(t, minted.PublicJWK(t, minted.Key(t, "P-256"))))
	one := strings.TrimSuffix(strings.TrimPrefix(jwkText, `{"keys":[`), `]}`)
	wide := strings.Join(strings.Split(public, ""), "\x00") + "\x00"
	tests := map[string]string{
		"PEM":                          public,
		"PEM behind a byte order mark": "\ufeff" + public,
		"PEM behind a comment":         "# the key of the realm\n" + public,
		"PEM behind Bag Attributes":    "Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n" + certificate,
		"certificate with its text":    "Certificate:\n    Data:\n        Version: 3 (0x2)\n" + certificate,
		"a certificate's text":         "Certificate:\n    Data:\n        Public Key Algorithm: rsaEncryption\n                Public-Key: (2048 bit)\n",
		"PEM on one line":              strings.ReplaceAll(public, "\n", `\n`),
		"PEM indented":                 "    " + strings.ReplaceAll(public, "\n", "\n    "),
		"PEM in 16-bit characters":     wide,
		"PEM without its armor":        body,
		"PEM without its armor, lines": strings.Join(strings.Split(public, "\n")[1:4], "\n") + "\n" + strings.Join(strings.Split(public, "\n")[4:len(strings.Split(public, "\n"))-2], "\n"),
		"PGP":                          "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENBF…\n",
		"JWK":                          one,
		"JWK behind white space":       "\n\t " + one,
		"JWK behind a byte order mark": "\ufeff" + one,
		"JWK Set":                      jwkText,
		"a list of JWKs":               "[" + one + "]",
		"ssh-rsa":                      "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 ada@example.com",
		"ssh-rsa behind options":       `from="10.0.0.1" ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 ada`,
		"ssh-ed25519":                  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada@example.com",
		"ecdsa-sha2-nistp256":          "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI ada",
		"SSH2":                         "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2EAAAADAQABAAABAQC7\n---- END SSH2 PUBLIC KEY ----",
		"XML":                          "<RSAKeyValue><Modulus>u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6</Modulus></RSAKeyValue>",
	}
	good := []string{
		"a passphrase with -----dashes----- that is long enough",
		"ssh-agent forwarding is not a key, is it? no, it is not",
		`{"a": "JSON object that is not a key, and is long enough"}`,
		minted.Secret,
		"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A-begins-like-a-key-and-is-none",
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for name, text := range tests {
			encoded := base64.StdEncoding.EncodeToString([]byte(text))
			for how, o := range map[string]options{
				"content":             {"signingSecret": text},
				"in base64":           {"signingSecret": encoded, "signingSecretBase64Encoded": true},
				"in base64, as it is": {"signingSecret": encoded},
				"JWK's k":             {"jwksFile": minted.JWKSet(t, minted.SecretJWK(text))},
			} {
				if how == "content" && strings.Contains(text, "\x00") {
					continue // No provider has such a text.
				}
				if err := e.Refusal(o); err == nil || !strings.Contains(err.Error(), "is not a secret") {
					t.Errorf("%s, %s: got %v, want it refused", name, how, err)
				}
			}
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			logged := e.Logged(t, func() {
				handler, _ := e.Middleware(t, options{"signingSecret": path, "realm": distinct()})
				if got := bothways.Verdict(t, handler, minted.Signed(t, []byte(text), claims{"alg": "HS256"}, minted.Valid())); got != "503 keys_unavailable" {
					t.Errorf("%s, a file: got %s, want 503 keys_unavailable", name, got)
				}
			})
			if !strings.Contains(strings.Join(logged, "\n"), "is not a secret") {
				t.Errorf("%s, a file: got the lines %q, want one that says why", name, logged)
			}
		}
		for _, text := range good {
			if err := e.Refusal(options{"signingSecret": text}); err != nil {
				t.Errorf("%q: got %v, want it accepted", text, err)
			}
		}
	})
}

func TestDecodeAnyBase64(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"Zm9vYg==", "foob"},
		{"Zm9vYg", "foob"},
		{" Zm9v\r\n\tYg= =\n", "foob"},
		{"+/+/", "\xfb\xff\xbf"},
		{"-_-_", "\xfb\xff\xbf"},
		{"+_+_", "an error"},
		{"Zm9vY", "an error"},
		{"Zm9v!", "an error"},
		{"=Zm9v", "an error"},
	}
	for _, test := range tests {
		got, err := jose.DecodeAnyBase64(test.text)
		if err != nil {
			got = []byte("an error")
		}
		if string(got) != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}
