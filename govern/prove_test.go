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

func TestX4_ProofsThatAreNotValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := token("limited")
		limited.Addresses = []string{"10.0.0.0/8"}
		expiring := token("expiring")
		expiring.Secrets[0].Expires = time.Now().Add(time.Hour)
		retired := token("retired")
		retired.Retired = true
		s := governed(t, token("ok"), limited, expiring, retired)
		prove := func(p conf.Proof) (string, error) {
			principal, err := s.Prove(t.Context(), p)
			return principal.Name, err
		}
		for name, proof := range map[string]conf.Proof{
			"token:ok":       {Token: secretOf("ok")},
			"token:limited":  {Token: secretOf("limited"), Address: "10.1.2.3:99"},
			"token:expiring": {Token: secretOf("expiring"), Address: "[fe80::1%eth0]:7"},
			"":               {Address: "10.1.2.3:99"},
		} {
			got, err := prove(proof)
			require.NoError(t, err)
			assert.Equal(t, name, got)
		}
		got, err := prove(conf.Proof{Token: secretOf("ok"), User: "token:ok"})
		require.NoError(t, err)
		assert.Equal(t, "token:ok", got)
		time.Sleep(time.Hour)
		for name, proof := range map[string]conf.Proof{
			"unknown":          {Token: secretOf("nobody")},
			"empty secret":     {Token: SecretPrefix},
			"no prefix":        {Token: secretOf("ok")[len(SecretPrefix):]},
			"the hash":         {Token: hexSum(secretOf("ok"))},
			"retired":          {Token: secretOf("retired")},
			"expired":          {Token: secretOf("expiring")},
			"another address":  {Token: secretOf("limited"), Address: "11.1.2.3:99"},
			"no address":       {Token: secretOf("limited")},
			"another's name":   {Token: secretOf("ok"), User: "token:limited"},
			"two proofs":       {Token: secretOf("ok"), Names: []string{"dns:x"}},
			"a nameless cert":  {Names: []string{"ip:1.2.3.4"}},
			"a default secret": {Token: "SecretKey012345678901234567890123456789"},
		} {
			_, err := prove(proof)
			require.ErrorIs(t, err, conf.ErrUnauthenticated, name)
			assert.NotContains(t, err.Error(), secretOf("ok"))
			assert.NotContains(t, err.Error(), proof.Token+"x")
		}
	})
}

// Each secret of a token has its own end.
func TestProve_SecretsOfOneTokenExpireByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rotated := token("rotated")
		rotated.Secrets = []Secret{
			{SHA256: hexSum(secretOf("old")), Expires: time.Now().Add(time.Hour)}, {SHA256: hexSum(secretOf("new"))},
		}
		s := governed(t, rotated)
		prove := func(secret string) error {
			principal, err := s.Prove(t.Context(), conf.Proof{Token: secretOf(secret)})
			assert.Equal(t, err == nil, principal.Name == "token:rotated")
			return err
		}
		require.NoError(t, prove("old"))
		require.NoError(t, prove("new"))
		time.Sleep(time.Hour)
		require.ErrorIs(t, prove("old"), conf.ErrUnauthenticated)
		require.NoError(t, prove("new"), "the other one has no end")
	})
}

// The first name of a certificate that has rights says who it is.
func TestCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), granted("public", "cert:uri:spiffe://x/app", RoleReader))...)
		s.publish("public/g/k", "v")
		p, err := s.Prove(t.Context(), conf.Proof{Names: []string{"dns:app.example", "uri:spiffe://x/app"}})
		require.NoError(t, err)
		assert.Equal(t, "cert:uri:spiffe://x/app", p.Name)
		_, err = s.fetch(p.Name, "public/g/k")
		require.NoError(t, err)
		p, err = s.Prove(t.Context(), conf.Proof{Names: []string{"dns:APP.example", "dns:b"}})
		require.NoError(t, err)
		assert.Equal(t, "cert:dns:APP.example", p.Name)
		_, err = s.fetch(p.Name, "public/g/k")
		isDenied(t, err, "public")
	})
}

// After a fork, tokens of before are suspended until they are confirmed, because a restore may
// have brought revoked ones back.
func TestRestoreAndRevokedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		s := open(t, store)
		s.setUp(ModeClosed, append(team("a"), token("other"))...)
		_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader")})
		require.NoError(t, err)
		s.publish("a.daily/g/k", "v")
		at := s.poll("token:a.reader", s.ask(conf.Position{}, 0, "a.daily/g/k")).Position
		parked := s.park("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k"))
		_, err = store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		assert.True(t, (<-parked).Resync)
		time.Sleep(time.Second)
		_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader")})
		require.ErrorIs(t, err, conf.ErrUnauthenticated)
		_, err = s.fetch("token:a.reader", "a.daily/g/k")
		isDenied(t, err, "a.daily")
		generation := s.door.Status().Position.Epoch.Generation
		require.NoError(t, s.edit(root, token("other")), "written again")
		_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("other")})
		require.NoError(t, err)
		_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader")})
		require.ErrorIs(t, err, conf.ErrUnauthenticated)
		require.NoError(t, s.edit(root, &Credentials{Generation: generation}))
		_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader")})
		require.NoError(t, err)
		_, err = s.fetch("token:a.reader", "a.daily/g/k")
		require.NoError(t, err)
	})
}

// Only credentials are suspended after a fork. Teams and grants are those of the backup, and in
// force for everybody whose credentials are valid: what was taken away after the backup has to
// be taken away again, and before the tokens are confirmed.
func TestRestore_TeamsAndGrantsAreThoseOfTheBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		s := open(t, store)
		s.setUp(ModeClosed, append(team("a"), token("one"), &Team{Name: "ops", Members: []string{"token:one"}},
			granted("public", "team:ops", RoleReader, "cert:dns:x", RoleReader))...)
		s.publish("public/g/k", "v")
		_, err := store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = s.fetch("token:one", "public/g/k")
		isDenied(t, err, "public")
		_, err = s.fetch("cert:dns:x", "public/g/k")
		require.NoError(t, err, "a certificate is no credential of the store's")
		assert.Contains(t, s.log.String(), "look through teams and grants")
		require.NoError(t, s.edit(root, token("one")))
		_, err = s.fetch("token:one", "public/g/k")
		require.NoError(t, err, "it is in the team that it was in")
	})
}

func TestWhoAmI(t *testing.T) {
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	one := token("one")
	one.Secrets[0].Expires = expires
	s := governed(t, one, &Team{Name: "ops", Members: []string{"token:one"}}, &Team{Name: "gone", Members: []string{"token:one"}, Retired: true})
	who, err := s.As("token:one").(*asPrincipal).WhoAmI(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conf.Identity{Principal: "token:one", Mode: conf.ModeClosed, Expires: expires, Teams: []string{"ops"}}, who)
	who, err = s.WhoAmI(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conf.Identity{Mode: conf.ModeClosed}, who)
	who, err = open(t, memstore.New()).WhoAmI(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conf.Identity{Mode: conf.ModeOpen}, who)
}

func TestCan(t *testing.T) {
	s := governed(t, append(team("a"), &User{Name: "boss"}, &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: "user:boss", Role: RoleAdministrator}}})...)
	can := func(principal, verb, scope, as string) (conf.CanResponse, error) {
		return s.As(principal).(*asPrincipal).Can(t.Context(), conf.CanRequest{Verb: verb, Scope: scope, As: as})
	}
	for _, c := range []struct {
		principal, verb, scope, as string
		allowed                    bool
	}{
		{"token:a.reader", "read", "namespace:a.daily", "", true},
		{"token:a.reader", "read", "namespace:a.daily", "token:a.reader", true},
		{"token:a.reader", "release", "namespace:a.daily", "", false},
		{"token:a.reader", "read", "tenant:a", "", false},
		{"token:a.reader", "read", "namespace:nowhere", "", false},
		{"", "read", "namespace:a.daily", "", false},
		{"user:boss", "administer", "tenant:a", "", true},
		{"user:boss", "administer", "environment:a:daily", "", true},
		{"user:boss", "administer", "all", "", false},
		{"user:boss", "release", "namespace:a.daily", "token:a.reader", false},
		{"user:boss", "release", "namespace:a.daily", "token:a.releaser", true},
		{root, "force", "all", "", true},
	} {
		resp, err := can(c.principal, c.verb, c.scope, c.as)
		require.NoError(t, err)
		assert.Equal(t, c.allowed, resp.Allowed, "%+v", c)
		assert.NotEmpty(t, resp.Why)
	}
	_, err := can("token:a.reader", "read", "namespace:a.daily", root)
	require.ErrorIs(t, err, conf.ErrDenied)
	_, err = can("user:boss", "read", "all", root)
	require.ErrorIs(t, err, conf.ErrDenied)
	for _, bad := range [][3]string{{"eat", "all", ""}, {"read", "everything", ""}, {"read", "all", "x"}, {"read", "all", "team:x"}} {
		_, err = can(root, bad[0], bad[1], bad[2])
		require.ErrorIs(t, err, conf.ErrInvalid, bad)
	}
}
