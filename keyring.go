package slidingjwt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ring is the state of our own keys at one moment. It is immutable.
type ring struct {
	set        *keySet
	signer     *key   // the first key that can sign; nil if none can
	published  []byte // the public halves as a JWK Set; nil if there is none
	incomplete bool   // a file that was never read well could hold a token's key
}

// keyring reads our own keys from their options, and again when a file has changed.
type keyring struct {
	mu         sync.RWMutex
	current    *ring
	adopting   sync.Mutex // held while keys that were read become part of the ring
	sources    []*keySource
	algorithms []string
	watches    bool
	incomplete bool // at the time of New
}

// keySource is an option that holds keys.
type keySource struct {
	option  string
	looking sync.Mutex   // held by the one request that looks at the file
	file    *watchedFile // nil: content
	base64  bool
	wasRead bool   // at least once
	unsure  []*key // of a secret's file that has just changed: they count if the next look sees the same
	read    []*key // since they were last adopted; nil if there are none
	keys    []*key
	known   bool
	lastErr string
}

// newKeyring reads the key options. Wrong content is a problem; a wrong file is not, since Traefik would drop
// the router, and a broader one could then serve the path unguarded.
func newKeyring(p *problems, c *Config) *keyring {
	kr := &keyring{algorithms: c.Algorithms}
	// In the order in which they sign.
	for _, option := range []struct{ name, value string }{
		{"privateKey", c.PrivateKey},
		{"jwksFile", c.JWKSFile},
		{"signingSecret", c.SigningSecret},
		{"publicKey", c.PublicKey},
	} {
		if option.value == "" {
			continue
		}
		source := &keySource{option: option.name, base64: option.name == "signingSecret" && c.SigningSecretBase64Encoded}
		kr.sources = append(kr.sources, source)
		if isPath(option.value) {
			source.file = &watchedFile{path: option.value}
			kr.watches = true
			if keys := readSource(source); keys != nil {
				adopt(kr, source, keys)
			}
			continue
		}
		keys, err := parseKeys(source, option.value)
		if err != nil {
			p.add("%s: %w", option.name, err)
			continue
		}
		adopt(kr, source, keys)
	}
	kr.current = assemble(kr)
	kr.incomplete = kr.current.incomplete
	return kr
}

// parseKeys reads an option's text. Its errors never repeat it.
func parseKeys(source *keySource, text string) ([]*key, error) {
	if strings.HasPrefix(text, "urn:k8s:secret:") {
		return nil, errors.New("it is a reference to a Kubernetes secret that nobody has resolved, which anybody could guess")
	}
	switch source.option {
	case "jwksFile":
		keys, err := parseJWKS(text, "jwksFile", false)
		return keys, err
	case "signingSecret":
		secret := []byte(text)
		if source.base64 {
			decoded, err := decodeBase64(text)
			if err != nil {
				return nil, err
			}
			secret = decoded
		}
		k, err := newSecret(secret, "")
		if err != nil {
			return nil, err
		}
		return []*key{k}, nil
	}
	k, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	if source.option == "privateKey" && k.private == nil {
		return nil, errors.New("a private key is expected, and this is a public one")
	}
	if source.option == "publicKey" && k.private != nil {
		return nil, errors.New("a public key is expected, and this is a private one")
	}
	return []*key{k}, nil
}

// decodeBase64 takes both alphabets, with and without padding.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	if strings.ContainsAny(text, "-_") {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("it is no base64")
		}
		return decoded, nil
	}
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("it is no base64")
	}
	return decoded, nil
}

// readSource reads a source's file if it has changed, and returns its new keys; nil if there are none. What is broken
// is logged once and leaves the known keys in use.
func readSource(source *keySource) []*key {
	now := time.Now()
	text, changed, err := readWatched(source.file, now)
	keys := source.unsure
	source.unsure = nil
	if err == nil && !changed {
		return keys
	}
	keys = nil
	if err == nil {
		if source.option == "signingSecret" {
			text = strings.TrimRight(text, "\r\n") // An editor's line end is no part of a secret.
		}
		keys, err = parseKeys(source, text)
	}
	if err != nil {
		if message := err.Error(); message != source.lastErr {
			source.lastErr = message
			path := quote(source.file.path)
			if source.option == "signingSecret" {
				path = "that it names" // Base64 may start with a slash, and be taken for a path.
			}
			logError("%s: the file %s cannot be used: %s", source.option, path, message)
		}
		return nil
	}
	source.lastErr = ""
	isFirst := !source.wasRead
	source.wasRead = true
	if source.option == "signingSecret" && !(isFirst && source.file.settled) {
		source.unsure = keys // Half of a secret is a secret too, and perhaps the other half is still to be written.
		return nil
	}
	return keys
}

// adopt binds keys that were just read, before anybody else sees them.
func adopt(kr *keyring, source *keySource, keys []*key) {
	for _, k := range keys {
		k.own = source.option != "publicKey"
		bindKey(k, kr.algorithms)
		if k.own {
			k.id += " ours" // A key that is no longer ours ends what a remembered token may be renewed by.
		}
	}
	source.keys, source.known = keys, true
}

// assemble makes a ring of what the sources know.
func assemble(kr *keyring) *ring {
	r := &ring{}
	var keys, ours []*key
	prints := map[string]bool{}
	for _, source := range kr.sources {
		if !source.known {
			r.incomplete = true
		}
		for _, k := range source.keys {
			if source.option == "publicKey" && prints["privateKey "+k.print] {
				continue // It is privateKey's public half, which verifies already.
			}
			prints[source.option+" "+k.print] = true
			keys = append(keys, k)
			if k.own {
				ours = append(ours, k)
			}
			if r.signer == nil && k.signAlg != "" {
				r.signer = k
			}
		}
	}
	r.set = newKeySet(keys)
	r.published = jwkSet(ours)
	return r
}

// currentRing returns our keys as they are known now.
func currentRing(kr *keyring) *ring {
	kr.mu.RLock()
	r := kr.current
	kr.mu.RUnlock()
	return r
}

// lookAtFiles reads the key files that have changed. One request looks at a file at a time; the others go on with the
// keys that are known, and with the other files, so that one which hangs holds up no other. What was read counts
// together: a key may have moved from one file to another.
func lookAtFiles(kr *keyring) {
	for _, source := range kr.sources {
		if source.file == nil || !source.looking.TryLock() {
			continue
		}
		if keys := readSource(source); keys != nil {
			kr.adopting.Lock()
			source.read = keys
			kr.adopting.Unlock()
		}
		source.looking.Unlock()
	}
	kr.adopting.Lock()
	changed := false
	for _, source := range kr.sources {
		if source.read != nil {
			adopt(kr, source, source.read)
			source.read = nil
			changed = true
		}
	}
	if changed {
		r := assemble(kr)
		kr.mu.Lock()
		kr.current = r
		kr.mu.Unlock()
	}
	kr.adopting.Unlock()
}

// isPath tells an option's path from its content, by its start alone.
func isPath(value string) bool {
	if strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./") || strings.HasPrefix(value, "../") {
		return true
	}
	return len(value) > 2 && isAlphanumeric(value[0]) && value[0] > '9' && value[1] == ':' && (value[2] == '\\' || value[2] == '/')
}

// watchedFile is a file and how it looked when it was read.
type watchedFile struct {
	path    string
	info    os.FileInfo
	settled bool // it was not written just before it was read, so an equal look means an equal file
	text    string
}

const maxFileBytes = 1 << 20

// readWatched returns a file's text and whether it differs from the last one. The look is taken before the
// reading: a file that changes in between looks different the next time.
func readWatched(f *watchedFile, now time.Time) (text string, changed bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.info = nil
		return "", false, errors.New("it is missing or unreadable")
	}
	if f.info != nil && f.settled && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) {
		return "", false, nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return "", false, fmt.Errorf("it is no regular file of at most %d bytes", maxFileBytes)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return "", false, errors.New("it is missing or unreadable")
	}
	changed = f.info == nil || string(data) != f.text
	f.info, f.text = info, string(data)
	f.settled = now.Sub(info.ModTime()) > 2*time.Second
	return f.text, changed, nil
}
