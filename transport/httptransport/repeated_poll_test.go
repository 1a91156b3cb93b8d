package httptransport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// What the client writes when it asks again is known without a JSON decoder, and
// means what the decoder says that it does.
func TestRepeatedPollsOfTheClientAreKnown(t *testing.T) {
	var body []byte
	client := dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			body, _ = io.ReadAll(r.Body)
			return nil, io.ErrUnexpectedEOF
		}),
	}))
	asked := &conf.PollRequest{
		Set:      conf.HashKeys([]conf.Key{conf.NewKey("", "a")}),
		Position: conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 2}, Revision: 3},
		Wait:     25 * time.Second,
	}
	_, _ = client.Poll(t.Context(), asked)
	require.NotEmpty(t, body)
	known := httptransport.RepeatedPoll(body)
	require.NotNil(t, known, "%s", body)
	decoded, err := httptransport.DecodePoll(body)
	require.NoError(t, err)
	assert.Equal(t, decoded, known)
	assert.Equal(t, asked.Set, known.Set)
	assert.Equal(t, asked.Position, known.Position)
	assert.Equal(t, asked.Wait, known.Wait)

	usual := string(body)
	for name, other := range map[string]string{
		"a space":         strings.Replace(usual, ":", ": ", 1),
		"another field":   strings.Replace(usual, "}", `,"keys":["a"]}`, 1),
		"twice":           strings.Replace(usual, "}", `,"wait":"1s"}`, 1),
		"an escape":       strings.Replace(usual, "25s", `\u00325s`, 1),
		"something after": usual + "{}",
		"a short set":     strings.Replace(usual, `"set":"`, `"set":"0`, 1),
		"no duration":     strings.Replace(usual, "25s", "25", 1),
		"cut off":         usual[:len(usual)-1],
	} {
		assert.Nil(t, httptransport.RepeatedPoll([]byte(other)), name)
	}
}
