package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// trainerTurn is one turn of a side of runtimes/tuner/bench/speed.py.
type trainerTurn struct {
	Side string `json:"side"`
	// Tokens that were trained, and what they took.
	Tokens float64 `json:"tokens"`
	CPU    float64 `json:"cpu"`
	Wall   float64 `json:"wall"`
}

// trainerSpeed compares our trainer with a script that uses TRL and PEFT as they are: the
// same rows of the demo's data set, method, model and numbers, in one process in turns.
func trainerSpeed(ctx context.Context, o options) ([]result, error) {
	if os.Geteuid() != 0 {
		return nil, skip("the tuner image's tree is entered by root alone")
	}
	work := filepath.Join(o.dir, "trainer")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the trainer: %w", err)
	}
	const data = "harbour.parquet"
	raw, err := os.ReadFile(filepath.Join("examples/fine-tuning/data", data))
	if err != nil {
		return nil, fmt.Errorf("read the demo's data set (run from the checkout's root): %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, data), raw, 0o644); err != nil {
		return nil, fmt.Errorf("copy the demo's data set: %w", err)
	}
	// The command names /src/…, where the image's tree has runtimes/.
	cmd := exec.CommandContext(ctx, "env", "TUNER_WORK="+work, "hack/tuner.sh", "python3", "/src/tuner/bench/speed.py", "/work/"+data, "/work", "--rounds", strconv.Itoa(rounds))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w\n%s", cmd, err, said.Bytes()[max(0, said.Len()-4000):])
	}
	got, err := readTurns(out.Bytes())
	if err != nil {
		return nil, err
	}
	return trainerResults(got)
}

// readTurns sorts turns by their side.
func readTurns(lines []byte) (map[string][]trainerTurn, error) {
	got := map[string][]trainerTurn{}
	all := bufio.NewScanner(bytes.NewReader(lines))
	for all.Scan() {
		var t trainerTurn
		if err := json.Unmarshal(all.Bytes(), &t); err != nil {
			return nil, fmt.Errorf("read a turn %q: %w", all.Text(), err)
		}
		got[t.Side] = append(got[t.Side], t)
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("read the turns: %w", err)
	}
	return got, nil
}

func trainerResults(got map[string][]trainerTurn) ([]result, error) {
	ours, plain := got["trainer"], got["plain"]
	if len(ours) != rounds || len(plain) != rounds {
		return nil, errors.New("the trainer's script did not finish its rounds")
	}
	given := map[string]string{
		"model": "SmolLM2-135M-Instruct", "method": "qlora (nf4, double quantization, float32), r 16, batch 2, answers only, one thread",
		"plain": "SFTTrainer and PEFT as they are, on the same tokens, without recomputation and checkpoints as on our side",
		"data":  "examples/fine-tuning/data/harbour.parquet", "rounds": strconv.Itoa(rounds),
	}
	var out []result
	figure := func(name, unit string, of func(i int) float64) {
		out = append(out, result{Name: name, Value: median(of), Unit: unit, Conditions: given})
	}
	figure("trainer", "tokens/CPU s", func(i int) float64 { return ours[i].Tokens / ours[i].CPU })
	figure("TRL and PEFT as they are", "tokens/CPU s", func(i int) float64 { return plain[i].Tokens / plain[i].CPU })
	figure("trainer against TRL and PEFT, CPU time", "x", func(i int) float64 { return plain[i].CPU / ours[i].CPU })
	figure("trainer against TRL and PEFT, wall time", "x", func(i int) float64 { return plain[i].Wall / ours[i].Wall })
	return out, nil
}
