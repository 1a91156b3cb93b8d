//go:build !bug_md5_only_compare

package seeded

// MD5OnlyCompare is this defect: conditions compare contents by MD5: from A to B and back to A is no change.
const MD5OnlyCompare = false
