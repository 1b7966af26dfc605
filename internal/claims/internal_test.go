package claims

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// These tests are native only: they call what a middleware shows through one option at a time, and Go's fuzzer instruments
// compiled code. Its seeds run with every test.

// object reads claims as the middleware does.
func object(t testing.TB, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var all map[string]any
	if err := decoder.Decode(&all); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return all
}

// Any text is an expression or an error with a column, and any expression is true or false.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"", "Equals(`a`, `b`)", "!Equals(`a`, `b`) && (OneOf(`a.b`, `c`) || Contains(`l`, `x`))", "SplitContains(`s`, ` `, `w`)", "Prefix(`a\\.b`, \"\\u0061\")", "Equals(", "Equals(`a`, `b`))",
		"a.b(`c`)", "func() {}", "Equals(`a`, 'b')", "!!!!", "((((", "x[", "`", "Equals(`a`, `b`) // c", "/*", "struct{}{}", "<-Equals(`a`, `b`)", "Equals(`.`, ``)", "Equals(`a..b`, `c`)", "Equals(`\\`, `c`)",
	} {
		f.Add(text)
	}
	all := object(f, `{"a":{"b":"c"},"l":["x",1,null,[],{}],"s":"v w","n":1e3,"t":true,"":{"":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		expression, err := ParseExpression(text)
		if err != nil {
			if !strings.Contains(err.Error(), ": column ") || strings.Contains(err.Error(), "\n") && !strings.Contains(text, "\n") {
				t.Errorf("%q: got the error %q, want one with a column", text, err)
			}
			return
		}
		value := Holds(expression, all)
		if Holds(&Expression{operator: "!", operands: []*Expression{expression}}, all) == value {
			t.Errorf("%q and its opposite are both %t", text, value)
		}
		both := &Expression{operator: "&&", operands: []*Expression{expression, expression}}
		either := &Expression{operator: "||", operands: []*Expression{expression, expression}}
		if Holds(both, all) != value || Holds(either, all) != value {
			t.Errorf("%q twice is not %t", text, value)
		}
	})
}

func TestParsePath(t *testing.T) {
	tests := []struct {
		text string
		want Path
	}{
		{"", Path{""}},
		{"sub", Path{"sub"}},
		{"realm_access.roles", Path{"realm_access", "roles"}},
		{"a.b.c", Path{"a", "b", "c"}},
		{".", Path{"", ""}},
		{"a..b.", Path{"a", "", "b", ""}},
		{`a\.b`, Path{"a.b"}},
		{`a\.b.c`, Path{"a.b", "c"}},
		{`https://example\.com/roles`, Path{"https://example.com/roles"}},
		{`https://example.com/roles`, Path{"https://example.com/roles"}},
		{`https://example\.com/org.name`, Path{"https://example.com/org", "name"}},
		{`://`, Path{"://"}},
		{`a\\.b`, Path{`a\`, "b"}},
		{`a\\\.b`, Path{`a\.b`}},
		{`a\b`, Path{`a\b`}},
		{`a\`, Path{`a\`}},
		{`\.`, Path{"."}},
		{"größe.ü", Path{"größe", "ü"}},
		{" a . b ", Path{" a ", " b "}},
	}
	for _, test := range tests {
		if got := ParsePath(test.text); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestIn(t *testing.T) {
	all := object(t, `{"a":{"b":{"c":"deep"},"list":["x"]},"a.b":"dotted","text":"t","null":null,"":{"":1}}`)
	tests := []struct {
		path Path
		want any
	}{
		{Path{"text"}, "t"},
		{Path{"a", "b", "c"}, "deep"},
		{Path{"a.b"}, "dotted"},
		{Path{"", ""}, json.Number("1")},
		{Path{"a", "list"}, []any{"x"}},
		{Path{"a", "list", "0"}, nil},
		{Path{"a", "b", "c", "d"}, nil},
		{Path{"text", "length"}, nil},
		{Path{"A"}, nil},
		{Path{"null"}, nil},
		{Path{"null", "a"}, nil},
		{Path{"absent", "a"}, nil},
	}
	for _, test := range tests {
		if got := In(test.path, all); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %v, want %v", test.path, got, test.want)
		}
	}
	if got := In(Path{}, all); !reflect.DeepEqual(got, any(all)) {
		t.Errorf("no names: got %v, want all claims", got)
	}
}

const none = "(none)"

func TestHeaderValue(t *testing.T) {
	tests := []struct{ claim, want string }{
		{`"ada"`, "ada"},
		{`""`, ""},
		{`" a, b "`, " a, b "},
		{`"\u0000"`, "\x00"},
		{`1`, "1"},
		{`-0.50`, "-0.50"},
		{`1e400`, "1e400"},
		{`12345678901234567890`, "12345678901234567890"},
		{`true`, "true"},
		{`false`, "false"},
		{`null`, none},
		{`[]`, ""},
		{`["a"]`, "a"},
		{`["a",1,true]`, "a,1,true"},
		{`["",""]`, ","},
		{`["a,b"]`, none},
		{`["a","b,c"]`, none},
		{`[","]`, none},
		{`["a",null]`, none},
		{`[null]`, none},
		{`[["a,b"],null]`, `[["a,b"],null]`},
		{`["a",{"b":1.0}]`, `["a",{"b":1.0}]`},
		{`[{}]`, `[{}]`},
		{`{}`, `{}`},
		{`{ "b" : [ 1.0 , "<&>" ], "a" : null }`, `{"a":null,"b":[1.0,"<&>"]}`},
	}
	for _, test := range tests {
		got, ok := HeaderValue(object(t, `{"c":`+test.claim+`}`)["c"])
		if !ok {
			got = none
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.claim, got, test.want)
		}
	}
	if got, ok := HeaderValue(nil); ok {
		t.Errorf("an absent claim: got %q, want none", got)
	}
}

func TestParseForm(t *testing.T) {
	tests := []struct {
		text   string
		path   Path
		format string
		isOne  bool
	}{
		{"name", Path{"name"}, "", true},
		{"name | json", Path{"name"}, "json", true},
		{"a.b|base64url", Path{"a", "b"}, "base64url", true},
		{" name | json ", Path{"name"}, "json", true},
		{" name", Path{" name"}, "", true},
		{"https://example.com/name | json", Path{"https://example.com/name"}, "json", true},
		{"name | JSON", Path{"name"}, "JSON", false},
		{"name | json | base64url", Path{"name"}, "json | base64url", false},
		{"name | ", Path{"name"}, "", true},
	}
	for _, test := range tests {
		path, format := ParseForm(test.text)
		if !reflect.DeepEqual(path, test.path) || format != test.format || IsFormat(format) != test.isOne {
			t.Errorf("%q: got %q and %q, a format: %t, want %q and %q, %t", test.text, path, format, IsFormat(format), test.path, test.format, test.isOne)
		}
	}
}

func TestFormatted(t *testing.T) {
	tests := []struct{ claim, asJSON, asBase64 string }{
		{`"ada"`, `"ada"`, "YWRh"},
		{`"Žofie 😀"`, `"\u017dofie \ud83d\ude00"`, "xb1vZmllIPCfmIA"},
		{`"\u007f"`, `"\u007f"`, "fw"},
		{`" a\n"`, `" a\n"`, "IGEK"},
		{`"<&>"`, `"<&>"`, "PCY-"},
		{`1.0`, `1.0`, "MS4w"},
		{`true`, `true`, "dHJ1ZQ"},
		{`["a","b"]`, `["a","b"]`, "YSxi"},
		{`["a,b"]`, `["a,b"]`, none},
		{`{ "a" : "é" }`, `{"a":"\u00e9"}`, "eyJhIjoiw6kifQ"},
		{`[]`, none, ""},
		{`""`, none, ""},
		{`null`, none, none},
	}
	for _, test := range tests {
		claim := object(t, `{"c":`+test.claim+`}`)["c"]
		for format, want := range map[string]string{"json": test.asJSON, "base64url": test.asBase64} {
			got, ok := Formatted(claim, format)
			if !ok {
				got = none
			}
			if got != want {
				t.Errorf("%s as %s: got %q, want %q", test.claim, format, got, want)
			}
		}
		if plain, ok := HeaderValue(claim); ok {
			if got, ok := Formatted(claim, ""); got != plain || !ok {
				t.Errorf("%s without a format: got %q, want %q", test.claim, got, plain)
			}
		}
	}
}

// A list of strings is joined in the same way as in HeaderValue; no other claim is.
func TestJoinedTexts(t *testing.T) {
	tests := []struct{ claim, want string }{
		{`["a","b"]`, "a,b"},
		{`["a"]`, "a"},
		{`["","b"]`, ",b"},
		{`["a,b"]`, none},
		{`["a","b,c"]`, none},
		{`["a",1]`, none},
		{`["a",null]`, none},
		{`[["a"]]`, none},
		{`"a"`, none},
		{`1`, none},
		{`{}`, none},
		{`null`, none},
	}
	for _, test := range tests {
		claim := object(t, `{"c":`+test.claim+`}`)["c"]
		got, ok := JoinedTexts(claim)
		if !ok {
			got = none
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.claim, got, test.want)
		}
		if written, hasValue := HeaderValue(claim); ok && (!hasValue || written != got) {
			t.Errorf("%s: got %q, want %q as HeaderValue has it", test.claim, got, written)
		}
	}
}

func TestTextsAndWords(t *testing.T) {
	tests := []struct {
		claim   string
		texts   []string
		isRight bool
		words   []string
	}{
		{`"a"`, []string{"a"}, true, []string{"a"}},
		{`"a b"`, []string{"a b"}, true, []string{"a", "b"}},
		{`"  a\t\n b "`, []string{"  a\t\n b "}, true, []string{"a", "b"}},
		{`""`, []string{""}, true, nil},
		{`["a","b c"]`, []string{"a", "b c"}, true, []string{"a", "b c"}},
		{`[]`, []string{}, true, nil},
		{`["a",1]`, nil, false, nil},
		{`["a",null]`, nil, false, nil},
		{`[["a"]]`, nil, false, nil},
		{`1`, nil, false, nil},
		{`{"a":1}`, nil, false, nil},
		{`null`, nil, false, nil},
	}
	for _, test := range tests {
		claim := object(t, `{"c":`+test.claim+`}`)["c"]
		if got, ok := Texts(claim); ok != test.isRight || !reflect.DeepEqual(got, test.texts) {
			t.Errorf("%s: got %q, %t, want %q, %t", test.claim, got, ok, test.texts, test.isRight)
		}
		if got := Words(claim); len(got) != len(test.words) || strings.Join(got, "|") != strings.Join(test.words, "|") {
			t.Errorf("%s: got the words %q, want %q", test.claim, got, test.words)
		}
	}
}

func TestNumber(t *testing.T) {
	tests := []struct {
		claim   string
		want    float64
		isRight bool
	}{
		{`1`, 1, true},
		{`-1.5e2`, -150, true},
		{`0`, 0, true},
		{`1e308`, 1e308, true},
		{`1e-400`, 0, true},
		{`1e400`, 0, false},
		{`-1e400`, 0, false},
		{`"1"`, 0, false},
		{`true`, 0, false},
		{`null`, 0, false},
		{`[1]`, 0, false},
	}
	if got, ok := Number(1.5); got != 1.5 || !ok {
		t.Errorf("a float: got %v, %t, want 1.5", got, ok)
	}
	for _, test := range tests {
		got, ok := Number(object(t, `{"c":`+test.claim+`}`)["c"])
		if ok != test.isRight || ok && got != test.want {
			t.Errorf("%s: got %v, %t, want %v, %t", test.claim, got, ok, test.want, test.isRight)
		}
	}
}
