package slidingjwt_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slidingjwt/slidingjwt"
)

// Outside of Traefik the plugin is an ordinary middleware, for any net/http server: it verifies the token of a request
// and forwards its claims in headers. A request without a valid token does not reach the service.
func Example() {
	const secret = "a secret of at least 32 bytes, as HS256 needs it"
	service := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(rw, "Hello, %s! Your roles: %s.", req.Header.Get("X-User-Id"), req.Header.Get("X-Roles"))
	})

	config := slidingjwt.CreateConfig()
	config.SigningSecret = secret
	config.ForwardHeaders = map[string]string{"X-User-Id": "sub", "X-Roles": "realm_access.roles"}
	handler, err := slidingjwt.New(context.Background(), service, config, "example")
	if err != nil {
		log.Fatal(err)
	}

	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "ada", "realm_access": map[string]any{"roles": []string{"admin", "author"}},
		"exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		log.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-User-Id", "eve") // The service sees no claim header of a client's.
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	fmt.Println(rec.Code, rec.Body)
	// Output: 200 Hello, ada! Your roles: admin,author.
}

// A token that is close to its expiry is renewed: the response brings another one, for the same session.
func Example_renewal() {
	const secret = "a secret of at least 32 bytes, as HS256 needs it"
	service := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "served") })

	config := slidingjwt.CreateConfig()
	config.SigningSecret = secret
	config.Renew.Before = "50%" // of its lifetime
	handler, err := slidingjwt.New(context.Background(), service, config, "example")
	if err != nil {
		log.Fatal(err)
	}

	issued := time.Now().Add(-10 * time.Minute)
	for _, lifetime := range []time.Duration{time.Hour, 15 * time.Minute} {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "ada", "iat": issued.Unix(), "exp": issued.Add(lifetime).Unix(),
		}).SignedString([]byte(secret))
		if err != nil {
			log.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)

		renewed, isRenewed := strings.CutPrefix(rec.Header().Get("Authorization"), "Bearer ")
		fmt.Printf("After 10 minutes of %s: %s, renewed: %t\n", lifetime, rec.Body, isRenewed)
		if isRenewed {
			claims := jwt.MapClaims{}
			if _, err := jwt.ParseWithClaims(renewed, claims, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
				log.Fatal(err)
			}
			fmt.Printf("It is %s's, for another %.0f minutes.\n", claims["sub"], (claims["exp"].(float64)-claims["iat"].(float64))/60)
		}
	}
	// Output:
	// After 10 minutes of 1h0m0s: served, renewed: false
	// After 10 minutes of 15m0s: served, renewed: true
	// It is ada's, for another 15 minutes.
}

// A login service answers with claims, and the client gets a token in their place. The service holds no key.
func Example_issue() {
	login := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Claims", `{"sub":"ada"}`) // once the password was found right
		_, _ = io.WriteString(rw, "Welcome!")
	})

	config := slidingjwt.CreateConfig()
	config.SigningSecret = "a secret of at least 32 bytes, as HS256 needs it"
	config.Issue.Header = "X-Claims"
	config.Issue.Lifetime = "15m"
	config.Cookie.Name = "__Host-session"
	handler, err := slidingjwt.New(context.Background(), login, config, "example")
	if err != nil {
		log.Fatal(err)
	}

	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/login", nil))
	fmt.Println(rec.Code, rec.Body, rec.Header().Values("X-Claims"))
	for _, cookie := range rec.Result().Cookies() {
		fmt.Println(cookie.Name, cookie.MaxAge, cookie.HttpOnly, cookie.Secure, strings.Count(cookie.Value, "."))
	}
	// Output:
	// 200 Welcome! []
	// __Host-session 900 true true 2
}
