// Package cluster shows that a session needs no particular gateway: it takes two through a kill, a restart, a rotation of the
// key and a revocation, while 16 connections use one session.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

const (
	connections = 16
	// patience bounds each step.
	patience = time.Minute
)

// Show takes the system through all of it, and tells out what it does.
func Show(ctx context.Context, s *system.System, out io.Writer) (Report, error) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }

	say("Log in, once, and use the session from %d connections.", connections)
	l, err := startLoad(ctx, s.URL())
	if err != nil {
		return Report{}, err
	}
	defer l.stop()
	if err := until(ctx, "both gateways renew tokens that the other accepts", func() bool {
		r := l.report()
		return r.Renewals["one"] > 0 && r.Renewals["two"] > 0 && r.Crossed > 100
	}); err != nil {
		return l.report(), err
	}
	say("%s", l.report())

	say("Kill gateway two.")
	l.killing()
	s.Kill(1)
	before := l.report()
	if err := until(ctx, "gateway one goes on alone", func() bool {
		r := l.report()
		return r.Answers["one"] > before.Answers["one"]+500 && r.renewals() > before.renewals()
	}); err != nil {
		return l.report(), err
	}
	say("%s", l.report())

	say("Start gateway two again.")
	if err := s.Restart(ctx, 1); err != nil {
		return l.report(), err
	}
	before = l.report()
	if err := until(ctx, "gateway two answers again", func() bool { return l.report().Answers["two"] > before.Answers["two"]+200 }); err != nil {
		return l.report(), err
	}

	say("Rotate the key.")
	oldKey := l.keyID()
	if err := s.Rotate(ctx); err != nil {
		return l.report(), err
	}
	if err := until(ctx, "a token is signed by the new key", func() bool { return l.keyID() != oldKey }); err != nil {
		return l.report(), err
	}
	before = l.report()
	if err := until(ctx, "both gateways accept the new key", func() bool { return l.report().Crossed > before.Crossed+200 }); err != nil {
		return l.report(), err
	}
	l.stop()
	report := l.report()
	say("%s", report)

	say("Take all sessions of the user back.")
	return report, revoke(ctx, s, l.token())
}

// revoke ends the session at one gateway, and waits until each of them refuses its token.
func revoke(ctx context.Context, s *system.System, token string) error {
	status, body, err := ask(ctx, http.MethodPost, s.URL()+"/account/everywhere", token)
	if err != nil || status != http.StatusNoContent {
		return errors.Join(fmt.Errorf("log out everywhere: got %d %q", status, body), err)
	}
	for _, g := range s.Gateways {
		var failed error
		if err := until(ctx, g.URL()+" refuses the token", func() bool {
			status, body, failed = ask(ctx, http.MethodGet, g.URL()+"/api/", token)
			return failed == nil && status == http.StatusUnauthorized
		}); err != nil {
			return errors.Join(err, failed)
		}
		if !strings.Contains(body, "token_revoked") {
			return fmt.Errorf("%s refuses the token with %s, want token_revoked", g.URL(), body)
		}
	}
	return nil
}

func ask(ctx context.Context, method, url, token string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func until(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s: %w", what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// logIn is the one login.
func logIn(ctx context.Context, url string) (string, error) {
	credentials, err := json.Marshal(map[string]string{"username": "ada", "password": "lovelace"})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/login", strings.NewReader(string(credentials)))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	token := bearer(resp)
	if token == "" {
		return "", fmt.Errorf("the login brings no token: %s", resp.Status)
	}
	return token, nil
}

func bearer(resp *http.Response) string {
	token, _ := strings.CutPrefix(resp.Header.Get("Authorization"), "Bearer ")
	return token
}
