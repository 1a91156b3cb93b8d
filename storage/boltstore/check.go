package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
)

// Report is the result of [Check].
type Report struct {
	Position conf.Position // of the head
	Horizon  int64         // the revision after which the log begins
	Keys     int           // with an entry
	Changes  int           // in the log
	Versions int           // values and tombstones kept, in the log or not
	Requests int           // request ids remembered
	Contents int64         // bytes of content kept
	File     int64         // bytes of the file
	// Problems describes the damage in one line each, or is empty if the store is
	// sound. If there are many problems, it has only the first.
	Problems []string
}

// maxProblems is the largest number of problems in a report.
const maxProblems = 100

// String returns the report in lines of text. If nothing of the store could be read, it
// has only the problems.
func (r Report) String() string {
	var b strings.Builder
	if r.Position.Store != (conf.StoreID{}) {
		r.summarise(&b)
	}
	if len(r.Problems) == 0 {
		b.WriteString("no damage found\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "DAMAGED    %s\n", p)
	}
	return b.String()
}

func (r *Report) summarise(b *strings.Builder) {
	fmt.Fprintf(b, "store      %v\n", r.Position.Store)
	fmt.Fprintf(b, "generation %d\n", r.Position.Epoch.Generation)
	fmt.Fprintf(b, "revision   %d\n", r.Position.Revision)
	fmt.Fprintf(b, "chain      %v\n", r.Position.Chain)
	fmt.Fprintf(b, "keys       %d\n", r.Keys)
	fmt.Fprintf(b, "changes    %d after revision %d\n", r.Changes, r.Horizon)
	fmt.Fprintf(b, "versions   %d of %d bytes\n", r.Versions, r.Contents)
	fmt.Fprintf(b, "requests   %d\n", r.Requests)
	fmt.Fprintf(b, "file       %d bytes\n", r.File)
}

// Check verifies the whole store in dir and changes nothing. It checks the structure of
// the file, the chain of the log, the hash of every kept content, and that the current
// view, the versions and the request ids agree with the log. The store must not be open.
//
// The error is ErrCorrupt if damage was found, which the report lists, ErrNotFound if
// there is no store in dir, and ErrInUse if the store is open.
func Check(ctx context.Context, dir string) (Report, error) {
	return check(ctx, filepath.Join(dir, fileName), dir)
}

// CheckBackup is [Check] for a file written by [Store.Backup].
func CheckBackup(ctx context.Context, file string) (Report, error) {
	return check(ctx, file, file)
}

// check verifies the store at path. Errors use name for it.
func check(ctx context.Context, path, name string) (Report, error) {
	report, err := verify(ctx, path)
	if err != nil && len(report.Problems) == 0 {
		err = openFault(name, err)
		if errors.Is(err, conf.ErrCorrupt) {
			c := &checker{Report: &report}
			c.problem("%v", err)
		}
	}
	return report, err
}

// verify checks the store at path.
func verify(ctx context.Context, path string) (report Report, err error) {
	db, err := openToRead(path)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if info, err := os.Stat(path); err == nil {
		report.File = info.Size()
	}
	c := &checker{Report: &report}
	if err := checkPages(path); err != nil {
		c.problem("%v", err)
		return report, c.verdict()
	}
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			c.problem("%v", err)
		}
		return guard(func() error { return c.check(ctx, tx) })
	})
	if err != nil {
		return report, err
	}
	return report, c.verdict()
}

// checker collects the problems of a store.
type checker struct {
	*Report
	v     *view
	found int // problems

	records int // with a key
	newest  int // records to which a row of the current view points
	linked  int // records to which a newer version points
}

func (c *checker) problem(format string, args ...any) {
	if c.found++; c.found <= maxProblems {
		// The report needs no prefix.
		text := strings.TrimPrefix(fmt.Sprintf(format, args...), "diamond: corrupt: ")
		c.Problems = append(c.Problems, text)
	}
}

func (c *checker) verdict() error {
	if c.found == 0 {
		return nil
	}
	if c.found == 1 {
		return conf.Errorf(conf.ErrCorrupt, "%s", c.Problems[0])
	}
	return conf.Errorf(conf.ErrCorrupt, "%d problems found, the first: %s", c.found, c.Problems[0])
}

func (c *checker) check(ctx context.Context, tx *bolt.Tx) (err error) {
	if c.v, err = newView(tx); err != nil {
		c.problem("%v", err)
		return nil
	}
	if c.Position, _, err = c.v.head(); err != nil {
		c.problem("%v", err)
	}
	c.Horizon = c.v.horizon
	if err := c.checkRecords(ctx); err != nil {
		return err
	}
	if err := c.checkCurrent(ctx); err != nil {
		return err
	}
	return c.checkRequests(ctx)
}

// checkRecords verifies every record, and the chain over the log.
func (c *checker) checkRecords(ctx context.Context) error {
	at, count := c.v.anchor(), c.v.sequence
	var set []conf.Change // the current set of the log
	cursor := c.v.log.Cursor()
	for k, row := cursor.First(); k != nil; k, row = cursor.Next() {
		if err := ended(ctx); err != nil {
			return err
		}
		r, err := decodeRecord(k, row)
		if err != nil {
			c.problem("%v", err)
			continue
		}
		change := c.checkRecord(r)
		if r.at.installed || r.at.revision <= c.v.horizon {
			continue
		}
		c.Changes++
		if count++; r.sequence != count {
			c.problem("change %d of revision %d is number %d of the log, counted as %d", r.at.number, r.at.revision, count, r.sequence)
			count = r.sequence
		}
		set = append(set, change)
		if r.change.Number < r.change.Count-1 {
			continue
		}
		next, err := at.Follow(set)
		if err != nil {
			c.problem("%v", err)
		} else if next.Chain != r.chain {
			c.problem("revision %d has chain %v, its changes make %v", r.at.revision, r.chain, next.Chain)
		}
		at, set = c.v.position(r.at.revision, r.chain), nil
	}
	if len(set) > 0 {
		c.problem("the last set is not whole")
	}
	if at != c.Position {
		c.problem("the log ends at revision %d, the head is %d", at.Revision, c.Position.Revision)
	}
	return nil
}

// checkRecord verifies the content of one record, and its place among the versions of its
// key. It returns the change with its content.
func (c *checker) checkRecord(r *record) conf.Change {
	change, err := r.full()
	if err != nil {
		c.problem("%v", err)
	}
	if change.Op == conf.OpFork {
		return change
	}
	name := fmt.Sprintf("%v at revision %d", change.Key, r.at.revision)
	c.records++
	c.Versions++
	c.Contents += change.Size
	if change.Op == conf.OpPublish && conf.MD5Hex(change.Content) != change.MD5 {
		c.problem("content of %s does not have its MD5", name)
	}
	cur, err := c.v.row(change.Key)
	switch {
	case err != nil: // reported with the row
	case cur == nil:
		c.problem("%s: the key has no row in the current view", name)
	case cur.at == r.at:
		c.newest++
		key := keyBytes(change.Key)
		if !bytes.Equal(currentOf(r).encode(key), cur.encode(key)) {
			c.problem("%s: the row in the current view says otherwise", name)
		}
	case r.at.revision >= cur.at.revision || r.ordinal >= cur.ordinal:
		c.problem("%s is newer than the key's current version, %d", name, cur.at.revision)
	}
	prev, err := c.v.record(r.prev)
	if err != nil || prev == nil {
		return change // reported with the record, or removed
	}
	c.linked++
	if prev.change.Key != change.Key || prev.ordinal != r.ordinal-1 || prev.at.revision >= r.at.revision {
		c.problem("%s: the version before it is not one", name)
	}
	return change
}

// checkCurrent verifies that every row of the current view has its record, and that every
// record is the newest version of its key or linked from a newer one.
func (c *checker) checkCurrent(ctx context.Context) error {
	rows := 0
	cursor := c.v.current.Cursor()
	for k, row := cursor.First(); k != nil; k, row = cursor.Next() {
		if err := ended(ctx); err != nil {
			return err
		}
		rows++
		key, err := parseKey(k)
		if err != nil {
			c.problem("%v", err)
			continue
		}
		cur, err := decodeCurrent(key, k, row)
		if err != nil {
			c.problem("%v", err)
			continue
		}
		if cur.op == conf.OpPublish {
			c.Keys++
		}
	}
	if c.newest != rows {
		c.problem("the current view has %d rows, %d of them with their record", rows, c.newest)
	}
	if c.newest+c.linked != c.records {
		c.problem("%d versions are kept, %d of them can be reached from the current view", c.records, c.newest+c.linked)
	}
	return nil
}

// checkRequests verifies the request ids.
func (c *checker) checkRequests(ctx context.Context) error {
	cursor := c.v.requests.Cursor()
	for k, row := cursor.First(); k != nil; k, row = cursor.Next() {
		if err := ended(ctx); err != nil {
			return err
		}
		c.Requests++
		r, err := decodeRequest(k, row)
		if err != nil {
			c.problem("%v", err)
			continue
		}
		if r.revision <= c.v.horizon {
			continue // its change may have been removed
		}
		if chain, err := c.v.chainAt(r.revision); err != nil || chain != r.chain {
			c.problem("a request id says revision %d, with another chain than the log", r.revision)
		}
	}
	return nil
}
