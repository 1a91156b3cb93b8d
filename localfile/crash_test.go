//go:build unix

package localfile

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

const writerEnv = "LOCALFILE_TEST_WRITER"

// contentOf is what revision has: long, and different in every part.
func contentOf(revision int64) string {
	return strings.Repeat(fmt.Sprintf("revision %d\n", revision), 500)
}

// saveForEver saves one version after the other, and says so.
func saveForEver(dir string) {
	d, err := Open(dir)
	for revision := int64(1); err == nil; revision++ {
		err = d.Save(conf.SlotFetched, snapshot(testKey, revision, contentOf(revision)))
		fmt.Println(revision, err)
	}
	os.Exit(1)
}

// Writers are killed at moments that nobody chose, several at once in one
// directory: what they leave is always one whole version.
func TestD3_Defect_C21_KilledWhileSaving(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	var last int64
	for round := range campaign.Scale(t, 5, 200) {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), writerEnv+"="+dir)
				out, err := cmd.StdoutPipe()
				if !assert.NoError(t, err) || !assert.NoError(t, cmd.Start()) {
					return
				}
				lines := bufio.NewScanner(out)
				for range 10 + round {
					assert.True(t, lines.Scan())
					assert.Contains(t, lines.Text(), "<nil>")
				}
				assert.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
			})
		}
		wg.Wait()
		got, err := d.Load(testKey, conf.SlotFetched)
		require.NoError(t, err)
		require.Equal(t, contentOf(got.Entry.Revision), got.Entry.Content)
		last = got.Entry.Revision
	}
	assert.Positive(t, last)
}
