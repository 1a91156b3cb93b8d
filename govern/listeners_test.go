package govern

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// listenersFor returns who listens to a key, as a principal is told.
func (s *stage) listenersFor(principal, key string) (ids []string, err error) {
	resp, err := s.As(principal).(*asPrincipal).Listeners(s.t.Context(), &conf.ListenersRequest{Key: keyOf(s.t, key)})
	if err != nil {
		return nil, err
	}
	for _, l := range resp.Listeners {
		ids = append(ids, l.Principal+"/"+l.ID)
	}
	return ids, nil
}

// parkAs parks polls of keys by a principal's client.
func (s *stage) parkAs(principal, id string, keys ...string) {
	req := s.ask(conf.Position{}, 0, keys...)
	req.Client.ID = id
	req.Position, req.Wait = s.poll(principal, req).Position, conf.MaxWait
	s.park(principal, req)
}

// Who may read a key is told who listens to it; nobody else is, whether or not there is such a
// key. A client counts as a listener of the keys that it may read, and of no others.
func TestListeners_NeedReadOnTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		s.publishAll("a.daily/g/k", "1", "b.daily/g/k", "1")
		s.parkAs("token:a.reader", "one", "a.daily/g/k", "a.daily/g/none")
		s.parkAs("token:b.reader", "two", "b.daily/g/k", "a.daily/g/k")
		for _, principal := range []string{"token:a.reader", "token:a.releaser", root} {
			ids, err := s.listenersFor(principal, "a.daily/g/k")
			require.NoError(t, err)
			assert.Equal(t, []string{"token:a.reader/one"}, ids, "who may not read it does not listen to it")
			ids, err = s.listenersFor(principal, "a.daily/g/none")
			require.NoError(t, err)
			assert.Len(t, ids, 1)
		}
		for _, principal := range []string{"token:b.reader", "token:nobody", ""} {
			_, err := s.listenersFor(principal, "a.daily/g/k")
			isDenied(t, err, "a.daily")
			_, other := s.listenersFor(principal, "a.daily/g/z")
			isDenied(t, other, "a.daily")
		}
		for _, principal := range []string{root, "token:a.reader"} {
			_, err := s.listenersFor(principal, "_govern/centre/secret")
			require.ErrorIs(t, err, conf.ErrDenied)
		}
		_, err := s.listenersFor("token:a.reader", "a.daily/g/k")
		require.NoError(t, err)
		s.write(granted("a.daily", "token:a.releaser", RoleReleaser))
		_, err = s.listenersFor("token:a.reader", "a.daily/g/k")
		isDenied(t, err, "a.daily")
	})
}

// Clients are for those who may list everything, and those of a namespace for its
// administrators, who are told of no other namespace.
func TestClients_NeedListOnAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(append(team("a"), team("b")...), &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: "token:a.admin", Role: RoleAdministrator}}}, token("a.admin"),
			granted("public", "token:a.reader", RoleReader))...)
		s.publishAll("a.daily/g/k", "1", "public/g/1", "1", "public/g/2", "2")
		s.parkAs("token:a.reader", "one", "a.daily/g/k", "public/g/1", "public/g/2")
		s.parkAs("token:a.reader", "other", "public/g/1")
		clients := func(principal, namespace string) ([]conf.Client, error) {
			resp, err := s.As(principal).(*asPrincipal).Clients(t.Context(), &conf.ClientsRequest{Namespace: namespace})
			if err != nil {
				return nil, err
			}
			return resp.Clients, nil
		}
		all, err := clients(root, "")
		require.NoError(t, err)
		require.Len(t, all, 2)
		assert.Equal(t, 3, all[0].Keys)
		own, err := clients("token:a.admin", "a.daily")
		require.NoError(t, err)
		require.Len(t, own, 1)
		assert.Equal(t, "one", own[0].ID)
		assert.Equal(t, 1, own[0].Keys, "how many keys of other namespaces it polls is no matter of a's")
		for principal, namespaces := range map[string][]string{
			"token:a.admin": {"", "public", "b.daily", "none.daily"}, "token:a.reader": {"", "a.daily", "public"}, "": {"", "a.daily"}, "token:b.reader": {"a.daily"},
		} {
			for _, namespace := range namespaces {
				_, err := clients(principal, namespace)
				require.ErrorIs(t, err, conf.ErrDenied, "%s %s", principal, namespace)
			}
		}
		_, err = clients(root, "not a name")
		require.ErrorIs(t, err, conf.ErrInvalid)
	})
}

// An open store has no secrets about who listens, and in observe mode nothing is refused.
func TestListeners_OpenAndObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		_, err := s.listenersFor("", "public/g/k")
		require.NoError(t, err)
		_, err = s.As("").(*asPrincipal).Clients(t.Context(), &conf.ClientsRequest{})
		require.NoError(t, err)
		s.setUp(ModeObserve)
		time.Sleep(time.Second)
		_, err = s.listenersFor("", "public/g/k")
		require.NoError(t, err)
		_, err = s.As("").(*asPrincipal).Clients(t.Context(), &conf.ClientsRequest{})
		require.NoError(t, err)
		assert.NotEmpty(t, s.Stats().WouldDeny)
	})
}
