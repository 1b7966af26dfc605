package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// install lays the plugins out as Traefik looks for local ones, below its working directory. A release it does not: Traefik
// downloads that.
func install(ctx context.Context, dir string, o Options) error {
	if o.Archive == "" {
		if err := Install(ctx, dir, o.Source); err != nil {
			return fmt.Errorf("the plugin: %w", err)
		}
	}
	for name, plugin := range o.Plugins {
		if err := writeFiles(sourceDir(dir, plugin.Module), plugin.Files); err != nil {
			return fmt.Errorf("the plugin %s: %w", name, err)
		}
	}
	return nil
}

// sourceDir is where a Traefik that runs in dir looks for a local plugin.
func sourceDir(dir, module string) string { return filepath.Join(dir, "plugins-local", "src", module) }

// Install puts the plugin from its directory, by default the repository that the program runs in, where a Traefik that runs
// in dir finds it.
func Install(ctx context.Context, dir, source string) error {
	if source == "" {
		var err error
		if source, err = Root(ctx); err != nil {
			return err
		}
	}
	return Copy(ctx, source, sourceDir(dir, Module))
}

// Copy copies what Traefik needs of the plugin: the packages that it imports, which the Go command says, and their
// dependencies below vendor. There are no tests, nor what only they need, the interpreter above all.
func Copy(ctx context.Context, source, target string) error {
	names, err := pluginFiles(ctx, source)
	if err != nil {
		return err
	}
	contents := map[string]string{}
	for _, name := range append(names, "go.mod", "go.sum", ".traefik.yml") {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return err
		}
		contents[name] = string(text)
	}
	modules, err := output(ctx, source, "list", "-e", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", ".")
	if err != nil {
		return err
	}
	needed := strings.Fields(modules)
	contents["go.sum"] = checksums(contents["go.sum"], needed)
	if err := writeFiles(target, contents); err != nil {
		return err
	}
	if err := dropRequirements(ctx, target, needed); err != nil {
		return err
	}
	_, err = output(ctx, target, "mod", "vendor")
	return err
}

// checksums are the lines of a go.sum that are about the modules.
func checksums(sum string, modules []string) string {
	var kept strings.Builder
	for line := range strings.Lines(sum) {
		if module, _, _ := strings.Cut(line, " "); slices.Contains(modules, module) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// dropRequirements leaves only the needed modules in go.mod: Traefik's catalog refuses a plugin whose go.mod requires the
// interpreter, which is there for the tests.
func dropRequirements(ctx context.Context, dir string, needed []string) error {
	text, err := output(ctx, dir, "mod", "edit", "-json")
	if err != nil {
		return err
	}
	var file struct{ Require []struct{ Path string } }
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return err
	}
	edit := []string{"mod", "edit"}
	for _, module := range file.Require {
		if !slices.Contains(needed, module.Path) {
			edit = append(edit, "-droprequire="+module.Path)
		}
	}
	_, err = output(ctx, dir, append(edit, "-fmt")...)
	return err
}

// pluginFiles are the Go files of the plugin's package and of those of its module that it imports, relative to its directory.
// Files that do not compile come along: it is Traefik that shall complain.
func pluginFiles(ctx context.Context, source string) ([]string, error) {
	dirs, err := output(ctx, source, "list", "-e", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}", ".")
	if err != nil {
		return nil, err
	}
	root, err := output(ctx, source, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, dir := range strings.Split(dirs, "\n") {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
