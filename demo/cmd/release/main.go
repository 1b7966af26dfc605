// Command release makes a release of the plugin from the repository's last commit: a tag, and below dist an archive, its
// checksums and its bill of materials. It publishes nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"path/filepath"

	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/release"
)

func main() {
	log.SetFlags(0)
	version := flag.String("version", "", "the version to release, like v1.2.3")
	flag.Parse()
	if err := run(context.Background(), *version); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, version string) error {
	root, err := gateway.Root(ctx)
	if err != nil {
		return err
	}
	made, err := release.Make(ctx, root, version, filepath.Join(root, "dist"))
	if err != nil {
		return err
	}
	fmt.Printf("The tag %s is the commit %s. Beside it there are\n\n\t%s\n\t%s\n\t%s\n\nTo publish it:\n\n\tgit push origin %s\n",
		made.Tag, made.Commit, made.Archive, made.SBOM, made.Checksums, made.Tag)
	return nil
}
