package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// oddContents are what a text-minded program would change on the way.
var oddContents = map[string]string{
	"plain":       "helloWorld",
	"newline":     "a\n",
	"no-newline":  "a\r\nb",
	"escapes":     `{"a":"\u0000\"\\\/ < > & 😀"}`,
	"percent":     "100%&x=1+1;%41%2B",
	"nul-bytes":   "a\x00b\x00",
	"not-utf8":    "\xd6\xd0\xce\xc4 GBK \xff\xfe",
	"bom":         "\xef\xbb\xbfkey=value",
	"white-start": " \n\tx \n ",
}

func TestS17_ByteExactness_CommandLine(t *testing.T) {
	d := standalone(t, t.TempDir())
	for name, content := range oddContents {
		t.Run(name, func(t *testing.T) {
			out := d.clientWith(content, "publish", name)
			require.Equal(t, exitOK, out.code, out.stderr)
			assert.Equal(t, content, d.must("get", name), "from the standard input")

			d.must("publish", "file/"+name, writeFile(t, content))
			assert.Equal(t, content, d.must("get", "file/"+name), "from a file")

			var entry entryOut
			require.NoError(t, json.Unmarshal([]byte(d.must("get", name, "-o", "json")), &entry))
			assert.Equal(t, content, contentOf(t, entry), "as JSON")
			entry = entryOut{}
			require.NoError(t, yaml.Unmarshal([]byte(d.must("get", name, "-o", "yaml")), &entry))
			assert.Equal(t, content, contentOf(t, entry), "as YAML")
		})
	}
}

func contentOf(t *testing.T, e entryOut) string {
	t.Helper()
	if e.ContentBase64 == nil {
		require.NotNil(t, e.Content)
		return *e.Content
	}
	assert.Nil(t, e.Content, "one of the two")
	b, err := base64.StdEncoding.DecodeString(*e.ContentBase64)
	require.NoError(t, err)
	return string(b)
}

func TestClient_VersionsOfAKey(t *testing.T) {
	d := standalone(t, t.TempDir())
	var first, second positionOut
	require.NoError(t, json.Unmarshal([]byte(d.must("publish", "app/db.yaml", writeFile(t, "a: 1"), "--if-revision", "0", "--comment", "first", "-o", "json")), &first))
	require.NoError(t, json.Unmarshal([]byte(d.must("publish", "app/db.yaml", writeFile(t, "a: 2"), "-o", "json")), &second))
	assert.Equal(t, first.Revision+1, second.Revision)

	assert.Equal(t, "a: 1", d.must("get", "app/db.yaml", "--revision", "1"))
	assert.Equal(t, "a: 2", d.must("get", "app/db.yaml"))
	d.must("rm", "app/db.yaml", "--if-revision", "2")
	assert.Equal(t, exitNotFound, d.client("get", "app/db.yaml").code)

	var changes []changeOut
	require.NoError(t, json.Unmarshal([]byte(d.must("history", "app/db.yaml", "-o", "json")), &changes))
	require.Len(t, changes, 3)
	assert.Equal(t, "delete", changes[0].Op)
	assert.Equal(t, "first", changes[2].Comment)
	assert.Equal(t, "yaml", changes[2].Type)
	require.NoError(t, json.Unmarshal([]byte(d.must("history", "app/db.yaml", "-o", "json", "--limit", "1")), &changes))
	assert.Len(t, changes, 1)
}

func TestClient_List(t *testing.T) {
	d := standalone(t, t.TempDir())
	var empty []entryOut
	require.NoError(t, json.Unmarshal([]byte(d.must("ls", "-o", "json")), &empty))
	assert.NotNil(t, empty, "an empty list is a list")

	for _, key := range []string{"a/one", "a/two", "b/one", "other/b/one"} {
		d.must("publish", key, writeFile(t, "x"))
	}
	list := func(args ...string) (keys []string) {
		var entries []entryOut
		require.NoError(t, json.Unmarshal([]byte(d.must(append([]string{"ls", "-o", "json"}, args...)...)), &entries))
		for _, e := range entries {
			keys = append(keys, e.Namespace+"/"+e.Group+"/"+e.DataID)
			assert.Nil(t, e.Content)
		}
		return keys
	}
	assert.Equal(t, []string{"public/a/one", "public/a/two", "public/b/one"}, list())
	assert.Equal(t, []string{"public/a/one", "public/b/one"}, list("one"))
	assert.Equal(t, []string{"public/a/two"}, list("t", "--group", "a"))
	assert.Equal(t, []string{"other/b/one"}, list("--namespace", "other"))

	lines := strings.Split(strings.TrimSpace(d.must("ls")), "\n")
	require.Len(t, lines, 4)
	assert.True(t, strings.HasPrefix(lines[0], "GROUP"))
}

// TestClient_Namespaces: a list and a watch mean the same by --namespace.
func TestClient_Namespaces(t *testing.T) {
	d := standalone(t, t.TempDir())
	for _, key := range []string{"g/k", "other/g/k", "Other/g/k", "g/end", "other/g/end", "Other/g/end"} {
		d.must("publish", key, writeFile(t, "x"))
	}
	for _, c := range []struct {
		namespace string
		want      []string
	}{
		{"", []string{"public"}},
		{"public", []string{"public"}},
		{"other", []string{"other"}},
		{"*", []string{"Other", "other", "public"}},
	} {
		var entries []entryOut
		require.NoError(t, json.Unmarshal([]byte(d.must("ls", "k", "-o", "json", "--namespace", c.namespace)), &entries))
		var listed, watched []string
		for _, e := range entries {
			listed = append(listed, e.Namespace)
		}
		assert.Equal(t, c.want, listed, c.namespace)

		lines, interrupt := d.watch("--namespace", c.namespace, "--from", "start")
		for ended := 0; ended < len(c.want); {
			if change := <-lines; change.DataID == "k" {
				watched = append(watched, change.Namespace)
			} else {
				ended++
			}
		}
		assert.Equal(t, exitOK, interrupt())
		assert.ElementsMatch(t, c.want, watched, c.namespace)
	}
	for _, namespace := range []string{"_sys", "*x"} {
		for _, command := range []string{"ls", "watch"} {
			out := d.client(command, "--namespace", namespace)
			assert.Equal(t, exitUsage, out.code, out.stderr)
			assert.Contains(t, out.stderr, "namespace: ")
		}
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"get", "k"}, {"publish", "k"}, {"rm", "k"}, {"history", "g/k"}, {"watch", "g/k"}, {"import", dir}, {"export", dir},
	} {
		out := d.client(append(args, "--namespace", "*")...)
		assert.Equal(t, exitUsage, out.code, args)
		assert.Contains(t, out.stderr, "stands for all namespaces", args)
	}
	assert.Equal(t, "x", d.must("get", "other/g/k"))
	assert.True(t, strings.HasPrefix(d.must("ls"), "GROUP"))
	lines := strings.Split(d.must("ls", "--namespace", "*"), "\n")
	assert.Equal(t, []string{"NAMESPACE", "GROUP"}, strings.Fields(lines[0])[:2])
	assert.Equal(t, []string{"Other", "g", "end"}, strings.Fields(lines[1])[:3])
	assert.Contains(t, invoke(t, "ls", "--help").stdout, "'*' for all")
}

// A watch prints what comes, resumes where it ended, and ends well when interrupted.
func TestClient_Watch(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "app/one", writeFile(t, "1"))

	lines, interrupt := d.watch("one", "--from", "start")
	change := <-lines
	assert.Equal(t, int64(1), change.Revision)
	require.NotEmpty(t, change.Position)
	position := change.Position

	d.must("publish", "app/two", writeFile(t, "2")) // not asked for
	d.must("publish", "app/one", writeFile(t, "3"))
	change = <-lines
	assert.Equal(t, int64(3), change.Revision)
	assert.Equal(t, "publish", change.Op)
	assert.Equal(t, exitOK, interrupt())

	d.must("rm", "app/one")
	lines, interrupt = d.watch("app/one", "--from", position)
	assert.Equal(t, int64(3), (<-lines).Revision, "no change is lost")
	assert.Equal(t, "delete", (<-lines).Op)
	assert.Equal(t, exitOK, interrupt())
}

// watch starts a watch and returns its changes, and what interrupts it.
func (d *daemon) watch(args ...string) (<-chan changeOut, func() int) {
	cmd := command(d.t.Context(), []string{"GDIAMOND_SERVER=" + strings.TrimPrefix(d.server, "http://")},
		append([]string{"watch", "-o", "json"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(d.t, err)
	stderr := new(lockedBuffer)
	cmd.Stderr = stderr
	require.NoError(d.t, cmd.Start())
	lines, done := make(chan changeOut, 100), make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			var change changeOut
			if json.Unmarshal(scanner.Bytes(), &change) == nil && change.Op != "position" {
				lines <- change
			}
		}
	}()
	return lines, func() int {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-done:
		case <-time.After(60 * time.Second):
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
		d.t.Log(stderr.String())
		return cmd.ProcessState.ExitCode()
	}
}

func TestVersion(t *testing.T) {
	out := invoke(t, "version")
	require.Equal(t, exitOK, out.code)
	assert.True(t, strings.HasPrefix(out.stdout, "gdiamond "), out.stdout)
	assert.Equal(t, out, invoke(t, "--version"))
	assert.Equal(t, out, invokeWith(t, "", []string{"GDIAMOND_VERSION=1.2.3"}, "version"))
	assert.Equal(t, exitOK, invokeWith(t, "", []string{"GDIAMOND_VERSION=1.2.3"}).code, "a variable of somebody else's")
	var b map[string]string
	require.NoError(t, json.Unmarshal([]byte(invoke(t, "version", "-o", "json").stdout), &b))
	assert.NotEmpty(t, b["goVersion"])
	assert.Contains(t, invoke(t, "completion", "bash").stdout, "gdiamond")
}
