package slidingjwt_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slidingjwt/slidingjwt"
	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// secretsIn are the lines of a configuration that no error and no log line may repeat.
func secretsIn(o options) []string {
	var lines []string
	for _, option := range []string{"signingSecret", "privateKey", "publicKey", "jwksFile"} {
		text, _ := o[option].(string)
		for _, line := range strings.Split(text, "\n") {
			if len(line) >= 12 && !strings.HasPrefix(line, "-----") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// New names every problem of a configuration, one a line, and repeats no secret.
func TestRefusedOptions(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2040)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := pkcs8(x25519)
	if err != nil {
		t.Fatal(err)
	}
	rs, ec := minted.Key(t, "RSA"), minted.Key(t, "P-256")
	private, public := minted.PEM(t, "PKCS8", ec), minted.PEM(t, "PKIX", ec)
	sub := map[string]any{"X-Sub": "sub"}
	forward := func(headers ...string) options {
		o := map[string]any{}
		for _, header := range headers {
			o[header] = "sub"
		}
		return options{"forwardHeaders": o}
	}
	renew := func(pairs ...string) options { return options{"renew": stringMap(pairs...)} }
	issue := func(more options) options {
		return options{"issue": stringMap("header", "X-Issue-Claims")}.With(more)
	}
	cookie := func(pairs ...string) options { return options{"cookie": stringMap(pairs...)} }
	trusted := func(issuers ...map[string]any) options { return options{"trustedIssuers": issuers} }
	// alone is a configuration without the secret that all the others have.
	alone := func(o options) options { return options{"signingSecret": ""}.With(o) }

	tests := []struct {
		name    string
		options options
		wants   []string // parts of each line, in order
	}{
		// Options that do not exist.
		{"unknown", options{"signingsecrets": "do not repeat this"}, []string{`unknown option "signingsecrets" (did you mean signingSecret?)`}},
		{"unknown, far off", options{"x": 1}, []string{`unknown option "x"`}},
		{"unknown, another case and a hyphen", options{"token-key": "t"}, []string{`"token-key" (did you mean tokenKey?)`}},
		{"unknown, quoted", options{"jwks\nUrl": "t"}, []string{`"jwks\nUrl" (did you mean jwksUrl?)`}},
		{"unknown in cookie", cookie("name", "s", "samesit", "Lax"), []string{`"cookie.samesit" (did you mean cookie.sameSite?)`}},
		{"unknown in renew", renew("before", "5m", "befor", "5m"), []string{`"renew.befor" (did you mean renew.before?)`}},
		{"unknown in issue", options{"issue": stringMap("headers", "X")}, []string{`"issue.headers" (did you mean issue.header?)`}},
		{"unknown in clientConfig", options{"clientConfig": stringMap("timeoutSecs", "5")}, []string{`"clientConfig.timeoutSecs" (did you mean clientConfig.timeoutSeconds?)`}},
		{"unknown in clientConfig.tls", options{"clientConfig": map[string]any{"tls": stringMap("cas", "x")}}, []string{`"clientConfig.tls.cas" (did you mean clientConfig.tls.ca?)`}},
		{"unknown in trustedIssuers", trusted(stringMap("issuer", "https://a.example"), stringMap("issuer", "https://b.example", "jwksUri", "https://b.example/k")), []string{`"trustedIssuers[1].jwksUri" (did you mean trustedIssuers[1].jwksUrl?)`}},
		{"Hub's option is Hub's at the top alone", renew("before", "5m", "usernameClaim", "sub"), []string{`"renew.usernameClaim"`}},
		{"unknown, and beyond JSON", options{"x": math.NaN()}, []string{`unknown option "x"`}},
		{"the catch-all is no option", options{"unknown": "x"}, []string{`unknown option "unknown"`}},

		// Keys.
		{"nothing", alone(options{}), []string{"no key source"}},
		{"empty secret", alone(options{"signingSecret": ""}), []string{"no key source"}},
		{"public, but no source", alone(options{"publishJwks": true}), []string{"no key source"}},
		{"31 octets", alone(options{"signingSecret": minted.Secret[:31]}), []string{"signingSecret: a secret of 31 bytes is shorter than the 32 that HS256 needs"}},
		{"31 octets in base64", alone(options{"signingSecret": base64.StdEncoding.EncodeToString([]byte(minted.Secret[:31])), "signingSecretBase64Encoded": true}), []string{"signingSecret: a secret of 31 bytes"}},
		{"no base64", alone(options{"signingSecret": minted.Secret, "signingSecretBase64Encoded": true}), []string{"signingSecret: it is not base64"}},
		{"PEM as a secret", alone(options{"signingSecret": public}), []string{"signingSecret: it is a PEM, which is not a secret"}},
		{"PEM as a secret behind white space", alone(options{"signingSecret": " \r\n\t" + public}), []string{"signingSecret: it is a PEM, which is not a secret"}},
		{"PEM as a secret in base64", alone(options{"signingSecret": base64.StdEncoding.EncodeToString([]byte(public)), "signingSecretBase64Encoded": true}), []string{"signingSecret: it is a PEM, which is not a secret"}},
		{"PEM as a secret in a JWK", options{"jwksFile": minted.JWKSet(t, minted.SecretJWK(public))}, []string{"jwksFile: its key 0: it is too weak: it is a PEM, which is not a secret"}},
		{"short RSA key", options{"privateKey": minted.PEM(t, "PKCS1", weak)}, []string{"privateKey: an RSA key of 2040 bits is shorter than 2048"}},
		{"short RSA public key", options{"publicKey": minted.PEM(t, "PKIX", weak)}, []string{"publicKey: an RSA key of 2040 bits is shorter than 2048"}},
		{"short RSA certificate", options{"publicKey": minted.PEM(t, "certificate", weak)}, []string{"publicKey: an RSA key of 2040 bits"}},
		{"short RSA JWK", options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec), minted.PublicJWK(t, weak))}, []string{"jwksFile: its key 1: it is too weak: an RSA key of 2040 bits is shorter than 2048"}},
		{"short JWK secret", options{"jwksFile": minted.JWKSet(t, minted.SecretJWK("short"))}, []string{"jwksFile: its key 0: it is too weak: a secret of 5 bytes"}},
		{"P-224", options{"privateKey": minted.PEM(t, "PKCS8", p224)}, []string{"privateKey: the curve is not P-256, P-384 or P-521"}},
		{"X25519", options{"privateKey": exchange}, []string{"privateKey: the key is not RSA, ECDSA or Ed25519"}},
		{"public as private", options{"privateKey": public}, []string{"privateKey: a private key is expected"}},
		{"private as public", options{"publicKey": private}, []string{"publicKey: a public key is expected"}},
		{"no PEM", options{"publicKey": "this is no key at all"}, []string{"publicKey: there is no PEM key in it"}},
		{"broken PEM", options{"publicKey": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, []string{"publicKey: the PEM block holds no key"}},
		{"cut PEM", options{"privateKey": private[:len(private)/2]}, []string{"privateKey: there is no PEM key in it"}},
		{"another PEM", options{"privateKey": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"}, []string{`privateKey: a PEM block "OPENSSH PRIVATE KEY" is neither a key nor a certificate`}},
		{"encrypted PEM", options{"privateKey": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, []string{`privateKey: a PEM block "ENCRYPTED PRIVATE KEY"`}},
		{"no JSON", options{"jwksFile": "keys.json as a name without ./"}, []string{"jwksFile: it is not a JSON object"}},
		{"a list of keys", options{"jwksFile": "[]"}, []string{"jwksFile: it is not a JSON object"}},
		{"a key for a set", options{"jwksFile": `{"kty":"oct","k":"AAAA"}`}, []string{`jwksFile: it has no list "keys"`}},
		{"keys no list", options{"jwksFile": `{"keys":{}}`}, []string{`jwksFile: it has no list "keys"`}},
		{"no keys", options{"jwksFile": `{"keys":[]}`}, []string{"jwksFile: it holds no key that can be used"}},
		{"no key that can be used", options{"jwksFile": `{"keys":[{"kty":"x"}]}`}, []string{"jwksFile: it holds no key that can be used"}},
		{"a key that is no object", options{"jwksFile": `{"keys":["x"]}`}, []string{"jwksFile: its key 0 is not a JSON object"}},
		{"keys twice", options{"jwksFile": `{"keys":[{"kty":"x"}],"keys":[]}`}, []string{"jwksFile: it is not a JSON object"}},
		{"a member twice", options{"jwksFile": `{"keys":[{"kty":"x","kty":"x"}]}`}, []string{"jwksFile: it is not a JSON object"}},

		// Algorithms.
		{"unknown algorithm", options{"algorithms": []string{"HS257"}}, []string{`algorithms: "HS257" is not one of ES256, ES384, ES512, Ed25519, EdDSA, HS256`}},
		{"none", options{"algorithms": []string{"none"}}, []string{`algorithms: "none"`}},
		{"in lower case", options{"algorithms": []string{"HS256", "hs512"}}, []string{`algorithms: "hs512"`}},
		{"no key of that kind", options{"algorithms": []string{"HS256", "RS256"}}, []string{`algorithms: no key can serve "RS256"`}},
		{"a secret too short", alone(options{"signingSecret": minted.Secret[:40], "algorithms": []string{"HS384"}}), []string{`algorithms: no key can serve "HS384"`}},
		{"another curve", alone(options{"privateKey": private, "algorithms": []string{"ES384"}}), []string{`algorithms: no key can serve "ES384"`}},
		{"a JWK's alg", alone(options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, rs).With(jwk{"alg": "RS256"})), "algorithms": []string{"RS256", "PS256"}}), []string{`algorithms: no key can serve "PS256"`}},
		{"no key of that kind, and something else", options{"algorithms": []string{"RS256"}, "realm": `"`}, []string{`algorithms: no key can serve "RS256"`, `realm: "\""`}},

		// Headers.
		{"malformed header", forward("X User"), []string{`forwardHeaders: "X User" is not a header name`}},
		{"empty header", forward(""), []string{`forwardHeaders: "" is not a header name`}},
		{"header with a colon", forward("X-User:"), []string{`forwardHeaders: "X-User:" is not a header name`}},
		{"header with a line break", forward("X-User\r\nX"), []string{`forwardHeaders: "X-User\r\nX" is not a header name`}},
		{"header beyond ASCII", forward("X-Üser"), []string{`is not a header name`}},
		{"Connection", forward("Connection"), []string{`forwardHeaders: the header "Connection" cannot be used`}},
		{"keep-alive", forward("keep-alive"), []string{`forwardHeaders: the header "keep-alive" cannot be used`}},
		{"Proxy-Connection", forward("Proxy-Connection"), []string{`"Proxy-Connection"`}},
		{"Proxy-Authenticate", forward("Proxy-Authenticate"), []string{`"Proxy-Authenticate"`}},
		{"Proxy-Authorization", forward("Proxy-Authorization"), []string{`"Proxy-Authorization"`}},
		{"TE", forward("TE"), []string{`"TE"`}},
		{"Trailer", forward("Trailer"), []string{`"Trailer"`}},
		{"Transfer-Encoding", forward("Transfer-Encoding"), []string{`"Transfer-Encoding"`}},
		{"Upgrade", forward("Upgrade"), []string{`"Upgrade"`}},
		{"Host", forward("host"), []string{`"host"`}},
		{"Content-Length", forward("content-length"), []string{`"content-length"`}},
		{"Cookie", forward("Cookie"), []string{`"Cookie"`}},
		{"Set-Cookie", forward("Set-Cookie"), []string{`"Set-Cookie"`}},
		{"Authorization", forward("authorization"), []string{`forwardHeaders: the header "authorization"`}},
		{"two cases of a header", forward("X-Sub", "x-sub"), []string{`forwardHeaders: "x-sub" is another spelling`}},
		{"two spellings of a header", forward("X-Sub-Id", "X-Sub_Id"), []string{`forwardHeaders: "X-Sub_Id" is another spelling`}},
		{"no claim", options{"forwardHeaders": map[string]any{"X-Sub": ""}}, []string{`forwardHeaders: "X-Sub" has no claim`}},
		{"renew.header malformed", renew("before", "5m", "header", "X Y"), []string{`renew.header: "X Y" is not a header name`}},
		{"renew.header Set-Cookie", renew("before", "5m", "header", "set-cookie"), []string{`renew.header: the header "set-cookie" cannot be used`}},
		{"renew.header Connection", renew("before", "5m", "header", "Connection"), []string{`renew.header: the header "Connection" cannot be used`}},
		{"renew.header forwarded", renew("before", "5m", "header", "x_sub").With(options{"forwardHeaders": sub}), []string{`renew.header: "x_sub" is also in forwardHeaders`}},
		{"renew.header is what comes with it", renew("before", "5m", "header", "Token-Expires-In"), []string{`renew.header: the header "Token-Expires-In"`}},
		{"renew.unless malformed", renew("before", "5m", "unless", "X Y"), []string{`renew.unless: "X Y" is not a header name`}},
		{"renew.unless Cookie", renew("before", "5m", "unless", "cookie"), []string{`renew.unless: the header "cookie" cannot be used`}},
		{"renew.unless Connection", renew("before", "5m", "unless", "Connection"), []string{`renew.unless: the header "Connection" cannot be used`}},
		{"renew.unless carries the token", renew("before", "5m", "unless", "authorization"), []string{`renew.unless: "authorization" is also headerName`}},
		{"renew.unless is renew.header", renew("before", "5m", "unless", "x_token", "header", "X-Token"), []string{`renew.unless: "x_token" is also renew.header`}},
		{"renew.unless forwarded", renew("before", "5m", "unless", "x_sub").With(options{"forwardHeaders": sub}), []string{`renew.unless: "x_sub" is also in forwardHeaders`}},
		{"renew.unless without before", renew("unless", "X-Poll"), []string{"renew.unless: needs renew.before"}},
		{"renew.confirm without before", renew("confirm", "https://a.example/"), []string{"renew.confirm: needs renew.before"}},
		{"renew.confirm relative", renew("before", "5m", "confirm", "/confirm?key=x"), []string{`renew.confirm: "/confirm" is not an absolute http(s) URL`}},
		{"renew.confirm of another scheme", renew("before", "5m", "confirm", "ftp://a.example/"), []string{`renew.confirm: "ftp://a.example/" is not an absolute http(s) URL`}},
		{"renew.confirm without a host", renew("before", "5m", "confirm", "https:///x"), []string{`renew.confirm: "https:///x" is not an absolute http(s) URL`}},
		{"renew.confirm with a user", renew("before", "5m", "confirm", "https://u:hidden@a.example/x"), []string{`renew.confirm: "https://a.example/x" is not an absolute http(s) URL`}},
		{"renew.confirm with a fragment", renew("before", "5m", "confirm", "https://a.example/x#y"), []string{`renew.confirm: "https://a.example/x" is not an absolute http(s) URL`}},
		{"renew.confirm malformed", renew("before", "5m", "confirm", "https://a b/"), []string{"renew.confirm: it is malformed"}},
		{"renew.confirm in another role", issue(renew("confirm", "https://a.example/")), []string{"renew.confirm: needs renew.before"}},
		{"issue.header malformed", options{"issue": stringMap("header", "X/Y")}, []string{`issue.header: "X/Y" is not a header name`}},
		{"issue.header Content-Length", options{"issue": stringMap("header", "Content-Length")}, []string{`issue.header: the header "Content-Length" cannot be used`}},
		{"issue.header is renew.header", options{"issue": stringMap("header", "X-Token"), "renew": stringMap("header", "x-token")}, []string{`issue.header: "X-Token" is also renew.header`}},
		{"issue.header is the default of renew.header", options{"issue": stringMap("header", "Authorization")}, []string{`issue.header: "Authorization" is also renew.header`}},

		// Durations.
		{"leeway no duration", options{"leeway": "5 minutes"}, []string{`leeway: "5 minutes" is not a duration`}},
		{"leeway negative", options{"leeway": "-1s"}, []string{`leeway: "-1s" is less than 0s`}},
		{"leeway without a unit", options{"leeway": "1.5"}, []string{`leeway: "1.5" is not a duration`}},
		{"leeway beyond int64", options{"leeway": "99999999999999999999"}, []string{`leeway: "99999999999999999999" is not a duration`}},
		{"renew.before no duration", renew("before", "soon"), []string{`renew.before: "soon" is not a duration`}},
		{"renew.before 0", renew("before", "0s"), []string{`renew.before: "0s" is less than 1s`}},
		{"renew.before negative", renew("before", "-5m"), []string{`renew.before: "-5m" is less than 1s`}},
		{"renew.before 0%", renew("before", "0%"), []string{`renew.before: "0%" is not between 1% and 99%`}},
		{"renew.before 100%", renew("before", "100%"), []string{`renew.before: "100%" is not between 1% and 99%`}},
		{"renew.before 1.5%", renew("before", "1.5%"), []string{`renew.before: "1.5%"`}},
		{"renew.before -5%", renew("before", "-5%"), []string{`renew.before: "-5%"`}},
		{"renew.before %", renew("before", "%"), []string{`renew.before: "%"`}},
		{"renew.lifetime no duration", renew("before", "5m", "lifetime", "long"), []string{`renew.lifetime: "long" is not a duration`}},
		{"renew.lifetime 0", renew("before", "5m", "lifetime", "0"), []string{`renew.lifetime: "0" is less than 1s`}},
		{"renew.maxSession no duration", renew("before", "5m", "maxSession", "1d"), []string{`renew.maxSession: "1d" is not a duration`}},
		{"renew.maxSession 0", renew("before", "5m", "maxSession", "0s"), []string{`renew.maxSession: "0s" is less than 1s`}},
		{"issue.lifetime no duration", issue(options{"issue": stringMap("header", "X-Claims", "lifetime", "x")}), []string{`issue.lifetime: "x" is not a duration`}},
		{"issue.lifetime negative", issue(options{"issue": stringMap("header", "X-Claims", "lifetime", "-1")}), []string{`issue.lifetime: "-1" is less than 1s`}},

		// What needs something else.
		{"renew without a key that signs", alone(renew("before", "5m").With(options{"publicKey": public})), []string{"renew.before: needs a key that can sign"}},
		{"renew with public JWKs", alone(renew("before", "5m").With(options{"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, ec))})), []string{"renew.before: needs a key that can sign"}},
		{"renew without a key that signs", alone(renew("before", "5m").With(options{"jwksUrl": "https://a.example/keys"})), []string{"renew.before: needs a key that can sign"}},
		{"issue without a key that signs", alone(issue(options{"publicKey": public})), []string{"issue: needs a key that can sign"}},
		{"renew with a key that is wrong", alone(renew("before", "5m").With(options{"privateKey": "x"})), []string{"privateKey: there is no PEM key in it"}},
		{"renew.lifetime without before", renew("lifetime", "5m"), []string{"renew.before: required"}},
		{"renew.maxSession without before", renew("maxSession", "5h"), []string{"renew.before: required"}},
		{"renew.header without before", renew("header", "X-Token"), []string{"renew.before: required"}},
		{"renew.lifetime with issue", issue(renew("lifetime", "5m")), []string{"renew.before: required"}},
		{"optional with scopes", options{"optional": true, "scopes": []string{"a"}}, []string{"optional: cannot be combined with scopes or claims"}},
		{"optional with claims", options{"optional": true, "claims": "Equals(`a`, `b`)"}, []string{"optional: cannot be combined with scopes or claims"}},
		{"issue.lifetime without header", options{"issue": stringMap("lifetime", "5m")}, []string{"issue.header: required"}},
		{"issue with forwardHeaders", issue(options{"forwardHeaders": sub}), []string{"issue: cannot be combined with forwardHeaders"}},
		{"issue with scopes", issue(options{"scopes": []string{"a"}}), []string{"issue: cannot be combined with scopes"}},
		{"issue with claims", issue(options{"claims": "Equals(`a`, `b`)"}), []string{"issue: cannot be combined with claims"}},
		{"issue with optional", issue(options{"optional": true}), []string{"issue: cannot be combined with optional"}},
		{"issue with renew.before", issue(renew("before", "5m")), []string{"issue: cannot be combined with renew.before"}},
		{"issue with tokenKey", issue(options{"tokenKey": "t"}), []string{"issue: cannot be combined with tokenKey"}},
		{"issue with publishJwks", alone(issue(options{"publishJwks": true, "privateKey": private})), []string{"issue: cannot be combined with publishJwks"}},
		{"publishJwks with a secret", options{"publishJwks": true}, []string{"publishJwks: needs an asymmetric key of your own"}},
		{"publishJwks with a publicKey", alone(options{"publishJwks": true, "publicKey": public}), []string{"publishJwks: needs an asymmetric key of your own"}},
		{"publishJwks without a key of your own", alone(options{"publishJwks": true, "jwksUrl": "https://a.example/keys"}), []string{"publishJwks: needs an asymmetric key of your own"}},

		// Cookies.
		{"cookie without a name", cookie("domain", "example.com"), []string{"cookie.name: required"}},
		{"cookie with a space", cookie("name", "a b"), []string{`cookie.name: "a b"`}},
		{"cookie with a semicolon", cookie("name", "a;b"), []string{`cookie.name: "a;b"`}},
		{"cookie's domain malformed", cookie("name", "a", "domain", "exa mple"), []string{`cookie.domain: "exa mple" is malformed`}},
		{"cookie's path malformed", cookie("name", "a", "path", "/a;b"), []string{`cookie.path: "/a;b" is malformed`}},
		{"cookie's path relative", cookie("name", "a", "path", "app"), []string{`cookie.path: "app" does not start with /`}},
		{"cookie's sameSite unknown", cookie("name", "a", "sameSite", "Loose"), []string{`cookie.sameSite: "Loose" is not Lax, Strict or None`}},
		{"cookie's sameSite None without secure", cookie("name", "a", "sameSite", "none", "secure", "false"), []string{`cookie.sameSite: "none" needs cookie.secure`}},
		{"__Host- with a domain", cookie("name", "__Host-a", "domain", "example.com"), []string{`cookie.name: "__Host-a" needs no domain`}},
		{"__Host- with a path", cookie("name", "__Host-a", "path", "/app"), []string{`cookie.name: "__Host-a" needs no domain, the path /`}},
		{"__host- without secure", cookie("name", "__host-a", "secure", "false"), []string{`cookie.name: "__host-a" needs`}},
		{"__Secure- without secure", cookie("name", "__Secure-a", "secure", "false"), []string{`cookie.name: "__Secure-a" needs cookie.secure`}},

		// What is left empty must not switch a check off, as an unset variable in a template leaves it.
		{"audience left empty", options{"audience": []string{}}, []string{"audience: the list is empty"}},
		{"audience of an unset variable", options{"audience": ""}, []string{"audience: the list is empty"}},
		{"algorithms left empty", options{"algorithms": ""}, []string{"algorithms: the list is empty"}},
		{"scopes left empty", options{"scopes": ""}, []string{"scopes: the list is empty"}},
		{"tokenType left empty", options{"tokenType": ""}, []string{"tokenType: the list is empty"}},
		{"acr left empty", options{"acr": ""}, []string{"acr: the list is empty"}},

		// Headers in another spelling, which services may take for the same.
		{"forwardHeaders to another spelling", options{"forwardHeaders": stringMap("Content_Length", "sub")}, []string{`forwardHeaders: the header "Content_Length" cannot be used for this`}},
		{"headerName in another spelling", options{"headerName": "Transfer_Encoding"}, []string{`headerName: the header "Transfer_Encoding" cannot be used for this`}},
		{"renew.header in another spelling", renew("before", "5m", "header", "Set_Cookie"), []string{`renew.header: the header "Set_Cookie" cannot be used for this`}},
		{"renew.header in another spelling, a response's", renew("before", "5m", "header", "cache.control"), []string{`renew.header: the header "cache.control" has another meaning in a response`}},
		{"renew.header is Location", renew("before", "5m", "header", "Location"), []string{`renew.header: the header "Location" has another meaning in a response`}},
		{"renew.header is Vary", renew("before", "5m", "header", "Vary"), []string{`renew.header: the header "Vary" has another meaning in a response`}},
		{"renew.header is grpc-status", renew("before", "5m", "header", "grpc-status"), []string{`renew.header: the header "grpc-status" has another meaning in a response`}},
		{"renew.header by headerName", renew("before", "5m").With(options{"headerName": "Cache-Control"}), []string{`renew.header: the header "Cache-Control" has another meaning in a response`}},
		{"issue.header is CDN-Cache-Control", options{"issue": stringMap("header", "CDN-Cache-Control")}, []string{`issue.header: the header "CDN-Cache-Control" has another meaning in a response`}},

		// Claim paths.
		{"usernameClaim with a format", options{"usernameClaim": "sub | json"}, []string{`usernameClaim: "sub | json" is not a claim path`}},
		{"usernameClaim blank", options{"usernameClaim": " "}, []string{`usernameClaim: " " is not a claim path`}},

		{"cookie.origins with a wildcard", cookie("name", "a", "origins", "https://*.a.example"), []string{`cookie.origins: "https://*.a.example" is not an origin`}},
		{"cookie.origins with a colon and no port", cookie("name", "a", "origins", "https://a.example:"), []string{`cookie.origins: "https://a.example:" is not an origin`}},
		{"cookie.origins without a host", cookie("name", "a", "origins", "https://:8443"), []string{`cookie.origins: "https://:8443" is not an origin`}},
		{"logout.redirect with braces", options{"cookie": stringMap("name", "a"), "logout": stringMap("redirect", "/bye?to={url}")}, []string{`logout.redirect: "/bye?to={url}" holds a brace`}},
		{"renew.before with a sign", renew("before", "+5%"), []string{`renew.before: "+5%" is not between 1% and 99%`}},
		{"jwksUrl of a port alone", options{"jwksUrl": "https://:8443/keys"}, []string{`jwksUrl: "https://:8443/keys" is not an absolute http(s) URL`}},

		// Keys of external issuers.
		{"jwksUrl relative", options{"jwksUrl": "keys"}, []string{`jwksUrl: "keys" is not an absolute http(s) URL`}},
		{"jwksUrl without a host", options{"jwksUrl": "https:///keys"}, []string{`jwksUrl: "https:///keys"`}},
		{"jwksUrl of another scheme", options{"jwksUrl": "file:///etc/keys"}, []string{`jwksUrl: "file:///etc/keys"`}},
		{"jwksUrl with a password", options{"jwksUrl": "https://user:pass-word@a.example/keys"}, []string{`jwksUrl: "https://a.example/keys" is not an absolute http(s) URL`}},
		{"jwksUrl with a fragment", options{"jwksUrl": "https://a.example/keys#x"}, []string{`jwksUrl: "https://a.example/keys" is not`}},
		{"jwksUrl malformed", options{"jwksUrl": "https://a example:x/keys"}, []string{`jwksUrl: it is malformed`}},
		{"trusted without an issuer", trusted(stringMap("bearerToken", "x")), []string{"trustedIssuers[0]: issuer or jwksUrl is required"}},
		{"trusted is issuer", trusted(stringMap("issuer", "https://a.example")).With(options{"issuer": "https://a.example"}), []string{`trustedIssuers[0].issuer: "https://a.example" is also issuer`}},
		{"trusted twice", trusted(stringMap("issuer", "https://a.example"), stringMap("issuer", "https://a.example", "jwksUrl", "https://a.example/keys")), []string{`trustedIssuers[1].issuer: "https://a.example" is listed twice`}},
		{"trusted, nothing to discover", trusted(stringMap("issuer", "accounts")), []string{`trustedIssuers[0].issuer: without jwksUrl it must be a URL for OpenID discovery: "accounts"`}},
		{"trusted, jwksUrl relative", trusted(stringMap("issuer", "accounts", "jwksUrl", "/keys")), []string{`trustedIssuers[0].jwksUrl: "/keys"`}},
		{"timeoutSeconds 0", options{"clientConfig": map[string]any{"timeoutSeconds": 0}}, []string{"clientConfig.timeoutSeconds: 0 is not between 1 and 300"}},
		{"timeoutSeconds 301", options{"clientConfig": map[string]any{"timeoutSeconds": 301}}, []string{"clientConfig.timeoutSeconds: 301"}},
		{"maxRetries -1", options{"clientConfig": map[string]any{"maxRetries": -1}}, []string{"clientConfig.maxRetries: -1"}},
		{"a client certificate without its key", options{"clientConfig": map[string]any{"tls": stringMap("cert", "./cert.pem")}}, []string{"clientConfig.tls.cert: needs clientConfig.tls.key"}},
		{"no authority", options{"clientConfig": map[string]any{"tls": stringMap("ca", "no PEM")}}, []string{"clientConfig.tls.ca: "}},

		// The rest.
		{"signingSecret not UTF-8", options{"signingSecret": strings.Repeat("\xff", 40)}, []string{"signingSecret: it is not valid UTF-8"}},
		{"signingSecret not UTF-8 at its end", options{"signingSecret": minted.Secret + "\xe2\x82"}, []string{"signingSecret: it is not valid UTF-8"}},
		{"scope not UTF-8", options{"scopes": []any{"read", "\xff"}}, []string{"scopes: it is not valid UTF-8"}},
		{"claim path not UTF-8", options{"forwardHeaders": map[string]any{"X-User": "\xff"}}, []string{"forwardHeaders: it is not valid UTF-8"}},
		{"cacheSize -1", options{"cacheSize": -1}, []string{"cacheSize: -1 is negative"}},
		{"realm with a quote", options{"realm": `a"b`}, []string{`realm: "a\"b"`}},
		{"realm with a line break", options{"realm": "a\r\nb"}, []string{`realm: "a\r\nb"`}},
		{"scope with a space", options{"scopes": []string{"a b"}}, []string{`scopes: "a b" is not a scope`}},
		{"scope empty", options{"scopes": []string{""}}, []string{`scopes: "" is not a scope`}},
		{"scope with a quote", options{"scopes": []string{`a"`}}, []string{`scopes: "a\"" is not a scope`}},
		{"audience empty", options{"audience": []string{"api", ""}}, []string{`audience: "" is empty`}},
		{"tokenKey with a control character", options{"tokenKey": "a\x00"}, []string{`tokenKey: "a\x00"`}},
		{"tokenType with a control character", options{"tokenType": "JWT,a\x01"}, []string{`tokenType: "a\x01"`}},
		{"tokenType without a type", options{"tokenType": "application/"}, []string{`tokenType: "application/" is not a type`}},
		{"claims malformed", options{"claims": "Equals(`a`"}, []string{"claims: \"Equals(`a`\": column 11: "}},
		{
			"all at once",
			alone(options{"signingSecret": "do not repeat this", "leeway": "x", "claims": "Equal(`a`, `b`)", "realm": `"`, "cacheSize": -5, "algorithms": []string{"X1"}, "nope": 1, "renew": stringMap("lifetime", "y"), "cookie": stringMap("name", "a b", "nope", "1"), "forwardHeaders": map[string]any{"Host": "sub", "A B": "sub"}}),
			[]string{`"nope"`, `"cookie.nope"`, `leeway: "x"`, `cookie.name: "a b"`, `forwardHeaders: "A B"`, `forwardHeaders: the header "Host"`, "claims: ", "renew.before: required", `renew.lifetime: "y"`, `algorithms: "X1"`, "signingSecret: a secret of 18 bytes", "cacheSize: -5", `realm: "\""`},
		},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			o := options{"signingSecret": minted.Secret}.With(test.options)
			var err error
			logged := e.Logged(t, func() { err = e.Refusal(o) })
			if err == nil {
				t.Errorf("%s: got no error, want %q", test.name, test.wants)
				continue
			}
			got := err.Error() + strings.Join(logged, "\n")
			for _, secret := range append(secretsIn(o), "do not repeat this", "pass-word") {
				if strings.Contains(got, secret) {
					t.Errorf("%s: got %q, which repeats a secret", test.name, got)
				}
			}
			lines := strings.Split(err.Error(), "\n")
			if !strings.HasPrefix(lines[0], "slidingjwt: ") || len(lines) != len(test.wants) {
				t.Errorf("%s: got %d problems, want %d:\n%s", test.name, len(lines), len(test.wants), err)
				continue
			}
			for i, want := range test.wants {
				if !strings.Contains(lines[i], want) {
					t.Errorf("%s: got %q, want it to hold %q", test.name, lines[i], want)
				}
			}
		}
	})
}

// stringMap makes an option with options of its names and values in turn.
func stringMap(pairs ...string) map[string]any {
	o := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i]] = pairs[i+1]
	}
	return o
}

func pkcs8(key *ecdh.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}

// New accepts an option in whatever kind a provider hands it over: files, labels, Kubernetes resources.
func TestWeakOptions(t *testing.T) {
	now := time.Now().Unix()
	forAPI := minted.Token(t, minted.Valid().With(claims{"aud": "api", "scope": "read write"}))
	expired := minted.Token(t, minted.Valid().With(claims{"exp": now - 100}))
	due := minted.Token(t, minted.Valid().With(claims{"iat": now - 3000, "exp": now + 600}))
	tests := []struct {
		name    string
		options options
		token   string
		want    string
	}{
		{"audience as text", options{"audience": "web,api"}, forAPI, "served"},
		{"audience as one text", options{"audience": "web"}, forAPI, "401 wrong_audience"},
		{"audience as a list of any", options{"audience": []any{"api"}}, forAPI, "served"},
		{"scopes as text", options{"scopes": "read,write"}, forAPI, "served"},
		{"scopes as text, one too many", options{"scopes": "read,admin"}, forAPI, "403 insufficient_scope"},
		{"algorithms as text", options{"algorithms": "HS512,HS256"}, forAPI, "served"},
		{"leeway as a number", options{"leeway": 200}, expired, "served"},
		{"leeway as a number in text", options{"leeway": "200"}, expired, "served"},
		{"leeway as a float", options{"leeway": float64(200)}, expired, "served"},
		{"leeway as a smaller number", options{"leeway": 50}, expired, "401 token_expired"},
		{"leeway as JSON's number", options{"leeway": json.Number("200")}, expired, "served"},
		{"renew.before as a number", options{"renew": map[string]any{"before": 1000}}, due, "served, renewed"},
		{"renew.before as a smaller number", options{"renew": map[string]any{"before": 100}}, due, "served"},
		{"renew.before as a share", options{"renew": map[string]any{"before": "50%"}}, due, "served, renewed"},
		{"renew.maxSession as a number", options{"renew": map[string]any{"before": 1000, "maxSession": 3600}}, due, "served"},
		{"optional as text", options{"optional": "true"}, "", "served"},
		{"optional as text, false", options{"optional": "false"}, "", "401 token_missing"},
		{"optional as a number", options{"optional": 1}, "", "served"},
		{"cacheSize as text", options{"cacheSize": "5"}, forAPI, "served"},
		{"cacheSize as a float", options{"cacheSize": float64(5)}, forAPI, "served"},
		{"signingSecretBase64Encoded as text", options{"signingSecret": base64.StdEncoding.EncodeToString([]byte(minted.Secret)), "signingSecretBase64Encoded": "true"}, forAPI, "served"},
		{"names in another case", options{"SIGNINGSECRET": minted.Secret, "signingSecret": nil, "Audience": "api", "FORWARDHEADERS": map[string]any{"X-Sub": "sub"}}, forAPI, "served"},
		{"a map with any keys", options{"renew": map[any]any{"before": "1000"}}, due, "served, renewed"},
		{"empty maps", options{"renew": map[string]any{}, "cookie": map[string]any{}, "issue": map[string]any{}, "clientConfig": map[string]any{"tls": map[string]any{}}, "forwardHeaders": map[string]any{}}, forAPI, "served"},
		{"empty lists that make nothing looser", options{"trustedIssuers": []any{}, "cookie": map[string]any{"origins": []any{}}}, forAPI, "served"},
		{"clientConfig in text", options{"clientConfig": map[string]any{"timeoutSeconds": "7", "maxRetries": "0", "tls": map[string]any{"insecureSkipVerify": "true"}}}, forAPI, "served"},
		{"a trusted issuer in a list of any", options{"trustedIssuers": []any{map[string]any{"issuer": "https://a.example"}}, "audience": "api"}, forAPI, "served"},
		{"a name for each case of a header", options{"forwardHeaders": map[string]any{"x-SUB": "sub"}}, forAPI, "served"},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret}.With(test.options))
			var header http.Header
			if test.token != "" {
				header = bothways.Bearer(test.token)
			}
			rec := bothways.Send(t, handler, "GET", "/", header, nil)
			got := bothways.Outcome(t, rec)
			if rec.Header().Get("Authorization") != "" {
				got += ", renewed"
			}
			if got != test.want {
				t.Errorf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
	})
}

// What is unwise is said, not refused.
func TestLoggedOptions(t *testing.T) {
	tests := []struct {
		name    string
		options options
		want    string // empty: nothing
	}{
		{"jwksUrl without audience", options{"jwksUrl": "https://a.example/logged"}, "audience"},
		{"jwksUrl with audience", options{"jwksUrl": "https://a.example/logged", "audience": "api"}, ""},
		{"trustedIssuers without audience", options{"trustedIssuers": []any{stringMap("issuer", "https://a.example/logged")}}, "audience"},
		{"trustedIssuers with audience", options{"trustedIssuers": []any{stringMap("issuer", "https://a.example/logged")}, "audience": "api"}, ""},
		{"a secret alone", options{}, ""},
		{"a missing file", options{"publicKey": "/no/such/file/is/there.pem"}, `publicKey: the file "/no/such/file/is/there.pem" cannot be used: it is missing or unreadable`},
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		for _, test := range tests {
			got := e.Logged(t, func() {
				e.Middleware(t, options{"signingSecret": minted.Secret, "realm": distinct()}.With(test.options))
			})
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("%s: got the log %q, want one line with %q, or none if that is empty", test.name, got, test.want)
			}
		}
	})
}

// A block for Traefik Hub's JWT middleware works as it is: that of its documentation, but for the secret's length.
func TestHubBlock(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, service := e.Middleware(t, options{
			"signingSecret": minted.Secret, "signingSecretBase64Encoded": false, "publicKey": minted.PEM(t, "PKIX", minted.Key(t, "P-256")),
			"jwksFile": minted.JWKSet(t, minted.PublicJWK(t, minted.Key(t, "P-384")).With(jwk{"kid": "a"})), "jwksUrl": "https://a.example/hub",
			"forwardAuthorization": true, "tokenKey": "jwt", "claims": "Equals(`grp`, `admin`)", "usernameClaim": "sub",
			"forwardHeaders": map[string]any{"Group": "grp", "Expires-At": "exp"},
			"clientConfig":   map[string]any{"tls": map[string]any{"insecureSkipVerify": true}, "timeoutSeconds": 5, "maxRetries": 3},
		})
		exp := time.Now().Unix() + 3600
		admin := claims{"grp": "admin", "exp": exp}
		for _, token := range []string{
			minted.Token(t, admin),
			minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256"}, admin),
			minted.Signed(t, minted.Key(t, "P-384"), claims{"alg": "ES384", "kid": "a"}, admin),
		} {
			rec := bothways.Send(t, handler, "GET", "/?a=b&jwt="+token, nil, nil)
			h := service.Request().Header
			if got := bothways.Outcome(t, rec); got != "served" || h.Get("Group") != "admin" || h.Get("Expires-At") != fmt.Sprint(exp) || service.Request().URL.RawQuery != "a=b&jwt="+token {
				t.Errorf("got %s, %v and %s", got, h, service.Request().URL.RawQuery)
			}
		}
		if got := bothways.Verdict(t, handler, minted.Token(t, admin.With(claims{"grp": "user"}))); got != "403 claims_not_sufficient" {
			t.Errorf("got %s, want 403 claims_not_sufficient", got)
		}

		// Its newer options: the token in another header, and issuers that have no name.
		key := minted.Key(t, "P-256")
		server := minted.Serving(t, minted.JWKSet(t, minted.PublicJWK(t, key)))
		handler, service = e.Middleware(t, options{
			"trustedIssuers": []any{map[string]any{"jwksUrl": server.URL}}, "headerName": "X-Token", "usernameClaim": "grp",
			"forwardHeaders": map[string]any{"Group": "grp"},
		})
		rec := bothways.Send(t, handler, "GET", "/", http.Header{"X-Token": {minted.Signed(t, key, claims{"alg": "ES256"}, admin)}}, nil)
		if got := bothways.Outcome(t, rec); got != "served" || service.Request().Header.Get("Group") != "admin" || service.Request().URL.User.Username() != "admin" {
			t.Errorf("with the newer options: got %s, want served and the user admin", got)
		}
	})
}

// The defaults show in what a client sees.
func TestDefaults(t *testing.T) {
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		handler, _ := e.Middleware(t, options{"signingSecret": minted.Secret, "cookie": map[string]any{"name": "session"}})
		rec := bothways.Send(t, handler, "GET", "/", http.Header{"Cookie": {"session=x"}}, nil)
		if got, want := rec.Header().Get("Set-Cookie"), "session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"; got != want {
			t.Errorf("got Set-Cookie %q, want %q", got, want)
		}
		if got := rec.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="api"`) {
			t.Errorf("got the challenge %q, want the realm api", got)
		}
		now := time.Now().Unix()
		handler, _ = e.Middleware(t, options{"signingSecret": minted.Secret, "renew": map[string]any{"before": "99%"}})
		rec = bothways.Send(t, handler, "GET", "/", bothways.Bearer(minted.Token(t, minted.Valid().With(claims{"iat": now - 1000}))), nil)
		if got := rec.Header().Get("Authorization"); !strings.HasPrefix(got, "Bearer ") {
			t.Errorf("got Authorization %q, want a renewed token", got)
		}
		// The session began with the token, and lasts for a day.
		if got := rec.Header().Get("Session-Expires-In"); got != fmt.Sprint(86400-1000) && got != fmt.Sprint(86400-1001) && got != fmt.Sprint(86400-1002) {
			t.Errorf("got Session-Expires-In %q, want about %d", got, 86400-1000)
		}
	})
	// Natively only: Traefik hands over what the interpreted CreateConfig returns, and never nothing.
	if _, err := slidingjwt.New(context.Background(), &bothways.Spy{}, nil, "jwt@file"); err == nil {
		t.Error("New without a configuration: got no error, want one")
	}
}
