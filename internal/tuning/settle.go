package tuning

import (
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// usualLength is the most tokens of a row unless the user says otherwise: longer rows
// are rare in chats, and memory grows with them.
const usualLength = 2048

// allLinear is PEFT's word for every linear layer of the blocks.
const allLinear = "all-linear"

// settle looks at what values say together, and derives what nobody has said.
func (r *reader) settle() Settings {
	r.rules()
	s := Settings{Values: r.values, Ignored: r.ignored, MaxLength: r.maxLength()}
	targets := r.targets()
	r.values[sectionTraining]["max_length"] = int64(s.MaxLength)
	r.values[sectionLoRA]["target_modules"] = anyOf(targets)
	s.Load = model.TuneLoad{
		Bits: r.bits(), Batch: r.whole(sectionTraining, "per_device_train_batch_size", 1), Length: s.MaxLength,
		Rank: r.whole(sectionLoRA, "r", 1), Targets: targets,
	}
	if recompute, said := r.values[sectionTraining]["gradient_checkpointing"].(bool); said {
		s.Load.Recompute = &recompute
	}
	return s
}

// rules are those that concern more than one key.
func (r *reader) rules() {
	four, eight := r.on(sectionQuantization, "load_in_4bit"), r.on(sectionQuantization, "load_in_8bit")
	said := func(section, key string) int { return r.lines[section+"."+key] }
	line := max(said(sectionQuantization, "load_in_4bit"), said(sectionQuantization, "load_in_8bit"))
	switch {
	case r.method == LoRA && (four || eight):
		r.problem(line, "QuantizationConfig.load_in_4bit and load_in_8bit are for tuning.method qlora, and this Workspace's is lora: leave them out")
	case r.method == QLoRA && eight && said(sectionQuantization, "load_in_4bit") == 0:
		r.values[sectionQuantization]["load_in_4bit"] = false
	case r.method == QLoRA && four == eight:
		r.problem(line, "QuantizationConfig must have exactly one of load_in_4bit and load_in_8bit true for tuning.method qlora")
	}
	r.numbers()
	r.evaluation()
	r.schedule()
	r.columns()
}

// numbers are those that a run computes in.
func (r *reader) numbers() {
	if r.on(sectionTraining, "bf16") && r.on(sectionTraining, "fp16") {
		r.problem(r.lines[sectionTraining+".fp16"], "TrainingArguments.bf16 and fp16 exclude each other: leave one out")
	}
}

// evaluation needs rows that are not trained.
func (r *reader) evaluation() {
	if strategy, _ := r.values[sectionTraining]["eval_strategy"].(string); strategy != "" && strategy != "no" {
		if part, ok := decimal(r.values[sectionDataset]["train_test_split"]); ok && part == 1 {
			r.problem(r.lines[sectionTraining+".eval_strategy"], "TrainingArguments.eval_strategy needs rows to evaluate with: set DatasetConfig.train_test_split below 1")
		}
	}
}

// schedule asks for the arguments that a schedule of the learning rate cannot do without.
func (r *reader) schedule() {
	name, _ := r.values[sectionTraining]["lr_scheduler_type"].(string)
	needs := map[string][]string{"cosine_with_min_lr": {"min_lr_rate", "min_lr"}, "warmup_stable_decay": {"num_decay_steps"}}[name]
	has, _ := r.values[sectionTraining]["lr_scheduler_kwargs"].(map[string]any)
	if len(needs) > 0 && !slices.ContainsFunc(needs, func(key string) bool { return has[key] != nil }) {
		r.problem(r.lines[sectionTraining+".lr_scheduler_type"], "TrainingArguments.lr_scheduler_type %s needs TrainingArguments.lr_scheduler_kwargs with %s",
			name, strings.Join(needs, " or "))
	}
}

// columns are read as one conversation, or as a question and its answer.
func (r *reader) columns() {
	said := func(key string) int { return r.lines[sectionDataset+"."+key] }
	if said("messages_column") > 0 && max(said("context_column"), said("response_column")) > 0 {
		r.problem(said("messages_column"), "DatasetConfig.messages_column excludes context_column and response_column: name the conversation, or the question and its answer")
	}
	if said("context_column") > 0 && said("response_column") == 0 {
		r.problem(said("context_column"), "DatasetConfig.context_column needs response_column: name the column of the answers too")
	}
}

func (r *reader) maxLength() int {
	const key = sectionTraining + ".max_length"
	length, said := r.values[sectionTraining]["max_length"].(int64)
	if !said {
		return min(r.model.Context, usualLength)
	}
	if length > int64(r.model.Context) {
		r.problem(r.lines[key], "%s is %d, and model %q takes at most %d", key, length, r.model.ID, r.model.Context)
		return r.model.Context
	}
	return int(length)
}

// targets are the layers that the adapter changes: those of the catalog unless the
// user names some of them.
func (r *reader) targets() []string {
	const key = sectionLoRA + ".target_modules"
	var has []string
	if r.model.Tuning != nil {
		has = r.model.Tuning.Targets
	}
	names, said := r.values[sectionLoRA]["target_modules"].([]any)
	if text, one := r.values[sectionLoRA]["target_modules"].(string); one && text != allLinear {
		names, said = []any{text}, true
	}
	if !said {
		return has
	}
	var chosen []string
	for _, n := range names {
		name := fmt.Sprint(n)
		switch {
		case !slices.Contains(has, name):
			r.problem(r.lines[key], "%s: model %q has no layer %q: name some of %s, or write %s", key, r.model.ID, name, strings.Join(has, ", "), allLinear)
		case !slices.Contains(chosen, name):
			chosen = append(chosen, name)
		}
	}
	if len(names) == 0 {
		r.problem(r.lines[key], "%s is empty: name some of %s, or write %s", key, strings.Join(has, ", "), allLinear)
	}
	return chosen
}

// bits are those of a number of the base model while it is trained on.
func (r *reader) bits() int {
	const whole, half, eighth, fourth = 32, 16, 8, 4
	switch {
	case r.on(sectionQuantization, "load_in_4bit"):
		return fourth
	case r.on(sectionQuantization, "load_in_8bit"):
		return eighth
	case r.values[sectionModel]["torch_dtype"] == "float32":
		return whole
	}
	return half
}

func (r *reader) on(section, key string) bool { return r.values[section][key] == true }

func (r *reader) whole(section, key string, otherwise int) int {
	if n, ok := decimal(r.values[section][key]); ok {
		return int(n)
	}
	return otherwise
}

func anyOf(names []string) []any {
	all := []any{}
	for _, n := range names {
		all = append(all, n)
	}
	return all
}
