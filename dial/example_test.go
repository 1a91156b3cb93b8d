package dial_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

type Limits struct {
	RateLimit int `yaml:"rate_limit"`
}

// A program that follows its limits. The second address is one of a server that is down.
func ExampleServers() {
	srv := must(diamond.NewServer(memstore.New()))
	defer srv.Close()
	centre := httptest.NewServer(httptransport.NewHandler(srv)) // a program has the addresses of its servers
	defer centre.Close()
	files := must(os.MkdirTemp("", "service-data")) // a program has a directory of its own
	defer os.RemoveAll(files)

	client, err := dial.Servers(centre.URL+", 127.0.0.1:1", dial.WithFiles(files))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	key := diamond.NewKey("payment", "limits.yaml")
	must(client.Publish(context.Background(), diamond.Draft{Key: key, Content: "rate_limit: 100"}))
	limits := must(diamond.Bind[Limits](context.Background(), client, key))
	fmt.Println(limits.Get().RateLimit)
	// Output: 100
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
