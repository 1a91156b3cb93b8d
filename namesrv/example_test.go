package namesrv_test

import (
	"context"
	"log"
	"net"
	"os/signal"
	"syscall"

	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
)

// A whole name server: copy the body into a main.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Serve(ctx, listener, namesrv.NewRegistry(), nil); err != nil {
		log.Fatal(err)
	}
}
