package validate

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/robust/record"
)

// The grant of g was given at revision 10, taken at 20 and given again at 30, and the secret s
// was revoked at 40.
func TestRights(t *testing.T) {
	h := record.History{Rights: []record.Right{
		{What: "grant g", Given: true, Call: 100, Return: 109, Revision: 10},
		{What: "secret s", Given: true, Call: 100, Return: 109, Revision: 10},
		{What: "grant g", Call: 200, Return: 209, Revision: 20},
		{What: "grant g", Given: true, Call: 300, Return: 309, Revision: 30},
		{What: "secret s", Call: 400, Return: 409, Revision: 40},
	}}
	probe := func(outcome record.Outcome, kind string, floor, position, returned int64) record.Probe {
		return record.Probe{Kind: kind, Grant: "grant g", Secret: "secret s", Outcome: outcome, Floor: floor, Position: position, Call: returned - 1, Return: returned}
	}
	log := func(key string, revision int64) record.Change {
		return record.Change{Key: key, Revision: revision}
	}
	for name, c := range map[string]struct {
		probe record.Probe
		log   record.Change
		op    record.Op
		bad   bool
	}{
		"served with the grant":                            {probe: probe(record.OK, "fetch", 10, 19, 150)},
		"served by a server that is behind":                {probe: probe(record.OK, "fetch", 10, 19, 250)},
		"served as of the revocation":                      {probe: probe(record.OK, "fetch", 10, 20, 250), bad: true},
		"served as of later than the revocation":           {probe: probe(record.OK, "poll", 10, 25, 250), bad: true},
		"served when the grant may be back":                {probe: probe(record.OK, "watch", 10, 25, 300)},
		"served with a revoked secret":                     {probe: probe(record.OK, "fetch", 40, 40, 500), bad: true},
		"served with a secret that was revoked on the way": {probe: probe(record.OK, "fetch", 39, 41, 500)},
		"served by a server that was restarted":            {probe: probe(record.OK, "fetch", 0, 10, 500)},
		"refused while the grant was there":                {probe: probe(record.Denied, "fetch", 15, 0, 150), bad: true},
		"refused when the grant may be gone":               {probe: probe(record.Denied, "fetch", 15, 0, 200)},
		"refused by a server that is behind":               {probe: probe(record.Denied, "fetch", 25, 0, 350)},
		"refused while the grant was back":                 {probe: probe(record.Denied, "commit", 30, 0, 350), bad: true},
		"the valid secret is not taken":                    {probe: probe(record.Unauthenticated, "fetch", 30, 0, 350), bad: true},
		"the revoked secret is not taken":                  {probe: probe(record.Unauthenticated, "fetch", 30, 0, 450)},
		"nothing is told":                                  {probe: probe(record.Nothing, "poll", 30, 25, 250)},
		"a commit with the grant":                          {log: log("public/guests/g", 19)},
		"a commit without the grant":                       {log: log("public/guests/g", 21), bad: true},
		"a commit of somebody else":                        {log: log("public/others/g", 21)},
		"somebody else is refused":                         {op: record.Op{Error: "fetch: not permitted: read on namespace public"}, bad: true},
		"somebody else is not known":                       {op: record.Op{Error: "unauthenticated"}, bad: true},
		"somebody else has another error":                  {op: record.Op{Error: "unavailable"}},
	} {
		with := h
		with.Probes, with.Log, with.Ops = []record.Probe{c.probe}, []record.Change{c.log}, []record.Op{c.op}
		assert.Equal(t, c.bad, len(Rights(&with)) > 0, name)
	}
}

// A listener is told the same value again when servers begin to refuse the key, and when they
// cease to.
func TestTold_Refused(t *testing.T) {
	h := good()
	h.Told = append(h.Told,
		record.Told{Client: 5, Session: 1, Key: "b", Revision: 4, Digest: "4", At: 105, Refused: true},
		record.Told{Client: 5, Session: 1, Key: "b", Revision: 4, Digest: "4", At: 106})
	assert.Empty(t, Told(h))
	h.Told[len(h.Told)-1].Refused = true
	assert.Len(t, Told(h), 3, "told again of the same refusal (twice a problem), which does not end")
}

// A watch does not bring the documents of the rights.
func TestWatches_Documents(t *testing.T) {
	h := good()
	h.Log = append(h.Log, record.Change{Revision: 5, Count: 1, Key: "_govern/grants/all", DataID: "all", Op: "publish"})
	h.Watches[0].Until = 5
	assert.Empty(t, Watches(h))
}
