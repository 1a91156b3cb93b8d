package server

import (
	"net/url"

	"github.com/linnaname/gdiamond/conf"
)

// externalHost returns the host of the URL of [WithExternalURL], or "" without one. Errors wrap
// ErrInvalid.
func (c *config) externalHost() (string, error) {
	if c.external == nil {
		return "", nil
	}
	u, err := url.Parse(*c.external)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "",
		u.User != nil, u.RawQuery != "" || u.ForceQuery, u.Fragment != "":
		return "", conf.Errorf(conf.ErrInvalid, "external URL: is not an http or https URL with a host")
	}
	return u.Hostname(), nil
}
