package boltstore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func key(dataID string) conf.Key { return conf.NewKey("", dataID) }

func put(dataID, content string) conf.ChangeSet {
	return conf.ChangeSet{Drafts: []conf.Draft{{Key: key(dataID), Content: content}}}
}

// commit commits one set, which must succeed.
func commit(t testing.TB, s *Store, set conf.ChangeSet) conf.Position {
	t.Helper()
	r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.NoError(t, r[0].Err)
	return r[0].Position
}

// dump reads all that a store holds, by every method, as one text to compare.
func dump(ctx context.Context, s *Store) (string, error) {
	var b strings.Builder
	page, err := s.Scan(ctx, conf.ScanRequest{Limit: 10_000, Contents: true})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "%v\n", page.Position)
	for _, e := range page.Entries {
		fmt.Fprintf(&b, "%v\n", e)
		changes, err := s.History(ctx, e.Key, 0, 1000)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%v\n", changes)
		for _, c := range changes {
			if c.Op != conf.OpPublish {
				continue
			}
			old, err := s.Read(ctx, e.Key, c.Revision)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%v\n", old)
		}
	}
	batch, err := s.Changes(ctx, conf.Position{}, 1<<40)
	fmt.Fprintf(&b, "%v\n", batch)
	return b.String(), err
}

// sound asserts that Check finds nothing wrong in dir.
func sound(t testing.TB, dir string) Report {
	t.Helper()
	report, err := Check(t.Context(), dir)
	require.NoError(t, err, "%v", report)
	require.Empty(t, report.Problems)
	return report
}

// fileOf returns the path of the store's file.
func fileOf(dir string) string { return filepath.Join(dir, fileName) }

// child returns a command that runs test in a process of its own, with role
// and dir in its environment.
func child(t *testing.T, test, role, dir string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.timeout=10m")
	c.Env = append(os.Environ(), "BOLTSTORE_ROLE="+role, "BOLTSTORE_DIR="+dir)
	c.WaitDelay = 10 * time.Second
	return c
}

// role returns what this process is to do as a child, "" if it is none.
func role() (role, dir string) { return os.Getenv("BOLTSTORE_ROLE"), os.Getenv("BOLTSTORE_DIR") }

// writeAt is how bbolt writes to its file.
type writeAt = func(b []byte, offset int64) (int, error)

// intercept puts write, given the real one, in the place of bbolt's function
// that writes to the file. bbolt keeps it for its own tests only.
func intercept(t *testing.T, s *Store, write func(real writeAt) writeAt) {
	t.Helper()
	field := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	require.True(t, field.IsValid(), "bbolt's write function has another name now")
	field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
	field.Set(reflect.ValueOf(write(field.Interface().(writeAt))))
}

// metaWrite reports whether a write is that of a meta page, the last of a commit.
func metaWrite(s *Store, offset int64) bool { return offset < 2*int64(s.db.Info().PageSize) }
