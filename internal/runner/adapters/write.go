package adapters

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/loragguf"
	"kaito.sh/kaito/internal/runner/contract"
)

// writeGGUF writes the adapter as llama.cpp loads it. Its strength is told with each request.
func (o Options) writeGGUF(a contract.Adapter, w *adapter.Weights) error {
	b := o.Serve.AdapterBase
	return whole(filepath.Join(o.Dir, filepath.Base(contract.AdapterGGUF(a.Name))), func(out io.Writer) error {
		return loragguf.Write(out, w, loragguf.Base{
			Architecture: b.Architecture, Layers: b.Layers, Heads: b.Heads, KVHeads: b.KVHeads, HeadDim: b.HeadDim, Hidden: b.Hidden, MLP: b.MLP,
		})
	})
}

// writePEFT writes the adapter's two files. vLLM cannot scale an adapter, so the strength
// goes into its alpha.
func (o Options) writePEFT(a contract.Adapter, w *adapter.Weights) error {
	dir := filepath.Join(o.Dir, filepath.Base(contract.AdapterPEFT(a.Name)))
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return fmt.Errorf("make the adapter's folder: %w", err)
	}
	config := w.Config()
	if scale := a.Scale(); scale != 1 {
		var err error
		if config, err = scaled(config, w.Facts().Alpha*scale); err != nil {
			return err
		}
	}
	err := whole(filepath.Join(dir, adapter.WeightsFile), func(out io.Writer) error {
		_, err := io.Copy(out, w.Raw())
		return err
	})
	if err != nil {
		return err
	}
	return whole(filepath.Join(dir, adapter.ConfigFile), func(out io.Writer) error {
		_, err := out.Write(config)
		return err
	})
}

// scaled is a configuration with another alpha; all else stays as it was written.
func scaled(config []byte, alpha float64) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("read %q: %w", adapter.ConfigFile, err)
	}
	number, err := json.Marshal(alpha)
	if err != nil {
		return nil, fmt.Errorf("scale the adapter: %w", err)
	}
	fields["lora_alpha"] = number
	out, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("scale the adapter: %w", err)
	}
	return append(out, '\n'), nil
}

// whole writes a file that is there only when all of it is.
func whole(name string, write func(io.Writer) error) error {
	part := name + ".part"
	file, err := os.Create(part)
	if err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	defer func() { _ = os.Remove(part) }()
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	if err := os.Rename(part, name); err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	return nil
}
