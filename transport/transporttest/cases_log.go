package transporttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func logCases() []testCase {
	return []testCase{
		{"Changes/Chain", "Changes returns whole sets in order, each once, with all that the chain is made of", func(f *fixture) {
			f.commit(conf.ChangeSet{
				Drafts: []conf.Draft{
					{Key: key("a"), Content: "one", Meta: map[string]string{"m": "ü"}, Type: "yaml"},
					{Key: key("b"), Content: "\x00\xff"},
				},
				Comment: "first",
			})
			f.publish("a", "two")
			f.remove("b")
			head := f.publish("c", "three")

			var at conf.Position
			first, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{})
			require.NoError(f, err)
			at.Store, at.Epoch = first.Position.Store, first.Position.Epoch
			var total int
			for {
				res, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{Client: f.info, After: at, Contents: true})
				if at.Revision == 0 {
					res, err = f.tr.Changes(f.ctx, &conf.ChangesRequest{Client: f.info, Contents: true})
				}
				require.NoError(f, err)
				at, err = at.Follow(res.Changes)
				require.NoError(f, err, "the changes as received must verify")
				assert.Equal(f, res.Position, at)
				total += len(res.Changes)
				if !res.More {
					break
				}
			}
			assert.Equal(f, head, at)
			assert.Equal(f, 5, total)
		}},
		{"Changes/Filter", "a filter leaves changes out; the Position moves on all the same", func(f *fixture) {
			f.publish("app.a", "1")
			f.publish("b", "2")
			f.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{Namespace: "other", Group: "g", DataID: "app.c"}, Content: "3"}}})
			head := f.publish("d", "4")
			for _, c := range []struct {
				req  conf.ChangesRequest
				want string
			}{
				{conf.ChangesRequest{Namespace: "public", Prefix: "app."}, "app.a"},
				{conf.ChangesRequest{Prefix: "app."}, "app.a"},
				{conf.ChangesRequest{Namespace: "*", Prefix: "app."}, "app.a app.c"},
				{conf.ChangesRequest{Namespace: "*", Group: "g"}, "app.c"},
				{conf.ChangesRequest{Group: "g"}, ""},
				{conf.ChangesRequest{Namespace: "*", Prefix: "nothing"}, ""},
			} {
				res, err := f.tr.Changes(f.ctx, &c.req)
				require.NoError(f, err)
				var got []string
				for _, c := range res.Changes {
					got = append(got, c.Key.DataID)
					assert.Empty(f, c.Content, "no contents unless asked")
					assert.NotZero(f, c.SHA256)
				}
				assert.Equal(f, c.want, strings.Join(got, " "), "%+v", c.req)
				assert.Equal(f, head, res.Position)
			}
		}},
		{"Filter/Namespace", "an empty namespace is the default one and AllNamespaces is all, in Changes and in List", func(f *fixture) {
			var set conf.ChangeSet
			for _, namespace := range []string{"", "other", "Other"} {
				set.Drafts = append(set.Drafts, conf.Draft{Key: conf.Key{Namespace: namespace, DataID: "k"}, Content: "v"})
			}
			f.commit(set)
			for _, c := range []struct {
				namespace string
				want      []string
				err       error
			}{
				{namespace: "", want: []string{"public"}},
				{namespace: "public", want: []string{"public"}},
				{namespace: "other", want: []string{"other"}},
				{namespace: "othe"},
				{namespace: "*", want: []string{"Other", "other", "public"}},
				{namespace: "*x", err: conf.ErrInvalid},
				{namespace: "o*", err: conf.ErrInvalid},
				{namespace: "_sys", err: conf.ErrDenied},
			} {
				changes, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{Namespace: c.namespace})
				require.ErrorIs(f, err, c.err, c.namespace)
				list, err := f.tr.List(f.ctx, &conf.ListRequest{Namespace: c.namespace})
				require.ErrorIs(f, err, c.err, c.namespace)
				if c.err != nil {
					continue
				}
				var changed, listed []string
				for i := range changes.Changes {
					changed = append(changed, changes.Changes[i].Key.Namespace)
				}
				for i := range list.Entries {
					listed = append(listed, list.Entries[i].Key.Namespace)
				}
				slices.Sort(changed)
				assert.Equal(f, c.want, changed, c.namespace)
				assert.Equal(f, c.want, listed, c.namespace)
			}
		}},
		{"Filter/NoKey", "AllNamespaces is no namespace of a key: ErrInvalid", func(f *fixture) {
			k := conf.Key{Namespace: conf.AllNamespaces, DataID: "k"}
			requests := calls(k)
			requests["list"] = func(ctx context.Context, tr diamond.Transport) error {
				_, err := tr.List(ctx, &conf.ListRequest{Namespace: conf.AllNamespaces, After: k})
				return err
			}
			delete(requests, "changes")
			for op, call := range requests {
				assert.ErrorIs(f, call(f.ctx, f.tr), conf.ErrInvalid, op)
			}
			for _, set := range []conf.ChangeSet{
				{Deletes: []conf.Delete{{Key: k}}},
				{Drafts: []conf.Draft{{Key: key("k"), Content: "v"}}, Checks: []conf.Check{{Key: k}}},
			} {
				_, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: set})
				assert.ErrorIs(f, err, conf.ErrInvalid)
			}
		}},
		{"Changes/Wait", "with a Wait, Changes waits for the first change; without one it answers at once", func(f *fixture) {
			at := f.publish("k", "one")
			res, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{After: at})
			require.NoError(f, err)
			assert.Empty(f, res.Changes)
			assert.Equal(f, at, res.Position)

			answers := make(chan *conf.ChangesResponse, 1)
			go func() {
				if res, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{After: at, Wait: time.Minute}); assert.NoError(f, err) {
					answers <- res
				}
				close(answers)
			}()
			f.parked(1)
			f.remove("k")
			answer := <-answers
			require.NotNil(f, answer)
			require.Len(f, answer.Changes, 1)
			assert.Equal(f, conf.OpDelete, answer.Changes[0].Op)
		}},
		{"Changes/Position", "a position that is not of this history is ErrEpoch, one of another store ErrOtherStore", func(f *fixture) {
			at := f.publish("k", "one")
			forged := at
			forged.Chain[0]++
			_, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{After: forged})
			assert.ErrorIs(f, err, conf.ErrEpoch)
			other := at
			other.Store[0]++
			_, err = f.tr.Changes(f.ctx, &conf.ChangesRequest{After: other})
			assert.ErrorIs(f, err, conf.ErrOtherStore)
		}},
		{"List/Pages", "List returns the present entries in key order, page by page, without contents unless asked", func(f *fixture) {
			for i := range 7 {
				f.publish(fmt.Sprintf("app.%d", i), "v")
			}
			f.publish("gone", "v")
			f.remove("gone")
			head := f.publish("zzz", "v")
			var got []string
			req := conf.ListRequest{Client: f.info, Prefix: "app.", Limit: 3}
			for {
				res, err := f.tr.List(f.ctx, &req)
				require.NoError(f, err)
				assert.Equal(f, head, res.Position)
				for _, e := range res.Entries {
					assert.Empty(f, e.Content)
					assert.EqualValues(f, 1, e.Size)
					assert.Equal(f, conf.MD5Hex("v"), e.MD5)
					got = append(got, e.Key.DataID)
				}
				if !res.More {
					break
				}
				assert.Len(f, res.Entries, 3)
				req.After = res.Entries[len(res.Entries)-1].Key
			}
			assert.Equal(f, []string{"app.0", "app.1", "app.2", "app.3", "app.4", "app.5", "app.6"}, got)

			empty, err := f.tr.List(f.ctx, &conf.ListRequest{Namespace: "nobodys"})
			require.NoError(f, err)
			assert.Empty(f, empty.Entries)
			assert.Equal(f, head, empty.Position)
		}},
		{"List/Limit", "a limit below 0 is ErrInvalid; one above MaxPage is taken for that", func(f *fixture) {
			_, err := f.tr.List(f.ctx, &conf.ListRequest{Limit: -1})
			assert.ErrorIs(f, err, conf.ErrInvalid)
			_, err = f.tr.History(f.ctx, &conf.HistoryRequest{Key: key("k"), Limit: -1})
			assert.ErrorIs(f, err, conf.ErrInvalid)
			_, err = f.tr.List(f.ctx, &conf.ListRequest{Limit: conf.MaxPage + 1})
			assert.NoError(f, err)
			_, err = f.tr.History(f.ctx, &conf.HistoryRequest{Key: key("k"), Limit: conf.MaxPage + 1})
			assert.NoError(f, err)
		}},
		{"History/Pages", "History returns the kept changes of a key, newest first, without contents", func(f *fixture) {
			var revisions []int64
			for i := range 4 {
				revisions = append(revisions, f.publish("k", fmt.Sprint(i)).Revision)
				f.publish("other", fmt.Sprint(i))
			}
			deleted := f.remove("k").Revision
			res, err := f.tr.History(f.ctx, &conf.HistoryRequest{Client: f.info, Key: conf.Key{DataID: "k"}, Limit: 2})
			require.NoError(f, err)
			require.Len(f, res.Changes, 2)
			assert.Equal(f, deleted, res.Changes[0].Revision)
			assert.Equal(f, conf.OpDelete, res.Changes[0].Op)
			assert.Equal(f, revisions[3], res.Changes[1].Revision)
			assert.Equal(f, key("k"), res.Changes[1].Key)
			assert.Empty(f, res.Changes[1].Content)
			assert.Equal(f, conf.MD5Hex("3"), res.Changes[1].MD5)

			res, err = f.tr.History(f.ctx, &conf.HistoryRequest{Key: key("k"), Before: revisions[3]})
			require.NoError(f, err)
			assert.Len(f, res.Changes, 3)

			res, err = f.tr.History(f.ctx, &conf.HistoryRequest{Key: key("never")})
			require.NoError(f, err)
			assert.Empty(f, res.Changes)
		}},
		{"Report/Counted", "what clients report reaches the server, under the client's id", func(f *fixture) {
			at := f.publish("k", "one")
			report := func(id string, r conf.Report) error {
				_, err := f.tr.Report(f.ctx, &conf.ReportRequest{Client: conf.ClientInfo{ID: id}, Reports: []conf.Report{r}})
				return err
			}
			require.NoError(f, report("c1", conf.Report{Key: key("k"), Revision: at.Revision, Applied: true}))
			require.NoError(f, report("c2", conf.Report{Key: key("k"), Revision: at.Revision, Reason: "panic"}))
			assert.Equal(f, conf.ListenerCounts{InSync: 1, Rejected: 1}, f.srv.Status().Listeners)
			if server, ok := f.srv.(interface {
				Listeners(context.Context, *conf.ListenersRequest) (*conf.ListenersResponse, error)
			}); ok {
				resp, err := server.Listeners(f.ctx, &conf.ListenersRequest{Key: key("k")})
				require.NoError(f, err)
				reasons := map[string]string{}
				for _, l := range resp.Listeners {
					reasons[l.ID] = l.Reason
				}
				assert.Equal(f, map[string]string{"c1": "", "c2": "panic"}, reasons)
			}
			assert.ErrorIs(f, report("c3", conf.Report{Key: key("a b"), Revision: 1, Applied: true}), conf.ErrInvalid)
		}},
	}
}
