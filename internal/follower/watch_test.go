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

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A server, or something on the way, that answers at once with nothing must
// not keep a watch busy.
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

// A watch that nobody answers goes on, but not in silence: the log says once why,
// and once that it is over. One failure alone is no news.
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
		assert.Contains(t, log.String(), "asking for changes again")
		fails.Store(true)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 3, strings.Count(log.String(), "\n"), "it is told of anew")
	})
}
