package gateway

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

const (
	staticFile  = "traefik.yml"
	dynamicDir  = "dynamic"
	dynamicFile = "gateway.yml"

	// An additional router answers at markerPath with the generation of the configuration.
	marker       = "gateway-generation"
	markerPath   = "/.gateway-generation"
	markerHeader = "Gateway-Generation"
)

// static is the static configuration. Reloads are not throttled: tests wait for each.
func static(address string, o Options) map[string]any {
	level := o.LogLevel
	if level == "" {
		level = "DEBUG"
	}
	experimental := map[string]any{}
	local := section(experimental, "localPlugins")
	for name, plugin := range o.Plugins {
		local[name] = map[string]any{"moduleName": plugin.Module}
	}
	if o.Archive == "" {
		local["slidingjwt"] = map[string]any{"moduleName": Module}
	} else {
		section(experimental, "plugins")["slidingjwt"] = map[string]any{"moduleName": Module, "version": archiveVersion}
	}
	if len(local) == 0 { // Traefik refuses an empty section.
		delete(experimental, "localPlugins")
	}
	config := map[string]any{
		"global": map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":    map[string]any{"level": level, "format": "json"},
		"entryPoints": map[string]any{"web": map[string]any{
			"address":   address,
			"transport": map[string]any{"lifeCycle": map[string]any{"graceTimeOut": "3s"}},
		}},
		"ping": map[string]any{"manualRouting": true},
		"providers": map[string]any{
			"providersThrottleDuration": "0s",
			"file":                      map[string]any{"directory": dynamicDir, "watch": true},
		},
		"experimental": experimental,
	}
	for section, value := range o.Static {
		base, both := config[section].(map[string]any)
		if more, ok := value.(map[string]any); ok && both {
			maps.Copy(base, more)
		} else {
			config[section] = value
		}
	}
	return config
}

// marked is the dynamic configuration with the marker's router added. One file holds both, so
// whoever sees the new generation meets the new configuration.
func marked(dynamic any, generation int) (map[string]any, error) {
	text, isText := dynamic.(string)
	if !isText {
		encoded, err := yaml.Marshal(dynamic)
		if err != nil {
			return nil, err
		}
		text = string(encoded)
	}
	var config map[string]any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("the dynamic configuration: %w", err)
	}
	if config == nil { // Nothing, or YAML's null.
		config = map[string]any{}
	}
	web := section(config, "http")
	section(web, "routers")[marker] = map[string]any{
		"entryPoints": []string{"web"},
		"rule":        "Path(`" + markerPath + "`)",
		"priority":    1_000_000_000,
		"middlewares": []string{marker},
		"service":     "ping@internal",
	}
	section(web, "middlewares")[marker] = map[string]any{"headers": map[string]any{
		"customResponseHeaders": map[string]any{markerHeader: strconv.Itoa(generation)},
	}}
	return config, nil
}

// section is a section of the configuration, made if it is not there.
func section(config map[string]any, name string) map[string]any {
	found, ok := config[name].(map[string]any)
	if !ok {
		found = map[string]any{}
		config[name] = found
	}
	return found
}

// writeYAML replaces a file at once: Traefik watches the directory and must not read half of it.
func writeYAML(dir, name string, value any) error {
	text, err := yaml.Marshal(value)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
