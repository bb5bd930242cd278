package tuning_test

import (
	"strings"
	"testing"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/tuning"
)

func smollm2(t *testing.T) model.Model {
	t.Helper()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := c.Lookup("smollm2-135m-instruct")
	if !ok {
		t.Fatal("the catalog has no smollm2")
	}
	return m
}

// The two configurations that the reference system ships, as users have copied them.
const (
	loraTemplate = `training_config:
  ModelConfig:
    torch_dtype: "bfloat16"
    local_files_only: true
    device_map: "auto"

  QuantizationConfig:
    load_in_4bit: false

  LoraConfig:
    r: 8
    lora_alpha: 8
    lora_dropout: 0.0

  TrainingArguments:
    output_dir: "/mnt/results"
    ddp_find_unused_parameters: false
    save_strategy: "no"
    per_device_train_batch_size: 1

  DataCollator:
    mlm: true

  DatasetConfig:
    shuffle_dataset: true
    train_test_split: 1
`
	qloraTemplate = `training_config:
  ModelConfig:
    torch_dtype: "bfloat16"
    local_files_only: true
    device_map: "auto"

  QuantizationConfig:
    load_in_4bit: true
    bnb_4bit_quant_type: "nf4"
    bnb_4bit_compute_dtype: "bfloat16"
    bnb_4bit_use_double_quant: true

  LoraConfig:
    r: 8
    lora_alpha: 8
    lora_dropout: 0.0

  TrainingArguments:
    output_dir: "/mnt/results"
    ddp_find_unused_parameters: false
    save_strategy: "no"
    per_device_train_batch_size: 1

  DataCollator:
    mlm: true

  DatasetConfig:
    shuffle_dataset: true
    train_test_split: 1
`
)

func TestTheReferencesTemplatesParse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config, method string
		bits           int
	}{
		"lora":  {loraTemplate, tuning.LoRA, 16},
		"qlora": {qloraTemplate, tuning.QLoRA, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := tuning.Parse([]byte(tc.config), tc.method, smollm2(t))
			if err != nil {
				t.Fatal(err)
			}
			if s.Load.Rank != 8 || s.Load.Batch != 1 || s.Load.Bits != tc.bits || s.MaxLength != 2048 || len(s.Load.Targets) != 7 {
				t.Errorf("load is %+v", s.Load)
			}
			for _, key := range []string{"TrainingArguments.output_dir", "ModelConfig.device_map", "DataCollator.mlm"} {
				if !strings.Contains(strings.Join(s.Ignored, "\n"), key+" (") {
					t.Errorf("%s is not among the ignored: %q", key, s.Ignored)
				}
			}
		})
	}
}

func TestWhatIsRefusedSaysWhereAndWhatInstead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, section, line string
		want                  string
	}{
		"a key that does not exist":            {tuning.QLoRA, "TrainingArguments", "learning_rte: 1", "learning_rate"},
		"a key of another section":             {tuning.QLoRA, "LoraConfig", "rank: 8", "LoraConfig"},
		"a key that is ours":                   {tuning.QLoRA, "LoraConfig", "use_dora: true", "neither llama.cpp nor vLLM serves such an adapter"},
		"text for a number":                    {tuning.QLoRA, "LoraConfig", "r: many", `is "many", which is not a whole number`},
		"a number out of bounds":               {tuning.QLoRA, "LoraConfig", "r: 0", "from 1 to 512"},
		"a value that is none of the choices":  {tuning.QLoRA, "TrainingArguments", "optim: adamw", "one of adafactor"},
		"4 bits without qlora":                 {tuning.LoRA, "QuantizationConfig", "load_in_4bit: true", "leave them out"},
		"an initialization that no one trains": {tuning.QLoRA, "LoraConfig", "init_lora_weights: orthogonal", "gaussian"},
		"a schedule without its arguments":     {tuning.QLoRA, "TrainingArguments", "lr_scheduler_type: warmup_stable_decay", "lr_scheduler_kwargs with num_decay_steps"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tuning.Parse([]byte("training_config:\n  "+tc.section+":\n    "+tc.line+"\n"), tc.method, smollm2(t))
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "line 3: ") {
				t.Errorf("the error is %v, want one of line 3 that says %q", err, tc.want)
			}
		})
	}
}

func TestAScheduleWithItsArgumentsIsTaken(t *testing.T) {
	t.Parallel()
	config := "training_config:\n  TrainingArguments:\n    lr_scheduler_type: cosine_with_min_lr\n    lr_scheduler_kwargs: {min_lr_rate: 0.1}\n"
	if _, err := tuning.Parse([]byte(config), tuning.QLoRA, smollm2(t)); err != nil {
		t.Error(err)
	}
}
