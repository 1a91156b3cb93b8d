// Command service is an HTTP service whose rate limit, log level and feature
// switch follow a configuration while it runs:
//
//	go run ../cmd/gdiamond publish payment/limits.yaml configs/payment/limits.yaml
//	go run ./service
//	curl 127.0.0.1:8088/order
//
// Publish another limits.yaml and ask again.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/dial"
	"golang.org/x/time/rate"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8088", "address to serve on")
	server := flag.String("server", "127.0.0.1:1210", "configuration servers, separated by commas")
	local := flag.String("local", "service-data", "folder for snapshots and overrides")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", *listen)
	if err == nil {
		err = run(ctx, ln, *server, *local)
	}
	if err != nil {
		slog.Error("service", "err", err)
		os.Exit(1)
	}
}

// run serves on ln, which it closes, until ctx ends.
func run(ctx context.Context, ln net.Listener, server, local string) error {
	defer ln.Close()
	level := new(slog.LevelVar)
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	client, err := dial.Servers(server, dial.WithFiles(local), dial.WithLogger(logger),
		dial.WithClient(diamond.WithClientInfo(diamond.ClientInfo{App: "example-service"})))
	if err != nil {
		return err
	}
	defer client.Close()

	handler, err := newHandler(ctx, client, logger, level)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: handler}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() { defer close(stopped); web.Shutdown(context.Background()) })
	if err := web.Serve(ln); err != http.ErrServerClosed {
		return err
	}
	<-stopped // running requests have been answered
	return nil
}

// newHandler returns the service. It serves with defaults until the first configuration is
// published.
func newHandler(ctx context.Context, client diamond.Client, logger *slog.Logger, level *slog.LevelVar) (http.Handler, error) {
	limits, err := diamond.Bind[Limits](ctx, client, diamond.NewKey("payment", "limits.yaml"),
		diamond.WithDefault(Limits{RateLimit: 100, Burst: 10}))
	if err != nil {
		return nil, err
	}
	limiter := rate.NewLimiter(rate.Limit(limits.Get().RateLimit), limits.Get().Burst)
	level.Set(limits.Get().LogLevel)
	limits.OnChange(func(_, now *Limits) {
		limiter.SetLimit(rate.Limit(now.RateLimit))
		limiter.SetBurst(now.Burst)
		level.Set(now.LogLevel)
		logger.Info("limits changed", "rate_limit", now.RateLimit, "log_level", now.LogLevel)
	})

	mux := http.NewServeMux()
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		if !limiter.Allow() {
			http.Error(w, "too many orders", http.StatusTooManyRequests)
			return
		}
		logger.Debug("order", "remote", r.RemoteAddr)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"new_checkout": limits.Get().Features["new_checkout"]})
	})
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"limits": limits.Get(), "source": limits.Config().Source.String(), "revision": limits.Config().Revision,
		})
	})
	return mux, nil
}
