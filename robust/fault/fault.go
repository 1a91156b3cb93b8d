// Package fault injects faults, chosen at random by a seed.
package fault

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/linnaname/gdiamond/robust/record"
)

// Fault is one way in which a part of the system can fail.
type Fault interface {
	// Name describes the fault for the recording.
	Name() string
	// Available reports whether the fault can be injected now.
	Available() bool
	// Inject injects the fault, keeps it for some time or until ctx ends, heals it, and
	// returns.
	Inject(ctx context.Context, random *rand.Rand) error
}

// Func returns a Fault that is always available and calls inject.
func Func(name string, inject func(ctx context.Context, random *rand.Rand) error) Fault {
	return function{name, inject}
}

type function struct {
	name   string
	inject func(ctx context.Context, random *rand.Rand) error
}

func (f function) Name() string                                        { return f.name }
func (f function) Available() bool                                     { return true }
func (f function) Inject(ctx context.Context, random *rand.Rand) error { return f.inject(ctx, random) }

// Lasting returns a Fault that calls begin and heal, and lasts for up to longest.
func Lasting(name string, longest time.Duration, begin, heal func(random *rand.Rand) error) Fault {
	return Func(name, func(ctx context.Context, random *rand.Rand) error {
		if err := begin(random); err != nil {
			return err
		}
		Sleep(ctx, Some(random, longest))
		return heal(random)
	})
}

// Run injects one fault after the other, with pauses of up to gap, until ctx ends, and records
// them. It returns the error of the first fault that could not be injected or healed.
func Run(ctx context.Context, random *rand.Rand, gap time.Duration, faults []Fault, recorder *record.Recorder) error {
	for {
		Sleep(ctx, Some(random, gap))
		if ctx.Err() != nil {
			return nil
		}
		f := faults[random.IntN(len(faults))]
		if !f.Available() {
			continue
		}
		noted := record.Fault{Name: f.Name(), Began: recorder.Now()}
		err := f.Inject(ctx, random)
		noted.Ended = recorder.Now()
		if err != nil {
			noted.Error = err.Error()
		}
		recorder.Fault(noted)
		if err != nil {
			return err
		}
	}
}

// Some returns a random time from a hundredth of longest up to longest.
func Some(random *rand.Rand, longest time.Duration) time.Duration {
	least := longest / 100
	return least + time.Duration(random.Int64N(int64(longest-least)+1))
}

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
