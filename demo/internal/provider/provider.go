// Package provider is a real OpenID provider in the test's own process, whose keys a test can rotate.
package provider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The provider's one service user, which gets its tokens by the client credentials grant.
const (
	clientID     = "sid1"
	clientSecret = "verysecret"
)

// Provider is a running OpenID provider.
type Provider struct {
	// Issuer is its issuer identifier.
	Issuer string
	// Audience is that of its tokens.
	Audience string

	server *http.Server

	mu      sync.Mutex
	keys    []*rsaKey // the last one signs
	fetches int
}

// Start starts a provider on a free port of 127.0.0.1.
func Start() (*Provider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Provider{Issuer: "http://" + listener.Addr().String(), Audience: clientID}
	if err := p.Rotate(); err != nil {
		return nil, err
	}
	users := storage.NewUserStore(p.Issuer)
	kept := &keptKeys{Storage: storage.NewStorage(users), provider: p}
	discard := slog.New(slog.NewTextHandler(io.Discard, nil))
	p.server = &http.Server{
		Handler:           p.counted(exampleop.SetupServer(p.Issuer, kept, discard, false)),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = p.server.Serve(listener) }() // It ends with Stop.
	return p, nil
}

// Stop ends the provider.
func (p *Provider) Stop() { _ = p.server.Close() }

// Rotate adds a key, which signs from now on. The earlier ones stay published.
func (p *Provider) Rotate() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, &rsaKey{id: rand.Text(), private: private})
	return nil
}

// Withdraw publishes only the key that signs.
func (p *Provider) Withdraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = p.keys[len(p.keys)-1:]
}

// Fetches is how often the key set was asked for.
func (p *Provider) Fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches
}

// Token asks the provider for a token, as a service does.
func (p *Provider) Token(ctx context.Context) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {clientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(clientID, clientSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.AccessToken == "" {
		return "", fmt.Errorf("the provider answers %d %q", resp.StatusCode, text)
	}
	return answer.AccessToken, nil
}

// counted counts fetches of the key set and makes its answer fresh for the shortest time that the plugin takes.
func (p *Provider) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			p.mu.Lock()
			p.fetches++
			p.mu.Unlock()
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		next.ServeHTTP(w, r)
	})
}

// keptKeys is the example's storage with the provider's keys, and with JWTs as access tokens.
type keptKeys struct {
	*storage.Storage
	provider *Provider
}

func (s *keptKeys) SigningKey(context.Context) (op.SigningKey, error) {
	s.provider.mu.Lock()
	defer s.provider.mu.Unlock()
	return s.provider.keys[len(s.provider.keys)-1], nil
}

func (s *keptKeys) KeySet(context.Context) ([]op.Key, error) {
	s.provider.mu.Lock()
	defer s.provider.mu.Unlock()
	var published []op.Key
	for _, key := range s.provider.keys {
		published = append(published, publicHalf{key})
	}
	return published, nil
}

func (s *keptKeys) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	client, err := s.Storage.ClientCredentials(ctx, id, secret)
	return jwtClient{client}, err
}

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

type rsaKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k *rsaKey) ID() string                                  { return k.id }
func (k *rsaKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *rsaKey) Key() any                                    { return k.private }

type publicHalf struct{ *rsaKey }

func (k publicHalf) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicHalf) Use() string                        { return "sig" }
func (k publicHalf) Key() any                           { return &k.private.PublicKey }
