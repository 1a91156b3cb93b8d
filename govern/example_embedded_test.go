package govern_test

import (
	"context"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A whole centre with rights in one process: its set-up, a denial, a value with a grant.
func Example() {
	ctx, store, key := context.Background(), memstore.New(), diamond.NewKey("", "limits.yaml")
	must(govern.SetUp(ctx, store, govern.SetUpOptions{}))
	centre := must(govern.New(must(diamond.NewServer(store)))) // server.NewNode(centre) serves it over HTTP
	admin, anyone := must(diamond.NewClient(centre.As("token:setup"))), must(diamond.NewClient(centre.As("")))
	_, denied := anyone.Get(ctx, key)
	readers := govern.Grants{Scope: govern.NamespaceScope("public"), Grants: []govern.Grant{{Subject: govern.Anonymous, Role: govern.RoleReader}}}
	must(admin.Commit(ctx, diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key, Content: "rate: 100"}, {Key: readers.Key(), Content: string(must(govern.Encode(&readers)))}}}))
	fmt.Println(denied, must(anyone.Get(ctx, key)).Content) // Output: diamond: fetch public/DEFAULT_GROUP/limits.yaml: denied: not permitted: read on namespace public rate: 100
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
