// Package page is the demo's page: a session to look at, in a browser. There is no build step, and nothing is loaded from
// elsewhere.
package page

import (
	"embed"
	"net/http"
)

//go:embed index.html page.css page.js slidingjwt.js icon.svg
var files embed.FS

// policy lets the page load its own files, call its own host, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Handler serves the page at / and its files beside it.
func Handler() http.Handler {
	files := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	})
}
