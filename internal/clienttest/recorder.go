package clienttest

import (
	"context"
	"sync"

	"github.com/linnaname/gdiamond/conf"
)

// Recorder is a listener that records the arguments of its calls.
type Recorder struct {
	mu      sync.Mutex
	configs []conf.Config
	Verdict func(conf.Config) error // returns the result of a call, or nil to apply all values
}

// OnConfig implements [diamond.Listener].
func (r *Recorder) OnConfig(_ context.Context, config conf.Config) error {
	r.mu.Lock()
	r.configs = append(r.configs, config)
	verdict := r.Verdict
	r.mu.Unlock()
	if verdict != nil {
		return verdict(config)
	}
	return nil
}

// Contents returns the contents of all calls, with "-" for a deletion.
func (r *Recorder) Contents() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, 0, len(r.configs))
	for _, c := range r.configs {
		if c.Deleted {
			out = append(out, "-")
		} else {
			out = append(out, c.Content)
		}
	}
	return out
}

// Last returns the value of the last call, or the zero Config if there was none.
func (r *Recorder) Last() conf.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.configs) == 0 {
		return conf.Config{}
	}
	return r.configs[len(r.configs)-1]
}
