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
	sources := filepath.Join(dir, "plugins-local", "src")
	if err := installOurs(ctx, filepath.Join(sources, Module), source); err != nil {
		return fmt.Errorf("the plugin: %w", err)
	}
	for name, plugin := range plugins {
		if err := installFiles(filepath.Join(sources, plugin.Module), plugin.Files); err != nil {
			return fmt.Errorf("the plugin %s: %w", name, err)
		}
	}
	return nil
}

// installOurs copies the plugin and has the Go command add its dependencies. The tests are left
// out first, so that what only they need, the interpreter above all, stays out of the vendor tree.
func installOurs(ctx context.Context, dir, source string) error {
	if source == "" {
		var err error
		if source, err = Root(ctx); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	if err != nil {
		return err
	}
	names := []string{"go.mod", "go.sum", ".traefik.yml"}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			names = append(names, filepath.Base(file))
		}
	}
	contents := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(source, name)) //nolint:gosec // The caller's plugin.
		if err != nil {
			return err
		}
		contents[name] = string(text)
	}
	if err := installFiles(dir, contents); err != nil {
		return err
	}
	_, err = output(ctx, dir, "mod", "vendor")
	return err
}

func installFiles(dir string, files map[string]string) error {
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
