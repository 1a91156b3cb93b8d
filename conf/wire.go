package conf

import (
	"time"
)

// FetchRequest asks for a key.
type FetchRequest struct {
	Client ClientInfo
	Key    Key
	// Revision asks for the version published at exactly this revision; 0: the
	// present state.
	Revision int64
	// After is the newest position that the caller has seen; the server waits up
	// to 3 s to reach it, then fails with ErrBehind. Zero: any will do.
	After Position
}

// FetchResponse is the state of a key as of Position. A key that does not
// exist is an answer, not an error: only so is an absence tied to a Position.
// (A Revision asked for that is not there is an error: ErrNotFound, ErrCompacted.)
type FetchResponse struct {
	Found    bool
	Entry    Entry // zero unless Found
	Position Position
	Stale    time.Duration // for how long the server has not been able to confirm with its storage; 0: it has
}

// Held is what a caller holds of a key.
type Held struct {
	Key      Key
	Revision int64  // 0: nothing; AnyRevision: compare the MD5 alone
	MD5      string // "" with nothing
}

// AnyRevision as a Held.Revision compares by MD5 alone, as the original diamond
// does. Who holds nothing then, with an MD5 of "", is not told of an empty content,
// which the original's protocol cannot carry.
const AnyRevision = -1

// PollRequest names a set of keys by hash, and says of which of them the
// caller is not up to date with Position.
type PollRequest struct {
	Client ClientInfo
	// Set is HashKeys of all keys of the set.
	Set KeySetHash
	// Keys is the whole set. It is left out once the server knows it; a server
	// that does not (any more) answers Resync.
	Keys []Key
	// Position is that up to which the caller knows all keys of the set, but
	// for those in Held. Zero: Held is all it knows, and keys that are not in
	// it are not held.
	Position Position
	Held     []Held
	// Wait is how long to wait for a change; 0: answer now. Servers take at most MaxWait.
	Wait time.Duration
	// Parked, where it is set, is called when the request begins to wait, at most
	// once: then the server holds no more of it than what Held says. It does not
	// cross a wire.
	Parked func() `json:"-"`
}

// MaxWait is the longest that a server lets a Poll or Changes wait.
const MaxWait = 90 * time.Second

// MaxPollKeys is how many keys one poll may name.
const MaxPollKeys = 100_000

// PollResponse says what has changed, as of Position.
type PollResponse struct {
	// Position up to which Changed is complete: with what it holds and Changed,
	// the caller knows all keys of the set up to it.
	Position Position
	Changed  []KeyState
	// Resync: this server cannot tell from what it was sent. Ask again with all
	// Keys, a zero Position and all that is Held. Changed is empty.
	Resync bool
	// Denied are those keys of the set that this caller may not read, with the
	// reason. Changed says nothing of them. A poll with any is answered at once.
	Denied []Denial
	// Draining: this server is going away. Ask another one next.
	Draining bool
	Stale    time.Duration
	// Applied is when this server learned of the newest of Changed, if that is
	// what ended the wait; else zero. It does not cross a wire.
	Applied time.Time
}

// Denial says that a caller may not read a key. It says nothing of whether the
// key exists.
type Denial struct {
	Key    Key
	Detail string // why, in words
}

// KeyState is the present state of a key that is not as the caller holds it.
type KeyState struct {
	Key      Key
	Revision int64 // 0: the key does not exist
	View     int64
	MD5      string
	// Entry is the value, where it exists and is carried inline: up to
	// InlineContent bytes each and InlineTotal together. Else fetch it.
	Entry *Entry
}

// What a poll carries inline, in bytes of content: each, and together.
const (
	InlineContent = 64 << 10
	InlineTotal   = 1 << 20
)

// CommitRequest carries one change set. Its Caller is ignored.
type CommitRequest struct {
	Client ClientInfo
	Set    ChangeSet
}

// CommitResponse is the outcome of a committed set.
type CommitResponse struct {
	Position Position // Position.Revision is the set's
	Replayed bool     // the RequestID was known, and this is its first outcome
}

// ChangesRequest asks for the changes after a position.
type ChangesRequest struct {
	Client    ClientInfo
	After     Position // zero: the start of history
	Namespace string   // "" = all
	Group     string   // "" = all
	Prefix    string   // of the data id
	Contents  bool     // with contents
	Wait      time.Duration
}

// Matches reports whether k is within the namespace, group and prefix asked for.
func (r *ChangesRequest) Matches(k Key) bool {
	return matches(k, r.Namespace, r.Group, r.Prefix)
}

// ChangesResponse is a run of changes. Position moves also when the filter
// leaves nothing: continue from it. OpFork changes pass every filter.
type ChangesResponse struct {
	Changes  []Change
	Position Position
	More     bool // there is more after Position now
	Draining bool
}

// ListRequest asks for a page of current entries.
type ListRequest struct {
	Client    ClientInfo
	Namespace string // "" = DefaultNamespace
	Group     string // "" = all
	Prefix    string // of the data id
	After     Key    // the last key of the page before; zero: from the start
	Limit     int    // 0 = 100; at most MaxPage
	Contents  bool
}

// MaxPage is how many entries or changes one answer to List or History holds at most.
const MaxPage = 1000

// ListResponse is a page of entries in key order. With Contents, a page ends
// early before it holds more than InlineTotal bytes, at least one entry though.
type ListResponse struct {
	Entries  []Entry
	More     bool
	Position Position
	Stale    time.Duration // as in FetchResponse
}

// HistoryRequest asks for the versions of a key.
type HistoryRequest struct {
	Client ClientInfo
	Key    Key
	Before int64 // only revisions below it; 0: from the newest
	Limit  int   // 0 = 100; at most MaxPage
}

// HistoryResponse is a page of changes, newest first, without contents.
type HistoryResponse struct {
	Changes []Change
}

// Report says what became of one value at one client. It never holds content.
type Report struct {
	Key      Key
	Revision int64
	Applied  bool   // all listeners took it
	Reason   string // with !Applied: "error" or "panic"
}

// ReportRequest carries reports of one client, one a key.
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
