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

// The web application whose users log in, and where the provider sends them back to; nothing is there.
const (
	webID     = "shop"
	webSecret = "shop's secret"
	webBack   = "http://localhost:9999/auth/callback"
)

// registered are the clients that the example's storage knows, which are those of the whole process.
var registered = sync.OnceFunc(func() { storage.RegisterClients(storage.WebClient(webID, webSecret, webBack)) })

// Provider is a running OpenID provider.
type Provider struct {
	// Issuer is its issuer identifier.
	Issuer string
	// Audience is that of its tokens.
	Audience string
	// WebAudience is that of the ID tokens that LogIn returns.
	WebAudience string
	// IDTokenLifetime is that of ID tokens. It is set before the provider is asked for one.
	IDTokenLifetime time.Duration

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
	p := &Provider{Issuer: "http://" + listener.Addr().String(), Audience: clientID, WebAudience: webID, IDTokenLifetime: time.Hour}
	registered()
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

// LogIn logs a user in at the provider's own page, as a browser does, and returns the ID token that the web application gets.
func (p *Provider) LogIn(ctx context.Context, username, password string) (string, error) {
	browser := &http.Client{CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), webBack) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	query := url.Values{"client_id": {webID}, "redirect_uri": {webBack}, "response_type": {"code"}, "scope": {"openid"}, "state": {rand.Text()}}
	page, err := send(ctx, browser, http.MethodGet, p.Issuer+"/auth?"+query.Encode(), nil, nil)
	if err != nil {
		return "", err
	}
	answer := url.Values{"id": {page.Request.URL.Query().Get("authRequestID")}, "username": {username}, "password": {password}}
	back, err := send(ctx, browser, http.MethodPost, p.Issuer+"/login/username", answer, nil)
	if err != nil {
		return "", err
	}
	to, err := back.Location()
	if err != nil || to.Query().Get("code") == "" {
		return "", fmt.Errorf("the provider sends the user to %q", back.Header["Location"])
	}
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	code := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {webBack}, "client_id": {webID}, "client_secret": {webSecret}}
	resp, err := send(ctx, browser, http.MethodPost, p.Issuer+"/oauth/token", code, &tokens)
	if err != nil || tokens.IDToken == "" {
		return "", fmt.Errorf("the provider gives no ID token: %v, %w", resp, err)
	}
	return tokens.IDToken, nil
}

// send sends a form, and reads a JSON answer if one is wanted.
func send(ctx context.Context, client *http.Client, method, address string, form url.Values, answer any) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if form.Get("client_secret") != "" {
		req.SetBasicAuth(url.QueryEscape(form.Get("client_id")), url.QueryEscape(form.Get("client_secret")))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if answer == nil {
		return resp, nil
	}
	return resp, json.NewDecoder(resp.Body).Decode(answer)
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

func (s *keptKeys) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	return webClient{client, s.provider.IDTokenLifetime}, err
}

type webClient struct {
	op.Client
	lifetime time.Duration
}

func (c webClient) IDTokenLifetime() time.Duration { return c.lifetime }

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
