package boltstore

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// request is a row of the request bucket: the outcome of the first set that
// was committed under its id.
type request struct {
	set      *conf.ChangeSet
	key      []byte
	hash     [32]byte // of the set
	revision int64
	chain    conf.Chain
	time     time.Time
}

// newRequest returns the request of set. Its row key is a hash of the principal and the
// id, because their lengths are not limited here.
func newRequest(set *conf.ChangeSet) *request {
	name := set.Caller.Principal.Name
	b := binary.BigEndian.AppendUint64(nil, uint64(len(name)))
	key := sha256.Sum256(append(append(b, name...), set.RequestID...))
	return &request{set: set, key: key[:], hash: set.RequestHash()}
}

func (r *request) encode() []byte {
	e := make(encoder, 0, 96)
	e.byte(format)
	e.raw(r.hash[:])
	e.number(r.revision)
	e.raw(r.chain[:])
	e.signed(r.time.UnixMicro())
	e.sum(r.key)
	return e
}

func decodeRequest(key, row []byte) (*request, error) {
	r := &request{key: key}
	d := decode(row)
	copy(r.hash[:], d.raw(len(r.hash)))
	r.revision = d.number()
	copy(r.chain[:], d.raw(len(r.chain)))
	r.time = time.UnixMicro(d.signed())
	d.sum(key)
	if !d.end() {
		return nil, conf.Errorf(conf.ErrCorrupt, "the row of a request id is damaged")
	}
	return r, nil
}

// replay returns the result of a set whose request id is known, or nil.
func (v *view) replay(r *request) (*conf.Result, error) {
	row := v.requests.Get(r.key)
	if row == nil {
		return nil, nil
	}
	first, err := decodeRequest(r.key, row)
	if err != nil {
		return nil, err
	}
	if first.hash != r.hash {
		return &conf.Result{Err: storage.RequestReused(r.set)}, nil
	}
	return &conf.Result{Position: v.position(first.revision, first.chain), Replayed: true}, nil
}

// remember stores the outcome of r's set.
func (v *view) remember(r *request, after conf.Position, now time.Time) error {
	r.revision, r.chain, r.time = after.Revision, after.Chain, now
	return v.requests.Put(r.key, r.encode())
}
