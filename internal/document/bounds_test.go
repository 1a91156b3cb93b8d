package document

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// most is how many bytes a content may have by default.
const most = 10 << 20

// TestParse_DeepAndLongIsRefused has documents as large as they may be
// published whose depth, keys or aliases would cost a parser its stack, or a
// time that grows with the square of their size.
func TestParse_DeepAndLongIsRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for name, d := range map[string]struct{ format, data, reason string }{
		"json lists":           {"json", strings.Repeat("[", most), "deep"},
		"json mappings":        {"json", strings.Repeat(`{"a":`, most/5), "deep"},
		"json many":            {"json", "[" + strings.Repeat("0,", most/2-2) + "0]", "too many values"},
		"json key":             {"json", `{"` + strings.Repeat("k", MaxKey+1) + `":1}`, "a key is too long"},
		"yaml lists":           {"yaml", "x: " + strings.Repeat("[", most-10), "too many values"},
		"yaml a few lists":     {"yaml", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "deep"},
		"yaml mappings":        {"yaml", strings.Repeat("{a: ", 1000) + strings.Repeat("}", 1000), "deep"},
		"yaml block":           {"yaml", strings.Repeat("- ", 1000), "deep"},
		"yaml many":            {"yaml", strings.Repeat("- \n", most/3), "too many values"},
		"yaml many in one":     {"yaml", "[" + strings.Repeat("a,", most/2-2) + "]", "too many values"},
		"yaml many keys":       {"yaml", strings.Repeat("a:\n", most/3), "too many values"},
		"yaml key":             {"yaml", strings.Repeat("k", MaxKey+1) + ": 1", "not valid YAML"},
		"yaml quoted key":      {"yaml", "? " + strings.Repeat("k", MaxKey+1) + "\n: 1", "a key is too long"},
		"yaml aliases":         {"yaml", bomb, "aliases stand for too much"},
		"yaml aliases of text": {"yaml", "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 1000) + "]", "aliases stand for too much"},
		"yaml empty aliases":   {"yaml", strings.ReplaceAll(bomb, "x", "[]"), "aliases stand for too much"},
		"json twice of many":   {"json", "{" + manyPairs("\"k%d\":1,", 40) + `"k30":1}`, reasonTwice},
		"yaml alias of itself": {"yaml", "a: &a [*a]", "an alias stands within"},
		"yaml deep by aliases": {"yaml", "a: &a " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\nb: " + strings.Repeat("[", 40) + "*a" + strings.Repeat("]", 40), "deep"},
		"toml lists":           {"toml", "x = " + strings.Repeat("[", most-10), "deep"},
		"toml mappings":        {"toml", "x = " + strings.Repeat("{a=", most/3), "deep"},
		"toml dotted":          {"toml", strings.Repeat("a.", most/2-10) + "a = 1", "a key is too long"},
		"toml short dotted":    {"toml", strings.Repeat("a.", MaxDepth) + "a = 1", "deep"},
		"toml table":           {"toml", "[" + strings.Repeat("a.", MaxDepth) + "a]\nx = 1", "deep"},
		"toml below a table":   {"toml", "[" + strings.Repeat("a.", MaxDepth/2) + "a]\n" + strings.Repeat("a.", MaxDepth/2) + "x = 1", "deep"},
		"toml in a list":       {"toml", "x = [\n[1], {y." + strings.Repeat("a.", MaxDepth) + "x = 1}]", "deep"},
		"toml many":            {"toml", "x = [" + strings.Repeat("0,", most/2-4) + "]", "too many values"},
		"toml many tables":     {"toml", strings.Repeat("[[a]]\n", most/6), "too many"},
		"toml long paths":      {"toml", "[" + strings.Repeat("long.", 50) + "a]\n" + manyPairs("k%d=1\n", 200_000), "its keys are too many or too long"},
		"toml many dotted":     {"toml", manyPairs(strings.Repeat("a.", 50)+"k%d=1\n", 20_000), "its keys are too many or too long"},
		"properties dotted":    {"properties", strings.Repeat("next.", most/5-10) + "v=1", "deep"},
		"properties indexes":   {"properties", "a" + strings.Repeat("[0]", MaxDepth) + "=1", "deep"},
		"properties key":       {"properties", strings.Repeat("k", MaxKey+1) + "=1", "a key is too long"},
		"properties many":      {"properties", manyPairs("%d\n", MaxValues+1), "too many values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(d.format, []byte(d.data))
			require.ErrorContains(t, err, d.reason)
			assert.Less(t, len(err.Error()), 200)
		})
	}
}

func manyPairs(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// What is just within the bounds is taken.
func TestParse_WithinTheBounds(t *testing.T) {
	lists := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	key := strings.Repeat("k", MaxKey)
	for name, d := range map[string]struct{ format, data string }{
		"json": {"json", lists}, "yaml": {"yaml", lists}, "toml": {"toml", "x = " + lists[1:len(lists)-1]},
		"toml dotted":       {"toml", strings.Repeat("a.", MaxDepth-1) + "a = 1"},
		"properties dotted": {"properties", strings.Repeat("a.", MaxDepth-1) + "a = 1"},
		"json key":          {"json", `{"` + key + `":1}`}, "yaml key": {"yaml", "? " + key + "\n: 1"},
		"toml key": {"toml", key[1:] + "=1"}, "properties key": {"properties", key + "=1"},
		"yaml text with signs": {"yaml", "a: |\n" + strings.Repeat("  a,b-c,d:e\n", 200_000)},
		"yaml alias":           {"yaml", "a: &a [1]\nb: *a\nc: [*a, *a]"},
	} {
		_, err := Parse(d.format, []byte(d.data))
		require.NoError(t, err, name)
	}
}

// Keys cost the same each, however many there are: a parser that is quadratic
// in them takes minutes here, one that is not takes well under a second.
func TestParse_ManyKeysTakeALinearTime(t *testing.T) {
	for format, pair := range map[string]string{"json": `"key%d":1,`, "yaml": "key%d: 1\n", "toml": "key%d = 1\n", "properties": "key%d=1\n"} {
		data := manyPairs(pair, 200_000)
		if format == "json" {
			data = "{" + strings.TrimSuffix(data, ",") + "}"
		}
		start := time.Now()
		root, err := Parse(format, []byte(data))
		require.NoError(t, err, format)
		assert.Len(t, root.Members, 200_000)
		assert.Less(t, time.Since(start), time.Minute, format)
	}
}
