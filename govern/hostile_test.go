package govern

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// tenantAdmin returns the documents of a tenant and of a token "T.admin" that administers it.
func tenantAdmin(tenant string) []Document {
	admin := token(tenant + ".admin")
	return append(team(tenant), admin, &Grants{Scope: TenantScope(tenant), Grants: []Grant{{Subject: admin.Principal(), Role: RoleAdministrator}}})
}

func commitOf(key conf.Key, content string) *conf.CommitRequest {
	return &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}}}
}

// Reading a document costs no more than in proportion to its size, whatever is in it.
func TestX12_DocumentsCostWhatTheyAreLong(t *testing.T) {
	var fields strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&fields, `"f%d":1,`, i)
	}
	for name, c := range map[string]struct {
		key     conf.Key
		content string
	}{
		"environments": {KeyOf(KindTenant, "x"), `{"format":1,"environments":[` + strings.Repeat(`"a",`, 3000) + `"b"]}`},
		"secrets":      {KeyOf(KindToken, "x"), `{"format":1,"secrets":[` + strings.Repeat(`{},`, 3000) + `{}]}`},
		"a long name":  {KeyOf(KindToken, "x"), `{"format":1,"` + strings.Repeat("n", 100<<10) + `":{` + fields.String() + `"z":{"a":null,"a":null}}}`},
		"addresses":    {KeyOf(KindToken, "x"), `{"format":1,"addresses":[` + strings.Repeat(`"a",`, 3000) + `"b"]}`},
		"members":      {KeyOf(KindTeam, "x"), `{"format":1,"members":[` + strings.Repeat(`"a",`, 3000) + `"b"]}`},
		"grants":       {KeyOf(KindGrants, "all"), `{"format":1,"grants":[` + strings.Repeat(`{},`, 3000) + `{}]}`},
		"verbs":        {KeyOf(KindRole, "x"), `{"format":1,"verbs":[` + strings.Repeat(`"a",`, 3000) + `"b"]}`},
	} {
		var err error
		bytes := allocated(func() { _, err = ParseDocument(c.key, c.content) })
		require.ErrorIs(t, err, conf.ErrInvalid, name)
		assert.Less(t, bytes, uint64(1000*len(c.content)), name)
	}
}

// The documents of who may write none are not read.
func TestX12_DocumentsOfStrangersAreNotRead(t *testing.T) {
	s := governed(t, team("b")...)
	content := `{"format":1,"x":[` + strings.Repeat(`[],`, 100_000) + `[]]}`
	for _, principal := range []string{"", "token:b.releaser", "token:none"} {
		req := commitOf(KeyOf(KindTenant, "b"), content)
		_ = s.edit(principal, &Tenant{Name: "b", Environments: DefaultEnvironments()}) // so that all is warm
		var err error
		bytes := allocated(func() { _, err = s.As(principal).Commit(context.Background(), req) })
		require.ErrorIs(t, err, conf.ErrDenied, principal)
		assert.Less(t, bytes, uint64(4*len(content)), principal)
	}
}

// What the Centre writes itself can be read again, so that nobody makes a document that
// takes others their rights.
func TestCommit_TouchedTenantStaysReadable(t *testing.T) {
	s := governed(t, append(tenantAdmin("b"), team("a")...)...)
	s.publish("a.daily/g/k", "v")
	wide := `{"format":1,"environments":["daily","pre"],"x":[` + strings.Repeat(`1,`, 480<<10) + `1]}`
	b := s.As("token:b.admin")
	_, err := b.Commit(context.Background(), commitOf(KeyOf(KindTenant, "b"), wide))
	require.NoError(t, err)
	pre := &Namespace{ID: "b.pre", Tenant: "b", Environment: "pre"}
	require.ErrorIs(t, s.edit("token:b.admin", pre), conf.ErrTooLarge)
	assert.Equal(t, []string{"a.daily/g/k"}, s.listed("token:a.reader", conf.ListRequest{Namespace: conf.AllNamespaces}))
	require.NoError(t, s.edit("token:b.admin", &Tenant{Name: "b", Environments: DefaultEnvironments()}))
	require.NoError(t, s.edit("token:b.admin", pre))
}

// A document that is too large to be read can be replaced.
func TestCommit_MendsWhatIsTooLarge(t *testing.T) {
	s := governed(t, team("b")...)
	s.publish("b.daily/g/k", "v")
	s.publish("_govern/tenant/b", `{"format":1,"x":"`+strings.Repeat("x", MaxDocument)+`"}`)
	resp, err := s.As(root).List(context.Background(), &conf.ListRequest{Namespace: conf.AllNamespaces})
	require.NoError(t, err)
	assert.True(t, resp.Partial)
	require.NoError(t, s.edit(root, &Tenant{Name: "b", Environments: DefaultEnvironments()}))
	assert.Equal(t, []string{"b.daily/g/k"}, s.listed(root, conf.ListRequest{Namespace: conf.AllNamespaces}))
}

// Who administers one scope learns whether others have rights on it, and not whether they
// exist, in which teams they are, or why.
func TestCan_TellsNothingOfOthers(t *testing.T) {
	documents := append(tenantAdmin("b"), team("a")...)
	documents = append(documents, &Team{Name: "sre", Members: []string{"token:a.reader"}},
		&Role{Name: "auditor", Verbs: []string{"read"}})
	s := governed(t, documents...)
	can := func(principal, verb, as string) conf.CanResponse {
		t.Helper()
		resp, err := s.As(principal).(*asPrincipal).Can(context.Background(), conf.CanRequest{Verb: verb, Scope: "tenant:b", As: as})
		require.NoError(t, err)
		return resp
	}
	for _, as := range []string{"token:a.reader", "token:a.none", "user:root", "user:none", "cert:dns:none", "anonymous"} {
		if as != root {
			assert.Equal(t, conf.CanResponse{Why: "no grant gives " + as + " read on tenant:b"}, can("token:b.admin", "read", as))
		}
	}
	all := &Grants{Scope: AllScope(), Grants: []Grant{{Subject: root, Role: RoleAdministrator}, {Subject: "team:sre", Role: "auditor"}}}
	s.write(all)
	got := can("token:b.admin", "read", "token:a.reader")
	assert.True(t, got.Allowed)
	for _, hidden := range []string{"sre", "grants all", "token a.reader"} {
		assert.NotContains(t, got.Why, hidden)
		assert.Contains(t, can(root, "read", "token:a.reader").Why, hidden)
		assert.Contains(t, can("token:a.reader", "read", "").Why, hidden)
	}
}

// Questions about names that somebody makes up take no memory, and disturb nobody.
func TestCan_KeepsNothing(t *testing.T) {
	s := governed(t, tenantAdmin("b")...)
	waiting := s.judge.of("token:b.reader").void
	before := len(s.judge.voids)
	for i := range 100 {
		_, err := s.As("token:b.admin").(*asPrincipal).Can(context.Background(), conf.CanRequest{Verb: "read", Scope: "tenant:b", As: fmt.Sprintf("user:u%d", i)})
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, len(s.judge.voids), before+1)
	assert.False(t, isClosed(waiting))
}

// Taking away one of a token's secrets, or the address from which it is used, is a
// revocation for those who wait.
func TestRevokedSecret_EndsWaits(t *testing.T) {
	for name, change := range map[string]func(*Token){
		"the secret":  func(x *Token) { x.Secrets = x.Secrets[1:] },
		"its expiry":  func(x *Token) { x.Secrets[0].Expires = x.Secrets[0].Added.AddDate(2000, 0, 0) },
		"the address": func(x *Token) { x.Addresses = []string{"10.0.0.0/8"} },
	} {
		s := governed(t, team("b")...)
		x := token("b.reader")
		x.Secrets = append(x.Secrets, Secret{SHA256: hexSum("second")})
		s.write(x)
		void, other := s.judge.of("token:b.reader").void, s.judge.of("token:b.releaser").void
		x.Description = "another"
		s.write(x)
		assert.False(t, isClosed(void), "%s: what does not concern the proof", name)
		change(x)
		s.write(x)
		assert.True(t, isClosed(void), name)
		assert.False(t, isClosed(other), name)
	}
}

// Where the marker or the secret cannot be read, nobody gets the chain of a position.
func TestPosition_SealedWithoutMarkerOrSecret(t *testing.T) {
	for _, name := range []string{"marker", "secret"} {
		store := memstore.New()
		first := open(t, store)
		first.setUp(ModeClosed)
		plain := first.publish("_govern/centre/"+name, `{"format":2}`)
		for _, s := range []*stage{first, open(t, store)} {
			got, err := s.As("").Poll(context.Background(), s.ask(conf.Position{}, 0))
			require.NoError(t, err, name)
			assert.Equal(t, plain.Revision, got.Position.Revision, name)
			assert.NotEqual(t, plain.Chain, got.Position.Chain, name)
			assert.NotEqual(t, plain.Chain, s.Status().Position.Chain, name)
		}
	}
}

// countingDoor counts the pages that are read.
type countingDoor struct {
	engine.System
	pages int
}

func (d *countingDoor) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	d.pages++
	return d.System.List(ctx, req)
}

// A page of one entry does not take a look-up for each of the many that are hidden.
func TestList_HiddenEntriesAreSkippedInPages(t *testing.T) {
	documents := append(team("a"), team("b")...)
	for i := range 2000 {
		documents = append(documents, &User{Name: fmt.Sprintf("u%d", i)})
	}
	s := governed(t)
	for len(documents) > 0 {
		n := min(len(documents), 500)
		s.write(documents[:n]...)
		documents = documents[n:]
	}
	door := &countingDoor{System: s.door}
	s.door = door
	for _, limit := range []int{1, 3} {
		door.pages = 0
		got := s.listed("token:b.reader", conf.ListRequest{Namespace: SystemNamespace, Limit: limit})
		assert.Equal(t, []string{"_govern/centre/marker", "_govern/namespace/b.daily", "_govern/tenant/b", "_govern/token/b.reader"}, got)
		assert.Less(t, door.pages, 100)
	}
}

// However many principals somebody has, what they may not read takes no more memory than is
// set aside for all, and takes it from those who use the most.
func TestDecisions_TogetherAreBounded(t *testing.T) {
	d := newDecisions()
	void := make(chan struct{})
	keep := func(principal string, denied int) {
		d.keep(principal, void, conf.KeySetHash{1}, &setDecision{denied: make([]conf.Key, denied)})
	}
	keep("small", 1)
	for i := range 20 {
		keep(fmt.Sprintf("p%d", i), maxDecided-1)
	}
	total := 0
	for _, have := range d.of {
		total += have.weight
	}
	assert.Equal(t, total, d.weight)
	assert.LessOrEqual(t, total, maxDecidedAll)
	assert.Greater(t, total, maxDecidedAll/2)
	assert.NotNil(t, d.find("small", void, conf.KeySetHash{1}), "who keeps little keeps it")
	other := make(chan struct{})
	d.keep("small", other, conf.KeySetHash{1}, &setDecision{})
	d.forget("none")
	total = 0
	for _, have := range d.of {
		total += have.weight
	}
	assert.Equal(t, total, d.weight, "what was decided under other rights counts no more")
}
