//go:build bug_check_then_register

package seeded

// CheckThenRegister is built in; see check_then_register_off.go.
const CheckThenRegister = true
