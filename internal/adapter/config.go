package adapter

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	kjson "sigs.k8s.io/json"
)

// maxRank is beyond what anybody trains; the rank of a weight is at most its smaller side.
const maxRank = 1 << 16

// config is what we read of adapter_config.json. PEFT adds fields with every release:
// those that are not here do not matter to us.
type config struct {
	PeftType     string             `json:"peft_type"`
	TaskType     string             `json:"task_type"`
	Base         string             `json:"base_model_name_or_path"`
	Revision     string             `json:"revision"`
	Rank         int                `json:"r"`
	Alpha        *float64           `json:"lora_alpha"`
	RSLoRA       bool               `json:"use_rslora"`
	DoRA         bool               `json:"use_dora"`
	Bias         string             `json:"bias"`
	Saved        []string           `json:"modules_to_save"`
	RankPattern  map[string]int     `json:"rank_pattern"`
	AlphaPattern map[string]float64 `json:"alpha_pattern"`
	Init         json.RawMessage    `json:"init_lora_weights"`
	Tokens       json.RawMessage    `json:"trainable_token_indices"`
	Replicated   json.RawMessage    `json:"layer_replication"`
}

// parseConfig reads adapter_config.json. Names are told apart by case, as PEFT does.
func parseConfig(raw []byte) (config, error) {
	var c config
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &c); err != nil {
		return config{}, unusable(ConfigFile, "is not the configuration of an adapter: %v", err)
	}
	switch {
	case c.PeftType != "LORA":
		return config{}, unusable(ConfigFile, "peft_type is %q, only LORA can be used", c.PeftType)
	case c.TaskType != "" && c.TaskType != "CAUSAL_LM":
		return config{}, unusable(ConfigFile, "task_type is %q, only CAUSAL_LM can be used", c.TaskType)
	case c.Rank < 1 || c.Rank > maxRank:
		return config{}, unusable(ConfigFile, "r is %d, a rank is at least 1 and at most %d", c.Rank, maxRank)
	case c.Alpha == nil:
		return config{}, unusable(ConfigFile, "lora_alpha is missing")
	case set(c.Replicated):
		return config{}, unusable(ConfigFile, "layer_replication builds another model than the base, which cannot be served")
	}
	if err := c.patterns(); err != nil {
		return config{}, err
	}
	return c, nil
}

// patterns checks what modules have of their own.
func (c config) patterns() error {
	for _, name := range sortedKeys(c.RankPattern) {
		if r := c.RankPattern[name]; r < 1 || r > maxRank {
			return unusable(ConfigFile, "rank_pattern of %q is %d, a rank is at least 1 and at most %d", name, r, maxRank)
		}
	}
	for _, name := range append(sortedKeys(c.AlphaPattern), "") {
		if a, ok := c.AlphaPattern[name]; ok && !finite(a) || !finite(*c.Alpha) {
			return unusable(ConfigFile, "an alpha is no number")
		}
	}
	return nil
}

// ranks are all that modules may have.
func (c config) ranks() []uint64 {
	out := []uint64{uint64(c.Rank)}
	for _, r := range c.RankPattern {
		out = append(out, uint64(r))
	}
	return out
}

// init is the word that init_lora_weights holds; true and false are none.
func (c config) init() string {
	var word string
	if json.Unmarshal(c.Init, &word) != nil {
		return ""
	}
	return word
}

// set says whether a field is there and not null, false or empty.
func set(raw json.RawMessage) bool {
	return !slices.Contains([]string{"", "null", "false", "[]", "{}"}, string(raw))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// String is for messages.
func (c config) String() string { return fmt.Sprintf("rank %d on %q", c.Rank, c.Base) }
