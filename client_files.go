package diamond

// maxFileReads is how many calls that read local files may be under way, those
// that hang included.
const maxFileReads = 64

// fileID names what a call of the local files reads; the zero one: the client's id.
type fileID struct {
	key      Key
	slot     Slot // where it is a snapshot
	override bool
}
