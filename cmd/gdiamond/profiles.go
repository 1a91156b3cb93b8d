package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/atomicfile"
	"github.com/linnaname/gdiamond/internal/document"
	"github.com/linnaname/gdiamond/internal/privatefile"
	"github.com/linnaname/gdiamond/tlsfile"
)

// profilesName is the file of the profiles in the user's directory for settings.
const profilesName = "profiles.yaml"

// maxProfiles is the largest file of profiles that is read, in bytes.
const maxProfiles = 1 << 20

// profile says which servers a client command asks, and who asks.
type profile struct {
	Servers     []string `yaml:"server,omitempty"`
	NameServers []string `yaml:"namesrv,omitempty"`
	Token       string   `yaml:"token,omitempty"`
	TLSCA       string   `yaml:"tls-ca,omitempty"`
	TLSCert     string   `yaml:"tls-cert,omitempty"`
	TLSKey      string   `yaml:"tls-key,omitempty"`
}

// tls returns the files for TLS.
func (p *profile) tls() tlsfile.Files {
	return tlsfile.Files{Cert: p.TLSCert, Key: p.TLSKey, CA: p.TLSCA}
}

// profiles are those of a user, by name.
type profiles struct {
	// Current is the profile of commands that name none, or "".
	Current  string             `yaml:"current,omitempty"`
	Profiles map[string]profile `yaml:"profiles"`
}

// profilesDir returns the directory of the file of profiles.
func profilesDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("profile: %w", err)
	}
	return filepath.Join(dir, "gdiamond"), nil
}

// readProfiles returns the user's profiles. Where there is no file of them, or no
// directory for one, there are none. It refuses a file that everybody may read.
func readProfiles() (*profiles, error) {
	none := &profiles{Profiles: map[string]profile{}}
	dir, err := profilesDir()
	if err != nil {
		return none, nil // such as a container without a home
	}
	name := filepath.Join(dir, profilesName)
	data, err := readPrivate(name, maxProfiles)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	// Its errors quote nothing of the file, which has secrets.
	if _, err := document.Parse("yaml", data); err != nil && !errors.Is(err, document.ErrNothing) {
		return nil, fmt.Errorf("profile: %s: %w", name, err)
	}
	var p profiles
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("profile: %s is not a file of profiles: %w", name, withoutValues(err))
	}
	if p.Profiles == nil {
		p.Profiles = map[string]profile{}
	}
	return &p, nil
}

// write replaces the user's file of profiles, which only the user may read.
func (p *profiles) write() error {
	dir, err := profilesDir()
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer root.Close()
	if err := atomicfile.Write(root, profilesName, data, 0o600); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}

// named returns the profile of that name, or a usage error.
func (p *profiles) named(name string) (profile, error) {
	found, ok := p.Profiles[name]
	if !ok {
		return profile{}, usageError{fmt.Errorf("profile: there is no profile %s; `gdiamond login --profile NAME` makes one, and `gdiamond profile ls` lists them", conf.Clip(name))}
	}
	return found, nil
}

// names returns the names of the profiles in order.
func (p *profiles) names() []string { return slices.Sorted(maps.Keys(p.Profiles)) }

// checkProfileName refuses a name that no profile may have.
func checkProfileName(name string) error {
	if err := (conf.Key{DataID: name}).Validate(); err != nil || len(name) > 64 {
		return usageError{fmt.Errorf("profile: %s is not 1 to 64 bytes of A-Z a-z 0-9 . _ : -", conf.Clip(name))}
	}
	return nil
}

// readPrivate reads a file with a secret of at most limit bytes. It refuses a file that
// everybody on the machine may read, and one that is not a regular file.
func readPrivate(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if err := privatefile.Check(info); err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return data, err
}
