package data

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

const (
	// A batch is sent when it has so many rows, or so many bytes of text.
	batchRows  = 256
	batchBytes = 256 << 10
	// ahead is how many batches are on their way to the child.
	ahead = 4
	// mostAnswer bounds what the child may send at once.
	mostAnswer = 1 << 30
	// lastWords is how long a child that ended is listened to.
	lastWords = 5 * time.Second
)

// setup is the first question to the child; kaito_gate.encode says what it means.
type setup struct {
	Folder   string `json:"folder"`
	Template string `json:"template"`
	Most     int    `json:"most"`
}

// question is a batch of rows of one shape.
type question struct {
	Shape string `json:"shape"`
	// Rows are texts, or conversations as lists of role and content.
	Rows []any `json:"rows"`
}

// answer is the head of an answer.
type answer struct {
	Wrong string            `json:"wrong"`
	Rows  []json.RawMessage `json:"rows"`
}

// encoder has rows tokenized by the child, in their order.
type encoder struct {
	ctx      context.Context //nolint:containedctx // of this one reading
	cancel   context.CancelCauseFunc
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
	take     takeRow
	patience time.Duration
	killed   func() bool

	batch  question
	places []dataset.Place
	bytes  int
	// pending are the places of the batches that the child has not answered.
	pending chan []dataset.Place
	done    chan struct{}
	once    sync.Once
	// err is why the answers ended, once done is closed.
	err error
}

// errStuck ends a child that does not answer.
var errStuck = errors.New("the tokenizer does not answer any more")

// startEncoder starts the child and has it load the model's files.
func startEncoder(ctx context.Context, o Options, take takeRow) (*encoder, error) {
	kills := o.MemoryKills()
	ctx, cancel := context.WithCancelCause(ctx)
	e := &encoder{
		ctx: ctx, cancel: cancel, take: take, patience: o.Patience,
		killed:  func() bool { return o.MemoryKills() > kills },
		pending: make(chan []dataset.Place, ahead), done: make(chan struct{}),
	}
	e.cmd = exec.CommandContext(ctx, o.Python[0], o.Python[1:]...)
	threads := strconv.Itoa(max(1, o.Threads))
	e.cmd.Env = append(append([]string(nil), o.Environ...),
		"TOKENIZERS_PARALLELISM=true", "RAYON_NUM_THREADS="+threads, "PYTHONUNBUFFERED=1", "HF_HUB_OFFLINE=1")
	e.cmd.Stderr = o.Stderr
	e.cmd.WaitDelay = lastWords
	err := e.start(setup{Folder: o.Tokenizer, Template: o.Tune.Model.ChatTemplate, Most: o.Tune.Model.MaxLength})
	if err != nil {
		cancel(nil)
		return nil, err
	}
	go e.listen()
	return e, nil
}

func (e *encoder) start(model setup) error {
	in, err := e.cmd.StdinPipe()
	if err == nil {
		e.in = in
		var out io.ReadCloser
		if out, err = e.cmd.StdoutPipe(); err == nil {
			e.out = bufio.NewReaderSize(out, 1<<16)
			err = e.cmd.Start()
		}
	}
	if err != nil {
		return final(ending.EngineNotStarted, "The tokenizer cannot be started: %v", err)
	}
	err = e.send(model)
	var said answer
	if err == nil {
		said, _, err = e.receive()
	}
	if said.Wrong == "" && err == nil {
		return nil
	}
	_ = e.in.Close() // the child ends by this
	kill := time.AfterFunc(lastWords, func() { e.cancel(errStuck) })
	ended := e.cmd.Wait()
	kill.Stop()
	if said.Wrong != "" {
		return final(ending.WeightsUnusable, "%s", said.Wrong)
	}
	return e.broken(errors.Join(err, ended))
}

// add sends a row when its batch is full.
func (e *encoder) add(row dataset.Row) error {
	if string(row.Shape) != e.batch.Shape {
		if err := e.flush(); err != nil {
			return err
		}
		e.batch.Shape = string(row.Shape)
	}
	if row.Shape == dataset.Text {
		e.batch.Rows = append(e.batch.Rows, row.Text)
		e.bytes += len(row.Text)
	} else {
		turns := make([][2]string, 0, len(row.Messages))
		for _, m := range row.Messages {
			turns = append(turns, [2]string{m.Role, m.Content})
			e.bytes += len(m.Content)
		}
		e.batch.Rows = append(e.batch.Rows, turns)
	}
	e.places = append(e.places, dataset.Place{File: row.File, Row: row.Number})
	if len(e.places) < batchRows && e.bytes < batchBytes {
		return nil
	}
	return e.flush()
}

// flush sends the batch. While the child works on some, the next are read.
func (e *encoder) flush() error {
	if len(e.places) == 0 {
		return nil
	}
	select {
	case e.pending <- e.places:
	case <-e.done:
		return e.err
	}
	err := e.send(e.batch)
	e.batch.Rows, e.places, e.bytes = nil, nil, 0
	if err != nil {
		<-e.done // the child has ended, and the listener knows how
		return errors.Join(e.err, err)
	}
	return nil
}

// close sends the rest, waits for the answers, and says what came of them.
func (e *encoder) close() error {
	err := e.flush()
	e.once.Do(func() {
		close(e.pending)
		<-e.done
		_ = e.in.Close() // the child ends by this
		ended := e.cmd.Wait()
		e.cancel(nil)
		if e.err == nil && err == nil && ended != nil {
			e.err = e.broken(ended)
		}
	})
	if e.err != nil {
		return e.err
	}
	return err
}

// listen takes answers until there are no more questions, or one of them ends it all.
func (e *encoder) listen() {
	defer close(e.done)
	for places := range e.pending {
		if e.err = e.answered(places); e.err != nil {
			e.cancel(e.err) // a child that writes to nobody would wait for ever
			return
		}
	}
}

func (e *encoder) answered(places []dataset.Place) error {
	watch := time.AfterFunc(e.patience, func() { e.cancel(errStuck) })
	said, ids, err := e.receive()
	watch.Stop()
	if err != nil {
		return e.broken(err)
	}
	if len(said.Rows) != len(places) {
		return fmt.Errorf("the tokenizer answered %d rows of %d", len(said.Rows), len(places))
	}
	for i, place := range places {
		var row encoded
		if ids, err = row.read(said.Rows[i], ids); err != nil {
			return fmt.Errorf("read what the tokenizer made of row %d of %q: %w", place.Row, place.File, err)
		}
		if err := e.take(place, &row); err != nil {
			return err
		}
	}
	return nil
}

// read takes one row of an answer, and its ids off the front of all ids.
func (r *encoded) read(said json.RawMessage, ids []byte) ([]byte, error) {
	if len(said) > 0 && said[0] == '{' {
		var wrong struct {
			Problem string `json:"problem"`
		}
		err := json.Unmarshal(said, &wrong)
		r.problem = wrong.Problem
		return ids, err
	}
	var numbers []int
	if err := json.Unmarshal(said, &numbers); err != nil || len(numbers)%2 != 1 {
		return ids, fmt.Errorf("%s is not a number of tokens and ranges: %w", said, err)
	}
	r.tokens = numbers[0]
	if len(numbers) == 1 {
		return ids, nil
	}
	const width = 4
	if r.tokens < 0 || len(ids) < r.tokens*width {
		return ids, errors.New("ids are missing")
	}
	r.IDs = make([]int32, r.tokens)
	for i := range r.IDs {
		r.IDs[i] = int32(binary.LittleEndian.Uint32(ids[i*width:]))
	}
	for i := 1; i < len(numbers); i += 2 {
		r.Train = append(r.Train, [2]int{numbers[i], numbers[i+1]})
	}
	return ids[r.tokens*width:], nil
}

// send writes a frame.
func (e *encoder) send(what any) error {
	raw, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("write to the tokenizer: %w", err)
	}
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(raw)), uint32(len(raw)))
	if _, err := e.in.Write(append(frame, raw...)); err != nil {
		return fmt.Errorf("write to the tokenizer: %w", err)
	}
	return nil
}

// receive reads a frame.
func (e *encoder) receive() (said answer, ids []byte, err error) {
	var sizes [2]uint32
	if err := binary.Read(e.out, binary.LittleEndian, &sizes); err != nil {
		return said, nil, fmt.Errorf("read from the tokenizer: %w", err)
	}
	if sizes[0] > mostAnswer || sizes[1] > mostAnswer {
		return said, nil, errors.New("the tokenizer answers more than can be")
	}
	raw := make([]byte, int(sizes[0])+int(sizes[1]))
	if _, err := io.ReadFull(e.out, raw); err != nil {
		return said, nil, fmt.Errorf("read from the tokenizer: %w", err)
	}
	if err := json.Unmarshal(raw[:sizes[0]], &said); err != nil {
		return said, nil, fmt.Errorf("read from the tokenizer: %w", err)
	}
	return said, raw[sizes[0]:], nil
}

// broken says why the child does not go on.
func (e *encoder) broken(err error) error {
	cause := context.Cause(e.ctx)
	switch {
	case errors.Is(cause, errStuck):
		return final(ending.DataInvalid, "The tokenizer took longer than %s for one batch of rows; look for a chat template that does not end", e.patience)
	case e.killed():
		return final(ending.OutOfMemory, "Tokenizing used up the container's memory; split rows of many megabytes, and write parquet files with smaller row groups")
	case cause != nil:
		return cause
	}
	return passing(ending.Internal, "The tokenizer ended: %v; its own words are in the log of the container %q", err, contract.TunePreparing)
}
