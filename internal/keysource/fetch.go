package keysource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/fetch"
	"github.com/slidingjwt/slidingjwt/internal/file"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/logline"
	"github.com/slidingjwt/slidingjwt/internal/request"
)

// fetch fetches the key set, by discovery if its URL is not given (OpenID Connect Discovery 1.0 4), and returns for how long it
// is fresh.
func (e *Endpoint) fetch() (*jose.KeySet, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.client.Timeout)
	defer func() { cancel() }()
	bearer, err := readBearer(e.bearer)
	if err != nil {
		return nil, 0, err
	}
	address, own := e.url, e.url
	if address == "" {
		own = e.issuer
		text, _, err := get(ctx, e.client, bearer, strings.TrimSuffix(e.issuer, "/")+"/.well-known/openid-configuration")
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
	text, header, err := get(ctx, e.client, bearer, address)
	if err != nil {
		return nil, 0, err
	}
	e.read(text)
	return e.readSet, fetch.FreshFor(header, minAge, maxAge, defaultAge), e.readErr
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
	text, err := file.Content(option)
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
	if option == "" || file.IsPath(option) {
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
	if err := fetch.CheckURL(address); err != nil {
		return "", fmt.Errorf("the discovery document's jwks_uri: %w", err)
	}
	if strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(address, "https:") {
		return "", errors.New("the discovery document leads from https to http")
	}
	return address, nil
}

// get fetches a text of at most 1 MiB. The bearer token goes with the first request alone; empty: there is none.
func get(ctx context.Context, client fetch.Client, bearer, address string) (string, http.Header, error) {
	header := http.Header{"Accept": {"application/jwk-set+json, application/json"}}
	if bearer != "" {
		header["Authorization"] = []string{"Bearer " + bearer}
	}
	answer, err := fetch.Do(ctx, client, fetch.Request{
		Method: http.MethodGet, URL: address, Header: header, FollowsRedirects: true, MaxBytes: maxSetBytes,
	})
	if err != nil {
		return "", nil, err
	}
	if answer.Status != http.StatusOK {
		return "", nil, fmt.Errorf("the answer is %d", answer.Status)
	}
	return answer.Text, answer.Header, nil
}
