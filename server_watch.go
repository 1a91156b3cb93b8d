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
	resp, err := s.changesAfter(ctx, req.After, req)
	if err != nil || len(resp.Changes) > 0 || wait == 0 {
		return resp, err
	}
	if err := s.park(); err != nil {
		return nil, err
	}
	defer s.parked.Add(-1)
	for len(resp.Changes) == 0 && waiting.Err() == nil && !s.draining.Load() {
		after := resp.Position
		err := s.await(waiting, func(st *state) bool { return s.draining.Load() || resp.More || st.past(after) })
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waiting.Err() != nil || s.draining.Load():
			// Nothing came in time.
		case err != nil:
			return nil, err
		default:
			if resp, err = s.changesAfter(ctx, after, req); err != nil {
				return nil, err
			}
		}
	}
	resp.Draining = s.draining.Load()
	return resp, nil
}

// past reports whether there are changes after p.
func (st *state) past(p Position) bool {
	return st.position != p && st.reached(p)
}

// changesAfter returns what the filter leaves of the changes that follow. It
// asks the storage only where there are any.
func (s *server) changesAfter(ctx context.Context, after Position, req *ChangesRequest) (*ChangesResponse, error) {
	st, err := s.serving()
	if err != nil {
		return nil, err
	}
	resp := &ChangesResponse{Position: after, Draining: s.draining.Load()}
	if after == st.position {
		return resp, nil
	}
	batch, err := s.after(ctx, st, after)
	if err != nil {
		return nil, err
	}
	// Who sees a change here and then reads it here must find it.
	if err := s.notBefore(ctx, batch.Position, reachTimeout); err != nil {
		return nil, err
	}
	resp.Position, resp.More = batch.Position, batch.Position != batch.Head
	for _, c := range batch.Changes {
		if c.Op != OpFork && (c.Key.System() || !req.Matches(c.Key)) {
			continue
		}
		if !req.Contents {
			c.Content = ""
		}
		resp.Changes = append(resp.Changes, c)
	}
	return resp, nil
}

// after returns changes that follow a position: those that the copy on disk
// has, so that watches cost a shared storage nothing, else the storage's.
func (s *server) after(ctx context.Context, st *state, p Position) (Batch, error) {
	if s.copy != nil && s.copy.has(st, p.Revision+1) {
		if batch, err := s.copy.local.Changes(ctx, p, watchBytes); err == nil && len(batch.Changes) > 0 {
			return batch, nil
		}
	}
	return s.storage.Changes(ctx, p, watchBytes)
}
