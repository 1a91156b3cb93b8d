package transport_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// The loss of a server and of the resolver is logged, each once.
func TestBalance_Logs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		names := &resolver{addrs: []string{"a", "b"}}
		var log bytes.Buffer
		b := c.balance(names, transport.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		logged := func() string {
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			defer log.Reset()
			return log.String()
		}
		require.NoError(t, get(b))
		assert.Empty(t, logged())

		was := c.asked(map[string]int{})[0]
		c.faulty[was].Fail(conf.Errorf(conf.ErrUnavailable, "down"))
		for range 3 {
			require.NoError(t, get(b))
		}
		text := logged()
		assert.Regexp(t, `^time=\S+ level=INFO msg="leaving server" address=`+was+` error="[^"]*down"\n$`, text)

		names.set(errors.New("no route"))
		assert.Regexp(t, `^time=\S+ level=WARN msg="servers could not be resolved" known=2 error="no route"\n$`, logged())
		names.set(nil, "a", "b")
		assert.Regexp(t, `^time=\S+ level=INFO msg="servers can be resolved again" known=2\n$`, logged())
	})
}

// A program that starts while no server is known asks often, and still logs it once.
func TestBalance_LogsAnEmptyStartOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		names := &resolver{err: conf.Errorf(conf.ErrUnavailable, "no server is known: no route")}
		var log bytes.Buffer
		b := c.balance(names, transport.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 100 {
			assert.EqualError(t, get(b), "diamond: fetch public/DEFAULT_GROUP/k: unavailable: no server is known: no route")
		}
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	})
}
