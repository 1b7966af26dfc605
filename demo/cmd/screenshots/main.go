// Command screenshots makes the pictures of the demo's page that the readme shows: it starts the demo, logs in, waits for
// two renewals, forges a token, and takes a picture in light and in dark.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/slidingjwt/slidingjwt/demo/internal/browser"
	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := shoot(ctx, filepath.Join("..", ".assets")); err != nil {
		log.Fatal(err) //nolint:gocritic // What stop would end ends with the process.
	}
}

func shoot(ctx context.Context, dir string) error {
	config, err := os.ReadFile("dynamic.yml")
	if err != nil {
		return err
	}
	s, err := system.Start(ctx, system.Settings{Dynamic: string(config), Lifetime: "20s", Before: "18s", MaxSession: "4m"})
	if err != nil {
		return err
	}
	defer s.Stop()
	b, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer b.Stop()
	tab, err := b.Open(s.URL())
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return tab.Show(1120, 900, false, true) },
		func() error { return tab.Click("log-in") },
		func() error { return tab.Until(`document.getElementById("who").classList.contains("in")`) },
		func() error { return tab.Click("call-often") },
		func() error { return tab.Until(`document.querySelectorAll("#log .renewed").length >= 2`) },
		func() error { return tab.Click("forge") },
		func() error { return tab.Until(`!document.getElementById("attack-answer").hidden`) },
		func() error { return tab.Click("connect") },
		func() error { return tab.Click("call-often") }, // So the bars are seen on their way.
		func() error { return tab.Until(`document.getElementById("token-bar").value < 0.75`) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	for _, picture := range []struct {
		name          string
		width, height int64
		isDark        bool
	}{
		{"page-light.png", 1120, 1160, false},
		{"page-dark.png", 1120, 1160, true},
	} {
		if err := tab.Show(picture.width, picture.height, picture.isDark, true); err != nil {
			return err
		}
		image, err := tab.Screenshot()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, picture.name), image, 0o600); err != nil {
			return err
		}
	}
	return nil
}
