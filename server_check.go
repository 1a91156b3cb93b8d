package diamond

import "context"

func (s *server) checkAlways(ctx context.Context) {}
