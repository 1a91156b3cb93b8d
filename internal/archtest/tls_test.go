package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestX24_CertificatesAreVerified: no code but that of tests can make a TLS connection to a
// peer whose certificate was not verified.
func TestX24_CertificatesAreVerified(t *testing.T) {
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, at := range unverified(fset, f) {
			assert.Fail(t, "InsecureSkipVerify: give the authority instead", at)
		}
	})

	fset := token.NewFileSet()
	for _, wrong := range []string{
		"var c = &tls.Config{InsecureSkipVerify: true}",
		"func f(c *tls.Config) { c.InsecureSkipVerify = g() }",
	} {
		f, err := parser.ParseFile(fset, "wrong.go", "package p\n"+wrong, 0)
		require.NoError(t, err)
		assert.Len(t, unverified(fset, f), 1, wrong)
	}
}

// unverified returns where a file says that certificates need not be verified.
func unverified(fset *token.FileSet, f *ast.File) (at []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
			at = append(at, fset.Position(id.Pos()).String())
		}
		return true
	})
	return at
}
