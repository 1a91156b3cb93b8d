package diamond

import "log/slog"

// outage counts the failures in a row of what is asked for again and again, so
// that the log says once that it cannot be had, and once that it can again. One
// that fails on its own says nothing: something on the way may just not like
// idle connections.
type outage struct{ failures int }

// outageFailures is how many failures in a row are told.
const outageFailures = 3

// note counts how an attempt went; nil: well.
func (o *outage) note(log *slog.Logger, err error, begun, over string) {
	if err == nil {
		if o.failures >= outageFailures {
			log.Info(over)
		}
		o.failures = 0
	} else if o.failures++; o.failures == outageFailures {
		log.Warn(begun, "error", err)
	}
}
