package diamond

import (
	"slices"
	"time"
)

// Status implements [Client]. Of a key that is not followed it says ErrNotFound.
func (c *client) Status(keys ...Key) []Status {
	if len(keys) == 0 {
		for key := range c.slots.byKey.All() {
			keys = append(keys, key)
		}
	} else {
		keys = slices.Clone(keys)
		for i := range keys {
			keys[i] = keys[i].Canonical()
		}
	}
	slices.SortFunc(keys, Key.Compare)

	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	out := make([]Status, 0, len(keys))
	for _, key := range keys {
		if s, ok := c.slots.byKey.Load(key); ok {
			out = append(out, c.statusOf(s))
		} else {
			out = append(out, Status{Key: key, Err: &Error{Op: "status", Key: key, Err: ErrNotFound, Detail: "it is not followed: never read or subscribed to, or let go"}})
		}
	}
	return out
}

// statusOf returns the state of one key. Err is the first that applies of: a
// listener's refusal, why there is no value, why it is not fresh.
func (c *client) statusOf(s *keySlot) Status {
	status := Status{Key: s.key, Listeners: len(s.listeners)}
	st := s.shown.Load()
	if st == nil {
		status.Err = opError("status", s.key, s.loadErr)
		return status
	}
	config, err := st.read(&c.slots.confirmedAsOf)
	status.Source, status.Revision, status.MD5 = config.Source, config.Revision, config.MD5
	status.Deleted, status.Orphaned = config.Deleted, config.Orphaned
	status.Confirmed = config.Confirmed
	if !config.Confirmed.IsZero() {
		status.Age = time.Since(config.Confirmed)
	}
	status.Err = err
	for _, l := range s.listeners {
		if l.reason != nil {
			status.Rejected, status.Err = max(status.Rejected, l.rejected), &Error{Op: "listen", Key: s.key, Err: l.reason}
		}
	}
	switch {
	case status.Err != nil || config.Source == SourceOverride:
	case s.refused != nil:
		status.Err = opError("poll", s.key, s.refused)
	case c.poller.err != nil:
		status.Err = opError("poll", s.key, c.poller.err)
	case config.Source == SourceSnapshot:
		status.Err = opError("fetch", s.key, s.loadErr)
	case s.disputed:
		status.Err = &Error{Op: "poll", Key: s.key, Err: ErrEpoch, Remote: true, Detail: "servers have an older value; this one is kept"}
	case s.announced != nil:
		status.Err = &Error{Op: "fetch", Key: s.key, Err: ErrUnavailable, Detail: "a newer value is known of, and its content is not here yet"}
	}
	return status
}
