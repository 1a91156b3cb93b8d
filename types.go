package diamond

import "github.com/linnaname/gdiamond/conf"

// The vocabulary of applications, from package conf, which has the rest of it.
type (
	// Key is the name of a configuration. See [conf.Key].
	Key = conf.Key
	// Entry is one published value of a key. See [conf.Entry].
	Entry = conf.Entry
	// Config is the state of a key at a client, with its origin. See [conf.Config].
	Config = conf.Config
	// Source is the origin of a value. See [conf.Source].
	Source = conf.Source
	// Draft asks for a value of a key. See [conf.Draft].
	Draft = conf.Draft
	// Delete asks for the removal of a key. See [conf.Delete].
	Delete = conf.Delete
	// Check is a condition on a key that a change set does not write. See [conf.Check].
	Check = conf.Check
	// ChangeSet is a set of changes that are committed together. See [conf.ChangeSet].
	ChangeSet = conf.ChangeSet
	// Change is one committed change. See [conf.Change].
	Change = conf.Change
	// Op is the operation of a change. See [conf.Op].
	Op = conf.Op
	// Position is a point in the history of a store. See [conf.Position].
	Position = conf.Position
	// Filter selects keys by namespace, group and prefix. See [conf.Filter].
	Filter = conf.Filter
	// ListRequest asks for a page of current entries. See [conf.ListRequest].
	ListRequest = conf.ListRequest
	// HistoryRequest asks for the versions of a key. See [conf.HistoryRequest].
	HistoryRequest = conf.HistoryRequest
	// ChangesRequest asks for the changes after a position. See [conf.ChangesRequest].
	ChangesRequest = conf.ChangesRequest
	// ChangesResponse is a run of changes. See [conf.ChangesResponse].
	ChangesResponse = conf.ChangesResponse
	// Status is the state of one key at a client. See [conf.Status].
	Status = conf.Status
	// ServerStatus is the state of a server at one moment. See [conf.ServerStatus].
	ServerStatus = conf.ServerStatus
	// ClientInfo describes a client in its own words. See [conf.ClientInfo].
	ClientInfo = conf.ClientInfo
	// Error adds the operation and the key to a sentinel. See [conf.Error].
	Error = conf.Error
)

// The origins of a value, in the order in which a [Client] reads them. Only [Bind] uses
// SourceDefault.
const (
	SourceNone     = conf.SourceNone
	SourceOverride = conf.SourceOverride
	SourceServer   = conf.SourceServer
	SourceSnapshot = conf.SourceSnapshot
	SourceDefault  = conf.SourceDefault
)

// What a change did.
const (
	OpPublish = conf.OpPublish
	OpDelete  = conf.OpDelete
	OpFork    = conf.OpFork
)

// Names and limits of keys, contents and clients.
const (
	DefaultNamespace  = conf.DefaultNamespace  // what a zero Key.Namespace stands for
	DefaultGroup      = conf.DefaultGroup      // what a zero Key.Group stands for
	AllNamespaces     = conf.AllNamespaces     // what stands for all namespaces, in a [Filter] or request
	DefaultMaxContent = conf.DefaultMaxContent // bytes of one content; see [WithMaxContent]
	MaxPollKeys       = conf.MaxPollKeys       // keys that one client follows at most
)

// The errors that callers test for, with [errors.Is]. They are the same values as those
// of package conf, where each is described.
var (
	ErrNotFound        = conf.ErrNotFound
	ErrConflict        = conf.ErrConflict
	ErrInvalid         = conf.ErrInvalid
	ErrTooLarge        = conf.ErrTooLarge
	ErrCompacted       = conf.ErrCompacted
	ErrEpoch           = conf.ErrEpoch
	ErrOtherStore      = conf.ErrOtherStore
	ErrBehind          = conf.ErrBehind
	ErrUnavailable     = conf.ErrUnavailable
	ErrOverloaded      = conf.ErrOverloaded
	ErrUnknownOutcome  = conf.ErrUnknownOutcome
	ErrNoSpace         = conf.ErrNoSpace
	ErrCorrupt         = conf.ErrCorrupt
	ErrInUse           = conf.ErrInUse
	ErrDenied          = conf.ErrDenied
	ErrUnauthenticated = conf.ErrUnauthenticated
	ErrClosed          = conf.ErrClosed
)

// NewKey returns the key of dataID in group, in the default namespace. An empty group
// stands for [DefaultGroup].
func NewKey(group, dataID string) Key { return conf.NewKey(group, dataID) }

// ParseKey reads "dataId", "group/dataId" or "namespace/group/dataId". A part may not be
// empty. Errors wrap [ErrInvalid].
func ParseKey(s string) (Key, error) { return conf.ParseKey(s) }

// Revision returns a pointer to n, for conditions such as IfRevision of a [Draft].
func Revision(n int64) *int64 { return conf.Revision(n) }
