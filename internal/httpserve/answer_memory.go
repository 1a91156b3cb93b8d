package httpserve

import (
	"net/http"
	"time"
	"unsafe"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

const (
	// smallAnswer is the size up to which an answer needs nothing of the memory
	// budget: it fits into a socket's send buffer.
	smallAnswer = 32 << 10
	// sharedPart is the size from which a part of an answer counts only once, however many
	// answers share it, as they do contents. Smaller parts count for each answer.
	sharedPart = 4 << 10
)

// AnswerMemory is the part of the memory budget that one answer takes while it is written,
// because its peer may take long to read it.
type AnswerMemory struct {
	budget *budget.Budget
	source string
	keys   []any // of the parts that count
}

// HoldAnswer takes the memory of the answer to r, which is made of parts, or returns
// ErrOverloaded. The caller releases it when the answer has been written. An answer that
// fits into the socket's buffer takes none.
func HoldAnswer(memory *budget.Budget, r *http.Request, parts ...string) (AnswerMemory, error) {
	held := AnswerMemory{budget: memory}
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
	held.source = source(r)
	taken := own == 0 || held.take(new(int64), own) // a key that no other has
	for _, p := range parts {
		if taken && len(p) >= sharedPart {
			taken = held.take(unsafe.StringData(p), int64(len(p)))
		}
	}
	if taken {
		return held, nil
	}
	held.Release()
	e := conf.Errorf(conf.ErrOverloaded, "unread answers to %s, or to all addresses, take too much memory", held.source)
	e.RetryAfter = time.Second
	return AnswerMemory{}, e
}

// take takes n bytes. Different answers have the same key for a part that they share.
func (a *AnswerMemory) take(key any, n int64) bool {
	if !a.budget.TakeShared(a.source, key, n) {
		return false
	}
	a.keys = append(a.keys, key)
	return true
}

// Release gives back what a holds.
func (a *AnswerMemory) Release() {
	for _, key := range a.keys {
		a.budget.GiveShared(a.source, key)
	}
	a.keys = nil
}
