package httptransport_test

import (
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance_Loopback(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, srv diamond.Server) diamond.Transport {
		hs := httptest.NewServer(httptransport.NewHandler(srv, httptransport.WithMaxContent(transporttest.MaxContent)))
		tr := httptransport.New(hs.URL)
		t.Cleanup(func() { tr.Close(); hs.Close() })
		return tr
	})
}
