// Package doclinks has links in its comments, for the tests of archtest: to [Client],
// and to [doclinks.New] by the name of the package.
package doclinks

import (
	"context"
	stdio "io"
	"os"
)

// Client links to [New], [*Client], [Client.Get], [Client].Get and [Client.Field], and
// outside to [context.Context], [stdio.Reader], [stdio.Reader.Read], [stdio.Reader].Read
// and [text/template.Template]. [os.FileMode] is an alias, whose type has [os.FileMode].Perm.
//
//   - A list links too, to [ErrGone].
//
// Some brackets are none: map[string]any, Value[T], [x], [a.b], [1] and [a link].
//
//	In code [Absent] is none.
//
// [a link]: https://example.com
type Client struct {
	// Field links to [Client.Get].
	Field stdio.Reader // and to [errors.Is], whose package is not imported
}

// New links to [net/http.Handler] by the path of its package.
func New(context.Context, os.FileMode) *Client { return nil }

// Get links to nothing.
func (*Client) Get() {}

// ErrGone and others have a comment together, which links to [Client].
var ErrGone error

// Faults has one fault a line:
//
// [Absent] and
// [*Absent] and
// [Client.Absent] and
// [template.Template] and
// [Client]s and
// [context.Absent] and
// [stdio.Reader.Absent] and
// [text/template.Absent] and
// [absent.example/module.Name] and
// [Client].Absent and
// [stdio.Reader].Absent and
// [New].Get and
// [os.FileMode.Perm] and
// [hidden] and
// [hidden.field].
type Faults struct {
	Field int
	// Other has
	// one: [Absent].
	Other int // and one: [Absent]
}

// FaultyList has one:
//
//   - [Absent]
type FaultyList []int

// hidden is not shown by go doc, and links to [hidden.field].
type hidden struct {
	// field links to [hidden] and has a fault: [hidden.absent].
	field int
}
