// Package jose reads, verifies and signs JSON Web Tokens strictly: base64url, JSON, algorithms, keys, JWK Sets and PEM
// (RFC 7515, 7517, 7518, 7638, 8037, 8725). It knows nothing of claims, clocks, files, the network or HTTP.
//
// A key is bound to its algorithms in Key.Bind and in the readers of JWKs and PEMs; Key.Verify takes no other.
package jose
