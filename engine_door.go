package diamond

import "context"

// Commit implements [Transport].
func (s *server) Commit(ctx context.Context, req *CommitRequest) (*CommitResponse, error) {
	result, err := s.commit(ctx, &req.Set)
	s.counters.outcome(err)
	if err != nil {
		var key Key
		if req.Set.Len() == 1 {
			key = onlyKey(&req.Set)
		}
		return nil, answerError(ctx, "commit", key, err)
	}
	return &CommitResponse{Position: result.Position, Replayed: result.Replayed}, nil
}

func (s *server) commit(ctx context.Context, asked *ChangeSet) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if err := s.committer.ready(); err != nil {
		return Result{}, err
	}
	set := asked.Canonical()
	set.Caller = CallerFrom(ctx)
	if err := set.Validate(s.cfg.maxContent); err != nil {
		return Result{}, err
	}
	if err := set.refuseSystem(); err != nil {
		return Result{}, err
	}
	return s.committer.commit(ctx, set)
}

// OnCommitted implements [Server].
func (s *server) OnCommitted(committed func(Position)) (stop func()) {
	return s.committer.subscribers.add(committed)
}
