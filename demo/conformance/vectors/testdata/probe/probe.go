package slidingjwt

// Probe is what the plugin says of one signature: "valid", or why it is not. It is compiled and interpreted with the
// plugin's sources by the tests of demo/conformance/vectors, since a message that is no token cannot come in a request.
func Probe(set, alg, kid, input string, signature string) string {
	keys, err := parseJWKS(set, "the vector", false)
	if err != nil {
		return "no key: " + err.Error()
	}
	for _, k := range keys {
		bindKey(k, nil)
	}
	found, r, _ := tryKeys(newKeySet(keys), &joseHeader{alg: alg, kid: kid}, input, []byte(signature), maxSignatures)
	if found != nil {
		return "valid"
	}
	return r.code
}
