package boltstore

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	diamond "github.com/linnaname/gdiamond"
)

// Entries and bytes of content, as in the project's other benchmarks.
const (
	benchEntries = 100_000
	benchContent = 1 << 10
)

func benchKey(i int) diamond.Key {
	return diamond.NewKey("bench", fmt.Sprintf("application-%06d.json", i))
}

func benchSet(random *rand.Rand, i int) diamond.ChangeSet {
	content := make([]byte, benchContent)
	for i := range content {
		content[i] = 'a' + byte(random.IntN(26))
	}
	return diamond.ChangeSet{Drafts: []diamond.Draft{{Key: benchKey(i), Content: string(content), Type: "json"}}}
}

func fill(b *testing.B, s *Store, random *rand.Rand) {
	b.Helper()
	s.db.NoSync = true
	for i := 0; i < benchEntries; i += 1000 {
		sets := make([]diamond.ChangeSet, 1000)
		for j := range sets {
			sets[j] = benchSet(random, i+j)
		}
		_, err := s.Commit(b.Context(), sets)
		require.NoError(b, err)
	}
	s.db.NoSync = false
	require.NoError(b, s.db.Sync())
}

// BenchmarkCommit commits sets of one change, random keys over 100,000
// entries, durable. BenchmarkBareBolt is its baseline: a loop that does nothing
// but write rows of the same keys and lengths. Compare sets/s.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("sets=", n), func(b *testing.B) {
			s, err := Open(b.TempDir())
			require.NoError(b, err)
			random := rand.New(rand.NewPCG(1, 1))
			fill(b, s, random)
			sets := make([]diamond.ChangeSet, n)
			b.ResetTimer()
			for range b.N {
				for j := range sets {
					sets[j] = benchSet(random, random.IntN(benchEntries))
				}
				_, err := s.Commit(b.Context(), sets)
				require.NoError(b, err)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "sets/s")
			require.NoError(b, s.Close())
		})
	}
}

func BenchmarkBareBolt(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("sets=", n), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 1))
			logRow, currentRow := benchRows(b)
			db, err := bolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
			require.NoError(b, err)
			revision := int64(0)
			write := func(tx *bolt.Tx, i int) error {
				set := benchSet(random, i) // made here too, so that both loops make their contents
				row := append([]byte(nil), logRow...)
				copy(row[len(row)-benchContent:], set.Drafts[0].Content)
				revision++
				if err := tx.Bucket([]byte("log")).Put(pointer{revision: revision}.bytes(), row); err != nil {
					return err
				}
				return tx.Bucket([]byte("current")).Put(keyBytes(benchKey(i)), currentRow)
			}
			require.NoError(b, db.Update(func(tx *bolt.Tx) error {
				_, err := tx.CreateBucket([]byte("log"))
				require.NoError(b, err)
				_, err = tx.CreateBucket([]byte("current"))
				return err
			}))
			db.NoSync = true
			for i := 0; i < benchEntries; i += 1000 {
				require.NoError(b, db.Update(func(tx *bolt.Tx) error {
					for j := range 1000 {
						if err := write(tx, i+j); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			db.NoSync = false
			require.NoError(b, db.Sync())
			b.ResetTimer()
			for range b.N {
				require.NoError(b, db.Update(func(tx *bolt.Tx) error {
					for range n {
						if err := write(tx, random.IntN(benchEntries)); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "sets/s")
			require.NoError(b, db.Close())
		})
	}
}

// benchRows returns the rows that a commit writes, to have their lengths.
func benchRows(b *testing.B) (logRow, currentRow []byte) {
	b.Helper()
	s, err := Open(b.TempDir())
	require.NoError(b, err)
	set := benchSet(rand.New(rand.NewPCG(1, 1)), 1)
	_, err = s.Commit(b.Context(), []diamond.ChangeSet{set})
	require.NoError(b, err)
	require.NoError(b, s.db.View(func(tx *bolt.Tx) error {
		v, err := newView(tx)
		require.NoError(b, err)
		logRow = append(logRow, v.log.Get(pointer{revision: 1}.bytes())...)
		currentRow = append(currentRow, v.current.Get(keyBytes(benchKey(1)))...)
		return nil
	}))
	require.NoError(b, s.Close())
	return logRow, currentRow
}

// BenchmarkStart opens a store of 100,000 entries and scans it without
// contents, as a server does when it starts.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir)
	require.NoError(b, err)
	fill(b, s, rand.New(rand.NewPCG(1, 1)))
	require.NoError(b, s.Close())
	b.Run("open", func(b *testing.B) {
		for range b.N {
			s, err := Open(dir)
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
	b.Run("scan", func(b *testing.B) {
		s, err := Open(dir)
		require.NoError(b, err)
		for range b.N {
			req := diamond.ScanRequest{Limit: 1000}
			n := 0
			for {
				page, err := s.Scan(b.Context(), req)
				require.NoError(b, err)
				if n += len(page.Entries); !page.More {
					break
				}
				req.After = page.Entries[len(page.Entries)-1].Key
			}
			require.Equal(b, benchEntries, n)
		}
		require.NoError(b, s.Close())
	})
}
