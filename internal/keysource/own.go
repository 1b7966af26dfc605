// Package keysource knows where keys come from and when they are read again: the operator's options and files (Own), and other
// issuers' endpoints (Endpoint). What a key is, and whether it verifies, is up to package jose; which tokens are checked with which
// source is up to the middleware.
package keysource

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slidingjwt/slidingjwt/internal/file"
	"github.com/slidingjwt/slidingjwt/internal/jose"
	"github.com/slidingjwt/slidingjwt/internal/logline"
)

// OwnOptions are the options that hold the operator's keys, each a file or content; empty ones are not set.
type OwnOptions struct {
	PrivateKey, JWKSFile, SigningSecret, PublicKey string
	// SecretIsBase64 says that SigningSecret is base64 and is decoded first.
	SecretIsBase64 bool
	// Algorithms narrow what the keys allow; none: what they allow.
	Algorithms []string
}

// Own are the operator's keys. They are read from their options, and again when a file has changed.
type Own struct {
	mu         sync.RWMutex
	current    *Ring
	adopting   sync.Mutex // held while keys that were read are put into the ring
	sources    []*source
	algorithms []string
	watches    bool
}

// Ring is a snapshot of the operator's keys. It does not change.
type Ring struct {
	Set *jose.KeySet
	// Signer is the first key that can sign; nil if none can.
	Signer *jose.Key
	// Published are the public halves as a JWK Set; nil if there is none.
	Published []byte
	// IsIncomplete says that there is a file which could not be read so far, and which may hold a token's key.
	IsIncomplete bool
}

// kind is what an option of the operator's keys holds.
type kind struct {
	option string
	// isOwn says that tokens of these keys may be renewed.
	isOwn bool
	// isSecret says that the text is a secret. Half of a secret is one too, so a changed file has to be seen twice, and
	// neither its text nor its name is logged: see report.
	isSecret bool
	parse    func(text string) ([]*jose.Key, error)
}

// source is an option that holds keys.
type source struct {
	kind
	looking sync.Mutex  // held by the one request that checks the file
	file    *file.File  // nil: content
	wasRead bool        // at least once
	unsure  []*jose.Key // from a secret's file that has just changed: they count if the next look finds the same
	read    []*jose.Key // read, but not yet in the ring; nil if there are none
	lastErr string

	keys    []*jose.Key
	isKnown bool
}

// NewOwn reads the key options, and returns what is wrong with keys that are given as content. A missing or broken file is only logged:
// as an error it would make Traefik drop the router, and a broader router could then serve the path unguarded.
func NewOwn(o OwnOptions) (*Own, []error) {
	own := &Own{algorithms: o.Algorithms}
	parseSecret := parsePlainSecret
	if o.SecretIsBase64 {
		parseSecret = parseEncodedSecret
	}
	var problems []error
	// In the order in which they sign.
	for _, given := range []struct {
		value string
		kind  kind
	}{
		{o.PrivateKey, kind{option: "privateKey", isOwn: true, parse: parsePrivate}},
		{o.JWKSFile, kind{option: "jwksFile", isOwn: true, parse: parseOwnSet}},
		{o.SigningSecret, kind{option: "signingSecret", isOwn: true, isSecret: true, parse: parseSecret}},
		{o.PublicKey, kind{option: "publicKey", parse: parsePublic}},
	} {
		if given.value == "" {
			continue
		}
		s := &source{kind: given.kind}
		own.sources = append(own.sources, s)
		if file.IsPath(given.value) {
			s.file = &file.File{Path: given.value}
			own.watches = true
			if keys := s.look(); keys != nil {
				own.adopt(s, keys)
			}
			continue
		}
		keys, err := s.parseText(given.value)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", given.kind.option, err))
			continue
		}
		own.adopt(s, keys)
	}
	own.current = own.assemble()
	return own, problems
}

// Watches says whether the keys can change.
func (own *Own) Watches() bool { return own.watches }

// Current returns the keys as they are known now.
//
// Yaegi: a function, since a call of a method costs a microsecond more.
func Current(own *Own) *Ring {
	own.mu.RLock()
	r := own.current
	own.mu.RUnlock()
	return r
}

// Look reads the key files that have changed. Only one request checks a file at a time; others skip it, so a file that hangs holds
// up one request and no other file. All that was read counts at the same moment, since a key may have moved from one file to
// another.
func (own *Own) Look() {
	for _, s := range own.sources {
		if s.file == nil || !s.looking.TryLock() {
			continue
		}
		if keys := s.look(); keys != nil {
			own.adopting.Lock()
			s.read = keys
			own.adopting.Unlock()
		}
		s.looking.Unlock()
	}
	own.adopting.Lock()
	changed := false
	for _, s := range own.sources {
		if s.read != nil {
			own.adopt(s, s.read)
			s.read = nil
			changed = true
		}
	}
	if changed {
		r := own.assemble()
		own.mu.Lock()
		own.current = r
		own.mu.Unlock()
	}
	own.adopting.Unlock()
}

// look reads a source's file if it has changed, and returns its new keys; nil if there are none. A broken file is logged once, and
// the known keys stay in use.
func (s *source) look() []*jose.Key {
	text, changed, err := s.file.Read(time.Now())
	unsure := s.unsure
	s.unsure = nil
	if err == nil && !changed {
		return unsure
	}
	var keys []*jose.Key
	if err == nil {
		keys, err = s.parseText(text)
	}
	if err != nil {
		s.report(err)
		return nil
	}
	s.lastErr = ""
	isFirst := !s.wasRead
	s.wasRead = true
	if s.isSecret && !(isFirst && s.file.IsSettled) {
		s.unsure = keys // Perhaps the other half is still to be written.
		return nil
	}
	return keys
}

func (s *source) report(err error) {
	message := err.Error()
	if message == s.lastErr {
		return
	}
	s.lastErr = message
	path := logline.Quote(s.file.Path)
	if s.isSecret {
		path = "that it names" // Not shown: it may be the secret itself, since base64 can begin with a slash like a path.
	}
	logline.Error("%s: the file %s cannot be used: %s", s.option, path, message)
}

// parseText reads an option's text. Its errors do not repeat it.
func (s *source) parseText(text string) ([]*jose.Key, error) {
	if strings.HasPrefix(text, "urn:k8s:secret:") {
		return nil, errors.New("it is an unresolved reference to a Kubernetes Secret: its text would be the key, and can be guessed")
	}
	if s.isSecret {
		text = strings.TrimRight(text, "\r\n") // A line end behind a secret is an editor's, or a Kubernetes Secret's.
	}
	keys, err := s.parse(text)
	return keys, err
}

func parseOwnSet(text string) ([]*jose.Key, error) {
	keys, err := jose.ParseSet(text, "jwksFile", false)
	return keys, err
}

func parsePlainSecret(text string) ([]*jose.Key, error) {
	keys, err := parseSecretBytes([]byte(text))
	return keys, err
}

func parseEncodedSecret(text string) ([]*jose.Key, error) {
	decoded, err := jose.DecodeAnyBase64(text)
	if err != nil {
		return nil, err
	}
	keys, err := parseSecretBytes(decoded)
	return keys, err
}

func parseSecretBytes(secret []byte) ([]*jose.Key, error) {
	k, err := jose.NewSecret(secret, "")
	if err != nil {
		return nil, err
	}
	return []*jose.Key{k}, nil
}

func parsePrivate(text string) ([]*jose.Key, error) {
	k, err := jose.ParsePEM(text)
	if err != nil {
		return nil, err
	}
	if !k.IsPrivate() {
		return nil, errors.New("a private key is expected, and this is a public one")
	}
	return []*jose.Key{k}, nil
}

func parsePublic(text string) ([]*jose.Key, error) {
	k, err := jose.ParsePEM(text)
	if err != nil {
		return nil, err
	}
	if k.IsPrivate() {
		return nil, errors.New("a public key is expected, and this is a private one")
	}
	return []*jose.Key{k}, nil
}

// adopt binds keys that were just read, and makes them those of their source.
func (own *Own) adopt(s *source, keys []*jose.Key) {
	for _, k := range keys {
		k.Bind(own.algorithms, s.isOwn)
	}
	s.keys = keys
	s.isKnown = true
}

// assemble makes a ring of the keys of all sources.
func (own *Own) assemble() *Ring {
	r := &Ring{}
	var keys, owned []*jose.Key
	private := map[string]bool{} // the thumbprints of privateKey
	for _, s := range own.sources {
		if !s.isKnown {
			r.IsIncomplete = true
		}
		for _, k := range s.keys {
			if s.option == "privateKey" {
				private[k.Thumbprint] = true
			}
			if !s.isOwn && private[k.Thumbprint] {
				continue // It is privateKey's public half, which verifies already.
			}
			keys = append(keys, k)
			if s.isOwn {
				owned = append(owned, k)
			}
			if r.Signer == nil && k.SignAlg != "" {
				r.Signer = k
			}
		}
	}
	r.Set = jose.NewKeySet(keys)
	r.Published = jose.PublicSet(owned)
	return r
}
