package slidingjwt_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/slidingjwt/slidingjwt/internal/bothways"
	"github.com/slidingjwt/slidingjwt/internal/minted"
)

// The benchmarks measure the plugin alone, for benchstat; make bench measures it in the gateway. Each request has
// thirteen headers that a browser sends and those that the gateway adds, and five claims go to the service.

func BenchmarkHit(b *testing.B) {
	token := rs256(b, session())
	benchmark(b, options{}, http.StatusOK, false, "Bearer "+token)
}

// BenchmarkHitParallel is BenchmarkHit on all cores: locks and the collector cost what a serial loop does not show.
func BenchmarkHitParallel(b *testing.B) {
	line := "Bearer " + rs256(b, session())
	each(b, func(b *testing.B, e bothways.Engine) {
		handler := benchmarked(b, e, options{})
		newExchange(line).serve(b, handler, http.StatusOK, line)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			x := newExchange(line)
			for pb.Next() {
				x.serve(b, handler, http.StatusOK, line)
			}
		})
	})
}

// BenchmarkMiss has more tokens in turn than there is room for: each is verified, remembered, and pushes an old one out.
func BenchmarkMiss(b *testing.B) {
	const tokens, room = 300, 200
	b.Run("HS256", func(b *testing.B) {
		lines := make([]string, tokens)
		for i := range lines {
			lines[i] = "Bearer " + minted.Token(b, session().With(claims{"sub": strconv.Itoa(i)}))
		}
		benchmark(b, options{"privateKey": nil, "signingSecret": minted.Secret, "cacheSize": room}, http.StatusOK, false, lines...)
	})
	b.Run("RS256", func(b *testing.B) {
		lines := make([]string, tokens)
		for i := range lines {
			lines[i] = "Bearer " + rs256(b, session().With(claims{"sub": strconv.Itoa(i)}))
		}
		benchmark(b, options{"cacheSize": room}, http.StatusOK, false, lines...)
	})
	b.Run("RS256 and a number", func(b *testing.B) { // In an object, and forwarded: the claims are read twice.
		lines := make([]string, tokens)
		for i := range lines {
			lines[i] = "Bearer " + rs256(b, session().With(claims{"sub": strconv.Itoa(i), "tenant": map[string]any{"id": 17}}))
		}
		benchmark(b, options{"cacheSize": room, "forwardHeaders": map[string]any{
			"X-User-Id": "sub", "X-User-Name": "name", "X-User-Email": "email", "X-User-Roles": "roles", "X-Tenant-Id": "tenant.id",
		}}, http.StatusOK, false, lines...)
	})
}

// BenchmarkRenewal renews one token again and again: it is signed once in ten seconds.
func BenchmarkRenewal(b *testing.B) {
	token := rs256(b, session())
	benchmark(b, options{"renew": map[string]any{"before": "2h"}}, http.StatusOK, true, "Bearer "+token)
}

func BenchmarkRefusal(b *testing.B) {
	now := time.Now().Unix()
	good := rs256(b, session())
	other := rs256(b, session().With(claims{"sub": "grace"}))
	expired := rs256(b, session().With(claims{"iat": now - 7200, "exp": now - 3600}))
	for _, refused := range []struct{ name, token string }{
		{"garbage", strings.Repeat("x", len(good)/3) + "." + strings.Repeat("y", len(good)/3) + "." + strings.Repeat("z", len(good)/3)},
		{"expired", expired},
		// The right key's signature of something else.
		{"signature", good[:strings.LastIndexByte(good, '.')] + other[strings.LastIndexByte(other, '.'):]},
	} {
		b.Run(refused.name, func(b *testing.B) {
			benchmark(b, options{}, http.StatusUnauthorized, false, "Bearer "+refused.token)
		})
	}
}

// BenchmarkEmpty is the floor: an interpreted handler that only calls the next one.
func BenchmarkEmpty(b *testing.B) {
	i := interp.New(interp.Options{})
	if err := i.Use(stdlib.Symbols); err != nil {
		b.Fatal(err)
	}
	const source = `package empty
import "net/http"
func New(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { next.ServeHTTP(rw, req) })
}`
	if _, err := i.Eval(source); err != nil {
		b.Fatal(err)
	}
	value, err := i.Eval("empty.New")
	if err != nil {
		b.Fatal(err)
	}
	handler := value.Interface().(func(http.Handler) http.Handler)(service)
	b.Run("interpreted", func(b *testing.B) { loop(b, handler, http.StatusOK, false, "Bearer x") })
}

// benchmark sends the lines of Authorization in turn, natively and interpreted.
func benchmark(b *testing.B, o options, status int, renews bool, lines ...string) {
	b.Helper()
	each(b, func(b *testing.B, e bothways.Engine) { loop(b, benchmarked(b, e, o), status, renews, lines...) })
}

func each(b *testing.B, measure func(b *testing.B, e bothways.Engine)) {
	b.Helper()
	for _, e := range bothways.Engines(b) {
		b.Run(e.Name, func(b *testing.B) {
			// What the plugin logs must not end up between the results, nor in memory.
			stdout := os.Stdout
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			os.Stdout = null
			defer func() { os.Stdout = stdout; _ = null.Close() }()
			measure(b, e)
		})
	}
}

func loop(b *testing.B, handler http.Handler, status int, renews bool, lines ...string) {
	b.Helper()
	x := newExchange(lines[0])
	for _, line := range lines { // The first calls cost more: the interpreter builds its types then.
		x.serve(b, handler, status, line)
	}
	if got := len(x.response["Token-Expires-In"]) > 0; got != renews {
		b.Fatalf("renewed: got %t, want %t", got, renews)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		x.serve(b, handler, status, lines[n%len(lines)])
	}
}

// benchmarked makes the middleware that is measured; the options are added to the usual ones, nil removes one.
func benchmarked(b *testing.B, e bothways.Engine, o options) http.Handler {
	b.Helper()
	all := options{"privateKey": minted.PEM(b, "PKCS8", minted.Key(b, "RSA")), "forwardHeaders": map[string]any{
		"X-User-Id": "sub", "X-User-Name": "name", "X-User-Email": "email", "X-User-Roles": "roles", "X-Tenant-Id": "tenant_id",
	}}
	return e.InFront(b, service, all.With(o))
}

// service answers at once, and without allocating.
var service = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })

// exchange is a request and its response, used again and again so that they are not what is measured.
type exchange struct {
	req      *http.Request
	response http.Header
	status   int
}

func newExchange(line string) *exchange {
	req := httptest.NewRequest(http.MethodGet, "http://example.com/orders/17?full=1", http.NoBody)
	req.Header = http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"en-GB,en;q=0.9"},
		"Cache-Control": {"no-cache"}, "Origin": {"http://example.com"}, "Referer": {"http://example.com/orders"},
		"Sec-Ch-Ua": {`"Chromium";v="142"`}, "Sec-Ch-Ua-Mobile": {"?0"}, "Sec-Ch-Ua-Platform": {`"Linux"`},
		"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}, "User-Agent": {"Mozilla/5.0"},
		"X-Forwarded-Host": {"example.com"}, "X-Forwarded-Port": {"80"}, "X-Forwarded-Proto": {"http"},
		"X-Forwarded-Server": {"gateway"}, "X-Real-Ip": {"192.0.2.1"},
	}
	req.Header.Set("Authorization", line)
	return &exchange{req: req, response: http.Header{}}
}

// Header, Write and WriteHeader make it a http.ResponseWriter.
func (x *exchange) Header() http.Header            { return x.response }
func (x *exchange) Write(text []byte) (int, error) { return len(text), nil }
func (x *exchange) WriteHeader(status int)         { x.status = status }

func (x *exchange) serve(b *testing.B, handler http.Handler, want int, line string) {
	clear(x.response)
	x.status = 0
	x.req.Header.Set("Authorization", line)
	handler.ServeHTTP(x, x.req)
	if x.status != want {
		b.Errorf("got %d, want %d", x.status, want)
	}
	for _, name := range [...]string{"X-User-Id", "X-User-Name", "X-User-Email", "X-User-Roles", "X-Tenant-Id"} {
		delete(x.req.Header, name)
	}
}

func rs256(t testing.TB, c claims) string {
	t.Helper()
	return minted.Signed(t, minted.Key(t, "RSA"), claims{"alg": "RS256", "typ": "JWT"}, c)
}
