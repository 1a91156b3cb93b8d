package diamond

import (
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/seeded"
)

// seededFeed has the defects of other systems' feeds, where one is built in.
type seededFeed struct {
	looked time.Time // by this server's clock
}

// spoil takes from a batch what such a feed would not see.
func (f *seededFeed) spoil(batch *Batch) {
	if seeded.WallclockFeed {
		batch.Changes = slices.DeleteFunc(batch.Changes, func(c Change) bool { return c.Time.Before(f.looked) })
		f.looked = time.Now()
	}
	if seeded.ApplyUnorderedNotify && len(batch.Changes) > 0 {
		last := batch.Changes[len(batch.Changes)-1]
		batch.Changes = batch.Changes[len(batch.Changes)-last.Count:]
	}
}
