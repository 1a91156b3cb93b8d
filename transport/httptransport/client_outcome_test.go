package httptransport_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A round tripper of the caller's need not report what it does. What it fails
// to do may have been done: nobody can promise that it was not.
func TestD4_OutcomeIsUnknownWhereTheRoundTripperDoesNotTell(t *testing.T) {
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("the answer was lost")
	})}
	tr := dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(client))
	set := conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", "a"), Content: "1"}}}
	_, err := tr.Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.ErrorIs(t, err, conf.ErrUnknownOutcome)

	_, err = dial(t, "127.0.0.1:1").Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.ErrorIs(t, err, conf.ErrUnavailable, "nobody listens there: nothing was done")
	require.NotErrorIs(t, err, conf.ErrUnknownOutcome)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = tr.Commit(ended, &conf.CommitRequest{Set: set})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
}
