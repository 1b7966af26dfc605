# Go, make and git are all that these need. What first needs Traefik builds it, in five to ten
# minutes; later runs find it in the user's cache directory.

LINTER := v2.15.0

.PHONY: demo
demo: # the gateway, a login service and two instances of a service, to try with curl
	@cd demo && go build -o ../bin/demo . && exec ../bin/demo up

.PHONY: test
test: # the plugin's own tests, then those that need the real gateway
	go test ./...
	cd demo && go run . traefik && go test ./...

.PHONY: lint
lint: bin/golangci-lint
	go vet ./... && bin/golangci-lint run ./...
	cd demo && go vet ./... && ../bin/golangci-lint run ./...

bin/golangci-lint: Makefile
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER)
	@touch $@
