package cluster

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// lookEvery is how often the files of certificates are read at most.
	lookEvery = time.Second
	// dialTimeout is how long a connection may take, with its handshake.
	dialTimeout = 5 * time.Second
)

// Certificates are the certificate of a member and those whom the members trust
// to issue theirs, as files have them: for peers with TLS at both ends. Files may
// be replaced while they are used. They are looked at for each new connection,
// once a second at most; files that do not belong together, as when only one of
// them is new, leave what was read before as it was.
//
// Certificates are safe for concurrent use, start nothing and need no closing.
type Certificates struct {
	files  CertificateFiles
	logger *slog.Logger

	mu      sync.Mutex
	used    *credentials // guarded by mu
	looked  time.Time    // guarded by mu; when the files were read last
	failing string       // guarded by mu; why they could not be used then
}

// ReadCertificates reads certificates from files. A nil logger logs nowhere;
// what becomes of files that are replaced is told to it, and when a certificate
// is one that no peer will take, such as one that has expired: that is no error,
// as peers are not needed to serve.
//
// Errors wrap ErrInvalid where the files can be read but not be used: everybody
// on the machine may read the key, it is not that of the certificate, or a file
// does not hold what it should.
func ReadCertificates(files CertificateFiles, logger *slog.Logger) (*Certificates, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	used, err := files.read(nil)
	if err != nil {
		return nil, err
	}
	c := &Certificates{files: files, logger: logger, used: used, looked: time.Now()}
	c.tell("certificate for peers read")
	return c, nil
}

// ServerConfig returns what a listener for members alone is configured with: TLS
// 1.3, and a certificate of each client that the authorities have issued.
func (c *Certificates) ServerConfig() *tls.Config {
	config := c.now().server.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now().server, nil }
	return config
}

// Transport returns what https requests to other members are made with. It shows
// them the certificate, takes only one of theirs that the authorities have issued
// for the host that is asked, and goes through no proxy.
func (c *Certificates) Transport() *http.Transport {
	return &http.Transport{
		DialTLSContext:         c.dial,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func (c *Certificates) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second},
		Config:    c.now().client,
	}
	return dialer.DialContext(ctx, network, addr)
}

// now returns what the files have, or had when they last were good.
func (c *Certificates) now() *credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.used
	}
	c.looked = time.Now()
	found, err := c.files.read(c.used)
	switch {
	case err != nil && err.Error() != c.failing:
		c.failing = err.Error()
		c.logger.Warn("certificate for peers cannot be replaced; the one before is used", "error", err)
	case err == nil:
		c.failing = ""
		if found != c.used {
			c.used = found
			c.tell("certificate for peers replaced")
		}
	}
	return c.used
}

// tell logs what is used from now on. c.mu is held, or c is new.
func (c *Certificates) tell(what string) {
	leaf := c.used.leaf
	c.logger.Info(what, "serial", leaf.SerialNumber.Text(16), "until", leaf.NotAfter.UTC().Format(time.RFC3339))
	if err := c.used.flaw(); err != nil {
		c.logger.Warn("no peer will take the certificate", "error", err)
	}
}
