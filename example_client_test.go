package diamond_test

import (
	"context"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// A whole client that finds its servers through a name server, keeps
// snapshots, and follows a value: copy the body into a main.
func Example_main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	names, err := namesrv.NewClient([]string{"http://127.0.0.1:8080"})
	if err != nil {
		log.Fatal(err)
	}
	files, err := localfile.Open("service-data")
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close()
	servers := transport.Balance(names, httptransport.Dial)
	defer servers.Close()
	client, err := diamond.NewClient(servers, diamond.WithLocalFiles(files))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	limits, err := diamond.Bind[map[string]int](ctx, client, diamond.NewKey("payment", "limits.yaml"))
	if err != nil {
		log.Fatal(err)
	}
	limits.OnChange(func(_, now *map[string]int) { fmt.Println(*now) })
	<-ctx.Done()
}
