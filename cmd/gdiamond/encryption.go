package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/tlsfile"
)

// clientAuth is the value of --tls-client-auth.
type clientAuth string

// The values of --tls-client-auth.
const (
	authOptional clientAuth = "optional"
	authRequired clientAuth = "required"
)

// Set implements pflag.Value.
func (a *clientAuth) Set(value string) error {
	if v := clientAuth(value); v != authOptional && v != authRequired {
		return fmt.Errorf("%q is neither %s nor %s", value, authOptional, authRequired)
	}
	*a = clientAuth(value)
	return nil
}

// String implements pflag.Value.
func (a *clientAuth) String() string { return string(*a) }

// Type implements pflag.Value.
func (a *clientAuth) Type() string { return "mode" }

// encryption has the flags of listeners with TLS.
type encryption struct {
	cert, key, clientCA string
	clientAuth          clientAuth
}

func (e *encryption) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&e.cert, "tls-cert", "", "`FILE` with the certificate for TLS, in PEM, with intermediate ones; may be replaced at any time (default: plain HTTP)")
	f.StringVar(&e.key, "tls-key", "", "`FILE` with the key of --tls-cert, in PEM")
	f.StringVar(&e.clientCA, "tls-client-ca", "", "`FILE` with the authorities of client certificates, in PEM")
	f.Var(&e.clientAuth, "tls-client-auth", "optional or required: whether clients must show a certificate (default "+string(authOptional)+", with --tls-client-ca)")
}

// given reports whether the listeners speak TLS.
func (e *encryption) given() bool { return e.cert != "" }

// check refuses incomplete flags: the listener would have less protection than was meant.
func (e *encryption) check() error {
	switch {
	case (e.cert == "") != (e.key == ""):
		return usageError{errors.New("tls-cert: give both --tls-cert and --tls-key, or none of them")}
	case e.cert == "" && e.clientCA != "":
		return usageError{errors.New("tls-client-ca: needs --tls-cert")}
	case e.clientCA == "" && e.clientAuth != "":
		return usageError{errors.New("tls-client-auth: needs --tls-client-ca")}
	}
	return nil
}

// open reads the files, or returns nil if no flag is given.
func (e *encryption) open(logger *slog.Logger) (*tlsfile.Server, error) {
	if !e.given() {
		return nil, nil
	}
	auth := tlsfile.NoClientCert
	switch {
	case e.clientAuth == authRequired:
		auth = tlsfile.RequiredClientCert
	case e.clientCA != "":
		auth = tlsfile.OptionalClientCert
	}
	return tlsfile.NewServer(tlsfile.Files{Cert: e.cert, Key: e.key, CA: e.clientCA}, auth, tlsfile.WithLogger(logger))
}

// scheme returns that of the URLs of the listeners.
func (e *encryption) scheme() string {
	if e.given() {
		return "https"
	}
	return "http"
}

// address returns hostPort as clients give it to --server.
func (e *encryption) address(hostPort string) string {
	if e.given() {
		return "https://" + hostPort
	}
	return hostPort
}

// callers returns a client for other servers and name servers, or nil if no flag but the
// system's authorities says whom to trust. It shows the certificate of the listener, if any.
func (e *encryption) callers(ca string, logger *slog.Logger) (*http.Client, error) {
	files := tlsfile.Files{Cert: e.cert, Key: e.key, CA: ca}
	if files == (tlsfile.Files{}) {
		return nil, nil
	}
	certs, err := tlsfile.NewClient(files, tlsfile.WithName("certificate for other servers"), tlsfile.WithLogger(logger))
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: time.Second, KeepAlive: 15 * time.Second}).DialContext,
		DialTLSContext:         certs.DialTLS,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}}, nil
}
