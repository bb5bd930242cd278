package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kaito.sh/kaito/internal/engine/flags"
)

// options are the flags that the stand-in itself needs; all others are only checked.
type options struct {
	folder, served string
	host, port     string
	gpus           string
	context, slots int
	patience       time.Duration
	group          group
}

// parse takes `serve FOLDER FLAGS`, as strictly as vLLM.
func parse(args []string) (options, error) {
	if len(args) == 0 || args[0] != "serve" {
		return options{}, errors.New("the only command is: serve FOLDER FLAGS")
	}
	positional, given, err := flags.VLLM().Read(args[1:])
	if err != nil {
		return options{}, err
	}
	if len(positional) != 1 {
		return options{}, fmt.Errorf("one model is served, not %q", positional)
	}
	// vLLM's own defaults.
	o := options{
		folder: positional[0], served: positional[0], host: "0.0.0.0", port: "8000", gpus: "1", context: 2048, slots: 256,
		group: group{nodes: 1, address: "127.0.0.1", port: "29501", tensor: 1, stages: 1, dp: 1},
	}
	for _, a := range given {
		if err := o.take(a); err != nil {
			return options{}, fmt.Errorf("--%s: %w", a.Flag.Name, err)
		}
	}
	return o, o.group.check()
}

// take of the group's flags says whether a flag is one of them.
func (g *group) take(name, value string) (known bool, err error) {
	numbers := map[string]*int{
		"nnodes": &g.nodes, "node-rank": &g.rank, "tensor-parallel-size": &g.tensor, "pipeline-parallel-size": &g.stages, "data-parallel-size": &g.dp,
	}
	if into, ok := numbers[name]; ok {
		*into, err = strconv.Atoi(value)
		return name != "tensor-parallel-size", err
	}
	switch name {
	case "master-addr":
		g.address = value
	case "master-port":
		g.port = value
	default:
		return false, nil
	}
	return true, nil
}

func (o *options) take(a flags.Argument) error {
	if a.Flag.Name == "headless" {
		o.group.headless = !a.Off
	}
	if len(a.Values) == 0 {
		return nil
	}
	value := a.Values[0]
	if known, err := o.group.take(a.Flag.Name, value); known || err != nil {
		return err
	}
	return o.set(a.Flag.Name, value)
}

func (o *options) set(name, value string) (err error) {
	switch name {
	case "served-model-name":
		o.served = value
	case "host":
		o.host = value
	case "port":
		o.port = value
	case "tensor-parallel-size":
		o.gpus = value
	case "max-model-len":
		o.context, err = strconv.Atoi(value)
	case "max-num-seqs":
		o.slots, err = strconv.Atoi(value)
	case "shutdown-timeout":
		var seconds int
		seconds, err = strconv.Atoi(value)
		o.patience = time.Duration(seconds) * time.Second
	case "gpu-memory-utilization":
		// vLLM's parser takes any number; its engine ends at once.
		if part, e := strconv.ParseFloat(value, 64); e != nil || part <= 0 || part > 1 {
			err = fmt.Errorf("%s is no part of the memory", value)
		}
	}
	return err
}

// checkModel reads what vLLM reads first.
func checkModel(o options) error {
	data, err := os.ReadFile(filepath.Join(o.folder, "config.json"))
	if err != nil {
		return fmt.Errorf("read the model: %w", err)
	}
	var config struct {
		Architectures []string `json:"architectures"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("read the model's config.json: %w", err)
	}
	table := flags.VLLM()
	for _, a := range config.Architectures {
		if table.Serves(a) {
			return weights(o.folder)
		}
	}
	return fmt.Errorf("model architectures %q are not supported", config.Architectures)
}

func weights(folder string) error {
	found, err := filepath.Glob(filepath.Join(folder, "*.safetensors"))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("cannot find any model weights with %q", folder)
	}
	return err
}
