package slidingjwt_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The first requests of a middleware come at once: one of them looks at the keys, which takes long if the file has changed
// since New, and the others do not go on without any.
func TestFirstRequestsAtOnce(t *testing.T) {
	own := minted.NamedJWK(t, "own", minted.Key(t, "P-256"))
	many := []jwk{own}
	for i := range 200 {
		many = append(many, minted.NamedJWK(t, fmt.Sprint(i), minted.Key(t, "P-521")))
	}
	bothways.Run(t, func(t *testing.T, e bothways.Engine) {
		token := minted.Signed(t, minted.Key(t, "P-256"), claims{"alg": "ES256", "kid": "own"}, minted.Valid())
		for round := 0; round < 20 && !t.Failed(); round++ {
			path := writeFile(t, filepath.Join(t.TempDir(), "keys.json"), minted.JWKSet(t, own))
			handler, _ := e.Middleware(t, options{"jwksFile": path, "realm": distinct()})
			writeFile(t, path, minted.JWKSet(t, many...))
			start := make(chan bool)
			var all sync.WaitGroup
			for range 8 {
				all.Add(1)
				go func() {
					defer all.Done()
					defer func() {
						if r := recover(); r != nil {
							t.Errorf("round %d: got a panic: %v", round, r)
						}
					}()
					<-start
					if got := bothways.Verdict(t, handler, token); got != "served" {
						t.Errorf("round %d: got %s, want served", round, got)
					}
				}()
			}
			close(start)
			all.Wait()
		}
	})
}
