package httptransport

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// reader is a server that can be read only, and says what a test has it say.
type reader struct {
	diamond.Server
	entry conf.Entry
}

func (s *reader) Fetch(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
	at := conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1}, Revision: s.entry.Revision}
	return &conf.FetchResponse{Found: true, Entry: s.entry, Position: at}, nil
}

// A storage that lost history may have another value at a revision that this
// handler has served: what is shared between answers must not mix the two.
func TestS10_SameRevisionOfAnotherHistory(t *testing.T) {
	value := func(content, typ, meta string, at time.Time) conf.Entry {
		return conf.Entry{
			Key: conf.NewKey("", "a"), Content: content, Type: typ, MD5: conf.MD5Hex(content), Size: int64(len(content)),
			Revision: 7, View: 7, Modified: at.UTC(), Meta: map[string]string{"m": meta},
		}
	}
	srv := &reader{}
	hs := httptest.NewServer(NewHandler(srv))
	defer hs.Close()
	client, err := New(hs.URL, WithTimeout(time.Minute))
	require.NoError(t, err)
	defer client.Close()
	start := time.Unix(1_700_000_000, 0)
	for _, srv.entry = range []conf.Entry{
		value("short", "text", "1", start),
		value("of another length", "text", "1", start),
		value("of another length", "json", "2", start.Add(time.Microsecond)),
	} {
		resp, err := client.Fetch(t.Context(), &conf.FetchRequest{Key: srv.entry.Key})
		require.NoError(t, err)
		assert.Equal(t, srv.entry, resp.Entry)
	}
}
