package seeded

import (
	"slices"
	"testing"
)

// tagged returns the tries of the defects that are still constants of
// internal/seeded, each behind a build tag.
func tagged() []try {
	return []try{
		{"wallclock_feed", "robust/sim", "TestChaos"},
		{"check_then_register", ".", "TestC6_LostWakeUp"},
		{"cold_404", "robust/sim", "TestC10_ColdServer"},
		{"apply_unordered_notify", "robust/sim", "TestChaos"},
		{"listener_panic_kills_loop", ".", "TestC1_ListenerPanics"},
		{"split_batch", "robust/sim", "TestChaos"},
		{"ack_before_commit", "robust/sim", "TestChaos"},
	}
}

func isTagged(defect string) bool {
	return slices.ContainsFunc(tagged(), func(t try) bool { return t.defect == defect })
}

// build returns the flag of the go command that builds a defect in.
func build(t *testing.T, defect string) string {
	if isTagged(defect) {
		return "-tags=bug_" + defect
	}
	return "-overlay=" + apply(t, defect)
}
