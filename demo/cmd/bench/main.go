// Command bench measures the plugin in the real gateway, and writes what it finds as JSON and as a chart.
//
//	bench            compares the plugin's paths with the bare gateway, an empty plugin and other ways to check a token,
//	                 and measures what a stranger's requests cost
//	bench -cost      measures only what a stranger's requests cost, in CPU of the gateway's, before they are refused
//	bench -growth    shows what does not grow: with remembered tokens, with keys, with routers
//	bench -profile F -only NAME   writes a CPU profile of the gateway while it serves that row
//
// Gateway, service and load are on one machine and share its cores, so what counts is the ratio to the bare gateway just
// before and after, not the requests a second.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
)

// settings are the command line.
type settings struct {
	short   bool
	only    string
	profile string
	out     string
	binary  string
}

func main() {
	log.SetFlags(0)
	var s settings
	growth := flag.Bool("growth", false, "show what does not grow, instead of the comparison")
	cost := flag.Bool("cost", false, "measure what a stranger's requests cost, instead of the comparison")
	flag.BoolVar(&s.short, "short", false, "fewer and shorter rounds: three minutes")
	flag.StringVar(&s.only, "only", "", "a regular expression: the rows to measure, each beside its bare one; nothing is written")
	flag.StringVar(&s.profile, "profile", "", "a file for a CPU profile of the gateway, taken during the last round")
	flag.StringVar(&s.out, "out", "", "the directory to write to (default docs/bench of the repository)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute) // Whatever happens, it ends.
	defer cancel()
	// The load's garbage must not be what is measured.
	debug.SetGCPercent(400)
	if err := run(ctx, s, *growth, *cost); err != nil {
		log.Fatal(err) //nolint:gocritic // What is deferred has nothing left to end.
	}
}

func run(ctx context.Context, s settings, growth, cost bool) error {
	var err error
	if s.out == "" {
		root, err := gateway.Root(ctx)
		if err != nil {
			return err
		}
		s.out = filepath.Join(root, "docs", "bench")
	}
	// Traefik is found, or built, before anything is measured.
	if s.binary, err = gateway.Binary(ctx, os.Stderr); err != nil {
		return err
	}
	if growth {
		return grow(ctx, s)
	}
	if cost {
		return price(ctx, s)
	}
	if err := compare(ctx, s); err != nil || s.only != "" {
		return err
	}
	return price(ctx, s)
}

// write puts a file into the directory of the results.
func write(s settings, name string, text []byte) error {
	if err := os.MkdirAll(s.out, 0o755); err != nil { //nolint:gosec // It is for everyone to read.
		return err
	}
	path := filepath.Join(s.out, name)
	if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // It is for everyone to read.
		return err
	}
	fmt.Println("wrote", path)
	return nil
}
