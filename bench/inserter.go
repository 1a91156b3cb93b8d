//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// inserterRole is a process that inserts rows of the change log into a table of the same form.
// Each of its connections has a prepared statement.
func inserterRole(args []string) error {
	conns, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	db, err := mysqlstore.OpenDB(args[0], silent)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(conns)
	ins := &inserter{}
	if err := ins.copyLog(db); err != nil {
		return err
	}
	for range conns {
		conn, err := db.Conn(context.Background())
		if err != nil {
			return err
		}
		statement, err := conn.PrepareContext(context.Background(), ins.text)
		if err != nil {
			return err
		}
		ins.statements = append(ins.statements, statement)
	}
	return obey(ins.String(), map[string]func(command) (any, error){
		"run": func(c command) (any, error) { return ins.run(c.Entries, c.For) },
	})
}

// inserter inserts copies of one row, each with another revision and key.
type inserter struct {
	statements []*sql.Stmt // one for each connection
	text       string
	row        []any
	revision   int // the column's index, and that of the next two
	dataID     int
	content    int
	last       atomic.Int64 // revision
}

// copyLog creates a table with the same columns, indexes and rows as the log, and uses the newest
// row as a pattern.
func (i *inserter) copyLog(db *sql.DB) error {
	for _, text := range []string{
		"CREATE TABLE bare_change LIKE diamond_change",
		"INSERT INTO bare_change SELECT * FROM diamond_change",
	} {
		if _, err := db.Exec(text); err != nil {
			return err
		}
	}
	rows, err := db.Query("SELECT * FROM diamond_change ORDER BY revision DESC LIMIT 1")
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return errors.Join(err, errors.New("the log is empty"))
	}
	i.row = make([]any, len(columns))
	fields := make([]any, len(columns))
	for j, name := range columns {
		fields[j] = &i.row[j]
		switch name {
		case "revision":
			i.revision = j
		case "data_id":
			i.dataID = j
		case "content":
			i.content = j
		}
	}
	if err := rows.Scan(fields...); err != nil {
		return err
	}
	i.text = "INSERT INTO bare_change (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"
	last, ok := i.row[i.revision].(int64)
	if !ok {
		return fmt.Errorf("the revision is a %T", i.row[i.revision])
	}
	i.last.Store(last)
	return rows.Err()
}

func (i *inserter) String() string {
	return fmt.Sprintf("%d columns, content of %d bytes", len(i.row), len(i.row[i.content].([]byte)))
}

// run inserts on every connection for a while, and returns the number of rows.
func (i *inserter) run(entries int, length time.Duration) (int64, error) {
	var done atomic.Int64
	failures := make(chan error, len(i.statements))
	var all sync.WaitGroup
	begun := time.Now()
	for _, statement := range i.statements {
		all.Go(func() {
			row := append([]any(nil), i.row...)
			for time.Since(begun) < length {
				row[i.revision] = i.last.Add(1)
				row[i.dataID] = []byte(keyOf(rand.IntN(entries)).DataID)
				if _, err := statement.Exec(row...); err != nil {
					failures <- err
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	close(failures)
	return done.Load(), <-failures // nil when there was none
}
