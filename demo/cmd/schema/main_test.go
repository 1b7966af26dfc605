package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const (
	config     = "../../../config.go"
	schemaFile = "../../../schema.json"
)

func TestNoDrift(t *testing.T) {
	want, err := generate(config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("schema.json is not that of config.go: run `cd demo && go run ./cmd/schema > ../schema.json`")
	}
}

func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text string
		want string // what the error names; empty for none
	}{
		{"{}", ""},
		{"signingSecret: x\nleeway: 30", ""},
		{"leeway: 1h30m", ""},
		{"leeway: '{{ env `LEEWAY` }}'", ""},
		{"renew: {before: 25%}", ""},
		{"audience: [a, b]\nalgorithms: [ES256]", ""},
		{"audience: a,b", ""},
		{"cookie: {name: __Host-session, sameSite: strict, sessionOnly: true}", ""},
		{"trustedIssuers: [{issuer: https://a.example, jwksUrl: https://a.example/keys}]", ""},
		{"forwardHeaders: {X-User-Id: sub}\nclientConfig: {tls: {ca: ./ca.pem}, timeoutSeconds: 2}", ""},
		{"trustedIssuers: [{jwksUrl: https://a.example/keys}, {issuer: https://b.example, bearerToken: /run/token}]", ""},
		{"usernameClaim: sub", ""},
		{"headerName: ''", ""},
		{"headerName: X-Goog-IAP-JWT-Assertion", ""},
		{"tokenType: [JWT, at+jwt]", ""},
		{"tokenType: at+jwt", ""},
		{"tls: {}", ""},
		{"http: {middlewares: {a: {plugin: {slidingjwt: {issuer: x}}, other: {y: 1}}}, routers: {}}", ""},
		{"apiVersion: traefik.io/v1alpha1\nspec: {plugin: {slidingjwt: {issuer: urn:k8s:secret:a:b}}}", ""},

		{"isuer: x", "isuer"},
		{"renew: {befor: 5m}", "befor"},
		{"clientConfig: {tls: {cert: a, kye: b}}", "kye"},
		{"trustedIssuers: [{isuer: a}]", "isuer"},
		{"trustedIssuers: [{bearerToken: /run/token}]", "issuer"},
		{"headerName: X Token", "/headerName"},
		{"leeway: soon", "/leeway"},
		{"renew: {before: 100%}", "/renew/before"},
		{"issue: {lifetime: 5m}", "header"},
		{"cookie: {name: a, sameSite: no}", "/cookie/sameSite"},
		{"algorithms: [none]", "/algorithms/0"},
		{"cacheSize: -1", "/cacheSize"},
		{"optional: 'yes'", "/optional"},
		{"forwardHeaders: {'X User': sub}", "X User"},
		{"forwardHeaders: {X-User: [sub]}", "/forwardHeaders/X-User"},
		{"jwksUrl: example.com/keys", "/jwksUrl"},
		{"http: {middlewares: {a: {plugin: {slidingjwt: {isuer: x}}}}}", "isuer"},
		{"apiVersion: traefik.io/v1alpha1\nspec: {plugin: {slidingjwt: {isuer: x}}}", "isuer"},
	} {
		var value any
		if err := yaml.Unmarshal([]byte(test.text), &value); err != nil {
			t.Fatal(err)
		}
		err := schema.Validate(value)
		if err != nil != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.text, err, test.want)
		}
	}
}

// TestDefaults compares what the comments say of defaults with those that CreateConfig sets.
func TestDefaults(t *testing.T) {
	text, err := generate(config)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	properties := at(schema, "definitions", "options", "properties")
	file, err := parser.ParseFile(token.NewFileSet(), config, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	var compare func(literal *ast.CompositeLit, properties map[string]any)
	compare = func(literal *ast.CompositeLit, properties map[string]any) {
		for _, element := range literal.Elts {
			field := element.(*ast.KeyValueExpr)
			name := field.Key.(*ast.Ident).Name
			option := at(properties, optionNamed(properties, name))
			if option == nil {
				t.Fatalf("%s is no option", name)
			}
			if inner, ok := field.Value.(*ast.CompositeLit); ok {
				compare(inner, at(option, "properties"))
				continue
			}
			found++
			var want any
			switch value := field.Value.(type) {
			case *ast.Ident:
				want = value.Name == "true"
			case *ast.BasicLit:
				if want, err = strconv.Unquote(value.Value); err != nil {
					want, _ = strconv.Atoi(value.Value)
				}
			}
			if option["default"] != want {
				t.Errorf("%s: the comment says the default is %v, and CreateConfig %v", name, option["default"], want)
			}
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		function, ok := node.(*ast.FuncDecl)
		if ok && function.Name.Name == "CreateConfig" {
			ast.Inspect(function, func(node ast.Node) bool {
				literal, ok := node.(*ast.CompositeLit)
				if ok {
					compare(literal, properties)
				}
				return !ok
			})
		}
		return true
	})
	if found < 5 {
		t.Errorf("got %d defaults of CreateConfig, want at least 5", found)
	}
}

// TestTables finds what is said of options that do not exist.
func TestTables(t *testing.T) {
	text, err := generate(config)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	paths := []string{}
	for path := range narrower {
		paths = append(paths, path)
	}
	for path := range required {
		paths = append(paths, path)
	}
	for _, path := range paths {
		option := at(schema, "definitions", "options")
		for _, name := range strings.Split(path, ".") {
			if option["items"] != nil {
				option = at(option, "items")
			}
			option = at(option, "properties", name)
		}
		if option == nil {
			t.Errorf("%s is no option", path)
		}
	}
}

// at follows names into an object; nil is what is not there.
func at(object map[string]any, names ...string) map[string]any {
	for _, name := range names {
		object, _ = object[name].(map[string]any)
	}
	return object
}

// optionNamed is the option of a field's name.
func optionNamed(properties map[string]any, field string) string {
	for name := range properties {
		if strings.EqualFold(name, field) {
			return name
		}
	}
	return ""
}
