package transporttest_test

import (
	"testing"

	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a transport: the oracle of the suite.
func TestConformance_Server(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, srv diamond.Server) diamond.Transport { return srv })
}

func TestConformance_FaultyWithoutFaults(t *testing.T) {
	transporttest.Run(t, func(_ *testing.T, srv diamond.Server) diamond.Transport { return transporttest.NewFaulty(srv) })
}
