module github.com/slidingjwt/slidingjwt

go 1.22.0

require (
	github.com/golang-jwt/jwt/v5 v5.3.1
	github.com/traefik/paerser v0.2.2
	github.com/traefik/yaegi v0.16.1
)

require github.com/mitchellh/mapstructure v1.5.1-0.20231216201459-8508981c8b6c
