package main

// intro is what stands above the tables.
const intro = `# training_config.yaml

` + "`tuning.config`" + ` names a ConfigMap in the Workspace's namespace; its key ` + "`training_config.yaml`" + ` holds settings for the trainer. All of it may be
left out: without a ConfigMap, a section or a key, the defaults below are used.

` + "```yaml" + `
apiVersion: v1
kind: ConfigMap
metadata:
  name: training-settings
data:
  training_config.yaml: |
    training_config:
      LoraConfig:
        r: 8
      TrainingArguments:
        num_train_epochs: 1
        learning_rate: 5.0e-4
` + "```" + `

The file is checked before anything runs. Sections, keys and values that do not exist are all told at once, each with its line and the nearest name
that does, and the Workspace is ` + "`Accepted=False`" + ` with reason ` + "`InvalidSettings`" + `.

**null** as a default means that the trainer decides when it knows machine and rows; what it decides stands in the last column.

**On a CPU everything is computed in float32** unless the CPU has instructions for bfloat16. **GPUs without bfloat16** compute in float16. A file that names bfloat16
is held to the same, since it is most often a copy of one that was written for another machine.

This page is made from the same table as the check (` + "`go generate ./internal/tuning`" + `); the table is made from the libraries in the tuner image: %s.
`

// about says what each section is, by its name.
func about() map[string]string {
	return map[string]string{
		"ModelConfig":        "How the base model is loaded.",
		"QuantizationConfig": "How the base is packed with `method: qlora`. With `lora` it must not ask for 4 or 8 bits.",
		"LoraConfig":         "The adapter.",
		"TrainingArguments":  "The training.",
		"DatasetConfig":      "Which columns are read, in which order, and how many rows are held out.",
		"DataCollator":       "How rows become batches.",
	}
}

// words say what a key does, by section and key. Every key that a user may set has some.
func words() map[string]map[string]string {
	return map[string]map[string]string{
		"ModelConfig": {
			"chat_template": "A jinja template that goes before the model's own, for training and for what is counted",
			"torch_dtype":   "The numbers of the weights as they are loaded; `auto` is what the machine is good at",
		},
		"QuantizationConfig": {
			"bnb_4bit_compute_dtype":    "What 4-bit weights are unpacked to; null: as the training computes",
			"bnb_4bit_quant_storage":    "In what 4-bit weights are stored; null: uint8",
			"bnb_4bit_quant_type":       "The kind of 4-bit numbers",
			"bnb_4bit_use_double_quant": "The scales of 4-bit numbers are packed too",
			"llm_int8_skip_modules":     "Layers that stay as they are; null: the head",
			"llm_int8_threshold":        "Above which size a value stays in 16 bits, with 8 bits",
			"load_in_4bit":              "The base in 4 bits",
			"load_in_8bit":              "The base in 8 bits, in place of 4",
			"quant_method":              "The library",
		},
		"LoraConfig": {
			"bias":                "No engine serves adapters with biases",
			"exclude_modules":     "Layers that stay without an adapter",
			"fan_in_fan_out":      "For layers that store weights the other way round; no model of the catalog has any",
			"init_lora_weights":   "How adapters begin",
			"layers_pattern":      "The name of the list of layers, where `layers_to_transform` is set",
			"layers_to_transform": "Numbers of the blocks that get adapters; null: all",
			"lora_alpha":          "The adapter's strength: what it adds is scaled by `lora_alpha / r`",
			"lora_dropout":        "The share of inputs that is left out at each step",
			"r":                   "The rank: how much an adapter can learn, and how large it is",
			"target_modules":      "The layers that get adapters, by name; `all-linear`: those that the catalog names for the model",
			"task_type":           "Models that write text",
			"use_rslora":          "Scale by `lora_alpha / √r`",
		},
		"TrainingArguments": trainingWords(),
		"DatasetConfig": {
			"context_column":   "The column of questions; needs `response_column`",
			"messages_column":  "The column of conversations",
			"response_column":  "The column of answers; alone, the column of texts",
			"shuffle_dataset":  "Mix the rows",
			"shuffle_seed":     "The seed of that order",
			"train_test_split": "The share of rows that is trained; the others are held out for `eval_strategy`",
		},
		"DataCollator": {
			"pad_to_multiple_of": "Batches as long as a multiple of this; null: as long as their longest row",
		},
	}
}

func trainingWords() map[string]string {
	return map[string]string{
		"adam_beta1":                    "How long Adam remembers gradients",
		"adam_beta2":                    "How long Adam remembers their squares",
		"adam_epsilon":                  "What keeps Adam from dividing by zero",
		"bf16":                          "Compute in bfloat16; null: where the machine has it",
		"bf16_full_eval":                "Evaluate in bfloat16 alone",
		"data_seed":                     "The seed of the rows' order at each epoch; null: `seed`",
		"dataloader_drop_last":          "Leave out the last batch of an epoch where it is not full",
		"dataloader_pin_memory":         "Batches in memory that a GPU reads faster; no matter on a CPU",
		"eval_accumulation_steps":       "How many steps of an evaluation stay on the GPU",
		"eval_delay":                    "Steps or epochs before the first evaluation",
		"eval_on_start":                 "Evaluate before the first step",
		"eval_steps":                    "Steps between evaluations; null: `logging_steps`",
		"eval_strategy":                 "When held-out rows are evaluated; needs `DatasetConfig.train_test_split` below 1",
		"fp16":                          "Compute in float16; null: on GPUs without bfloat16",
		"fp16_full_eval":                "Evaluate in float16 alone",
		"full_determinism":              "Slower ways to compute that give the same result each time on a GPU as well",
		"gradient_accumulation_steps":   "Batches that make one step",
		"gradient_checkpointing":        "Compute activations again instead of keeping them: less memory, a third more time; null: on GPUs",
		"gradient_checkpointing_kwargs": "How that is done",
		"label_smoothing_factor":        "How much of each answer's probability is spread over all tokens",
		"learning_rate":                 "The size of a step at its largest",
		"logging_first_step":            "Tell the loss of the first step too",
		"logging_steps":                 "Steps between two points of the loss curve; null: such that there are about 200 points",
		"loss_type":                     "`nll`: the usual one; `dft`: weighted by the model's own confidence",
		"lr_scheduler_kwargs":           "Arguments of the schedule",
		"lr_scheduler_type":             "How the learning rate goes from its largest to the end",
		"max_grad_norm":                 "The length to which gradients are cut",
		"max_length":                    "The most tokens of a row; longer rows are skipped and counted; null: the model's context, at most 2048",
		"max_steps":                     "How many steps; above 0 it goes before `num_train_epochs`",
		"neftune_noise_alpha":           "How much noise embeddings get; null: none",
		"num_train_epochs":              "How often each row is seen",
		"optim":                         "The optimizer; those in 8 bits and the paged ones are for GPUs",
		"optim_args":                    "Arguments of the optimizer",
		"per_device_eval_batch_size":    "Rows of one batch of an evaluation",
		"per_device_train_batch_size":   "Rows of one batch",
		"router_aux_loss_coef":          "The weight of the router's loss in models with experts",
		"save_steps":                    "Steps between checkpoints, or a share of all below 1; null: a tenth of all",
		"save_strategy":                 "When a checkpoint is written; with `no` a run that is interrupted begins again",
		"save_total_limit":              "How many checkpoints are kept",
		"seed":                          "The seed of everything that is drawn",
		"tf32":                          "Whether GPUs may multiply in TF32; null: the library's choice",
		"torch_empty_cache_steps":       "Steps between two times that unused GPU memory is given back; null: never",
		"train_sampling_strategy":       "The order of rows; null: `random`, or `sequential` where `DatasetConfig.shuffle_dataset` is false",
		"warmup_steps":                  "Steps in which the learning rate grows, or a share of all below 1",
		"weight_decay":                  "How much weights shrink at each step",
	}
}
