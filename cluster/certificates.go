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
	// lookEvery is the shortest interval between two reads of the certificate files.
	lookEvery = time.Second
	// dialTimeout is the time for a connection with its handshake.
	dialTimeout = 5 * time.Second
)

// Certificates are the certificate of a member and the authorities that members trust, read
// from files, for TLS with a certificate at both ends. The files may be replaced at any time.
// They are read again for new connections, at most once a second. While the files do not
// match, for example because only one of them is new, the previous ones stay in use.
//
// Certificates are safe for concurrent use, start no goroutines and need no closing.
type Certificates struct {
	files  CertificateFiles
	logger *slog.Logger

	mu      sync.Mutex
	used    *credentials // guarded by mu
	looked  time.Time    // guarded by mu; time of the last read of the files
	failing string       // guarded by mu; the error of that read
}

// ReadCertificates reads certificates from files. The logger, which may be nil, is told about
// replaced files, and about a certificate that no peer will accept, such as an expired one.
// That is not an error, because a server does not need peers.
//
// Errors wrap ErrInvalid if the files can be read but not used: everybody on the machine may
// read the key, the key does not belong to the certificate, or a file has the wrong content.
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

// ServerConfig returns the configuration of a listener for members only. It requires TLS 1.3
// and a client certificate from one of the authorities.
func (c *Certificates) ServerConfig() *tls.Config {
	config := c.now().server.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now().server, nil }
	return config
}

// Transport returns a transport for https requests to other members. It presents the
// certificate, accepts only a certificate of the authorities for the requested host, and
// uses no proxy.
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

// now returns the credentials in the files or, if these are not valid, the last valid ones.
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

// tell logs the certificate that is used from now on. c.mu is held, or c is new.
func (c *Certificates) tell(what string) {
	leaf := c.used.leaf
	c.logger.Info(what, "serial", leaf.SerialNumber.Text(16), "until", leaf.NotAfter.UTC().Format(time.RFC3339))
	if err := c.used.flaw(); err != nil {
		c.logger.Warn("no peer will take the certificate", "error", err)
	}
}
