package namesrv_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/linnaname/gdiamond/namesrv"
)

// A name server, a server that registers with it, and who looks for servers.
func ExampleClient() {
	names := httptest.NewServer(namesrv.NewRegistry())
	defer names.Close()
	client, err := namesrv.NewClient([]string{names.URL})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- client.Register(ctx, "10.0.0.1:1210") }()

	var servers []string
	for len(servers) == 0 {
		if servers, err = client.Resolve(ctx); err != nil {
			time.Sleep(time.Millisecond) // real time: until the registration has arrived
		}
	}
	fmt.Println(servers)

	cancel() // unregisters
	fmt.Println(<-done)
	// Output:
	// [10.0.0.1:1210]
	// <nil>
}
