package diamond_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A program hears that no server answers. What it follows stays as it was, and a first
// read gives up after the time that the program has set.
func ExampleClient_OnError() {
	ctx := context.Background()
	srv, err := diamond.NewServer(memstore.New())
	if err != nil {
		panic(err)
	}
	client, err := diamond.NewClient(srv, diamond.WithTimeouts(diamond.Timeouts{First: 100 * time.Millisecond}))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	key := diamond.NewKey("payment", "greeting")
	client.Publish(ctx, diamond.Draft{Key: key, Content: "hello"})
	client.Get(ctx, key) // follows the key from now on

	told := make(chan error, 1)
	stop := client.OnError(func(err error) { told <- err })
	defer stop()
	srv.Close()
	fmt.Println("told:", errors.Is(<-told, diamond.ErrUnavailable))

	config, err := client.Get(ctx, key)
	fmt.Println(config.Content, err)
	_, err = client.Get(ctx, diamond.NewKey("payment", "other"))
	fmt.Println("unavailable:", errors.Is(err, diamond.ErrUnavailable))
	// Output:
	// told: true
	// hello <nil>
	// unavailable: true
}
