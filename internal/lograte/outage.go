package lograte

import "log/slog"

// Outage logs once when a repeated operation starts to fail, and once when it recovers. It
// does not log a single failure, because proxies may cut idle connections. The zero value is
// ready for use. It is not safe for concurrent use.
type Outage struct{ failures int }

// outageFailures is the number of consecutive failures that make an outage.
const outageFailures = 3

// Note counts one attempt, which failed with err, or succeeded if err is nil. It logs begun
// when an outage begins, and over when it ends.
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
