package keysource

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
	"time"

	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// Client says how an endpoint is reached.
type Client struct {
	// CA is a PEM bundle of the authorities to trust, and Cert and Key are the client's own: each a file or content.
	CA, Cert, Key string
	// InsecureSkipVerify trusts any certificate.
	InsecureSkipVerify bool
	// Timeout bounds one fetch, and a request's wait for it.
	Timeout time.Duration
	// MaxRetries is how often a failed fetch is repeated.
	MaxRetries int
}

// fetch fetches the key set, by discovery if its URL is not given (OpenID Connect Discovery 1.0 4), and returns for how long it
// is fresh.
func (e *Endpoint) fetch() (*jose.KeySet, time.Duration, error) {
	transport, err := newTransport(e.client)
	if err != nil {
		return nil, 0, err
	}
	defer func() { transport.CloseIdleConnections() }()
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	ctx, cancel := context.WithTimeout(context.Background(), e.client.Timeout)
	defer func() { cancel() }()
	bearer, err := readBearer(e.bearer)
	if err != nil {
		return nil, 0, err
	}
	address, own := e.url, e.url
	if address == "" {
		own = e.issuer
		text, _, err := get(ctx, client, bearer, strings.TrimSuffix(e.issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, 0, err
		}
		if address, err = keySetURL(e.issuer, text); err != nil {
			return nil, 0, err
		}
	}
	if !isSameOrigin(address, own) {
		bearer = ""
	}
	text, header, err := get(ctx, client, bearer, address)
	if err != nil {
		return nil, 0, err
	}
	e.read(text)
	return e.readSet, freshFor(header), e.readErr
}

// read parses a key set, unless its text is that of the last time. So an unchanged set stays the same value, and remembered tokens stay
// valid without another look; and a key that is left out is logged once.
func (e *Endpoint) read(text string) {
	if text == e.readText && (e.readSet != nil || e.readErr != nil) {
		return
	}
	e.readText = text // Yaegi: an assignment of several values cannot have a nil among them.
	e.readSet = nil
	e.readErr = nil
	keys, err := jose.ParseSet(text, logline.Quote(e.name()), true)
	if err != nil {
		e.readErr = fmt.Errorf("the answer is not a key set: %w", err)
		return
	}
	for _, k := range keys {
		k.Bind(nil, false) // Not narrowed: the middlewares that share it may have different algorithms.
	}
	e.readSet = jose.NewKeySet(keys)
}

// readBearer reads a bearer token from its option.
func readBearer(option string) (string, error) {
	if option == "" {
		return "", nil
	}
	text, err := FileOrContent(option)
	if err != nil { // The file's name is not shown: it may be the token itself, since base64 can begin with a slash like a path.
		return "", errors.New("bearerToken: the file that it names is missing or unreadable")
	}
	text = strings.TrimSpace(text)
	if err := checkBearerText(text); err != nil {
		return "", fmt.Errorf("bearerToken: %w", err)
	}
	return text, nil
}

// CheckBearer checks a bearer token that is given as content. A file is looked at when it is needed.
func CheckBearer(option string) error {
	if option == "" || IsPath(option) {
		return nil
	}
	err := checkBearerText(strings.TrimSpace(option))
	return err
}

// checkBearerText accepts what a header may carry behind its scheme (RFC 6750 2.1). Its errors do not repeat it.
func checkBearerText(text string) error {
	if strings.HasPrefix(text, "urn:k8s:secret:") {
		return errors.New("it is an unresolved reference to a Kubernetes Secret")
	}
	if text == "" || strings.ContainsFunc(text, isNoTokenRune) {
		return errors.New("it is not a bearer token: it is empty, or holds a space or control character")
	}
	return nil
}

func isNoTokenRune(r rune) bool { return r <= ' ' || r > '~' }

// isSameOrigin says whether two URLs have the same scheme, host and port.
func isSameOrigin(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return false
	}
	second, err := url.Parse(b)
	return err == nil && first.Scheme == second.Scheme && request.HostPort(first) == request.HostPort(second)
}

// keySetURL reads the key set's URL from a discovery document. The document has to name exactly the configured issuer (OpenID Connect
// Discovery 1.0 4.3).
func keySetURL(issuer, text string) (string, error) {
	document, err := jose.StrictObject([]byte(text))
	if err != nil {
		return "", errors.New("the discovery document is not a JSON object")
	}
	if document["issuer"] != issuer {
		return "", fmt.Errorf("the discovery document names another issuer, %s", logline.Quote(fmt.Sprint(document["issuer"])))
	}
	address, _ := document["jwks_uri"].(string)
	if err := CheckURL(address); err != nil {
		return "", fmt.Errorf("the discovery document's jwks_uri: %w", err)
	}
	if strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(address, "https:") {
		return "", errors.New("the discovery document leads from https to http")
	}
	return address, nil
}

// get fetches a text of at most 1 MiB. The bearer token goes with the first request alone; empty: there is none.
func get(ctx context.Context, client *http.Client, bearer, address string) (string, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", nil, errors.New("the URL is malformed")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
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

// reasonOf says why a fetch failed, without the local port, which differs from one attempt to the next (a line is logged once per
// reason), and without the URL, which a redirect may have chosen.
func reasonOf(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer came in time")
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if strings.HasPrefix(err.Error(), "failed to parse Location header") { // It goes on with the URL.
		return errors.New("it redirects to a malformed URL")
	}
	var inNetwork *net.OpError
	if errors.As(err, &inNetwork) && inNetwork.Err != nil {
		return errors.New(inNetwork.Op + ": " + logline.Quote(inNetwork.Err.Error()))
	}
	return errors.New(logline.Quote(err.Error())) // Quoted: it may hold text from outside, such as a name in a certificate.
}

// freshFor reads for how long an answer is fresh (RFC 9111 5.2.2.1), within bounds.
func freshFor(header http.Header) time.Duration {
	age := defaultAge
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		// A number that is too large for an int counts as the largest.
		if given, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil || errors.Is(err, strconv.ErrRange) {
			age = maxAge
			if given < int(maxAge/time.Second) {
				age = time.Duration(given) * time.Second
			}
		}
	}
	if age < minAge {
		return minAge
	}
	if age > maxAge {
		return maxAge
	}
	return age
}

// newTransport makes a transport for one fetch, which keeps no connection open afterwards. Certificate files are read each time, so a
// renewed certificate is used at once.
func newTransport(c Client) (*http.Transport, error) {
	config, err := c.tlsConfig()
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
	req.Header.Del("Authorization")
	first := via[0].URL
	if request.HostPort(req.URL) != request.HostPort(first) {
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

// tlsConfig makes the client's side of TLS. It reads the certificate files.
func (c Client) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify} //nolint:gosec // It is the option's name.
	if c.CA != "" {
		ca, err := FileOrContent(c.CA)
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
	cert, err := FileOrContent(c.Cert)
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	private, err := FileOrContent(c.Key)
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

// Check checks what is given as content, for New. A file is read, and can be wrong, only at a fetch.
func (c Client) Check() error {
	if IsPath(c.CA) {
		c.CA = ""
	}
	if IsPath(c.Cert) || IsPath(c.Key) || c.Key == "" {
		c.Cert = ""
		c.Key = ""
	}
	_, err := c.tlsConfig()
	return err
}

// CheckURL accepts absolute http and https URLs without credentials or fragment.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("it is malformed") // The parser's own error repeats the text, which may hold credentials.
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is not an absolute http(s) URL without user and fragment", ShownURL(u))
	}
	return nil
}

// ShownURL is a URL as it may stand in errors and logs: without its query, which may hold a secret.
func ShownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}
