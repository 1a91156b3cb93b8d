package follower_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// paged is a server whose lists have one entry a page. Each page is as of the position
// that at returns.
type paged struct {
	*clienttest.Centre
	at    func(page int) conf.Position
	asked int // pages, the repeated ones included
}

const pageCount = 3

func (p *paged) List(_ context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	page := 0
	for req.After != (conf.Key{}) && pageKey(page).Compare(req.After) <= 0 {
		page++
	}
	p.asked++
	return &conf.ListResponse{
		Entries:  []conf.Entry{{Key: pageKey(page), Revision: 1}},
		More:     page < pageCount-1,
		Position: p.at(page),
	}, nil
}

func pageKey(page int) conf.Key { return conf.NewKey("pages", fmt.Sprint("page-", page)) }

// No page of a list is older than the newest position that the client had seen before,
// whichever server answers. Servers that are behind have time to catch up.
func TestList_NoPageIsOlderThanWhatTheClientHasSeen(t *testing.T) {
	for behind := range pageCount {
		synctest.Test(t, func(t *testing.T) {
			server := &paged{Centre: clienttest.NewCentre()}
			client := clienttest.NewClient(t, server)
			old := server.Set(clienttest.KeyA, "1")
			oldPosition := server.Position()
			seen, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "2"})
			require.NoError(t, err)
			require.Greater(t, seen.Revision, old)

			caught := time.Now().Add(3 * time.Second)
			server.at = func(page int) conf.Position {
				if page == behind && time.Now().Before(caught) {
					return oldPosition
				}
				return server.Position()
			}
			var keys []conf.Key
			for e, err := range client.List(t.Context(), conf.ListRequest{}) {
				require.NoError(t, err)
				keys = append(keys, e.Key)
			}
			assert.Equal(t, []conf.Key{pageKey(0), pageKey(1), pageKey(2)}, keys)
			assert.False(t, time.Now().Before(caught))
			assert.Greater(t, server.asked, pageCount)
		})
	}
}

// Pages that are newer than the first are good ones: a list of many pages would never
// end beside a busy publisher.
func TestList_LaterPagesMayBeNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &paged{Centre: clienttest.NewCentre()}
		var first conf.Position
		server.at = func(page int) conf.Position {
			if page == 0 {
				server.Set(clienttest.KeyA, "1")
				first = server.Position()
			}
			if page == 1 {
				server.Set(clienttest.KeyA, "2")
				return server.Position()
			}
			return first
		}
		client := clienttest.NewClient(t, server)
		require.NoError(t, drained(client.List(t.Context(), conf.ListRequest{})))
		assert.Equal(t, pageCount, server.asked, "the last page is older than the second, not than what was seen before")
	})
}

func TestList_ErrBehindIfNoServerCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &paged{Centre: clienttest.NewCentre()}
		old := server.Position()
		server.at = func(int) conf.Position { return old }
		client := clienttest.NewClient(t, server)
		_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "1"})
		require.NoError(t, err)
		for name, call := range map[string]func() error{
			"list": func() error { return drained(client.List(context.Background(), conf.ListRequest{})) },
			"head": func() error { _, err := client.Head(context.Background()); return err },
		} {
			began := time.Now()
			require.ErrorIs(t, call(), diamond.ErrBehind, name)
			assert.Equal(t, 10*time.Second, time.Since(began), name)
		}
	})
}
