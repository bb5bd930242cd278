package armemulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Store keeps the emulator's state over a restart.
type Store interface {
	// Load gives what was saved last, nothing when nothing was.
	Load() ([]byte, error)
	Save(data []byte) error
}

// FileStore is a store in one file.
type FileStore string

// Load reads the file; one that is not there is empty.
func (f FileStore) Load() ([]byte, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save replaces the file as a whole.
func (f FileStore) Save(data []byte) error {
	next := string(f) + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	return os.Rename(next, string(f))
}

// The provisioning states of a pool.
const (
	stateCreating  = "Creating"
	stateUpdating  = "Updating"
	stateScaling   = "Scaling"
	stateDeleting  = "Deleting"
	stateCanceling = "Canceling"
	stateCanceled  = "Canceled"
	stateSucceeded = "Succeeded"
	stateFailed    = "Failed"
	stateRunning   = "InProgress" // of an operation
)

// state is all that survives a restart.
type state struct {
	Serial     int64                 `json:"serial"`
	Pools      map[string]*pool      `json:"pools"`
	Operations map[string]*operation `json:"operations"`
	Quotas     Quotas                `json:"quotas"`
	Counts     Counts                `json:"counts"`
}

// pool is an agent pool.
type pool struct {
	Name string `json:"name"`
	// Properties are as they were sent, with the service's defaults.
	Properties map[string]any `json:"properties"`
	// State is its provisioning state.
	State     string    `json:"state"`
	ETag      string    `json:"etag"`
	Size      string    `json:"size"`
	Count     int       `json:"count"`
	CreatedAt time.Time `json:"createdAt"`
	// Machines are those that are there or on their way, NextIndex the number of the next one.
	Machines  []Machine `json:"machines,omitempty"`
	NextIndex int       `json:"nextIndex"`
	// Operation is the one that is under way, empty when none is.
	Operation string `json:"operation,omitempty"`
}

func (p *pool) spot() bool {
	priority, _ := p.Properties["scaleSetPriority"].(string)
	return priority == "Spot"
}

// operation is something that takes its time.
type operation struct {
	ID   string `json:"id"`
	Pool string `json:"pool"`
	// Does is the state that the pool is in meanwhile.
	Does   string    `json:"does"`
	Status string    `json:"status"`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end,omitzero"`
	// NotBefore is when it may end, Waiting how many machines it waits for.
	NotBefore time.Time `json:"notBefore"`
	Waiting   int       `json:"waiting"`
	// Failure is why it failed, or is going to; Stuck operations do not end.
	Failure *failure `json:"failure,omitempty"`
	Stuck   bool     `json:"stuck,omitempty"`
	// Aborts is the operation that this one aborts.
	Aborts string `json:"aborts,omitempty"`
	// Leaving are machines that are gone when it ends.
	Leaving []Machine `json:"leaving,omitempty"`
}

// failure is why an operation failed, in Azure's words.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func newState(q Quotas) state {
	return state{Pools: map[string]*pool{}, Operations: map[string]*operation{}, Quotas: q, Counts: newCounts()}
}

func (e *Emulator) load() error {
	if e.o.Store == nil {
		return nil
	}
	data, err := e.o.Store.Load()
	if err != nil {
		return fmt.Errorf("load the emulator's state: %w", err)
	}
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, &e.state); err != nil {
		return fmt.Errorf("read the emulator's state: %w", err)
	}
	e.state.Counts = e.state.Counts.whole()
	return nil
}

// save writes the state down; mu is held.
func (e *Emulator) save() {
	if e.o.Store == nil {
		return
	}
	data, err := json.Marshal(e.state)
	if err == nil {
		err = e.o.Store.Save(data)
	}
	if err != nil {
		e.o.Log.Error("the state was not saved", "err", err)
	}
}
