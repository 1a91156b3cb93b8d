package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// accepted checks that a command runs with a command line and an environment,
// each variable of which is a setting of it. It returns the settings.
func accepted(t *testing.T, line []string, env map[string]string) map[string][2]string {
	t.Helper()
	var vars []string
	for name, value := range env {
		vars = append(vars, name+"="+value)
	}
	settings := printed(t, vars, line...)
	for name := range env {
		origin := "environment variable " + name
		assert.True(t, slices.ContainsFunc(slices.Collect(maps.Values(settings)), func(s [2]string) bool { return s[1] == origin }),
			"%s has no setting for %s", line[0], name)
	}
	return settings
}

// imageCommand returns what the image runs where nothing else is said.
func imageCommand(t *testing.T) (line []string) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(readFile(t, "../../Dockerfile"))
	require.NotNil(t, m)
	require.NoError(t, json.Unmarshal([]byte(m[1]), &line))
	return line
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

func TestDeploy_Image(t *testing.T) {
	accepted(t, imageCommand(t), nil)
	_, image, _ := strings.Cut(readFile(t, "../../Dockerfile"), "\nFROM scratch\n")
	assert.Contains(t, image, "\nCOPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/\n",
		"nothing that is reached over TLS can be verified without")
}

// What is no part of the source may be secret, and not to be read by who builds.
func TestDeploy_BuildContext(t *testing.T) {
	ignored := strings.Split(readFile(t, "../../.dockerignore"), "\n")
	for _, pattern := range ignored {
		assert.False(t, strings.HasPrefix(pattern, "!"), "%s: has ignored directories be looked into", pattern)
	}
	for line := range strings.Lines(readFile(t, "../../.gitignore")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		// Here a pattern without a slash before its end is for all directories, there for the first.
		pattern := strings.Trim(line, "/")
		if !strings.Contains(strings.TrimSuffix(line, "/"), "/") {
			pattern = "**/" + pattern
		}
		assert.Contains(t, ignored, pattern, "%s of .gitignore", line)
	}
	var file struct {
		Secrets map[string]struct{ File string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, "../../compose.cluster.yaml")), &file))
	require.NotEmpty(t, file.Secrets)
	for name, secret := range file.Secrets {
		dir, _, _ := strings.Cut(strings.TrimPrefix(secret.File, "./"), "/")
		assert.Contains(t, ignored, dir, name)
	}
}

// composeService is what the tests ask of a service.
type composeService struct {
	Build       string
	Image       string
	PullPolicy  string `yaml:"pull_policy"`
	Command     []string
	Environment map[string]string
	Secrets     []string
	DependsOn   map[string]any `yaml:"depends_on"`
}

func composeServices(t *testing.T, name string) map[string]composeService {
	t.Helper()
	var file struct{ Services map[string]composeService }
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, "../../"+name)), &file))
	return file.Services
}

func TestDeploy_Compose(t *testing.T) {
	for name, want := range map[string]int{"compose.yaml": 1, "compose.cluster.yaml": 5} {
		ours := 0
		for service, s := range composeServices(t, name) {
			if s.Build == "" && s.Image != "gdiamond" {
				continue
			}
			ours++
			line := s.Command
			if line == nil {
				line = imageCommand(t)
			}
			settings := accepted(t, line, s.Environment)
			for setting, value := range settings {
				if secret, ok := strings.CutPrefix(value[0], "/run/secrets/"); ok {
					assert.Contains(t, s.Secrets, secret, "%s: %s: %s", name, service, setting)
				}
			}
			if host, _, _ := strings.Cut(settings["advertise"][0], ":"); name == "compose.cluster.yaml" && line[0] == "server" {
				assert.Equal(t, service, host, "a server is reached by the name of its service")
				assert.Equal(t, host, settings["allowed-host"][0])
			}
		}
		assert.Equal(t, want, ours, "%s: the program's services", name)
	}
}

// The image is built once, for all services that run it, whichever is started first.
func TestDeploy_ComposeBuildsOnce(t *testing.T) {
	services := composeServices(t, "compose.cluster.yaml")
	var builders []string
	for service, s := range services {
		if s.Build != "" {
			builders = append(builders, service)
		}
	}
	require.Len(t, builders, 1, "several builds of one image fail: it exists already")
	builder := services[builders[0]]
	require.NotEmpty(t, builder.Image)
	assert.Equal(t, "build", builder.PullPolicy, "nobody else's image of that name")
	for service, s := range services {
		if service == builders[0] || s.Image != builder.Image {
			continue
		}
		assert.Equal(t, "never", s.PullPolicy, "%s: nobody else's image of that name", service)
		assert.Contains(t, s.DependsOn, builders[0], "%s: alone it is started without an image", service)
	}
}

// unitSettings returns the values of each setting of a unit, by section and name.
func unitSettings(t *testing.T, unit string) map[string][]string {
	t.Helper()
	settings := map[string][]string{}
	section := ""
	for line := range strings.Lines(readFile(t, unit)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && line[0] != '#' {
			settings[section+name] = append(settings[section+name], value)
		} else if strings.HasPrefix(line, "[") {
			section = line
		}
	}
	return settings
}

// The service is a user that owns no file: it reads only what it is handed.
func TestDeploy_Systemd(t *testing.T) {
	const handed = "${CREDENTIALS_DIRECTORY}/"
	_, docs, _ := strings.Cut(readFile(t, "../../docs/operations.md"), "\n### With systemd\n")
	docs, _, _ = strings.Cut(docs, "\n### ")
	units, err := filepath.Glob("../../deploy/systemd/*.service")
	require.NoError(t, err)
	require.Len(t, units, 2)
	for _, unit := range units {
		settings := unitSettings(t, unit)
		assert.Equal(t, []string{"always"}, settings["[Service]Restart"], unit)
		assert.Equal(t, []string{"0"}, settings["[Unit]StartLimitIntervalSec"], "%s: always, not five times", unit)
		assert.Equal(t, []string{"yes"}, settings["[Service]DynamicUser"], unit)

		credentials := t.TempDir()
		for _, c := range settings["[Service]LoadCredential"] {
			name, source, _ := strings.Cut(c, ":")
			assert.Equal(t, "/etc/gdiamond/"+name, source, unit)
			assert.Contains(t, docs, "`"+name+"`", "%s needs it", unit)
			content := "of " + name
			if name == "gdiamond.yaml" {
				content = readFile(t, "../../deploy/systemd/gdiamond.yaml")
			}
			require.NoError(t, os.WriteFile(filepath.Join(credentials, name), []byte(content), 0o600))
		}

		require.Len(t, settings["[Service]ExecStart"], 1, unit)
		line := strings.Fields(settings["[Service]ExecStart"][0])[1:]
		for i, arg := range line {
			name, ok := strings.CutPrefix(arg, handed)
			assert.True(t, ok || !strings.Contains(arg, "/"), "%s: %s is not the service's to read", unit, arg)
			if ok {
				line[i] = filepath.Join(credentials, name)
			}
		}
		files := 0
		for setting, value := range accepted(t, line, nil) {
			if !strings.HasSuffix(setting, "-file") || value[0] == "" {
				continue
			}
			files++
			dir, name := filepath.Split(value[0])
			assert.Equal(t, "/run/credentials/"+filepath.Base(unit)+"/", dir, setting)
			assert.FileExists(t, filepath.Join(credentials, name), "%s: %s is not handed over", unit, setting)
		}
		assert.NotZero(t, files)
	}
}
