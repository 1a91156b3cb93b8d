package govern

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelStrict reads content by the tokens of encoding/json. It returns the paths of all
// values with their texts, "twice" if a name stands twice in an object, or "no" if it is no
// JSON.
func modelStrict(content string) (values []string, problem string) {
	dec := json.NewDecoder(strings.NewReader(content))
	dec.UseNumber()
	var read func(path string) string
	read = func(path string) string {
		tok, err := dec.Token()
		if err != nil {
			return "no"
		}
		delim, ok := tok.(json.Delim)
		if !ok {
			values = append(values, fmt.Sprintf("%s=%v", path, tok))
			return ""
		}
		values = append(values, path+"="+delim.String())
		seen := make(map[string]bool)
		for i := 0; dec.More(); i++ {
			inner := fmt.Sprintf("%s[%d]", path, i)
			if delim == '{' {
				tok, err := dec.Token()
				if err != nil {
					return "no"
				}
				name := tok.(string)
				if seen[name] {
					return "twice"
				}
				seen[name], inner = true, path+"."+name
			}
			if problem := read(inner); problem != "" {
				return problem
			}
		}
		if _, err := dec.Token(); err != nil {
			return "no"
		}
		return ""
	}
	if problem = read(""); problem == "" {
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			problem = "no"
		}
	}
	return values, problem
}

// valuesOf returns what modelStrict does.
func valuesOf(t *rapid.T, at tree, path string) (values []string) {
	raw := at.raw()
	if raw[0] != '{' && raw[0] != '[' {
		dec := json.NewDecoder(strings.NewReader(raw))
		dec.UseNumber()
		tok, err := dec.Token()
		require.NoError(t, err)
		return []string{fmt.Sprintf("%s=%v", path, tok)}
	}
	values = append(values, path+"="+raw[:1])
	i := 0
	for part := range at.parts() {
		inner := fmt.Sprintf("%s[%d]", path, i)
		if raw[0] == '{' {
			inner = path + "." + part[0].name
		}
		values = append(values, valuesOf(t, part, inner)...)
		i++
	}
	return values
}

// drawJSON draws a text that is JSON, or nearly.
func drawJSON(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
	kinds := 3
	if depth == 0 {
		kinds = 1
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 1:
		var parts []string
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			parts = append(parts, drawJSON(t, depth-1))
		}
		return space + "[" + strings.Join(parts, ",") + space + "]" + space
	case 2:
		var parts []string
		for i := range rapid.IntRange(0, 12).Draw(t, "fields") {
			name := rapid.SampledFrom([]string{`"a"`, `"\u0061"`, `"\""`, `""`, `"x]"`, "", "", "", "", ""}).Draw(t, "name")
			if name == "" {
				name = fmt.Sprintf(`"f%d"`, i)
			}
			parts = append(parts, space+name+space+":"+drawJSON(t, min(depth-1, 1)))
		}
		return space + "{" + strings.Join(parts, ",") + space + "}" + space
	}
	return space + rapid.SampledFrom([]string{"1", "-1.5e3", "true", "null", `"x"`, `"a\\"`, `"\"}"`, `"\ud800"`, "01", "tru", `"`}).Draw(t, "word") + space
}

// TestStrictIsAsTheReader: readStrict finds what encoding/json finds.
func TestStrictIsAsTheReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := drawJSON(t, 4)
		if rapid.IntRange(0, 9).Draw(t, "cut") == 0 {
			content = content[:rapid.IntRange(0, len(content)).Draw(t, "at")]
		}
		values, want := modelStrict(content)
		got, problem := readStrict(content)
		if !json.Valid([]byte(content)) {
			want = "no"
		}
		switch want {
		case "no":
			require.Regexp(t, "^(is not JSON|has text after its end)", problem)
		case "twice":
			require.Regexp(t, "stands twice$", problem)
		default:
			require.Empty(t, problem)
			require.Equal(t, values, valuesOf(t, got, ""))
		}
	})
}

// TestStrictLimits: what is deep is refused from 33 on, and names that stand twice are found
// among many.
func TestStrictLimits(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	_, problem := readStrict(deep(32))
	assert.Empty(t, problem)
	_, problem = readStrict(deep(33))
	assert.Equal(t, "has objects and lists in more than 32 others", problem)
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprintf(`"%d":{"y":1}`, i)
	}
	_, problem = readStrict(`{"x":{` + strings.Join(names, ",") + `}}`)
	assert.Empty(t, problem)
	for twice := range names {
		_, problem = readStrict(`{"a":{},"x":{` + strings.Join(names, ",") + fmt.Sprintf(`,"%d":1}}`, twice))
		assert.Equal(t, fmt.Sprintf(`"x.%d": stands twice`, twice), problem)
	}
	for content, want := range map[string]string{"": "is not JSON: unexpected end", " ": "is not JSON: unexpected end", "1 2": "has text after its end", "[1,]": "is not JSON: invalid character"} {
		_, problem = readStrict(content)
		assert.Contains(t, problem, want)
	}
}

// TestEncodeWritesNoFieldTwice: an unknown field with the name of a known one is left out.
func TestEncodeWritesNoFieldTwice(t *testing.T) {
	content, err := Encode(&User{Name: "ann", Description: "x", Unknown: Unknown{"description": json.RawMessage(`"y"`), "other": json.RawMessage("1")}})
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(content, `"description"`))
	doc, err := ParseDocument(KeyOf(KindUser, "ann"), content)
	require.NoError(t, err)
	assert.Equal(t, "x", doc.(*User).Description)
	assert.Contains(t, doc.(*User).Unknown, "other")
}
