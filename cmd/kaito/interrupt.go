package main

import (
	"os"
	"os/signal"
	"sync"
)

// interrupts says what Ctrl-C does: what was asked for last, else the program
// ends; and once it was told to end, the next one ends it at once.
type interrupts struct {
	mu    sync.Mutex
	end   func()
	stops []*func()
}

// listen takes Ctrl-C from now on.
func listen(end func()) *interrupts {
	i := &interrupts{end: end}
	keys := make(chan os.Signal, 1)
	signal.Notify(keys, os.Interrupt)
	go func() {
		for range keys {
			i.interrupt()
		}
	}()
	return i
}

func (i *interrupts) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.stops); n > 0 {
		(*i.stops[n-1])()
		return
	}
	signal.Reset(os.Interrupt)
	i.end()
}

// onInterrupt is shell.Shell's.
func (i *interrupts) onInterrupt(stop func()) (restore func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	mine := &stop
	i.stops = append(i.stops, mine)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		for k, s := range i.stops {
			if s == mine {
				i.stops = append(i.stops[:k], i.stops[k+1:]...)
				return
			}
		}
	}
}
