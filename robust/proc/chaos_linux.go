package proc

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/report"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// Chaos runs traffic while servers are killed and paused, links fail, and the database is
// killed, paused and cut off. After the time lasts it heals all faults and validates the
// recording.
func (w *World) Chaos(t testing.TB, config traffic.Config, lasts, longest time.Duration) {
	t.Helper()
	w.ChaosOn(t, config, lasts, longest, record.New(config.Seed))
}

// ChaosOn is [World.Chaos] with a recorder that the set-up has used. In a governed cluster
// rights are changed and tried too.
func (w *World) ChaosOn(t testing.TB, config traffic.Config, lasts, longest time.Duration, recorder *record.Recorder) {
	t.Helper()
	load := traffic.Start(w, config, recorder)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	changing := func() error { return nil }
	if w.Cast != nil {
		changing = w.Cast.Start(ctx, w, config, w.servers())
	}
	var failing errgroup.Group
	for i, faults := range [][]fault.Fault{
		append(w.NetworkFaults(longest), w.Swizzle(longest)),
		w.processFaults(longest),
		w.databaseFaults(longest),
	} {
		random := rand.New(rand.NewPCG(config.Seed, uint64(i)))
		failing.Go(func() error { return fault.Run(ctx, random, longest, faults, recorder) })
	}
	err := errors.Join(failing.Wait(), w.restore(), changing())
	store, opened := w.Database.Open(t.Context())
	require.NoError(t, opened)
	defer store.Close()
	require.NoError(t, errors.Join(err, w.Judge(t.Context(), load, config.Keys, store, recorder)))
	report.Check(t, recorder.History(), w.Logs())
}

// restore ends all remaining faults.
func (w *World) restore() error {
	w.Heal()
	for _, link := range w.Database.Links {
		link.Set(proxy.Conditions{})
	}
	var errs []error
	for _, p := range slices.Concat(w.Names, w.Processes) {
		p.Signal(syscall.SIGCONT)
		errs = append(errs, p.Start())
	}
	return errors.Join(errs...)
}

func (w *World) processFaults(longest time.Duration) []fault.Fault {
	faults := []fault.Fault{
		kill("kill a server", w.Processes, longest),
		stop("stop a server", w.Processes, longest),
		suspend("pause a server", w.Processes, 3*longest),
		fault.Func("kill all servers", func(context.Context, *rand.Rand) error {
			for _, p := range w.Processes {
				p.Kill()
			}
			var errs []error
			for _, p := range w.Processes {
				errs = append(errs, p.Start())
			}
			return errors.Join(errs...)
		}),
	}
	if len(w.Names) > 0 {
		faults = append(faults,
			kill("kill a name server", w.Names, longest), // it comes back with an empty list
			suspend("pause a name server", w.Names, longest))
	}
	return faults
}

func kill(name string, processes []*cluster.Process, longest time.Duration) fault.Fault {
	return one(name, processes, longest,
		func(p *cluster.Process) error { p.Kill(); return nil },
		(*cluster.Process).Start)
}

func stop(name string, processes []*cluster.Process, longest time.Duration) fault.Fault {
	return one(name, processes, longest, (*cluster.Process).Stop, (*cluster.Process).Start)
}

func suspend(name string, processes []*cluster.Process, longest time.Duration) fault.Fault {
	return one(name, processes, longest,
		func(p *cluster.Process) error { p.Signal(syscall.SIGSTOP); return nil },
		func(p *cluster.Process) error { p.Signal(syscall.SIGCONT); return nil })
}

// one returns a fault of one of the processes.
func one(name string, processes []*cluster.Process, longest time.Duration, begin, heal func(*cluster.Process) error) fault.Fault {
	var p *cluster.Process
	return fault.Lasting(name, longest, func(random *rand.Rand) error {
		p = processes[random.IntN(len(processes))]
		return begin(p)
	}, func(*rand.Rand) error { return heal(p) })
}

func (w *World) databaseFaults(longest time.Duration) []fault.Fault {
	link := func(name string, now proxy.Conditions, cut bool) fault.Fault {
		var link *proxy.Proxy
		return fault.Lasting(name, longest, func(random *rand.Rand) error {
			link = w.Database.Links[random.IntN(len(w.Database.Links))]
			link.Set(now)
			if cut {
				link.Cut()
			}
			return nil
		}, func(*rand.Rand) error {
			link.Set(proxy.Conditions{})
			return nil
		})
	}
	return []fault.Fault{
		link("database cut off from a server", proxy.Conditions{Refuse: true}, true),
		link("database falls silent for a server", proxy.Conditions{Silent: true}, false),
		link("stall what goes to the database", proxy.Conditions{StallUp: true}, false),
		link("stall what the database answers", proxy.Conditions{StallDown: true}, false),
		link("database slow for a server", proxy.Conditions{Latency: 200 * time.Millisecond, Jitter: 300 * time.Millisecond}, false),
		fault.Lasting("database killed", longest, func(*rand.Rand) error { w.Server.Kill(); return nil },
			func(*rand.Rand) error { return w.Server.Start() }),
		fault.Lasting("database stopped", longest, func(*rand.Rand) error { w.Server.Stop(); return nil },
			func(*rand.Rand) error { return w.Server.Start() }),
		fault.Lasting("database paused", longest, func(*rand.Rand) error { return w.Server.Pause() },
			func(*rand.Rand) error { return w.Server.Continue() }),
	}
}
