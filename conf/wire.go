package conf

import (
	"time"
)

// FetchRequest asks for a key.
type FetchRequest struct {
	Client ClientInfo
	Key    Key
	// Revision asks for the version that was published at exactly this revision. If it is
	// 0, the request asks for the present state.
	Revision int64
	// After is the newest position that the caller has seen. The server waits for up to
	// 3 s to reach it, and then fails with ErrBehind. If it is zero, any position will do.
	After Position
}

// FetchResponse is the state of a key as of Position. If the key does not exist, Found is
// false and there is no error, because the absence is only valid as of a Position, which
// an error does not have. A requested Revision that does not exist is an error:
// ErrNotFound or ErrCompacted.
type FetchResponse struct {
	Found    bool
	Entry    Entry // zero unless Found
	Position Position
	Stale    time.Duration // time since the server last confirmed its state with the storage, or 0 if it is current
}

// Held is the state of a key that a caller has.
type Held struct {
	Key      Key
	Revision int64  // of the value that the caller has, or 0 if it has none, or AnyRevision
	MD5      string // "" if the caller has no value
}

// AnyRevision as a Held.Revision makes the server compare the MD5 alone, as the original
// diamond does. A caller that has no value, with an MD5 of "", is then not told of an empty
// content, which the original's protocol cannot carry.
const AnyRevision = -1

// PollRequest names a set of keys by hash, and lists the keys of which the caller does not
// have the state at Position.
type PollRequest struct {
	Client ClientInfo
	// Set is HashKeys of all keys of the set.
	Set KeySetHash
	// Keys is the whole set. A caller leaves it out once the server knows the set. A server
	// that does not know it, or no longer does, answers Resync.
	Keys []Key
	// Position is the position up to which the caller knows all keys of the set other than
	// those in Held. If it is zero, the caller has the values in Held and no others.
	Position Position
	Held     []Held
	// Wait is the maximum time to wait for a change. If it is 0 the server answers at once.
	// A server waits for at most MaxWait.
	Wait time.Duration
	// Parked, if not nil, is called at most once, when the request begins to wait. From then
	// on the server keeps nothing of the request but what is in Held. A transport does not
	// send Parked over a network.
	Parked func() `json:"-"`
}

// MaxWait is the longest time that a Poll or Changes waits at a server.
const MaxWait = 90 * time.Second

// MaxPollKeys is the maximum number of keys in one poll.
const MaxPollKeys = 100_000

// PollResponse lists the keys that have changed, as of Position.
type PollResponse struct {
	// Position is the position up to which Changed is complete. With the values that it had
	// and with Changed, the caller knows all keys of the set up to Position.
	Position Position
	Changed  []KeyState
	// Resync says that the server cannot compare with what it was sent. The caller must ask
	// again with all Keys, a zero Position, and all values that it has in Held. Changed is
	// empty.
	Resync bool
	// Denied lists the keys of the set that the caller may not read, with the reasons. They
	// are not in Changed. A poll with such keys is answered at once.
	Denied []Denial
	// Draining says that the server is about to stop. The caller should ask another one next.
	Draining bool
	Stale    time.Duration // as in FetchResponse
	// Applied is the time when the server learned of the newest change in Changed, if that
	// change ended the wait, or else zero. A transport does not send it over a network.
	Applied time.Time
}

// Denial says that a caller may not read a key. It does not say whether the key exists.
type Denial struct {
	Key    Key
	Detail string // the reason, in words
}

// KeyState is the present state of a key that differs from what the caller has.
type KeyState struct {
	Key      Key
	Revision int64 // or 0 if the key does not exist
	View     int64 // as in Entry
	MD5      string
	// Entry is the value, if the key exists and the answer carries the value inline. An
	// answer carries contents of up to InlineContent bytes each and InlineTotal bytes
	// together. If Entry is nil the caller has to fetch the value.
	Entry *Entry
}

// The maximum sizes in bytes of the contents that the answer to a poll carries inline: of
// each, and of all together.
const (
	InlineContent = 64 << 10
	InlineTotal   = 1 << 20
)

// CommitRequest carries one change set. Its Caller is ignored.
type CommitRequest struct {
	Client ClientInfo
	Set    ChangeSet
	// Seen is the newest position that the caller has seen. The server waits for up to 3 s to
	// reach it before it does anything, and then fails with ErrBehind. If it is zero, any
	// position will do.
	Seen Position
}

// CommitResponse is the outcome of a committed set.
type CommitResponse struct {
	Position Position // after the set, whose Revision is that of the set
	Replayed bool     // the RequestID was known, and this is its first outcome
}

// ChangesRequest asks for the changes after a position.
type ChangesRequest struct {
	Client    ClientInfo
	After     Position      // zero for the start of history
	Namespace string        // "" for DefaultNamespace, or AllNamespaces
	Group     string        // "" for all
	Prefix    string        // of the data id
	Contents  bool          // without it Change.Content is empty
	Wait      time.Duration // maximum time to wait for the first change; a server waits for at most MaxWait
}

// Matches reports whether k is within the namespace, group and prefix of the request.
func (r *ChangesRequest) Matches(k Key) bool {
	return Filter{r.Namespace, r.Group, r.Prefix}.Matches(k)
}

// ChangesResponse is a run of changes. The next request continues from Position, which
// moves on even if no change passes the filter. OpFork changes pass every filter.
type ChangesResponse struct {
	Changes  []Change
	Position Position
	More     bool // there are changes after Position already
	Draining bool // as in PollResponse
}

// ListRequest asks for a page of current entries.
type ListRequest struct {
	Client    ClientInfo
	Namespace string   // "" for DefaultNamespace, or AllNamespaces
	Group     string   // "" for all
	Prefix    string   // of the data id
	After     Key      // the last key of the previous page, or zero for the first page
	Limit     int      // maximum number of entries, or 0 for 100; a server returns at most MaxPage
	Contents  bool     // without it Entry.Content is empty
	Seen      Position // as in CommitRequest
}

// MaxPage is the maximum number of entries or changes in one answer to List or History.
const MaxPage = 1000

// DefaultPage is the number of entries or changes in one answer if the request does not say.
const DefaultPage = 100

// PageLimit returns the maximum number of entries in a page for the limit of a request. The
// error is ErrInvalid if that is negative.
func PageLimit(limit int) (int, error) {
	switch {
	case limit < 0:
		return 0, Invalidf("limit: negative")
	case limit == 0:
		return DefaultPage, nil
	}
	return min(limit, MaxPage), nil
}

// ListResponse is a page of entries in key order. With Contents, a page ends before its
// contents exceed InlineTotal bytes, but it has at least one entry.
type ListResponse struct {
	Entries  []Entry
	More     bool // there is another page, after the last key of this one
	Position Position
	Stale    time.Duration // as in FetchResponse
	// Partial says that the server left namespaces out because it cannot decide about the
	// caller's rights in them now. Only a list of AllNamespaces is partial.
	Partial bool
}

// HistoryRequest asks for the versions of a key.
type HistoryRequest struct {
	Client ClientInfo
	Key    Key
	Before int64    // only changes at revisions below it, or 0 for all
	Limit  int      // maximum number of changes, or 0 for 100; a server returns at most MaxPage
	Seen   Position // as in CommitRequest
}

// HistoryResponse is a page of changes, newest first, without contents.
type HistoryResponse struct {
	Changes []Change
}

// Report says whether one client has applied one value. It never contains the content.
type Report struct {
	Key      Key
	Revision int64
	Applied  bool   // all listeners have applied the value
	Reason   string // "error" or "panic" if the value was rejected, or ""
}

// ReportRequest carries the reports of one client, one for each key.
type ReportRequest struct {
	Client  ClientInfo
	Reports []Report
}

// ReportResponse is empty.
type ReportResponse struct{}

// Validate reports what is wrong with req. Errors wrap [ErrInvalid], [ErrTooLarge] or
// [ErrDenied].
func (req *ReportRequest) Validate() error {
	var p problems
	if id := req.Client.ID; id == "" {
		p.add("client id: is empty")
	} else if len(id) > maxClientID {
		p.add("client id: %d bytes, more than %d", len(id), maxClientID)
	}
	if len(req.Reports) > MaxPollKeys {
		return Errorf(ErrTooLarge, "reports: %d, more than %d", len(req.Reports), MaxPollKeys)
	}
	for i := range req.Reports {
		r := &req.Reports[i]
		if err := ValidatePublic(r.Key.Canonical()); err != nil {
			return err
		}
		if r.Revision < 1 {
			p.add("revision of a report: %d, less than 1", r.Revision)
		}
		if r.Applied && r.Reason != "" || !r.Applied && r.Reason != "error" && r.Reason != "panic" {
			p.add(`reason: must be "error" or "panic", and empty where the value was applied`)
		}
		if len(p) > 0 {
			break
		}
	}
	return p.err()
}
