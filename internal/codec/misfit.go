package codec

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/linnaname/gdiamond/internal/document"
)

// errorf returns an error that names a line and the path of Go names.
func (d *decoder) errorf(line, column int, format string, args ...any) error {
	return &document.Error{Line: line, Column: column, Reason: fmt.Sprintf(format, args...)}
}

// misfit returns the error for a node n that does not fit v. reason may be "".
func (d *decoder) misfit(n *document.Node, v reflect.Value, reason string) error {
	text := reasonMisfit
	if len(d.path) > 0 {
		text += fmt.Sprintf(": %s is of type %s", strings.ReplaceAll(strings.Join(d.path, "."), ".[", "["), v.Type())
	} else {
		text += fmt.Sprintf(" the type %s", v.Type())
	}
	if reason != "" {
		text += ": " + reason
	}
	return d.errorf(int(n.Line), int(n.Column), "%s", text)
}
