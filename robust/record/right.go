package record

// Right is one change of what somebody may do.
type Right struct {
	What     string `json:"what"` // a grant, or a secret that is valid
	Given    bool   `json:"given"`
	Call     int64  `json:"call"`
	Return   int64  `json:"return"`
	Revision int64  `json:"revision"`
}

// Outcomes of probes only. OK says that an answer told something of keys, and Nothing that it
// told nothing. Failed says nothing of rights.
const (
	Denied          Outcome = "denied"
	Unauthenticated Outcome = "unauthenticated"
	Nothing         Outcome = "nothing"
)

// Probe is one try to use a right at one server.
type Probe struct {
	Node    int     `json:"node"`
	Kind    string  `json:"kind"`   // fetch, poll, watch or commit
	Grant   string  `json:"grant"`  // what the caller needs to be served
	Secret  string  `json:"secret"` // what the caller proves itself with
	Call    int64   `json:"call"`
	Return  int64   `json:"return"`
	Outcome Outcome `json:"outcome"`
	// Floor is the revision that the server had reached before the call, or 0 if it was
	// restarted meanwhile.
	Floor    int64  `json:"floor,omitempty"`
	Position int64  `json:"position,omitempty"` // of the answer; of a commit: its revision
	Error    string `json:"error,omitempty"`
}
