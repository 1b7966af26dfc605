package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/slidingjwt/slidingjwt/demo/internal/cluster"
	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

// runCluster shows what two gateways do with one session under load, and then leaves both running, to try.
func runCluster(ctx context.Context, _ []string) error {
	fmt.Println("Starting two gateways, a balancer and three instances of a service. All of it takes about a minute.")
	s, err := system.Start(ctx, clusterSettings(cmp.Or(os.Getenv("DEMO_ADDR"), "127.0.0.1:8080")))
	if err != nil {
		return err
	}
	defer s.Stop()
	report, err := cluster.Show(ctx, s, os.Stdout)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil && len(report.Failed) > 0 {
		err = fmt.Errorf("%d requests failed, the first with %s", len(report.Failed), report.Failed[0])
	}
	if err != nil {
		return err
	}
	fmt.Printf("\nOne login, and no request refused. Both gateways are at %s: its page says which one answers.\nCtrl-C stops all of it.\n", s.URL())
	select {
	case <-ctx.Done():
		return nil
	case <-s.Exited():
		return errors.New("traefik ended by itself")
	}
}

// clusterSettings are those of two gateways with a token that lives long enough for a slow machine and is renewed often.
func clusterSettings(address string) system.Settings {
	return system.Settings{
		Dynamic: dynamicConfig, Address: address, Gateways: 2, Lifetime: "30s", Before: "28s", GatewayLog: io.Discard,
	}
}
