package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// X12: whatever a file of documents holds, it is read in time and memory in proportion to its
// size, and refused with lines that fit a terminal and break none.
func TestX12_HostileFilesOfDocuments(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 30; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	list := func(part string, n int) string {
		return "kind: role\nname: r\nverbs: [" + strings.TrimSuffix(strings.Repeat(part+", ", n), ", ") + "]\n"
	}
	for name, content := range map[string]string{
		"an alias in a value": "kind: role\nname: r\nverbs: &v [read]\n---\nkind: role\nname: s\nverbs: *v\n", "laughs": laughs,
		"laughs in a field":  "kind: role\nname: r\nverbs: &a [read]\ndescription: {x: [*a, *a, *a], y: &b [*a], z: [*b, *b]}\n",
		"an alias of itself": "kind: role\nname: r\nverbs: &v [*v]\n", "an alias as a name": "&k kind: role\n*k : user\nname: r\n", "a merge": "kind: user\nname: a\n<<: {name: b}\n",
		"a name twice": "kind: user\nname: a\n\"name\": b\n", "a name twice below": "kind: namespace\ntenant: a\nenvironment: b\nquota: {keys: 1, 'keys': 2}\n",
		"a name twice in JSON": `{"kind":"user","name":"a","name":"b"}`, "another kind at last": `{"kind":"user","name":"a","kind":"role"}`,
		"a tag": "kind: !!binary dXNlcg==\nname: a\n", "no text": "\xff\xfe\x00\xff\xc3\x28",
		"bytes in a name": "kind: user\nname: \"a\\xff\"\n", "an escape": "kind: user\nname: \"a\\e[2J\"\n", "raw escape": "kind: user\nname: a\x1b[2J\n", "zeros": strings.Repeat("\x00", 1<<20),
		"deep lists": strings.Repeat("[", 1<<20), "deep mappings": strings.Repeat("{a: ", 1<<18), "deep dashes": strings.Repeat("- ", 1<<18), "deep JSON": strings.Repeat(`{"a":`, 1<<18),
		"deep lists that end": "kind: role\nname: r\nverbs: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n",
		"a long anchor":       "kind: *" + strings.Repeat("a", 1<<20) + "\n", "a long kind": "kind: " + strings.Repeat("a", 1<<20) + "\n", "a long field": "kind: user\nname: a\n" + strings.Repeat("a", 1000) + ": b\n",
		"a long name": "kind: user\nname: " + strings.Repeat("a", 1<<20) + "\n", "a long tag": "kind: !" + strings.Repeat("a", 1<<20) + " x\nname: a\n",
		"many verbs": list("read", 1<<17), "many long verbs": list(strings.Repeat("x", 1000), 1000), "many fields": "kind: user\nname: a\n" + strings.Repeat("? a\n: b\n", 1<<16),
		"many documents": strings.Repeat("--- {}\n", 1<<14), "many of one": strings.Repeat("--- {kind: user, name: a}\n", 1<<14), "comments": "#" + strings.Repeat("x", 1<<20) + "\n",
		"a set": "kind: !!set {user}\nname: a\n", "a null key": "kind: user\nname: a\n? \n: x\n", "a directive": "%YAML 9.9\n---\nkind: user\nname: a\n", "too large": strings.Repeat("# x\n", maxApplyFile/4+1),
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.yaml")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := time.Now()
			all, err := readWanted(path)
			took := time.Since(begun)
			runtime.ReadMemStats(&after)
			assert.Less(t, took, 20*time.Second) // seconds where it would be hours
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2000*len(content)+64<<20))
			require.Error(t, err, "%d documents", len(all))
			problems := []error{err}
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				problems = joined.Unwrap()
			}
			for _, problem := range problems {
				line := errorLine(problem)
				require.Less(t, len(strings.ReplaceAll(line, path, "")), 4096)
				require.False(t, strings.ContainsFunc(line, unicode.IsControl), "%q", line)
			}
		})
	}
}

// A plan of documents that are another tenant's, or about it, is refused as a whole, and tells
// nothing of what is there.
func TestApply_OfAnotherTenant(t *testing.T) {
	g := newGoverned(t)
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"a.yaml": "{kind: tenant, name: acme}\n---\n{kind: tenant, name: b}\n---\n{kind: token, name: b.admin}\n---\n" +
		"{kind: grants, scope: 'tenant:b', grants: [{subject: 'token:b.admin', role: administrator}]}\n---\n{kind: team, name: acme.secret}\n"})
	g.must(g.setup, "apply", "-f", dir, "-y")
	b := g.must(g.setup, "token", "rotate", "b.admin")
	own := "{kind: team, name: b.t}\n"
	var said []string
	for _, tenant := range []string{"acme", "zeta"} { // one that exists, and one that does not
		for name, file := range map[string]string{
			"team": "{kind: team, name: TENANT.secret, members: ['token:b.admin']}", "token": "{kind: token, name: TENANT.x}", "tenant": "{kind: tenant, name: TENANT, owner: b}",
			"grants": "{kind: grants, scope: 'tenant:TENANT', grants: [{subject: 'token:b.admin', role: reader}]}", "namespace": "{kind: namespace, tenant: TENANT, environment: daily}",
		} {
			out := g.as(b, "apply", "-y", "-f", writeFile(t, own+"---\n"+strings.ReplaceAll(file, "TENANT", tenant)+"\n"))
			assert.Equal(t, exitError, out.code, "%s of %s: %s", name, tenant, out.stdout)
			assert.Contains(t, out.stderr, conf.ErrDenied.Error(), name)
			said = append(said, strings.ReplaceAll(out.stderr, tenant, "TENANT"))
		}
		out := g.as(b, "team", "show", "b.t")
		assert.NotEqual(t, exitOK, out.code, "nothing of it was applied")
	}
	assert.ElementsMatch(t, said[:5], said[5:], "whether it exists is not told")
	pruned := g.as(b, "apply", "-f", writeFile(t, own), "--prune", "-y")
	assert.Equal(t, exitOK, pruned.code, pruned.stderr)
	assert.NotContains(t, pruned.stdout, "secret")
	g.must(g.setup, "team", "show", "acme.secret")
}
