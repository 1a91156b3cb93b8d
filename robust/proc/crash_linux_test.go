package proc

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/robust/validate"
)

// restartArmed starts node 0 again, to fail at a point.
func (w *World) restartArmed(t *testing.T, points string) {
	t.Helper()
	require.NoError(t, w.Processes[0].Stop())
	w.Arm(0, points)
	require.NoError(t, w.Processes[0].Start())
}

// set publishes content for key-0 under an id.
func set(id, content string) *conf.CommitRequest {
	return &conf.CommitRequest{Set: diamond.ChangeSet{
		RequestID: id, Comment: id, Drafts: []diamond.Draft{{Key: traffic.Key(0), Content: content}},
	}}
}

// dump returns what the database holds, and checks INV-2 and INV-7 on the way.
func (w *World) dump(t *testing.T) *record.History {
	t.Helper()
	store, err := w.Database.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	recorder := record.New(0)
	require.NoError(t, recorder.Dump(t.Context(), store))
	h := recorder.History()
	require.Empty(t, validate.Log(h))
	return h
}

// A server is killed after its commit and before it has told anyone: the others
// find the change all the same, and a retry gets the outcome of the first try.
func TestS1_KilledBetweenCommitAndNotify(t *testing.T) {
	w := world(t, nodes)
	w.commit(t, 1, set("first", "1"))
	var listeners []*told
	for node := range nodes {
		w.only(node, node)
		listeners = append(listeners, follow(t, w.Transport(node), traffic.Key(0)))
	}
	for _, l := range listeners {
		l.await(t, "1")
	}
	w.restartArmed(t, "server.afterCommitBeforeNotify=kill")
	_, err := w.Direct(0).Commit(t.Context(), set("killed", "2"))
	require.ErrorIs(t, err, diamond.ErrUnknownOutcome)
	require.Error(t, w.Processes[0].Wait(), "it was killed")
	listeners[1].await(t, "2")
	listeners[2].await(t, "2")

	resp := w.commit(t, 1, set("killed", "2"))
	assert.True(t, resp.Replayed)
	assert.EqualValues(t, 2, resp.Position.Revision)
	log := w.dump(t).Log
	require.Len(t, log, 2)
	assert.Equal(t, "killed", log[1].ID)
	require.NoError(t, w.Processes[0].Start())
	listeners[0].await(t, "2")
}

// A server is killed before its commit: nothing of it is anywhere, the next
// change has its number, and the retry succeeds.
func TestS2_KilledBeforeCommit(t *testing.T) {
	w := world(t, 0)
	w.commit(t, 1, set("first", "1"))
	w.restartArmed(t, "mysqlstore.beforeCommit=kill")
	_, err := w.Direct(0).Commit(t.Context(), set("killed", "2"))
	require.ErrorIs(t, err, diamond.ErrUnknownOutcome)
	require.Error(t, w.Processes[0].Wait(), "it was killed")

	next := w.commit(t, 1, set("next", "3"))
	assert.EqualValues(t, 2, next.Position.Revision, "dense")
	require.Len(t, w.dump(t).Log, 2)
	again := w.commit(t, 2, set("killed", "2"))
	assert.False(t, again.Replayed)
	assert.EqualValues(t, 3, again.Position.Revision)
	log := w.dump(t).Log
	require.Len(t, log, 3)
	assert.Equal(t, []string{"first", "next", "killed"}, []string{log[0].ID, log[1].ID, log[2].ID})
}

// commit commits at a node, and tries again while the database cannot say more
// than that it is busy with what the killed one has left.
func (w *World) commit(t *testing.T, node int, req *conf.CommitRequest) (resp *conf.CommitResponse) {
	t.Helper()
	w.await(t, func() bool {
		var err error
		resp, err = w.Direct(node).Commit(t.Context(), req)
		require.NotErrorIs(t, err, diamond.ErrInvalid)
		return err == nil
	})
	return resp
}

// Sets of many keys are committed while the server is killed at any moment:
// each is there whole, as one revision and in one answer, or not at all.
func TestS19_BatchesAreWholeOrNotThere(t *testing.T) {
	const keys, rounds = 500, 5
	w := world(t, 0)
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for round := range rounds {
		req := &conf.CommitRequest{Set: diamond.ChangeSet{RequestID: fmt.Sprint("batch-", round), Comment: fmt.Sprint("batch-", round)}}
		for k := range keys {
			req.Set.Drafts = append(req.Set.Drafts, diamond.Draft{Key: traffic.Key(k), Content: fmt.Sprint(round, "/", k)})
		}
		done := make(chan error, 1)
		go func() {
			_, err := w.Direct(0).Commit(t.Context(), req)
			done <- err
		}()
		timer := time.NewTimer(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
		select {
		case <-timer.C:
		case err := <-done:
			done <- err
		}
		w.Processes[0].Kill()
		err := <-done
		there := 0
		h := w.dump(t)
		for _, c := range h.Log {
			if c.ID == req.Set.RequestID {
				there++
			}
		}
		t.Logf("round %d: %v, %d of %d are there", round, err, there, keys)
		require.Contains(t, []int{0, keys}, there)
		require.False(t, err == nil && there == 0, "INV-6")
		require.NoError(t, w.Processes[0].Start())
	}
	w.commit(t, 1, set("last", "x"))
	var after diamond.Position
	for more := true; more; {
		var resp *diamond.ChangesResponse
		w.await(t, func() bool {
			var err error
			resp, err = w.Direct(2).Changes(t.Context(), &diamond.ChangesRequest{After: after, Namespace: diamond.AllNamespaces})
			return err == nil
		})
		for i, c := range resp.Changes {
			require.Equal(t, c.Number == 0, i == 0 || resp.Changes[i-1].Revision != c.Revision, "an answer begins with a whole set")
		}
		if n := len(resp.Changes); n > 0 {
			require.Equal(t, resp.Changes[n-1].Count-1, resp.Changes[n-1].Number, "and ends with one")
		}
		after, more = resp.Position, resp.More
	}
}
