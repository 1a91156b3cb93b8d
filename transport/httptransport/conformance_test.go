package httptransport_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance_Loopback(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, srv diamond.Server) diamond.Transport {
		hs := httptest.NewServer(httptransport.NewHandler(srv, httptransport.WithMaxContent(transporttest.MaxContent)))
		tr := dial(t, hs.URL, patient)
		t.Cleanup(func() { tr.Close(); hs.Close() })
		return tr
	})
}

func TestConformance_Pipe(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, srv diamond.Server) diamond.Transport {
		p := memnet.Listen()
		serve(t, p, httptransport.NewHandler(srv, httptransport.WithMaxContent(transporttest.MaxContent)))
		client, network := clientOf(p)
		t.Cleanup(network.CloseIdleConnections)
		return dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(client), patient)
	})
}

// patient is for a server that only a machine that is busy keeps silent.
func patient(t *httptransport.Transport) { httptransport.WithTimeout(time.Minute)(t) }
