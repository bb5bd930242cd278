package modelimage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxConfig is the most that config.json and the shard index may have: the index
// of the largest published model is below 20 MB.
const maxConfig = 32 << 20

// count is a JSON number that counts something. Python writes 8192.0 at times,
// NaN and Infinity at others; only whole numbers are counts.
type count int64

// UnmarshalJSON accepts 30 and 30.0 and null, and refuses 30.5, 1e400 and "30".
func (c *count) UnmarshalJSON(b []byte) error {
	text := string(b)
	if text == "null" {
		return nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		*c = count(n)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -(1<<53) {
		return fmt.Errorf("%s is not a whole number", text)
	}
	*c = count(f)
	return nil
}

// configFile is what we read of config.json; the rest is the engines' business.
type configFile struct {
	Architectures []string    `json:"architectures"`
	ModelType     string      `json:"model_type"`
	Layers        count       `json:"num_hidden_layers"`
	Heads         count       `json:"num_attention_heads"`
	KVHeads       count       `json:"num_key_value_heads"`
	HeadDim       count       `json:"head_dim"`
	Hidden        count       `json:"hidden_size"`
	Vocabulary    count       `json:"vocab_size"`
	Context       count       `json:"max_position_embeddings"`
	TorchDtype    string      `json:"torch_dtype"`
	Dtype         string      `json:"dtype"`
	Text          *configFile `json:"text_config"`
	Quantization  *struct {
		Method string `json:"quant_method"`
	} `json:"quantization_config"`
}

// parseConfig reads the facts of a config.json.
func parseConfig(raw []byte) (Facts, error) {
	if len(raw) > maxConfig {
		return Facts{}, fmt.Errorf("it has %d bytes, at most %d make sense", len(raw), maxConfig)
	}
	var c configFile
	if err := strictJSON(raw, &c); err != nil {
		return Facts{}, err
	}
	// Models with several towers keep the language model's shape one level down.
	t := &c
	if c.Text != nil && c.Layers == 0 {
		t = c.Text
	}
	f := Facts{
		Form:       FormHF,
		Layers:     int64(t.Layers),
		Heads:      int64(t.Heads),
		KVHeads:    int64(t.KVHeads),
		HeadDim:    int64(t.HeadDim),
		Hidden:     int64(t.Hidden),
		Vocabulary: int64(t.Vocabulary),
		Context:    int64(t.Context),
	}
	if len(c.Architectures) > 0 {
		f.Architecture = c.Architectures[0]
	}
	if f.Architecture == "" {
		f.Architecture = c.ModelType
	}
	if f.KVHeads == 0 {
		f.KVHeads = f.Heads
	}
	if f.HeadDim == 0 && f.Heads > 0 {
		f.HeadDim = f.Hidden / f.Heads
	}
	if c.Quantization != nil {
		f.Quantization = strings.ToLower(c.Quantization.Method)
	}
	return f, checkShape(f)
}

// strictJSON is json.Unmarshal with the place of a mistake, and with the reason
// that is behind most of them.
func strictJSON(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line := 1 + bytes.Count(raw[:min(int(syntax.Offset), len(raw))], []byte("\n"))
		rest := raw[max(0, min(int(syntax.Offset)-1, len(raw))):]
		for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
			if bytes.HasPrefix(rest, []byte(word)) {
				return fmt.Errorf("line %d holds %s, which is not a number", line, word)
			}
		}
		return fmt.Errorf("line %d is not JSON: %w", line, err)
	}
	return fmt.Errorf("not as expected: %w", err)
}
