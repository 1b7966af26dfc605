// Command demo is the sliding session to try: a real Traefik with the plugin, a login service and
// three instances of a small service, with a page to look at it.
//
//	demo up        starts all of it and prints what to try; DEMO_ADDR is the gateway's address
//	demo cluster   starts two gateways, and kills one under load
//	demo balancer  balances over the gateways that a name resolves to
//	demo keys      makes the gateways' key set, if it is not there
//	demo login     is the login service alone
//	demo provider  is the OpenID provider alone
//	demo page      is the page alone
//	demo service   is one instance of the service alone
//	demo healthy   asks a URL and exits with 0 if the answer is a success
//	demo traefik   builds Traefik if need be and prints its path
//	demo plugin    copies the plugin, with its dependencies, to where a Traefik that runs in the
//	               given directory finds it
package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/slidingjwt/slidingjwt/demo/internal/balancer"
	"github.com/slidingjwt/slidingjwt/demo/internal/echo"
	"github.com/slidingjwt/slidingjwt/demo/internal/gateway"
	"github.com/slidingjwt/slidingjwt/demo/internal/login"
	"github.com/slidingjwt/slidingjwt/demo/internal/openid"
	"github.com/slidingjwt/slidingjwt/demo/internal/page"
	"github.com/slidingjwt/slidingjwt/demo/internal/signing"
	"github.com/slidingjwt/slidingjwt/demo/internal/system"
)

//go:embed dynamic.yml
var dynamicConfig string

var commands = map[string]func(ctx context.Context, args []string) error{
	"up":       up,
	"cluster":  runCluster,
	"balancer": serveBalancer,
	"keys":     keys,
	"login":    serveLogin,
	"provider": serveProvider,
	"page":     servePage,
	"service":  serveService,
	"healthy":  healthy,
	"traefik":  traefik,
	"plugin":   plugin,
}

func main() {
	log.SetFlags(log.Ltime)
	if err := execute(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func execute(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // A second Ctrl-C does not wait for an orderly end.

	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("the commands are up, cluster, balancer, keys, login, provider, page, service, healthy, traefik and plugin")
	}
	return commands[args[0]](ctx, args[1:])
}

func up(ctx context.Context, _ []string) error {
	lifetime, err := duration("DEMO_LIFETIME", "60s")
	if err != nil {
		return err
	}
	before, err := duration("DEMO_BEFORE", "45s")
	if err != nil {
		return err
	}
	fmt.Println("Starting Traefik with the plugin, and what is behind it. That takes seconds, but for the first time.")
	logs, gatewayLog := io.Pipe()
	defer gatewayLog.Close()
	go showLog(os.Stdout, logs)

	s, err := system.Start(ctx, system.Settings{
		Dynamic:    dynamicConfig,
		Address:    cmp.Or(os.Getenv("DEMO_ADDR"), "127.0.0.1:8080"),
		Lifetime:   lifetime.String(),
		Before:     before.String(),
		MaxSession: os.Getenv("DEMO_MAX_SESSION"),
		Leeway:     os.Getenv("DEMO_LEEWAY"),
		Log:        os.Stdout,
		GatewayLog: gatewayLog,
	})
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%w\nDEMO_ADDR=127.0.0.1:8081 make demo would take another", err)
		}
		return err
	}
	defer s.Stop()
	fmt.Printf(welcome, s.URL(), lifetime.Seconds(), max(0, lifetime-before).Seconds())

	select {
	case <-ctx.Done():
		fmt.Println("\nStopping.")
		return nil
	case <-s.Exited():
		return errors.New("traefik ended by itself")
	}
}

// duration is what an environment variable says.
func duration(name, fallback string) (time.Duration, error) {
	d, err := time.ParseDuration(cmp.Or(os.Getenv(name), fallback))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

const welcome = `
The gateway is ready. To see a session, open %[1]s in a browser: ada's password is lovelace. Or:

# Log in. The token is good for %[2]g seconds, and the response brings it as it will bring those to come.
TOKEN=$(curl -si %[1]s/login -d '{"username":"ada","password":"lovelace"}' | tr -d '\r' | sed -n 's/^Authorization: Bearer //p'); echo "$TOKEN"

# Call the service: no token comes back while this one is fresh.
curl -i %[1]s/api/ -H "Authorization: Bearer $TOKEN"

# Call it close to expiry: the response carries a renewed token.
sleep %[3]g; curl -i %[1]s/api/ -H "Authorization: Bearer $TOKEN"

# The same with a cookie, which curl keeps as a browser does.
JAR=$(mktemp); curl -s -c $JAR %[1]s/login/cookie -d '{"username":"ada","password":"lovelace"}'; curl -i -b $JAR -c $JAR %[1]s/api/; rm $JAR

Ctrl-C stops all of it.

`

// keys makes the key set that the gateways sign with.
func keys(_ context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("keys wants one file")
	}
	_, err := signing.Key(args[0])
	return err
}

func serveBalancer(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("balancer", flag.ExitOnError)
	address := flags.String("listen", "127.0.0.1:8080", "address to listen on")
	gateways := flags.String("gateways", "gateway:80", "name and port that resolve to the gateways")
	_ = flags.Parse(args) // It exits on an error.
	list, err := balancer.Lookup(*gateways)
	if err != nil {
		return err
	}
	return serve(ctx, *address, balancer.Handler(list))
}

func serveLogin(ctx context.Context, args []string) error {
	return serveAt(ctx, "login", args, login.Handler(log.Default()))
}

func serveProvider(ctx context.Context, args []string) error {
	handler, err := openid.Handler(log.Default())
	if err != nil {
		return err
	}
	return serveAt(ctx, "provider", args, handler)
}

func servePage(ctx context.Context, args []string) error {
	return serveAt(ctx, "page", args, page.Handler())
}

func serveAt(ctx context.Context, name string, args []string, handler http.Handler) error {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	address := flags.String("listen", "127.0.0.1:8081", "address to listen on")
	_ = flags.Parse(args) // It exits on an error.
	return serve(ctx, *address, handler)
}

func serveService(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("service", flag.ExitOnError)
	address := flags.String("listen", "127.0.0.1:8082", "address to listen on")
	name := flags.String("name", "one", "name of the instance")
	_ = flags.Parse(args) // It exits on an error.
	return serve(ctx, *address, echo.Handler(*name, log.Default()))
}

// serve answers /healthy itself and leaves the rest to the handler, until the context ends.
func serve(ctx context.Context, address string, handler http.Handler) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthy", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/", handler)
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func healthy(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("healthy wants one URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func traefik(ctx context.Context, _ []string) error {
	path, err := gateway.Binary(ctx, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

func plugin(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("plugin wants one directory")
	}
	return gateway.Install(ctx, args[0], "")
}
