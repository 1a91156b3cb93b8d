package tlsfile

import (
	"crypto/tls"
	"sync"
	"time"
)

// lookEvery is the shortest interval between two reads of the files.
const lookEvery = time.Second

// watched is a TLS configuration of files that may be replaced.
type watched struct {
	files    Files
	settings settings
	build    func(*content) *tls.Config

	mu      sync.Mutex
	used    *content    // guarded by mu
	config  *tls.Config // guarded by mu: built from used; never changed
	looked  time.Time   // guarded by mu: time of the last read of the files
	failing string      // guarded by mu: the error of that read
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
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked = time.Now()
	w.use(found, "read")
	return nil
}

// now returns the configuration of the files or, if these are not valid, that of the last
// valid ones. It is the same one until the files change.
func (w *watched) now() *tls.Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	return w.config
}

// expires returns when the certificate expires, or zero if there is none.
func (w *watched) expires() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	if w.used.certificate == nil {
		return time.Time{}
	}
	return w.used.certificate.Leaf.NotAfter
}

// look reads the files again if that is due. w.mu is held.
func (w *watched) look() {
	if time.Since(w.looked) < lookEvery {
		return
	}
	w.looked = time.Now()
	found, err := w.files.read(w.used)
	switch {
	case err != nil && err.Error() != w.failing:
		w.failing = err.Error()
		w.settings.logger.Warn(w.settings.name+" cannot be replaced; the one before is used", "error", err)
	case err == nil:
		w.failing = ""
		if found != w.used {
			w.use(found, "replaced")
		}
	}
}

// use makes c the content that is used from now on, and logs that. w.mu is held.
func (w *watched) use(c *content, how string) {
	w.used, w.config = c, w.build(c)
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
