package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	diamond "github.com/linnaname/gdiamond"
)

// manifestName is the file of a tree that records what its other files cannot. It has
// lines of JSON: first a manifestHeader, then a manifestLine for each file.
const manifestName = ".gdiamond.jsonl"

// manifestVersion is the version of the manifest's form.
const manifestVersion = 1

// maxManifestLine limits a line: a key, 16 pairs of metadata and their quotes.
const maxManifestLine = 128 << 10

type manifestHeader struct {
	Version   int    `json:"gdiamondExport"`
	Namespace string `json:"namespace"` // of the exported keys
}

// manifestLine describes one file.
type manifestLine struct {
	File   string            `json:"file"` // path within the tree
	Group  string            `json:"group"`
	DataID string            `json:"dataId"`
	Type   string            `json:"type,omitempty"`
	Meta   map[string]string `json:"meta,omitempty"`
	Blank  bool              `json:"blank,omitempty"` // the content is blank on purpose
}

// manifestWriter writes a manifest line by line.
type manifestWriter struct {
	file *os.File
	enc  *json.Encoder
}

func newManifest(root *os.Root, namespace string) (*manifestWriter, error) {
	file, err := root.OpenFile(manifestName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &manifestWriter{file: file, enc: json.NewEncoder(file)}
	w.enc.SetEscapeHTML(false)
	return w, w.enc.Encode(manifestHeader{Version: manifestVersion, Namespace: namespace})
}

func (w *manifestWriter) add(path string, e *diamond.Entry) error {
	line := manifestLine{File: path, Group: e.Key.Group, DataID: e.Key.DataID, Type: e.Type, Meta: e.Meta}
	file := treeFile{key: e.Key, line: &line}
	line.Blank = blank(file.draft(e.Content))
	return w.enc.Encode(line)
}

func (w *manifestWriter) close() error { return w.file.Close() }

// readManifest returns the lines of a tree's manifest by file path, or none if there is
// no manifest.
func readManifest(root *os.Root) (map[string]manifestLine, error) {
	file, err := root.Open(manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(nil, maxManifestLine)
	lines := make(map[string]manifestLine)
	for number := 1; in.Scan(); number++ {
		if number == 1 {
			err = checkHeader(in.Bytes())
		} else {
			err = addLine(lines, in.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", manifestName, number, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	return lines, nil
}

func checkHeader(text []byte) error {
	var header manifestHeader
	if err := json.Unmarshal(text, &header); err != nil || header.Version == 0 {
		return errors.New("is not the first line of an export's manifest")
	}
	if header.Version != manifestVersion {
		return fmt.Errorf("has form %d; this program reads form %d", header.Version, manifestVersion)
	}
	return nil
}

func addLine(lines map[string]manifestLine, text []byte) error {
	var line manifestLine
	if err := json.Unmarshal(text, &line); err != nil {
		return errors.New("is not a JSON object with the file, group, dataId, type, meta and blank of a file")
	}
	if _, twice := lines[line.File]; twice {
		return fmt.Errorf("names %q a second time", line.File)
	}
	lines[line.File] = line
	return nil
}
