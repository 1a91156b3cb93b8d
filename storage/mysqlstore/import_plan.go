package mysqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/linnaname/gdiamond/conf"
)

// PlanImport reports what [Migrate], and then [ImportOriginal] into a store on to, would do.
// It writes nothing, and does not create tables. If there is a schema of another version,
// the error is a [*SchemaError].
func PlanImport(ctx context.Context, from, to *sql.DB, options ImportOptions) (*ImportReport, error) {
	s, err := unopened(ctx, to)
	if err != nil {
		return nil, err
	}
	options.DryRun = true
	return ImportOriginal(ctx, from, s, options)
}

// planned is a read-only store on a database that may have no schema.
type planned struct {
	*Store
	empty bool
}

// unopened returns the store that [New] would return after [Migrate], without writing
// anything. It need not be closed.
func unopened(ctx context.Context, db *sql.DB) (*planned, error) {
	s := configured(nil)
	s.db = db
	empty := false
	err := within(ctx, answerTimeout, func(ctx context.Context) error {
		l, err := readLimits(ctx, db)
		if err != nil {
			return err
		}
		s.limits.Store(l)
		err = checkSchema(ctx, db)
		var schema *SchemaError
		if empty = errors.As(err, &schema) && schema.Have == 0; empty {
			return nil
		}
		return err
	})
	return &planned{s, empty}, err
}

// History implements [diamond.Storage].
func (p *planned) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	if p.empty {
		return nil, nil
	}
	return p.Store.History(ctx, key, before, limit)
}
