package claims

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxHeaderBytes is how long a claim may be as a header's value.
const MaxHeaderBytes = 4 << 10

// HeaderValue writes a claim as a header's value: strings as they are, numbers and booleans as in the token, lists of scalars
// joined by commas, the rest as compact JSON. It is false for a claim that leaves its header absent: one that is absent or
// null, would not arrive as it is (space at an end, a control character), is a list with a comma in an element, or is too long.
func HeaderValue(claim any) (string, bool) {
	if claim == nil {
		return "", false
	}
	text, isText := claim.(string)
	if !isText {
		var ok bool
		text, ok = written(claim)
		if !ok {
			return "", false
		}
	}
	return text, isSendable(text)
}

// isSendable says whether a value arrives as it is: space at an end is lost on the way, and "ada " would arrive as ada.
func isSendable(text string) bool {
	return len(text) <= MaxHeaderBytes && strings.IndexFunc(text, unicode.IsControl) < 0 && strings.Trim(text, " ") == text
}

// written writes a claim that is not a string.
func written(claim any) (string, bool) {
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

// joined joins a list of scalars by commas, of which no element has one; a list that holds anything else is JSON, and one of
// nothing but nulls and scalars is none.
func joined(list []any) (string, bool) {
	var texts []string
	hasNull := false
	for _, element := range list {
		text, isScalar := scalar(element)
		if !isScalar && element != nil {
			text, ok := compactJSON(list)
			return text, ok
		}
		hasNull = hasNull || element == nil
		texts = append(texts, text)
	}
	text := strings.Join(texts, ",")
	return text, !hasNull && (strings.Count(text, ",") == len(list)-1 || text == "")
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

// compactJSON may be longer than what was read: U+2028 becomes an escape.
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

// Number reads a claim that is a finite number.
func Number(claim any) (float64, bool) {
	text, isNumber := claim.(json.Number)
	if !isNumber {
		return 0, false
	}
	value, err := text.Float64()
	return value, err == nil
}
