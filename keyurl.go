package slidingjwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// keyURL is a JWK Set that is somebody else's: at a fixed URL, or found by OpenID discovery. It is shared by
// every middleware with the same endpoint and client settings.
type keyURL struct {
	issuer string // whose keys they are; empty for jwksUrl
	url    string // empty: discovery
	client ClientConfig

	mu        sync.Mutex
	set       *keySet // nil: never fetched, or too old
	fetchedAt float64
	staleAt   float64       // when a refresh is due
	attempt   chan struct{} // closed when the fetch that is under way has an answer; nil: none is
	busy      bool          // a fetch is under way, or waits to be repeated
	nextTry   float64       // not before, after a failure
	backoff   float64
	unknownAt float64 // when an unknown kid last caused a fetch
	lastErr   string
}

const (
	minKeyAge     = 60.0 // seconds, like the others
	maxKeyAge     = 24 * 3600.0
	defaultKeyAge = 600.0
	maxStale      = 24 * 3600.0
	minBackoff    = 1.0
	maxBackoff    = 30.0
	unknownPause  = 30.0
	maxSetBytes   = 1 << 20
)

// keysFor returns the keys that a token with this kid meets. It waits for a fetch at most once, and a fetch
// ends within timeoutSeconds. Without any keys it returns when to ask again, in seconds.
func keysFor(k *keyURL, kid string, now float64) (set *keySet, retryAfter int) {
	k.mu.Lock()
	refreshIfDue(k, now)
	attempt := k.attempt
	if k.set != nil {
		if kid == "" || k.set.kids[kid] {
			attempt = nil
		} else if !k.busy && now >= k.nextTry && now-k.unknownAt >= unknownPause {
			// A new key may have come: one fetch finds out, however many ask.
			k.unknownAt = now
			startFetch(k)
			attempt = k.attempt
		}
	}
	k.mu.Unlock()
	if attempt != nil {
		<-attempt
	}
	k.mu.Lock()
	set = k.set
	retryAfter = int(k.nextTry-now) + 1
	k.mu.Unlock()
	return set, retryAfter
}

// freshKeys returns the keys that are known, and has them fetched again if they are old.
func freshKeys(k *keyURL, now float64) *keySet {
	k.mu.Lock()
	if k.set != nil {
		refreshIfDue(k, now)
	}
	set := k.set
	k.mu.Unlock()
	return set
}

func knownKeys(k *keyURL) *keySet {
	k.mu.Lock()
	set := k.set
	k.mu.Unlock()
	return set
}

// refreshIfDue starts a fetch if the keys are missing or old, and drops them after a day. The caller holds the lock.
func refreshIfDue(k *keyURL, now float64) {
	if k.set != nil && now >= k.fetchedAt+maxStale {
		k.set = nil
		logError("the keys of %s are a day old and count no more", quote(endpointName(k)))
	}
	if (k.set == nil || now >= k.staleAt) && !k.busy && now >= k.nextTry {
		startFetch(k)
	}
}

// startFetch starts a fetch and its repetitions. The goroutine ends with them. The caller holds the lock.
func startFetch(k *keyURL) {
	k.busy = true
	k.attempt = make(chan struct{})
	// Yaegi: a panic in a goroutine would end Traefik, and only a func literal can recover from it.
	go func() {
		defer func() {
			if r := recover(); r != nil {
				logError("fetching the keys of %s failed: %s", quote(endpointName(k)), quote(fmt.Sprint(r)))
				settle(k, nil, 0, errors.New("the fetch broke off"), false)
			}
		}()
		for try := 0; ; try++ {
			set, age, err := fetchKeys(k)
			again := err != nil && try < k.client.MaxRetries
			pause := settle(k, set, age, err, again)
			if !again {
				return
			}
			time.Sleep(time.Duration(pause * float64(time.Second)))
			k.mu.Lock()
			k.attempt = make(chan struct{})
			k.mu.Unlock()
		}
	}()
}

// settle notes how an attempt ended and lets those go on that wait for it. It returns the pause before the next, in seconds.
func settle(k *keyURL, set *keySet, age float64, err error, again bool) float64 {
	now := seconds(time.Now())
	k.mu.Lock()
	pause := 0.0
	message := ""
	if err == nil {
		k.set, k.fetchedAt, k.staleAt = set, now, now+age
		k.backoff, k.nextTry = 0, 0
	} else {
		message = err.Error()
		k.backoff *= 2
		if k.backoff < minBackoff {
			k.backoff = minBackoff
		}
		if k.backoff > maxBackoff {
			k.backoff = maxBackoff
		}
		pause = k.backoff
		k.nextTry = now + pause
	}
	isNew := message != k.lastErr
	k.lastErr = message
	k.busy = again
	if k.attempt != nil {
		close(k.attempt)
		k.attempt = nil
	}
	k.mu.Unlock()
	if isNew && message != "" {
		logError("the keys of %s cannot be fetched: %s", quote(endpointName(k)), message)
	}
	return pause
}

func endpointName(k *keyURL) string {
	if k.issuer != "" {
		return k.issuer
	}
	return k.url
}

// fetchKeys fetches a key set, by discovery if its URL is not given (OpenID Connect Discovery 1.0 4), and returns
// for how many seconds it is fresh.
func fetchKeys(k *keyURL) (*keySet, float64, error) {
	client, err := httpClient(k.client)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(k.client.TimeoutSeconds)*time.Second)
	defer func() { cancel() }()
	address := k.url
	if address == "" {
		text, _, err := get(ctx, client, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, 0, err
		}
		if address, err = keySetURL(k.issuer, text); err != nil {
			return nil, 0, err
		}
	}
	text, header, err := get(ctx, client, address)
	if err != nil {
		return nil, 0, err
	}
	keys, err := parseJWKS(text, quote(endpointName(k)), true)
	if err != nil {
		return nil, 0, fmt.Errorf("the answer is no key set: %w", err)
	}
	for _, k := range keys {
		bindKey(k, nil) // Each middleware has its own algorithms: see parseHeader.
	}
	return newKeySet(keys), freshFor(header), nil
}

// keySetURL reads the answer of a discovery. It has to be from exactly the issuer that is configured, since
// whoever answers decides whose signatures count.
func keySetURL(issuer, text string) (string, error) {
	document, err := strictObject(text)
	if err != nil {
		return "", errors.New("the discovery document is no JSON object")
	}
	if document["issuer"] != issuer {
		return "", fmt.Errorf("the discovery document is of the issuer %s", quote(fmt.Sprint(document["issuer"])))
	}
	address, _ := document["jwks_uri"].(string)
	if err := checkURL(address); err != nil {
		return "", fmt.Errorf("the discovery document's jwks_uri: %w", err)
	}
	if strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(address, "https:") {
		return "", errors.New("the discovery document leads from https to http")
	}
	return address, nil
}

// get fetches a text of at most 1 MiB.
func get(ctx context.Context, client *http.Client, address string) (string, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", nil, errors.New("the URL is malformed")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }() // It was read.
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("the answer is %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	if err != nil {
		return "", nil, err
	}
	if len(data) > maxSetBytes {
		return "", nil, errors.New("the answer is longer than 1 MiB")
	}
	return string(data), resp.Header, nil
}

// freshFor reads for how many seconds an answer is fresh (RFC 9111 5.2.2.1), within bounds.
func freshFor(header http.Header) float64 {
	age := defaultKeyAge
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if given, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
			age = float64(given)
		}
	}
	if age < minKeyAge {
		return minKeyAge
	}
	if age > maxKeyAge {
		return maxKeyAge
	}
	return age
}

// httpClient makes a client for one fetch. It keeps no connection, so nothing of it is left behind; its files
// are read anew, so a renewed certificate counts at once.
func httpClient(c ClientConfig) (*http.Client, error) {
	config, err := clientTLS(c.TLS)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}, nil
}

// checkRedirect follows a redirect only to the same host and port, and never from https to http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if hostPort(req.URL) != hostPort(first) {
		return errors.New("it redirects to another host or port")
	}
	if first.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("it redirects from https to http")
	}
	if len(via) >= 5 {
		return errors.New("it redirects too often")
	}
	return nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func clientTLS(c ClientTLS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify} //nolint:gosec // It is the option's name.
	if c.CA != "" {
		ca, err := fileOrContent(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("ca: there is no PEM certificate in it")
		}
	}
	if c.Cert == "" {
		return config, nil
	}
	cert, err := fileOrContent(c.Cert)
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	private, err := fileOrContent(c.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(private))
	if err != nil {
		return nil, errors.New("cert and key are malformed or do not belong together")
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// checkClientTLS checks what is given as content. A file is looked at when it is needed.
func checkClientTLS(c ClientTLS) error {
	if isPath(c.CA) {
		c.CA = ""
	}
	if isPath(c.Cert) || isPath(c.Key) || c.Key == "" {
		c.Cert, c.Key = "", ""
	}
	_, err := clientTLS(c)
	return err
}

func fileOrContent(value string) (string, error) {
	if !isPath(value) {
		return value, nil
	}
	data, err := os.ReadFile(value)
	if err != nil {
		return "", fmt.Errorf("the file %s is missing or unreadable", quote(value))
	}
	return string(data), nil
}
