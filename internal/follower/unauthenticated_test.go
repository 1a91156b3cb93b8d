package follower_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A refusal of a whole request is no deletion. The client keeps its values, says why it
// cannot confirm them, and goes on asking: somebody may replace the file of its token.
func TestUnauthenticated_TakesNoValue(t *testing.T) {
	for _, sentinel := range []error{conf.ErrUnauthenticated, conf.ErrDenied} {
		synctest.Test(t, func(t *testing.T) {
			c := clienttest.NewCentre()
			c.Set(clienttest.KeyA, "1")
			client := clienttest.NewClient(t, c)
			var a clienttest.Recorder
			clienttest.Subscribe(t, client, clienttest.KeyA, &a)
			var told clienttest.Errors
			client.OnError(told.Add)
			clienttest.Settle()

			c.Fail(&conf.Error{Err: sentinel, Remote: true})
			polls := c.PollCount()
			time.Sleep(30 * time.Minute)
			requireTold(t, &told, sentinel)
			config := clienttest.Get(t, client, clienttest.KeyA)
			assert.Equal(t, "1", config.Content)
			assert.False(t, config.Deleted)
			require.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, sentinel)
			asked := c.PollCount() - polls
			assert.Greater(t, asked, 30, "it goes on asking")
			assert.Less(t, asked, 400, "with pauses")

			c.Fail(nil)
			c.Set(clienttest.KeyA, "2")
			time.Sleep(time.Minute)
			assert.Equal(t, []string{"1", "2"}, a.Contents())
			require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
		})
	}
}

// A caller that has no value yet is told at once. The key is followed all the same, and
// comes as soon as the proof is valid.
func TestUnauthenticated_FirstValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "1")
		client := clienttest.NewClient(t, c)
		var a clienttest.Recorder
		_, err := client.Subscribe(clienttest.KeyA, &a)
		require.NoError(t, err)
		c.Fail(&conf.Error{Err: conf.ErrUnauthenticated, Remote: true})
		began := time.Now()
		_, err = client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrUnauthenticated)
		assert.Less(t, time.Since(began), time.Second)
		time.Sleep(time.Minute)

		c.Fail(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1"}, a.Contents())
	})
}

// A proof that stops being valid does not end a watch that has had an answer. A watch that
// begins with it fails.
func TestUnauthenticated_Watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, network := faultyClient(t)
		answers := make(chan *conf.ChangesResponse, 100)
		failed := make(chan error, 1)
		go func() {
			for resp, err := range client.Watch(t.Context(), conf.ChangesRequest{}) {
				if err != nil {
					failed <- err
					return
				}
				answers <- resp
			}
		}()
		time.Sleep(time.Minute)
		network.Fail(&conf.Error{Err: conf.ErrUnauthenticated, Remote: true})
		time.Sleep(10 * time.Minute)
		for resp, err := range client.Watch(t.Context(), conf.ChangesRequest{}) {
			require.Nil(t, resp)
			require.ErrorIs(t, err, conf.ErrUnauthenticated)
			break
		}
		network.Heal()
		for len(answers) > 0 {
			<-answers
		}
		time.Sleep(2 * time.Minute)
		assert.NotEmpty(t, answers, "the watch goes on")
		assert.Empty(t, failed)
	})
}
