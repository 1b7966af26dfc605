// Command schema writes the JSON Schema of the plugin's options to standard output, from the Config
// struct and its comments:
//
//	cd demo && go run ./cmd/schema > ../schema.json
//
// The schema takes a block of options, and also the files that hold one: a dynamic configuration of
// Traefik and a Kubernetes Middleware, of which it checks the plugin's block alone.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

func main() {
	root, err := gateway.Root(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	text, err := generate(filepath.Join(root, "config.go"))
	if err != nil {
		log.Fatal(err)
	}
	_, _ = os.Stdout.Write(text)
}

type object = map[string]any

const (
	durationPattern = `^([0-9]+|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`
	// laterPattern is what Traefik fills in before the plugin sees it: a template of the file provider, or a
	// reference to a Kubernetes secret.
	laterPattern = `\{\{.*\}\}|^urn:k8s:secret:`
)

// narrower is what the options' types do not say, by their path.
var narrower = map[string]object{
	"algorithms": {"items": object{"enum": []string{
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA", "Ed25519",
	}}},
	"cacheSize":                   {"minimum": 0},
	"clientConfig.maxRetries":     {"minimum": 0, "maximum": 100},
	"clientConfig.timeoutSeconds": {"minimum": 1, "maximum": 300},
	"cookie.path":                 {"pattern": "^/|" + laterPattern},
	"cookie.sameSite":             {"pattern": "^([Ll]ax|[Ss]trict|[Nn]one)$|" + laterPattern},
	"headerName":                  {"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]*$|" + laterPattern},
	"jwksUrl":                     {"pattern": "^https?://|" + laterPattern},
	"trustedIssuers":              {"items": object{"anyOf": []object{{"required": []string{"issuer"}}, {"required": []string{"jwksUrl"}}}}},
	"trustedIssuers.jwksUrl":      {"pattern": "^https?://|" + laterPattern},
	"leeway":                      duration(durationPattern),
	"maxAge":                      duration(durationPattern),
	"endStreams":                  {"pattern": "^(token|session)$|" + laterPattern},
	"exchange.lifetime":           duration(durationPattern),
	"exchange.maxAge":             duration(durationPattern),
	"issue.lifetime":              duration(durationPattern),
	"renew.lifetime":              duration(durationPattern),
	"renew.maxSession":            duration(durationPattern),
	"renew.before":                duration(durationPattern + `|^[1-9][0-9]?%$`),
	"forwardHeaders":              {"propertyNames": object{"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}},
}

// duration is an option that may be a whole number of seconds as well.
func duration(pattern string) object {
	return object{"type": []string{"string", "integer"}, "pattern": pattern + "|" + laterPattern}
}

// required are the members that a block needs if it is there, by its path.
var required = map[string][]string{
	"cookie":   {"name"},
	"exchange": {"claims"},
	"issue":    {"header"},
	"logout":   {"redirect"},
}

// generate returns the schema of the Config struct in a Go file.
func generate(file string) ([]byte, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	structs := map[string]*ast.StructType{}
	docs := map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if group, ok := node.(*ast.GenDecl); ok {
			for _, spec := range group.Specs {
				if named, ok := spec.(*ast.TypeSpec); ok {
					docs[named.Name.Name] = group.Doc.Text()
				}
			}
		}
		if named, ok := node.(*ast.TypeSpec); ok {
			if fields, ok := named.Type.(*ast.StructType); ok {
				structs[named.Name.Name] = fields
			}
		}
		return true
	})
	config, err := schemaOf("Config", "", structs)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(docs["Config"], "\n\n")
	config["description"] = "This " + describe("", "Config ", strings.Join(strings.Fields(first), " "))

	block := object{"properties": object{"plugin": object{"properties": object{
		"slidingjwt": object{"$ref": "#/definitions/options"},
	}}}}
	var sections []object
	for _, name := range []string{"http", "tcp", "udp", "tls", "apiVersion"} {
		sections = append(sections, object{"required": []string{name}})
	}
	schema := object{
		"$schema":     "http://json-schema.org/draft-07/schema#",
		"$id":         "https://raw.githubusercontent.com/slidingjwt/slidingjwt/main/schema.json",
		"title":       "Options of the Traefik plugin slidingjwt",
		"description": "A block of options, or a file that holds one: a dynamic configuration or a Kubernetes Middleware.",
		"if":          object{"anyOf": sections},
		"then": object{"properties": object{
			"http": object{"properties": object{"middlewares": object{"additionalProperties": block}}},
			"spec": block,
		}},
		"else":        object{"$ref": "#/definitions/options"},
		"definitions": object{"options": config},
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(schema)
	return text.Bytes(), err
}

// schemaOf is the schema of a struct whose options have that path in front.
func schemaOf(name, path string, structs map[string]*ast.StructType) (object, error) {
	properties := object{}
	for _, field := range structs[name].Fields.List {
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			return nil, err
		}
		option, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if strings.Contains(tag, ",remain") { // It catches what is no option.
			continue
		}
		schema, err := schemaOfType(field.Type, path+option, structs)
		if err != nil {
			return nil, err
		}
		comment := strings.Join(strings.Fields(field.Doc.Text()), " ")
		if comment == "" {
			return nil, fmt.Errorf("%s%s has no comment", path, option)
		}
		schema["description"] = describe(option, field.Names[0].Name, comment)
		if value, ok := defaultOf(comment, schema["type"]); ok {
			schema["default"] = value
		}
		if err := narrow(schema, path+option); err != nil {
			return nil, err
		}
		properties[option] = schema
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if names := required[strings.TrimSuffix(path, ".")]; names != nil {
		schema["required"] = names
	}
	return schema, nil
}

func schemaOfType(kind ast.Expr, path string, structs map[string]*ast.StructType) (object, error) {
	switch t := kind.(type) {
	case *ast.Ident:
		switch t.Name {
		case "string":
			return object{"type": "string"}, nil
		case "bool":
			return object{"type": "boolean"}, nil
		case "int":
			return object{"type": "integer"}, nil
		}
		if structs[t.Name] != nil {
			return schemaOf(t.Name, path+".", structs)
		}
	case *ast.ArrayType:
		items, err := schemaOfType(t.Elt, path, structs)
		if err != nil {
			return nil, err
		}
		if items["type"] == "string" { // Traefik splits a string at its commas.
			return object{"type": []string{"array", "string"}, "items": items}, nil
		}
		return object{"type": "array", "items": items}, nil
	case *ast.MapType:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}, nil
	}
	return nil, fmt.Errorf("%s has a type that the schema does not know", path)
}

// narrow adds what the types do not say.
func narrow(schema object, path string) error {
	for keyword, value := range narrower[path] {
		if keyword != "items" {
			schema[keyword] = value
			continue
		}
		items, ok := schema["items"].(object)
		if !ok {
			return fmt.Errorf("%s is no list", path)
		}
		for inner, value := range value.(object) {
			items[inner] = value
		}
	}
	return nil
}

// describe is a field's comment with the option's name instead of the field's.
func describe(option, field, comment string) string {
	return option + strings.TrimPrefix(comment, field)
}

var literalDefault = regexp.MustCompile(`\bDefault "?([^\s"]+?)"?\.(?:\s|$)`)

// defaultOf reads "Default 30s." in a comment; "Default: off." is prose.
func defaultOf(comment string, kind any) (any, bool) {
	match := literalDefault.FindStringSubmatch(comment)
	if match == nil {
		return nil, false
	}
	switch kind {
	case "boolean":
		return match[1] == "true", true
	case "integer":
		number, err := strconv.Atoi(match[1])
		return number, err == nil
	}
	return match[1], true
}
