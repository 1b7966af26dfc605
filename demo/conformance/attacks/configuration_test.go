package attacks

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"

	"github.com/slidingjwt/slidingjwt/demo/conformance/tally"
)

// What would make an attack succeed, New refuses, and says which option it is (BCP 3.5; see the root's config_test.go and
// keys_test.go for all that it refuses).
func TestRefusedConfigurations(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2040)
	if err != nil {
		t.Fatal(err)
	}
	rs, ec := minted.Key(t, "RSA"), minted.Key(t, "P-256")
	public := minted.PublicJWK(t, rs)
	point := minted.PublicJWK(t, ec)
	pem := minted.PEM(t, "PKIX", rs)
	set := func(key jwk) options { return options{"jwksFile": minted.JWKSet(t, key)} }
	number := func(n *big.Int) string { return minted.Base64(n.Bytes()) }
	tests := []struct {
		source, input string
		options       options
		want          string // a part of the error
	}{
		{"BCP 3.5", "a secret of 31 bytes", options{"signingSecret": minted.Secret[:31]}, "signingSecret"},
		{"BCP 3.5", "a secret of a byte, in base64", options{"signingSecret": "AA==", "signingSecretBase64Encoded": true}, "signingSecret"},
		{"CVE-2026-44699", "an empty secret", options{"signingSecret": ""}, "key"},
		{"CVE-2026-44699", "an oct JWK without octets", set(jwk{"kty": "oct", "k": ""}), "jwksFile"},
		{"BCP 3.5", "an oct JWK of 31 bytes", set(minted.SecretJWK(minted.Secret[:31])), "jwksFile"},
		{"CVE-2023-48223", "a PEM as the secret", options{"signingSecret": pem}, "signingSecret"},
		{"CVE-2023-48223", "a PKCS #1 PEM as the secret", options{"signingSecret": minted.PEM(t, "PKCS1 public", rs)}, "signingSecret"},
		{"CVE-2026-34950", "a PEM behind white space as the secret", options{"signingSecret": "\n  " + pem}, "signingSecret"},
		{"CVE-2024-54150", "a certificate as the secret", options{"signingSecret": minted.PEM(t, "certificate", ec)}, "signingSecret"},
		{"CVE-2022-29217", "an ssh-rsa line as the secret", options{"signingSecret": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 ada@example.com"}, "signingSecret"},
		{"CVE-2024-33663", "an ecdsa-sha2 line as the secret", options{"signingSecret": "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI ada"}, "signingSecret"},
		{"CVE-2026-22817", "a JWK as the secret", options{"signingSecret": strings.TrimSuffix(strings.TrimPrefix(minted.JWKSet(t, public), `{"keys":[`), `]}`)}, "signingSecret"},
		{"CVE-2026-22817", "a JWK Set as the secret", options{"signingSecret": minted.JWKSet(t, point)}, "signingSecret"},
		{"BCP 3.1", "none among the algorithms", options{"signingSecret": minted.Secret, "algorithms": []any{"HS256", "none"}}, "algorithms"},
		{"BCP 3.1", "an algorithm that no key serves", options{"publicKey": pem, "algorithms": []any{"HS256"}}, "algorithms"},
		{"BCP 3.1", "RSA1_5 among the algorithms", options{"publicKey": pem, "algorithms": []any{"RSA1_5"}}, "algorithms"},
		{"RFC 7518 3.3", "an RSA key of 2,040 bits", options{"publicKey": minted.PEM(t, "PKIX", small)}, "publicKey"},
		{"RFC 7518 3.3", "an RSA JWK of 2,040 bits", set(minted.PublicJWK(t, small)), "jwksFile"},
		{"costly keys", "an RSA JWK of 8,200 bits", set(jwk{"kty": "RSA", "e": "AQAB", "n": number(new(big.Int).Lsh(big.NewInt(1), 8199))}), "jwksFile"},
		{"BCP 3.4", "an RSA JWK with the exponent 1", set(public.With(jwk{"e": "AQ"})), "jwksFile"},
		{"BCP 3.4", "an RSA JWK with an even exponent", set(public.With(jwk{"e": "AQAA"})), "jwksFile"},
		{"BCP 3.4", "an EC JWK whose point is on no curve", set(point.With(jwk{"y": point["x"]})), "jwksFile"},
		{"BCP 3.4", "an EC JWK of another curve", set(point.With(jwk{"crv": "P-384"})), "jwksFile"},
		{"BCP 3.4", "an EC JWK at infinity", set(jwk{"kty": "EC", "crv": "P-256", "x": minted.Base64(make([]byte, 32)), "y": minted.Base64(make([]byte, 32))}), "jwksFile"},
		{"BCP 3.1", "a JWK whose kty and alg disagree", set(public.With(jwk{"alg": "HS256"})), "jwksFile"},
		{"BCP 3.1", "a JWK for encryption", set(public.With(jwk{"use": "enc"})), "jwksFile"},
		{"BCP 3.1", "a JWK of kty oct with the members of a public key", set(public.With(jwk{"kty": "oct"})), "jwksFile"},
		{"no key", "nothing that verifies", options{"audience": "api"}, "key"},
		{"identity spoofing", "the Authorization header and a claim's are one", options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"Authorization": "sub"}, "forwardAuthorization": true}, "forwardHeaders"},
		{"CVE-2026-33433", "two spellings of a claim's header", options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-User-Id": "sub", "x_user_id": "role"}}, "forwardHeaders"},
		{"CVE-2024-45410", "a claim's header that is hop-by-hop", options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"Connection": "sub"}}, "forwardHeaders"},
		{"CWE-113", "a header's name with a line break", options{"signingSecret": minted.Secret, "forwardHeaders": map[string]any{"X-A\r\nX-B": "sub"}}, "forwardHeaders"},
		{"RFC 6265bis 4.1.3", "a __Host- cookie with a domain", options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "__Host-s", "domain": "example.com"}}, "cookie"},
		{"RFC 6265bis 5.7", "SameSite=None without Secure", options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "s", "sameSite": "None", "secure": false}}, "cookie"},
		{"configuration", "an option that there is not", options{"signingSecret": minted.Secret, "audiences": "api"}, "audiences"},
	}
	s := tally.Of(t, "attacks: configurations")
	for _, test := range tests {
		var got []string
		for _, e := range bothways.Engines(t) {
			verdict := "accepted"
			if err := e.Refusal(test.options); err != nil {
				verdict = "refused for " + test.want
				if !strings.Contains(err.Error(), test.want) {
					verdict = err.Error()
				}
				if secret, _ := test.options["signingSecret"].(string); len(secret) > 8 && strings.Contains(err.Error(), secret) {
					verdict += ", and the secret told"
				}
			}
			got = append(got, verdict)
		}
		s.Compare(test.source+": "+test.input, "refused for "+test.want, "", got...)
	}
}
