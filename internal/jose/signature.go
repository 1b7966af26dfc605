package jose

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Verify checks the signature of a signing input with an algorithm that the key is bound to (RFC 7518 3, RFC 8037 3.1). For
// any other it is false.
//
// Yaegi: a function, since a call of a method costs a microsecond more. One compiled call hashes and verifies; through
// golang-jwt's interpreted methods it costs 7 to 15 µs more, and its PSS takes a salt of any length.
func Verify(k *Key, alg, input string, signature []byte) bool {
	algorithm := k.algorithms[alg]
	if algorithm == nil {
		return false
	}
	if k.checker != nil {
		return k.checker.CheckSignature(algorithm.verifier, []byte(input), signature) == nil
	}
	isRight := verifyHashed(k, algorithm, input, signature)
	return isRight
}

// verifyHashed checks a signature by HMAC, which package x509 does not know, or by ECDSA, whose signatures it expects in another form.
func verifyHashed(k *Key, algorithm *Algorithm, input string, signature []byte) bool {
	if k.secret != nil {
		mac := hmac.New(algorithm.newHash, k.secret)
		_, _ = mac.Write([]byte(input)) // It never fails (package hash).
		return hmac.Equal(signature, mac.Sum(nil))
	}
	// A JWS has r and s side by side, each as long as the curve's order (RFC 7518 3.4).
	size := (k.ecdsa.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	sum := algorithm.newHash()
	_, _ = sum.Write([]byte(input))
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k.ecdsa, sum.Sum(nil), r, s)
}

// MaxTokenBytes is the greatest length of a token.
const MaxTokenBytes = 8 << 10

// ErrTooLong is the error of a token that would be refused for its length.
var ErrTooLong = errors.New("the token would be longer than 8 KiB, and refused")

// Sign makes a token of a payload (RFC 7515 5.1), under a header with its own alg and kid, and a typ if one is given.
func (k *Key) Sign(typ, payload string) (string, error) {
	header := map[string]string{"alg": k.SignAlg}
	if kid := k.PublicKID(); kid != "" {
		header["kid"] = kid
	}
	if typ != "" {
		header["typ"] = typ
	}
	text, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	token, err := k.signAs(k.SignAlg, Base64.EncodeToString(text), payload)
	return token, err
}

// SignAgain makes a token of a payload, under the header of a token that the key itself verified.
func (k *Key) SignAgain(header, payload string) (string, error) {
	presented, problem := ParseHeader(header)
	if problem != NoProblem || !contains(k.Algs, presented.Alg) {
		return "", errors.New("the presented header is not the key's")
	}
	token, err := k.signAs(presented.Alg, header, payload)
	return token, err
}

// signAs makes a token of a header in base64url and a payload.
func (k *Key) signAs(alg, header, payload string) (string, error) {
	if alg == "Ed25519" {
		alg = "EdDSA" // As golang-jwt calls it.
	}
	input := header + "." + Base64.EncodeToString([]byte(payload))
	signature, err := jwt.GetSigningMethod(alg).Sign(input, k.private)
	if err != nil {
		return "", errors.New("signing failed")
	}
	token := input + "." + Base64.EncodeToString(signature)
	if len(token) > MaxTokenBytes {
		return "", ErrTooLong
	}
	return token, nil
}
