package lograte

import "log/slog"

// Outage logs once when an operation that is repeated starts to fail, and once when
// it recovers. A single failure is not logged: something on the way may just not
// like idle connections. The zero value is ready for use. It is not safe for
// concurrent use.
type Outage struct{ failures int }

// outageFailures is how many failures in a row are an outage.
const outageFailures = 3

// Note counts one attempt, which failed with err, or succeeded where err is nil. It
// logs begun when an outage begins, and over when it ends.
func (o *Outage) Note(log *slog.Logger, err error, begun, over string) {
	if err == nil {
		if o.failures >= outageFailures {
			log.Info(over)
		}
		o.failures = 0
	} else if o.failures++; o.failures == outageFailures {
		log.Warn(begun, "error", err)
	}
}

// Failures returns the number of failures since the last success.
func (o *Outage) Failures() int { return o.failures }
