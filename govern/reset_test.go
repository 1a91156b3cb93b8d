package govern

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// write writes a document as it is now.
func write(t *testing.T, store diamond.Storage, doc Document) {
	t.Helper()
	content, err := Encode(doc)
	require.NoError(t, err)
	_, err = commitDirectly(t.Context(), store, conf.ChangeSet{Drafts: []conf.Draft{{Key: doc.Key(), Content: content}}})
	require.NoError(t, err)
}

func TestResetToken_ReplacesTheSetupToken(t *testing.T) {
	for name, store := range storages(t) {
		t.Run(name, func(t *testing.T) {
			first, err := SetUp(t.Context(), store, SetUpOptions{})
			require.NoError(t, err)
			// All administrators are gone, and the role means nothing any more.
			write(t, store, &Grants{Scope: AllScope(), Grants: []Grant{{Subject: "team:gone", Role: RoleAdministrator}}})
			write(t, store, &Role{Name: RoleAdministrator, Verbs: []string{"list"}})
			token := must(t, store, &Token{Name: SetupToken})
			token.Addresses = []string{"10.0.0.0/8"}
			write(t, store, token)

			result, err := ResetToken(t.Context(), store, ResetOptions{By: "root@host"})
			require.NoError(t, err)
			assert.Equal(t, SetupToken, result.Name)
			assert.NotEqual(t, first.Token, result.Token)
			assert.WithinDuration(t, time.Now().Add(SetupTokenLife), result.Expires, time.Minute)
			token = must(t, store, &Token{Name: SetupToken})
			require.Len(t, token.Secrets, 1, "the old secret is void")
			assert.Equal(t, HashTokenSecret(result.Token), token.Secrets[0].SHA256)
			assert.Equal(t, result.Expires, token.Secrets[0].Expires)
			assert.Empty(t, token.Addresses)
			assert.Contains(t, must(t, store, &Grants{Scope: AllScope()}).Grants, Grant{Subject: "token:setup", Role: RoleAdministrator})
			assert.Len(t, must(t, store, &Grants{Scope: AllScope()}).Grants, 2, "others keep what they have")
			assert.Equal(t, Verbs(), must(t, store, &Role{Name: RoleAdministrator}).Verbs)
			audited := newest(t, store, token)
			assert.Equal(t, OriginOffline, audited.Origin)
			assert.Equal(t, "a new setup token, by root@host", audited.Comment)
			assert.Equal(t, audited.Revision, newest(t, store, &Grants{Scope: AllScope()}).Revision, "at once")

			_, err = ResetToken(t.Context(), store, ResetOptions{})
			require.NoError(t, err)
			assert.Len(t, must(t, store, &Grants{Scope: AllScope()}).Grants, 2, "one grant is enough")
		})
	}
}

// A name is never used again.
func TestResetToken_OfOneThatIsRetired(t *testing.T) {
	store := memstore.New()
	_, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	write(t, store, &Token{Name: SetupToken, Retired: true})
	for range 2 {
		result, err := ResetToken(t.Context(), store, ResetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "setup-2", result.Name)
	}
	assert.True(t, must(t, store, &Token{Name: SetupToken}).Retired)
	assert.Contains(t, must(t, store, &Grants{Scope: AllScope()}).Grants, Grant{Subject: "token:setup-2", Role: RoleAdministrator})
}

func TestResetToken_RefusesWhatItShould(t *testing.T) {
	store := memstore.New()
	_, err := ResetToken(t.Context(), store, ResetOptions{})
	assert.ErrorIs(t, err, conf.ErrInvalid)
	assert.ErrorContains(t, err, "not governed")
	_, _, err = KeepCredentials(t.Context(), store, "")
	assert.ErrorContains(t, err, "not governed")
	_, err = ResetToken(t.Context(), store, ResetOptions{Token: "gd_x"})
	assert.ErrorContains(t, err, "token: ")
}

// It meets the commit of an administrator, and decides again.
func TestResetToken_AConflict(t *testing.T) {
	store := memstore.New()
	_, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	_, err = ResetToken(t.Context(), &hooked{Storage: store, before: func(n int) {
		if n == 1 {
			write(t, store, &Grants{Scope: AllScope(), Grants: []Grant{{Subject: "user:new", Role: RoleAdministrator}}})
		}
	}}, ResetOptions{})
	require.NoError(t, err)
	assert.Len(t, must(t, store, &Grants{Scope: AllScope()}).Grants, 2, "the administrator's change is kept")
}

func TestKeepCredentials_AfterAFork(t *testing.T) {
	for name, store := range storages(t) {
		t.Run(name, func(t *testing.T) {
			_, err := SetUp(t.Context(), store, SetUpOptions{})
			require.NoError(t, err)
			_, changed, err := KeepCredentials(t.Context(), store, "")
			require.NoError(t, err)
			assert.False(t, changed, "nothing is suspended")
			at, err := store.Fork(t.Context(), conf.Position{})
			require.NoError(t, err)
			require.Less(t, must(t, store, &Credentials{}).Generation, at.Epoch.Generation)
			generation, changed, err := KeepCredentials(t.Context(), store, "host")
			require.NoError(t, err)
			assert.True(t, changed)
			assert.Equal(t, at.Epoch.Generation, generation)
			assert.Equal(t, generation, must(t, store, &Credentials{}).Generation)
			assert.Equal(t, OriginOffline, newest(t, store, &Credentials{}).Origin)
			_, changed, err = KeepCredentials(t.Context(), store, "")
			require.NoError(t, err)
			assert.False(t, changed)

			reset, err := ResetToken(t.Context(), store, ResetOptions{})
			require.NoError(t, err)
			assert.Equal(t, generation, must(t, store, &Token{Name: reset.Name}).Generation, "it is not suspended")
		})
	}
}

// The last administrator may be a user, who has no way to prove who it is. The rules that keep
// an administrator let that happen, so the offline command has to mend it.
func TestResetToken_TheLastAdministratorIsAUser(t *testing.T) {
	store := memstore.New()
	_, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	s := open(t, store)
	setup := "token:" + SetupToken
	require.NoError(t, s.edit(setup, &User{Name: "ann"}))
	require.NoError(t, s.edit(setup, &Grants{Scope: AllScope(), Grants: []Grant{{Subject: "user:ann", Role: RoleAdministrator}}}))
	require.ErrorIs(t, s.edit(setup, &User{Name: "bob"}), conf.ErrDenied)
	result, err := ResetToken(t.Context(), store, ResetOptions{})
	require.NoError(t, err)
	p, err := open(t, store).Prove(t.Context(), conf.Proof{Token: result.Token})
	require.NoError(t, err)
	require.NoError(t, open(t, store).edit(p.Name, &User{Name: "bob"}))
	grants := must(t, store, &Grants{Scope: AllScope()}).Grants
	assert.Contains(t, grants, Grant{Subject: "user:ann", Role: RoleAdministrator}, "she keeps her right")
}
