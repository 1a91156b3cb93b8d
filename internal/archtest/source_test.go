package archtest

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is the code of one package with its types, without its tests.
type source struct {
	names []string // of all its files, also those that this system does not build
	fset  *token.FileSet
	files []*ast.File // what this system builds
	pkg   *types.Package
	info  types.Info
	// imports finds other packages, also those that no package loaded depends on.
	imports types.Importer
}

// load returns the packages in folders of the module, by folder. The go command
// compiles what they import, or has it in its cache.
func load(t *testing.T, folders ...string) map[string]*source {
	t.Helper()
	command := []string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,DepOnly,GoFiles,IgnoredGoFiles"}
	for _, folder := range folders {
		command = append(command, "./"+folder)
	}
	cmd := exec.CommandContext(t.Context(), "go", command...)
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)

	type listed struct {
		ImportPath, Dir, Export string
		DepOnly                 bool
		GoFiles, IgnoredGoFiles []string
	}
	exports := make(map[string]string) // files that say what a package exports
	var asked []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		require.NoError(t, dec.Decode(&p))
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			asked = append(asked, p)
		}
	}

	fset := token.NewFileSet()
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-f", "{{.Export}}", path)
			cmd.Dir = "../.."
			out, err := cmd.Output()
			if err != nil {
				return nil, err
			}
			exports[path] = strings.TrimSpace(string(out))
		}
		return os.Open(exports[path])
	})}
	loaded := make(map[string]*source)
	for _, p := range asked {
		s := &source{fset: fset, imports: config.Importer, info: types.Info{
			Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object), Types: make(map[ast.Expr]types.TypeAndValue),
		}}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			require.NoError(t, err)
			s.files = append(s.files, f)
		}
		s.pkg, err = config.Check(p.ImportPath, fset, s.files, &s.info)
		require.NoError(t, err)
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
			if !strings.HasSuffix(name, "_test.go") {
				s.names = append(s.names, name)
			}
		}
		loaded[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = s
	}
	return loaded
}

// file returns the name of the file that pos is in.
func (s *source) file(pos token.Pos) string {
	return filepath.Base(s.fset.Position(pos).Filename)
}

// arrow says that definitions of one file use those of another.
type arrow struct{ from, to string }

// uses returns, for each pair of files, what the first uses of the second:
// functions, types, variables and constants, and methods and fields by their types.
func (s *source) uses() map[arrow][]string {
	uses := make(map[arrow][]string)
	for id, obj := range s.info.Uses {
		if obj.Pkg() != s.pkg || !obj.Pos().IsValid() {
			continue
		}
		a := arrow{s.file(id.Pos()), s.file(obj.Pos())}
		if a.from != a.to && !slices.Contains(uses[a], obj.Name()) {
			uses[a] = append(uses[a], obj.Name())
		}
	}
	for _, names := range uses {
		slices.Sort(names)
	}
	return uses
}
