package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
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
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// edited is a storage some of whose rows were changed by hand: the current
// entries, the log, the contents, each without the others.
type edited struct {
	diamond.Storage
	mu      sync.Mutex
	entry   map[string]func(*conf.Entry) bool // by data id; false: the row is gone
	content map[string]string
	log     map[string]func(*conf.Change)
	added   []conf.Entry // rows that nobody published
}

func editedOf(s diamond.Storage) *edited {
	return &edited{Storage: s, entry: map[string]func(*conf.Entry) bool{}, content: map[string]string{}, log: map[string]func(*conf.Change){}}
}

// edit calls change while nobody reads.
func (s *edited) edit(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *edited) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page, err := s.Storage.Scan(ctx, req)
	rows := page.Entries[:0:0]
	for _, e := range page.Entries {
		if f := s.entry[e.Key.DataID]; f != nil && !f(&e) {
			continue
		}
		if c, ok := s.content[e.Key.DataID]; ok && req.Contents {
			e.Content = c
		}
		rows = append(rows, e)
	}
	for _, e := range s.added {
		if !page.More && req.Matches(e.Key) && req.After.Compare(e.Key) < 0 { // they sort last
			rows = append(rows, e)
		}
	}
	page.Entries = rows
	return page, err
}

func (s *edited) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.Storage.Read(ctx, key, revision)
	if c, ok := s.content[key.DataID]; ok && err == nil {
		e.Content = c
	}
	if f := s.log[key.DataID]; f != nil && err == nil {
		c := conf.Change{Type: e.Type, MD5: e.MD5, Size: e.Size}
		f(&c)
		e.Type, e.MD5, e.Size = c.Type, c.MD5, c.Size
	}
	return e, err
}

func (s *edited) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, err := s.Storage.History(ctx, key, before, limit)
	if f := s.log[key.DataID]; f != nil && len(changes) > 0 {
		f(&changes[0])
	}
	return changes, err
}

func (s *edited) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, err := s.Storage.Changes(ctx, after, maxBytes)
	batch.Changes = append([]conf.Change(nil), batch.Changes...)
	for i := range batch.Changes {
		c := &batch.Changes[i]
		if f := s.log[c.Key.DataID]; f != nil {
			f(c)
		}
		if content, ok := s.content[c.Key.DataID]; ok {
			c.Content = content
		}
	}
	return batch, err
}

// checked is a server that checks itself every second.
func checked(t *testing.T, storage diamond.Storage, log *logged, opts ...diamond.ServerOption) *servertest.Served {
	t.Helper()
	return servertest.Start(t, storage, append([]diamond.ServerOption{log.option(), diamond.WithSelfCheck(time.Second)}, opts...)...)
}

// wait is for a check of a small store to pass.
const checkTime = 30 * time.Second

// A bit flips in the server's memory. The server notices it, reports the key and the
// revision, and serves the published value again.
func TestS23_FlippedMemory(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *servertest.Served){
		"type": func(t *testing.T, srv *servertest.Served) {
			engine.SpoilRecord(srv.Server, conf.NewKey("", "b"), func(e *conf.Entry) { e.Type = "yamm" })
		},
		"digest": func(t *testing.T, srv *servertest.Served) {
			engine.SpoilRecord(srv.Server, conf.NewKey("", "b"), func(e *conf.Entry) { e.MD5 = conf.MD5Hex("other") })
		},
		"revision": func(t *testing.T, srv *servertest.Served) {
			engine.SpoilRecord(srv.Server, conf.NewKey("", "b"), func(e *conf.Entry) { e.Revision = 1 })
		},
		"record": func(t *testing.T, srv *servertest.Served) {
			engine.ForgetRecord(srv.Server, conf.NewKey("", "b"))
		},
		"content": func(t *testing.T, srv *servertest.Served) {
			require.True(t, engine.SpoilContent(srv.Server, conf.NewKey("", "b"), "secret CONTENT"))
		},
	} {
		for _, started := range []string{"fed", "restarted"} { // with the chain of the change in memory, and without
			t.Run(name+" "+started, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log logged
					store := memstore.New()
					defer store.Close()
					srv := checked(t, store, &log)
					srv.Publish("a", "1")
					srv.Publish("b", "secret content")
					srv.Publish("c", "1")
					if started == "restarted" {
						require.NoError(t, srv.Close())
						srv = checked(t, store, &log)
					}
					before := srv.MustFetch("b")
					time.Sleep(checkTime)
					require.Positive(t, srv.Status().Counters.Checks)
					require.Zero(t, srv.Status().Counters.Divergences, log.String())
					spoil(t, srv)
					time.Sleep(checkTime)
					got := srv.MustFetch("b")
					assert.Equal(t, before.Entry, got.Entry)
					assert.EqualValues(t, 3, srv.Status().Keys)
					assert.EqualValues(t, 1, srv.Status().Counters.Divergences)
					assert.Zero(t, srv.Status().Divergent, "it is repaired")
					assert.Equal(t, 1, log.count("self-check found a difference"))
					assert.Contains(t, log.String(), "where=memory key=public/DEFAULT_GROUP/b revision=2")
					assert.NotContains(t, log.String(), "secret")
				})
			})
		}
	}
}

// Somebody changes the database by hand and keeps the revision. The server reports it
// once while it lasts, and serves the published value.
func TestS23_ManualEditOfTheStorage(t *testing.T) {
	for name, edit := range map[string]func(*edited){
		"entry": func(s *edited) {
			s.entry["b"] = func(e *conf.Entry) bool { e.MD5, e.Type = conf.MD5Hex("other"), "yaml"; return true }
		},
		"entry's revision": func(s *edited) {
			s.entry["b"] = func(e *conf.Entry) bool { e.Revision = 1; return true }
		},
		"entry removed": func(s *edited) {
			s.entry["b"] = func(*conf.Entry) bool { return false }
		},
		"entry added": func(s *edited) {
			s.added = []conf.Entry{{Key: conf.NewKey("", "zzz"), Revision: 2, MD5: conf.MD5Hex("x"), Size: 1, Content: "x"}}
		},
		"content": func(s *edited) { s.content["b"] = "other" },
		"content and log": func(s *edited) { // all that one row of a database has
			s.content["b"] = "other"
			s.log["b"] = func(c *conf.Change) { c.MD5, c.Size = conf.MD5Hex("other"), 5 }
		},
		"all but the chain": func(s *edited) {
			s.content["b"] = "other"
			s.log["b"] = func(c *conf.Change) { c.MD5, c.Size = conf.MD5Hex("other"), 5 }
			s.entry["b"] = func(e *conf.Entry) bool { e.MD5, e.Size = conf.MD5Hex("other"), 5; return true }
		},
	} {
		for _, started := range []string{"fed", "from a replica"} {
			t.Run(name+" "+started, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log logged
					store := memstore.New()
					defer store.Close()
					storage := editedOf(store)
					local := memstore.New()
					srv := checked(t, storage, &log, diamond.WithReplica(local))
					srv.Publish("a", "1")
					srv.Publish("b", "good")
					at := srv.Publish("c", "1")
					if started == "from a replica" {
						synctest.Wait()
						require.NoError(t, srv.Close())
						srv = checked(t, storage, &log, diamond.WithReplica(local))
					}
					time.Sleep(checkTime)
					require.Zero(t, srv.Status().Counters.Divergences, log.String())
					answer := srv.Parked(servertest.PollFor(at, conf.MaxWait, "a", "b", "c"))

					storage.edit(func() { edit(storage) })
					time.Sleep(checkTime)
					got := srv.MustFetch("b")
					assert.Equal(t, "good", got.Entry.Content, "what was published is served")
					assert.EqualValues(t, 2, got.Entry.Revision)
					assert.False(t, srv.MustFetch("zzz").Found)
					assert.Equal(t, 1, srv.Status().Divergent)
					assert.EqualValues(t, 1, srv.Status().Counters.Divergences)
					assert.Equal(t, 1, log.count("self-check found a difference"), "told once: %s", &log)
					assert.Contains(t, log.String(), "where=storage")
					assert.Contains(t, log.String(), "revision=2")
					select {
					case resp := <-answer:
						assert.Fail(t, "nobody is told of what nobody published", "%+v", resp)
					default:
					}

					storage.edit(func() {
						clear(storage.entry)
						clear(storage.content)
						clear(storage.log)
						storage.added = nil
					})
					time.Sleep(checkTime)
					assert.Zero(t, srv.Status().Divergent, "it was put right")
					srv.Publish("b", "next")
					assert.Equal(t, []string{"b"}, names(<-answer))
				})
			})
		}
	}
}

// A server without a replica never serves a content that was changed by hand, but refuses
// to.
func TestS23_ManualEditIsNeverServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		storage := editedOf(store)
		writer := servertest.Start(t, store)
		writer.Publish("b", "good")
		srv := checked(t, storage, &log)
		storage.edit(func() { storage.content["b"] = "evil" })
		_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "b")})
		require.ErrorIs(t, err, conf.ErrCorrupt)
		time.Sleep(checkTime)
		assert.Equal(t, 1, srv.Status().Divergent)
		assert.Contains(t, log.String(), "where=storage key=public/DEFAULT_GROUP/b revision=1")
		assert.NotContains(t, log.String(), "evil")
	})
}

// A byte flips in the file of the replica.
func TestS23_FlippedByteInTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		dir := t.TempDir()
		local, err := boltstore.Open(dir)
		require.NoError(t, err)
		defer local.Close()
		srv := checked(t, store, &log, diamond.WithReplica(local))
		defer srv.Close()
		secret := strings.Repeat("published content ", 20)
		srv.Publish("a", "1")
		srv.Publish("b", secret)
		time.Sleep(checkTime)
		require.Zero(t, srv.Status().Counters.Divergences, log.String())
		flip(t, filepath.Join(dir, "store.db"), secret)
		time.Sleep(checkTime)
		assert.EqualValues(t, 1, srv.Status().Counters.Divergences)
		assert.EqualValues(t, 2, srv.Status().Replica.Installs, "at first, and now")
		assert.Contains(t, log.String(), "where=replica key=public/DEFAULT_GROUP/b revision=2")
		assert.NotContains(t, log.String(), "published content")
		sameContents(t, store, local)
	})
}

// flip changes a byte in all places of a file that have a content.
func flip(t *testing.T, path, content string) {
	t.Helper()
	all, err := os.ReadFile(path)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	found := 0
	for at := 0; ; found++ {
		i := bytes.Index(all[at:], []byte(content))
		if i < 0 {
			break
		}
		at += i + len(content)
		_, err := file.WriteAt([]byte{all[at-1] ^ 1}, int64(at-1))
		require.NoError(t, err)
	}
	require.Positive(t, found)
}

// A replica that holds another value, or misses or adds one, with all digests
// right.
func TestS23_ReplicaThatDiffers(t *testing.T) {
	for name, edit := range map[string]func(*edited){
		"entry":   func(s *edited) { s.entry["b"] = func(e *conf.Entry) bool { e.Type = "x"; return true } },
		"removed": func(s *edited) { s.entry["b"] = func(*conf.Entry) bool { return false } },
		"added": func(s *edited) {
			s.added = []conf.Entry{{Key: conf.NewKey("", "zzz"), Revision: 2, MD5: conf.MD5Hex("x"), Size: 1, Content: "x"}}
		},
		"content": func(s *edited) { s.content["b"] = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				store, inner := memstore.New(), memstore.New()
				defer store.Close()
				local := editedOf(inner)
				srv := checked(t, store, &log, diamond.WithReplica(&editedReplica{local, inner}))
				srv.Publish("a", "1")
				srv.Publish("b", "good")
				time.Sleep(checkTime)
				require.Zero(t, srv.Status().Counters.Divergences, log.String())
				local.edit(func() { edit(local) })
				time.Sleep(checkTime)
				assert.EqualValues(t, 1, srv.Status().Counters.Divergences, log.String())
				assert.Contains(t, log.String(), "where=replica")
				assert.EqualValues(t, 2, srv.Status().Replica.Installs)
				assert.Equal(t, "good", srv.MustFetch("b").Entry.Content)
				sameContents(t, store, local)
			})
		})
	}
}

// editedReplica is right again once it is installed.
type editedReplica struct {
	*edited
	diamond.Replica
}

func (r *editedReplica) Install(ctx context.Context, at conf.Position, entries iter.Seq2[conf.Entry, error]) error {
	r.edit(func() {
		clear(r.entry)
		clear(r.content)
		r.added = nil
	})
	return r.Replica.Install(ctx, at, entries)
}

// A check that cannot be completed is reported and counted until one is completed. If the
// storage is damaged, it is logged as an error.
func TestS23_CheckNotCompleted(t *testing.T) {
	for level, cause := range map[string]error{
		"WARN":  conf.Errorf(conf.ErrUnavailable, "down"),
		"ERROR": conf.Errorf(conf.ErrCorrupt, "a row is damaged"),
	} {
		t.Run(level, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				store := memstore.New()
				defer store.Close()
				storage := troubledBy(store)
				srv := checked(t, storage, &log)
				defer srv.Close()
				srv.Publish("a", "1")
				time.Sleep(checkTime)
				require.Positive(t, srv.Status().Counters.Checks)
				require.NoError(t, srv.Status().CheckErr)

				storage.fail(cause, "scan")
				time.Sleep(checkTime)
				assert.ErrorIs(t, srv.Status().CheckErr, cause)
				failures := srv.Status().Counters.CheckFailures
				assert.Positive(t, failures)
				assert.EqualValues(t, failures, log.count("level="+level+` msg="the check of the server against its storage was not completed"`), log.String())
				assert.EqualValues(t, failures, log.count("was not completed"))

				storage.heal()
				time.Sleep(checkTime)
				assert.NoError(t, srv.Status().CheckErr)
				assert.Equal(t, failures, srv.Status().Counters.CheckFailures)
			})
		})
	}
}

// Publishes and deletions that come while a check runs are no differences.
func TestINV13_NoFalseAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		// Without an end of it, history would be most of what the test costs.
		short := memstore.WithRetention(storage.Retention{Age: time.Minute, Changes: 1000})
		store := memstore.New(short)
		defer store.Close()
		slow := troubledBy(store)
		slow.set(func(op string) error {
			switch op {
			case "scan", "read":
				time.Sleep(7 * time.Millisecond)
			case "history":
				time.Sleep(40 * time.Millisecond)
			}
			return nil
		}, nil)
		locals := []*localCopy{copyOn(memstore.New(short)), copyOn(memstore.New(short))}
		for _, local := range locals {
			local.set(func(op string) error {
				if op == "apply" {
					time.Sleep(30 * time.Millisecond) // so that it is behind
				}
				return nil
			}, nil)
		}
		a := checked(t, slow, &log, diamond.WithReplica(locals[0]))
		b := checked(t, slow, &log, diamond.WithReplica(locals[1]))
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, srv := range []*servertest.Served{a, b} {
			all.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					id := fmt.Sprint("key-", i*31%23)
					if i%4 == 0 {
						_, _ = srv.CommitSet(conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("", id)}}})
					} else {
						srv.Publish(id, fmt.Sprint("value ", i))
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Duration(campaign.Scale(t, 40, 1200)) * time.Second)
		stop()
		all.Wait()
		time.Sleep(checkTime)
		for _, srv := range []*servertest.Served{a, b} {
			assert.Positive(t, srv.Status().Counters.Checks)
			assert.Zero(t, srv.Status().Counters.Divergences, log.String())
			assert.Zero(t, srv.Status().Replica.Failures)
			assert.EqualValues(t, 1, srv.Status().Replica.Installs)
		}
	})
}

// A check of 100,000 entries loads the storage for a tenth of the time, and no check
// begins while the storage is down.
func TestSelfCheckIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		n := campaign.Scale(t, 20_000, 100_000)
		for i := range n / 1000 {
			var set conf.ChangeSet
			for j := range 1000 {
				set.Drafts = append(set.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprintf("key-%d-%d", i, j)), Content: strings.Repeat("x", 1000)})
			}
			_, err := store.Commit(t.Context(), []conf.ChangeSet{set})
			require.NoError(t, err)
		}
		storage := troubledBy(store)
		srv := servertest.Start(t, storage, log.option())
		scans := storage.count("scan")
		require.Equal(t, n/5000, scans)
		var last time.Time
		closest := time.Hour
		storage.set(func(op string) error {
			if op == "scan" {
				closest = min(closest, time.Since(last))
				time.Sleep(100 * time.Millisecond)
				last = time.Now()
			}
			return nil
		}, nil)
		for srv.Status().Counters.Checks == 0 {
			time.Sleep(time.Second)
		}
		assert.GreaterOrEqual(t, closest, 900*time.Millisecond)
		assert.LessOrEqual(t, storage.count("scan")-scans, n/5000+5, "its records, and 16 MiB of its contents")
		assert.Zero(t, storage.count("read")+storage.count("history"))
		assert.Zero(t, srv.Status().Counters.Divergences)

		down(storage)
		time.Sleep(time.Second)
		scans, checks := storage.count("scan"), srv.Status().Counters.Checks
		time.Sleep(time.Hour)
		assert.Equal(t, scans, storage.count("scan"))
		assert.Equal(t, checks, srv.Status().Counters.Checks)
	})
}
