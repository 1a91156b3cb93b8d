package httptransport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// What a hostile server can make a client hold is bounded, also where it is no
// content: lines without end, and as many as it claims there are.
func TestClient_LinesAreBounded(t *testing.T) {
	keys := []conf.Key{protocoltest.Key("k")}
	poll := &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys)}
	for name, answer := range map[string]struct {
		count int
		line  string
	}{
		"many": {conf.MaxPollKeys + 1, `{"key":"public/DEFAULT_GROUP/k"}` + "\n"},
		"long": {conf.MaxPollKeys, `{"key":"public/DEFAULT_GROUP/k","meta":{"x":"` + strings.Repeat("x", 100<<10) + `"}}` + "\n"},
	} {
		sent := make(chan int, 10)
		tr := against(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Diamond-Position", cannedPosition.String())
			w.Header().Set("Diamond-Count", fmt.Sprint(answer.count))
			n := 0
			for range answer.count {
				more, err := io.WriteString(w, answer.line)
				if n += more; err != nil {
					break
				}
			}
			sent <- n
		}, httptransport.WithMaxAnswer(1<<10))
		_, err := tr.Poll(t.Context(), poll)
		unasked(t, err, conf.ErrUnavailable, name)
		assert.Less(t, <-sent, 48<<20, name)
	}
}

// The reports that a client sends at once fit into a request, however long the names.
func TestReports_OfTheLongestKeysFit(t *testing.T) {
	c := protocoltest.New(t)
	tr := against(t, c.H.ServeHTTP)
	req := &conf.ReportRequest{Client: conf.ClientInfo{ID: "one"}}
	for i := range 1000 {
		req.Reports = append(req.Reports, conf.Report{
			Key:      conf.Key{Namespace: strings.Repeat("n", 128), Group: strings.Repeat("g", 128), DataID: fmt.Sprintf("%0256d", i)},
			Revision: 1 << 62, Reason: "panic",
		})
	}
	_, err := tr.Report(t.Context(), req)
	require.NoError(t, err)
}
