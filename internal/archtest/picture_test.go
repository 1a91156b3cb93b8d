package archtest

import (
	"flag"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// TestPicture measures packages: their files and lines, the struct with the most
// fields, and the pairs of files of which one uses the other. A pair points up by
// the order in [ordered], or else by one that this finds:
//
//	go test ./internal/archtest -run TestPicture -v -args . localfile
func TestPicture(t *testing.T) {
	if flag.NArg() == 0 {
		t.Skip("it measures the folders given after -args")
	}
	for name, s := range load(t, flag.Args()...) {
		lines := 0
		for _, f := range s.files {
			lines += s.fset.File(f.Pos()).LineCount()
		}
		largest, fields := "", 0
		for _, name := range s.pkg.Scope().Names() {
			if named, ok := s.pkg.Scope().Lookup(name).(*types.TypeName); ok {
				if st, ok := named.Type().Underlying().(*types.Struct); ok && st.NumFields() > fields {
					largest, fields = name, st.NumFields()
				}
			}
		}
		order, by := ordered[name], "listed"
		if order == "" {
			order, by = strings.ReplaceAll(strings.Join(bestOrder(s), " "), ".go", ""), "found"
		}
		up := upward(s, order)
		t.Logf("%q: %d files, %d lines, largest struct %s with %d fields; %d pairs of files, %d up by the order %s:\n%s\n%s",
			name, len(s.files), lines, largest, fields, len(s.uses()), len(up), by, order, strings.Join(up, "\n"))
	}
}

// bestOrder returns an order of the files of a package in which no pair points
// up if there is one, and else few do: it puts what a file uses before the file,
// and then moves files as long as that makes the number smaller.
func bestOrder(s *source) (order []string) {
	below := make(map[string][]string)
	for a := range s.uses() {
		below[a.from] = append(below[a.from], a.to)
	}
	var visit func(name string)
	seen := make(map[string]bool)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		slices.Sort(below[name])
		for _, other := range below[name] {
			visit(other)
		}
		order = append(order, name)
	}
	for _, name := range slices.Sorted(slices.Values(s.names)) {
		if name != "doc.go" {
			visit(name)
		}
	}
	up := func(order []string) (n int) {
		for i, name := range order {
			for _, other := range below[name] {
				if slices.Contains(order[i:], other) {
					n++
				}
			}
		}
		return n
	}
	for before := -1; before != up(order); {
		before = up(order)
		for _, name := range slices.Clone(order) {
			rest := slices.DeleteFunc(slices.Clone(order), func(other string) bool { return other == name })
			for i := range order {
				if moved := slices.Insert(slices.Clone(rest), i, name); up(moved) < up(order) {
					order = moved
				}
			}
		}
	}
	return order
}
