package vectors

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"

	"github.com/slidingjwt/slidingjwt/demo/conformance/tally"
)

// The JWS of Wycheproof, and its JWK Sets, in three ways, each vector in the first of them that fits:
//
//   - one whose signature golang-jwt finds right is signed again over claims, header and oddities kept:
//     so what makes it invalid is not the signature, and the middleware must refuse what comes in a request;
//   - one whose three parts are well-formed is a question of the signature;
//   - any other is malformed, and is sent with claims as its payload.
func TestWycheproofJWS(t *testing.T) {
	const alphabet = "a character that is not base64url is refused, not passed over (RFC 7515 2, RFC 4648 3.3)"
	compareTokens(t, "vectors: Wycheproof JSON web signature", "json_web_signature_test.json", map[string]string{
		"346": "the key says PS256 and the token PS384 (RFC 7517 4.4)",
		"350": "the key says PS256 and the token PS384 (RFC 7517 4.4)",
		"347": "the key says ES521, which is no algorithm (RFC 7517 4.4)",
		"351": "the key says ES521, which is no algorithm (RFC 7517 4.4)",
		"367": "the file's token is that of its valid vector 357, to the letter",
		"370": "the file's token is that of its valid vector 357, to the letter",
		"372": alphabet,
		"373": alphabet,
	})
}

func TestWycheproofJWK(t *testing.T) {
	compareTokens(t, "vectors: Wycheproof JSON web key", "json_web_key_test.json", map[string]string{
		"1": "a set of one's own keys may hold a secret beside a public key: each is bound to its algorithms",
		"4": "of two keys with one kid each is tried (RFC 7517 4.5 lets a set have them)",
		"7": "the ROCA weakness of a modulus is not looked for: whoever chooses the key is the operator, or the issuer that is trusted",
	})
}

// compareTokens takes the exceptions by the vector's number.
func compareTokens(t *testing.T, suite, name string, exceptions map[string]string) {
	t.Helper()
	s := tally.Of(t, suite)
	ask := primitives(t)
	for _, g := range wycheproof(t, name).TestGroups {
		public, private := g.Public, g.Private
		if public == nil {
			public = private
		}
		for _, v := range g.Tests {
			token := string(v.Jws)
			if err := json.Unmarshal(v.Jws, &token); err != nil {
				token = string(v.Jws) // JSON serialisation.
			}
			reason, name := exceptions[fmt.Sprint(v.TcID)], vectorName(name, v)
			if again, ok := signedAgain(t, token, setOf(private)); ok {
				s.Compare(name+", signed again over claims", v.Result, reason, throughMiddleware(t, setOf(public), again)...)
				continue
			}
			if q, ok := questionOf(token, setOf(public)); ok {
				var got []string
				for _, p := range ask {
					got = append(got, strings.Replace(verdictOf(p.answer(q)), "key refused", "invalid", 1))
				}
				s.Compare(name, v.Result, reason, got...)
				continue
			}
			s.Compare(name+", as it stands but for claims", v.Result, reason, throughMiddleware(t, setOf(public), withClaims(token))...)
		}
	}
}

// throughMiddleware is what comes of a request with a token, under keys of one's own: each engine's verdict.
func throughMiddleware(t *testing.T, set, token string) []string {
	t.Helper()
	var verdicts []string
	for _, e := range bothways.Engines(t) {
		o := bothways.Options{"jwksFile": set, "leeway": "400000h"} // The RFCs' tokens expired in 2011.
		if e.Refusal(o) != nil {
			verdicts = append(verdicts, "invalid") // New refuses the keys.
			continue
		}
		handler, service := e.Middleware(t, o)
		switch got := bothways.Verdict(t, handler, token); {
		case got == "served":
			verdicts = append(verdicts, "valid")
		case (strings.HasPrefix(got, "401 ") || strings.HasPrefix(got, "400 ")) && service.Calls() == 0:
			verdicts = append(verdicts, "invalid")
		default:
			verdicts = append(verdicts, got)
		}
	}
	return verdicts
}

var alphabet = regexp.MustCompile(`[A-Za-z0-9_-]+`)

func claims() string {
	return minted.Base64(fmt.Sprintf(`{"sub":"ada","exp":%d}`, time.Now().Unix()+3600))
}

// withClaims puts claims into the place of a token's payload. What is no base64url in that place stays around them.
func withClaims(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) > 1 {
		if place := alphabet.FindStringIndex(parts[1]); place != nil {
			parts[1] = parts[1][:place[0]] + claims() + parts[1][place[1]:]
		}
	}
	return strings.Join(parts, ".")
}

// signedAgain is a token with claims for its payload, under a signature that is as right as the token's was. It is false
// where the signature was wrong, or cannot be made.
func signedAgain(t *testing.T, token, private string) (string, bool) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[1] == "" {
		return "", false
	}
	var set jose.JSONWebKeySet
	if json.Unmarshal([]byte(private), &set) != nil {
		return "", false
	}
	method := jwt.GetSigningMethod(algOf(lenient(parts[0])))
	if method == nil || method == jwt.SigningMethodNone {
		return "", false
	}
	if pss, ok := method.(*jwt.SigningMethodRSAPSS); ok {
		strict := *pss
		strict.VerifyOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // By itself it takes any salt.
		method = &strict
	}
	for _, key := range set.Keys {
		verifies := key.Public().Key
		if secret, isSecret := key.Key.([]byte); isSecret {
			verifies = secret
		}
		// The octets that were signed are the text as it stands, or without what is no base64url.
		for _, clean := range []bool{false, true} {
			input := parts[0] + "." + parts[1]
			if clean {
				input = strings.Join(alphabet.FindAllString(parts[0], -1), "") + "." + strings.Join(alphabet.FindAllString(parts[1], -1), "")
			}
			if method.Verify(input, lenient(parts[2]), verifies) != nil {
				continue
			}
			if _, err := base64.RawURLEncoding.Strict().DecodeString(strings.Join(alphabet.FindAllString(parts[1], -1), "")); err != nil {
				return "", false // The oddity is within the payload.
			}
			odd := strings.Split(withClaims(token), ".")
			input = odd[0] + "." + odd[1]
			if clean {
				input = strings.Join(alphabet.FindAllString(odd[0], -1), "") + "." + strings.Join(alphabet.FindAllString(odd[1], -1), "")
			}
			signature, err := method.Sign(input, key.Key)
			if err != nil {
				return "", false
			}
			place := alphabet.FindStringIndex(parts[2])
			return odd[0] + "." + odd[1] + "." + parts[2][:place[0]] + minted.Base64(signature) + parts[2][place[1]:], true
		}
	}
	return "", false
}

// lenient decodes what is base64url in a text.
func lenient(text string) []byte {
	decoded, _ := base64.RawURLEncoding.DecodeString(strings.Join(alphabet.FindAllString(text, -1), ""))
	return decoded
}

func algOf(header []byte) string {
	var members struct{ Alg string }
	_ = json.Unmarshal(header, &members)
	return members.Alg
}

// questionOf is a well-formed token as a question of its signature.
func questionOf(token, set string) (question, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return question{}, false
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return question{}, false
		}
	}
	var header map[string]any
	if json.Unmarshal(decoded[0], &header) != nil || header["crit"] != nil {
		return question{}, false
	}
	alg, _ := header["alg"].(string)
	kid, _ := header["kid"].(string)
	return question{set: set, alg: alg, kid: kid, input: []byte(parts[0] + "." + parts[1]), signature: decoded[2]}, alg != ""
}

// The examples of RFC 7515, 7520, 7797 and 8037: those that are tokens come in a request, the others are questions of the signature.
func TestRFCs(t *testing.T) {
	var examples struct {
		Tokens []struct {
			Where, Token, Verdict string
			Keys                  []json.RawMessage
		}
		Thumbprints []struct {
			Where, Thumbprint string
			Key               minted.JWK
		}
	}
	text, err := os.ReadFile("testdata/rfc.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &examples); err != nil {
		t.Fatal(err)
	}
	const serialisation = "only the compact serialisation is a token (RFC 7519 1)"
	exceptions := map[string]string{
		"RFC 7515 A.5": "a token that nobody signed is refused (RFC 8725 3.1)",
		"RFC 7515 A.6": serialisation,
		"RFC 7515 A.7": serialisation,
		"RFC 7520 4.5": "a token brings its payload along",
		"RFC 7520 4.6": serialisation,
		"RFC 7520 4.7": serialisation,
		"RFC 7520 4.8": serialisation,
		"RFC 7797 4.2": "b64 is not understood, so crit demands a refusal (RFC 7515 4.1.11)",
	}
	s := tally.Of(t, "vectors: JWS of RFC 7515, 7520, 7797 and 8037")
	ask := primitives(t)
	for _, example := range examples.Tokens {
		set, err := json.Marshal(map[string]any{"keys": example.Keys})
		if err != nil {
			t.Fatal(err)
		}
		q, isQuestion := questionOf(example.Token, string(set))
		parts := strings.Split(example.Token, ".")
		if isQuestion && !json.Valid(lenient(parts[1])) {
			var got []string
			for _, p := range ask {
				got = append(got, verdictOf(p.answer(q)))
			}
			s.Compare(example.Where, example.Verdict, exceptions[example.Where], got...)
			continue
		}
		s.Compare(example.Where, example.Verdict, exceptions[example.Where], throughMiddleware(t, string(set), example.Token)...)
		// And with one bit of the signature changed, where there is one.
		if exceptions[example.Where] == "" && isQuestion && example.Verdict == "valid" {
			changed := append([]byte{}, q.signature...)
			changed[0] ^= 1
			s.Compare(example.Where+" with a bit changed", "invalid", "", throughMiddleware(t, string(set), parts[0]+"."+parts[1]+"."+minted.Base64(changed))...)
		}
	}

	s = tally.Of(t, "vectors: thumbprints of RFC 7638 and 8037")
	for _, example := range examples.Thumbprints {
		var got []string
		for _, e := range bothways.Engines(t) {
			handler, _ := e.Middleware(t, bothways.Options{"jwksFile": minted.JWKSet(t, example.Key), "publishJwks": true})
			var published struct{ Keys []struct{ Kid string } }
			if err := json.Unmarshal(bothways.Send(t, handler, "GET", "/", nil, nil).Body.Bytes(), &published); err != nil || len(published.Keys) != 1 {
				t.Fatalf("%s: got %v (%v), want one key", example.Where, published, err)
			}
			got = append(got, published.Keys[0].Kid)
		}
		s.Compare(example.Where, example.Thumbprint, "", got...)
	}
}

// setOf is a JWK Set of one key, or the set itself.
func setOf(key json.RawMessage) string {
	if bytes.Contains(key, []byte(`"keys"`)) {
		return string(key)
	}
	return `{"keys":[` + string(key) + `]}`
}
