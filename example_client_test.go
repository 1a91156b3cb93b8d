package diamond_test

import (
	"context"
	"log"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/dial"
)

// A whole client: it finds servers through a name server, and keeps snapshots.
func Example_main() {
	client := must(dial.NameServers("127.0.0.1:8080", dial.WithFiles("service-data")))
	defer client.Close()
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
