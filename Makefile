# Go, make and git are all that these need. What first needs Traefik takes one of v3.4 or later from $TRAEFIK, the PATH or a
# Docker image, or builds it, in five to ten minutes; later runs find it in the user's cache directory. With a C compiler, the
# race detector watches the tests.

.DEFAULT_GOAL := help

LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.PHONY: help
help: # the targets
	@sed -n 's/^\([a-z-]*\): # /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: # the gateway, a login service and two instances of a service, to try with curl
	@echo "Building the demo: a minute for the first time, to fetch and to compile what it needs, and seconds later on."
	@cd demo && go build -o ../bin/demo . && exec ../bin/demo up

.PHONY: demo-cluster
demo-cluster: # the demo with two gateways behind a balancer: one is killed, the key rotated, a session revoked, under load
	@cd demo && go build -o ../bin/demo . && exec ../bin/demo cluster

.PHONY: screenshots
screenshots: # the pictures of the demo's page in the readme; needs Chromium
	cd demo && go run ./cmd/screenshots

.PHONY: test
test: # the plugin's own tests, compiled and interpreted, then those that need the real gateway
	BOTHWAYS=native go test $(RACE) -shuffle=on -timeout 30m ./... # Of the interpreter, the race detector reports types that are built on a first call.
	go test -shuffle=on -timeout 30m ./...
	cd demo && go run . traefik && go test -count=1 -timeout 30m ./... # Go's cache of results does not see the plugin, which is another module

.PHONY: conformance
conformance: # vectors and implementations by others, and the table of attacks: what agrees, and why the rest does not
	@cd demo && go test -count=1 -v ./conformance/... | awk ' \
		/^(=== |PASS$$)|--- PASS|no test files/ { next } { print } /^(FAIL|--- FAIL)/ { failed = 1 } \
		/^conformance: .* cases, / { kind = $$2; sub(/.*: /, ""); split($$0, n, /[^0-9]+/); for (i in n) sum[kind, i] += n[i]; kinds[kind]; differ += n[5] } \
		END { for (kind in kinds) printf "conformance: all %s %d, agreements: %d, listed exceptions: %d, not expressed: %d\n", kind, sum[kind, 1], sum[kind, 2], sum[kind, 3], sum[kind, 4]; \
			printf "conformance: native against interpreted differences: %d\n", differ; exit failed }'

# To make each input that is new as short as can be takes up to a minute by default, and most of a short run.
FUZZTIME ?= 10s
FUZZ := -fuzztime $(FUZZTIME) -fuzzminimizetime 100x

.PHONY: fuzz
fuzz: # every fuzz target for FUZZTIME (10s), one after the other; what one finds stays in testdata/fuzz beside it, as a case of make test
	@failed=; for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package) || { echo "$$targets"; failed=1; continue; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "fuzz: $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" $(FUZZ) $$package || failed="$$failed $$target"; \
		done; \
	done; \
	if [ -n "$$failed" ]; then echo "fuzz: failed:$$failed"; exit 1; fi

.PHONY: lint
lint: # the formatters are among the linters
	go vet ./... && $(LINT)
	cd demo && go vet ./... && $(LINT)
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

.PHONY: vulncheck
vulncheck: # whether the plugin calls code that is known to be vulnerable; asks vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@v1.3.0 .

.PHONY: bench
bench: # what the plugin costs in the gateway, beside other ways to check a token; SHORT=1: in three minutes
	cd demo && go run ./cmd/bench $(if $(SHORT),-short)

.PHONY: bench-growth
bench-growth: # that its cost does not grow: with tokens, keys, routers
	cd demo && go run ./cmd/bench -growth $(if $(SHORT),-short)

.PHONY: release
release: # VERSION=v1.2.3: a tag of the last commit with the dependencies in it, and in dist the archive that Traefik installs
	cd demo && go run ./cmd/release -version "$$VERSION"
