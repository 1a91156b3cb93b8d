package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/windowsname"
)

// Every part of a key has names that every file system takes, which stand for it
// alone, and which no import skips.
func TestTree_FileNames(t *testing.T) {
	long := strings.Repeat("x", conf.MaxDataID)
	for part, want := range map[string]string{
		"db.yaml": "db.yaml", "a:b": "a%3Ab", ".env": "%2Eenv", "...": "%2E.%2E", "end.": "end%2E",
		"con": "%63on", "NUL.txt": "%4EUL.txt", "com1": "%63om1", "com10": "com10", "conf": "conf",
		"Thumbs.db": "%54humbs.db", "desktop.ini": "%64esktop.ini",
	} {
		assert.Equal(t, want, fileName(part))
	}
	for _, part := range []string{"db.yaml", "a:b", ".env", "...", "end.", "con", "NUL.txt", "LPT1", "a:b:c", "x.", "Thumbs.db", "A", "a", "0", long[:conf.MaxGroup]} {
		for _, name := range []string{fileName(part), otherFileName(part)} {
			assert.True(t, windowsname.File(name) && !systemFile(name), name)
			assert.LessOrEqual(t, len(name), 255)
			if !strings.Contains(name, cutMark) {
				back, err := partOf(name)
				require.NoError(t, err, name)
				assert.Equal(t, part, back)
			}
		}
	}
	assert.LessOrEqual(t, len(fileName(long)), maxFileName)
	assert.NotEqual(t, fileName(long), fileName(long[1:]+"y"), "cut names differ where the parts do")
	assert.NotEqual(t, otherFileName("App"), otherFileName("APP"))
	for name, want := range map[string]error{fileName(long): errCut, "a%": errEscape, "a%4": errEscape, "a%zz": errEscape} {
		_, err := partOf(name)
		assert.ErrorIs(t, err, want, name)
	}
}
