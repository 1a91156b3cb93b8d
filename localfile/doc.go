// Package localfile keeps a client's files on its own disk: snapshots of what
// servers sent, and overrides that the operator of the host puts there by hand.
// [Open] makes a [Dir], which is a diamond.LocalFiles.
//
// # Layout
//
//	client-id                              the client's id, stable over restarts
//	store-id                               the store that the snapshots are of
//	snapshots/                             one file a key and slot; see below
//	overrides/<namespace>/<group>/<dataId> the operator's files, raw content
//
// Directories are made 0700 and files 0600, whatever the umask. Everything is
// read and written inside an [os.Root]: neither a name that a server sent nor a
// symbolic link leads out of the directory.
//
// # Snapshots
//
// A snapshot is replaced atomically and durably: a crash or a power loss at any
// moment leaves the old one or the new one. It starts with two lines, what it
// is with a SHA-256 over all that follows, and a JSON header; then comes the
// content as it is, so that "tail -n +3" shows it. The header names the key, the
// slot and the store; a file that was copied from elsewhere is refused by it.
// A damaged file is renamed to *.corrupt, reported once and never used.
//
// # Overrides
//
// Write an override elsewhere in the same file system and rename it into place:
// then it is never seen half-written. A file that is edited in place is read
// only when it has not changed for half a second. Files that everybody may write
// are refused, see [WithWorldWritable], and so are files over [MaxOverride].
//
// A client takes an override to have the type that was published for the key. One
// that cannot be read, is empty or says nothing in that type changes nothing: the
// content before it stays in force, or the server's where there was none. To end an
// override, remove the file.
//
// Changes are seen through the system's file notifications; a rescan every 2 s
// finds those that gave none, as on network file systems, and every 30 s also
// those that left size and time as they were.
//
// A file or directory that hangs, as on a network file system whose server is away,
// holds up the others as [Dir.WatchOverrides] says. Its overrides stay as they are, and
// a change is told when it is back; until then the log says "overrides cannot be
// looked at". Where four names in one directory hang, the others in it wait for them.
// A client goes on without a file that hangs; see [diamond.LocalFiles].
//
// Symbolic links are followed as long as they stay inside the directory given to
// [Open], as those of a Kubernetes ConfigMap do when it is mounted at overrides
// or below. Names that begin with two dots belong to such mounts and are never
// overrides. Other names outside the grammar of keys are ignored with a warning. Where
// the file system takes "A" and "a" for one name, so do overrides. On Windows keys
// with ":", with a dot at the end of a part or with a device's name, such as "con" or
// "com1.yaml", cannot be overridden.
//
// # Several processes
//
// Processes may share a directory: no file is ever torn, and the last writer of
// a snapshot wins. They must be clients of one store. Processes that make the
// directory at the same instant may have different client ids until they restart.
package localfile
