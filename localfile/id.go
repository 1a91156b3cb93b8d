package localfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"

	"github.com/linnaname/gdiamond/internal/atomicfile"
)

// ClientID returns 32 hexadecimal digits that identify this directory. They were chosen at
// random when it was created.
func (d *Dir) ClientID() (string, error) {
	d.idMu.Lock()
	defer d.idMu.Unlock()
	if d.clientID != "" {
		return d.clientID, nil
	}
	err := d.in(true, func(root *os.Root) error {
		id, err := d.readID(root, clientIDFile)
		if err == nil && id == "" {
			if err = atomicfile.Write(root, clientIDFile, []byte(newID()+"\n"), fileMode); err == nil {
				id, err = d.readID(root, clientIDFile) // another process may have replaced it
			}
		}
		d.clientID = id
		return err
	})
	return d.clientID, fileError("client id", err)
}

func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// readID returns the id in the file name, or "" if there is none. It sets a damaged file
// aside.
func (d *Dir) readID(root *os.Root, name string) (string, error) {
	b, err := atomicfile.Read(root, name, 64)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil && !unusable(err) {
		return "", err
	}
	if id, ok := parseID(b); ok && err == nil {
		return id, nil
	}
	return "", d.setAside(root, name, "it is not an id")
}

func parseID(b []byte) (string, bool) {
	if len(b) == 33 && b[32] == '\n' {
		b = b[:32]
	}
	id, err := hex.DecodeString(string(b))
	return hex.EncodeToString(id), err == nil && len(id) == 16
}
