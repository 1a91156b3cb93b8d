package original_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/original"
)

// F4: what original pollers send. Whatever it is, it is refused as ErrInvalid or
// ErrTooLarge, or is keys of the grammar.
func FuzzF4_Probe(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[[[[[[`,
		"a,G,;", "a,G,0cc175b9c0f1b6a831c399e269772661b,G,", "a,G,b,G,;c,G,", ";;;", ",,,,", "0cc175b9c0f1b6a831c399e269772661,G,0cc175b9c0f1b6a831c399e2697726610cc175b9c0f1b6a831c399e269772661,G,",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		held, err := original.ParseProbe(string(raw))
		if err != nil {
			if !errors.Is(err, conf.ErrInvalid) && !errors.Is(err, conf.ErrTooLarge) {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		require.NotEmpty(t, held)
		for _, h := range held {
			require.NoError(t, h.Key.Validate())
			require.EqualValues(t, conf.AnyRevision, h.Revision)
			require.Contains(t, []int{0, 32}, len(h.MD5))
		}
	})
}
