package vectors

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"

	"github.com/slidingjwt/slidingjwt/demo/conformance/tally"
	"github.com/slidingjwt/slidingjwt/demo/conformance/vectors/probe"
)

func TestMain(m *testing.M) { bothways.Main(m) }

// Wycheproof's files are 100 MB, and its module demands a newer Go than this one: so it is no requirement, but fetched by
// the Go command into its cache of modules, as the standard library's own tests do.
const (
	wycheproofModule = "github.com/c2sp/wycheproof@v0.0.0-20260902155932-3fa63dd0344a"
	wycheproofSum    = "h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c="
)

var wycheproofFolder = sync.OnceValues(func() (string, error) {
	output, err := exec.Command("go", "mod", "download", "-json", wycheproofModule).Output()
	var module struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(output, &module); err != nil {
		return "", fmt.Errorf("go mod download %s: %w", wycheproofModule, err)
	}
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w: %s", wycheproofModule, err, module.Error)
	}
	if module.Sum != wycheproofSum {
		return "", fmt.Errorf("go mod download %s: got the sum %s, want %s", wycheproofModule, module.Sum, wycheproofSum)
	}
	return filepath.Join(module.Dir, "testvectors_v1"), nil
})

// wycheproof reads a file of vectors.
func wycheproof(t *testing.T, name string) file {
	t.Helper()
	folder, err := wycheproofFolder()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// file has the members of Wycheproof's files that are read here; a kind of file has some of them.
type file struct {
	TestGroups []group
}

type group struct {
	Comment string
	// Bare signatures.
	KeySize, TagSize, SLen int
	Sha, Mgf, MgfSha       string
	PublicKey, PrivateKey  struct{ Wx, Wy, Pk, Modulus, PublicExponent string }
	// Tokens.
	Private, Public json.RawMessage

	Tests []vector
}

type vector struct {
	TcID               int
	Comment, Result    string
	Flags              []string
	Key, Msg, Sig, Tag string
	Jws                json.RawMessage
}

// hashOf names a hash as the algorithms do, empty if none of them has it.
func hashOf(sha string) string {
	return map[string]string{"SHA-256": "256", "SHA-384": "384", "SHA-512": "512"}[sha]
}

// bare is a signature of a message under a key, and what an algorithm of JWS says of it.
type bare struct {
	name, verdict string
	reason        string // why it rightly differs
	unexpressed   string // why it cannot be asked
	question      question
}

// compareBare puts signatures to the plugin, and compares.
func compareBare(t *testing.T, suite string, all []bare) {
	t.Helper()
	s := tally.Of(t, suite)
	ask := primitives(t)
	for _, b := range all {
		if b.unexpressed != "" {
			s.Unexpressed(b.unexpressed)
			continue
		}
		var verdicts []string
		for _, p := range ask {
			verdicts = append(verdicts, verdictOf(p.answer(b.question)))
		}
		if b.verdict == "acceptable" && b.reason == "" { // Either is right, as long as it is the same both ways.
			b.verdict = verdicts[0]
		}
		s.Compare(b.name, b.verdict, b.reason, verdicts...)
	}
}

// verdictOf is what an answer says of a signature, in the words of the files; or that its key is refused, which says
// nothing of the signature.
func verdictOf(answer string) string {
	switch {
	case answer == probe.Valid:
		return "valid"
	case strings.HasPrefix(answer, "no key"):
		return "key refused"
	}
	return "invalid"
}

// The signatures of ECDSA, as JWS writes them: both numbers side by side, each as long as the curve's order.
func TestWycheproofECDSA(t *testing.T) {
	var all []bare
	for _, kind := range []struct {
		file, alg, curve string
		size             int
	}{
		{"ecdsa_secp256r1_sha256_p1363_test.json", "ES256", "P-256", 32},
		{"ecdsa_secp384r1_sha384_p1363_test.json", "ES384", "P-384", 48},
		{"ecdsa_secp521r1_sha512_p1363_test.json", "ES512", "P-521", 66},
	} {
		for _, g := range wycheproof(t, kind.file).TestGroups {
			coordinate := func(text string) string {
				return minted.Base64(hexadecimal(t, text).FillBytes(make([]byte, kind.size))) // RFC 7518 6.2.1.2
			}
			set := minted.JWKSet(t, minted.JWK{"kty": "EC", "crv": kind.curve, "x": coordinate(g.PublicKey.Wx), "y": coordinate(g.PublicKey.Wy)})
			for _, v := range g.Tests {
				all = append(all, bare{name: vectorName(kind.file, v), verdict: v.Result, question: ask(t, set, kind.alg, v.Msg, v.Sig)})
			}
		}
	}
	compareBare(t, "vectors: Wycheproof ECDSA", all)
}

func TestWycheproofEd25519(t *testing.T) {
	var all []bare
	const name = "ed25519_test.json"
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		for _, g := range wycheproof(t, name).TestGroups {
			set := minted.JWKSet(t, minted.JWK{"kty": "OKP", "crv": "Ed25519", "x": minted.Base64(octets(t, g.PublicKey.Pk))})
			for _, v := range g.Tests {
				all = append(all, bare{name: alg + " " + vectorName(name, v), verdict: v.Result, question: ask(t, set, alg, v.Msg, v.Sig)})
			}
		}
	}
	compareBare(t, "vectors: Wycheproof Ed25519", all)
}

func TestWycheproofRSA(t *testing.T) {
	var all []bare
	for _, name := range filesLike(t, "rsa_signature_*_test.json", "rsa_pkcs1_*_sig_gen_test.json") {
		for _, g := range wycheproof(t, name).TestGroups {
			modulus, exponent := g.PublicKey.Modulus, g.PublicKey.PublicExponent
			if modulus == "" {
				modulus, exponent = g.PrivateKey.Modulus, g.PrivateKey.PublicExponent
			}
			for _, v := range g.Tests {
				b := bare{name: vectorName(name, v), verdict: v.Result}
				if hashOf(g.Sha) == "" {
					b.unexpressed = "RSA with a hash that no algorithm of JWS has"
				} else {
					b.question = ask(t, rsaSet(t, modulus, exponent), "RS"+hashOf(g.Sha), v.Msg, v.Sig)
				}
				if hexadecimal(t, modulus).BitLen() < 2048 {
					b.reason = "RSA keys under 2048 bits are refused (RFC 7518 3.3)"
				}
				all = append(all, b)
			}
		}
	}
	compareBare(t, "vectors: Wycheproof RSA PKCS#1", all)
}

// A signature of RSA-PSS is one of JWS only if both of its hashes are the same and its salt is as long (RFC 7518 3.5).
func TestWycheproofPSS(t *testing.T) {
	saltOf := map[string]string{"256": "32", "384": "48", "512": "64"}
	var all []bare
	for _, name := range filesLike(t, "rsa_pss_*_test.json") {
		for _, g := range wycheproof(t, name).TestGroups {
			hash := hashOf(g.Sha)
			for _, v := range g.Tests {
				b := bare{name: vectorName(name, v), verdict: v.Result}
				switch {
				case hash == "":
					b.unexpressed = "RSA-PSS with a hash that no algorithm of JWS has"
				case g.PublicKey.Modulus == "":
					b.unexpressed = "the group has no key"
				default:
					b.question = ask(t, rsaSet(t, g.PublicKey.Modulus, g.PublicKey.PublicExponent), "PS"+hash, v.Msg, v.Sig)
				}
				switch {
				case b.unexpressed != "":
				case v.Result == "invalid" && g.MgfSha == g.Sha && fmt.Sprint(g.SLen*8) != hash && v.Comment == fmt.Sprintf("s_len changed to %s", saltOf[hash]):
					b.reason = "the file wants another salt; this one is as long as the hash, as JWS wants it (RFC 7518 3.5)"
				case v.Result == "invalid":
				case g.Mgf != "MGF1" || g.MgfSha != g.Sha:
					b.reason = "the mask's hash is not the message's (RFC 7518 3.5)"
				case fmt.Sprint(g.SLen*8) != hash:
					b.reason = "the salt is not as long as the hash (RFC 7518 3.5)"
				}
				all = append(all, b)
			}
		}
	}
	compareBare(t, "vectors: Wycheproof RSA-PSS", all)
}

func TestWycheproofHMAC(t *testing.T) {
	var all []bare
	for _, hash := range []int{256, 384, 512} {
		name := fmt.Sprintf("hmac_sha%d_test.json", hash)
		for _, g := range wycheproof(t, name).TestGroups {
			for _, v := range g.Tests {
				secret := octets(t, v.Key)
				b := bare{name: vectorName(name, v), verdict: v.Result, question: ask(t, minted.JWKSet(t, minted.SecretJWK(string(secret))), fmt.Sprint("HS", hash), v.Msg, v.Tag)}
				switch {
				case len(secret) < 32:
					b.reason = "secrets shorter than any hash are refused (RFC 7518 3.2)"
				case v.Result != "valid":
				case len(secret)*8 < hash:
					b.reason = "a secret shorter than the hash does not serve it (RFC 7518 3.2)"
				case g.TagSize < hash:
					b.reason = "JWS does not truncate (RFC 7518 3.2)"
				}
				all = append(all, b)
			}
		}
	}
	compareBare(t, "vectors: Wycheproof HMAC", all)
}

func vectorName(file string, v vector) string {
	return fmt.Sprintf("%s %d (%s)", strings.TrimSuffix(file, "_test.json"), v.TcID, v.Comment)
}

// filesLike are the files that match a pattern and hold a hash that an algorithm of JWS has.
func filesLike(t *testing.T, patterns ...string) []string {
	t.Helper()
	folder, err := wycheproofFolder()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("there is no %s: %v", pattern, err)
		}
		for _, path := range paths {
			name, fits := filepath.Base(path), false
			for _, g := range wycheproof(t, name).TestGroups {
				fits = fits || hashOf(g.Sha) != ""
			}
			if fits {
				names = append(names, name)
			}
		}
	}
	return names
}

func ask(t *testing.T, set, alg, message, signature string) question {
	t.Helper()
	return question{set: set, alg: alg, input: octets(t, message), signature: octets(t, signature)}
}

// rsaSet is a JWK Set of an RSA key whose numbers are hexadecimal.
func rsaSet(t *testing.T, modulus, exponent string) string {
	t.Helper()
	return minted.JWKSet(t, minted.JWK{"kty": "RSA", "n": minted.Base64(hexadecimal(t, modulus).Bytes()), "e": minted.Base64(hexadecimal(t, exponent).Bytes())})
}

func hexadecimal(t *testing.T, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 16)
	if !ok {
		t.Fatalf("got %q, want a hexadecimal number", text)
	}
	return n
}

func octets(t *testing.T, text string) []byte {
	t.Helper()
	all, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
