package keysource

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// These tests are native only: they look at files more often than a request does, or hold up a look. The tests of the middleware
// run the same rules interpreted.

const anotherSecret = "another " + minted.Secret

// newOwn reads options that are right.
func newOwn(t testing.TB, o OwnOptions) *Own {
	t.Helper()
	own, problems := NewOwn(o)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return own
}

// secretFile writes a file that was not just written: it counts at once.
func secretFile(t testing.TB, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, secret)
	ago := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, ago, ago); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// verifies says whether the keys in use verify a token under a secret.
func verifies(t testing.TB, own *Own, secret string) bool {
	t.Helper()
	parts := strings.Split(minted.Signed(t, []byte(secret), minted.Claims{"alg": "HS256"}, minted.Claims{}), ".")
	signature, err := jose.Base64.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	k, _ := jose.Find(Current(own).Set, &jose.Header{Alg: "HS256"}, parts[0]+"."+parts[1], signature, 16)
	return k != nil
}

// wantSecret compares which of two secrets the keys in use verify with.
func wantSecret(t testing.TB, when string, own *Own, wantFirst, wantAnother bool) {
	t.Helper()
	if first, another := verifies(t, own, minted.Secret), verifies(t, own, anotherSecret); first != wantFirst || another != wantAnother {
		t.Errorf("%s: got the first secret in use: %t, the other: %t, want %t and %t", when, first, another, wantFirst, wantAnother)
	}
}

// A secret's file that changed counts once two looks have seen the same: half of a secret is one too.
func TestTwoLooksAtSecret(t *testing.T) {
	path := secretFile(t, minted.Secret)
	own := newOwn(t, OwnOptions{SigningSecret: path})
	wantSecret(t, "at the start", own, true, false)
	for i := range 5 {
		write(t, path, anotherSecret+strings.Repeat("x", i))
		own.Look()
		wantSecret(t, "while it is written", own, true, false)
	}
	write(t, path, anotherSecret)
	own.Look()
	wantSecret(t, "after one look", own, true, false)
	own.Look()
	wantSecret(t, "after two looks", own, false, true)

	// What is broken, or gone, meanwhile is no second look.
	write(t, path, minted.Secret)
	own.Look()
	write(t, path, "short")
	own.Look()
	own.Look()
	wantSecret(t, "while it is too short", own, false, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	own.Look()
	wantSecret(t, "while it is gone", own, false, true)
	write(t, path, minted.Secret+"\r\n")
	own.Look()
	own.Look()
	wantSecret(t, "once it is there again", own, true, false)
}

// A secret's file that was just written at the start may be half of one.
func TestSecretJustWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, minted.Secret)
	own := newOwn(t, OwnOptions{SigningSecret: path})
	if r := Current(own); !r.IsIncomplete || r.Signer != nil {
		t.Error("at the start: got a key, want none yet")
	}
	own.Look()
	wantSecret(t, "after another look", own, true, false)
	if Current(own).IsIncomplete {
		t.Error("after another look: got the keys incomplete")
	}
}

// A key file, of which half is none, counts from one look on, and an equal look changes nothing.
func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, minted.JWKSet(t, minted.SecretJWK(minted.Secret)))
	own := newOwn(t, OwnOptions{JWKSFile: path})
	if !own.Watches() {
		t.Error("got keys that cannot change")
	}
	before := Current(own)
	own.Look()
	if Current(own) != before {
		t.Error("got another ring of the same file")
	}
	write(t, path, minted.JWKSet(t, minted.SecretJWK(anotherSecret)))
	own.Look()
	wantSecret(t, "after one look", own, false, true)
	for _, broken := range []string{"", "{", `{"keys":[]}`, minted.Secret} {
		write(t, path, broken)
		own.Look()
		wantSecret(t, "while it is broken", own, false, true)
	}
	if own := newOwn(t, OwnOptions{SigningSecret: minted.Secret}); own.Watches() {
		t.Error("got keys that can change, without a file")
	}
}

// A file that hangs holds up no other: its own keys stay, and the others' are read.
func TestFileThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, minted.JWKSet(t, minted.SecretJWK(minted.Secret)))
	pem := filepath.Join(t.TempDir(), "key.pem")
	write(t, pem, minted.PEM(t, "PKCS8", minted.Key(t, "Ed25519")))
	own := newOwn(t, OwnOptions{PrivateKey: pem, JWKSFile: path})
	hanging := own.sources[0]
	hanging.looking.Lock() // As another request does, whose look does not end.
	write(t, pem, minted.PEM(t, "PKCS8", minted.Key(t, "P-256")))
	write(t, path, minted.JWKSet(t, minted.SecretJWK(anotherSecret)))
	own.Look()
	wantSecret(t, "while another file hangs", own, false, true)
	if r := Current(own); r.Signer == nil || r.Signer.Thumbprint != minted.Thumbprint(t, minted.Key(t, "Ed25519")) {
		t.Errorf("got the signer %v, want the key that was known of the file that hangs", r.Signer)
	}
	hanging.looking.Unlock()
	own.Look()
	if r := Current(own); r.Signer == nil || r.Signer.Thumbprint != minted.Thumbprint(t, minted.Key(t, "P-256")) {
		t.Errorf("got the signer %v, want the key of the file that hangs no more", r.Signer)
	}
}

// What a request has read, whose look then hangs in another file, counts from the next one's look on.
func TestReadByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, minted.JWKSet(t, minted.SecretJWK(minted.Secret)))
	own := newOwn(t, OwnOptions{JWKSFile: path})
	write(t, path, minted.JWKSet(t, minted.SecretJWK(anotherSecret)))
	own.sources[0].read = own.sources[0].look()
	wantSecret(t, "before the next look", own, true, false)
	own.Look()
	wantSecret(t, "after it", own, false, true)
	before := Current(own)
	own.Look()
	if Current(own) != before {
		t.Error("got it adopted twice")
	}
}

// The key that signs is the first that can, in the order of the options; privateKey's public half is not publicKey's too.
func TestRing(t *testing.T) {
	private, public := minted.PEM(t, "PKCS8", minted.Key(t, "P-256")), minted.PEM(t, "PKIX", minted.Key(t, "P-256"))
	publicSet, privateSet := minted.JWKSet(t, minted.PublicJWK(t, minted.Key(t, "RSA"))), minted.JWKSet(t, minted.PrivateJWK(t, minted.Key(t, "RSA")))
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct {
		name         string
		options      OwnOptions
		signAlg      string // empty: nothing signs
		published    int    // keys
		serves       string
		isIncomplete bool
	}{
		{"a private key", OwnOptions{PrivateKey: private}, "ES256", 1, "ES256", false},
		{"and its public half", OwnOptions{PrivateKey: private, PublicKey: public}, "ES256", 1, "ES256", false},
		{"a public key", OwnOptions{PublicKey: public}, "", 0, "ES256", false},
		{"a secret", OwnOptions{SigningSecret: minted.Secret}, "HS256", 0, "HS256 HS384 HS512", false},
		{"a set", OwnOptions{JWKSFile: privateSet}, "RS256", 1, "RS256 PS512", false},
		{"a set without private keys", OwnOptions{JWKSFile: publicSet, SigningSecret: minted.Secret}, "HS256", 1, "RS256 HS256", false},
		{"all", OwnOptions{PrivateKey: private, JWKSFile: privateSet, SigningSecret: minted.Secret, PublicKey: minted.PEM(t, "PKIX", minted.Key(t, "Ed25519"))}, "ES256", 2, "ES256 RS256 HS256 EdDSA", false},
		{"narrowed", OwnOptions{PrivateKey: private, JWKSFile: privateSet, Algorithms: []string{"PS256"}}, "PS256", 1, "PS256", false},
		{"a missing file", OwnOptions{PrivateKey: missing, SigningSecret: minted.Secret}, "HS256", 0, "HS256", true},
		{"none", OwnOptions{}, "", 0, "", false},
	}
	for _, test := range tests {
		r := Current(newOwn(t, test.options))
		signAlg := ""
		if r.Signer != nil {
			signAlg = r.Signer.SignAlg
		}
		if published := strings.Count(string(r.Published), `"kty"`); signAlg != test.signAlg || published != test.published || r.IsIncomplete != test.isIncomplete {
			t.Errorf("%s: got it signed by %q, %d keys published, incomplete: %t, want %q, %d, %t", test.name, signAlg, published, r.IsIncomplete, test.signAlg, test.published, test.isIncomplete)
		}
		for _, alg := range strings.Fields(test.serves) {
			if !r.Set.Serves(alg) {
				t.Errorf("%s: got no key for %s", test.name, alg)
			}
		}
		for _, alg := range jose.AlgorithmNames() {
			if len(test.options.Algorithms) > 0 && alg != "PS256" && r.Set.Serves(alg) {
				t.Errorf("%s: got a key for %s", test.name, alg)
			}
		}
	}
}

// What is wrong with contents is returned, all of it, with the option's name and without its text.
func TestProblems(t *testing.T) {
	_, problems := NewOwn(OwnOptions{
		PrivateKey: minted.PEM(t, "PKIX", minted.Key(t, "RSA")), JWKSFile: "lovelace", SigningSecret: "lovelace", SecretIsBase64: true,
		PublicKey: minted.PEM(t, "PKCS8", minted.Key(t, "RSA")),
	})
	want := []string{"privateKey: ", "jwksFile: ", "signingSecret: ", "publicKey: "}
	if len(problems) != len(want) {
		t.Fatalf("got %v, want %d problems", problems, len(want))
	}
	for i, problem := range problems {
		if got := problem.Error(); !strings.HasPrefix(got, want[i]) || strings.Contains(got, "lovelace") {
			t.Errorf("got %q, want a problem with %s", got, want[i])
		}
	}
	for _, option := range []OwnOptions{{PrivateKey: "urn:k8s:secret:a:b"}, {SigningSecret: "urn:k8s:secret:a-name-that-is-long-enough:b"}} {
		if _, problems := NewOwn(option); len(problems) != 1 || !strings.Contains(problems[0].Error(), "Kubernetes") {
			t.Errorf("got %v, want an unresolved reference", problems)
		}
	}
}
