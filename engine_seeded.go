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

// spoil returns what such a feed would see of sets.
func (f *seededFeed) spoil(sets []step) []step {
	if seeded.WallclockFeed {
		for i := range sets {
			sets[i].changes = slices.DeleteFunc(sets[i].changes, func(c Change) bool { return c.Time.Before(f.looked) })
		}
		f.looked = time.Now()
	}
	if seeded.ApplyUnorderedNotify && len(sets) > 0 {
		sets = sets[len(sets)-1:]
	}
	return sets
}
