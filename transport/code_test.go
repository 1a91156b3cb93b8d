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

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport"
)

// sentinels of the root, by name. TestCode_EverySentinelIsHere keeps it whole.
var sentinels = map[string]error{
	"ErrNotFound": diamond.ErrNotFound, "ErrConflict": diamond.ErrConflict, "ErrInvalid": diamond.ErrInvalid,
	"ErrTooLarge": diamond.ErrTooLarge, "ErrCompacted": diamond.ErrCompacted, "ErrEpoch": diamond.ErrEpoch,
	"ErrOtherStore": diamond.ErrOtherStore, "ErrBehind": diamond.ErrBehind, "ErrUnavailable": diamond.ErrUnavailable,
	"ErrOverloaded": diamond.ErrOverloaded, "ErrUnknownOutcome": diamond.ErrUnknownOutcome, "ErrNoSpace": diamond.ErrNoSpace,
	"ErrCorrupt": diamond.ErrCorrupt, "ErrInUse": diamond.ErrInUse, "ErrDenied": diamond.ErrDenied, "ErrClosed": diamond.ErrClosed,
}

func TestCode_EverySentinelIsHere(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)
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
		wrapped := fmt.Errorf("more: %w", diamond.Errorf(sentinel, "detail"))
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
	assert.Equal(t, diamond.ErrUnavailable, transport.Decode(transport.CodeInternal))
	assert.Equal(t, diamond.ErrUnavailable, transport.Decode("invented_later"))
}

func TestCode_UnknownOutcomeWins(t *testing.T) {
	both := fmt.Errorf("%w: %w", context.DeadlineExceeded, diamond.ErrUnknownOutcome)
	code, _ := transport.Encode(both)
	assert.Equal(t, "unknown_outcome", code)

	code, status := transport.Encode(fmt.Errorf("reading: %w", context.Canceled))
	assert.Equal(t, "unavailable", code)
	assert.Equal(t, 503, status)
}
