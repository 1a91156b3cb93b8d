package diamond_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A centre in one process: publish a value, read it.
func Example() {
	ctx := context.Background()
	srv, err := diamond.NewServer(memstore.New())
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	client, err := diamond.NewClient(srv)
	if err != nil {
		panic(err)
	}
	defer client.Close()

	key := diamond.NewKey("payment", "greeting")
	if _, err := client.Publish(ctx, diamond.Draft{Key: key, Content: "hello"}); err != nil {
		panic(err)
	}
	config, err := client.Get(ctx, key)
	if err != nil {
		panic(err)
	}
	fmt.Println(config.Content, config.Revision, config.Source)
	// Output: hello 1 server
}

// exampleCentre returns a client of a centre in this process, for the examples.
func exampleCentre() (diamond.Client, func()) {
	srv, err := diamond.NewServer(memstore.New())
	if err != nil {
		panic(err)
	}
	client, err := diamond.NewClient(srv)
	if err != nil {
		panic(err)
	}
	return client, func() { client.Close(); srv.Close() }
}

type exampleLimits struct {
	RateLimit int             `yaml:"rate_limit"`
	Features  map[string]bool `yaml:"features"`
}

func (l *exampleLimits) Validate() error {
	if l.RateLimit < 1 {
		return errors.New("rate_limit must be 1 or more")
	}
	return nil
}

// A typed value follows its key. One that does not decode or validate is
// refused: the last good one stays in force, and Err says why.
func ExampleBind() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "limits.yaml")
	client.Publish(ctx, diamond.Draft{Key: key, Content: "rate_limit: 100\n"})

	value, err := diamond.Bind[exampleLimits](ctx, client, key)
	if err != nil {
		panic(err)
	}
	defer value.Close()
	fmt.Println(value.Get().RateLimit)

	changed := make(chan int)
	value.OnChange(func(_, now *exampleLimits) { changed <- now.RateLimit })
	<-changed                                                                // the present value comes first
	client.Publish(ctx, diamond.Draft{Key: key, Content: "rate_limit: 0\n"}) // refused
	client.Publish(ctx, diamond.Draft{Key: key, Content: "rate_limit: 200\n"})
	fmt.Println(<-changed)
	// Output:
	// 100
	// 200
}

// A default is used until there is a value. Contents need to set only what differs.
func ExampleWithDefault() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "limits.yaml")
	byDefault := diamond.WithDefault(exampleLimits{RateLimit: 10, Features: map[string]bool{"search": true}})

	value, err := diamond.Bind[exampleLimits](ctx, client, key, byDefault)
	if err != nil {
		panic(err)
	}
	defer value.Close()
	fmt.Println(value.Get().RateLimit, value.Config().Source, value.Err())

	client.Publish(ctx, diamond.Draft{Key: key, Content: "features: {export: true}\n"})
	later, err := diamond.Bind[exampleLimits](ctx, client, key, byDefault)
	if err != nil {
		panic(err)
	}
	defer later.Close()
	fmt.Println(later.Get().RateLimit, later.Get().Features)
	// Output:
	// 10 default diamond: get public/payment/limits.yaml: not found
	// 10 map[export:true search:true]
}

// A default can be a content, such as a file that is embedded into the program.
func ExampleWithDefaultContent() {
	client, done := exampleCentre()
	defer done()
	value, err := diamond.Bind[exampleLimits](context.Background(), client, diamond.NewKey("payment", "limits.yaml"),
		diamond.WithDefaultContent("yaml", "rate_limit: 10\n"))
	if err != nil {
		panic(err)
	}
	defer value.Close()
	fmt.Println(value.Get().RateLimit, value.Config().Source)
	// Output: 10 default
}

// Peek and Decode read a key once, without following it. A key without a value has the
// default.
func ExampleClient_Peek() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	config, err := client.Peek(ctx, diamond.NewKey("payment", "limits.yaml"))
	if err != nil && !errors.Is(err, diamond.ErrNotFound) {
		panic(err)
	}
	limits, err := diamond.Decode[exampleLimits](config, diamond.WithDefault(exampleLimits{RateLimit: 10}))
	if err != nil {
		panic(err)
	}
	fmt.Println(limits.RateLimit)
	// Output: 10
}

// A program that follows a key hears why it keeps an old value.
func ExampleValue_OnError() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "limits.yaml")
	client.Publish(ctx, diamond.Draft{Key: key, Content: "rate_limit: 100\n"})
	value, err := diamond.Bind[exampleLimits](ctx, client, key)
	if err != nil {
		panic(err)
	}
	defer value.Close()

	told := make(chan error)
	value.OnError(func(err error) { told <- err })
	client.Publish(ctx, diamond.Draft{Key: key, Content: "rate_limit: 0\n"})
	fmt.Println(<-told)
	fmt.Println(value.Get().RateLimit)
	// Output:
	// diamond: bind public/payment/limits.yaml: rate_limit must be 1 or more
	// 100
}

// Load returns a value and its origin, which belong together.
func ExampleValue_Load() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "limits.yaml")
	client.Publish(ctx, diamond.Draft{Key: key, Content: "rate_limit: 100\n"})
	value, err := diamond.Bind[exampleLimits](ctx, client, key)
	if err != nil {
		panic(err)
	}
	defer value.Close()
	limits, config := value.Load()
	fmt.Println(limits.RateLimit, config.Revision, config.Source)
	// Output: 100 1 server
}

// A listener gets the present value first, then every newer one, and a
// deletion as a deletion.
func ExampleClient_Subscribe() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "greeting")
	client.Publish(ctx, diamond.Draft{Key: key, Content: "hello"})

	told := make(chan diamond.Config)
	sub, err := client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, c diamond.Config) error {
		told <- c
		return nil // applied
	}))
	if err != nil {
		panic(err)
	}
	fmt.Println((<-told).Content)
	client.Publish(ctx, diamond.Draft{Key: key, Content: "good morning"})
	fmt.Println((<-told).Content)
	client.Delete(ctx, diamond.Delete{Key: key})
	fmt.Println("deleted:", (<-told).Deleted)
	sub.Stop()
	// Output:
	// hello
	// good morning
	// deleted: true
}

// A condition makes a read-modify-write safe: exactly one of concurrent
// writers succeeds.
func ExampleClient_Publish_condition() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "greeting")
	first, err := client.Publish(ctx, diamond.Draft{Key: key, Content: "hello", IfRevision: diamond.Revision(0)})
	if err != nil {
		panic(err)
	}
	_, err = client.Publish(ctx, diamond.Draft{Key: key, Content: "goodbye", IfRevision: diamond.Revision(first.Revision)})
	fmt.Println(err)
	_, err = client.Publish(ctx, diamond.Draft{Key: key, Content: "good night", IfRevision: diamond.Revision(first.Revision)})
	fmt.Println(errors.Is(err, diamond.ErrConflict))
	// Output:
	// <nil>
	// true
}

// Several keys change together or not at all, as one revision.
func ExampleClient_Commit() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	position, err := client.Commit(ctx, diamond.ChangeSet{
		Drafts: []diamond.Draft{
			{Key: diamond.NewKey("payment", "primary"), Content: "alpha"},
			{Key: diamond.NewKey("payment", "fallback"), Content: "beta"},
		},
		Comment: "move to alpha",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(position.Revision)
	for entry, err := range client.List(ctx, diamond.ListRequest{Group: "payment", Contents: true}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(entry.Key.DataID, entry.Content, entry.Revision)
	}
	// Output:
	// 1
	// fallback beta 1
	// primary alpha 1
}

// A list without a namespace is one of the default namespace, and so is a watch.
func ExampleClient_List() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	for _, namespace := range []string{"", "staging"} {
		client.Publish(ctx, diamond.Draft{Key: diamond.Key{Namespace: namespace, Group: "payment", DataID: "a"}, Content: "1"})
	}
	for _, namespace := range []string{"", diamond.AllNamespaces} {
		for entry, err := range client.List(ctx, diamond.ListRequest{Namespace: namespace}) {
			if err != nil {
				panic(err)
			}
			fmt.Printf("%q: %s\n", namespace, entry.Key)
		}
	}
	// Output:
	// "": public/payment/a
	// "*": public/payment/a
	// "*": staging/payment/a
}

// Watch sees every change, where Subscribe only promises the latest.
func ExampleClient_Watch() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "greeting")
	start, err := client.Head(ctx)
	if err != nil {
		panic(err)
	}
	for _, content := range []string{"one", "two", "three"} {
		client.Publish(ctx, diamond.Draft{Key: key, Content: content})
	}
	seen := 0
	for batch, err := range client.Watch(ctx, diamond.ChangesRequest{After: start, Group: "payment", Contents: true}) {
		if err != nil {
			panic(err)
		}
		for _, change := range batch.Changes {
			fmt.Println(change.Revision, change.Op, change.Content)
			seen++
		}
		if seen == 3 {
			break
		}
	}
	// Output:
	// 1 publish one
	// 2 publish two
	// 3 publish three
}

// A live group: the program has all its entries in memory, decoded, and hears of each
// publish once. An entry that does not decode keeps its last good value.
func ExampleFollow() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	client.Publish(ctx, diamond.Draft{Key: diamond.NewKey("routes", "a.yaml"), Content: "rate_limit: 100\n"})

	routes, err := diamond.Follow(ctx, client, diamond.Filter{Group: "routes"})
	if err != nil {
		panic(err)
	}
	defer routes.Close()

	limits := map[diamond.Key]*exampleLimits{}
	applied := make(chan int)
	routes.OnChange(func(u diamond.Update) { // first with all entries
		for key, config := range u.Changed {
			limit, err := diamond.Decode[exampleLimits](config)
			if err != nil {
				fmt.Println(key.DataID, "keeps its last good value")
				continue
			}
			limits[key] = limit
		}
		for _, key := range u.Deleted {
			delete(limits, key)
		}
		applied <- len(limits)
	})
	fmt.Println(<-applied, "routes")

	client.Commit(ctx, diamond.ChangeSet{Drafts: []diamond.Draft{
		{Key: diamond.NewKey("routes", "a.yaml"), Content: "rate_limit: 0\n"},
		{Key: diamond.NewKey("routes", "b.yaml"), Content: "rate_limit: 20\n"},
	}})
	fmt.Println(<-applied, "routes, a.yaml:", limits[diamond.NewKey("routes", "a.yaml")].RateLimit)
	// Output:
	// 1 routes
	// a.yaml keeps its last good value
	// 2 routes, a.yaml: 100
}

// Rolling back is publishing an old version again, as a new revision.
func ExampleClient_History() {
	ctx := context.Background()
	client, done := exampleCentre()
	defer done()
	key := diamond.NewKey("payment", "greeting")
	client.Publish(ctx, diamond.Draft{Key: key, Content: "good"})
	client.Publish(ctx, diamond.Draft{Key: key, Content: "bad"})

	var previous int64
	for change, err := range client.History(ctx, diamond.HistoryRequest{Key: key}) {
		if err != nil {
			panic(err)
		}
		previous = change.Revision // newest first; the last one is the oldest
	}
	old, err := client.Read(ctx, key, previous)
	if err != nil {
		panic(err)
	}
	position, err := client.Publish(ctx, diamond.Draft{Key: key, Content: old.Content})
	fmt.Println(position.Revision, old.Content, err)
	// Output: 3 good <nil>
}

// Two keys are changed together, and a program makes one value of both, which its other
// goroutines load.
func ExampleClient_subscribeTogether() {
	ctx := context.Background()
	client, closeAll := exampleCentre()
	defer closeAll()
	host, port := diamond.NewKey("db", "host"), diamond.NewKey("db", "port.json")
	publish := func(hostname, portNumber string) {
		set := diamond.ChangeSet{Drafts: []diamond.Draft{{Key: host, Content: hostname}, {Key: port, Content: portNumber}}}
		if _, err := client.Commit(ctx, set); err != nil {
			panic(err)
		}
	}

	publish("old.example", "1000")
	var address atomic.Pointer[string]
	sub, err := client.SubscribeTogether([]diamond.Key{host, port},
		func(_ context.Context, configs map[diamond.Key]diamond.Config, _ diamond.Position) error {
			name, err := diamond.Decode[string](configs[host])
			if err != nil {
				return err // the last address stays
			}
			number, err := diamond.Decode[int](configs[port], diamond.WithDefault(5432))
			if err != nil {
				return err
			}
			both := fmt.Sprintf("%s:%d", *name, *number)
			address.Store(&both)
			return nil
		})
	if err != nil {
		panic(err)
	}
	defer sub.Stop()
	if err := sub.Wait(ctx); err != nil {
		panic(err)
	}
	fmt.Println(*address.Load())
	publish("new.example", "2000")
	if err := sub.Wait(ctx); err != nil {
		panic(err)
	}
	fmt.Println(*address.Load())
	// Output:
	// old.example:1000
	// new.example:2000
}
