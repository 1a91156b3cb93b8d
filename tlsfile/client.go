package tlsfile

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Client has the TLS configuration of connections to servers. A server's certificate is always
// verified, with the name by which the server is called.
type Client struct{ watched }

// NewClient reads the files of a client. With CA, servers must have a certificate of one of
// its authorities, and otherwise of one that the system trusts. With Cert and Key, the client
// shows that certificate to servers that ask for one; it must be valid for clients.
//
// Errors wrap ErrInvalid if no file is given, or if the files can be read but not used, as
// those of [NewServer] do.
func NewClient(files Files, opts ...Option) (*Client, error) {
	if files == (Files{}) {
		return nil, conf.Errorf(conf.ErrInvalid, "certificates: no file is given")
	}
	c := &Client{watched{files: files, settings: newSettings(opts)}}
	c.build = func(found *content) *tls.Config {
		config := &tls.Config{MinVersion: c.settings.minVersion, RootCAs: found.authorities}
		if found.certificate != nil {
			config.Certificates = []tls.Certificate{*found.certificate}
		}
		return config
	}
	if err := c.open(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config returns the configuration of the files as they are now, which must not be changed.
// It is the same one until the files change.
func (c *Client) Config() *tls.Config { return c.now().config }

// DialTLS connects to addr, and shakes hands within five seconds, with the configuration of
// the files as they are now. It is a DialTLSContext of [net/http.Transport].
func (c *Client) DialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second},
		Config:    c.now().config,
	}
	return dialer.DialContext(ctx, network, addr)
}

// dialTimeout is the time for a connection with its handshake.
const dialTimeout = 5 * time.Second

// Expires returns when the client's certificate expires that is in use now, or zero if it has
// none.
func (c *Client) Expires() time.Time { return c.expires() }
