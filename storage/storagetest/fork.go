package storagetest

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func forkClauses() []clause {
	fork := func(p *probe, verified conf.Position) conf.Position {
		p.Helper()
		at, err := p.store.Fork(p.Context(), verified)
		require.NoError(p, err)
		return at
	}
	return []clause{
		{"NewEpoch", "Fork begins a new epoch with a change of its own, one above the head; nothing else changes.", func(p *probe) {
			first := p.commit(put("a", "x"))
			at := fork(p, conf.Position{})
			require.Equal(p, at, p.head())
			require.EqualValues(p, 2, at.Revision)
			require.Equal(p, first.Store, at.Store)
			require.EqualValues(p, 2, at.Epoch.Generation)
			require.NotEqual(p, first.Epoch.ID, at.Epoch.ID)
			changes := p.changes(first)
			require.Len(p, changes, 1)
			require.Equal(p, conf.OpFork, changes[0].Op)
			require.Equal(p, at.Epoch, changes[0].Epoch)
			require.Zero(p, changes[0].Key)
			require.EqualValues(p, 1, p.read("a").Revision)
			require.EqualValues(p, 3, p.commit(putIf("a", "y", 1)).Revision)
		}},
		{"AboveVerified", "The fork is above what the caller has verified: the only gap of revisions that there can be, and the chain goes over it.", func(p *probe) {
			first := p.commit(put("a", "x"))
			verified := first
			verified.Revision, verified.Chain = 110, conf.Chain{1}
			at := fork(p, verified)
			require.EqualValues(p, 111, at.Revision)
			require.EqualValues(p, 112, p.commit(put("a", "y")).Revision)
			require.Equal(p, []int64{1, 111, 112}, revisions(p.changes(conf.Position{})))
			require.Equal(p, []int64{111, 112}, revisions(p.changes(first)), "a position of an earlier epoch with the right chain is a good one")
		}},
		{"LostPositions", "A position of changes that were lost is ErrEpoch, below and above the fork.", func(p *probe) {
			first := p.commit(put("a", "x"))
			lost := first
			lost.Revision, lost.Chain = 5, conf.Chain{1}
			fork(p, lost)
			for _, revision := range []int64{2, 5, 6, 7} {
				at := lost
				at.Revision = revision
				_, err := p.store.Changes(p.Context(), at, all)
				require.ErrorIs(p, err, conf.ErrEpoch, "revision %d", revision)
			}
		}},
		{"Conditional", "Where a generation above verified's has begun, Fork writes nothing and returns the head.", func(p *probe) {
			first := p.commit(put("a", "x"))
			lost := first
			lost.Revision, lost.Chain = 5, conf.Chain{1}
			fork(p, lost)
			head := p.commit(put("a", "y"))
			require.Equal(p, head, fork(p, lost))
			require.Equal(p, head, p.head())
		}},
		{"NothingLost", "Where the log, or its horizon, has verified's revision with its chain, Fork writes nothing and returns the head.", func(p *probe) {
			first := p.commit(put("a", "x"))
			require.Equal(p, first, fork(p, first), "the head")
			head := p.commit(put("a", "y"))
			require.Equal(p, head, fork(p, first), "the head has gone on")
			require.Equal(p, head, p.head())
			another := first
			another.Chain[0] ^= 1
			require.EqualValues(p, 2, fork(p, another).Epoch.Generation, "another history had that revision")
		}},
		{"Zero", "A zero verified has an epoch begin in any case.", func(p *probe) {
			require.EqualValues(p, 1, fork(p, conf.Position{}).Revision)
			require.EqualValues(p, 3, fork(p, conf.Position{}).Epoch.Generation)
		}},
		{"OtherStore", "Fork with another store's position is ErrOtherStore.", func(p *probe) {
			at := p.commit(put("a", "x"))
			at.Store[0] ^= 1
			_, err := p.store.Fork(p.Context(), at)
			require.ErrorIs(p, err, conf.ErrOtherStore)
			require.EqualValues(p, 1, p.head().Revision)
		}},
		{"Race", "Of many who fork from one position, one does.", func(p *probe) {
			at := p.commit(put("a", "x"))
			at.Revision, at.Chain = 2, conf.Chain{1}
			var wg sync.WaitGroup
			positions := make([]conf.Position, 8)
			errs := make([]error, len(positions))
			for i := range positions {
				wg.Go(func() { positions[i], errs[i] = p.store.Fork(p.Context(), at) })
			}
			wg.Wait()
			for i := range positions {
				require.NoError(p, errs[i])
				require.Equal(p, positions[0], positions[i])
			}
		}},
		{"D9_NewerPosition", "A reader whose position was lost starts again: its old position is refused, and following from a new start ends at the head.", func(p *probe) {
			first := p.commit(put("a", "1"))
			newer := first
			newer.Revision, newer.Chain = 9, conf.Chain{9}
			_, err := p.store.Changes(p.Context(), newer, all)
			require.ErrorIs(p, err, conf.ErrEpoch, "above the head, before the fork")
			at := fork(p, newer)
			require.Positive(p, at.Compare(newer), "the new epoch is a step forward")
			p.commit(put("a", "2"))
			require.Len(p, p.changes(at), 1)
		}},
	}
}

func closeClauses() []clause {
	return []clause{
		{"Closed", "Every call after Close is ErrClosed; a second Close does nothing.", func(p *probe) {
			p.commit(put("a", "x"))
			require.NoError(p, p.store.Close())
			require.NoError(p, p.store.Close())
			ctx := p.Context()
			calls := map[string]func() error{
				"Commit":     func() error { _, err := p.store.Commit(ctx, []conf.ChangeSet{put("a", "y")}); return err },
				"Read":       func() error { _, err := p.store.Read(ctx, key("a"), 0); return err },
				"Changes":    func() error { _, err := p.store.Changes(ctx, conf.Position{}, all); return err },
				"Scan":       func() error { _, err := p.store.Scan(ctx, conf.ScanRequest{Limit: 1}); return err },
				"History":    func() error { _, err := p.store.History(ctx, key("a"), 0, 1); return err },
				"Fork":       func() error { _, err := p.store.Fork(ctx, conf.Position{}); return err },
				"PositionAt": func() error { _, err := p.store.PositionAt(ctx, 1); return err },
			}
			for name, call := range calls {
				require.ErrorIs(p, call(), conf.ErrClosed, name)
			}
		}},
		{"Waits", "Close waits for calls under way: each is done or was refused with ErrClosed.", func(p *probe) {
			var wg sync.WaitGroup
			started := make(chan struct{}, 8)
			errs := make([]error, cap(started))
			for i := range errs {
				wg.Go(func() {
					started <- struct{}{}
					for errs[i] == nil {
						_, errs[i] = p.store.Commit(p.Context(), []conf.ChangeSet{put("a", "x")})
					}
				})
			}
			for range errs {
				<-started
			}
			require.NoError(p, p.store.Close())
			wg.Wait()
			for _, err := range errs {
				require.ErrorIs(p, err, conf.ErrClosed)
			}
		}},
	}
}
