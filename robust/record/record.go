// Package record holds what a run wrote down: every call and its outcome, what
// listeners and watches were told, and what the storage held in the end. The
// validators know nothing else.
package record

// Kind says what a call asked for.
type Kind string

// The kinds of calls.
const (
	Put    Kind = "put"
	CAS    Kind = "cas" // a put on condition of the revision Want
	Delete Kind = "delete"
	Get    Kind = "get" // a read of all that anyone has seen before it began
)

// Outcome says what the caller was told of a call.
type Outcome string

// The outcomes of calls.
const (
	OK       Outcome = "ok"
	Conflict Outcome = "conflict" // a condition did not hold, or a deletion met nothing
	Failed   Outcome = "error"    // certainly not done
	Unknown  Outcome = "unknown"
)

// Op is one call.
type Op struct {
	Client   int      `json:"client"`
	ID       string   `json:"id,omitempty"` // of a write: its request id, and the comment of its change set
	Kind     Kind     `json:"kind"`
	Keys     []string `json:"keys"` // one, but for a put of several at once
	Want     int64    `json:"want,omitempty"`
	Digest   string   `json:"digest,omitempty"` // of what was written or read; "" of a get: there is no entry
	Call     int64    `json:"call"`             // in nanoseconds of [Recorder.Now]
	Return   int64    `json:"return"`
	Outcome  Outcome  `json:"outcome"`
	Revision int64    `json:"revision,omitempty"` // of what was written or read; 0 of a get: there is no entry
	Position int64    `json:"position,omitempty"` // of a get: the revision up to which the server had all changes
	Error    string   `json:"error,omitempty"`
}

// Told is one call of a listener.
type Told struct {
	Client   int    `json:"client"` // the same after a restart
	Session  int    `json:"session"`
	Key      string `json:"key"`
	At       int64  `json:"at"`
	Revision int64  `json:"revision"`
	Digest   string `json:"digest,omitempty"`
	Deleted  bool   `json:"deleted,omitempty"`
	Source   string `json:"source"`
}

// Listener is one listener, at one client between two of its starts.
type Listener struct {
	Client  int    `json:"client"`
	Session int    `json:"session"`
	Key     string `json:"key"`
}

// Watch is one watch, from its start until it was given up.
type Watch struct {
	Client int    `json:"client"`
	Prefix string `json:"prefix"`          // of the data id
	After  int64  `json:"after"`           // the revision it was to begin after
	Until  int64  `json:"until"`           // the position of its last answer
	Ended  string `json:"ended,omitempty"` // the error that ended it
	Events []Seen `json:"events,omitempty"`
}

// Seen is one change that a watch brought.
type Seen struct {
	Batch    int    `json:"batch"` // the answer that had it
	At       int64  `json:"at"`
	Revision int64  `json:"revision"`
	Number   int    `json:"number"`
	Count    int    `json:"count"`
	Key      string `json:"key"`
	Deleted  bool   `json:"deleted,omitempty"`
	Digest   string `json:"digest,omitempty"` // of the content that came with it
}

// Held is what a client, or a node, had of a key in the end.
type Held struct {
	Who      string `json:"who"`
	Key      string `json:"key"`
	Revision int64  `json:"revision,omitempty"` // 0: no entry
	Digest   string `json:"digest,omitempty"`
	Error    string `json:"error,omitempty"` // why it could not say
}

// Change is one change of the storage's log.
type Change struct {
	Revision int64  `json:"revision"`
	Number   int    `json:"number"`
	Count    int    `json:"count"`
	Key      string `json:"key,omitempty"`
	DataID   string `json:"data_id,omitempty"`
	Op       string `json:"op"` // publish, delete or fork
	Digest   string `json:"digest,omitempty"`
	ID       string `json:"id,omitempty"` // the comment
}

// Fault is one fault that was injected.
type Fault struct {
	Name  string `json:"name"`
	Began int64  `json:"began"`
	Ended int64  `json:"ended"`
	Error string `json:"error,omitempty"` // why it could not be
}

// History is all that a run wrote down.
type History struct {
	Seed   uint64
	Faults []Fault
	Ops    []Op
	Told   []Told
	// Listeners are those that were there in the end.
	Listeners []Listener
	Watches   []Watch
	// Settled is the revision of which all had learned before they were asked in
	// the end; 0: that of the last change. A change of unknown outcome may come
	// later, and be known to some.
	Settled int64
	Held    []Held   // by clients
	Nodes   []Held   // by servers
	Log     []Change // the whole change log of the storage
	Entries []Held   // the storage's current view
	// Broken are promises of the storage's own that reading it showed broken.
	Broken []string
}
