package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	catalogHost = "plugins.traefik.io"
	// archiveVersion is the one that the static configuration asks the catalog for.
	archiveVersion = "v0.0.1"
	hashHeader     = "X-Plugin-Hash"
)

// catalog stands in for Traefik's plugin catalog. It has one plugin and knows the two requests that Traefik makes before it
// unpacks an archive. Traefik reaches it as a proxy, since it always asks the same host.
type catalog struct {
	archive []byte
	hash    string
	tls     net.Listener // the catalog itself, as the host that Traefik asks
	proxy   net.Listener
	// Env makes Traefik ask this catalog. It says whom to trust by a variable that Go reads on Linux.
	Env []string
}

// startCatalog serves an archive. What Traefik has to read is written to dir.
func startCatalog(dir, archive string) (*catalog, error) {
	content, err := os.ReadFile(archive)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(content)
	c := &catalog{archive: content, hash: hex.EncodeToString(hash[:])}

	certificate, pemText, err := selfSigned(catalogHost)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "catalog.pem")
	if err := os.WriteFile(file, pemText, 0o600); err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if c.tls, err = tls.Listen("tcp", "127.0.0.1:0", config); err != nil {
		return nil, err
	}
	if c.proxy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		c.stop()
		return nil, err
	}
	silent := log.New(io.Discard, "", 0)
	for listener, handler := range map[net.Listener]http.HandlerFunc{c.tls: c.serve, c.proxy: c.connect} {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: silent}
		go server.Serve(listener) //nolint:errcheck // It ends when stop closes the listener.
	}
	proxy := "http://" + c.proxy.Addr().String()
	c.Env = []string{"HTTPS_PROXY=" + proxy, "https_proxy=" + proxy, "NO_PROXY=", "no_proxy=", "SSL_CERT_FILE=" + file}
	return c, nil
}

func (c *catalog) stop() {
	for _, listener := range []net.Listener{c.tls, c.proxy} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// serve answers as the catalog does.
func (c *catalog) serve(rw http.ResponseWriter, req *http.Request) {
	plugin := "/" + Module + "/" + archiveVersion
	switch strings.TrimPrefix(req.URL.Path, "/public") {
	case "/download" + plugin:
		_, _ = rw.Write(c.archive)
	case "/validate" + plugin:
		if req.Header.Get(hashHeader) != c.hash {
			http.Error(rw, "another archive", http.StatusNotFound)
		}
	default:
		http.NotFound(rw, req)
	}
}

// connect is the proxy: whatever host is asked for, it is the catalog that answers.
func (c *catalog) connect(rw http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodConnect {
		http.Error(rw, "this proxy has nothing but the catalog", http.StatusForbidden)
		return
	}
	server, err := net.Dial("tcp", c.tls.Addr().String())
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		_ = server.Close()
		return
	}
	_, _ = fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
	}
	go pipe(server, client)
	go pipe(client, server)
}

// selfSigned is a certificate for a host, and its PEM text.
func selfSigned(host string) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text, nil
}
