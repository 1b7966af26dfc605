// Package fetch asks HTTP endpoints that the operator has configured: how they are reached, how much they may answer and where a
// redirect may lead. It knows nothing of what is fetched, and repeats nothing.
package fetch

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

	"github.com/slidingjwt/slidingjwt/internal/file"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// Client says how an endpoint is reached.
type Client struct {
	// CA is a PEM bundle of the authorities to trust, and Cert and Key are the client's own: each a file or content.
	CA, Cert, Key string
	// InsecureSkipVerify trusts any certificate.
	InsecureSkipVerify bool
	// Timeout bounds one fetch, and a request's wait for it. It is the caller's to keep, by the context.
	Timeout time.Duration
	// MaxRetries is how often a failed fetch is repeated.
	MaxRetries int
}

// Request is what an endpoint is asked.
type Request struct {
	Method, URL, Body string
	// Header holds the request's headers. Do does not copy the values.
	Header http.Header
	// FollowsRedirects follows them to the same host and port, without Authorization and never from https to http. Else a redirect
	// is an answer like any other.
	FollowsRedirects bool
	// MaxBytes is how long the answer's text may be, decompressed.
	MaxBytes int
}

// Answer is what an endpoint answered, whatever its status. The text is that of a 200; of any other status it is not read.
type Answer struct {
	Status int
	Header http.Header
	Text   string
}

// Do asks an endpoint once, on a connection of its own. Its errors do not repeat the URL.
func Do(ctx context.Context, c Client, r Request) (Answer, error) {
	transport, err := newTransport(c)
	if err != nil {
		return Answer{}, err
	}
	defer func() { transport.CloseIdleConnections() }()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return Answer{}, errors.New("the URL is malformed")
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	var resp *http.Response
	if r.FollowsRedirects {
		client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
		resp, err = client.Do(req)
	} else {
		req.GetBody = nil // What could be sent again would be.
		resp, err = transport.RoundTrip(req)
	}
	if err != nil {
		return Answer{}, reasonOf(err)
	}
	defer func() { _ = resp.Body.Close() }() // It was read.
	answer := Answer{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode != http.StatusOK {
		return answer, nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(r.MaxBytes)+1))
	if err != nil {
		return Answer{}, reasonOf(err)
	}
	if len(data) > r.MaxBytes {
		return Answer{}, fmt.Errorf("the answer is longer than %s", size(r.MaxBytes))
	}
	answer.Text = string(data)
	return answer, nil
}

// size writes a number of bytes for a person.
func size(bytes int) string {
	if bytes%(1<<20) == 0 {
		return strconv.Itoa(bytes>>20) + " MiB"
	}
	return strconv.Itoa(bytes>>10) + " KiB"
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

// FreshFor reads for how long an answer is fresh (RFC 9111 5.2.2.1), within bounds; an answer that does not say it has a default.
func FreshFor(header http.Header, least, most, otherwise time.Duration) time.Duration {
	age := otherwise
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		// A number that is too large for an int counts as the largest.
		if given, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil || errors.Is(err, strconv.ErrRange) {
			age = most
			if given < int(most/time.Second) {
				age = time.Duration(given) * time.Second
			}
		}
	}
	if age < least {
		return least
	}
	if age > most {
		return most
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
		ca, err := file.Content(c.CA)
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
	cert, err := file.Content(c.Cert)
	if err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	private, err := file.Content(c.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(private))
	if err != nil {
		return nil, errors.New("cert: it and the key are malformed, or do not belong together")
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// Check checks what is given as content, for New. A file is read, and can be wrong, only at a fetch.
func (c Client) Check() error {
	if file.IsPath(c.CA) {
		c.CA = ""
	}
	if file.IsPath(c.Cert) || file.IsPath(c.Key) || c.Key == "" {
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
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is not an absolute http(s) URL without user and fragment", ShownURL(u))
	}
	return nil
}

// ShownURL is a URL as it may stand in errors and logs: without its query, which may hold a secret.
func ShownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}
