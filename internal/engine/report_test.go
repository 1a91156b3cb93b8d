package engine_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A transport asks for the Status with each refused write, and health pages ask for it all
// the time. So its cost must not grow with the number of reports: many reports are counted
// at most once a second, and few each time.
func TestStatusIsCheapWithManyReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a.json", "1")
		reported := 0
		report := func(n int) {
			for range n {
				reported++
				_, err := srv.Report(t.Context(), &conf.ReportRequest{
					Client:  conf.ClientInfo{ID: strconv.Itoa(reported)},
					Reports: []conf.Report{{Key: clienttest.KeyA, Revision: at.Revision, Applied: true}},
				})
				require.NoError(t, err)
			}
		}
		inSync := func() int { return srv.Status().Listeners.InSync }
		report(10)
		assert.Equal(t, 10, inSync())
		report(10)
		assert.Equal(t, 20, inSync(), "few are counted each time")

		report(5000)
		time.Sleep(time.Second)
		counted := reported
		assert.Equal(t, counted, inSync())
		for range 100 {
			report(1)
			assert.Equal(t, counted, inSync(), "many are not counted again within the second")
		}
		time.Sleep(time.Second)
		assert.Equal(t, reported, inSync(), "but after it")
	})
}
