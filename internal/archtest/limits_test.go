package archtest

import (
	"errors"
	"go/ast"
	"go/build"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// limitRow is a row of docs/limits.md: | [`package.constant`](file) | value | reason |.
	limitRow = regexp.MustCompile("(?m)^\\| \\[`(\\w+)\\.(\\w+)`\\]\\(([^)]+)\\) \\| ([^|]+) \\| [^|]+ \\|$")
	// belowRow is a row of its second table: | `a` + `b` | `c` | reason |.
	belowRow = regexp.MustCompile("(?m)^\\| (`[^|]+`) \\| (`[^|]+`) \\| [^|]+ \\|$")
)

// limits returns the constants that docs/limits.md names, with their values in
// the source, by package.constant.
func limits(t *testing.T) map[string]int64 {
	source := newConstants()
	values := map[string]int64{}
	for _, m := range limitRow.FindAllStringSubmatch(read(t, "../../docs/limits.md"), -1) {
		pkg, name, file := m[1], m[2], m[3]
		p, err := source.Import(module + "/" + filepath.ToSlash(filepath.Dir(filepath.Join("docs", file))))
		require.NoError(t, err)
		require.Equal(t, p.Name(), pkg, "package of %s", file)
		c, ok := p.Scope().Lookup(name).(*types.Const)
		if !assert.True(t, ok, "docs/limits.md names %s.%s, which is no constant", pkg, name) {
			continue
		}
		assert.Equal(t, filepath.Base(file), filepath.Base(source.fset.Position(c.Pos()).Filename), "file of %s.%s", pkg, name)
		v, exact := constant.Int64Val(constant.ToInt(c.Val()))
		require.True(t, exact, "%s.%s is no whole number", pkg, name)
		assert.NotContains(t, values, pkg+"."+name, "named twice")
		values[pkg+"."+name] = v
	}
	require.Greater(t, len(values), 40, "constants found: does the test still see them?")
	return values
}

// TestLimitsAreAsDocumented: docs/limits.md gives the limits and timeouts that
// the source has.
func TestLimitsAreAsDocumented(t *testing.T) {
	values := limits(t)
	for _, m := range limitRow.FindAllStringSubmatch(read(t, "../../docs/limits.md"), -1) {
		name := m[1] + "." + m[2]
		said, err := parseLimit(strings.TrimSpace(m[4]))
		if assert.NoError(t, err, "%s", name) {
			assert.Equal(t, values[name], said, "%s is %q in docs/limits.md", name, m[4])
		}
	}
}

// TestLimitsThatMustBeBelowOthersAre: the second table of docs/limits.md holds
// for the constants of the source.
func TestLimitsThatMustBeBelowOthersAre(t *testing.T) {
	values := limits(t)
	sum := func(cell string) (total int64) {
		for term := range strings.SplitSeq(cell, "+") {
			name := strings.Trim(term, " `")
			v, ok := values[name]
			require.True(t, ok, "%s is in no row of docs/limits.md", name)
			total += v
		}
		return total
	}
	rows := belowRow.FindAllStringSubmatch(read(t, "../../docs/limits.md"), -1)
	require.Greater(t, len(rows), 5, "relations found: does the test still see them?")
	for _, m := range rows {
		assert.Less(t, sum(m[1]), sum(m[2]), "%s must be below %s", m[1], m[2])
	}
}

// parseLimit reads a value as docs/limits.md writes it, such as 30 s, 10 MiB or 1,000.
func parseLimit(s string) (int64, error) {
	number, unit, _ := strings.Cut(strings.ReplaceAll(s, ",", ""), " ")
	factor, ok := map[string]int64{
		"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
		"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour),
	}[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	if err == nil && !ok {
		err = errors.New("unknown unit " + unit)
	}
	return n * factor, err
}

// constants finds the constants of this module's packages. Package time is read
// too, since they are made of its constants; all else is taken to be empty.
type constants struct {
	fset  *token.FileSet
	time  types.Importer
	known map[string]*types.Package
}

func newConstants() *constants {
	fset := token.NewFileSet()
	return &constants{fset: fset, time: importer.ForCompiler(fset, "source", nil), known: map[string]*types.Package{}}
}

// Import implements [types.Importer].
func (c *constants) Import(path string) (*types.Package, error) {
	if p := c.known[path]; p != nil {
		return p, nil
	}
	rest, own := strings.CutPrefix(path, module)
	switch {
	case path == "time":
		return c.time.Import(path)
	case !own:
		p := types.NewPackage(path, filepath.Base(path))
		p.MarkComplete()
		return p, nil
	}
	found, err := build.ImportDir(filepath.Join("../..", filepath.FromSlash(rest)), 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range found.GoFiles {
		f, err := parser.ParseFile(c.fset, filepath.Join(found.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	config := types.Config{Importer: c, IgnoreFuncBodies: true, Error: func(error) {}} // of what is taken to be empty
	p, _ := config.Check(path, c.fset, files, nil)
	c.known[path] = p
	return p, nil
}
