package slidingjwt

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

var errNotStrict = errors.New("not one JSON object with distinct members")

// strictObject reads one JSON object: valid UTF-8, no member twice at any depth, nothing behind it, numbers as
// they are written (RFC 8259 4, RFC 8725 3.1).
func strictObject(text string) (map[string]any, error) {
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || object == nil || !isStrict(object, text) {
		return nil, errNotStrict
	}
	return object, nil
}

// isStrict says whether a text is strictly the object that a decoder read at its beginning.
//
// Yaegi: checkMembers costs 30 µs. Writing the object again costs 4, and shows it as well: what is written is as
// long as what was read if and only if no member was dropped and there is no white space, provided that nothing in
// it is written in more than one way, as nothing in plain ASCII is.
func isStrict(object map[string]any, text string) bool {
	if isWrittenOneWay(text) {
		written, err := json.Marshal(object)
		if err == nil && len(written) == len(text) {
			return true
		}
	}
	return utf8.ValidString(text) && checkMembers(text) == nil
}

// others replaces all bytes that plain ASCII lacks: control characters, those beyond ASCII, and those that JSON may escape: < > & \.
//
// Yaegi: one call that replaces nothing costs less than three that search.
var others = replacerOfOthers()

func replacerOfOthers() *strings.Replacer {
	var pairs []string
	for b := 0; b < 256; b++ {
		if b < ' ' || b > '~' || strings.IndexByte("<>&\\", byte(b)) >= 0 {
			pairs = append(pairs, string([]byte{byte(b)}), "?")
		}
	}
	return strings.NewReplacer(pairs...)
}

// isWrittenOneWay says whether a text beyond ASCII holds nothing that is written in more than one way: none of < > & \,
// and no character of the rows of U+2028, U+2029 and U+FFFD.
func isWrittenOneWay(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsAny(text, "<>&\\") && !strings.Contains(text, "\xe2\x80") && !strings.Contains(text, "\xef\xbf")
}

// checkMembers walks over a JSON text and refuses a member that is there twice, and anything behind the text.
func checkMembers(text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()        // Else a number beyond float64 is an error.
	var open []map[string]bool // the members of each open object; nil for a list
	isName := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errNotStrict
		}
		inObject := len(open) > 0 && open[len(open)-1] != nil
		if name, ok := token.(string); ok && inObject && isName {
			if open[len(open)-1][name] {
				return errNotStrict
			}
			open[len(open)-1][name] = true
			isName = false
			continue
		}
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{':
				open = append(open, map[string]bool{})
				isName = true
				continue
			case '[':
				var list map[string]bool // Yaegi: an untyped nil cannot be appended.
				open = append(open, list)
				continue
			default:
				open = open[:len(open)-1]
			}
		}
		if len(open) == 0 {
			if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
				return errNotStrict
			}
			return nil
		}
		isName = open[len(open)-1] != nil
	}
}
