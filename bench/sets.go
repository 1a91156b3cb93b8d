//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// setKeys is the number of keys in each key set.
const setKeys = 10_000

// pollSets makes a poll wait for each ten thousand of the given number of keys, each from a
// different address, and records their memory.
func (n *scaled) pollSets(keys int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var polls, parked sync.WaitGroup
	defer polls.Wait()
	defer cancel()
	before, position := heap(), n.srv.Status().Position
	err := n.timed(func() error {
		failed := make(chan error, keys/setKeys)
		for first := 0; first < keys; first += setKeys {
			set := make([]diamond.Key, setKeys)
			for i := range set {
				set[i] = keyOf(first + i)
			}
			caller := conf.WithCaller(ctx, conf.Caller{Address: fmt.Sprintf("10.0.%d.%d:1", first/setKeys/200, first/setKeys%200)})
			parked.Add(1)
			once := sync.OnceFunc(parked.Done)
			polls.Go(func() {
				_, err := n.srv.Poll(caller, &conf.PollRequest{
					Set: conf.HashKeys(set), Keys: set, Position: position, Wait: conf.MaxWait, Parked: once,
				})
				if ctx.Err() == nil {
					failed <- errors.Join(errors.New("a poll does not wait"), err)
				}
				once()
			})
		}
		parked.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	})
	n.bytes = (heap() - before) / float64(keys)
	return err
}

// heap returns the number of heap bytes in use.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
