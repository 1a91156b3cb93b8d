package transport_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// sentinels of the root, by name. TestCode_EverySentinelIsHere keeps it whole.
var sentinels = map[string]error{
	"ErrNotFound": conf.ErrNotFound, "ErrConflict": conf.ErrConflict, "ErrInvalid": conf.ErrInvalid,
	"ErrTooLarge": conf.ErrTooLarge, "ErrCompacted": conf.ErrCompacted, "ErrEpoch": conf.ErrEpoch,
	"ErrOtherStore": conf.ErrOtherStore, "ErrBehind": conf.ErrBehind, "ErrUnavailable": conf.ErrUnavailable,
	"ErrOverloaded": conf.ErrOverloaded, "ErrUnknownOutcome": conf.ErrUnknownOutcome, "ErrNoSpace": conf.ErrNoSpace,
	"ErrCorrupt": conf.ErrCorrupt, "ErrInUse": conf.ErrInUse, "ErrDenied": conf.ErrDenied, "ErrClosed": conf.ErrClosed,
	"ErrUnauthenticated": conf.ErrUnauthenticated,
}

func TestCode_EverySentinelIsHere(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../conf/errors.go", nil, 0)
	require.NoError(t, err)
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, name := range spec.Names {
				if strings.HasPrefix(name.Name, "Err") {
					found++
					assert.Contains(t, sentinels, name.Name, "a sentinel of the root has no place on the wire")
				}
			}
		}
		return true
	})
	assert.Len(t, sentinels, found)
}

func TestCode_RoundTrip(t *testing.T) {
	seen := map[string]string{}
	for name, sentinel := range sentinels {
		wrapped := fmt.Errorf("more: %w", conf.Errorf(sentinel, "detail"))
		code, status := transport.Encode(wrapped)
		assert.Equal(t, sentinel, transport.Decode(code), "%s does not survive as %q", name, code)
		assert.GreaterOrEqual(t, status, 400, name)
		assert.Less(t, status, 600, name)
		assert.Empty(t, seen[code], "%s and %s share the code %q", name, seen[code], code)
		seen[code] = name
	}
}

func TestCode_Unknown(t *testing.T) {
	code, status := transport.Encode(errors.New("disk on fire"))
	assert.Equal(t, transport.CodeInternal, code)
	assert.Equal(t, 500, status)
	assert.Equal(t, conf.ErrUnavailable, transport.Decode(transport.CodeInternal))
	assert.Equal(t, conf.ErrUnavailable, transport.Decode("invented_later"))
}

func TestCode_UnknownOutcomeWins(t *testing.T) {
	both := fmt.Errorf("%w: %w", context.DeadlineExceeded, conf.ErrUnknownOutcome)
	code, _ := transport.Encode(both)
	assert.Equal(t, "unknown_outcome", code)

	code, status := transport.Encode(fmt.Errorf("reading: %w", context.Canceled))
	assert.Equal(t, "unavailable", code)
	assert.Equal(t, 503, status)
}
