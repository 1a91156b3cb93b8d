package diamond_test

import (
	"context"
	"log"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// A whole client: it finds servers through a name server, and keeps snapshots.
func Example_main() {
	names := must(namesrv.NewClient([]string{"http://127.0.0.1:8080"}))
	servers := transport.NewBalancer(names, httptransport.Dialer())
	client := must(diamond.NewClient(servers, diamond.WithLocalFiles(must(localfile.Open("service-data")))))
	limits := must(diamond.Bind[map[string]int](context.Background(), client, diamond.NewKey("payment", "limits.yaml")))
	limits.OnChange(func(_, now *map[string]int) { log.Println(*now) })
	select {} // your program
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
