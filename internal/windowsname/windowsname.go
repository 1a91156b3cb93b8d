// Package windowsname recognises names that Windows treats as something other than a file of
// that name. It runs on every system.
package windowsname

import "strings"

// Device reports whether name is a device on Windows, regardless of the part after its first
// dot.
func Device(name string) bool {
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch stem {
	case "con", "prn", "aux", "nul":
		return true
	}
	return len(stem) == 4 && (stem[:3] == "com" || stem[:3] == "lpt") && '0' <= stem[3] && stem[3] <= '9'
}

// File reports whether a file can have that name on Windows. The name must not be a device,
// have special characters such as ":", or end with a dot or a space, which Windows drops.
func File(name string) bool {
	return name != "" && !Device(name) && !strings.ContainsAny(name, `<>:"/\|?*`) &&
		strings.IndexFunc(name, func(r rune) bool { return r < ' ' }) < 0 &&
		!strings.HasSuffix(name, ".") && !strings.HasSuffix(name, " ")
}
