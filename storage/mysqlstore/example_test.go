package mysqlstore_test

import (
	"context"
	"log"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// A server whose configuration is in a database, which others may share.
func Example() {
	ctx := context.Background()
	store, err := mysqlstore.Open(ctx, "gdiamond:secret@tcp(db.example:3306)/gdiamond", mysqlstore.WithMigrate())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	srv, err := diamond.NewServer(store, diamond.WithMaxContent(min(store.MaxContent(), diamond.DefaultMaxContent)))
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	_, err = srv.Commit(ctx, &conf.CommitRequest{Set: diamond.ChangeSet{
		Drafts: []diamond.Draft{{Key: diamond.NewKey("payment", "limits.yaml"), Content: "rate_limit: 100"}},
	}})
	if err != nil {
		log.Fatal(err)
	}
}
