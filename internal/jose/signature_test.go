package jose_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// Any other signature is wrong: changed, cut, longer, in another form, or none.
func TestWrongSignatures(t *testing.T) {
	for _, a := range minted.Algorithms {
		k := keyNamed(t, a.Key, a.Alg)
		token, err := k.Sign("", `{"sub":"ada"}`)
		if err != nil {
			t.Fatal(err)
		}
		_, input, signature := split(t, token)
		wrong := map[string][]byte{
			"none": nil, "empty": {}, "cut": signature[:len(signature)-1], "longer": append(bytes.Clone(signature), 0), "with a zero in front": append([]byte{0}, signature...),
			"zeros": make([]byte, len(signature)), "half": signature[:len(signature)/2], "twice": append(bytes.Clone(signature), signature...),
		}
		for _, at := range []int{0, len(signature) / 2, len(signature) - 1} {
			changed := bytes.Clone(signature)
			changed[at] ^= 1
			wrong[strings.Repeat("changed ", at+1)] = changed
		}
		for name, octets := range wrong {
			if jose.Verify(k, a.Alg, input, octets) {
				t.Errorf("%s, a signature that is %.20s: got it accepted", a.Alg, name)
			}
		}
		for _, other := range []string{input + "A", input[:len(input)-1], strings.ToUpper(input), ""} {
			if jose.Verify(k, a.Alg, other, signature) {
				t.Errorf("%s, the signature of another text: got it accepted", a.Alg)
			}
		}
	}
}

// Before it is bound a key verifies nothing.
func TestKeyThatIsNotBound(t *testing.T) {
	token := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, claims{})
	k, err := jose.ParsePEM(minted.PEM(t, "PKIX", minted.Key(t, "P-256")))
	if err != nil {
		t.Fatal(err)
	}
	h, input, signature := split(t, token)
	if jose.Verify(k, h.Alg, input, signature) {
		t.Error("got it verified, want not")
	}
	k.Bind(nil, false)
	if !jose.Verify(k, h.Alg, input, signature) {
		t.Error("got it refused once it is bound, want it verified")
	}
}

// The header of a signed token has the key's own alg and kid, and the typ that is given.
func TestSign(t *testing.T) {
	named := minted.PrivateJWK(t, minted.Key(t, "P-256")).With(jwk{"kid": "a \"quoted\" name"})
	tests := []struct {
		name string
		key  *jose.Key
		typ  string
		want claims
	}{
		{"a secret", secretKey(t, minted.Secret), "", claims{"alg": "HS256"}},
		{"a secret with a kid", setOf(t, minted.SecretJWK(minted.Secret).With(jwk{"kid": "s"}))[0], "", claims{"alg": "HS256", "kid": "s"}},
		{"a PEM", parsed(t, minted.PEM(t, "PKCS8", minted.Key(t, "RSA"))), "JWT", claims{"alg": "RS256", "kid": minted.Thumbprint(t, minted.Key(t, "RSA")), "typ": "JWT"}},
		{"a JWK with a kid", setOf(t, named)[0], "at+jwt", claims{"alg": "ES256", "kid": "a \"quoted\" name", "typ": "at+jwt"}},
		{"as Ed25519", parsed(t, minted.PEM(t, "PKCS8", minted.Key(t, "Ed25519")), "Ed25519"), "", claims{"alg": "Ed25519", "kid": minted.Thumbprint(t, minted.Key(t, "Ed25519"))}},
	}
	for _, test := range tests {
		const payload = `{ "sub": "ada", "n": 1.0 }`
		token, err := test.key.Sign(test.typ, payload)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got := minted.Header(t, token)
		if len(got) != len(test.want) {
			t.Errorf("%s: got the header %v, want %v", test.name, got, test.want)
		}
		for member, want := range test.want {
			if got[member] != want {
				t.Errorf("%s: got %s %v, want %v", test.name, member, got[member], want)
			}
		}
		if part := strings.Split(token, ".")[1]; part != minted.Base64(payload) {
			t.Errorf("%s: got the payload %s, want it byte for byte", test.name, part)
		}
	}
}

// Nobody signs a token that nobody would accept.
func TestSignTooLong(t *testing.T) {
	k := secretKey(t, minted.Secret)
	bare, err := k.Sign("", "")
	if err != nil {
		t.Fatal(err)
	}
	longest := (jose.MaxTokenBytes - len(bare)) / 4 * 3 // in base64
	token, err := k.Sign("", strings.Repeat("x", longest))
	if err != nil || len(token) > jose.MaxTokenBytes || len(token) < jose.MaxTokenBytes-3 {
		t.Errorf("got %d bytes and %v, want at most %d", len(token), err, jose.MaxTokenBytes)
	}
	if _, err := k.Sign("", strings.Repeat("x", longest+3)); !errors.Is(err, jose.ErrTooLong) {
		t.Errorf("got %v, want %v", err, jose.ErrTooLong)
	}
}

// A token is signed again under the very header that it was presented with, if the key could have signed it.
func TestSignAgain(t *testing.T) {
	k := keyNamed(t, "RSA")
	tests := []struct {
		header  string
		isRight bool
	}{
		{`{"alg":"RS256"}`, true},
		{`{"typ":"at+jwt" , "alg":"PS384","kid":"a","x":1.0}`, true},
		{`{"alg":"ES256"}`, false},
		{`{"alg":"HS256"}`, false},
		{`{"alg":"none"}`, false},
		{`{"alg":"RS256","crit":[]}`, false},
		{`{"alg"}`, false},
	}
	for _, test := range tests {
		part := minted.Base64(test.header)
		token, err := k.SignAgain(part, `{"sub":"ada"}`)
		if (err == nil) != test.isRight {
			t.Errorf("%s: got %v, want it signed: %t", test.header, err, test.isRight)
		}
		if err != nil {
			continue
		}
		h, input, signature := split(t, token)
		if want := part + "." + minted.Base64(`{"sub":"ada"}`); input != want || !jose.Verify(k, h.Alg, input, signature) {
			t.Errorf("%s: got %s, want %s and a right signature", test.header, token, want)
		}
	}
}
