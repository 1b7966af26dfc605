package main

import (
	"testing"

	"github.com/slidingjwt/slidingjwt/demo/internal/cluster"
)

// TestCluster kills one of two gateways under load, starts it again, rotates the key and takes the session back.
func TestCluster(t *testing.T) {
	s := start(t, clusterSettings(""))
	report, err := cluster.Show(t.Context(), s, t.Output())
	if err != nil {
		t.Errorf("%v\nfailed: %q", err, report.Failed)
	}
	if len(report.Failed) > 0 {
		t.Errorf("got %d failed requests besides those in flight, want none: %q", len(report.Failed), report.Failed)
	}
	for _, name := range []string{"one", "two"} {
		if report.Answers[name] == 0 || report.Renewals[name] == 0 {
			t.Errorf("gateway %s: got %d answers and %d renewals, want some", name, report.Answers[name], report.Renewals[name])
		}
	}
	if most := 16; report.InFlight > most {
		t.Errorf("got %d requests lost in flight, want at most one for each of the %d connections", report.InFlight, most)
	}
}
