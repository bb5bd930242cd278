"""What Kaito says about settings beyond what their libraries say.

Our defaults, bounds, and the keys that are ours: those that would break a run, or make
an adapter that nothing can serve. ``kaito_tuner.options`` joins this with the classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = bool | int | float | str | list[Any] | dict[str, Any] | None

# Sections in the order in which people write them.
SECTIONS = ("ModelConfig", "QuantizationConfig", "LoraConfig", "TrainingArguments", "DatasetConfig", "DataCollator")

DTYPES = ("bfloat16", "float16", "float32")

# Optimizers whose code is in the image.
OPTIMIZERS = (
    "adafactor",
    "adagrad",
    "adamw_8bit",
    "adamw_torch",
    "adamw_torch_fused",
    "lion_32bit",
    "lion_8bit",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
    "paged_lion_32bit",
    "paged_lion_8bit",
    "rmsprop",
    "sgd",
)

# Schedules that need no evaluation. The operator asks for the arguments that some of them need.
SCHEDULERS = (
    "constant",
    "constant_with_warmup",
    "cosine",
    "cosine_with_min_lr",
    "cosine_with_restarts",
    "inverse_sqrt",
    "linear",
    "polynomial",
    "warmup_stable_decay",
)


@dataclass(frozen=True)
class Rule:
    """One key's deviations from its library."""

    # The default where ours is another; absent keys keep the library's.
    default: JSON = None
    has_default: bool = False
    # The default with method qlora, where it is another.
    qlora: JSON = None
    has_qlora: bool = False
    choices: tuple[JSON, ...] | None = None
    least: float | None = None
    most: float | None = None
    # Kinds for keys whose library names no type.
    kinds: tuple[str, ...] = ()
    # Why users may not set it; empty where they may.
    owned: str = ""
    # An owned key that old configurations carry: taken, without any effect.
    ignored: bool = False


def ours(reason: str, *keys: str, ignored: bool = False) -> dict[str, Rule]:
    """Mark keys as owned for one reason."""
    return {key: Rule(owned=reason, ignored=ignored) for key in keys}


def default(value: JSON, **more: Any) -> Rule:
    """Set our own default."""
    return Rule(default=value, has_default=True, **more)


def qlora(value: JSON, **more: Any) -> Rule:
    """Set the default with method qlora."""
    return Rule(qlora=value, has_qlora=True, **more)


_WEIGHTS = "the weights are fetched and proved before the trainer starts"
_PROGRESS = "the run is told by the Workspace's status"
_HUB = "the adapter goes where tuning.output says"
_ROWS = "rows are tokenized and masked by the check, each whole and on answers only"
_CHECKPOINTS = "checkpoints are Kaito's, so that a run goes on where it stopped"
_ONE_NODE = "a run has one process on one node"
_SERVING = "neither llama.cpp nor vLLM serves such an adapter"
_BASE = "it changes the base model, so that the adapter would not fit the published weights"
_LAST = "the adapter of the last step is published"
_COMPILER = "the image has no compiler for it"
_MASKED = "a causal model is trained on answers, without masked words"

MODEL: Mapping[str, Rule] = {
    **ours(_WEIGHTS, "cache_dir", "force_download", "local_files_only", "output_loading_info", ignored=True),
    **ours(_WEIGHTS, "proxies", "state_dict"),
    **ours("tuning.preset names the model", "pretrained_model_name_or_path", "revision", ignored=True),
    **ours("no code from model repositories is ever run", "trust_remote_code"),
    **ours("the trainer uses the GPU when there is one", "device_map", ignored=True),
    "torch_dtype": Rule(choices=("auto", *DTYPES)),
}

QUANTIZATION: Mapping[str, Rule] = {
    "quant_method": Rule(default="bitsandbytes", has_default=True, kinds=("string",), choices=("bitsandbytes",)),
    "load_in_4bit": qlora(True),
    "bnb_4bit_quant_type": default("nf4", choices=("nf4", "fp4")),
    "bnb_4bit_use_double_quant": default(True),
    "bnb_4bit_compute_dtype": Rule(kinds=("string",), choices=DTYPES),
    "bnb_4bit_quant_storage": Rule(kinds=("string",), choices=("uint8", *DTYPES)),
    "llm_int8_skip_modules": Rule(kinds=("list",)),
    "llm_int8_enable_fp32_cpu_offload": Rule(owned="weights on two devices are not planned for"),
    "llm_int8_has_fp16_weight": Rule(owned="adapters are trained, not the weights"),
}

LORA: Mapping[str, Rule] = {
    "r": default(16, least=1, most=512),
    "lora_alpha": default(32, least=1),
    "lora_dropout": Rule(least=0, most=0.99),
    "target_modules": default("all-linear"),
    "task_type": default("CAUSAL_LM", kinds=("string",), choices=("CAUSAL_LM",)),
    "bias": Rule(kinds=("string",), choices=("none",)),
    "init_lora_weights": Rule(kinds=("bool", "string"), choices=(True, False, "gaussian")),
    "layers_to_transform": Rule(kinds=("list", "int")),
    **ours(
        "Kaito writes it into adapter_config.json",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        ignored=True,
    ),
    **ours("PEFT writes it", "auto_mapping", "peft_type", "peft_version", ignored=True),
    **ours(
        _SERVING,
        "alora_invocation_tokens",
        "alpha_pattern",
        "arrow_config",
        "ensure_weight_tying",
        "kasa_config",
        "lora_bias",
        "modules_to_save",
        "monteclora_config",
        "qalora_group_size",
        "rank_pattern",
        "target_parameters",
        "trainable_token_indices",
        "use_bdlora",
        "use_dora",
        "use_qalora",
        "velora_config",
    ),
    **ours(_BASE, "corda_config", "eva_config", "layer_replication", "loftq_config", "lora_ga_config"),
    **ours(_ONE_NODE, "megatron_config", "megatron_core", "runtime_config"),
}

TRAINING: Mapping[str, Rule] = {
    "num_train_epochs": default(3.0, least=0.001),
    "max_steps": Rule(least=-1),
    "per_device_train_batch_size": default(2, least=1),
    "gradient_accumulation_steps": default(1, least=1),
    "learning_rate": default(2e-4, least=0),
    "warmup_steps": default(0.03, least=0),
    "weight_decay": Rule(least=0),
    "max_grad_norm": Rule(least=0),
    "optim": Rule(choices=OPTIMIZERS),
    # What is null here the trainer decides when it knows the machine and the rows.
    "gradient_checkpointing": default(None),
    "bf16": default(None),
    "fp16": default(None),
    "logging_steps": default(None, least=0),
    "save_steps": default(None, least=0),
    "train_sampling_strategy": default(None, choices=("random", "sequential", "group_by_length")),
    "max_length": default(None, least=1),
    "save_total_limit": default(2, least=1),
    "save_strategy": Rule(choices=("no", "steps", "epoch")),
    "eval_strategy": Rule(choices=("no", "steps", "epoch")),
    "eval_steps": Rule(least=0),
    "per_device_eval_batch_size": default(2, least=1),
    "seed": Rule(least=0),
    "data_seed": Rule(least=0),
    "lr_scheduler_type": Rule(choices=SCHEDULERS),
    "loss_type": Rule(choices=("nll", "dft")),
    "label_smoothing_factor": Rule(least=0, most=1),
    **ours("the adapter is written to /results", "output_dir", ignored=True),
    **ours(
        _HUB,
        "push_to_hub",
        "hub_token",
        "hub_private_repo",
        "hub_model_id",
        "hub_strategy",
        "hub_always_push",
        "hub_revision",
    ),
    **ours(
        _PROGRESS,
        "disable_tqdm",
        "include_num_input_tokens_seen",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "logging_dir",
        "logging_nan_inf_filter",
        "logging_strategy",
        "report_to",
        "run_name",
        "skip_memory_metrics",
        ignored=True,
    ),
    **ours(_PROGRESS, "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "debug"),
    **ours(
        _CHECKPOINTS,
        "enable_jit_checkpoint",
        "ignore_data_skip",
        "restore_callback_states_from_checkpoint",
        "resume_from_checkpoint",
        "save_on_each_node",
        "save_only_model",
    ),
    **ours(_ONE_NODE, "ddp_find_unused_parameters", "ddp_backend", "ddp_timeout", "local_rank", ignored=True),
    **ours(
        _ONE_NODE,
        "accelerator_config",
        "average_tokens_across_devices",
        "ddp_broadcast_buffers",
        "ddp_bucket_cap_mb",
        "ddp_static_graph",
        "deepspeed",
        "fsdp",
        "fsdp_config",
        "parallelism_config",
    ),
    **ours(
        _ROWS,
        "assistant_only_loss",
        "chat_template_path",
        "completion_only_loss",
        "dataset_kwargs",
        "dataset_num_proc",
        "dataset_text_field",
        "eos_token",
        "eval_packing",
        "label_names",
        "length_column_name",
        "pad_token",
        "packing",
        "packing_strategy",
        "padding_free",
        "remove_unused_columns",
        "shuffle_dataset",
        "truncation_mode",
    ),
    **ours("rows are in memory, another process would bring none sooner", "dataloader_num_workers", ignored=True),
    **ours("rows are in memory", "dataloader_persistent_workers", "dataloader_prefetch_factor"),
    **ours("the trainer uses the GPU when there is one", "use_cpu", ignored=True),
    **ours("training is what a run does", "do_train", "do_eval", "do_predict", ignored=True),
    **ours(_LAST, "greater_is_better", "load_best_model_at_end", "metric_for_best_model"),
    **ours(
        "only the loss is told",
        "batch_eval_metrics",
        "eval_do_concat_batches",
        "eval_use_gather_object",
        "include_for_metrics",
        "prediction_loss_only",
    ),
    **ours(_COMPILER, "torch_compile", "torch_compile_backend", "torch_compile_mode"),
    **ours("its kernels are not in the image", "use_liger_kernel", "liger_kernel_config"),
    **ours("training reads every row anew", "use_cache"),
    **ours("its optimizers are not in the image", "optim_target_modules"),
    **ours("the plan's memory would no longer hold", "auto_find_batch_size", "activation_offloading"),
    **ours("it would be read in place of warmup_steps", "warmup_ratio"),
    **ours("DataCollator.pad_to_multiple_of says it", "pad_to_multiple_of"),
    **ours("ModelConfig says how the model is loaded", "model_init_kwargs", "trust_remote_code"),
}

DATASET: Mapping[str, Rule] = {
    **ours("tuning.input names the data; all its files are read", "dataset_path", "dataset_extension", ignored=True),
    "shuffle_seed": Rule(least=0),
    "train_test_split": Rule(least=0.01, most=1),
}

COLLATOR: Mapping[str, Rule] = {
    "pad_to_multiple_of": Rule(least=1),
    **ours(
        _MASKED,
        "mlm",
        "mlm_probability",
        "mask_replace_prob",
        "random_replace_prob",
        "return_tensors",
        "seed",
        "tf_experimental_compile",
        ignored=True,
    ),
}

RULES: Mapping[str, Mapping[str, Rule]] = dict(
    zip(SECTIONS, (MODEL, QUANTIZATION, LORA, TRAINING, DATASET, COLLATOR), strict=True)
)


@dataclass
class Option:
    """One key of a section, as the operator reads it."""

    kind: str
    default: JSON
    also: list[str] = field(default_factory=list)
    nullable: bool = False
    qlora: JSON = None
    has_qlora: bool = False
    choices: list[JSON] = field(default_factory=list)
    least: float | None = None
    most: float | None = None
    owned: bool = False
    ignored: bool = False
    reason: str = ""

    def json(self) -> dict[str, JSON]:
        """Write it without what says nothing."""
        said: dict[str, JSON] = {"kind": self.kind}
        if self.also:
            said["also"] = list(self.also)
        if self.nullable:
            said["nullable"] = True
        said["default"] = self.default
        if self.has_qlora:
            said["qlora"] = self.qlora
        if self.choices:
            said["choices"] = list(self.choices)
        for name, bound in (("least", self.least), ("most", self.most)):
            if bound is not None:
                said[name] = bound
        if self.owned:
            said["owned"] = True
            if self.ignored:
                said["ignored"] = True
            said["reason"] = self.reason
        return said
