package diamond_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// These run against the real server, in process.

func TestClientAndServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		client := clienttest.NewClient(t, srv)
		ctx := t.Context()
		_, err := client.Get(ctx, clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()

		first, err := client.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: `{"n": 1}`})
		require.NoError(t, err)
		assert.Equal(t, `{"n": 1}`, clienttest.Get(t, client, clienttest.KeyA).Content)
		_, err = client.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: "x", IfRevision: conf.Revision(0)})
		require.ErrorIs(t, err, conf.ErrConflict)
		second, err := client.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: `{"n": 2}`, IfRevision: conf.Revision(first.Revision)})
		require.NoError(t, err)
		clienttest.Settle()
		_, err = client.Delete(ctx, conf.Delete{Key: clienttest.KeyA})
		require.NoError(t, err)
		clienttest.Settle()
		_, err = client.Get(ctx, clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.Equal(t, "-", r.Contents()[len(r.Contents())-1])

		old, err := client.Read(ctx, clienttest.KeyA, first.Revision)
		require.NoError(t, err)
		assert.Equal(t, `{"n": 1}`, old.Content)
		_, err = client.Read(ctx, clienttest.KeyA, second.Revision+1)
		require.ErrorIs(t, err, conf.ErrNotFound, "a deletion")
		_, err = client.Read(ctx, clienttest.KeyA, 0)
		require.ErrorIs(t, err, conf.ErrInvalid)

		head, err := client.Head(ctx)
		require.NoError(t, err)
		assert.Equal(t, second.Revision+1, head.Revision)

		var ops []conf.Op
		for change, err := range client.History(ctx, conf.HistoryRequest{Key: clienttest.KeyA, Limit: 1}) {
			require.NoError(t, err)
			ops = append(ops, change.Op)
		}
		assert.Equal(t, []conf.Op{conf.OpDelete, conf.OpPublish, conf.OpPublish}, ops)
	})
}

func TestClientAndServer_List(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clienttest.NewClient(t, servertest.Serve(t, memstore.New()))
		var set conf.ChangeSet
		for i := range 25 {
			set.Drafts = append(set.Drafts, conf.Draft{Key: clienttest.KeyN(i), Content: strconv.Itoa(i)})
		}
		_, err := client.Commit(t.Context(), set)
		require.NoError(t, err)
		all := client.List(t.Context(), conf.ListRequest{Group: "many", Prefix: "key-", Limit: 7, Contents: true})
		for range 2 { // an iterator can be used again
			seen := make(map[conf.Key]string)
			for e, err := range all {
				require.NoError(t, err)
				seen[e.Key] = e.Content
			}
			assert.Len(t, seen, 25)
			assert.Equal(t, "24", seen[clienttest.KeyN(24)])
		}
		for range all {
			break
		}
		for _, err := range client.List(t.Context(), conf.ListRequest{Limit: -1}) {
			require.ErrorIs(t, err, conf.ErrInvalid)
		}
	})
}

func TestClientAndServer_Watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		line := &cable{Transport: srv}
		client := clienttest.NewClient(t, line)
		publish := func(key conf.Key, content string) {
			_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}}})
			require.NoError(t, err)
		}
		publish(clienttest.KeyA, "0")
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var got []string
		var position conf.Position
		done := make(chan struct{})
		go func() {
			defer close(done)
			for resp, err := range client.Watch(ctx, conf.ChangesRequest{Prefix: "a", Contents: true}) {
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				for i := range resp.Changes {
					got = append(got, resp.Changes[i].Content)
				}
				position = resp.Position
				mu.Unlock()
			}
		}()
		clienttest.Settle()
		publish(clienttest.KeyA, "1")
		publish(clienttest.KeyB, "not asked for")
		clienttest.Settle()
		line.cut(true)
		publish(clienttest.KeyA, "2")
		publish(clienttest.KeyA, "3")
		time.Sleep(time.Minute)
		line.cut(false)
		time.Sleep(30 * time.Second)
		publish(clienttest.KeyA, "4")
		clienttest.Settle()
		cancel()
		<-done
		assert.Equal(t, []string{"0", "1", "2", "3", "4"}, got, "in order, each once, in silence")

		publish(clienttest.KeyA, "5")
		for resp, err := range client.Watch(t.Context(), conf.ChangesRequest{After: position, Contents: true}) {
			require.NoError(t, err)
			assert.Equal(t, "5", resp.Changes[0].Content, "resumed")
			break
		}
		other := position
		other.Store = conf.StoreID{9}
		for _, err := range client.Watch(t.Context(), conf.ChangesRequest{After: other}) {
			require.ErrorIs(t, err, conf.ErrOtherStore)
		}
		other = position
		other.Revision += 100
		for _, err := range client.Watch(t.Context(), conf.ChangesRequest{After: other}) {
			require.Error(t, err)
			break
		}
	})
}

func TestWatch_AnswersOutOfOrderAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		at := func(revision int64) conf.Position {
			return conf.Position{Store: c.At.Store, Epoch: c.At.Epoch, Revision: revision}
		}
		answers := []*conf.ChangesResponse{
			{Position: at(2), Changes: []conf.Change{{Revision: 1}, {Revision: 2}}},
			{Position: at(3), Changes: []conf.Change{{Revision: 2}}}, // again
			{Position: at(4), Changes: []conf.Change{{Revision: 4}, {Revision: 3}}},
			{Position: at(1)},
			{Position: at(3), Changes: []conf.Change{{Revision: 4}}},
			{Position: at(4), Changes: []conf.Change{{Revision: 3}, {Revision: 4}}},
		}
		c.OnChanges = func(ctx context.Context, _ *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			if len(answers) == 0 {
				return nil, clienttest.Ended(ctx)
			}
			resp := answers[0]
			answers = answers[1:]
			return resp, nil
		}
		client := clienttest.NewClient(t, c)
		var got []int64
		for resp, err := range client.Watch(t.Context(), conf.ChangesRequest{}) {
			require.NoError(t, err)
			for i := range resp.Changes {
				got = append(got, resp.Changes[i].Revision)
			}
			if resp.Position.Revision == 4 {
				break
			}
		}
		assert.Equal(t, []int64{1, 2, 3, 4}, got)
	})
}

func TestClientAndServer_WatchEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := diamond.NewClient(servertest.Serve(t, memstore.New()))
		require.NoError(t, err)
		go func() {
			time.Sleep(time.Second)
			assert.NoError(t, client.Close())
		}()
		ended := false
		for _, err := range client.Watch(t.Context(), conf.ChangesRequest{}) {
			if err != nil {
				require.ErrorIs(t, err, conf.ErrClosed)
				ended = true
			}
		}
		assert.True(t, ended)
	})
}

func TestClientAndServer_Fork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Serve(t, store)
		client := clienttest.NewClient(t, srv)
		srv.Publish("a.json", "a")
		var r clienttest.Recorder
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		clienttest.Settle()
		_, err := store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		srv.Publish("a.json", "b")
		clienttest.Settle()
		assert.Equal(t, []string{"a", "b"}, r.Contents())
		assert.False(t, clienttest.Get(t, client, clienttest.KeyA).Orphaned)
	})
}

// cable is a transport that can be cut, and that loses or delays what it carries.
type cable struct {
	diamond.Transport
	mu     sync.Mutex
	broken bool
	cuts   chan struct{} // closed when it breaks
	chaos  bool
}

func (c *cable) cut(broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cuts != nil {
		close(c.cuts)
		c.cuts = nil
	}
	c.broken = broken
}

func (c *cable) misbehave(chaos bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chaos = chaos
}

// pass returns a context that ends when the cable is cut, or an error.
func (c *cable) pass(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	if c.broken {
		c.mu.Unlock()
		return nil, nil, clienttest.ErrDown
	}
	if c.cuts == nil {
		c.cuts = make(chan struct{})
	}
	cuts, chaos := c.cuts, c.chaos
	c.mu.Unlock()
	if chaos {
		switch rand.IntN(6) {
		case 0:
			return nil, nil, clienttest.ErrDown
		case 1:
			select { // nothing is heard of it any more
			case <-cuts:
				return nil, nil, clienttest.ErrDown
			case <-ctx.Done():
				return nil, nil, &conf.Error{Err: ctx.Err()}
			}
		case 2:
			<-time.After(rand.N(2 * time.Second))
		case 3:
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, rand.N(5*time.Second)) // cut while it is under way
			context.AfterFunc(ctx, cancel)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-cuts:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel, nil
}

// through carries a call over the cable: what breaks on the way is an error of the cable's.
func through[Req, Resp any](ctx context.Context, c *cable, req Req, call func(context.Context, Req) (Resp, error)) (Resp, error) {
	var none Resp
	passed, end, err := c.pass(ctx)
	if err != nil {
		return none, err
	}
	defer end()
	resp, err := call(passed, req)
	if err != nil && passed.Err() != nil && ctx.Err() == nil {
		return none, clienttest.ErrDown
	}
	return resp, err
}

func (c *cable) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	return through(ctx, c, req, c.Transport.Fetch)
}

func (c *cable) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	return through(ctx, c, req, c.Transport.Poll)
}

func (c *cable) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return through(ctx, c, req, c.Transport.Changes)
}

// TestINV5_INV8_INV10_Chaos publishes all the while clients lose their
// connection, restart, and are lied to by nobody but the network. When it is
// over, all have what the server has, and nobody has gone back on the way.
func TestINV5_INV8_INV10_Chaos(t *testing.T) {
	for range campaign.Scale(t, 5, 200) {
		synctest.Test(t, chaos)
	}
}

func chaos(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	const keys, clients = 6, 4
	var published sync.Map // revision to content
	var stop bool
	var mu sync.Mutex
	stopped := func() bool { mu.Lock(); defer mu.Unlock(); return stop }
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !stopped(); i++ {
			content := strconv.Itoa(i)
			if rand.IntN(5) == 0 {
				content = strings.Repeat(content, conf.InlineContent)
			}
			key := clienttest.KeyN(rand.IntN(keys))
			if rand.IntN(6) == 0 {
				_, _ = srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: key}}}})
			} else {
				resp, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}}})
				if assert.NoError(t, err) {
					published.Store(resp.Position.Revision, content)
				}
			}
			time.Sleep(rand.N(3 * time.Second))
		}
	})
	lines := make([]*cable, clients)
	finals := make([]diamond.Client, clients)
	seen := make([][keys]clienttest.Recorder, clients)
	for i := range clients {
		lines[i] = &cable{Transport: srv, chaos: true}
		local := clienttest.NewFiles()
		var last [keys]int64
		start := func() diamond.Client {
			client, err := diamond.NewClient(lines[i], diamond.WithLocalFiles(local))
			require.NoError(t, err)
			for k := range keys {
				seen[i][k].Verdict = func(config conf.Config) error {
					if config.Deleted {
						return nil
					}
					content, ok := published.Load(config.Revision)
					for !ok { // the publisher has not noted it yet
						time.Sleep(time.Millisecond)
						content, ok = published.Load(config.Revision)
					}
					mu.Lock()
					defer mu.Unlock()
					assert.GreaterOrEqual(t, config.Revision, last[k], "INV-4: never back")
					last[k] = config.Revision
					assert.True(t, content == config.Content, "INV-8: what was published at that revision")
					return nil
				}
				_, err := client.Subscribe(clienttest.KeyN(k), &seen[i][k])
				require.NoError(t, err)
			}
			return client
		}
		wg.Go(func() {
			client := start()
			for !stopped() {
				time.Sleep(rand.N(time.Minute))
				lines[i].cut(rand.IntN(2) == 0)
				if rand.IntN(4) == 0 { // a restart
					assert.NoError(t, client.Close())
					client = start()
				}
			}
			finals[i] = client
		})
	}
	time.Sleep(10 * time.Minute)
	mu.Lock()
	stop = true
	mu.Unlock()
	wg.Wait()
	for _, line := range lines {
		line.misbehave(false)
	}
	time.Sleep(2 * time.Second) // for what is still being delayed
	for _, line := range lines {
		line.cut(false)
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	for i, client := range finals {
		for k := range keys {
			want, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: clienttest.KeyN(k)})
			require.NoError(t, err)
			config, err := client.Get(t.Context(), clienttest.KeyN(k))
			if !want.Found {
				require.ErrorIs(t, err, conf.ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, want.Entry.Revision, config.Revision, "INV-5")
			require.Equal(t, want.Entry.Revision, seen[i][k].Last().Revision, "INV-10")
		}
		require.NoError(t, client.Close())
	}
}
