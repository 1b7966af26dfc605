package jose_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

func TestMain(m *testing.M) { bothways.Main(m) }

// Short names, so that a row of a table is a line.
type (
	claims  = minted.Claims
	jwk     = minted.JWK
	options = bothways.Options
)

// parsed is the one key of a PEM, bound to the algorithms that are configured, if any.
func parsed(t testing.TB, text string, configured ...string) *jose.Key {
	t.Helper()
	k, err := jose.ParsePEM(text)
	if err != nil {
		t.Fatal(err)
	}
	k.Bind(configured, true)
	return k
}

// secretKey is the key of a secret, bound to the algorithms that are configured, if any.
func secretKey(t testing.TB, secret string, configured ...string) *jose.Key {
	t.Helper()
	k, err := jose.NewSecret([]byte(secret), "")
	if err != nil {
		t.Fatal(err)
	}
	k.Bind(configured, true)
	return k
}

// setOf are the keys of a JWK Set of the operator's, bound.
func setOf(t testing.TB, jwks ...jwk) []*jose.Key {
	t.Helper()
	keys, err := jose.ParseSet(minted.JWKSet(t, jwks...), "a test", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		k.Bind(nil, true)
	}
	return keys
}

// split is a token as Verify and Find take it: its parsed header, its signing input and its signature.
func split(t testing.TB, token string) (h *jose.Header, input string, signature []byte) {
	t.Helper()
	parts := strings.Split(token, ".")
	h, problem := jose.ParseHeader(parts[0])
	if problem != jose.NoProblem {
		t.Fatalf("got a %s header", problem)
	}
	signature, err := jose.Base64.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	return h, parts[0] + "." + parts[1], signature
}

var distinctRealms atomic.Int32

// distinct is a realm that no other middleware has, so that its options are looked at anew.
func distinct() string { return fmt.Sprint("realm ", distinctRealms.Add(1)) }
