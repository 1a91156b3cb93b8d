package server_test

import (
	"context"
	"log"
	"os/signal"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// A whole server, on the embedded store and listed at a name server: copy the
// body into a main.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	store, err := boltstore.Open("gdiamond-data")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	srv, err := diamond.NewServer(store)
	if err != nil {
		log.Fatal(err)
	}
	names, err := namesrv.NewClient([]string{"http://127.0.0.1:8080"})
	if err != nil {
		log.Fatal(err)
	}
	node := server.New(srv, server.WithAddress("127.0.0.1:1210"), server.WithRegistry(names, ""))
	if err := node.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
