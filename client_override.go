package diamond

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/hung"
)

// runOverrides follows the operator's files. Each is read on its own: one that
// hangs does not hold up what there is to say of the others.
func (c *client) runOverrides(ctx context.Context) {
	var pause backoff.Backoff
	for {
		err := c.local.WatchOverrides(ctx, func(key Key) {
			if s, ok := c.slots.Load(key.Canonical()); ok {
				c.background.Go(func() { c.lookForOverride(s) })
			}
		})
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("override files are not being watched; trying on", "error", err)
		if pause.Wait(ctx, 0) != nil {
			return
		}
	}
}

// lookForOverride takes in what the operator's file for s says, or that there
// is none. A file that cannot be read changes nothing, nor does one that says
// nothing: an editor that saves may empty it for a moment. One that hangs is
// looked at again when it no longer does.
func (c *client) lookForOverride(s *keySlot) {
	if c.local == nil {
		return
	}
	s.overriding.Lock() // so that what was read last is taken in last
	defer s.overriding.Unlock()
	content, err := hung.Do(c.files, fileID{key: s.key, override: true}, func() (string, error) {
		return c.local.Override(s.key)
	}, func() { c.lookForOverride(s) })
	if err == nil && strings.TrimSpace(content) == "" {
		err = Errorf(ErrInvalid, "it is empty; remove the file to end the override")
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		c.log.Warn("override file not usable", "key", s.key, "error", err)
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	before := s.override
	if err != nil {
		s.override = nil
	} else {
		s.override = &Entry{Key: s.key, Content: content, Type: TypeOf(s.key.DataID), MD5: MD5Hex(content), Size: int64(len(content))}
		if before != nil {
			s.override.Type = before.Type
		}
	}
	switch {
	case before == nil && s.override == nil:
		return
	case before == nil:
		c.log.Warn("an override file is in force", "key", s.key, "md5", s.override.MD5)
	case s.override == nil:
		c.log.Warn("an override file is no longer in force", "key", s.key)
	}
	c.show(s)
}

// overridden returns the operator's value. A file has no type: it has the one
// that was published last, also when the key has been deleted since, or else
// what the data id says. So it is not shown before servers have had their time.
func (s *keySlot) overridden() *shown {
	if s.value != nil {
		s.override.Type = cmp.Or(s.value.entry.Type, s.override.Type)
	}
	return &shown{config: Config{Entry: *s.override, Source: SourceOverride}}
}
