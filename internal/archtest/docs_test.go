package archtest

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// link is a Markdown link, or a name of a function: one of the two groups is set.
	link = regexp.MustCompile("\\]\\(([^)\\s]+)\\)|`([A-Za-z0-9_.]+)\\(\\)`")
	// heading is a Markdown heading, whose text is the anchor of links to it.
	heading = regexp.MustCompile("(?m)^#+ (.+)$")
	// fence is a block of code, in which nothing is a link.
	fence = regexp.MustCompile("(?ms)^```.*?^```$")
)

// documents returns the Markdown files of the tree, by their paths from here.
func documents(t *testing.T) (paths []string) {
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		paths = append(paths, found...)
	}
	require.Contains(t, paths, "../../docs/architecture.md")
	return paths
}

// TestDocumentsLinkToWhatExists: every file and heading that a document links
// to is there, and every function() that a document names is declared in the
// Go file that it has linked last in the same paragraph, list or table.
func TestDocumentsLinkToWhatExists(t *testing.T) {
	links := 0
	for _, doc := range documents(t) {
		text := fence.ReplaceAllString(read(t, doc), "")
		for paragraph := range strings.SplitSeq(text, "\n\n") {
			file := "" // the Go file linked last
			for _, m := range link.FindAllStringSubmatch(paragraph, -1) {
				target, function := m[1], m[2]
				switch {
				case function != "" && file != "":
					assert.Contains(t, functions(t, file), function, "%s says that %s() is in %s", doc, function, file)
				case function != "", strings.Contains(target, "://"):
				default:
					links++
					path, anchor, _ := strings.Cut(target, "#")
					file = checkLink(t, doc, path, anchor)
				}
			}
		}
	}
	assert.Greater(t, links, 100, "links found: does the test still see them?")
}

// checkLink checks one link of doc, and returns its target where that is a Go file.
func checkLink(t *testing.T, doc, path, anchor string) (goFile string) {
	full := doc
	if path != "" {
		full = filepath.Join(filepath.Dir(doc), filepath.FromSlash(path))
	}
	if _, err := os.Stat(full); !assert.NoError(t, err, "a link in %s", doc) {
		return ""
	}
	if anchor != "" {
		assert.Contains(t, anchors(read(t, full)), anchor, "a link in %s to %s", doc, full)
	}
	if filepath.Ext(full) == ".go" {
		return full
	}
	return ""
}

// anchors returns the names under which code hosts make headings known.
func anchors(text string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
		names = append(names, strings.Map(func(r rune) rune {
			if strings.ContainsRune(",.:;!?'\"`()/", r) {
				return -1
			}
			return r
		}, name))
	}
	return names
}

// functions returns the names of the functions and methods declared in a file.
func functions(t *testing.T, path string) (names []string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func read(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// TestGuaranteesNameTestsThatExist: docs/guarantees.md says of each promise which
// tests prove it.
func TestGuaranteesNameTestsThatExist(t *testing.T) {
	declared := make(map[string]bool)
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, name := range functions(t, path) {
			declared[name] = true
		}
		return nil
	}))
	text := read(t, "../../docs/guarantees.md")
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(text, -1)
	for _, m := range named {
		assert.True(t, declared[m[1]], "docs/guarantees.md names %s, which is no test", m[1])
	}
	assert.Greater(t, len(named), 100, "tests named: does the test still see them?")
	for n := 1; n <= 25; n++ {
		assert.Contains(t, text, "\n## G"+strconv.Itoa(n)+": ")
	}
}

// TestAlertsAreExplained: docs/operations.md has a heading for each alert.
func TestAlertsAreExplained(t *testing.T) {
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(read(t, "../../deploy/prometheus/alerts.yml"), -1)
	require.NotEmpty(t, alerts)
	known := anchors(read(t, "../../docs/operations.md"))
	for _, m := range alerts {
		assert.Contains(t, known, strings.ToLower(m[1]))
	}
}

// TestWholePrograms: the three programs of README.md are whole files that
// documentation shows as such, of fewer lines than it says.
func TestWholePrograms(t *testing.T) {
	said := regexp.MustCompile(`(?s)Three whole programs, each under (\d+) lines,.*?\n\n`).FindStringSubmatch(read(t, "../../README.md"))
	require.NotNil(t, said, "README.md speaks of them otherwise now")
	limit, err := strconv.Atoi(said[1])
	require.NoError(t, err)
	links := link.FindAllStringSubmatch(said[0], -1)
	assert.Len(t, links, 3)
	for _, m := range links {
		path := filepath.Join("../..", m[1])
		assert.Less(t, strings.Count(read(t, path), "\n"), limit, "lines of %s", path)
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		require.NoError(t, err)
		examples := doc.Examples(f)
		if assert.Len(t, examples, 1, path) {
			// One example, no test, and something else that is declared.
			assert.IsType(t, f, examples[0].Code, "%s is shown in part", path)
		}
	}
}
