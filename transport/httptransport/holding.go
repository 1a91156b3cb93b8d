package httptransport

import (
	"net/http"
	"time"
	"unsafe"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/budget"
)

// sharedPart is the size from which a part of an answer is taken for one that others
// may hold too, as contents are. Smaller parts count for each answer.
const sharedPart = 4 << 10

// holding is what one answer holds of the budget while it is written: its peer may
// take long to read it.
type holding struct {
	budget *budget.Budget
	source string
	keys   []any // of what is held
}

// holdAnswer returns what the answer to r holds, which is released when it has been
// written, or ErrOverloaded. One that fits into the socket's buffer holds nothing.
func (h *handler) holdAnswer(r *http.Request, parts ...string) (holding, error) {
	held := holding{budget: h.memory}
	var size, own int64
	for _, p := range parts {
		size += int64(len(p))
		if len(p) < sharedPart {
			own += int64(len(p))
		}
	}
	if size <= smallAnswer || r.Method == http.MethodHead {
		return held, nil
	}
	held.source = budget.Source(r.RemoteAddr)
	taken := own == 0 || held.take(new(int64), own) // a key that no other has
	for _, p := range parts {
		if taken && len(p) >= sharedPart {
			taken = held.take(unsafe.StringData(p), int64(len(p)))
		}
	}
	if taken {
		return held, nil
	}
	held.release()
	e := diamond.Errorf(diamond.ErrOverloaded, "the answers that %s, or all, have not read yet take more memory than they may", held.source)
	e.RetryAfter = time.Second
	return holding{}, e
}

// take holds n bytes. Parts of different answers that are one in memory have one key.
func (a *holding) take(key any, n int64) bool {
	if !a.budget.TakeShared(a.source, key, n) {
		return false
	}
	a.keys = append(a.keys, key)
	return true
}

func (a *holding) release() {
	for _, key := range a.keys {
		a.budget.GiveShared(a.source, key)
	}
	a.keys = nil
}
