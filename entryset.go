package diamond

import (
	"maps"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// maxMirrorBytes is how many bytes of content a [Mirror] holds at most.
const maxMirrorBytes = 256 << 20

// entrySet is the entries that a filter selects, as of a position.
type entrySet struct {
	at      Position
	configs map[Key]Config
	bytes   int64 // of the contents of configs
	shared  bool  // configs was given away: it must be copied before it changes
}

func newEntrySet(at Position) *entrySet { return &entrySet{at: at, configs: map[Key]Config{}} }

// own makes configs a map that may be changed.
func (s *entrySet) own() {
	if s.shared {
		s.configs, s.shared = maps.Clone(s.configs), false
	}
}

func (s *entrySet) put(e Entry, confirmed time.Time) Config {
	s.bytes += int64(len(e.Content)) - int64(len(s.configs[e.Key].Content))
	config := Config{Entry: e, Source: SourceServer, Confirmed: confirmed}
	s.configs[e.Key] = config
	return config
}

func (s *entrySet) remove(key Key) {
	s.bytes -= int64(len(s.configs[key].Content))
	delete(s.configs, key)
}

// checkSize fails with ErrTooLarge if a [Mirror] does not hold so many entries, or so
// many bytes of content.
func checkSize(entries int, bytes int64) error {
	switch {
	case entries > MaxPollKeys:
		return conf.Errorf(ErrTooLarge, "the filter selects more than %d entries", MaxPollKeys)
	case bytes > maxMirrorBytes:
		return conf.Errorf(ErrTooLarge, "the contents of the entries that the filter selects have more than %d bytes", maxMirrorBytes)
	}
	return nil
}

// advance applies an answer of a watch that continues from s.at, and returns a delta for
// each change set that has an effect. If it fails it has changed nothing.
func (s *entrySet) advance(resp *ChangesResponse) ([]*delta, error) {
	for i := range resp.Changes {
		if resp.Changes[i].Op == OpFork {
			// What the store has lost is in no change.
			return nil, conf.Errorf(ErrEpoch, "a new epoch has begun")
		}
	}
	if err := s.fits(resp.Changes); err != nil {
		return nil, err
	}
	var ds []*delta
	if len(resp.Changes) > 0 {
		s.own()
	}
	now := time.Now()
	for i := range resp.Changes {
		ch := &resp.Changes[i]
		if i == 0 || ch.Revision != resp.Changes[i-1].Revision {
			ds = append(ds, newDelta(ch.Revision))
		}
		s.apply(ch, ds[len(ds)-1], now)
	}
	s.at = resp.Position
	return ds, nil
}

// apply applies one change and records its effect in d. An entry that a list returned may
// be newer than the change.
func (s *entrySet) apply(ch *Change, d *delta, now time.Time) {
	before, existed := s.configs[ch.Key]
	switch {
	case existed && before.Revision >= ch.Revision:
	case ch.Op == OpPublish:
		d.put(s.put(ch.Entry(), now), existed)
	case existed:
		s.remove(ch.Key)
		d.remove(ch.Key)
	}
}

// fits fails with ErrTooLarge if s is too large once it has the changes.
func (s *entrySet) fits(changes []Change) error {
	entries, bytes := len(s.configs)+len(changes), s.bytes
	for i := range changes {
		bytes += int64(len(changes[i].Content))
	}
	if checkSize(entries, bytes) == nil {
		return nil
	}
	newest := map[Key]*Change{} // the changes may replace and delete entries
	for i := range changes {
		newest[changes[i].Key] = &changes[i]
	}
	entries, bytes = len(s.configs), s.bytes
	for key, ch := range newest {
		before, existed := s.configs[key]
		if existed && before.Revision >= ch.Revision {
			continue
		}
		if existed {
			entries--
		}
		if ch.Op == OpPublish {
			entries++
		}
		bytes += int64(len(ch.Content)) - int64(len(before.Content))
	}
	return checkSize(entries, bytes)
}

// since returns the difference between before and s.
func (s *entrySet) since(before *entrySet) *delta {
	d := newDelta(s.at.Revision)
	d.resync = true
	for key := range before.configs {
		if _, ok := s.configs[key]; !ok {
			d.remove(key)
		}
	}
	for key, config := range s.configs {
		if old, existed := before.configs[key]; !existed || !sameVersion(&old.Entry, &config.Entry) {
			d.put(config, existed)
		}
	}
	return d
}

// sameVersion reports whether a and b, which have the same key, are one version of it. The
// revision alone does not say so, because a store that has lost history may give it again.
func sameVersion(a, b *Entry) bool {
	return a.Revision == b.Revision && a.MD5 == b.MD5 && a.Type == b.Type &&
		a.Modified.Equal(b.Modified) && maps.Equal(a.Meta, b.Meta)
}

// whole returns the delta of a callback that knows nothing.
func (s *entrySet) whole() *delta {
	s.shared = true
	d := newDelta(s.at.Revision)
	d.changed, d.bytes, d.whole = s.configs, s.bytes, true
	return d
}
