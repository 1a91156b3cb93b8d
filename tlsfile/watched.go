package tlsfile

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is the shortest interval between two reads of the files.
const lookEvery = time.Second

// watched is a TLS configuration of files that may be replaced.
type watched struct {
	files    Files
	settings settings
	build    func(*content) *tls.Config

	used atomic.Pointer[inUse]

	reading sync.Mutex // held while the files are read
	looked  time.Time  // guarded by reading: time of the last read of the files
	failing string     // guarded by reading: the error of that read
}

// inUse is a content with the configuration that was built from it. It is immutable.
type inUse struct {
	*content
	config *tls.Config
}

// open reads the files for the first time.
func (w *watched) open() error {
	if err := w.files.check(); err != nil {
		return err
	}
	found, err := w.files.read(nil)
	if err != nil {
		return err
	}
	w.looked = time.Now()
	w.use(found, "read")
	return nil
}

// now returns what is in the files or, if these are not valid, what the last valid ones had. It
// is the same until the files change. While one caller reads the files, which may hang, the
// others go on with what there is.
func (w *watched) now() *inUse {
	if w.reading.TryLock() {
		w.look()
		w.reading.Unlock()
	}
	return w.used.Load()
}

// expires returns when the certificate expires, or zero if there is none.
func (w *watched) expires() time.Time {
	if c := w.now().certificate; c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// look reads the files again if that is due. w.reading is held.
func (w *watched) look() {
	if time.Since(w.looked) < lookEvery {
		return
	}
	w.looked = time.Now()
	used := w.used.Load().content
	found, err := w.files.read(used)
	switch {
	case err != nil && err.Error() != w.failing:
		w.failing = err.Error()
		w.settings.logger.Warn(w.settings.name+" cannot be replaced; the one before is used", "error", err)
	case err == nil:
		w.failing = ""
		if found != used {
			w.use(found, "replaced")
		}
	}
}

// use makes c the content that is used from now on, and logs that.
func (w *watched) use(c *content, how string) {
	w.used.Store(&inUse{c, w.build(c)})
	log := w.settings.logger
	if c.certificate == nil {
		log.Info("certificate authority "+how, "file", w.files.CA)
		return
	}
	leaf := c.certificate.Leaf
	log.Info(w.settings.name+" "+how, "serial", leaf.SerialNumber.Text(16), "until", leaf.NotAfter.UTC().Format(time.RFC3339))
	if err := w.settings.check(*c.certificate, c.authorities); err != nil {
		log.Warn(w.settings.name+" is refused by others", "error", err)
	}
}
