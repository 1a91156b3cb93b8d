package mysqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// requestID is a hash of a request's principal and id, because their lengths are not
// limited and columns are.
type requestID [32]byte

func requestOf(set *conf.ChangeSet) requestID {
	name := set.Caller.Principal.Name
	b := binary.BigEndian.AppendUint64(nil, uint64(len(name)))
	return sha256.Sum256(append(append(b, name...), set.RequestID...))
}

// outcome is a row of diamond_request: the result of the set that was committed under an
// id.
type outcome struct {
	hash  [32]byte // of the set
	after conf.Position
}

func requestTable() table {
	return table{"INSERT", "diamond_request", "revision, request, set_hash, generation, epoch, chain, time_us"}
}

func (o *outcome) values(id requestID, now time.Time) []any {
	p := &o.after
	return []any{p.Revision, id[:], o.hash[:], p.Epoch.Generation, p.Epoch.ID[:], p.Chain[:], now.UnixMicro()}
}

// result returns the result of a set whose request id has this outcome.
func (o *outcome) result(set *conf.ChangeSet) conf.Result {
	if o.hash != set.RequestHash() {
		return conf.Result{Err: storage.RequestReused(set)}
	}
	return conf.Result{Position: o.after, Replayed: true}
}

// outcomes reads the outcomes of the request ids of sets.
func (t *transaction) outcomes(ctx context.Context, sets []conf.ChangeSet) (map[requestID]*outcome, error) {
	var ids []any
	for i := range sets {
		if sets[i].RequestID != "" {
			id := requestOf(&sets[i])
			ids = append(ids, id[:])
		}
	}
	found := make(map[requestID]*outcome)
	for some := range slices.Chunk(ids, keysPerStatement) {
		err := t.query(ctx, "SELECT request, set_hash, revision, generation, epoch, chain FROM diamond_request WHERE request IN ("+
			strings.Repeat("?,", len(some)-1)+"?)", some, func(rows *sql.Rows) error {
			var request, hash, epoch, chain sql.RawBytes
			o := &outcome{after: conf.Position{Store: t.head.Store}}
			p := &o.after
			if err := rows.Scan(&request, &hash, &p.Revision, &p.Epoch.Generation, &epoch, &chain); err != nil {
				return err
			}
			var id requestID
			for _, f := range []struct{ dst, src []byte }{{id[:], request}, {o.hash[:], hash}, {p.Epoch.ID[:], epoch}, {p.Chain[:], chain}} {
				if err := fixed(f.dst, f.src); err != nil {
					return err
				}
			}
			found[id] = o
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
