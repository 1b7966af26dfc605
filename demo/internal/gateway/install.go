package gateway

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// install lays the plugins out as Traefik looks for local ones, below its working directory.
func install(ctx context.Context, dir, source string, plugins map[string]Plugin) error {
	if err := Install(ctx, dir, source); err != nil {
		return fmt.Errorf("the plugin: %w", err)
	}
	for name, plugin := range plugins {
		if err := writeFiles(sourceDir(dir, plugin.Module), plugin.Files); err != nil {
			return fmt.Errorf("the plugin %s: %w", name, err)
		}
	}
	return nil
}

// sourceDir is where a Traefik that runs in dir looks for a local plugin.
func sourceDir(dir, module string) string { return filepath.Join(dir, "plugins-local", "src", module) }

// Install copies the plugin from its directory, by default the repository that the program runs in, to where a Traefik that
// runs in dir finds it, and has the Go command add its dependencies. What comes along is what the plugin imports, which the
// Go command says: no tests, nor what only they need, the interpreter above all.
func Install(ctx context.Context, dir, source string) error {
	if source == "" {
		var err error
		if source, err = Root(ctx); err != nil {
			return err
		}
	}
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
	target := sourceDir(dir, Module)
	if err := writeFiles(target, contents); err != nil {
		return err
	}
	_, err = output(ctx, target, "mod", "vendor")
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
