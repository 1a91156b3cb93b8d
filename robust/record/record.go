// Package record has the recording of a run: every call with its outcome, the calls of
// listeners and watches, and the final state of the storage. The validators use nothing else.
package record

// Kind is the kind of a call.
type Kind string

// The kinds of calls.
const (
	Put    Kind = "put"
	CAS    Kind = "cas" // a put with the condition that the revision is Want
	Delete Kind = "delete"
	Get    Kind = "get" // a read that asks for everything seen before it began
)

// Outcome is the outcome of a call as reported to its caller.
type Outcome string

// The outcomes of calls.
const (
	OK       Outcome = "ok"
	Conflict Outcome = "conflict" // a condition did not hold, or there was nothing to delete
	Failed   Outcome = "error"    // the call was certainly not done
	Unknown  Outcome = "unknown"
)

// Op is one call.
type Op struct {
	Client   int      `json:"client"`
	ID       string   `json:"id,omitempty"` // of a write: the request id, which is also the comment of the change set
	Kind     Kind     `json:"kind"`
	Keys     []string `json:"keys"` // one key, or several for a put of several keys
	Want     int64    `json:"want,omitempty"`
	Digest   string   `json:"digest,omitempty"` // of what was written or read; "" of a get: there is no entry
	Call     int64    `json:"call"`             // in nanoseconds of [Recorder.Now]
	Return   int64    `json:"return"`
	Outcome  Outcome  `json:"outcome"`
	Revision int64    `json:"revision,omitempty"` // of the written or read entry; 0 for a get without an entry
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
	Refused  bool   `json:"refused,omitempty"` // servers refuse the key to the client, which goes on with the value
	Source   string `json:"source"`
}

// Listener is one listener, at one client between two of its starts.
type Listener struct {
	Client  int    `json:"client"`
	Session int    `json:"session"`
	Key     string `json:"key"`
}

// Watch is one watch from its start to its end.
type Watch struct {
	Client int    `json:"client"`
	Prefix string `json:"prefix"`          // of the data id
	After  int64  `json:"after"`           // the revision after which it should begin
	Until  int64  `json:"until"`           // the position of its last answer
	Ended  string `json:"ended,omitempty"` // the error that ended it
	Events []Seen `json:"events,omitempty"`
}

// Seen is one change that a watch returned.
type Seen struct {
	Batch    int    `json:"batch"` // number of the answer
	At       int64  `json:"at"`
	Revision int64  `json:"revision"`
	Number   int    `json:"number"`
	Count    int    `json:"count"`
	Key      string `json:"key"`
	Deleted  bool   `json:"deleted,omitempty"`
	Digest   string `json:"digest,omitempty"` // of the content in the answer
}

// Held is the final state of a key at a client or a node.
type Held struct {
	Who      string `json:"who"`
	Key      string `json:"key"`
	Revision int64  `json:"revision,omitempty"` // 0 if there is no entry
	Digest   string `json:"digest,omitempty"`
	Error    string `json:"error,omitempty"` // of reading the state
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

// Fault is one injected fault.
type Fault struct {
	Name  string `json:"name"`
	Began int64  `json:"began"`
	Ended int64  `json:"ended"`
	Error string `json:"error,omitempty"` // of the injection
}

// History is the whole recording of a run.
type History struct {
	Seed   uint64
	Faults []Fault
	Ops    []Op
	Told   []Told
	// Listeners has the listeners that existed in the end.
	Listeners []Listener
	Watches   []Watch
	Rights    []Right // in a run with rights
	Probes    []Probe
	// Settled is the revision that all had reached before their final state was read, or 0
	// for that of the last change. A change of unknown outcome may come later, and be known
	// to some of them.
	Settled int64
	Held    []Held   // by clients
	Nodes   []Held   // by servers
	Log     []Change // the whole change log of the storage
	Entries []Held   // the storage's current view
	// Broken has the violated promises of the storage that the dump found.
	Broken []string
}
