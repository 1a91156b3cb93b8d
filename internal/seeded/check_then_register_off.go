//go:build !bug_check_then_register

package seeded

// CheckThenRegister is this defect: a poll compares first, and then registers for changes: one in between does not wake it.
const CheckThenRegister = false
