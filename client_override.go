package diamond

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// runOverrides follows the operator's files.
func (c *client) runOverrides(ctx context.Context) {
	var pause backoff.Backoff
	for {
		err := c.local.WatchOverrides(ctx, func(key Key) {
			if s, ok := c.slots.Load(key.Canonical()); ok {
				c.lookForOverride(s)
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
// is none. A file that cannot be read changes nothing.
func (c *client) lookForOverride(s *keySlot) {
	if c.local == nil {
		return
	}
	s.overriding.Lock() // so that what was read last is taken in last
	defer s.overriding.Unlock()
	content, err := c.local.Override(s.key)
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
		s.override = &Entry{Key: s.key, Content: content, Type: s.typ(), MD5: MD5Hex(content), Size: int64(len(content))}
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

// typ returns what the data id says of the type of the key's values, or else the published one.
func (s *keySlot) typ() string {
	if t := TypeOf(s.key.DataID); t != "" || s.value == nil {
		return t
	}
	return s.value.entry.Type
}
