package boltstore

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
)

// Entries and bytes of content, as in the project's other benchmarks.
const (
	benchEntries = 100_000
	benchContent = 1 << 10
)

func benchKey(i int) conf.Key {
	return conf.NewKey("bench", fmt.Sprintf("application-%06d.json", i))
}

func benchSet(random *rand.Rand, i int) conf.ChangeSet {
	content := make([]byte, benchContent)
	for i := range content {
		content[i] = 'a' + byte(random.IntN(26))
	}
	return conf.ChangeSet{Drafts: []conf.Draft{{Key: benchKey(i), Content: string(content), Type: "json"}}}
}

func fill(b *testing.B, s *Store, random *rand.Rand) {
	b.Helper()
	s.db.NoSync = true
	for i := 0; i < benchEntries; i += 1000 {
		sets := make([]conf.ChangeSet, 1000)
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
// entries, durable, beside its baselines: loops that do nothing but write rows
// of the same keys and lengths, with bbolt's own settings (plain) and with the
// store's (tuned). The three take turns, so that they meet the same disk; each
// is reported in sets/s by its median commit, the store also as a ratio.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint("sets=", n), func(b *testing.B) {
			s, err := Open(b.TempDir())
			require.NoError(b, err)
			random := rand.New(rand.NewPCG(1, 1))
			fill(b, s, random)
			plain, tuned := newBare(b, false), newBare(b, true)
			sets := make([]conf.ChangeSet, n)
			var took [3][]time.Duration
			b.ResetTimer()
			for range b.N {
				for j := range sets {
					sets[j] = benchSet(random, random.IntN(benchEntries))
				}
				for i, commit := range []func() error{
					func() error { _, err := s.Commit(b.Context(), sets); return err },
					func() error { return plain.commit(sets) },
					func() error { return tuned.commit(sets) },
				} {
					start := time.Now()
					require.NoError(b, commit())
					took[i] = append(took[i], time.Since(start))
				}
			}
			b.StopTimer()
			var median [3]float64 // of one commit, in seconds: single slow fsyncs do not count
			for i, name := range []string{"sets/s", "plain-sets/s", "tuned-sets/s"} {
				slices.Sort(took[i])
				median[i] = took[i][len(took[i])/2].Seconds()
				b.ReportMetric(float64(n)/median[i], name)
			}
			b.ReportMetric(median[1]/median[0], "of-plain")
			b.ReportMetric(median[2]/median[0], "of-tuned")
			require.NoError(b, s.Close())
			require.NoError(b, plain.db.Close())
			require.NoError(b, tuned.db.Close())
		})
	}
}

// bare is a loop over bbolt.
type bare struct {
	db                 *bolt.DB
	logRow, currentRow []byte
	fill               float64
	revision           int64
}

func newBare(b *testing.B, tuned bool) *bare {
	b.Helper()
	l := &bare{fill: bolt.DefaultFillPercent}
	l.logRow, l.currentRow = benchRows(b)
	path := filepath.Join(b.TempDir(), "bare.db")
	var err error
	l.db, err = bolt.Open(path, 0o600, nil)
	require.NoError(b, err)
	if tuned {
		require.NoError(b, l.db.Close())
		l.db, err = openFile(path)
		require.NoError(b, err)
		l.fill = 1
	}
	require.NoError(b, l.db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("log"))
		require.NoError(b, err)
		_, err = tx.CreateBucket([]byte("current"))
		return err
	}))
	l.db.NoSync = true
	random := rand.New(rand.NewPCG(2, 2))
	for i := 0; i < benchEntries; i += 1000 {
		sets := make([]conf.ChangeSet, 1000)
		for j := range sets {
			sets[j] = benchSet(random, i+j)
		}
		require.NoError(b, l.commit(sets))
	}
	l.db.NoSync = false
	require.NoError(b, l.db.Sync())
	return l
}

func (l *bare) commit(sets []conf.ChangeSet) error {
	return l.db.Update(func(tx *bolt.Tx) error {
		log, current := tx.Bucket([]byte("log")), tx.Bucket([]byte("current"))
		log.FillPercent = l.fill
		for i := range sets {
			d := &sets[i].Drafts[0]
			row := append([]byte(nil), l.logRow...)
			copy(row[len(row)-benchContent:], d.Content)
			l.revision++
			if err := log.Put(pointer{revision: l.revision}.bytes(), row); err != nil {
				return err
			}
			if err := current.Put(keyBytes(d.Key), l.currentRow); err != nil {
				return err
			}
		}
		return nil
	})
}

// benchRows returns the rows that a commit writes, to have their lengths.
func benchRows(b *testing.B) (logRow, currentRow []byte) {
	b.Helper()
	s, err := Open(b.TempDir())
	require.NoError(b, err)
	set := benchSet(rand.New(rand.NewPCG(1, 1)), 1)
	_, err = s.Commit(b.Context(), []conf.ChangeSet{set})
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
	b.Run("check", func(b *testing.B) {
		for range b.N {
			_, err := Check(b.Context(), dir)
			require.NoError(b, err)
		}
	})
	b.Run("scan", func(b *testing.B) {
		s, err := Open(dir)
		require.NoError(b, err)
		for range b.N {
			req := conf.ScanRequest{Limit: 1000}
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
