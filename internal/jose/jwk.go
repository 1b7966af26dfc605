package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// publicMembers writes the required members of a public key's JWK in the order of RFC 7638 3.
func publicMembers(k *Key) string {
	switch {
	case k.rsa != nil:
		return `{"e":"` + Base64.EncodeToString(big.NewInt(int64(k.rsa.E)).Bytes()) + `","kty":"RSA","n":"` + Base64.EncodeToString(k.rsa.N.Bytes()) + `"}`
	case k.ecdsa != nil:
		size := (k.ecdsa.Curve.Params().BitSize + 7) / 8
		x := Base64.EncodeToString(k.ecdsa.X.FillBytes(make([]byte, size)))
		y := Base64.EncodeToString(k.ecdsa.Y.FillBytes(make([]byte, size)))
		return `{"crv":"` + k.ecdsa.Curve.Params().Name + `","kty":"EC","x":"` + x + `","y":"` + y + `"}`
	case k.ed25519 != nil:
		return `{"crv":"Ed25519","kty":"OKP","x":"` + Base64.EncodeToString(k.ed25519) + `"}`
	}
	return ""
}

// What a key set may take, of memory and of the log.
const (
	maxSetKeys      = 1000
	maxLeftOutLines = 10
)

// ParseSet reads a JWK Set (RFC 7517 5) of at most 1,000 keys. A key that contradicts itself is left out, with a log line that
// names the set. In a remote set (one from a URL), secrets and private keys are left out as well: everyone who can read the URL
// knows them. It is an error if no key is left, or if a key of a local set is too weak.
func ParseSet(text, from string, remote bool) ([]*Key, error) {
	set, err := StrictObject([]byte(text))
	if err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	list, ok := set["keys"].([]any)
	if !ok {
		return nil, errors.New(`it has no list "keys"`)
	}
	if len(list) > maxSetKeys {
		return nil, fmt.Errorf("it has more than %d keys", maxSetKeys)
	}
	var keys []*Key
	left, others := 0, 0 // what is left out: as it contradicts itself, as it is for something else
	for i, element := range list {
		jwk, ok := element.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("its key %d is not a JSON object", i)
		}
		dropEmpty(jwk)
		var k *Key
		if remote && hasPrivateMember(jwk) { // First: checking a private key costs as much as the endpoint likes.
			err = errors.New("it is a secret or private key, and a key set from a URL is public")
		} else {
			k, err = parseJWK(jwk)
		}
		if errors.Is(err, ErrTooWeak) && !remote {
			return nil, fmt.Errorf("its key %d: %w", i, err)
		}
		if err != nil {
			if errors.Is(err, errOtherUse) {
				if others++; others <= maxLeftOutLines {
					logline.Debug("key %d of %s is left out: %s", i, from, err.Error())
				}
			} else if left++; left <= maxLeftOutLines {
				logline.Warning("key %d of %s is left out: %s", i, from, err.Error())
			}
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key that can be used")
	}
	return keys, nil
}

// errOtherUse is the error of a key that is for something else, which needs nobody's action.
var errOtherUse = errors.New("it is not for signatures that are known here")

// dropEmpty removes null members and empty lists, which some issuers write for absent ones.
func dropEmpty(jwk map[string]any) {
	for name, value := range jwk {
		list, isList := value.([]any)
		if value == nil || isList && len(list) == 0 {
			delete(jwk, name)
		}
	}
}

// hasPrivateMember says whether a JWK has a private or secret member (RFC 7518 6.2.2, 6.3.2, 6.4.1).
func hasPrivateMember(jwk map[string]any) bool {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := jwk[name]; there {
			return true
		}
	}
	return false
}

// parseJWK reads a key whose members agree (RFC 7517 4, RFC 7518 6, RFC 8037 2).
func parseJWK(jwk map[string]any) (*Key, error) {
	for _, name := range []string{"kid", "alg", "use", "kty", "crv"} {
		if value, there := jwk[name]; there {
			if _, ok := value.(string); !ok {
				return nil, errors.New("its " + name + " is not a string")
			}
		}
	}
	kid, _ := jwk["kid"].(string)
	use, hasUse := jwk["use"]
	if hasUse && use != "sig" && use != "jwt-svid" { // The latter is SPIFFE's (JWT-SVID 4.1).
		return nil, fmt.Errorf("%w: its use is not sig", errOtherUse)
	}
	_, signs := jwk["d"]
	if jwk["kty"] == "oct" {
		signs = true
	}
	if operations, there := jwk["key_ops"]; there {
		list, ok := operations.([]any)
		if !ok {
			return nil, errors.New("its key_ops is not a list")
		}
		verify, sign := false, false
		for _, operation := range list {
			verify = verify || operation == "verify"
			sign = sign || operation == "sign"
		}
		if !verify && !sign && !hasUse {
			return nil, fmt.Errorf("%w: its key_ops has neither verify nor sign", errOtherUse)
		}
		if !verify && (!sign || !signs) {
			return nil, errors.New("its key_ops has no verify")
		}
		signs = signs && sign
	}
	k, err := typedJWK(jwk, kid)
	if err != nil {
		return nil, err
	}
	if !signs {
		k.private = nil
	}
	if alg, there := jwk["alg"].(string); there {
		if !contains(k.Algs, alg) {
			if !IsKnown(alg) {
				return nil, fmt.Errorf("%w: its alg is %s", errOtherUse, logline.Quote(alg))
			}
			return nil, errors.New("its alg and its kind disagree")
		}
		k.jwkAlg = alg
		k.Algs = []string{alg}
		if alias := algorithmsByName[alg].Alias; alias != "" {
			k.Algs = []string{alg, alias}
		}
	}
	return k, nil
}

// typedJWK reads the members that a kind of key has.
func typedJWK(jwk map[string]any, kid string) (*Key, error) {
	curve, _ := jwk["crv"].(string)
	kind, _ := jwk["kty"].(string) // Yaegi: a switch cannot compare an interface with texts.
	switch kind {
	case "oct":
		secret, err := octets(jwk, "k")
		if err != nil {
			return nil, err
		}
		k, err := NewSecret(secret, kid)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrTooWeak, err.Error())
		}
		return k, nil
	case "RSA":
		k, err := rsaJWK(jwk, kid)
		return k, err
	case "EC":
		k, err := ecdsaJWK(jwk, curve, kid)
		return k, err
	case "OKP":
		if curve != "Ed25519" {
			return nil, fmt.Errorf("%w: its crv is not Ed25519", errOtherUse)
		}
		x, err := octets(jwk, "x")
		if err != nil {
			return nil, err
		}
		if _, private := jwk["d"]; !private {
			k, err := newPublic(ed25519.PublicKey(x), kid)
			return k, err
		}
		d, err := octets(jwk, "d")
		if err != nil || len(d) != ed25519.SeedSize {
			return nil, errors.New("its d is malformed")
		}
		private := ed25519.NewKeyFromSeed(d)
		if !bytes.Equal(private[32:], x) {
			return nil, errors.New("its d and x disagree")
		}
		k, err := newPrivate(private, kid)
		return k, err
	}
	return nil, fmt.Errorf("%w: its kty is not RSA, EC, OKP or oct", errOtherUse)
}

func rsaJWK(jwk map[string]any, kid string) (*Key, error) {
	n, err := octets(jwk, "n")
	if err != nil {
		return nil, err
	}
	n = bytes.TrimLeft(n, "\x00") // Else its length, which bounds that of the private members, would be any.
	e, err := octets(jwk, "e")
	if err != nil {
		return nil, err
	}
	if len(e) > 4 {
		return nil, errors.New("its e is too large")
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if err := checkRSA(public); err != nil { // First, since the time to check a private key grows with the cube of its length.
		if public.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("%w: %s", ErrTooWeak, err.Error())
		}
		return nil, err
	}
	if _, private := jwk["d"]; !private {
		k, err := newPublic(public, kid)
		return k, err
	}
	d, err := octets(jwk, "d")
	if err != nil {
		return nil, err
	}
	p, err := octets(jwk, "p")
	if err != nil {
		return nil, err
	}
	q, err := octets(jwk, "q")
	if err != nil {
		return nil, err
	}
	if len(d) > len(n) || len(p) > len(n) || len(q) > len(n) {
		return nil, errors.New("its private members are longer than its modulus")
	}
	private := &rsa.PrivateKey{
		PublicKey: *public, D: new(big.Int).SetBytes(d),
		Primes: []*big.Int{new(big.Int).SetBytes(p), new(big.Int).SetBytes(q)},
	}
	if err := private.Validate(); err != nil {
		return nil, errors.New("its private members disagree")
	}
	private.Precompute()
	k, err := newPrivate(private, kid)
	return k, err
}

func ecdsaJWK(jwk map[string]any, curveName, kid string) (*Key, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve := curves[curveName]
	if curve == nil {
		return nil, fmt.Errorf("%w: its crv is not P-256, P-384 or P-521", errOtherUse)
	}
	size := (curve.Params().BitSize + 7) / 8
	x, err := octets(jwk, "x")
	if err != nil {
		return nil, err
	}
	y, err := octets(jwk, "y")
	if err != nil {
		return nil, err
	}
	x, y = padded(x, size), padded(y, size)
	if x == nil || y == nil {
		return nil, errors.New("its coordinates are longer than the curve's")
	}
	public := ecdsa.PublicKey{Curve: curve, X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
	if _, private := jwk["d"]; !private {
		k, err := newPublic(&public, kid)
		return k, err
	}
	d, err := octets(jwk, "d")
	if err != nil {
		return nil, err
	}
	d = padded(d, size)
	if d == nil {
		return nil, errors.New("its d is longer than the curve's")
	}
	private := &ecdsa.PrivateKey{PublicKey: public, D: new(big.Int).SetBytes(d)}
	converted, err := private.ECDH()
	if err != nil {
		return nil, errors.New("its d is malformed")
	}
	point := append(append([]byte{4}, x...), y...)
	if !bytes.Equal(converted.PublicKey().Bytes(), point) {
		return nil, errors.New("its d and its point disagree")
	}
	k, err := newPrivate(private, kid)
	return k, err
}

// padded writes a number in so many octets, whether zeros in front were left out or added; nil if it is greater.
func padded(number []byte, size int) []byte {
	number = bytes.TrimLeft(number, "\x00")
	if len(number) > size {
		return nil
	}
	return append(make([]byte, size-len(number)), number...)
}

// octets decodes a base64url member.
func octets(jwk map[string]any, name string) ([]byte, error) {
	text, ok := jwk[name].(string)
	if !ok || text == "" || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("its " + name + " is missing or malformed")
	}
	value, err := Base64.DecodeString(text)
	if err != nil {
		return nil, errors.New("its " + name + " is missing or malformed")
	}
	return value, nil
}

// PublicSet writes the public halves of keys as a JWK Set (RFC 7517 5); nil if there is none. Secrets have none.
func PublicSet(keys []*Key) []byte {
	list := []json.RawMessage{}
	for _, k := range keys {
		if k.secret != nil || len(k.Algs) == 0 {
			continue
		}
		members := `{"kid":` + jsonString(k.PublicKID()) + `,"use":"sig",`
		if k.jwkAlg != "" {
			members += `"alg":"` + k.jwkAlg + `",`
		}
		list = append(list, json.RawMessage(members+publicMembers(k)[1:]))
	}
	if len(list) == 0 {
		return nil
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		return nil
	}
	return text
}

func jsonString(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(quoted)
}
