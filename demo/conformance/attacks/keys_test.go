package attacks

import (
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// noneRows send a token that nobody signed, in every spelling (BCP 3.1, 3.2, and "Algorithm Verification Code Not
// Defensively Written").
func noneRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	guards := map[string]options{"a secret": guard}
	for _, kind := range []string{"RSA", "P-256", "Ed25519"} {
		guards["an "+kind+" key"] = forms(t, kind)["JWK"]
	}
	for where, o := range guards {
		for i := range 16 {
			name := []byte("none")
			for letter := range name {
				if i>>letter&1 == 1 {
					name[letter] -= 'a' - 'A'
				}
			}
			unsigned := forged(t, claims{"alg": string(name), "typ": "JWT"}, admin(), octets())
			rows = append(rows,
				row{source: "BCP 3.1, CVE-2022-23540", input: fmt.Sprintf("alg %s, no signature, where there is %s", name, where), options: o, token: unsigned, want: "401 wrong_algorithm"},
				row{source: "CVE-2021-22160", input: fmt.Sprintf("alg %s, with a signature, where there is %s", name, where), options: o, token: unsigned + minted.Base64("signature"), want: "401 wrong_algorithm"})
		}
		for _, alg := range []string{"", " none", "none ", "none\x00", "n\u043ene", "null", "NoneRS256"} {
			rows = append(rows, row{source: "BCP 3.1", input: fmt.Sprintf("alg %q where there is %s", alg, where), options: o, token: forged(t, claims{"alg": alg}, admin(), octets()), want: "401 wrong_algorithm"})
		}
		for _, alg := range []any{nil, 0, false, []any{"none"}, []any{}, claims{"alg": "none"}} {
			header := claims{"typ": "JWT"}
			if alg != nil {
				header["alg"] = alg
			}
			rows = append(rows, row{source: "BCP 3.1", input: fmt.Sprintf("alg %v where there is %s", alg, where), options: o, token: forged(t, header, admin(), octets()), want: "401 token_malformed"})
		}
		rows = append(rows, row{source: "BCP 3.1", input: "alg none and no third part, where there is " + where, options: o, token: strings.TrimSuffix(forged(t, claims{"alg": "none"}, admin(), octets()), "."), want: "401 token_malformed"})
	}
	return rows
}

// confusionRows use a key with an algorithm that is not its own: every pair of key and algorithm, whichever way the key is
// configured (BCP 3.1; CVE-2022-23539, CVE-2022-29217, CVE-2023-48223, CVE-2023-48238, CVE-2024-33663, CVE-2024-37568,
// CVE-2024-54150, CVE-2026-22817, CVE-2026-34950, CVE-2026-44699).
func confusionRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	for _, kind := range []string{"RSA", "P-256", "P-384", "P-521", "Ed25519", "secret"} {
		for form, o := range forms(t, kind) {
			for _, a := range minted.Algorithms {
				if a.Key == kind {
					continue
				}
				name := fmt.Sprintf("%s where there is an %s key as %s", a.Alg, kind, form)
				if a.Key != "secret" {
					rows = append(rows, row{source: "BCP 3.1", input: name + ", by an attacker's own key", options: o, token: forged(t, claims{"alg": a.Alg}, admin(), as(t, a.Alg, stranger(t, a.Key))), want: "401 wrong_algorithm"})
					continue
				}
				for what, secret := range publicOctets(t, kind) {
					rows = append(rows, row{source: "BCP 3.1", input: name + ", by " + what, options: o, token: forged(t, claims{"alg": a.Alg}, admin(), macWith(t, a.Alg, secret)), want: "401 wrong_algorithm"})
				}
			}
			for _, alg := range []string{"HS1", "RS1", "HS256/64", "ES256K", "ES256K-R", "ESP256", "Ed448", "RSA1_5", "RSA-OAEP", "dir", "A128KW", "PBES2-HS256+A128KW", "ML-DSA-44", "hs256", "rs256", "EDDSA"} {
				rows = append(rows, row{source: "BCP 3.1", input: fmt.Sprintf("alg %s where there is an %s key as %s", alg, kind, form), options: o, token: forged(t, claims{"alg": alg, "p2c": 1 << 31, "p2s": "AAAA"}, admin(), octets(make([]byte, 64)...)), want: "401 wrong_algorithm"})
			}
		}
	}

	rs, ec := minted.Key(t, "RSA"), minted.Key(t, "P-256")
	// A key is bound to one algorithm, if it says so; and to those that the configuration lets it have.
	for _, a := range minted.Algorithms {
		key, public := minted.SigningKey(t, a.Key), minted.SecretJWK(minted.Secret)
		if a.Key != "secret" {
			public = minted.PublicJWK(t, minted.Key(t, a.Key))
		}
		bound := underKey(options{"jwksFile": minted.JWKSet(t, public.With(jwk{"alg": a.Alg}))})
		for _, b := range minted.Algorithms {
			if b.Key != a.Key || b.Alg == a.Alg || a.Key == "Ed25519" { // EdDSA and Ed25519 are one (RFC 9864).
				continue
			}
			rows = append(rows,
				row{source: "BCP 3.1", input: fmt.Sprintf("%s by the right key, whose JWK says %s", b.Alg, a.Alg), options: bound, token: minted.Signed(t, key, claims{"alg": b.Alg}, admin()), want: "401 wrong_algorithm"},
				row{source: "BCP 3.1", input: fmt.Sprintf("%s by the right key, where algorithms says %s", b.Alg, a.Alg), options: forms(t, a.Key)["JWK"].With(options{"algorithms": []any{a.Alg}}), token: minted.Signed(t, key, claims{"alg": b.Alg}, admin()), want: "401 wrong_algorithm"},
				row{source: "BCP 3.1", input: fmt.Sprintf("%s that is called %s", b.Alg, a.Alg), options: forms(t, a.Key)["JWK"], token: forged(t, claims{"alg": a.Alg}, admin(), as(t, b.Alg, key)), want: "401 bad_signature"})
		}
	}
	// Where there is a secret beside a public key, the public key is still none.
	both := guard.With(options{"publicKey": minted.PEM(t, "PKIX", rs), "jwksFile": minted.JWKSet(t, minted.NamedJWK(t, "a", ec))})
	for what, secret := range publicOctets(t, "RSA") {
		rows = append(rows,
			row{source: "BCP 3.1", input: "HS256 by " + what + " beside a secret", options: both, token: forged(t, claims{"alg": "HS256"}, admin(), macWith(t, "HS256", secret)), want: "401 bad_signature"},
			row{source: "CVE-2022-23541", input: "HS256 by " + what + " beside a secret, under the kid of a public key", options: both, token: forged(t, claims{"alg": "HS256", "kid": "a"}, admin(), macWith(t, "HS256", secret)), want: "401 bad_signature"})
	}
	return rows
}

// broughtKeyRows bring the key along, or where it can be had (BCP 3.10).
func broughtKeyRows(t *testing.T, url string) []row {
	t.Helper()
	var rows []row
	for alg, kind := range map[string]string{"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"} {
		own := stranger(t, kind)
		block, _ := pem.Decode([]byte(minted.PEM(t, "certificate", own)))
		chain := []any{base64.StdEncoding.EncodeToString(block.Bytes)}
		public := minted.PublicJWK(t, own)
		for what, members := range map[string]claims{
			"jwk":                       {"jwk": public},
			"a private jwk":             {"jwk": minted.PrivateJWK(t, own)},
			"jwk with the kid":          {"jwk": public.With(jwk{"kid": "a"}), "kid": "a"},
			"jku":                       {"jku": url},
			"jku and its kid":           {"jku": url, "kid": "a"},
			"jku with user information": {"jku": strings.Replace(url, "http://", "http://login.example.com@", 1)},
			"jku of a file":             {"jku": "file:///etc/passwd"},
			"x5u":                       {"x5u": url},
			"x5c":                       {"x5c": chain},
			"x5c and x5t":               {"x5c": chain, "x5t": minted.Base64("0123456789abcdef0123"), "x5t#S256": minted.Thumbprint(t, own)},
			"all of them":               {"jwk": public, "jku": url, "x5u": url, "x5c": chain, "iss": url},
		} {
			for form, o := range forms(t, kind) {
				want := "401 bad_signature"
				rows = append(rows, row{source: "BCP 3.10", input: fmt.Sprintf("%s by an attacker's key with %s, where there is an %s key as %s", alg, what, kind, form), options: o, token: minted.Signed(t, own, claims{"alg": alg}.With(members), admin()), want: want})
			}
		}
		good := minted.Signed(t, minted.Key(t, kind), claims{"alg": alg, "jwk": public, "jku": url, "x5u": url, "x5c": chain}, user())
		rows = append(rows, row{source: "BCP 3.10", input: alg + " by the right key, with all of them: they are not looked at", options: forms(t, kind)["JWK"], token: good, want: asUser})
	}
	for what, members := range map[string]claims{"jwk": {"jwk": minted.SecretJWK("x")}, "an empty jwk": {"jwk": minted.SecretJWK("")}} {
		for _, secret := range []string{"x", ""} {
			rows = append(rows, row{source: "BCP 3.10", input: fmt.Sprintf("HS256 under %q with %s", secret, what), options: guard, token: forged(t, claims{"alg": "HS256"}.With(members), admin(), macWith(t, "HS256", []byte(secret))), want: "401 bad_signature"})
		}
	}
	return rows
}

// keyIDRows hope that a kid is looked up in a file system, a database or a shell (BCP 3.10).
func keyIDRows(t *testing.T) []row {
	t.Helper()
	var rows []row
	rs := minted.Key(t, "RSA")
	named := underKey(options{"jwksFile": minted.JWKSet(t, minted.NamedJWK(t, "a", rs), minted.NamedJWK(t, "b", minted.Key(t, "P-256")))})
	secret := underKey(options{"jwksFile": minted.JWKSet(t, minted.SecretJWK(minted.Secret).With(jwk{"kid": "a"}))})
	endpoint := minted.Serving(t, minted.JWKSet(t, minted.NamedJWK(t, "a", rs)))
	remote := underKey(options{"jwksUrl": endpoint.URL, "audience": "api"})
	for _, kid := range []string{
		"../../../../../../dev/null", "/dev/null", "/proc/sys/kernel/randomize_va_space", "file:///dev/null", `C:\windows\win.ini`, "a\x00", "a/../a", "./a",
		"' UNION SELECT 'x' --", "a' OR '1'='1", `") || true`, "*)(uid=*))(|(uid=*", "a; cat /etc/passwd", "$(id)", "`id`", "| id", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}",
		"__proto__", "constructor", "toString", "http://127.0.0.1/keys", "a\r\nX-Role: admin", "A", " a", "a ", "а", "RS256 a", "a,b", "*", strings.Repeat("a", 1000),
	} {
		for where, o := range map[string]options{"a set": named, "a set of a secret": secret, "a set from a URL": remote} {
			for what, token := range map[string]string{
				"RS256 by an attacker's key": minted.Signed(t, stranger(t, "RSA"), claims{"alg": "RS256", "kid": kid}, admin().With(claims{"aud": "api"})),
				"HS256 by nothing":           forged(t, claims{"alg": "HS256", "kid": kid}, admin().With(claims{"aud": "api"}), macWith(t, "HS256", nil)),
				"HS256 by a zero octet":      forged(t, claims{"alg": "HS256", "kid": kid}, admin().With(claims{"aud": "api"}), macWith(t, "HS256", []byte{0})),
			} {
				short := kid
				if len(short) > 40 {
					short = short[:40] + "…"
				}
				want := "401 unknown_key"
				if where == "a set from a URL" && strings.HasPrefix(what, "HS256") {
					want = "401 wrong_algorithm" // No kid could name a secret there.
				}
				rows = append(rows, row{source: "BCP 3.10", input: fmt.Sprintf("kid %q, %s, where there is %s", short, what, where), options: o, token: token, want: want})
			}
		}
	}
	for _, kid := range []any{1, true, []any{"a"}, claims{"kid": "a"}} {
		rows = append(rows, row{source: "BCP 3.10", input: fmt.Sprintf("kid %v", kid), options: named, token: minted.Signed(t, rs, claims{"alg": "RS256", "kid": kid}, admin()), want: "401 token_malformed"})
	}
	rows = append(rows,
		row{source: "BCP 3.1", input: "the kid of another key", options: named, token: minted.Signed(t, rs, claims{"alg": "RS256", "kid": "b"}, admin()), want: "401 wrong_algorithm"},
		row{source: "BCP 3.1", input: "the right kid, by an attacker's key", options: named, token: minted.Signed(t, stranger(t, "RSA"), claims{"alg": "RS256", "kid": "a"}, admin()), want: "401 bad_signature"})
	// However many kids are unknown, each engine asks the endpoint for them once in half a minute.
	start := time.Now()
	t.Cleanup(func() {
		want := 2 * (2 + int64(time.Since(start)/(30*time.Second)))
		if got := endpoint.Fetches(); got > want {
			t.Errorf("got %d fetches for unknown kids, want at most %d", got, want)
		}
	})
	return rows
}

// signatureRows change signatures, where the good token may be remembered (BCP 3.3, 3.4).
func signatureRows(t *testing.T) []row {
	t.Helper()
	type change struct {
		name   string
		change func([]byte) []byte
	}
	changes := []change{
		{"no signature (CVE-2020-28042)", func([]byte) []byte { return nil }},
		{"without its first octet", func(s []byte) []byte { return s[1:] }},
		{"without its last octet", func(s []byte) []byte { return s[:len(s)-1] }},
		{"half of it", func(s []byte) []byte { return s[:len(s)/2] }},
		{"one octet of it", func(s []byte) []byte { return s[:1] }},
		{"a zero before", func(s []byte) []byte { return append([]byte{0}, s...) }},
		{"a zero behind", func(s []byte) []byte { return append(s, 0) }},
		{"twice", func(s []byte) []byte { return append(s, s...) }},
		{"zeros", func(s []byte) []byte { return make([]byte, len(s)) }},
		{"ones", func(s []byte) []byte { return []byte(strings.Repeat("\xff", len(s))) }},
		{"the first bit changed", func(s []byte) []byte { s[0] ^= 0x80; return s }},
		{"the last bit changed", func(s []byte) []byte { s[len(s)-1] ^= 1; return s }},
		{"backwards", reversed},
		{"in hexadecimal", func(s []byte) []byte { return []byte(fmt.Sprintf("%x", s)) }},
		{"in base64 twice", func(s []byte) []byte { return []byte(minted.Base64(s)) }},
	}
	var rows []row
	for _, a := range minted.Algorithms {
		key, all := minted.SigningKey(t, a.Key), append([]change{}, changes...)
		o := forms(t, a.Key)["JWK"]
		header := claims{"alg": a.Alg}
		good := forged(t, header, user(), as(t, a.Alg, key))
		if strings.HasPrefix(a.Alg, "ES") {
			n, zero, one := orderOf(key), new(big.Int), big.NewInt(1)
			size := (n.BitLen() + 7) / 8
			numbers := func(name string, choose func(r, s *big.Int) (*big.Int, *big.Int)) change {
				return change{name, func(signature []byte) []byte {
					r, s := choose(halves(signature))
					return sideBySide(r, s, size)
				}}
			}
			all = append(all,
				numbers("r and s zero (CVE-2022-21449)", func(_, _ *big.Int) (*big.Int, *big.Int) { return zero, zero }),
				numbers("r zero", func(_, s *big.Int) (*big.Int, *big.Int) { return zero, s }),
				numbers("s zero", func(r, _ *big.Int) (*big.Int, *big.Int) { return r, zero }),
				numbers("r and s one", func(_, _ *big.Int) (*big.Int, *big.Int) { return one, one }),
				numbers("r and s the order", func(_, _ *big.Int) (*big.Int, *big.Int) { return n, n }),
				numbers("r the order", func(_, s *big.Int) (*big.Int, *big.Int) { return n, s }),
				numbers("s the order", func(r, _ *big.Int) (*big.Int, *big.Int) { return r, n }),
				numbers("r and s exchanged", func(r, s *big.Int) (*big.Int, *big.Int) { return s, r }),
				numbers("r negated", func(r, s *big.Int) (*big.Int, *big.Int) { return new(big.Int).Sub(n, r), s }),
				change{"DER", func(signature []byte) []byte {
					r, s := halves(signature)
					der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
					if err != nil {
						t.Fatal(err)
					}
					return der
				}},
				change{"a zero between the numbers", func(signature []byte) []byte {
					half := len(signature) / 2
					return append(append(append([]byte{}, signature[:half]...), 0), signature[half:]...)
				}},
				change{"both numbers longer", func(signature []byte) []byte {
					r, s := halves(signature)
					return sideBySide(r, s, size+1)
				}},
				change{"both numbers longer, the order added", func(signature []byte) []byte {
					r, s := halves(signature)
					return sideBySide(r.Add(r, n), s.Add(s, n), size+1)
				}})
			// ECDSA has two signatures for each that one knows. The second is as good, and gives what the first does.
			rows = append(rows, row{source: "malleability", input: a.Alg + ": s negated, which is a right signature", options: o, first: good, want: asUser, token: forged(t, header, user(), with(as(t, a.Alg, key), func(signature []byte) []byte {
				r, s := halves(signature)
				return sideBySide(r, s.Sub(n, s), size)
			}))})
		}
		if a.Key == "Ed25519" {
			all = append(all, change{"S not reduced (RFC 8032 5.1.7)", overOrder})
		}
		for _, c := range all {
			for _, first := range []string{"", good} {
				name := a.Alg + ": " + c.name
				if first != "" {
					name += ", the good one remembered"
				}
				token := forged(t, header, user(), with(as(t, a.Alg, key), c.change))
				if first != "" { // The same token but for its signature.
					parts := strings.Split(first, ".")
					signature, err := base64.RawURLEncoding.DecodeString(parts[2])
					if err != nil {
						t.Fatal(err)
					}
					token = parts[0] + "." + parts[1] + "." + minted.Base64(c.change(signature))
				}
				rows = append(rows, row{source: "BCP 3.3", input: name, options: o, first: first, token: token, want: "401 bad_signature"})
			}
		}
		// The text for one signature is one text (RFC 4648 3.5), or what is remembered and what is revoked would miss it.
		if len(good)-strings.LastIndexByte(good, '.')-1 != 0 && (len(good)-strings.LastIndexByte(good, '.')-1)%4 != 0 {
			rows = append(rows, row{source: "malleability", input: a.Alg + ": another text for the same signature", options: o, first: good, token: nudged(good), want: "401 token_malformed"})
		}
		other := forged(t, header, admin(), as(t, a.Alg, key))
		goodParts, otherParts := strings.Split(good, "."), strings.Split(other, ".")
		rows = append(rows,
			row{source: "CVE-2026-35039", input: a.Alg + ": another's claims under a remembered token's signature", options: o, first: good, token: goodParts[0] + "." + otherParts[1] + "." + goodParts[2], want: "401 bad_signature"},
			row{source: "CVE-2026-35039", input: a.Alg + ": another header on a remembered token", options: o, first: good, token: minted.Segment(t, claims{"alg": a.Alg, "typ": "JWT"}) + "." + goodParts[1] + "." + goodParts[2], want: "401 bad_signature"},
			row{source: "CVE-2026-35039", input: a.Alg + ": another token's signature on a remembered one", options: o, first: good, token: goodParts[0] + "." + goodParts[1] + "." + otherParts[2], want: "401 bad_signature"})
	}
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].input < rows[j].input })
	return rows
}

// nudged is a token with unused bits of its last character set: other text for the same octets.
func nudged(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last+1:last+2]
}
