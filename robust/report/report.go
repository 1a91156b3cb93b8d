// Package report writes reports of failed runs, so that a run can be examined and validated
// again without running it again.
package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/linnaname/gdiamond/robust/model"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/validate"
)

// seedFile has the seed, and the revision that all had reached.
const seedFile = "seed"

// visualTimeout limits the search for the page of a key that is not linearizable.
const visualTimeout = 10 * time.Second

// Write writes a report into the new directory dir: the seed, the faults, all records and the
// log of changes as JSON lines, the problems, the texts (logs), and for each key that is not
// linearizable a page that shows why.
func Write(dir string, h *record.History, problems []validate.Problem, texts map[string]string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var errs []error
	note := func(name string, write func(io.Writer) error) {
		errs = append(errs, writeFile(filepath.Join(dir, name), write))
	}
	note(seedFile, func(w io.Writer) error { _, err := fmt.Fprintln(w, h.Seed, h.Settled); return err })
	for _, f := range files(h) {
		note(f.name, f.write)
	}
	note("problems.txt", func(w io.Writer) error {
		for _, p := range problems {
			fmt.Fprintln(w, p)
		}
		return nil
	})
	for name, text := range texts {
		note(name, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	}
	for i, bad := range model.Check(h, visualTimeout) {
		note(fmt.Sprintf("history-%d.html", i), func(w io.Writer) error {
			return porcupine.Visualize(model.Model(), bad.Info, w)
		})
	}
	return errors.Join(errs...)
}

// Read reads a report's records.
func Read(dir string) (*record.History, error) {
	h := new(record.History)
	b, err := os.ReadFile(filepath.Join(dir, seedFile))
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Sscan(string(b), &h.Seed, &h.Settled); err != nil {
		return nil, err
	}
	for _, f := range files(h) {
		if err := f.read(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return h, nil
}

// file is one list of the records, as JSON lines.
type file struct {
	name  string
	write func(io.Writer) error
	read  func(dir string) error
}

func files(h *record.History) []file {
	return []file{
		lines("faults.jsonl", &h.Faults),
		lines("ops.jsonl", &h.Ops),
		lines("told.jsonl", &h.Told),
		lines("listeners.jsonl", &h.Listeners),
		lines("watches.jsonl", &h.Watches),
		lines("rights.jsonl", &h.Rights),
		lines("probes.jsonl", &h.Probes),
		lines("held.jsonl", &h.Held),
		lines("nodes.jsonl", &h.Nodes),
		lines("log.jsonl", &h.Log),
		lines("entries.jsonl", &h.Entries),
		lines("broken.jsonl", &h.Broken),
	}
}

func lines[T any](name string, list *[]T) file {
	return file{
		name: name,
		write: func(w io.Writer) error {
			enc := json.NewEncoder(w)
			for i := range *list {
				if err := enc.Encode(&(*list)[i]); err != nil {
					return err
				}
			}
			return nil
		},
		read: func(dir string) error {
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			defer f.Close()
			for dec := json.NewDecoder(bufio.NewReader(f)); ; {
				var item T
				if err := dec.Decode(&item); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				*list = append(*list, item)
			}
		},
	}
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(write(w), w.Flush(), f.Close())
}
