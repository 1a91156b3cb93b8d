// Package e2e proves promises that no part can prove alone: real clients, real
// HTTP and real servers, with faults between them. It holds only tests.
package e2e

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
