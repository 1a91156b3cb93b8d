//go:build !bug_check_then_register

package seeded

// CheckThenRegister: a poll compares first, and then registers for changes: one in between does not wake it.
const CheckThenRegister = false
