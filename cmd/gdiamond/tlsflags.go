package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/tlsfile"
)

// tlsFlags declares the flags of a client of https servers.
func tlsFlags(f *pflag.FlagSet, files *tlsfile.Files) {
	f.StringVar(&files.CA, "tls-ca", "", "`FILE` with the authorities of the certificates of https servers and name servers, in PEM (default those of the system)")
	f.StringVar(&files.Cert, "tls-cert", "", "`FILE` with a certificate that proves to https servers who asks, in PEM")
	f.StringVar(&files.Key, "tls-key", "", "`FILE` with the key of --tls-cert, in PEM")
}

// keepTLS makes the paths of a login's files absolute, because later commands run elsewhere.
func (p *profile) keepTLS(files tlsfile.Files) (err error) {
	for _, path := range []*string{&files.CA, &files.Cert, &files.Key} {
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return err
			}
		}
	}
	p.TLSCA, p.TLSCert, p.TLSKey = files.CA, files.Cert, files.Key
	return nil
}

// nameServers returns a client of name servers. With certificates, or if one of the name
// servers is called by https, servers without TLS are refused.
func nameServers(urls []string, certs *tlsfile.Client) (*namesrv.Client, error) {
	var opts []namesrv.ClientOption
	if certs != nil {
		opts = append(opts, namesrv.WithTLSSource(certs.Config))
	}
	if certs != nil || slices.ContainsFunc(urls, func(url string) bool { return strings.HasPrefix(strings.ToLower(url), "https://") }) {
		opts = append(opts, namesrv.WithOnlyTLS())
	}
	return namesrv.NewClient(urls, opts...)
}
