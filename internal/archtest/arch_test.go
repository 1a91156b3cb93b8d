// Package archtest holds the rules of the tree as tests: who may import whom,
// and what no code here does.
package archtest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/linnaname/gdiamond"

// allowed says what the code of a package (not its tests) may import, beyond
// the standard library: paths below the module by their rest, others whole. A
// package that is not listed fails the test: add it with a reason.
var allowed = map[string][]string{
	// The vocabulary: everything imports it, and it imports nearly nothing.
	"conf": {"internal/document", "internal/rawbytes"},
	// The front door of the library: it links no driver, no network and no metrics.
	"": {"conf", "internal/", "github.com/patrickmn/go-cache", "golang.org/x/sync/"},

	// The two engines. Each names what it needs of storages and transports itself, and
	// knows neither the root nor the other.
	"internal/engine":   {"conf", "internal/", "github.com/patrickmn/go-cache", "golang.org/x/sync/"},
	"internal/follower": {"conf", "internal/", "golang.org/x/sync/"},

	// Mechanisms that know no diamonds.
	"internal/freshstack":  {},
	"internal/atomicfile":  {},
	"internal/backoff":     {},
	"internal/campaign":    {}, // for tests: whether scenarios run whole
	"internal/budget":      {}, // who holds how much of what is bounded, for servers and handlers
	"internal/codec":       {"internal/document"},
	"internal/cowmap":      {},
	"internal/sortedlist":  {},
	"internal/document":    {"go.yaml.in/yaml/v3", "github.com/BurntSushi/toml"},
	"internal/diskfull":    {},                                      // what a disk that takes no more bytes says, for stores and local files
	"internal/groupcommit": {},                                      // what many want committed, gathered into batches
	"internal/keysets":     {"internal/budget", "internal/waitset"}, // sets of keys that many poll
	"internal/growmap":     {},
	"internal/httpguard":   {},
	"internal/failpoint":   {}, // where a process can be killed; nothing without its build tag
	"internal/coalesce":    {},
	"internal/memnet":      {}, // for tests: a network in memory
	"internal/rawbytes":    {},
	"internal/longpoll":    {"internal/backoff"}, // how long a poll may be parked
	"internal/lograte":     {},                   // what keeps a log from being filled, for servers and handlers
	"internal/redact":      {},                   // what hides secrets in texts for logs
	"internal/waitset":     {},
	"internal/worker":      {},
	"internal/privatefile": {"conf"}, // what a file with a secret may be like, for clusters and the program
	"internal/hung":        {},       // calls that may never return, such as those to files
	"internal/windowsname": {},       // which names Windows takes for something else, for local files and exports

	// A database for tests: the driver to ask it with, and testing itself.
	"internal/mariadbtest": {"github.com/go-sql-driver/mysql", "github.com/stretchr/testify/"},
	// Tools of this repository: they install what tests and checks need of the machine.
	"internal/dev/debian":    {},
	"internal/dev/mariadb":   {"internal/mariadbtest", "internal/dev/debian"},
	"internal/dev/promcheck": {"internal/dev/debian"},
	// What all HTTP protocols have in common at the server's end: it knows a server's
	// polls, the errors and their table.
	"internal/httpserve": {".", "conf", "transport", "internal/"},
	// Servers and clients for tests of both engines, and of what the root makes of them.
	"internal/servertest": {".", "conf", "storage", "storage/memstore", "github.com/stretchr/testify/"},
	"internal/clienttest": {".", "conf", "github.com/stretchr/testify/"},
	// Certificates for tests, of three packages.
	"internal/certtest": {"github.com/stretchr/testify/"},

	"storage":             {".", "conf", "internal/document", "internal/rawbytes"},
	"storage/memstore":    {".", "conf", "storage"},
	"storage/boltstore":   {".", "conf", "storage", "internal/", "go.etcd.io/bbolt", "go.etcd.io/bbolt/errors"},
	"storage/mysqlstore":  {".", "conf", "storage", "internal/", "github.com/go-sql-driver/mysql"},
	"storage/storagetest": {".", "conf", "storage", "internal/campaign", "github.com/stretchr/testify/", "pgregory.net/rapid", "github.com/anishathalye/porcupine"},

	"transport":               {".", "conf", "internal/"},
	"transport/httptransport": {".", "conf", "transport", "transport/httptransport/internal/", "api", "internal/"},
	"transport/httptransport/internal/original":     {".", "conf", "transport", "internal/"},
	"transport/httptransport/internal/protocoltest": {".", "conf", "storage/memstore", "transport/httptransport", "github.com/stretchr/testify/"},
	"transport/transporttest":                       {".", "conf", "storage/memstore", "github.com/stretchr/testify/"}, // the oracle is a server on memstore
	"api":                                           {},

	// Who may do what: the documents, what they permit, and the centre that decides by them.
	"govern": {".", "conf", "internal/", "golang.org/x/time/rate"},

	// The secret that name servers and servers share; it knows of neither.
	"cluster": {"internal/privatefile", "conf", "tlsfile"},
	// TLS configurations of files that may be replaced.
	"tlsfile": {"internal/privatefile", "conf"},
	// It speaks strings: a Registry and a Resolver by shape, not by import.
	"namesrv":   {"conf", "cluster", "internal/"},
	"localfile": {".", "conf", "internal/", "github.com/fsnotify/fsnotify"},
	// A client of the parts; the root must not import it, or it would link a network.
	"dial": {".", "conf", "transport", "transport/httptransport", "namesrv", "localfile", "tlsfile"},
	// It changes documents of rights through a client.
	"govern/admin": {".", "conf", "govern", "internal/backoff"},
	"server":       {".", "conf", "cluster", "transport", "transport/httptransport", "internal/", "github.com/prometheus/client_golang/", "golang.org/x/sync/", "golang.org/x/time/rate"},

	"e2e":          {}, // tests alone
	"cmd/gdiamond": {"*"},
	"examples/":    {"*"},
	"bench/":       {"*"},
}

// testers are the packages whose code may import "testing".
var testers = []string{"storage/storagetest", "transport/transporttest", "transport/httptransport/internal/protocoltest", "bench", "internal/archtest", "internal/mariadbtest", "internal/certtest", "internal/campaign", "internal/clienttest", "internal/servertest"}

// engines are the packages behind the root's Server and Client. Only the root knows them, and
// govern the inner door of a server.
var engines = []string{"internal/engine", "internal/follower"}

type pkg struct {
	ImportPath string
	Imports    []string
}

// packages lists the module's packages without their tests.
func packages(t *testing.T) []pkg {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		require.NoError(t, dec.Decode(&p))
		pkgs = append(pkgs, p)
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}

// rule returns the entry for a package, by its own name or a folder's that ends in a slash.
func rule(name string) ([]string, bool) {
	if r, ok := allowed[name]; ok {
		return r, true
	}
	for folder, r := range allowed {
		if folder != "" && strings.HasSuffix(folder, "/") && strings.HasPrefix(name+"/", folder) {
			return r, true
		}
	}
	return nil, false
}

func permitted(imported string, rules []string) bool {
	for _, r := range rules {
		full := r
		switch {
		case r == "*":
			return true
		case r == ".":
			full = module
		case !strings.Contains(strings.Split(r, "/")[0], "."):
			full = module + "/" + r
		}
		if imported == full || strings.HasSuffix(full, "/") && strings.HasPrefix(imported, full) {
			return true
		}
	}
	return false
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if name == "internal/archtest" {
			continue
		}
		rules, ok := rule(name)
		if !assert.True(t, ok, "package %q has no rule in archtest", name) {
			continue
		}
		for _, imported := range p.Imports {
			if imported == "testing" {
				assert.Contains(t, testers, name, "%s is shipped code and imports testing", name)
				continue
			}
			if !strings.Contains(strings.Split(imported, "/")[0], ".") {
				continue // the standard library
			}
			assert.True(t, permitted(imported, rules), "%q may not import %s", name, imported)
			short := strings.TrimPrefix(imported, module+"/")
			if slices.Contains(engines, short) && !(name == "govern" && short == "internal/engine") {
				assert.Empty(t, name, "%q imports %s, which only the root may", name, imported)
			}
			if slices.Contains(testers, short) && !strings.HasPrefix(name, "internal/dev/") {
				assert.Contains(t, testers, name, "%s is shipped code and imports %s, which is for tests", name, imported)
			}
			if strings.HasPrefix(imported, module+"/internal/dev/") {
				assert.True(t, strings.HasPrefix(name, "internal/dev/"), "%q imports %s, a tool", name, imported)
			}
		}
	}
}

// TestClientLinksNoServerParts: an application that imports the root and the
// HTTP transport links no database, no metrics and no CLI.
func TestClientLinksNoServerParts(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", module, module+"/transport/httptransport", module+"/localfile", module+"/namesrv")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	for _, heavy := range []string{"database/sql", "go-sql-driver", "bbolt", "prometheus", "spf13"} {
		assert.NotContains(t, string(out), heavy)
	}
}

// TestVocabularyDoesNothing: package conf describes, and starts nothing: it has no
// goroutine and no lock, and makes contexts only in the files whose names they carry.
func TestVocabularyDoesNothing(t *testing.T) {
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		if filepath.ToSlash(filepath.Dir(path)) != "conf" || strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, i := range f.Imports {
			assert.NotContains(t, []string{`"sync"`, `"sync/atomic"`, `"log/slog"`}, i.Path.Value, path)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				assert.Fail(t, "a goroutine", "%s", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				x, _ := n.X.(*ast.Ident)
				if x != nil && x.Name == "context" && strings.HasPrefix(n.Sel.Name, "With") {
					assert.Contains(t, []string{"conf/caller.go", "conf/storage.go"}, path, "context.%s at %s", n.Sel.Name, fset.Position(n.Pos()))
				}
			}
			return true
		})
	})
}

// TestRootHasFewAliases: an application finds what it needs on the root's page, so the
// root has aliases of few types of the vocabulary. Another one needs a reason; the last
// was Filter, which is how an application says which keys it means.
func TestRootHasFewAliases(t *testing.T) {
	aliases := 0
	files(t, func(path string, _ *token.FileSet, f *ast.File) {
		if filepath.Dir(path) != "." || strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Assign.IsValid() && spec.Name.IsExported() {
				assert.Equal(t, "types.go", path, spec.Name.Name)
				aliases++
			}
			return true
		})
	})
	assert.Equal(t, 20, aliases)
}

// files parses every Go file of the module.
func files(t *testing.T, each func(path string, fset *token.FileSet, f *ast.File)) {
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() != ".." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		each(filepath.ToSlash(strings.TrimPrefix(path, "../../")), fset, f)
		return nil
	})
	require.NoError(t, err)
}

// TestForbiddenCalls: libraries print nothing and do not end the process;
// tests do not sleep outside a synctest bubble.
func TestForbiddenCalls(t *testing.T) {
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		isTest := strings.HasSuffix(path, "_test.go")
		isMain := f.Name.Name == "main"
		imported := map[string]bool{}
		for _, i := range f.Imports {
			imported[strings.Trim(i.Path.Value, `"`)] = i.Name == nil
		}
		ast.Inspect(f, func(n ast.Node) bool {
			fn, ok := n.(*ast.FuncDecl)
			if !ok {
				return true
			}
			bubble := false
			ast.Inspect(fn, func(n ast.Node) bool {
				// synctest itself, or a package's helper of that name around it.
				if x, ok := n.(*ast.Ident); ok && (x.Name == "synctest" || x.Name == "bubble") {
					bubble = true
				}
				return true
			})
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				if !imported[x.Name] {
					return true // a variable
				}
				name := x.Name + "." + sel.Sel.Name
				at := fset.Position(call.Pos()).String()
				switch {
				case strings.HasPrefix(name, "fmt.Print"), strings.HasPrefix(name, "log."), name == "os.Exit":
					assert.True(t, isMain || isTest, "%s: %s in a library", at, name)
				case name == "time.Sleep" && isTest && !bubble:
					assert.True(t, sleepExplained(commentOn(f, fset, call)), "%s: a test sleeps outside a bubble (if it must, say why in a comment: 'real time: ...', or 'fake time: ...' for a helper that runs in one)", at)
				}
				return true
			})
			return false
		})
	})
}

func sleepExplained(comment string) bool {
	return strings.Contains(comment, "real time:") || strings.Contains(comment, "fake time:")
}

// commentOn returns the comments on the line of n and the line above.
func commentOn(f *ast.File, fset *token.FileSet, n ast.Node) string {
	line := fset.Position(n.Pos()).Line
	var b strings.Builder
	for _, group := range f.Comments {
		for _, c := range group.List {
			if l := fset.Position(c.Pos()).Line; l == line || l == line-1 {
				b.WriteString(c.Text)
			}
		}
	}
	return b.String()
}

// TestNoInitNoGlobals: package variables are errors, tables or embedded files,
// and nothing runs at import: two servers in one process are two.
func TestNoInitNoGlobals(t *testing.T) {
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") || f.Name.Name == "main" {
			return
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				assert.False(t, fn.Recv == nil && fn.Name.Name == "init", "%s: init()", fset.Position(fn.Pos()))
				continue
			}
			gen := decl.(*ast.GenDecl)
			if gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				name := v.Names[0].Name
				if name == "_" || strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "err") || gen.Doc != nil || v.Doc != nil || v.Comment != nil {
					continue
				}
				assert.Fail(t, "package variable without a comment that says what table it is", "%s: %s", fset.Position(v.Pos()), name)
			}
		}
	})
}

// TestX8_ComparisonsOfMACs: signatures are made, and so compared, in one package, and the
// codes and secrets of a governed store in one file; in that package a MAC cannot be compared by ==, which the compiler sees to, and its bytes
// are compared by one function, in constant time.
func TestX8_ComparisonsOfMACs(t *testing.T) {
	equals := 0
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		inCluster := strings.HasPrefix(path, "cluster/")
		sealing := path == "govern/seal.go" // positions and tokens of a governed store
		imported := map[string]bool{}
		for _, i := range f.Imports {
			imported[strings.Trim(i.Path.Value, `"`)] = true
		}
		for _, p := range []string{"crypto/hmac", "crypto/subtle"} {
			assert.True(t, !imported[p] || inCluster || sealing, "%s imports %s: only package cluster and govern/seal.go compare secrets", path, p)
		}
		if !inCluster || strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, p := range []string{"bytes", "reflect", "slices"} {
			assert.False(t, imported[p], "%s imports %s, which compares bytes as fast as it can", path, p)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			at := fset.Position(sel.Pos())
			switch {
			case sel.Sel.Name == "EqualFold", x != nil && x.Name == "strings" && sel.Sel.Name == "Compare":
				assert.Fail(t, "a comparison that stops at the first difference", "%s", at)
			case x != nil && x.Name == "hmac" && sel.Sel.Name == "Equal":
				equals++
			case sel.Sel.Name == "array":
				// A MAC's array, as opposed to its slice, could be compared by ==.
				assert.Equal(t, "cluster/mac.go", path, "%s: a MAC's bytes outside of mac.go", at)
			}
			return true
		})
	})
	assert.Equal(t, 1, equals, "one place compares MACs")
}

// TestOneSwitchForCampaigns: one package reads whether scenarios run whole.
func TestOneSwitchForCampaigns(t *testing.T) {
	var read []string
	files(t, func(path string, _ *token.FileSet, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Value == `"DIAMOND_CAMPAIGN"` && !strings.HasPrefix(path, "internal/archtest/") {
				read = append(read, path)
			}
			return true
		})
	})
	assert.Equal(t, []string{"internal/campaign/campaign.go", "internal/campaign/campaign_test.go"}, read)
}

// TestExportedHaveComments: every exported name is documented.
func TestExportedHaveComments(t *testing.T) {
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") || f.Name.Name == "main" {
			return
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) {
					assert.NotNil(t, d.Doc, "%s: %s has no comment", fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							assert.True(t, d.Doc != nil || s.Doc != nil, "%s: %s has no comment", fset.Position(s.Pos()), s.Name.Name)
						}
					case *ast.ValueSpec:
						if s.Names[0].IsExported() {
							assert.True(t, d.Doc != nil || s.Doc != nil || s.Comment != nil, "%s: %s has no comment", fset.Position(s.Pos()), s.Names[0].Name)
						}
					}
				}
			}
		}
	})
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}

// TestFileLength: one type a file, with what belongs to it.
func TestFileLength(t *testing.T) {
	const limit = 500
	files(t, func(path string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		lines := fset.File(f.Pos()).LineCount()
		assert.LessOrEqual(t, lines, limit, "%s has %d lines", path, lines)
	})
}
