package govern_test

import (
	"context"
	"errors"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A governed centre in one process: a client of a principal is made on [govern.Centre.As].
// Until the store is set up the centre is open, but for the namespaces of the system.
func ExampleCentre_As() {
	store := memstore.New()
	defer store.Close()
	server, err := diamond.NewServer(store)
	if err != nil {
		panic(err)
	}
	centre, err := govern.New(server)
	if err != nil {
		panic(err)
	}
	defer centre.Close()

	client, err := diamond.NewClient(centre.As("token:orders"))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	ctx := context.Background()
	_, err = client.Publish(ctx, diamond.Draft{Key: diamond.NewKey("", "app.json"), Content: `{"a":1}`})
	fmt.Println(err)
	_, err = client.Get(ctx, diamond.Key{Namespace: govern.SystemNamespace, Group: "centre", DataID: "marker"})
	fmt.Println(errors.Is(err, diamond.ErrDenied))
	// Output:
	// <nil>
	// true
}
