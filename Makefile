# Go, make and git are all that these need. The first run builds Traefik, in five to ten minutes.

.PHONY: demo
demo: # the gateway, a login service and two instances of a service, to try with curl
	@cd demo && go build -o ../bin/demo . && exec ../bin/demo up
