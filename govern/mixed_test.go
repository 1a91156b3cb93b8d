package govern

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// newer writes what a server of a later version writes: a key in the system namespace.
func (s *stage) newer(key conf.Key, content string) {
	s.t.Helper()
	_, err := s.door.Commit(context.Background(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}}})
	require.NoError(s.t, err)
}

// inLaterFormat returns a document in a format that this program does not read.
func (s *stage) inLaterFormat(d Document) string {
	s.t.Helper()
	content := s.drafts(d).Drafts[0].Content
	later := strings.Replace(content, `"format": 1`, `"format": 2`, 1)
	require.NotEqual(s.t, content, later)
	return later
}

// A server that finds a document of a later format serves nothing that the document is about,
// and says that it cannot: nobody is denied, and nobody gets a value by what it said before.
// All else goes on, and so does this as soon as the document can be read.
func TestMixedVersions_ALaterFormat(t *testing.T) {
	const everything = "a.daily b.daily public"
	for _, c := range []struct {
		document  Document
		concerned string // the namespaces of which nothing is served
		tokens    string // that cannot be proven
	}{
		{document: &Namespace{ID: "a.daily", Tenant: "a", Environment: "daily"}, concerned: "a.daily"},
		{document: &Tenant{Name: "a", Environments: DefaultEnvironments()}, concerned: "a.daily"},
		{document: granted("a.daily", "token:a.reader", RoleReader, "token:a.releaser", RoleReleaser), concerned: "a.daily"},
		{document: &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: "token:a.reader", Role: RoleReader}}}, concerned: "a.daily"},
		{document: &Grants{Scope: EnvironmentScope("a", "daily")}, concerned: "a.daily"},
		{document: &Grants{Scope: EnvironmentScope("a", "pre")}},
		{document: &Grants{Scope: AllScope(), Grants: []Grant{{Subject: root, Role: RoleAdministrator}}}, concerned: everything},
		{document: &Role{Name: "another", Verbs: []string{"read"}}, concerned: everything},
		{document: &Team{Name: "a.t"}, concerned: everything},
		{document: &Marker{Mode: ModeClosed}, concerned: everything},
		{document: &Credentials{}, concerned: everything},
		{document: token("a.reader"), tokens: "a.reader"},
		{document: &User{Name: "ann"}},
	} {
		name := nameOf(c.document.Key())
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				documents := append(team("a"), team("b")...)
				documents = append(documents, granted("public", "token:a.reader", RoleReader, "token:b.reader", RoleReader), &Role{Name: "another", Verbs: []string{"read"}}, &Team{Name: "a.t"}, &User{Name: "ann"})
				store := memstore.New()
				s := open(t, store)
				s.setUp(ModeClosed, documents...)
				at := s.publishAll("a.daily/g/k", "v", "b.daily/g/k", "v", "public/g/k", "v")
				sealed := s.judge.sealer().seal(at)
				parked := map[string]<-chan *conf.PollResponse{}
				for _, namespace := range []string{"a.daily", "b.daily"} {
					tenant, _, _ := strings.Cut(namespace, ".")
					answer := make(chan *conf.PollResponse, 1)
					go func() {
						resp, _ := s.As("token:"+tenant+".reader").Poll(context.Background(), s.ask(sealed, time.Minute, namespace+"/g/k"))
						answer <- resp // nil if it failed
					}()
					parked[namespace] = answer
				}
				watched := map[string]<-chan *conf.ChangesResponse{}
				for _, namespace := range []string{"a.daily", "b.daily", conf.AllNamespaces} {
					answer := make(chan *conf.ChangesResponse, 1)
					go func() {
						tenant, _, _ := strings.Cut(strings.Replace(namespace, conf.AllNamespaces, "b", 1), ".")
						resp, _ := s.As("token:"+tenant+".reader").Changes(context.Background(), &conf.ChangesRequest{Namespace: namespace, After: sealed, Wait: time.Minute, Contents: true})
						answer <- resp
					}()
					watched[namespace] = answer
				}
				synctest.Wait()
				content := s.drafts(c.document).Drafts[0].Content
				s.newer(c.document.Key(), s.inLaterFormat(c.document))
				s.publishAll("a.daily/g/k", "later", "b.daily/g/k", "later", "public/g/k", "later")

				// serves checks what each may get, from a server that was there and from a new one.
				serves := func(s *stage, concerned, tokens string) {
					t.Helper()
					for _, namespace := range strings.Fields(everything) {
						tenant, _, _ := strings.Cut(namespace, ".")
						principal := "token:" + strings.Replace(tenant, "public", "b", 1) + ".reader"
						resp, err := s.fetch(principal, namespace+"/g/k")
						list, errList := s.As(principal).List(t.Context(), &conf.ListRequest{Namespace: namespace, Contents: true})
						_, errHistory := s.As(principal).History(t.Context(), &conf.HistoryRequest{Key: keyOf(t, namespace+"/g/k")})
						errCommit := s.release("token:"+tenant+".releaser", namespace+"/g/k", "later")
						if strings.Contains(concerned, namespace) || strings.Contains(tokens, principal[len("token:"):]) {
							for _, err := range []error{err, errList, errHistory} {
								require.ErrorIs(t, err, conf.ErrUnavailable, namespace)
								require.NotErrorIs(t, err, conf.ErrDenied)
							}
							if strings.Contains(concerned, namespace) {
								require.ErrorIs(t, errCommit, conf.ErrUnavailable, namespace)
							}
							continue
						}
						require.NoError(t, err, namespace)
						require.Equal(t, "later", resp.Entry.Content)
						require.NoError(t, errList)
						require.Len(t, list.Entries, 1)
						require.NoError(t, errHistory)
						if tenant != "public" {
							require.NoError(t, errCommit, namespace)
						}
					}
					for _, name := range []string{"a.reader", "a.releaser", "b.reader"} {
						_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf(name)})
						if strings.Contains(tokens, name) {
							require.ErrorIs(t, err, conf.ErrUnavailable, "its secret may stand in what cannot be read")
						} else {
							require.NoError(t, err, name)
						}
					}
				}
				serves(s, c.concerned, c.tokens)
				serves(open(t, store), c.concerned, c.tokens)
				for namespace, answer := range parked {
					resp := <-answer
					if strings.Contains(c.concerned, namespace) || namespace == "a.daily" && c.tokens != "" {
						if resp != nil {
							require.Empty(t, resp.Changed, "%s: no value by rights of before", namespace)
							require.Empty(t, resp.Denied, "%s: and no denial", namespace)
						}
						continue
					}
					require.NotNil(t, resp, namespace)
					require.True(t, resp.Resync || len(resp.Changed) == 1, namespace)
				}

				for namespace, answer := range watched {
					resp := <-answer
					switch {
					case namespace == conf.AllNamespaces && (c.document.Key().Group == KindToken || c.document.Key().Group == KindUser):
						require.NotNil(t, resp)
						require.NotEmpty(t, resp.Changes, "such a document concerns only itself")
					case strings.Contains(c.concerned, namespace), namespace == conf.AllNamespaces, namespace == "a.daily" && c.tokens != "":
						if resp != nil {
							require.Empty(t, resp.Changes, "%s: no change by rights of before", namespace)
						}
					default:
						require.NotNil(t, resp, namespace)
					}
				}

				// Nobody replaces it here, which would take away what is not known.
				require.ErrorIs(t, s.edit(root, c.document), conf.ErrUnavailable)
				s.newer(c.document.Key(), content)
				serves(s, "", "")
			})
		})
	}
}

// Two servers, of which one knows kinds of documents and fields that the other does not: the
// other serves all that it understands, keeps what it does not, and lets nobody write it, nor
// read it but who administers everything.
func TestMixedVersions_ALaterKind(t *testing.T) {
	for _, name := range []string{"that was there", "that starts"} {
		t.Run("a server "+name, func(t *testing.T) {
			store := memstore.New()
			a := open(t, store)
			a.setUp(ModeClosed, append(tenantAdmin("a"), team("b")...)...)
			s := open(t, store)
			a.publishAll("a.daily/g/k", "v", "b.daily/g/k", "v")
			at := a.Status().Position
			kind := conf.Key{Namespace: SystemNamespace, Group: "proposal", DataID: "a.daily"}
			a.newer(kind, `{"format":7,"of":"a later kind"}`)
			a.newer(KeyOf(KindTenant, "a"), `{"format":1,"environments":["daily","pre"],"later":{"field":[1,2]}}`)
			a.newer(KeyOf(KindNamespace, "b.daily"), `{"format":1,"tenant":"b","environment":"daily","approval":{"of":2}}`)
			if name == "that starts" {
				s = open(t, store)
			}
			require.NoError(t, s.door.CatchUp(t.Context()))
			for _, tenant := range []string{"a", "b"} {
				resp, err := s.fetch("token:"+tenant+".reader", tenant+".daily/g/k")
				require.NoError(t, err)
				assert.Equal(t, "v", resp.Entry.Content)
				assert.Equal(t, []string{tenant + ".daily/g/k"}, s.listed("token:"+tenant+".reader", conf.ListRequest{Namespace: conf.AllNamespaces}))
				watch, err := s.As("token:"+tenant+".reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: conf.AllNamespaces, After: at})
				require.NoError(t, err)
				assert.Empty(t, watch.Changes)
				require.NoError(t, s.release("token:"+tenant+".releaser", tenant+".daily/g/own", name))
				require.NoError(t, s.edit(root, &Team{Name: tenant + ".t", Description: name}), "documents can be written")
			}
			for _, who := range []string{"", "token:a.reader", "token:a.admin", "token:b.reader", root} {
				_, err := s.fetch(who, kind.String())
				resp := s.poll(who, s.ask(conf.Position{}, 0, kind.String()))
				if who == root {
					require.NoError(t, err)
					assert.Len(t, resp.Changed, 1)
				} else {
					require.ErrorIs(t, err, conf.ErrDenied, who)
					assert.Len(t, resp.Denied, 1, who)
					if who != "" {
						assert.NotContains(t, s.listed(who, conf.ListRequest{Namespace: SystemNamespace}), kind.String(), who)
					}
				}
				for _, set := range []conf.ChangeSet{
					{Drafts: []conf.Draft{{Key: kind, Content: `{"format":1}`}}}, {Deletes: []conf.Delete{{Key: kind}}},
					{Drafts: []conf.Draft{{Key: conf.Key{Namespace: SystemNamespace, Group: "proposal", DataID: "new"}, Content: `{"format":1}`}}},
				} {
					_, err := s.As(who).Commit(t.Context(), &conf.CommitRequest{Set: set})
					if who == root {
						require.ErrorIs(t, err, conf.ErrInvalid)
					} else {
						require.ErrorIs(t, err, conf.ErrDenied, who)
					}
				}
			}
			// An administrator changes what the newer server has written, and a namespace that is
			// made touches the document of its tenant.
			next := document[*Namespace](s.judge.now.Load().policy.get(KindNamespace, "b.daily"))
			require.NotNil(t, next)
			changed := *next
			changed.Description = name
			require.NoError(t, s.edit(root, &changed))
			require.NoError(t, s.edit("token:a.admin", &Namespace{ID: "a.pre", Tenant: "a", Environment: "pre"}))
			for key, field := range map[conf.Key]string{KeyOf(KindNamespace, "b.daily"): "approval", KeyOf(KindTenant, "a"): "later"} {
				e, err := store.Read(t.Context(), key, 0)
				require.NoError(t, err)
				assert.Contains(t, e.Content, `"`+field+`": {`, "a field of a later version is kept")
			}
			e, err := store.Read(t.Context(), kind, 0)
			require.NoError(t, err)
			assert.Equal(t, `{"format":7,"of":"a later kind"}`, e.Content)
		})
	}
}

// A user's document of a later format ends what was decided about that user, and about nobody
// else.
func TestMixedVersions_ALaterFormatOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		s.setUp(ModeClosed, &User{Name: "ann"}, &User{Name: "ben"}, granted("public", "user:ann", RoleReader, "user:ben", RoleReader))
		at := s.judge.sealer().seal(s.publish("public/g/k", "v"))
		parked := map[string]chan *conf.PollResponse{"user:ann": make(chan *conf.PollResponse, 1), "user:ben": make(chan *conf.PollResponse, 1)}
		for who, answer := range parked {
			go func() {
				resp, _ := s.As(who).Poll(context.Background(), s.ask(at, time.Minute, "public/g/k"))
				answer <- resp // nil if it failed
			}()
		}
		synctest.Wait()
		s.newer(KeyOf(KindUser, "ann"), s.inLaterFormat(&User{Name: "ann"}))
		synctest.Wait()
		assert.Len(t, parked["user:ann"], 1, "the poll has ended")
		assert.Empty(t, parked["user:ben"])
		s.publish("public/g/k", "later")
		if resp := <-parked["user:ann"]; resp != nil {
			assert.Empty(t, resp.Changed)
		}
		resp := <-parked["user:ben"]
		require.NotNil(t, resp)
		assert.Len(t, resp.Changed, 1)
	})
}
