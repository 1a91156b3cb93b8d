package diamond_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A transport asks for the Status with each refused write, and health pages do
// all the time: that must not cost in the order of what clients have reported.
func TestStatusIsCheapWithManyReports(t *testing.T) {
	srv := serve(t, memstore.New())
	at := srv.publish("a.json", "1")
	for i := range 200_000 {
		_, err := srv.Report(t.Context(), &diamond.ReportRequest{
			Client:  diamond.ClientInfo{ID: strconv.Itoa(i)},
			Reports: []diamond.Report{{Key: keyA, Revision: at.Revision, Applied: true}},
		})
		require.NoError(t, err)
	}
	start := time.Now()
	for range 200 {
		require.Equal(t, 200_000, srv.Status().Listeners.InSync)
	}
	assert.Less(t, time.Since(start), 2*time.Second, "200 times")
}
