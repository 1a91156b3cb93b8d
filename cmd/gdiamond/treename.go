package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/linnaname/gdiamond/internal/windowsname"
)

// Names of files in a tree are the parts of keys. Bytes that some file system or tool
// does not allow are written as "%" and two hexadecimal digits. No key has a "%", so
// each name stands for exactly one part.

const (
	// maxFileName leaves room for the suffixes of editors in the 255 bytes that
	// file systems allow.
	maxFileName = 240
	// cutMark precedes a hash of the part in a name that was cut because it would be
	// too long. Only the manifest has the whole part.
	cutMark = "%~"
)

// fileName returns the name of the file, or the directory, for a part of a key.
func fileName(part string) string {
	escape := func(i int) bool {
		c := part[i]
		switch {
		case c == ':': // on Windows it separates the name of a stream
			return true
		case c == '.': // hidden, or dropped by Windows
			return i == 0 || i == len(part)-1
		}
		return i == 0 && reserved(part)
	}
	return cut(escaped(part, escape), part)
}

// otherFileName returns a second name for part. It is for a file system that takes the
// name of [fileName] for that of another part, for example because it folds case.
func otherFileName(part string) string {
	return cut(escaped(part, func(i int) bool { return !('0' <= part[i] && part[i] <= '9') }), part)
}

func escaped(part string, escape func(i int) bool) string {
	var b strings.Builder
	for i := range len(part) {
		if escape(i) {
			fmt.Fprintf(&b, "%%%02X", part[i])
		} else {
			b.WriteByte(part[i])
		}
	}
	return b.String()
}

func cut(name, part string) string {
	if len(name) <= maxFileName {
		return name
	}
	hash := sha256.Sum256([]byte(part))
	tail := cutMark + hex.EncodeToString(hash[:])
	return name[:maxFileName-len(tail)] + tail
}

// reserved reports whether name is a device on Windows, or a file that systems create
// in directories.
func reserved(name string) bool {
	return windowsname.Device(name) || systemFile(name)
}

// systemFile reports whether name is a hidden file, or one that systems and editors
// leave in directories.
func systemFile(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") ||
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") ||
		lower == "thumbs.db" || lower == "desktop.ini"
}

var (
	errCut    = errors.New("its name was shortened by the export, and " + manifestName + " does not have the full name")
	errEscape = errors.New(`a "%" in its name is not followed by two hexadecimal digits`)
)

// partOf reverses [fileName] and [otherFileName].
func partOf(name string) (string, error) {
	if strings.Contains(name, cutMark) {
		return "", errCut
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		c, err := hex.DecodeString(name[i+1 : min(i+3, len(name))])
		if err != nil || len(c) != 1 {
			return "", errEscape
		}
		b.WriteByte(c[0])
		i += 2
	}
	return b.String(), nil
}
