package govern

import (
	"context"
	"fmt"
	"log/slog"
	"os"
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

// Each reason for which something is refused is counted under its name, once.
func TestRightsStatus_Denials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		s.write(
			&Namespace{ID: "a.cold", Tenant: "a", Environment: "pre", Frozen: &Freeze{By: root, Reason: "night"}},
			&Namespace{ID: "a.full", Tenant: "a", Environment: "production", Quota: Quota{Content: 1}},
			&Token{Name: "old", Generation: 1, Secrets: []Secret{{SHA256: hexSum(secretOf("old")), Expires: time.Now().Add(time.Hour)}}},
			&Token{Name: "near", Generation: 1, Addresses: []string{"10.0.0.0/8"}, Secrets: []Secret{{SHA256: hexSum(secretOf("near"))}}},
		)
		time.Sleep(time.Hour)
		prove := func(name, address string) error {
			_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf(name), Address: address})
			return err
		}
		fetch := func(key string) error {
			_, err := s.fetch("token:a.reader", key)
			return err
		}
		before := s.RightsStatus()
		require.Equal(t, conf.ModeClosed, before.Mode)
		require.Empty(t, before.Denied)
		for _, c := range []struct {
			reason string
			err    error
		}{
			{conf.DenialRight, fetch("public/g/k")},
			{conf.DenialUnregistered, fetch("nowhere/g/k")},
			{conf.DenialProof, prove("made up", "10.0.0.1:1")},
			{conf.DenialExpired, prove("old", "10.0.0.1:1")},
			{conf.DenialAddress, prove("near", "192.0.2.1:1")},
			{conf.DenialFrozen, s.release(root, "a.cold/g/k", "v")},
			{conf.DenialQuota, s.release(root, "a.full/g/k", "long")},
			{conf.DenialDocument, s.edit(root, &Grants{Scope: AllScope()})}, // no administrator is left
		} {
			require.Error(t, c.err, c.reason)
			assert.EqualValues(t, 1, s.RightsStatus().Denied[c.reason], "%s: %v", c.reason, c.err)
		}
		denied := s.RightsStatus().Denied
		assert.Len(t, denied, 8, denied)
		for reason := range denied {
			assert.Contains(t, conf.Denials(), reason)
		}
		assert.Zero(t, s.RightsStatus().Proofs)
		require.NoError(t, prove("near", "10.0.0.1:1"))
		_, err := s.Prove(t.Context(), conf.Proof{})
		require.NoError(t, err)
		assert.EqualValues(t, 1, s.RightsStatus().Proofs, "no proof is not one")
	})
}

// A change of one principal's rights ends that principal's waits, and the count says so.
func TestRightsStatus_Redecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		at := s.Status().Position
		mine := s.park("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k"))
		other := s.park("token:b.reader", s.ask(at, time.Minute, "b.daily/g/k"))
		watched := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_, err := s.As("token:a.reader").Changes(ctx, &conf.ChangesRequest{After: at, Namespace: "a.daily", Wait: time.Minute})
			watched <- err
		}()
		synctest.Wait()
		require.Zero(t, s.RightsStatus().Redecided)
		s.write(granted("a.daily"))
		assert.True(t, (<-mine).Resync)
		require.ErrorIs(t, <-watched, conf.ErrDenied)
		assert.EqualValues(t, 2, s.RightsStatus().Redecided)
		<-other
		assert.EqualValues(t, 2, s.RightsStatus().Redecided)
	})
}

func TestRightsStatus_Quotas(t *testing.T) {
	s := governed(t,
		&Tenant{Name: "a", Environments: DefaultEnvironments()},
		&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Quota: Quota{Keys: 10, Bytes: 8}},
		&Namespace{ID: "a.pre", Tenant: "a", Environment: "pre", Quota: Quota{Content: 100}},
		&Namespace{ID: "a.production", Tenant: "a", Environment: "production", Deleted: true, Quota: Quota{Keys: 1}},
	)
	s.publishAll("a.daily/g/1", "123", "a.daily/g/2", "4", "a.pre/g/1", "x")
	assert.Equal(t, []conf.QuotaUse{
		{Namespace: "a.daily", Quota: "bytes", Used: 4, Limit: 8},
		{Namespace: "a.daily", Quota: "keys", Used: 2, Limit: 10},
	}, s.RightsStatus().Quotas)

	var many []Document
	for i := range conf.MaxQuotaUses {
		many = append(many, &Namespace{ID: fmt.Sprintf("n%d", i), Quota: Quota{Keys: 1}})
	}
	s.write(many...)
	quotas := s.RightsStatus().Quotas
	assert.Len(t, quotas, conf.MaxQuotaUses)
	assert.Equal(t, "a.daily", quotas[1].Namespace, "the fullest are kept")
}

func TestRightsStatus_Secrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		expiring := func(name string, in ...time.Duration) *Token {
			doc := &Token{Name: name, Generation: 1}
			for i, d := range in {
				secret := Secret{SHA256: hexSum(fmt.Sprint(name, i))}
				if d != 0 {
					secret.Expires = now.Add(d)
				}
				doc.Secrets = append(doc.Secrets, secret)
			}
			return doc
		}
		retired := expiring("retired", time.Minute)
		retired.Retired = true
		s := governed(t, expiring("later", 3*time.Hour), expiring("rotated", 4*time.Hour, 2*time.Hour), expiring("renewed", -time.Hour, 5*time.Hour),
			expiring("gone", -time.Minute), expiring("never", 0), expiring("empty"), retired)
		assert.Equal(t, []conf.SecretExpiry{
			{Token: "rotated", Expires: now.Add(2 * time.Hour)},
			{Token: "later", Expires: now.Add(3 * time.Hour)},
			{Token: "renewed", Expires: now.Add(5 * time.Hour)},
		}, s.RightsStatus().Secrets)
		var many []Document
		for i := range conf.MaxSecretExpiries {
			many = append(many, expiring(fmt.Sprintf("n%d", i), time.Hour))
		}
		s.write(many...)
		secrets := s.RightsStatus().Secrets
		assert.Len(t, secrets, conf.MaxSecretExpiries)
		assert.Equal(t, now.Add(time.Hour), secrets[conf.MaxSecretExpiries-1].Expires, "the first to expire are kept")
	})
}

func TestRightsStatus_OfAnOpenStore(t *testing.T) {
	status := open(t, memstore.New()).RightsStatus()
	assert.Equal(t, conf.RightsStatus{Mode: conf.ModeOpen}, status)
}

// Whom the deny file names is refused for that reason, whatever else is missing.
func TestRightsStatus_DenyFile(t *testing.T) {
	path := t.TempDir() + "/denied"
	require.NoError(t, os.WriteFile(path, []byte("token:a.reader\n"), 0o600))
	file, err := ReadDenyFile(path, nil)
	require.NoError(t, err)
	j := newJudge(slog.New(slog.DiscardHandler), file)
	j.now.Store(&judged{policy: newPolicy(), mode: conf.ModeClosed})
	assert.Equal(t, conf.DenialFile, j.of("token:a.reader").reason("nowhere"))
	assert.Equal(t, conf.DenialUnregistered, (&access{judged: &judged{policy: newPolicy(), mode: conf.ModeClosed}}).reason("nowhere"))
}

// A Centre asks for rights, whatever the server below it was told.
func TestStatus_IsNotUngoverned(t *testing.T) {
	store := memstore.New()
	_, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	s := open(t, store, diamond.WithUngoverned())
	require.True(t, s.door.Status().Ungoverned)
	assert.False(t, s.Status().Ungoverned)
}

// What documents a tenant has is counted as they come and go, in whatever order, and whatever
// cannot be read.
func TestPolicy_CountsDocuments(t *testing.T) {
	s := governed(t, team("b")...)
	counted := func(tenant string) documentCount { return s.judge.now.Load().policy.owned.get(tenant) }
	size := func(docs ...Document) (sum int64) {
		for _, d := range docs {
			content, err := Encode(d)
			require.NoError(t, err)
			sum += int64(len(content))
		}
		return sum
	}
	docs := team("a")
	grants := docs[4]
	s.write(grants) // before its namespace
	assert.Zero(t, counted("a"))
	s.write(docs[:4]...)
	assert.Equal(t, documentCount{5, size(docs...)}, counted("a"))
	more := []Document{&User{Name: "a.ann"}, &Team{Name: "a.ops"}, &Grants{Scope: TenantScope("a")}, &Grants{Scope: EnvironmentScope("a", "daily")}}
	s.write(more...)
	assert.Equal(t, documentCount{9, size(append(docs, more...)...)}, counted("a"))
	_, err := s.door.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: more[2].Key()}}}})
	require.NoError(t, err)
	longer := token("a.reader")
	longer.Description = "longer"
	s.write(longer, &Grants{Scope: AllScope(), Grants: []Grant{{Subject: root, Role: RoleAdministrator}}})
	assert.Equal(t, documentCount{8, size(append(docs, more[0], more[1], more[3])...) + size(longer) - size(token("a.reader"))}, counted("a"))
	assert.Equal(t, documentCount{5, size(team("b")...)}, counted("b"))
	set := s.drafts(token("a.reader"))
	set.Drafts[0].Content = "{}"
	_, err = s.door.Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	assert.Equal(t, documentCount{8, size(append(docs, more[0], more[1], more[3])...) + 2 - size(token("a.reader"))}, counted("a"))
}

// A tenant cannot fill the memory of all servers with documents. Its administrators cannot
// raise the quota, nor pass it.
func TestQuotaOfDocuments(t *testing.T) {
	const boss = "token:a.boss"
	s := governed(t, append(team("a"), token("a.boss"), &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: boss, Role: RoleAdministrator}}})...)
	limited := func(documents, bytes int64) *Tenant {
		return &Tenant{Name: "a", Environments: DefaultEnvironments(), Quota: DocumentQuota{Documents: documents, Bytes: bytes}}
	}
	require.NoError(t, s.edit(boss, token("a.first")), "the default is enough")
	require.ErrorIs(t, s.edit(boss, limited(100, 0)), conf.ErrDenied)
	require.NoError(t, s.edit(root, limited(9, 0)))
	require.NoError(t, s.edit(boss, token("a.second")), "the ninth")
	for _, force := range []bool{false, true} {
		set := s.drafts(token("a.third"))
		set.Force, set.Comment = force, "I want it"
		_, err := s.As(boss).Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.ErrorIs(t, err, conf.ErrDenied)
		require.ErrorContains(t, err, "tenant a: 10 documents, retired ones too, more than the quota of 9")
	}
	assert.EqualValues(t, 2, s.Stats().Denied[conf.DenialQuota])
	require.NoError(t, s.edit(boss, &Token{Name: "a.second", Retired: true}), "which does not add one")
	require.ErrorIs(t, s.edit(boss, token("a.third")), conf.ErrDenied, "a retired one is still there")
	require.NoError(t, s.edit(root, limited(0, 6000)))
	require.NoError(t, s.edit(boss, limited(0, 6000)), "its administrators write the rest of the document")
	require.ErrorContains(t, s.edit(boss, &Team{Name: "a.big", Description: strings.Repeat("x", 1000), Members: many(300)}), "bytes of documents, more than the quota of 6000")
	uses := s.RightsStatus().Documents
	require.Len(t, uses, 2)
	assert.Equal(t, conf.DocumentUse{Tenant: "a", Quota: "bytes", Used: uses[0].Used, Limit: 6000}, uses[0], "the fullest first")
	assert.Equal(t, conf.DocumentUse{Tenant: "a", Quota: "documents", Used: 9, Limit: DefaultTenantDocuments}, uses[1])
	require.NoError(t, s.edit(root, limited(0, 0)))
	require.NoError(t, s.edit(boss, token("a.third")))
}

// many returns the names of users.
func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("user:u", i))
	}
	return names
}
