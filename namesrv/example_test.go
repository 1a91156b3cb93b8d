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

// A whole name server.
func Example() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	listener := must(net.Listen("tcp", "127.0.0.1:8080"))
	log.Println("ended:", server.Serve(ctx, listener, namesrv.NewRegistry(), nil))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
