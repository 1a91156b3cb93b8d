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

// A whole server, on the embedded store and listed at a name server.
func Example() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	names := must(namesrv.NewClient([]string{"http://127.0.0.1:8080"}))
	store := must(boltstore.Open("gdiamond-data"))
	defer store.Close()
	log.Println("ended:", server.NewNode(must(diamond.NewServer(store)), server.WithRegistry(names, "")).Run(ctx))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
