package jose_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slidingjwt/slidingjwt/internal/jose"
)

// The fuzz targets are native only: Go's fuzzer instruments compiled code. Their seeds run with every test, and the tests of
// the middleware run the same rules interpreted.

// Strict JSON is what the token loop of encoding/json finds to be one object whose members are distinct, with nothing behind
// it; no more, no less.
func FuzzStrictObject(f *testing.F) {
	for _, text := range []string{
		``, ` `, `null`, `[]`, `"a"`, `1`, `{`, `{}`, ` {} `, `{}{}`, `{}x`, `{}}`, `{},`, `{"a":1}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":{"b":[{"c":1,"c":2}]}}`, `{"<":1,"a":{"b":[{"c":1,"c":2}]}}`,
		`{"a":[{"a":1},{"a":1}],"&":"a"}`, `{"a":1e400}`, `{"a":1e400,"\\":1}`, `{"a":01}`, `{"a":NaN}`, "{\"a\":\"\xff\"}", `{"\ud800":1,"\ud801":2}`, "{\"\ufffd\":1,\"\\ud800\":2}", `{"a":1,}`, `{"a" "b"}`, `{"a":[[],[[]],{}]}`,
		"{\"a\":\"\u2028\"}", "{\"a\":\"b\tc\"}", `{"":1,"":2}`, `{"a":1,"a":1}"a":1,`, "\ufeff{}", "{}\f", "{}\v", "{}\u0085", "{}\u00a0", "{} \t\r\n", strings.Repeat(`{"a":[`, 50) + strings.Repeat(`]}`, 50),
		// What counts members must not be misled by.
		`{"a" :1,"a":1}`, `{"a": 1,"a":":"}`, `{"a":":"}`, `{"a":":","a":1}`, `{":":":",":":1}`, `{"a":"b","c":{"a":"b"}}`, "{\"a\"\u0085:1}", "{\"a\"\n:1,\"a\":1}", `{"a":"\":","a":1}`, `{"a":[":",":"],"a":1}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := utf8.ValidString(text) && hasDistinctMembers(text)
		object, err := jose.StrictObject([]byte(text))
		if (err == nil) != want {
			t.Fatalf("%q: got the error %v, want it accepted: %t", text, err, want)
		}
		if err != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var plain map[string]any
		if err := decoder.Decode(&plain); err != nil || !reflect.DeepEqual(object, plain) {
			t.Errorf("%q: got %v, want %v", text, object, plain)
		}
	})
}

// hasDistinctMembers reads a JSON object with the token loop of encoding/json.
func hasDistinctMembers(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') || !readMembers(decoder) {
		return false
	}
	_, err := decoder.Token()
	return errors.Is(err, io.EOF)
}

// readMembers reads the members of an object whose brace was read, and says whether each is there once, at any depth.
func readMembers(decoder *json.Decoder) bool {
	names := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		if err != nil || !isName || names[name] || !readValue(decoder) {
			return false
		}
		names[name] = true
	}
	_, err := decoder.Token()
	return err == nil
}

func readValue(decoder *json.Decoder) bool {
	token, err := decoder.Token()
	switch {
	case err != nil:
		return false
	case token == json.Delim('{'):
		return readMembers(decoder)
	case token == json.Delim('['):
		for decoder.More() {
			if !readValue(decoder) {
				return false
			}
		}
		_, err := decoder.Token()
		return err == nil
	}
	return true
}

// A text is usual only if all that it says arrives in a header as it stands there.
func TestStrictness(t *testing.T) {
	tests := []struct {
		text              string
		isUsual, isStrict bool
	}{
		{`{}`, true, true},
		{`{"a":"b"}`, true, true},
		{`{"a": "b", "c": 1}`, true, true},
		{`{"a":{"b":1},"c":[{"b":1},{"b":1}]}`, true, true},
		{`{"a":":b"}`, true, true},
		{`{"a":"é"}`, true, true},
		{`{"a":1,"a":1}`, true, false},
		{`{"a":{"b":1,"b":1}}`, true, false},
		{`{"a":[{"b":1,"b":1}]}`, true, false},
		{`{"a":1,"a":":"}`, true, false},
		{`{"a" :1}`, false, true},
		{`{"a" :1,"a" :1}`, false, false},
		{`{"a":"b" }`, false, true},
		{`{"a":"\u0062"}`, false, true},
		{`{"a":1,"\u0061":1}`, false, false},
		{"{\"a\":\"\x7f\"}", false, true},
		{"{\"a\":\"\u0085\"}", false, true},
		{"{\n\t\"a\":1\r\n}", false, true},
		{"{\"a\":\"\ufffd\"}", false, true},
		{"{\"a\":\"\xff\"}", false, false},
	}
	for _, test := range tests {
		object, err := jose.Object([]byte(test.text))
		if err != nil {
			t.Fatalf("%q: %v", test.text, err)
		}
		isUsual, isStrict := jose.Strictness(object, []byte(test.text))
		if isUsual != test.isUsual || isStrict != test.isStrict {
			t.Errorf("%q: got usual %t, strict %t, want %t, %t", test.text, isUsual, isStrict, test.isUsual, test.isStrict)
		}
	}
}
