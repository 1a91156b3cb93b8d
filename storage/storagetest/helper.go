package storagetest

import (
	"context"
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// contextOf returns the context of a test, either of testing or of rapid.
func contextOf(t require.TestingT) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}

func revisions(changes []conf.Change) []int64 {
	r := make([]int64, len(changes))
	for i := range changes {
		r[i] = changes[i].Revision
	}
	return r
}

func keysOf(entries []conf.Entry) []string {
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].Key.DataID
	}
	return ids
}

func isNotFound(err error) bool { return errors.Is(err, conf.ErrNotFound) }

// currentOf returns the actual revision in the error of a condition.
func currentOf(err error) (int64, error) {
	var e *conf.Error
	if !errors.Is(err, conf.ErrConflict) || !errors.As(err, &e) {
		return 0, err
	}
	return e.Current, nil
}
