package govern

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Whoever closes a store goes by these records, so a busy caller may not hide a rare one.
func TestObserve_LogsEachKindOfRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		s.setUp(ModeObserve, team("a")...)
		count := func() int { return strings.Count(s.log.String(), "observe mode: this would be refused") }
		read := func(principal, namespace string) {
			_, _ = s.fetch(principal, namespace+"/g/k")
		}
		for range 10 {
			read("", "public")
		}
		assert.Equal(t, 1, count())
		assert.Contains(t, s.log.String(), " namespace=public ", "not quoted twice")
		read("", "a.daily")
		assert.Equal(t, 2, count(), "another namespace")
		read("token:a.reader", "public")
		assert.Equal(t, 3, count(), "another principal")
		time.Sleep(kindEvery)
		read("", "public")
		assert.Equal(t, 4, count())
		assert.Contains(t, s.log.String(), "unlogged=9")

		_, err := s.As("").Report(t.Context(), &conf.ReportRequest{
			Client:  conf.ClientInfo{ID: "c"},
			Reports: []conf.Report{{Key: conf.Key{Namespace: "\n" + strings.Repeat("x", 1000), Group: "g", DataID: "k"}}},
		})
		require.Error(t, err, "no such namespace can be")
		assert.Contains(t, s.log.String(), `namespace="\nx`)
		assert.NotContains(t, s.log.String(), strings.Repeat("x", conf.MaxNamespace))

		for i := range 2 * maxKinds {
			read("", "made-up-"+strconv.Itoa(i))
		}
		assert.Less(t, count(), maxKinds+10, "made-up names are bounded")
	})
}

// A program with a wrong token works in observe mode and is refused in closed mode, whatever the
// anonymous may do. So its operator needs a record of it.
func TestObserve_LogsProofsThatAreNotValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		s.setUp(ModeObserve, append(team("a"), granted("public", Anonymous, RoleReader))...)
		prove := func(secret, address string) {
			t.Helper()
			principal, err := s.Prove(t.Context(), conf.Proof{Token: secret, Address: address})
			require.NoError(t, err)
			assert.Empty(t, principal.Name)
		}
		count := func() int { return strings.Count(s.log.String(), "observe mode: this would be refused") }
		for range 3 {
			prove(secretOf("nobody"), "10.0.0.1:1")
		}
		assert.Equal(t, 1, count())
		assert.Contains(t, s.log.String(), `address=10.0.0.1 error="diamond: unauthenticated: token: is not known, or was withdrawn"`)
		assert.NotContains(t, s.log.String(), secretOf("nobody"))
		prove(secretOf("nobody"), "10.0.0.2:1")
		assert.Equal(t, 2, count(), "another address")
		prove("password", "10.0.0.1:2")
		assert.Equal(t, 2, count(), "the same reason and address")
		_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader"), Address: "10.0.0.3:1"})
		require.NoError(t, err)
		assert.Equal(t, 2, count(), "a valid one")
	})
}

// A client that has rights in one namespace learns where the log ends, from which it watches.
func TestHead_NeedsNoRightInTheDefaultNamespace(t *testing.T) {
	s := governed(t, team("a")...)
	for _, principal := range []string{"token:a.reader", ""} {
		client, err := diamond.NewClient(s.As(principal))
		require.NoError(t, err)
		defer client.Close()
		head, err := client.Head(t.Context())
		require.NoError(t, err, principal)
		assert.NotZero(t, head.Revision)
	}
}
