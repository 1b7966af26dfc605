// Package login is the demo's login service: it knows who may log in, who is locked out, and which sessions were ended. It holds
// no key. To a good password it answers with claims, and the gateway makes a token of them.
package login

import (
	"crypto/subtle"
	"encoding/json"
	"log"
	"net/http"
	"slices"
	"sync"
	"time"
)

// claimsHeader is the gateway's issue.header.
const claimsHeader = "X-Issue-Claims"

// user is what a token says of a user.
type user struct {
	Subject string   `json:"sub"`
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Roles   []string `json:"roles"`
}

var (
	ada      = user{"ada", "Ada Lovelace", "ada@example.com", []string{"analyst", "engineer"}}
	password = "lovelace"
)

// revocation is an entry of the list that the gateways read.
type revocation struct {
	Subject string `json:"sub"`
	Before  int64  `json:"before"`
}

type service struct {
	log *log.Logger

	mu      sync.Mutex
	locked  map[string]bool
	revoked []revocation
}

// Handler answers the gateway's clients:
//
//	POST /login              with claims, if the password is right
//	POST /account/everywhere ends all sessions of the user that the gateway names
//	POST /account/lock       locks the user in ?user= out, and /account/unlock ends that
//
// and the gateway itself, which has no route to these for anybody else:
//
//	POST /confirm            whether a session may go on
//	GET  /revocations        which sessions were ended
func Handler(logger *log.Logger) http.Handler {
	s := &service{log: logger, locked: map[string]bool{}, revoked: []revocation{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("POST /login/", s.logIn) // However the gateway delivers the token.
	mux.HandleFunc("POST /account/everywhere", s.endEverywhere)
	mux.HandleFunc("POST /account/lock", s.lock)
	mux.HandleFunc("POST /account/unlock", s.lock)
	mux.HandleFunc("POST /confirm", s.confirm)
	mux.HandleFunc("GET /revocations", s.revocations)
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *service) logIn(w http.ResponseWriter, r *http.Request) {
	var who struct{ Username, Password string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&who); err != nil {
		http.Error(w, `send {"username": …, "password": …}`, http.StatusBadRequest)
		return
	}
	if !equal(who.Username, ada.Subject) || !equal(who.Password, password) {
		s.log.Printf("login: wrong name or password for %q", who.Username)
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	if s.isLocked(who.Username) {
		s.log.Printf("login: %s is locked out", who.Username)
		http.Error(w, "this user is locked out", http.StatusForbidden)
		return
	}
	claims, err := json.Marshal(ada)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.log.Printf("login: %s is logged in", who.Username)
	w.Header().Set(claimsHeader, string(claims))
	w.WriteHeader(http.StatusNoContent)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// endEverywhere ends the sessions that have begun until now. The gateway reads the list every five seconds.
func (s *service) endEverywhere(w http.ResponseWriter, r *http.Request) {
	subject := r.Header.Get("X-User-Id")
	if subject == "" { // The gateway lets nobody through without it.
		http.Error(w, "nobody is logged in", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	s.revoked = slices.DeleteFunc(s.revoked, func(other revocation) bool { return other.Subject == subject })
	s.revoked = append(s.revoked, revocation{Subject: subject, Before: time.Now().Unix() + 1})
	s.mu.Unlock()
	s.log.Printf("login: all sessions of %s end", subject)
	w.WriteHeader(http.StatusNoContent)
}

// lock is what an operator does. In the demo anybody may.
func (s *service) lock(w http.ResponseWriter, r *http.Request) {
	subject, locked := r.FormValue("user"), r.URL.Path == "/account/lock"
	s.mu.Lock()
	s.locked[subject] = locked
	s.mu.Unlock()
	s.log.Printf("login: %q is locked out: %t", subject, locked)
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) isLocked(subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locked[subject]
}

// confirm is asked before each renewal, with the token's claims.
func (s *service) confirm(w http.ResponseWriter, r *http.Request) {
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&claims); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.isLocked(claims.Subject) {
		s.log.Printf("login: the session of %q may not go on", claims.Subject)
		http.Error(w, "locked out", http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// revocations is the list of what was taken back. The gateway asks again when it is older than max-age says.
func (s *service) revocations(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=5")
	_ = json.NewEncoder(w).Encode(map[string]any{"revoked": s.revoked})
}
