package jose

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"hash"
	"sort"
)

// Algorithm is a signature algorithm of JWS (RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2).
type Algorithm struct {
	Name    string
	Alias   string // another name of the same; empty if there is none
	KeyType string // the kty of its keys
	Curve   string // the crv of its keys; empty if they have none
	// MinSecret is the least length of an HMAC secret, in bytes (RFC 7518 3.2).
	MinSecret int

	newHash func() hash.Hash
	// verifier is the same algorithm in package x509, whose one call hashes and verifies, and whose PSS demands a salt as
	// long as the hash; 0 for HMAC and ECDSA: see verifyHashed.
	verifier x509.SignatureAlgorithm
}

// algorithms are all algorithms. A key that can use several signs with the first of them, unless it is told otherwise.
var algorithms = []*Algorithm{
	{Name: "HS256", KeyType: "oct", MinSecret: 32, newHash: sha256.New},
	{Name: "HS384", KeyType: "oct", MinSecret: 48, newHash: sha512.New384},
	{Name: "HS512", KeyType: "oct", MinSecret: 64, newHash: sha512.New},
	{Name: "RS256", KeyType: "RSA", verifier: x509.SHA256WithRSA},
	{Name: "RS384", KeyType: "RSA", verifier: x509.SHA384WithRSA},
	{Name: "RS512", KeyType: "RSA", verifier: x509.SHA512WithRSA},
	{Name: "PS256", KeyType: "RSA", verifier: x509.SHA256WithRSAPSS},
	{Name: "PS384", KeyType: "RSA", verifier: x509.SHA384WithRSAPSS},
	{Name: "PS512", KeyType: "RSA", verifier: x509.SHA512WithRSAPSS},
	{Name: "ES256", KeyType: "EC", Curve: "P-256", newHash: sha256.New},
	{Name: "ES384", KeyType: "EC", Curve: "P-384", newHash: sha512.New384},
	{Name: "ES512", KeyType: "EC", Curve: "P-521", newHash: sha512.New},
	{Name: "EdDSA", Alias: "Ed25519", KeyType: "OKP", Curve: "Ed25519", verifier: x509.PureEd25519},
	{Name: "Ed25519", Alias: "EdDSA", KeyType: "OKP", Curve: "Ed25519", verifier: x509.PureEd25519},
}

var algorithmsByName = byName()

func byName() map[string]*Algorithm {
	named := map[string]*Algorithm{}
	for _, algorithm := range algorithms {
		named[algorithm.Name] = algorithm
	}
	return named
}

// IsKnown says whether there is an algorithm of that name.
func IsKnown(name string) bool { return algorithmsByName[name] != nil }

// AlgorithmNames are the names of all, in order.
func AlgorithmNames() []string {
	names := []string{}
	for _, algorithm := range algorithms {
		names = append(names, algorithm.Name)
	}
	sort.Strings(names)
	return names
}

// Allows says whether an algorithm is in a list, under its name or its alias.
func Allows(list []string, name string) bool {
	algorithm := algorithmsByName[name]
	if algorithm == nil {
		return false
	}
	for _, listed := range list {
		if listed == name || (listed == algorithm.Alias && listed != "") {
			return true
		}
	}
	return false
}

// algorithmsOf are the names of the algorithms for an asymmetric key of a type and curve.
func algorithmsOf(keyType, curve string) []string {
	names := []string{}
	for _, algorithm := range algorithms {
		if algorithm.KeyType == keyType && algorithm.Curve == curve {
			names = append(names, algorithm.Name)
		}
	}
	return names
}
