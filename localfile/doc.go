// Package localfile keeps a client's files on disk: snapshots of the values that servers
// sent, and overrides that the operator of the host puts there by hand. [Open] returns a
// [Dir], which is a diamond.LocalFiles.
//
// # Layout
//
//	client-id                              the client's id, stable across restarts
//	store-id                               the store of the snapshots
//	snapshots/                             one file for each key and slot; see below
//	overrides/<namespace>/<group>/<dataId> the operator's files, raw content
//	name-servers                           the last list of servers; see package dial
//
// Directories have mode 0700 and files 0600, regardless of the umask. All access goes
// through an [os.Root], so neither a name from a server nor a symbolic link leads out of the
// directory.
//
// # Snapshots
//
// A snapshot is replaced atomically and durably: after a crash or power loss at any moment,
// the old or the new one exists. Its first line has its type and a SHA-256 of the rest, and
// its second line is a JSON header. The raw content follows, so "tail -n +3" shows it. The
// header names the key, the slot and the store, so that a file copied from elsewhere is
// refused. A damaged file is renamed to *.corrupt, reported once and never used.
//
// # Overrides
//
// Write an override elsewhere in the same file system and rename it into place, so that it
// is never seen half-written. A file that is edited in place is read only once it has not
// changed for half a second. Files that everybody may write are refused (see
// [WithWorldWritable]), and so are files larger than [MaxOverride].
//
// An override has the type that was published for the key. An override that cannot be read,
// is empty or has no value in that type changes nothing: the previous content stays in
// force, or the server's if there was none. To end an override, remove the file.
//
// Dir detects changes by the system's file notifications. A rescan every 2 s finds changes
// without a notification, as on network file systems. Every 30 s a rescan also finds changes
// that kept size and time.
//
// A file or directory that hangs, as on a network file system whose server is down, delays
// the others as described at [Dir.WatchOverrides]. Its overrides stay unchanged, and a change
// is reported once it can be read; until then the log says "overrides cannot be looked at".
// If four names in one directory hang, the others in it wait for them. A client continues
// without a file that hangs; see [diamond.LocalFiles].
//
// Symbolic links are followed if they stay inside the directory given to [Open], as those of
// a Kubernetes ConfigMap do when it is mounted at overrides or below. Names that begin with
// two dots belong to such mounts and are never overrides. Other names that are not valid in
// keys are ignored with a warning. If the file system treats "A" and "a" as the same name, so
// do overrides. On Windows, keys with ":", with a dot at the end of a part or with the name of
// a device, such as "con" or "com1.yaml", cannot be overridden.
//
// # Several processes
//
// Processes may share a directory: no file is ever half-written, and the last writer of a
// snapshot wins. They must be clients of the same store. Processes that create the directory
// at the same moment may have different client ids until they restart.
package localfile
