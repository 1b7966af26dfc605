// Package plugins has the plugins that slidingjwt is compared with, as the gateway installs them.
package plugins

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

//go:embed empty/plugin.go textbook/plugin.go
var sources embed.FS

const library = "github.com/golang-jwt/jwt/v5"

// All are the plugins by their names.
func All() (map[string]gateway.Plugin, error) {
	all := map[string]gateway.Plugin{}
	for _, name := range []string{"empty", "textbook"} {
		text, err := sources.ReadFile(name + "/plugin.go")
		if err != nil {
			return nil, err
		}
		module := "github.com/slidingjwt/" + name
		all[name] = gateway.Plugin{Module: module, Files: map[string]string{
			"plugin.go":    string(text),
			"go.mod":       "module " + module + "\n\ngo 1.22\n",
			".traefik.yml": fmt.Sprintf("displayName: %s\ntype: middleware\nimport: %s\nsummary: For comparison.\ntestData: {}\n", name, module),
		}}
	}
	return all, vendor(all["textbook"])
}

// vendor adds the library that the textbook's plugin imports.
func vendor(plugin gateway.Plugin) error {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", library).Output()
	if err != nil {
		return fmt.Errorf("go list %s: %w", library, err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		plugin.Files["vendor/"+library+"/"+filepath.Base(file)] = string(text)
	}
	return nil
}
