package windowsname

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFile(t *testing.T) {
	for name, want := range map[string]bool{
		"app.yaml": true, "A": true, ".hidden": true, "a b": true, "conf": true, "console.txt": true, "com": true, "com10": true, "xcon": true, "a.con": true, "nul-1": true,
		"": false, "con": false, "CON": false, "Nul.txt": false, "aux.": false, "prn.a.b": false, "com0": false, "COM1": false, "lpt9.yaml": false,
		"a:b": false, "app.yaml::$DATA": false, "a.": false, "...": false, "a ": false, `a\b`: false, "a/b": false, "a*": false, "a?": false, `a"`: false, "<a": false, "a>": false, "a|b": false, "a\nb": false,
	} {
		assert.Equal(t, want, File(name), "%q", name)
	}
}
