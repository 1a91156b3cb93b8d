//go:build bug_md5_only_compare

package seeded

// MD5OnlyCompare is built in; see md5_only_compare_off.go.
const MD5OnlyCompare = true
