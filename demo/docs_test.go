package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/signing"
)

// text is a file of the repository by its path.
func text(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// pages are the documentation's files, relative to the repository.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"readme.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
	err := filepath.WalkDir("../docs", func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			found = append(found, filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var fence = regexp.MustCompile("(?ms)^```ya?ml\n(.*?)^```$")

// yamlBlocks are the YAML blocks of a page.
func yamlBlocks(t *testing.T, page string) []string {
	t.Helper()
	var blocks []string
	for _, match := range fence.FindAllStringSubmatch(text(t, page), -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

// optionBlocks finds the plugin's options in a document: below "plugin", as the manifest's test data, or as
// the whole of it.
func optionBlocks(document, options map[string]any) []map[string]any {
	for name := range document {
		if options[name] != nil {
			return []map[string]any{document}
		}
	}
	var found []map[string]any
	for name, value := range document {
		section, ok := value.(map[string]any)
		switch {
		case !ok:
		case name == "testData":
			found = append(found, section)
		case name == "plugin":
			for _, block := range section {
				found = append(found, block.(map[string]any))
			}
		default:
			found = append(found, optionBlocks(section, nil)...)
		}
	}
	return found
}

// TestDocumentedYAML checks every YAML block of the documentation and every example: against the schema, and
// then by Traefik itself, which drops a router whose middleware is refused.
func TestDocumentedYAML(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../schema.json")
	if err != nil {
		t.Fatal(err)
	}
	options := schemaOptions(t)
	files := map[string][]string{
		".traefik.yml":            {text(t, ".traefik.yml")},
		"demo/dynamic.yml":        {dynamicConfig},
		"examples/dynamic.yml":    {text(t, "examples/dynamic.yml")},
		"examples/kubernetes.yml": {text(t, "examples/kubernetes.yml")},
	}
	for _, page := range pages(t) {
		files[page] = yamlBlocks(t, page)
	}

	blocks := map[string]map[string]any{}
	for name, yamls := range files {
		for i, content := range yamls {
			where := fmt.Sprintf("%s, block %d", name, i+1)
			all := documents(t, content)
			isOther := len(all) == 0 // A comment.
			found := 0
			for _, document := range all {
				isOther = isOther || document["experimental"] != nil || document["kind"] == "Secret" || document["kind"] == "IngressRoute"
				for _, block := range optionBlocks(document, options) {
					found++
					if err := schema.Validate(any(block)); err != nil {
						t.Errorf("%s: %v\n%s", where, err, content)
					}
					blocks[fmt.Sprintf("block-%d", len(blocks))] = map[string]any{"where": where, "options": block}
				}
				if document["http"] != nil || document["kind"] == "Middleware" {
					if err := schema.Validate(any(document)); err != nil {
						t.Errorf("%s: %v\n%s", where, err, content)
					}
				}
			}
			if found == 0 && !isOther {
				t.Errorf("%s has no option of the plugin, and is not known to be something else:\n%s", where, content)
			}
		}
	}
	if len(blocks) < 8 {
		t.Fatalf("got %d blocks of options, want more", len(blocks))
	}

	routers, middlewares := map[string]any{}, map[string]any{}
	for name, block := range blocks {
		routers[name] = map[string]any{"rule": "PathPrefix(`/" + name + "/`)", "middlewares": []string{name}, "service": "ping@internal"}
		middlewares[name] = map[string]any{"plugin": map[string]any{"slidingjwt": complete(block["options"].(map[string]any))}}
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	if _, err := signing.Key(keys); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, gateway.Options{
		Dynamic: map[string]any{"http": map[string]any{"routers": routers, "middlewares": middlewares}},
		Env: []string{
			"SESSION_SECRET=" + strings.Repeat("s", 32),
			"DEMO_KEYS=" + keys, "DEMO_LOGIN=http://127.0.0.1:1", "DEMO_PROVIDER=http://127.0.0.1:1",
		},
	})
	for name, block := range blocks {
		if resp := ask(t, g.URL(), http.MethodGet, "/"+name+"/", nil, ""); resp.status == http.StatusNotFound {
			t.Errorf("%s is refused", block["where"])
		}
	}
}

// complete adds a key to a block that shows something else, and takes out what only a cluster can fill in.
func complete(block map[string]any) map[string]any {
	block = maps.Clone(block)
	hasKey := false
	for _, name := range []string{"signingSecret", "privateKey", "publicKey", "jwksFile", "jwksUrl", "trustedIssuers"} {
		hasKey = hasKey || block[name] != nil
	}
	secret, _ := block["signingSecret"].(string)
	if !hasKey || strings.HasPrefix(secret, "urn:k8s:secret:") {
		block["signingSecret"] = strings.Repeat("s", 32)
	}
	if strings.Contains(fmt.Sprint(block["clientConfig"]), "urn:k8s:secret:") {
		delete(block, "clientConfig")
	}
	return block
}

func schemaOptions(t *testing.T) map[string]any {
	t.Helper()
	var schema struct {
		Definitions struct {
			Options struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(text(t, "schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Definitions.Options.Properties
}

// TestOptionTables checks that the tables of options have all of them, and their defaults.
func TestOptionTables(t *testing.T) {
	reference, overview := rows(text(t, "docs/options.md")), rows(text(t, "readme.md"))
	delete(reference, "option")
	known := map[string]bool{}
	var check func(prefix string, properties map[string]any)
	check = func(prefix string, properties map[string]any) {
		for name, value := range properties {
			option := value.(map[string]any)
			path := prefix + name
			known[path] = true
			inner, _ := option["properties"].(map[string]any)
			if items, ok := option["items"].(map[string]any); ok && items["properties"] != nil {
				check(path+"[].", items["properties"].(map[string]any))
			}
			if prefix == "" && overview[path] == nil {
				t.Errorf("readme.md: %s is not in the table", path)
			}
			if inner != nil {
				check(path+".", inner)
				continue
			}
			row := reference[path]
			if row == nil {
				t.Errorf("docs/options.md: %s is not in a table", path)
				continue
			}
			if value := option["default"]; value != nil && row[2] != fmt.Sprintf("`%v`", value) {
				t.Errorf("docs/options.md: %s has the default %v, not %s", path, value, row[2])
			}
		}
	}
	check("", schemaOptions(t))
	for path := range reference {
		if !known[path] && !strings.Contains(path, "(") {
			t.Errorf("docs/options.md: %s is no option", path)
		}
	}
}

// rows are those of a page's tables, by the code in their first cell.
func rows(page string) map[string][]string {
	found := map[string][]string{}
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		name := strings.Trim(cells[0], " ")
		if len(cells) < 2 || !strings.HasPrefix(name, "`") || strings.HasPrefix(name, "``") {
			continue
		}
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(strings.TrimSuffix(cell, "|"))
		}
		found[strings.Trim(name, "`")] = cells
	}
	return found
}

// TestReasons checks that each code of refuse.go is explained, and that no other is.
func TestReasons(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../refuse.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	final := map[string]bool{} // whether a code clears the cookie
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		ast.Inspect(group, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.CallExpr:
				if code, ok := literal(n.Args[0]); ok {
					final[code] = n.Fun.(*ast.Ident).Name == "neverValid"
				}
			case *ast.CompositeLit:
				members := map[string]ast.Expr{}
				for _, element := range n.Elts {
					if pair, ok := element.(*ast.KeyValueExpr); ok {
						if name, ok := pair.Key.(*ast.Ident); ok {
							members[name.Name] = pair.Value
						}
					}
				}
				if code, ok := literal(members["code"]); ok {
					final[code] = members["final"] != nil
				}
			}
			return true
		})
	}
	if len(final) < 20 {
		t.Fatalf("got %d codes, want those of refuse.go", len(final))
	}
	page := text(t, "docs/reasons.md")
	explained := map[string]string{}
	for _, section := range strings.Split(page, "\n### ")[1:] {
		code, explanation, _ := strings.Cut(section, "\n")
		if _, twice := explained[code]; twice {
			t.Errorf("docs/reasons.md explains %s twice", code)
		}
		explained[code], _, _ = strings.Cut(explanation, "\n## ")
	}
	for code, clears := range final {
		if strings.TrimSpace(explained[code]) == "" {
			t.Errorf("docs/reasons.md does not explain %s", code)
		}
		if got := strings.Contains(explained[code], "*Clears the cookie.*"); got != clears {
			t.Errorf("docs/reasons.md says that %s clears the cookie: %t, want %t", code, got, clears)
		}
	}
	for code := range explained {
		if _, there := final[code]; !there {
			t.Errorf("docs/reasons.md explains %s, which is no code", code)
		}
	}
	if !strings.Contains(text(t, "refuse.go"), "/docs/reasons.md#") {
		t.Error("the problems' type does not lead to docs/reasons.md")
	}
}

// literal is the text of a string literal.
func literal(expression ast.Expr) (string, bool) {
	basic, ok := expression.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(basic.Value)
	return text, err == nil
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks checks the links between the repository's files.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(text(t, page), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			content, err := os.ReadFile(filepath.Join("..", path))
			if info, statErr := os.Stat(filepath.Join("..", path)); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, match[1])
			} else if anchor != "" && !slices.Contains(anchors(string(content)), anchor) {
				t.Errorf("%s: the link %s leads to no heading", page, match[1])
			}
		}
	}
}

// anchors are those of a page's headings.
func anchors(page string) []string {
	var found []string
	for line := range strings.Lines(page) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			found = append(found, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return found
}

// TestReadme logs in and calls, with the configuration that the readme shows.
func TestReadme(t *testing.T) {
	key := filepath.Join(t.TempDir(), "session.pem")
	der, err := x509.MarshalPKCS8PrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(echo.Handler("api", log.New(io.Discard, "", 0)))
	t.Cleanup(api.Close)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			w.Header().Set("X-Issue-Claims", `{"sub":"ada","realm_access":{"roles":["reader"]}}`)
		}
	}))
	t.Cleanup(door.Close)
	files := map[string]string{}
	for i, block := range yamlBlocks(t, "readme.md") {
		if strings.Contains(block, "routers:") {
			files[fmt.Sprintf("readme-%d.yml", i)] = strings.NewReplacer(
				"/etc/traefik/session.pem", key, "http://api:8080", api.URL, "http://login:8080", door.URL).Replace(block)
		}
	}
	if len(files) != 2 {
		t.Fatalf("got %d configurations in readme.md, want the first one and that of the login", len(files))
	}
	g := startGateway(t, gateway.Options{Files: files})
	wantProblem(t, call(t, g.URL(), "", nil), http.StatusUnauthorized, "token_missing")
	resp := ask(t, g.URL(), http.MethodPost, "/login", nil, "")
	if resp.status != http.StatusOK || resp.renewed() == "" || resp.header.Get("X-Issue-Claims") != "" {
		t.Fatalf("got %d %v, want a token and no claims", resp.status, resp.header)
	}
	wantHeaders(t, call(t, g.URL(), resp.renewed(), nil), map[string][]string{"X-User-Id": {"ada"}, "X-User-Roles": {"reader"}})
}
