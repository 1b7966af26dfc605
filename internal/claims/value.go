package claims

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxHeaderBytes is how long a claim may be as a header's value.
const MaxHeaderBytes = 4 << 10

// HeaderValue writes a claim as a header's value: strings as they are, numbers and booleans as in the token, lists of scalars
// joined by commas, the rest as compact JSON. It is false for a claim that has no value: null, or a list with a comma in an
// element.
func HeaderValue(claim any) (string, bool) {
	list, isList := claim.([]any)
	if isList {
		text, ok := joined(list)
		return text, ok
	}
	if object, isObject := claim.(map[string]any); isObject {
		text, ok := compactJSON(object)
		return text, ok
	}
	text, ok := scalar(claim)
	return text, ok
}

// joined joins a list of scalars by commas. It is false if an element has a comma itself. A list that holds anything else is JSON.
func joined(list []any) (string, bool) {
	texts := make([]string, 0, len(list))
	for _, element := range list {
		text, isText := element.(string)
		if !isText {
			var isScalar bool
			text, isScalar = scalar(element)
			if !isScalar {
				text, ok := unjoined(list)
				return text, ok
			}
		}
		texts = append(texts, text)
	}
	text := strings.Join(texts, ",")
	return text, strings.Count(text, ",") == len(list)-1 || text == ""
}

// JoinedTexts joins a list of strings by commas, of which no element has one. It is false for any other claim.
func JoinedTexts(claim any) (string, bool) {
	list, isList := claim.([]any)
	if !isList {
		return "", false
	}
	texts := make([]string, 0, len(list))
	for _, element := range list {
		text, isText := element.(string)
		if !isText {
			return "", false
		}
		texts = append(texts, text)
	}
	text := strings.Join(texts, ",")
	return text, strings.Count(text, ",") == len(list)-1
}

// unjoined writes a list of more than scalars as JSON. One that holds nothing but scalars and null has no value.
func unjoined(list []any) (string, bool) {
	for _, element := range list {
		if _, isScalar := scalar(element); !isScalar && element != nil {
			text, ok := compactJSON(list)
			return text, ok
		}
	}
	return "", false
}

// scalar writes a string, number or boolean.
func scalar(claim any) (string, bool) {
	switch v := claim.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// compactJSON writes a value without white space. The text can be longer than what was read: U+2028 becomes an escape.
func compactJSON(value any) (string, bool) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", false
	}
	line := strings.TrimSuffix(text.String(), "\n")
	return line, len(line) <= MaxHeaderBytes && utf8.ValidString(line)
}

// Texts reads a claim that is a string or a list of strings, as aud is (RFC 7519 4.1.3). It is false for any other.
func Texts(claim any) ([]string, bool) {
	if text, isText := claim.(string); isText {
		return []string{text}, true
	}
	list, isList := claim.([]any)
	if !isList {
		return nil, false
	}
	texts := []string{}
	for _, element := range list {
		text, isText := element.(string)
		if !isText {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// Words reads a claim that is a list of strings, or a string of words with spaces between them, as scope is (RFC 8693 4.2).
func Words(claim any) []string {
	if text, isText := claim.(string); isText {
		return strings.Fields(text)
	}
	texts, _ := Texts(claim)
	return texts
}

// Number reads a claim that is a finite number, as float64 or as it is written.
func Number(claim any) (float64, bool) {
	if value, isFloat := claim.(float64); isFloat {
		return value, true
	}
	text, isNumber := claim.(json.Number)
	if !isNumber {
		return 0, false
	}
	value, err := text.Float64()
	return value, err == nil
}

// Formats of a claim's text, behind its path and a bar.
const (
	plain     = ""
	asJSON    = "json"
	asBase64  = "base64url"
	formatBar = "|"
)

// ParseForm splits a path from the format behind it, such as "name | base64url".
func ParseForm(text string) (Path, string) {
	path, format, isFormatted := strings.Cut(text, formatBar)
	if isFormatted {
		path = strings.TrimSpace(path)
	}
	return ParsePath(path), strings.TrimSpace(format)
}

// IsFormat says whether a claim can be written so.
func IsFormat(format string) bool { return format == plain || format == asJSON || format == asBase64 }

// Formatted writes a claim in a format: "json" is compact JSON in ASCII, "base64url" the bytes of the claim's text in base64url
// without padding. It is false for a claim that has no value.
func Formatted(claim any, format string) (string, bool) {
	if format == asJSON {
		text, ok := compactJSON(claim)
		if list, isList := claim.([]any); isList && len(list) == 0 || claim == "" || claim == nil {
			return "", false
		}
		return inASCII(text), ok
	}
	text, ok := HeaderValue(claim)
	if format == asBase64 {
		text = base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	return text, ok
}

// inASCII escapes the characters of a JSON text that no header may hold, or that services read in other ways.
func inASCII(text string) string {
	var written strings.Builder
	for _, r := range text {
		switch {
		case r < 0x7f:
			written.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&written, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&written, `\u%04x`, r)
		}
	}
	return written.String()
}
