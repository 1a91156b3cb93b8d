package follower

import "time"

// attempts counts how often an operation that is repeated until it succeeds, such as a
// poll, has failed. Its problem begins with the second failure in a row: proxies may cut
// a single request, and the next attempt shows whether servers are well. It is not safe
// for concurrent use.
type attempts struct {
	health    *health
	problem   *problem
	failures  int       // in a row
	succeeded time.Time // when one last succeeded, or zero if none has
}

// note records that an attempt has failed with err, or succeeded if err is nil. It
// returns err, or nil if the next attempt may still show that nothing is wrong.
func (a *attempts) note(err error) error {
	if err == nil {
		a.succeeded = time.Now()
		a.end(true)
		return nil
	}
	a.failures++
	switch a.failures {
	case 1:
		return nil
	case 2:
		a.health.report(a.problem, 1, a.succeeded, err)
	default:
		a.health.report(a.problem, 0, a.succeeded, err)
	}
	return err
}

// giveUp records that the operation is not repeated any more.
func (a *attempts) giveUp() { a.end(false) }

func (a *attempts) end(succeeded bool) {
	if a.failures > 1 {
		a.health.end(a.problem, succeeded)
	}
	a.failures = 0
}
