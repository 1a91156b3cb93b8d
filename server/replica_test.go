package server_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// away is a storage that can be away, or hang.
type away struct {
	*memstore.Store
	down, hangs atomic.Bool
}

func (s *away) failed(ctx context.Context) error {
	if s.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.down.Load() {
		return conf.Errorf(conf.ErrUnavailable, "the database is away")
	}
	return nil
}

func (s *away) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if err := s.failed(ctx); err != nil {
		return nil, err
	}
	return s.Store.Commit(ctx, sets)
}

func (s *away) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	if err := s.failed(ctx); err != nil {
		return conf.Batch{}, err
	}
	return s.Store.Changes(ctx, after, maxBytes)
}

func (s *away) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	if err := s.failed(ctx); err != nil {
		return conf.Page{}, err
	}
	return s.Store.Scan(ctx, req)
}

// A node with a replica outlives its database and a restart without it, and
// its pages say what is so.
func TestS6_PagesOfANodeWithAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, local := &away{Store: memstore.New()}, memstore.New()
		start := func() *running {
			srv, err := diamond.NewServer(shared, diamond.WithReplica(local))
			require.NoError(t, err)
			return hosted(t, srv)
		}
		r := start()
		r.publish(conf.NewKey("", "a"), "x")
		synctest.Wait()
		_, body := r.get("/readyz?verbose")
		assert.Contains(t, body, "[+] storage: ok\n")
		assert.Contains(t, body, "[+] replica: revision 1, 0 behind\n")
		assert.Contains(t, body, "[+] self-check: 0 done, 0 differences found, 0 keys differ in the storage now\n")
		_, body = r.get("/metrics")
		for _, line := range []string{
			"diamond_replication_lag_seconds 0", "diamond_feed_stalled 0", "diamond_feed_stalls_total 0", "diamond_feed_gaps_total 0",
			"diamond_cache_divergence_total 0", "diamond_divergent_keys 0", "diamond_self_checks_total 0", "diamond_self_check_failures_total 0",
			"diamond_replica_up 1", "diamond_replica_lag_revisions 0", "diamond_replica_errors_total 0", "diamond_replica_installs_total 1",
		} {
			assert.Contains(t, body, line+"\n")
		}

		shared.down.Store(true)
		since := time.Now().UTC()
		time.Sleep(time.Minute)
		res, body := r.get("/readyz?verbose")
		assert.Equal(t, http.StatusOK, res.StatusCode, "reads can be served")
		assert.Contains(t, body, "[-] storage: diamond: unavailable: the database is away (unconfirmed for 1m0s, since "+since.Format(time.RFC3339))
		assert.Contains(t, body, "reads go on, marked stale")
		r.stop()
		r.wait()

		r = start()
		time.Sleep(time.Minute)
		res, body = r.get("/readyz?verbose")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Contains(t, body, "unconfirmed for 1m0s, since it was started; reads go on, marked stale")
		res, body = r.get("/v1/configs/public/DEFAULT_GROUP/a")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Equal(t, "x", body)
		assert.NotEmpty(t, res.Header.Get("Diamond-Stale"))
		_, body = r.get("/metrics")
		assert.Contains(t, body, "diamond_stale_seconds 60")
		shared.down.Store(false)
		time.Sleep(5 * time.Second)
		_, body = r.get("/readyz?verbose")
		assert.Contains(t, body, "[+] storage: ok\n")
	})
}
