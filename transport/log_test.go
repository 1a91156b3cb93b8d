package transport_test

import (
	"bytes"
	"errors"
	"log/slog"
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
	})
}
