//go:build !bug_autoinc_feed

package seeded

// AutoincFeed is this defect: a storage hands out revisions before it commits, so that a higher one can be seen first.
const AutoincFeed = false
