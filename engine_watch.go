package diamond

import "context"

// watchBytes is how many bytes of content one answer to Changes holds, or one
// change set where that has more.
const watchBytes = 1 << 20

// Changes implements [Transport].
func (s *server) Changes(ctx context.Context, req *ChangesRequest) (*ChangesResponse, error) {
	resp, err := s.watch(ctx, req)
	if err != nil {
		return nil, answerError(ctx, "changes", Key{}, err)
	}
	return resp, nil
}

func (s *server) watch(ctx context.Context, req *ChangesRequest) (*ChangesResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := validateFilter(req.Namespace, req.Group, req.Prefix); err != nil {
		return nil, err
	}
	wait := min(max(req.Wait, 0), MaxWait)
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	resp, behind, err := s.changesAfter(ctx, req.After, req)
	if err != nil || len(resp.Changes) > 0 || wait == 0 {
		return resp, err
	}
	if err := s.park(); err != nil {
		return nil, err
	}
	defer s.parked.Add(-1)
	for len(resp.Changes) == 0 && waiting.Err() == nil && !s.draining.Load() {
		err := s.untilMore(waiting, resp, behind)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waiting.Err() != nil || s.draining.Load():
			// Nothing came in time.
		case err != nil:
			return nil, err
		default:
			if resp, behind, err = s.changesAfter(ctx, resp.Position, req); err != nil {
				return nil, err
			}
		}
	}
	resp.Draining = s.draining.Load()
	return resp, nil
}

// untilMore waits until there may be more than resp. A storage that was behind
// is asked again at the feed's pace: what is served meanwhile does not tell when
// it has caught up.
func (s *server) untilMore(ctx context.Context, resp *ChangesResponse, behind bool) error {
	if !behind {
		return s.await(ctx, func(st *state) bool { return s.draining.Load() || resp.More || st.past(resp.Position) })
	}
	pause, cancel := context.WithTimeout(ctx, s.cfg.feedInterval)
	defer cancel()
	if err := s.await(pause, func(*state) bool { return s.draining.Load() }); pause.Err() == nil {
		return err
	}
	return nil
}

// changesAfter returns what the filter leaves of the changes that follow. It
// asks the storage only for what is not among the recent ones; behind says that
// it did not show any.
func (s *server) changesAfter(ctx context.Context, after Position, req *ChangesRequest) (resp *ChangesResponse, behind bool, err error) {
	st, err := s.serving()
	if err != nil {
		return nil, false, err
	}
	resp = &ChangesResponse{Position: after, Draining: s.draining.Load()}
	if after == st.position {
		return resp, false, nil
	}
	if sets, ok := s.recent.after(after); ok {
		addRecent(resp, sets, req)
	} else {
		batch, err := s.after(ctx, st, after)
		if err != nil {
			return nil, false, err
		}
		addChanges(resp, batch.Changes, req)
		resp.Position, resp.More = batch.Position, batch.Position != batch.Head
		behind = batch.Position == after
	}
	// Who sees a change here and then reads it here must find it.
	if err := s.notBefore(ctx, resp.Position, reachTimeout); err != nil {
		return nil, false, err
	}
	return resp, behind, nil
}

// addRecent adds to resp what the filter leaves of sets, up to the bytes of an answer.
func addRecent(resp *ChangesResponse, sets []step, req *ChangesRequest) {
	for bytes := int64(0); len(sets) > 0; sets = sets[1:] {
		if bytes >= watchBytes {
			resp.More = true
			return
		}
		before := len(resp.Changes)
		addChanges(resp, sets[0].changes, req)
		resp.Position = sets[0].to
		bytes += bytesOf(resp.Changes[before:])
	}
}

// addChanges adds to resp what the filter leaves of changes.
func addChanges(resp *ChangesResponse, changes []Change, req *ChangesRequest) {
	for _, c := range changes {
		if c.Op != OpFork && (c.Key.System() || !req.Matches(c.Key)) {
			continue
		}
		if !req.Contents {
			c.Content = ""
		}
		resp.Changes = append(resp.Changes, c)
	}
}

// after returns changes that follow a position: those that the copy on disk
// has, so that watches cost a shared storage nothing, else the storage's.
func (s *server) after(ctx context.Context, st *state, p Position) (Batch, error) {
	if s.replica.has(st, p.Revision+1) {
		if batch, err := s.replica.local.Changes(ctx, p, watchBytes); err == nil && len(batch.Changes) > 0 {
			return batch, nil
		}
	}
	return s.storage.Changes(ctx, p, watchBytes)
}
