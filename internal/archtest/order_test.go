package archtest

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// ordered lists the files of packages from the lowest to the highest, without
// ".go". Each file may use only what it defines itself and what the files before
// it define. doc.go is not listed and uses nothing.
var ordered = map[string]string{
	"internal/engine": `
		errors storage config usage index contents recent trail observers served health progress lag own_commits outcomes
		scan replica documents feed reaching subscribers commit listing read keyset client clients report query poll verify check engine server waiting namepage listeners system`,
	"internal/follower": `
		state timeouts health attempts call subscription slot slots disk refused fetch answer poll load report notify joint read publish client`,
	"govern": `
		table lists name verb scope subject strict fields document tenant namespace role user token team grants marker parse
		rights entry seal policy apply decide ready documents conditions guard checker fits checkset
		tokensecret store setup reset denyfile
		catchup decisions sourcerates stats access judge verdict strangers centre position settle poll plan changes read list listeners commit prove whoami rightsstatus as`,
	"conf":      "key errors grammar filter position identity caller entry chain changeset config storage wire status rights clients cluster",
	"":          "types transport storage cache listener option timeouts diamond decode bind update entryset mirror follow",
	"cluster":   "mac secret certificates proof nonces sign verify",
	"localfile": "name dir format id snapshot override ask tree watch",
}

// taken are names that fit local variables as well as what a package defines.
// No package in [ordered] has both, so that a reader never takes one for the other.
var taken = strings.Fields(`
	all answer audience final follow gap gone held known leave listening never
	newer news ours plain reading refuse same shed short shown told unknown want`)

// TestOrderOfFiles: the packages in ordered keep their order, no local name in
// them hides one of the package, and none of their files is dust.
func TestOrderOfFiles(t *testing.T) {
	loaded := load(t, slices.Collect(maps.Keys(ordered))...)
	for folder, order := range ordered {
		s := loaded[folder]
		for _, problem := range slices.Concat(upward(s, order), shadows(s), dust(s)) {
			assert.Fail(t, problem, folder)
		}
	}
}

// upward returns the uses that point up by an order of files, and how the order
// differs from the files that are there.
func upward(s *source, order string) (problems []string) {
	rank := map[string]int{"doc.go": 0}
	for i, name := range strings.Fields(order) {
		if !slices.Contains(s.names, name+".go") {
			problems = append(problems, name+".go is in the order of files, but is not there")
		}
		rank[name+".go"] = i + 1
	}
	for _, name := range s.names {
		if _, ok := rank[name]; !ok {
			problems = append(problems, name+" is not in the order of files")
		}
	}
	for a, used := range s.uses() {
		if rank[a.from] < rank[a.to] {
			problems = append(problems, fmt.Sprintf("%s uses %s of %s, which is above it", a.from, strings.Join(used, ", "), a.to))
		}
	}
	slices.Sort(problems)
	return problems
}

// shadows returns the local variables, parameters and results that hide one of
// the taken names of the package.
func shadows(s *source) (problems []string) {
	for id, obj := range s.info.Defs {
		outer := s.pkg.Scope().Lookup(id.Name)
		// In "x := y.(type)" x is no object. A field and a method have no scope.
		local := obj == nil || obj.Parent() != nil && obj.Parent() != s.pkg.Scope()
		if outer != nil && local && slices.Contains(taken, id.Name) {
			problems = append(problems, fmt.Sprintf("%s:%d: %s hides that of %s",
				s.file(id.Pos()), s.fset.Position(id.Pos()).Line, id.Name, s.file(outer.Pos())))
		}
	}
	slices.Sort(problems)
	return problems
}

// dust returns the files that are too short to be one: what is in them belongs
// to another. A package's documentation and what has a build tag must be alone.
func dust(s *source) (problems []string) {
	const floor = 38
	for _, f := range s.files {
		name, lines := s.file(f.Pos()), s.fset.File(f.Pos()).LineCount()
		if name != "doc.go" && lines < floor && !hasBuildTag(f) {
			problems = append(problems, fmt.Sprintf("%s has %d lines, fewer than %d", name, lines, floor))
		}
	}
	return problems
}

func hasBuildTag(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() < f.Package && constraint.IsGoBuild(c.Text) {
				return true
			}
		}
	}
	return false
}

// TestOrderRules: the rules find what they are for, in a package made for that.
func TestOrderRules(t *testing.T) {
	const folder = "internal/archtest/testdata/order"
	s := load(t, folder)[folder]
	assert.Empty(t, upward(s, "leaf middle other_system top"))
	assert.Equal(t, []string{
		"absent.go is in the order of files, but is not there",
		"middle.go uses field, gone, leaf, method, size of leaf.go, which is above it",
		"other_system.go is not in the order of files",
		"top.go uses all, middle, of of middle.go, which is above it",
	}, upward(s, "top middle leaf absent"))
	assert.Equal(t, []string{
		"middle.go:12: gone hides that of leaf.go",
		"middle.go:13: held hides that of top.go",
		"middle.go:14: short hides that of top.go",
	}, shadows(s))
	assert.Equal(t, []string{
		"leaf.go has 10 lines, fewer than 38",
		"middle.go has 20 lines, fewer than 38",
	}, dust(s))
}
