package follower_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// The first answer of a watch comes at once and reaches the newest position, also when
// nothing has changed that its filter selects. Then there is an answer at least every 30 s.
func TestWatch_FirstAnswerComesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := faultyClient(t)
		start, err := client.Head(t.Context())
		require.NoError(t, err)
		elsewhere, err := client.Publish(t.Context(), conf.Draft{Key: conf.NewKey("elsewhere", "k"), Content: "1"})
		require.NoError(t, err)
		for _, after := range []conf.Position{start, elsewhere} {
			began := time.Now()
			var at []time.Duration
			for resp, err := range client.Watch(t.Context(), conf.ChangesRequest{After: after, Group: "here"}) {
				require.NoError(t, err)
				assert.Empty(t, resp.Changes)
				assert.Equal(t, elsewhere, resp.Position)
				if at = append(at, time.Since(began)); len(at) == 3 {
					break
				}
			}
			assert.Equal(t, []time.Duration{0, 25 * time.Second, 50 * time.Second}, at)
		}
	})
}

// A watch does not wait while there is more, nor before a server has given it a first answer:
// one that drains without any does not count.
func TestWatch_WaitsOnlyForWhatIsNotThereYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		at := func(revision int64) conf.Position {
			return conf.Position{Store: c.At.Store, Epoch: c.At.Epoch, Revision: revision}
		}
		answers := []*conf.ChangesResponse{
			{Draining: true},
			{Position: at(1), More: true},
			{Position: at(2), More: true, Draining: true},
			{Position: at(3)},
			{Position: at(4), More: true},
			{Position: at(4), More: true}, // it never comes
			{Position: at(5)},
		}
		var waits []time.Duration
		c.OnChanges = func(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			waits = append(waits, req.Wait)
			if len(answers) == 0 {
				return nil, clienttest.Ended(ctx)
			}
			resp := answers[0]
			answers = answers[1:]
			return resp, nil
		}
		client := clienttest.NewClient(t, c)
		var yielded []int64
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for resp, err := range client.Watch(ctx, conf.ChangesRequest{}) {
			require.NoError(t, err)
			yielded = append(yielded, resp.Position.Revision)
		}
		const full = 25 * time.Second
		assert.Equal(t, []time.Duration{0, 0, 0, 0, full, 0, full, full}, waits[:8])
		assert.Equal(t, []int64{1, 2, 3, 4, 4, 5}, yielded)
	})
}

// The answer after an outage is yielded although nothing has changed: it says that the
// watch is up to date again.
func TestWatch_YieldsWhenServersAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, network := faultyClient(t)
		began := time.Now()
		time.AfterFunc(10*time.Second, func() { network.Fail(conf.Errorf(conf.ErrUnavailable, "down")) })
		time.AfterFunc(time.Hour, network.Heal)
		var at []time.Duration
		for _, err := range client.Watch(t.Context(), conf.ChangesRequest{}) {
			require.NoError(t, err)
			if at = append(at, time.Since(began)); at[len(at)-1] > 30*time.Minute {
				break
			}
		}
		assert.Equal(t, time.Duration(0), at[0])
		back := at[len(at)-1]
		assert.GreaterOrEqual(t, back, time.Hour)
		assert.Less(t, back, time.Hour+5*time.Second)
	})
}

// A server, or something in between, that answers at once without changes must not keep a
// watch busy.
func TestWatch_EmptyAnswersDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		calls := 0
		c.OnChanges = func(_ context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			time.Sleep(time.Millisecond)
			calls++
			return &conf.ChangesResponse{Position: c.Position()}, nil
		}
		client := clienttest.NewClient(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range client.Watch(ctx, conf.ChangesRequest{}) {
		}
		assert.Less(t, calls, 100, "in a minute")
	})
}

// A watch that no server answers continues, and logs the reason once, and the end once. A
// single failure is not logged.
func TestWatch_LogsThatItCannotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		var fails atomic.Bool
		fails.Store(true)
		asked := 0
		c.OnChanges = func(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			asked++
			if fails.Load() || asked%2 == 0 {
				return nil, conf.Errorf(conf.ErrCorrupt, "a page is damaged")
			}
			time.Sleep(20 * time.Second)
			return &conf.ChangesResponse{Position: c.Position()}, nil
		}
		var log clienttest.Logs
		client := clienttest.NewClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range client.Watch(ctx, conf.ChangesRequest{}) {
			}
		}()
		defer func() { cancel(); <-ended }()

		time.Sleep(10 * time.Minute)
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), "level=WARN")
		assert.Contains(t, log.String(), "a page is damaged")
		fails.Store(false)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), "servers answer again")
		fails.Store(true)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 3, strings.Count(log.String(), "\n"), "it is told of anew")
	})
}
