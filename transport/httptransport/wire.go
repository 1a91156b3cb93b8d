package httptransport

import (
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// timeFormat is RFC 3339 with the microseconds that storages keep.
const timeFormat = "2006-01-02T15:04:05.999999Z07:00"

// Paths of the native protocol; keys follow as /namespace/group/dataId.
const (
	pathConfigs    = "/v1/configs"
	pathHistory    = "/v1/history"
	pathChangesets = "/v1/changesets"
	pathPoll       = "/v1/poll"
	pathChanges    = "/v1/changes"
	pathReports    = "/v1/reports"
	pathListeners  = "/v1/listeners"
	pathClients    = "/v1/clients"
	pathCluster    = "/v1/cluster"
	pathPosition   = "/v1/position"
	pathWhoAmI     = "/v1/whoami"
	pathCan        = "/v1/can"
	pathOpenAPI    = "/openapi.yaml"
)

// Headers, in canonical form, so that the header map can be indexed directly.
const (
	hClient   = "Diamond-Client"   // the client's description of itself, as a form
	hPosition = "Diamond-Position" // of every answer that has one
	hError    = "Diamond-Error"    // the code of every error answer
	hKey      = "Diamond-Key"
	hRevision = "Diamond-Revision"
	hView     = "Diamond-View" // left out if it equals the revision
	hMD5      = "Diamond-Md5"
	hType     = "Diamond-Type"
	hModified = "Diamond-Modified"
	hMeta     = "Diamond-Meta"     // as a form
	hSeen     = "Diamond-Seen"     // the newest position that the client has seen
	hOrigin   = "Diamond-Origin"   // of a write
	hForce    = "Diamond-Force"    // of a write: "true" or left out
	hStale    = "Diamond-Stale"    // a duration; left out if the server is current
	hCount    = "Diamond-Count"    // of frames in the body
	hMore     = "Diamond-More"     // "true" or left out, as the four below
	hPartial  = "Diamond-Partial"  //
	hResync   = "Diamond-Resync"   //
	hDraining = "Diamond-Draining" //
	hReplayed = "Diamond-Replayed" //

	hAuthorization  = "Authorization"
	hIdempotencyKey = "Idempotency-Key" // a change set's RequestID
	hCacheControl   = "Cache-Control"
	hContentLength  = "Content-Length"
	hContentType    = "Content-Type"
	hETag           = "Etag"
	hLastModified   = "Last-Modified"
	hNosniff        = "X-Content-Type-Options"
	hRetryAfter     = "Retry-After"
)

// Header values that never change. They are made once, because net/http does not alter
// them.
var (
	valueTrue    = []string{"true"}
	valueNoStore = []string{"no-store"}
	valueNosniff = []string{"nosniff"}
	valueBytes   = []string{"application/octet-stream"}
	valueJSON    = []string{"application/json"}
)

// The limits of what a handler reads. [WithMaxContent] limits contents.
const (
	maxPoll    = 32 << 20 // bytes of poll body
	maxReports = 1 << 20  // bytes of reports
	maxLine    = 128 << 10
	setLines   = 16 << 20 // bytes that the lines of a change set may add to its contents
)

// The memory in bytes that counts for one element of a list in a body, besides the body,
// until the request has been answered or waits: for the key, and for the copies that are
// made to check, sort and hash it.
const (
	keyMemory    = 256
	heldMemory   = httpserve.HeldMemory
	reportMemory = 192
	changeMemory = 256
)

// The limits of what a client reads besides contents, which [WithMaxAnswer] limits.
const (
	maxFrames = conf.MaxPollKeys // of an answer: a poll's may name all its keys
	maxLines  = 32 << 20         // bytes that the lines of an answer may add to its contents
)
