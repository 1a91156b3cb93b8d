package boltstore

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// failSyncs has the kernel refuse every sync of a file by this process, from now
// on: with EIO, as a disk does that cannot keep what it was given.
func failSyncs(t *testing.T) {
	t.Helper()
	calls := []uintptr{syscall.SYS_FDATASYNC, syscall.SYS_FSYNC, syscall.SYS_MSYNC, syscall.SYS_SYNC_FILE_RANGE}
	filter := []syscall.SockFilter{load(0)} // the number of the call
	for i, n := range calls {
		filter = append(filter, jumpIfEqual(n, len(calls)-i, 0))
	}
	failCalls(t, filter)
}

// failReadOnlyOpens has the kernel refuse to open a file for reading alone, from now
// on. A directory cannot be opened otherwise, so none can be synced.
func failReadOnlyOpens(t *testing.T) {
	t.Helper()
	const flags = 16 + 2*8 // the third argument, on processors with the low half first
	failCalls(t, []syscall.SockFilter{
		load(0),
		jumpIfEqual(syscall.SYS_OPENAT, 0, 3),
		load(flags),
		{Code: syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K, K: syscall.O_ACCMODE},
		jumpIfEqual(syscall.O_RDONLY, 1, 0),
	})
}

// load is an instruction of a filter: it loads a word of what is known of a call.
func load(offset uint32) syscall.SockFilter {
	return syscall.SockFilter{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offset}
}

// jumpIfEqual is an instruction of a filter: it skips some of those that follow.
func jumpIfEqual(word uintptr, skip, skipElse int) syscall.SockFilter {
	return syscall.SockFilter{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: uint32(word), Jt: uint8(skip), Jf: uint8(skipElse)}
}

// failCalls has the kernel decide by filter, from now on, about the calls of this
// process. After filter come two instructions: the first lets a call pass, and the
// second has it fail.
func failCalls(t *testing.T, filter []syscall.SockFilter) {
	t.Helper()
	const (
		setNoNewPrivileges = 38   // of prctl
		setFilter, allOf   = 1, 1 // of seccomp: a filter, for all threads
		allow, fail        = 0x7fff0000, 0x00050000 | uint32(syscall.EIO)
	)
	number, known := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]
	if !known {
		t.Skip("the number of seccomp is not known here")
	}
	filter = append(filter, syscall.SockFilter{Code: syscall.BPF_RET, K: allow}, syscall.SockFilter{Code: syscall.BPF_RET, K: fail})
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0)
	require.Zero(t, e)
	_, _, e = syscall.RawSyscall(number, setFilter, allOf, uintptr(unsafe.Pointer(&program)))
	require.Zero(t, e, "seccomp: %v", e)
}

// syncRoles are what children do that cannot sync any more from some moment on.
func syncRoles() map[string]func(t *testing.T, dir string) {
	isError := func(t *testing.T, err error) {
		t.Helper()
		require.Error(t, err, "nothing may be said to be done that is not synced")
	}
	return map[string]func(t *testing.T, dir string){
		// The pages of a commit are synced before the one that makes them valid is written.
		"pages": func(t *testing.T, dir string) {
			s := open(t, dir)
			pages, metas := 0, 0
			intercept(t, s, func(real writeAt) writeAt {
				return func(b []byte, offset int64) (int, error) {
					if metaWrite(s, offset) {
						metas++
					} else {
						pages++
					}
					return real(b, offset)
				}
			})
			failSyncs(t)
			_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "new")})
			isError(t, err)
			require.NotErrorIs(t, err, conf.ErrUnknownOutcome, "it is certain that nothing was done")
			require.NotZero(t, pages)
			require.Zero(t, metas)
		},
		// That one is synced before the commit is acknowledged.
		"meta": func(t *testing.T, dir string) {
			s := open(t, dir)
			intercept(t, s, func(real writeAt) writeAt {
				return func(b []byte, offset int64) (int, error) {
					if metaWrite(s, offset) {
						failSyncs(t)
					}
					return real(b, offset)
				}
			})
			_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "new")})
			require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		},
		"replica": func(t *testing.T, dir string) {
			s, from := open(t, dir), open(t, filepath.Join(dir, "from"))
			at := commit(t, from, put("a", "x"))
			batch, err := from.Changes(t.Context(), conf.Position{}, 1<<20)
			require.NoError(t, err)
			failSyncs(t)
			isError(t, s.Apply(t.Context(), batch.Changes, at))
			isError(t, s.Install(t.Context(), at, func(func(conf.Entry, error) bool) {}))
		},
		"new": func(t *testing.T, dir string) {
			failSyncs(t)
			_, err := Open(filepath.Join(dir, "new"))
			isError(t, err)
		},
		"restore": func(t *testing.T, dir string) {
			s := open(t, dir)
			var backup bytes.Buffer
			require.NoError(t, s.Backup(t.Context(), &backup))
			failSyncs(t)
			_, err := Restore(t.Context(), filepath.Join(dir, "restored"), &backup)
			isError(t, err)
		},
		"compact": func(t *testing.T, dir string) {
			failSyncs(t)
			_, _, err := Compact(t.Context(), dir)
			isError(t, err)
		},
		// A file takes its name once its bytes are synced.
		"file": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "file")
			require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
			isError(t, replace(path, true, func(temp string) error {
				failSyncs(t)
				return os.WriteFile(temp, []byte("new"), 0o600)
			}))
			have, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "old", string(have))
		},
		// That it has its name is said once the directory is synced.
		"name": func(t *testing.T, dir string) {
			isError(t, replace(filepath.Join(dir, "file"), false, func(string) error {
				failReadOnlyOpens(t)
				return nil
			}))
		},
		"directory": func(t *testing.T, dir string) {
			failSyncs(t)
			isError(t, syncDir(dir))
		},
	}
}

// S21: what is said to be done is synced, and in the order on which the file's
// soundness rests: a process whose syncs fail reports no success. The images of
// disks that [TestS21_PowerLoss] makes rest on this.
func TestS21_NothingIsDoneThatIsNotSynced(t *testing.T) {
	roles := syncRoles()
	if role, dir := role(); role != "" {
		roles[role](t, dir)
		return
	}
	for role := range roles {
		t.Run(role, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if role != "replica" {
				commit(t, s, put("a", "old"))
			}
			require.NoError(t, s.Close())
			c := child(t, "TestS21_NothingIsDoneThatIsNotSynced", role, dir)
			out, err := c.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
