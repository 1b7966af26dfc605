// Package openid is a small OpenID provider, as the demo's other way to log in: the authorization code flow with PKCE (RFC 7636)
// for one public client and one user. It stands for the provider that a company has; look there for a real one.
package openid

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer = "https://provider.example"
	client = "demo-page" // the audience of its tokens

	username = "grace"
	password = "hopper"
	keyID    = "provider-1"
	// codeLife is how long a code may wait for its exchange (RFC 6749 4.1.2).
	codeLife = time.Minute
)

// grant is what a code stands for.
type grant struct {
	challenge, redirect, nonce string
	at                         time.Time
}

type provider struct {
	key *rsa.PrivateKey
	log *log.Logger

	mu    sync.Mutex
	codes map[string]grant
}

// Handler answers under /provider/: authorize shows a login form, token takes the code, and keys has the public key.
func Handler(logger *log.Logger) (http.Handler, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	p := &provider{key: key, log: logger, codes: map[string]grant{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /provider/authorize", p.form)
	mux.HandleFunc("POST /provider/authorize", p.authorize)
	mux.HandleFunc("POST /provider/token", p.token)
	mux.HandleFunc("GET /provider/keys", p.keys)
	return http.NewCrossOriginProtection().Handler(mux), nil
}

// request checks an authorization request. The one redirect URI is the page, on the host that the request itself is for.
func request(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	q := r.URL.Query()
	for name, want := range map[string]string{
		"client_id": client, "response_type": "code", "code_challenge_method": "S256", "redirect_uri": "http://" + r.Host + "/",
	} {
		if q.Get(name) != want {
			http.Error(w, name+" is not "+want, http.StatusBadRequest)
			return nil, false
		}
	}
	return q, true
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>provider.example</title>
<link rel="stylesheet" href="/page.css">
<main class="narrow">
<section>
<h1>provider.example</h1>
<p>An OpenID provider, as your company may have one. The demo asks it who you are.</p>
{{with .}}<p class="bad" role="alert">{{.}}</p>{{end}}
<form method="post">
<label>Name <input name="username" value="grace" autocomplete="off" required></label>
<label>Password <input name="password" type="password" value="hopper" autocomplete="off" required></label>
<button class="primary">Log in and go back</button>
</form>
</section>
</main>
`))

func (p *provider) form(w http.ResponseWriter, r *http.Request) {
	if _, ok := request(w, r); ok {
		show(w, http.StatusOK, "")
	}
}

func show(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// A form's redirect counts as its action: it goes back to the page, on the same host.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_ = page.Execute(w, message)
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q, ok := request(w, r)
	if !ok {
		return
	}
	if r.PostFormValue("username") != username || subtle.ConstantTimeCompare([]byte(r.PostFormValue("password")), []byte(password)) != 1 {
		show(w, http.StatusUnauthorized, "Wrong name or password.")
		return
	}
	code, now := rand.Text(), time.Now()
	p.mu.Lock()
	for old, g := range p.codes {
		if now.Sub(g.at) > codeLife {
			delete(p.codes, old)
		}
	}
	p.codes[code] = grant{challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"), nonce: q.Get("nonce"), at: now}
	p.mu.Unlock()
	p.log.Printf("provider: %s is logged in", username)
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther) //nolint:gosec // request has compared it.
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	g, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	p.mu.Unlock()
	proof := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || time.Since(g.at) > codeLife || r.PostFormValue("redirect_uri") != g.redirect ||
		base64.RawURLEncoding.EncodeToString(proof[:]) != g.challenge {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": issuer, "aud": client, "sub": username, "name": "Grace Hopper", "email": "grace@provider.example",
		"realm_access": map[string]any{"roles": []string{"admiral", "engineer"}},
		"iat":          now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix(), "nonce": g.nonce,
	})
	token.Header["kid"] = keyID
	signed, err := token.SignedString(p.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{"id_token": signed, "access_token": signed, "token_type": "Bearer", "expires_in": 300})
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: p.key.Public(), KeyID: keyID, Algorithm: "RS256", Use: "sig"},
	}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
