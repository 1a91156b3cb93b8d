package boltstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

// diskWrite is one write to the file, and what the caller had been told when
// it began.
type diskWrite struct {
	offset       int64
	bytes        []byte
	meta         bool
	acknowledged int64
}

const sector = 512

// S21: loss of power. Every write to the file is recorded. For each moment an
// image of the disk is made that has all writes up to the last sync, and of the
// later ones some, torn at sectors, in any order. Each image must open, hold
// all that had been acknowledged, and verify.
//
// The recorder sees bbolt's writes but not its syncs. It takes them to be before
// and after each write of a meta page: that they are is what
// TestS21_NothingIsDoneThatIsNotSynced shows. The kernel and the disk are taken at
// their word that synced bytes stay.
func TestS21_PowerLoss(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, WithRetention(tinyRetention()))
	start, err := os.ReadFile(fileOf(dir))
	require.NoError(t, err)
	var writes []diskWrite
	acknowledged := int64(0)
	intercept(t, s, func(real writeAt) writeAt {
		return func(b []byte, offset int64) (int, error) {
			writes = append(writes, diskWrite{offset, append([]byte(nil), b...), metaWrite(s, offset), acknowledged})
			return real(b, offset)
		}
	})
	random := rand.New(rand.NewPCG(21, 2))
	for i := range 40 {
		set := put(fmt.Sprint("k", random.IntN(8)), fmt.Sprint(i))
		for j := range random.IntN(4) {
			content := make([]byte, random.IntN(9000)) // over several pages
			set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint("m", j)), Content: string(content)})
		}
		acknowledged = commit(t, s, set).Revision
		if i%10 == 9 {
			require.NoError(t, s.Prune(t.Context()))
		}
	}
	require.NoError(t, s.Close())

	images := campaign.Scale(t, 300, 5000)
	for range images {
		crash := random.IntN(len(writes) + 1)
		image := crashImage(start, writes[:crash], random)
		want := int64(0)
		if crash > 0 {
			want = writes[crash-1].acknowledged
		}
		checkImage(t, image, want)
	}
}

// crashImage returns the file as a loss of power after the writes might leave it.
func crashImage(start []byte, writes []diskWrite, random *rand.Rand) []byte {
	image := append([]byte(nil), start...)
	apply := func(offset int64, b []byte) {
		if grow := int(offset) + len(b) - len(image); grow > 0 {
			image = append(image, make([]byte, grow)...)
		}
		copy(image[offset:], b)
	}
	synced := len(writes)
	for synced > 0 && !writes[synced-1].meta {
		synced--
	}
	if synced == len(writes) && synced > 0 {
		synced-- // the meta page itself may not have reached the disk
	}
	for _, w := range writes[:synced] {
		apply(w.offset, w.bytes)
	}
	rest := append([]diskWrite(nil), writes[synced:]...)
	random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for _, w := range rest {
		switch random.IntN(3) {
		case 0: // lost
		case 1: // torn: some of its sectors
			for at := 0; at < len(w.bytes); at += sector {
				if random.IntN(2) == 0 {
					apply(w.offset+int64(at), w.bytes[at:min(at+sector, len(w.bytes))])
				}
			}
		default:
			apply(w.offset, w.bytes)
		}
	}
	return image
}

func checkImage(t *testing.T, image []byte, acknowledged int64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(fileOf(dir), image, 0o600))
	report := sound(t, dir)
	require.GreaterOrEqual(t, report.Position.Revision, acknowledged)
	require.LessOrEqual(t, report.Position.Revision, acknowledged+1)
	s, err := Open(dir)
	require.NoError(t, err)
	require.Equal(t, report.Position.Revision+1, commit(t, s, put("after", "x")).Revision)
	require.NoError(t, s.Close())
	require.NoError(t, os.RemoveAll(dir))
}
