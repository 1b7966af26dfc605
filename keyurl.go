package slidingjwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	set       *keySet       // nil: never fetched, or too old
	staleAt   float64       // when a refresh is due …
	age       float64       // … which is that long after the answer
	attempt   chan struct{} // closed when the fetch that is under way has an answer; nil: none is
	busy      bool          // a fetch is under way, or waits to be repeated
	nextTry   float64       // not before, after a failure
	backoff   float64
	unknownAt float64 // when an unknown kid last caused a fetch
	lastErr   string
	dropped   bool // nothing has used it for ten minutes

	// What was read last. It is the one fetch's that is under way, and needs no lock.
	readText string
	readSet  *keySet
	readErr  error
}

const (
	minKeyAge     = 60.0 // seconds, like the others
	maxKeyAge     = 24 * 3600.0
	defaultKeyAge = 600.0
	maxStale      = 24 * 3600.0 // beyond the age at which a refresh is due
	minBackoff    = 1.0
	maxBackoff    = 30.0
	unknownPause  = 30.0
	maxSetBytes   = 1 << 20
)

// tryEndpoint tries a signature with the keys of an endpoint. What the known ones can answer waits for no fetch.
func tryEndpoint(endpoint *keyURL, h *joseHeader, input string, signature []byte, limit int, now float64) (k *key, r *refusal) {
	if strings.HasPrefix(h.alg, "HS") {
		return nil, refuseAlgorithm // A key set from a URL holds no secret.
	}
	known := freshKeys(endpoint, now)
	if known != nil {
		k, r, limit = tryKeys(known, h, input, signature, limit)
		if k != nil || h.kid == "" || known.kids[h.kid] {
			return k, r
		}
	}
	set, retryAfter := keysFor(endpoint, h.kid, now)
	if set == nil {
		return nil, unavailable(retryAfter)
	}
	if set == known {
		return nil, r
	}
	k, r, _ = tryKeys(set, h, input, signature, limit)
	return k, r
}

// keysFor returns the keys that a token with this kid meets. It waits for a fetch at most once, and a fetch
// ends within timeoutSeconds. Without any keys it returns when to ask again, in seconds.
func keysFor(k *keyURL, kid string, now float64) (set *keySet, retryAfter int) {
	k.mu.Lock()
	refreshIfDue(k, now)
	attempt := k.attempt
	if k.set != nil {
		if kid == "" || k.set.kids[kid] {
			attempt = nil
		} else if !k.busy && isDue(k.nextTry, now, maxBackoff) && isDue(k.unknownAt+unknownPause, now, unknownPause) {
			// A new key may have come: one fetch finds out, however many ask, while it is under way and just after it.
			startFetch(k)
			attempt = k.attempt
			k.unknownAt = now
		}
	}
	k.mu.Unlock()
	if attempt != nil {
		<-attempt
		now = seconds(time.Now())
	}
	k.mu.Lock()
	set = k.set
	if attempt != nil && set != nil && kid != "" && !set.kids[kid] {
		k.unknownAt = now // This fetch did not find it; the next may in a while.
	}
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

// refreshIfDue starts a fetch if the keys are missing or old, and drops them after a day without an answer. The
// caller holds the lock.
func refreshIfDue(k *keyURL, now float64) {
	if k.set != nil && now >= k.staleAt+maxStale {
		k.set = nil
		logError("the keys of %s are too old and count no more", quote(endpointName(k)))
	}
	if (k.set == nil || isDue(k.staleAt, now, k.age)) && !k.busy && isDue(k.nextTry, now, maxBackoff) {
		startFetch(k)
	}
}

// isDue says whether a time has come, or is further away than it can be: then the clock was set back.
func isDue(at, now, most float64) bool { return now >= at || at-now > most+1 }

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
			dropped := k.dropped
			k.busy = !dropped
			if !dropped {
				k.attempt = make(chan struct{})
			}
			k.mu.Unlock()
			if dropped {
				return
			}
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
		k.set, k.staleAt, k.age = set, now+age, age
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
	attempt := k.attempt
	k.attempt = nil
	if attempt != nil {
		close(attempt)
	}
	k.mu.Unlock()
	if isNew && message != "" {
		logError("the keys of %s cannot be fetched: %s", quote(endpointName(k)), message)
	} else if isNew {
		logDebug("the keys of " + quote(endpointName(k)) + " are fetched again")
	}
	return pause
}

// drop ends the repetitions of a fetch that nobody waits for.
func drop(k *keyURL) {
	k.mu.Lock()
	k.dropped = true
	k.mu.Unlock()
}

// endpointName is what the log calls an endpoint.
func endpointName(k *keyURL) string {
	name := k.issuer
	if name == "" {
		name = k.url
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return name // An issuer's name that is not a URL.
	}
	return shownURL(u)
}

// fetchKeys fetches a key set, by discovery if its URL is not given (OpenID Connect Discovery 1.0 4), and returns
// for how many seconds it is fresh.
func fetchKeys(k *keyURL) (*keySet, float64, error) {
	transport, err := newTransport(k.client)
	if err != nil {
		return nil, 0, err
	}
	defer func() { transport.CloseIdleConnections() }()
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
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
	readKeys(k, text)
	return k.readSet, freshFor(header), k.readErr
}

// readKeys reads a key set, unless it says what it said the last time: so a remembered token keeps its key, and
// a key that is left out is logged once.
func readKeys(k *keyURL, text string) {
	if text == k.readText && (k.readSet != nil || k.readErr != nil) {
		return
	}
	k.readText = text // Yaegi: an assignment of several values cannot have a nil among them.
	k.readSet = nil
	k.readErr = nil
	keys, err := parseJWKS(text, quote(endpointName(k)), true)
	if err != nil {
		k.readErr = fmt.Errorf("the answer is no key set: %w", err)
		return
	}
	for _, k := range keys {
		bindKey(k, nil) // Each middleware has its own algorithms: see parseHeader.
	}
	k.readSet = newKeySet(keys)
}

// keySetURL reads the answer of a discovery. It has to be from exactly the issuer that is configured, since
// whoever answers decides whose signatures count.
func keySetURL(issuer, text string) (string, error) {
	document, err := strictObject([]byte(text))
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
		return "", nil, reasonOf(err)
	}
	defer func() { _ = resp.Body.Close() }() // It was read.
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("the answer is %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	if err != nil {
		return "", nil, reasonOf(err)
	}
	if len(data) > maxSetBytes {
		return "", nil, errors.New("the answer is longer than 1 MiB")
	}
	return string(data), resp.Header, nil
}

// reasonOf is why a fetch failed, without what differs from one attempt to the next (the port of our side) and
// without the URL, which a redirect may have made up.
func reasonOf(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("there is no answer in time")
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	var inNetwork *net.OpError
	if errors.As(err, &inNetwork) && inNetwork.Err != nil {
		return errors.New(inNetwork.Op + ": " + quote(inNetwork.Err.Error()))
	}
	return errors.New(quote(err.Error())) // It may repeat what a stranger wrote, in a certificate say.
}

// freshFor reads for how many seconds an answer is fresh (RFC 9111 5.2.2.1), within bounds.
func freshFor(header http.Header) float64 {
	age := defaultKeyAge
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		// A number that is too large for an int counts as the largest.
		if given, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil || errors.Is(err, strconv.ErrRange) {
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

// newTransport makes a transport for one fetch. It keeps no connection, so nothing of it is left behind; its
// files are read anew, so a renewed certificate counts at once.
func newTransport(c ClientConfig) (*http.Transport, error) {
	config, err := clientTLS(c.TLS)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
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
	text, _, err := readWatched(&watchedFile{path: value}, time.Now())
	if err != nil {
		return "", fmt.Errorf("the file %s cannot be used: %w", quote(value), err)
	}
	return text, nil
}
