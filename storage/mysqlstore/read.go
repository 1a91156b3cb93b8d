package mysqlstore

import (
	"context"
	"database/sql"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// Read implements [diamond.Storage].
func (s *Store) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	current, join := "e.revision", `LEFT JOIN diamond_entry e ON e.namespace = ? AND e.grp = ? AND e.data_id = ? AND e.op = 1
		LEFT JOIN diamond_change c ON c.revision = e.revision AND c.number = e.number`
	args := keyArgs(key)
	if revision != 0 {
		current, join = "NULL", "LEFT JOIN diamond_change c ON c.namespace = ? AND c.grp = ? AND c.data_id = ? AND c.revision = ?"
		args = append(args, revision)
	}
	statement := "SELECT k.horizon, " + current + ", " + columnsOf("c", changeColumns) + ", c.content FROM diamond_counter k " + join
	var horizon int64
	var entry conf.Entry
	counted, found, value := false, false, false // whether the counter, the version and a value exist
	err := s.query(ctx, statement+" WHERE k.id = 1", args, func(rows *sql.Rows) error {
		counted = true
		var at sql.NullInt64 // the revision of the current version, if that is requested
		var row changeRow
		if err := rows.Scan(append([]any{&horizon, &at}, row.fields(true)...)...); err != nil {
			return err
		}
		if found = row.there(); !found {
			if at.Valid {
				return storage.KeyError(key, conf.ErrCorrupt, "the row of its current version is missing")
			}
			return nil
		}
		v, err := row.version(true)
		if value = v.change.Op == conf.OpPublish; value && err == nil {
			entry = v.change.Entry()
		}
		return err
	})
	switch {
	case err != nil:
		return conf.Entry{}, err
	case !counted:
		return conf.Entry{}, noCounter()
	case value:
		return entry, nil
	case revision == 0:
		return conf.Entry{}, storage.KeyError(key, conf.ErrNotFound, "")
	case !found && revision <= horizon:
		return conf.Entry{}, storage.KeyError(key, conf.ErrCompacted, "revision %d is no longer kept", revision)
	}
	return conf.Entry{}, storage.KeyError(key, conf.ErrNotFound, "no value was published at revision %d", revision)
}

// History implements [diamond.Storage].
func (s *Store) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	statement := "SELECT " + changeColumns + " FROM diamond_change WHERE " + isKey
	args := keyArgs(key)
	if before != 0 {
		statement += " AND revision < ?"
		args = append(args, before)
	}
	var changes []conf.Change
	err := s.query(ctx, statement+" ORDER BY revision DESC LIMIT ?", append(args, max(limit, 0)), func(rows *sql.Rows) error {
		var row changeRow
		if err := rows.Scan(row.fields(false)...); err != nil {
			return err
		}
		v, err := row.version(false)
		changes = append(changes, v.change)
		return err
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// At implements [diamond.Replica].
func (s *Store) At(ctx context.Context) (conf.Position, error) {
	var c counter
	counted := false
	err := s.query(ctx, "SELECT "+counterColumns+" FROM diamond_counter WHERE id = 1", nil, func(rows *sql.Rows) error {
		counted = true
		fields, filled := c.fields()
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		return filled()
	})
	if err == nil && !counted {
		err = noCounter()
	}
	return c.at(), err
}
