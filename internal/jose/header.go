package jose

import "strings"

// Header is what is read of a token's header (RFC 7515 4). Keys in it (jwk, jku, x5c, x5u) are ignored (RFC 8725 3.10).
type Header struct {
	Alg, KID, Typ string
	// IsStrict says that the text was found to be strict JSON: see StrictHeader.
	IsStrict bool
}

// Problem is why a token's header is not accepted.
type Problem string

// What may be wrong with a header.
const (
	NoProblem   Problem = ""
	Malformed   Problem = "malformed"
	Unsupported Problem = "unsupported" // It demands an extension: crit, zip or b64 (RFC 7515 4.1.11, RFC 7516 4.1.3, RFC 7797).
)

// ParseHeader reads the first part of a token. It does not notice duplicate members, of which the last counts: call StrictHeader
// before the token is accepted.
func ParseHeader(part string) (*Header, Problem) {
	decoded, err := Base64.DecodeString(part)
	if err != nil {
		return nil, Malformed
	}
	members, err := Object(decoded)
	if err != nil {
		return nil, Malformed
	}
	for _, name := range []string{"crit", "zip", "b64"} {
		if _, there := members[name]; there {
			return nil, Unsupported
		}
	}
	h := &Header{}
	alg, hasAlg := textMember(members, "alg")
	kid, hasKID := textMember(members, "kid")
	typ, hasTyp := textMember(members, "typ")
	if _, there := members["alg"]; !there || !hasAlg || !hasKID || !hasTyp {
		return nil, Malformed
	}
	h.Alg = alg
	h.KID = kid
	h.Typ = typ
	return h, NoProblem
}

// textMember reads a member that is a string or absent.
func textMember(members map[string]any, name string) (string, bool) {
	value, there := members[name]
	text, isText := value.(string)
	return text, isText || !there
}

// StrictHeader says whether the first part of a token is strict JSON. Call it after the signature was verified: walking over JSON
// costs the interpreter a thousand times what writing it costs an attacker.
func StrictHeader(part string) bool {
	decoded, err := Base64.DecodeString(part)
	if err != nil {
		return false
	}
	_, err = StrictObject(decoded)
	return err == nil
}

// MediaType is a typ in lower case and without "application/" (RFC 7515 4.1.9).
func MediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
