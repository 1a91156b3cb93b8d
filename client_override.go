package diamond

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/hung"
)

// runOverrides follows the operator's files. Each is read on its own: one that
// hangs does not hold up what there is to say of the others.
func (c *client) runOverrides(ctx context.Context) {
	var pause backoff.Backoff
	for {
		err := c.local.WatchOverrides(ctx, func(key Key) {
			if s, ok := c.slots.byKey.Load(key.Canonical()); ok {
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
// is none. One that hangs is taken in when it has been read after all.
func (c *client) lookForOverride(s *keySlot) {
	if c.local == nil {
		return
	}
	s.overriding.Lock() // so that what was read last is taken in last
	defer s.overriding.Unlock()
	read := s.overrideReads + 1
	content, err := hung.Do(c.files, fileID{key: s.key, override: true}, func() (string, error) {
		return c.local.Override(s.key)
	}, func(content string, err error) { c.takeLateOverride(s, read, content, err) })
	if !errors.Is(err, hung.ErrNotMade) {
		s.overrideReads, s.overrideHangs, s.missedOverride = read, errors.Is(err, hung.ErrHangs), false
		c.takeOverride(s, content, err)
		return
	}
	if !s.overrideHangs { // else takeLateOverride looks again
		c.crowdedOut.Put(s, struct{}{})
	}
	if !s.missedOverride { // else it was said
		s.missedOverride = true
		c.takeOverride(s, content, err)
	}
}

// runCrowdedOut looks again for overrides and snapshots that were not read because as
// many files hung as may be read at a time. Nobody says when there is room, so it
// looks every now and then.
func (c *client) runCrowdedOut(ctx context.Context) {
	for c.crowdedOut.Wait(ctx) == nil {
		if backoff.Sleep(ctx, filePatience) != nil {
			return
		}
		for s := range c.crowdedOut.Take() {
			c.background.Go(func() {
				c.loadSnapshot(s)
				s.overriding.Lock()
				missed := s.missedOverride
				s.overriding.Unlock()
				if missed {
					c.lookForOverride(s)
				}
			})
		}
	}
}

// takeLateOverride takes in what the given read of a file, which hung, returned,
// unless a later one was made meanwhile. The file may have changed since.
func (c *client) takeLateOverride(s *keySlot, read int, content string, err error) {
	s.overriding.Lock()
	if read == s.overrideReads {
		s.overrideHangs = false
		c.takeOverride(s, content, err)
	}
	missed := s.missedOverride
	s.missedOverride = false
	s.overriding.Unlock()
	if missed {
		c.lookForOverride(s)
	}
}

// takeOverride takes in what a read of the override of s returned. A file that
// cannot be read changes nothing, nor does one that says nothing: an editor that
// saves may empty it for a moment.
func (c *client) takeOverride(s *keySlot, content string, err error) {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	typ := s.overrideType()
	if err == nil && saysNothing(typ, content) {
		err = Errorf(ErrInvalid, "it is empty or says nothing in its format; remove the file to end the override")
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		c.log.Warn("override file not usable", "key", s.key, "error", err)
		return
	}
	before := s.override
	if err != nil {
		s.override = nil
	} else {
		s.override = &Entry{Key: s.key, Content: content, Type: typ, MD5: MD5Hex(content), Size: int64(len(content))}
	}
	switch {
	case before == nil && s.override == nil:
		return
	case before == nil:
		c.log.Warn("an override file is in force", "key", s.key, "md5", s.override.MD5)
	case s.override == nil:
		c.log.Warn("an override file is no longer in force", "key", s.key)
	}
	c.slots.show(s)
}
