package httptransport_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// partly answers a list that is partial if it is of all namespaces.
type partly struct{ diamond.Server }

func (p *partly) List(_ context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	return &conf.ListResponse{Partial: req.Namespace == conf.AllNamespaces, Position: cannedPosition}, nil
}

func TestList_PartialCrossesTheWire(t *testing.T) {
	hs := &http.Client{Transport: inProcess{httptransport.NewHandler(&partly{})}}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(hs))
	for namespace, want := range map[string]bool{conf.AllNamespaces: true, "public": false} {
		resp, err := tr.List(t.Context(), &conf.ListRequest{Namespace: namespace})
		require.NoError(t, err)
		assert.Equal(t, want, resp.Partial, namespace)
	}
}
