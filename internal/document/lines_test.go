package document

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A text that is not valid is refused with the line at which it is not, and
// with a reason that a person can act on. CANARY stands for content.
func TestNoContentInErrors(t *testing.T) {
	for _, d := range []struct{ format, data, want string }{
		{"yaml", "a: 1\nb:\n\tCANARY: 1\n", "line 3: not valid YAML: a tab in the indentation: YAML takes spaces alone"},
		{"yaml", "a: 1\n\u00a0\u00a0CANARY: 1\n", "line 2: a space that is not the plain one (a non-breaking or a full-width space)"},
		{"yaml", "a: 1\nCANARY:\u00a01\nb: 2\n", "line 2: not valid YAML: a space that is not the plain one (a non-breaking or a full-width space)"},
		{"yaml", "a: 1\nCANARY：1\nb: 2\n", "line 2: not valid YAML: a full-width sign where YAML takes the plain one, such as a colon"},
		{"yaml", "a: 1\n\nx: CANARY: CANARY\n", "line 3: not valid YAML: a colon where no value can stand: indent it as its neighbours are, or put the text in quotes"},
		{"yaml", "a: 1\nb: [CANARY, 2\nc: 3\n", "line 2: not valid YAML: a list in [] or a mapping in {} that is not closed, or lacks a comma"},
		{"yaml", "x:\n  a: 1\n  b: 2\n   CANARY\n c: 3\nd: 4\n", "line 5: not valid YAML: a line that is no key of the mapping that it stands in: see its indentation, and for quotes that are not closed"},
		{"yaml", "x: 1\ny:\n- a\nCANARY\nz: 1\n", "line 4: not valid YAML: a key without a colon and a space after it"},
		{"yaml", "a: *CANARY\n", "line 1: not valid YAML: an alias without an anchor before it"},
		{"yaml", "a: 1\nb: @CANARY\n", "line 2: not valid YAML: a text that begins with a sign of YAML's own: put it in quotes"},
		{"yaml", "a: 1\nb: !CANARY x\n", "line 2: a tag that is not known"},
		{"yaml", "a: 1\nCANARY: 1\nCANARY: 2\n", "line 3: a key appears twice in one mapping"},
		{"yaml", "a: 1\n---\nCANARY: 2\n", "line 2: more than one document"},
		{"yaml", "a: 1\n? [CANARY]\n: 2\n", "line 2: a key is not a text or a number"},
		{"yaml", "title: CANARY：1\nb: c: CANARY\n", "line 2: not valid YAML: a colon where no value can stand: indent it as its neighbours are, or put the text in quotes"},
		{"yaml", "title: “CANARY”\nb: @CANARY\n", "line 2: not valid YAML: a text that begins with a sign of YAML's own: put it in quotes"},
		{"yaml", "a: 1\nb: !!bool CANARY\n", "line 2: a value that is not of its tag"},
		{"yaml", "a: 1\nb: !!null CANARY\n", "line 2: a value that is not of its tag"},
		{"json", "{\"a\":\n\"\\ud83d \\\\ufffd CANARY\"}", "line 2, column 1: an escape is half of a character (a lone surrogate)"},
		{"json", "{\n\"a\": CANARY}", "line 2, column 6: not valid JSON: an unexpected character looking for beginning of value"},
		{"json", "{\n\"a\": 1,\n}", "line 3, column 1: not valid JSON: an unexpected character looking for beginning of object key string"},
		{"json", "{\n\"CANARY\": [1,\n2", "line 3, column 2: not valid JSON: it ends too early"},
		{"json", "{\n\"CANARY\": 1,\n\"CANARY\": 2}", "line 3: a key appears twice in one mapping"},
		{"json", "{}\n{}", "line 2, column 1: more than one document"},
		{"json", "{\"CANARY\": 1}\n}", "line 2, column 1: not valid JSON: an unexpected character after top-level value"},
		{"json", "[1 CANARY]", "line 1, column 4: not valid JSON: an unexpected character after array element"},
		{"toml", "a = 1\nCANARY CANARY\n", "line 2: not valid TOML: a key without = and a value"},
		{"toml", "a = 1\nb = CANARY\n", "line 2: not valid TOML: a value is missing, or a text is without quotes"},
		{"toml", "a = 1\nCANARY = 1\nCANARY = 2\n", "line 3: not valid TOML: a key appears twice in one mapping"},
		{"toml", "a = 1\nb = \"CANARY\nc = 2\n", "line 2: not valid TOML: quotes that are not closed"},
		{"toml", "a = 1\nb = 2 CANARY\n", "line 2: not valid TOML: something after a value on its line"},
		{"toml", "a = 1\nb = 01\n", "line 2: not valid TOML: a number must not begin with 0: write 0o for octal, or put it in quotes if it is not a number"},
		{"toml", "a = 1\nb = 1e400\n", "line 2: not valid TOML: it is out of range"},
		{"properties", "a=1\nb=CANARY\\uCANA\n", "line 2: not valid properties: a malformed \\u escape"},
		{"properties", "a=1\nCANARY=1\nCANARY=2\n", "line 3: a key appears twice in one mapping"},
		{"properties", "a=1\nCANARY=\xd6\xd0\n", "line 2: it is not UTF-8"},
		{"xml", "<CANARY/>", `no parser for type "xml"`},
	} {
		_, err := Parse(d.format, []byte(d.data))
		require.Error(t, err, "%q", d.data)
		assert.Equal(t, d.want, err.Error(), "%q", d.data)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "CANA")
	}
}

// lines returns the line of each scalar below n, by its text.
func lines(n *Node, into map[string]int32) {
	if len(n.Members) == 0 {
		into[n.Text] = n.Line
	}
	for i := range n.Members {
		lines(&n.Members[i].Value, into)
	}
}

// Each value knows its line, whatever stands before it.
func TestParse_LinesOfValues(t *testing.T) {
	for format, data := range map[string]string{
		"json":       "{\n\"a\": \"2\", \"b\": [\n\"3\",\n{\"c\": \"4\"}]}",
		"yaml":       "\na: \"2\"\nb:\n- \"4\"\n- {c: \"5\"}\nd: |\n  x\ne: \"8\"\n",
		"properties": "\na=2\n# c\nb=\\\n  4\nc=6\n",
		"toml": "# c\na = \"2\"\nb = '''\nx\n'''\n\n[t] # \"\nc = \"8\"\n[[l]]\nd = \"10\"\n[[l]]\nd = \"12\"\n[l.sub]\ne = \"14\"\n" +
			"[u]\nf = [\n{g = \"17\"},\n{g = \"18\", h = \"\"\"\n\\\"\"\"\"\"},\n]\ni.j = \"21\"\n",
	} {
		got := make(map[string]int32)
		root, err := Parse(format, []byte(data))
		require.NoError(t, err, format)
		lines(&root, got)
		for text, line := range got {
			var want int32
			if n, _ := fmt.Sscan(text, &want); n == 1 && !(format == "properties" && text == "4") {
				assert.Equal(t, want, line, "%s %q", format, text)
			}
		}
	}
}

// The parser tells no lines of TOML; they are told from the order of its keys.
func TestParse_LinesOfTOMLLists(t *testing.T) {
	text := `a = "@"
[[l]]
k = "@"
[[l.m]]
b = "@"
[[l.m]]
b = "@"
c.d = "@"
[[l]]
[[l]]
k = "@"
[[l.m]]
b = "@"
[l.sub.deep]
b = "@"
[l.sub.other]
b = "@"
[t]
f = [
  {g = "@"},
  {h = "@"},
  {g = "@", h = "@"},
  {},
  {g = {i = "@", j = [{k = "@"}]}},
]
x.y = "@"
x.z = "@"
`
	rows := strings.Split(text, "\n")
	for i := range rows {
		rows[i] = strings.ReplaceAll(rows[i], "@", strconv.Itoa(i+1))
	}
	root, err := Parse("toml", []byte(strings.Join(rows, "\n")))
	require.NoError(t, err)
	got := 0
	var check func(n *Node)
	check = func(n *Node) {
		if n.Kind == String {
			got++
			assert.Equal(t, n.Text, strconv.Itoa(int(n.Line)))
		}
		for i := range n.Members {
			check(&n.Members[i].Value)
		}
	}
	check(&root)
	assert.Equal(t, strings.Count(text, "@"), got)

	// What stands in nothing that has a line of its own has that of what it is in.
	root, err = Parse("toml", []byte("\n[t]\n\na = [\n1,\n[2, [3]]]\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 2, root.Members[0].Line)
	assert.EqualValues(t, 4, root.Members[0].Value.Members[0].Line)
}

func FuzzParse(f *testing.F) {
	for _, format := range []string{"json", "yaml", "toml", "properties"} {
		for _, data := range []string{"a: 1\nb: [1, {c: x}]\n", `{"a": [1, "x", null]}`, "[[a]]\nb.c = [{d = 1}]\n", "a.b[0]=x\\\n y\n", "--- ~ # c\n...\n", "\ufeff# c", "null"} {
			f.Add(format, []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, format string, data []byte) {
		root, err := Parse(format, data)
		if Blank(format, string(data)) && Knows(format) {
			require.Error(t, err, "what says nothing is no document")
		}
		if err == nil {
			within(t, &root, 0)
		}
	})
}

// within checks the bounds of what was parsed.
func within(t *testing.T, n *Node, depth int) {
	require.LessOrEqual(t, depth, MaxDepth)
	if n.Kind != List && n.Kind != Mapping && n.Kind != Properties {
		require.Empty(t, n.Members)
		return
	}
	seen := make(map[string]bool)
	for i := range n.Members {
		m := &n.Members[i]
		require.LessOrEqual(t, len(m.Key), MaxKey)
		require.False(t, n.Kind != List && seen[m.Key], "a key appears twice")
		seen[m.Key] = true
		within(t, &m.Value, depth+1)
	}
}
