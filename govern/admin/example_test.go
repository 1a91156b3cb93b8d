package admin_test

import (
	"context"
	"fmt"
	"log"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A centre in this process, whose setup token makes a tenant with a namespace, and lets a
// user publish there.
func ExampleUpdate() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()
	if _, err := govern.SetUp(ctx, store, govern.SetUpOptions{}); err != nil {
		log.Fatal(err)
	}
	server, err := diamond.NewServer(store)
	if err != nil {
		log.Fatal(err)
	}
	centre, err := govern.New(server)
	if err != nil {
		log.Fatal(err)
	}
	defer centre.Close()
	setup, err := diamond.NewClient(centre.As("token:setup"))
	if err != nil {
		log.Fatal(err)
	}
	defer setup.Close()

	how := admin.Options{Comment: "payments move in"}
	_, err = admin.Update(ctx, setup, &govern.Tenant{Name: "pay"}, how, func(t *govern.Tenant, _ bool) error {
		t.Environments = govern.DefaultEnvironments()
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = admin.Update(ctx, setup, &govern.Namespace{ID: "pay.daily"}, how, func(n *govern.Namespace, _ bool) error {
		n.Tenant, n.Environment = "pay", "daily"
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = admin.Update(ctx, setup, &govern.User{Name: "ann"}, how, func(*govern.User, bool) error { return nil })
	if err != nil {
		log.Fatal(err)
	}
	_, err = admin.Update(ctx, setup, &govern.Grants{Scope: govern.TenantScope("pay")}, how, func(g *govern.Grants, _ bool) error {
		g.Grants = append(g.Grants, govern.Grant{Subject: "user:ann", Role: govern.RoleReleaser})
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}

	ann, err := diamond.NewClient(centre.As("user:ann"))
	if err != nil {
		log.Fatal(err)
	}
	defer ann.Close()
	key := conf.Key{Namespace: "pay.daily", Group: "limits", DataID: "rate"}
	if _, err = ann.Publish(ctx, diamond.Draft{Key: key, Content: "100"}); err != nil {
		log.Fatal(err)
	}
	entry, err := ann.Peek(ctx, key)
	fmt.Println(entry.Content, err)
	// Output: 100 <nil>
}
