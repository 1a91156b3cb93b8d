package diamond

import "github.com/linnaname/gdiamond/internal/seeded"

// spoilWatch returns what a watch yields to: yield itself, or where that defect
// is built in, one that splits answers.
func spoilWatch(yield func(*ChangesResponse, error) bool) func(*ChangesResponse, error) bool {
	if !seeded.SplitBatch {
		return yield
	}
	return func(resp *ChangesResponse, err error) bool {
		if err == nil && len(resp.Changes) > 1 {
			first := *resp
			first.Changes, resp.Changes = resp.Changes[:1], resp.Changes[1:]
			if !yield(&first, nil) {
				return false
			}
		}
		return yield(resp, err)
	}
}
