package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// What only rights may say of a set counts at the inner door, and is dropped at the public one.
func TestCommit_WhatOnlyTheInnerDoorTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Serve(t, store)
		inner := systemDoor(srv)
		set := func(content string) conf.ChangeSet {
			s := setOf("a", content)
			s.RequestID, s.Asked, s.Origin = "r", [32]byte{1}, "cli"
			return s
		}
		origin := func() string {
			changes, err := store.History(t.Context(), conf.NewKey("", "a"), 0, 1)
			require.NoError(t, err)
			return changes[0].Origin
		}
		_, err := srv.CommitSet(set("1"))
		require.NoError(t, err)
		assert.Empty(t, origin(), "the store has no rights, so earlier programs must be able to read it")
		_, err = srv.CommitSet(set("2"))
		require.ErrorIs(t, err, conf.ErrInvalid, "the id is bound to the set, whatever its sender says it asked")

		first := set("3")
		first.RequestID = "inner"
		_, err = inner.Commit(t.Context(), &conf.CommitRequest{Set: first})
		require.NoError(t, err)
		assert.Equal(t, "cli", origin())
		again := set("4")
		again.RequestID = "inner"
		got, err := inner.Commit(t.Context(), &conf.CommitRequest{Set: again})
		require.NoError(t, err)
		assert.True(t, got.Replayed)
	})
}

// Rights add Checks to a set that may have as many as a caller may send.
func TestCommit_ChecksAtBothDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		checks := func(n int) conf.ChangeSet {
			set := setOf("a", "1")
			for i := range n {
				set.Checks = append(set.Checks, conf.Check{Key: conf.NewKey("", fmt.Sprint("c", i))})
			}
			return set
		}
		_, err := srv.CommitSet(checks(conf.MaxChanges))
		require.NoError(t, err)
		_, err = srv.CommitSet(checks(conf.MaxChanges + 1))
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = systemDoor(srv).Commit(t.Context(), &conf.CommitRequest{Set: checks(2 * conf.MaxChanges)})
		require.NoError(t, err)
		_, err = systemDoor(srv).Commit(t.Context(), &conf.CommitRequest{Set: checks(2*conf.MaxChanges + 1)})
		require.ErrorIs(t, err, conf.ErrInvalid)
	})
}
