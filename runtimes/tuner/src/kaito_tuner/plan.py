"""From settings, rows and machine to what the libraries are told. Pure: no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kaito_tuner.job import LORA, QLORA, Job
from kaito_tuner.problem import CONFIG_INVALID, ProblemError
from kaito_tuner.rules import RULES

# About how many checkpoints a run writes, and how many points its curve has.
CHECKPOINTS, POINTS = 10, 200

# Settings of these sections that are null leave the choice to the library.
TRAINING, LORA_SECTION, QUANTIZATION = "TrainingArguments", "LoraConfig", "QuantizationConfig"

# Settings that this module turns into others.
_DERIVED = frozenset(
    {
        "bf16",
        "fp16",
        "gradient_checkpointing",
        "logging_steps",
        "max_length",
        "save_steps",
        "save_total_limit",
        "train_sampling_strategy",
    }
)


@dataclass(frozen=True)
class Machine:
    """What the trainer runs on."""

    gpus: int = 0
    # Whether it has instructions for bfloat16. A CPU without them computes in it too, at half the
    # speed of float32 and down to a hundredth.
    bfloat16: bool = False


@dataclass(frozen=True)
class Precision:
    """In what numbers a run computes."""

    # Of the weights as they are loaded, and of what 4-bit weights are unpacked to.
    weights: str
    compute: str
    bf16: bool
    fp16: bool


def precision(job: Job, machine: Machine) -> Precision:
    """Choose the numbers: bfloat16 where the machine has it, else float16 on GPUs and float32 on CPUs.

    A configuration that names bfloat16 is held to the same: it is most often a copy of
    one that was written for another machine.
    """
    bf16, fp16 = job.value(TRAINING, "bf16"), job.value(TRAINING, "fp16")
    dtype = job.value("ModelConfig", "torch_dtype", "auto")
    if bf16 and fp16:
        raise ProblemError(CONFIG_INVALID, f"{TRAINING}.bf16 and {TRAINING}.fp16 are both true; leave one out")
    if not machine.gpus and (fp16 or dtype == "float16"):
        key = f"{TRAINING}.fp16" if fp16 else "ModelConfig.torch_dtype"
        raise ProblemError(CONFIG_INVALID, f"{key} asks for float16, which CPUs do not train in; leave it out")

    def had(wanted: str) -> str:
        if wanted not in ("auto", "bfloat16"):
            return wanted
        return "bfloat16" if machine.bfloat16 else "float16" if machine.gpus else "float32"

    if bf16 or fp16:
        mixed = had("bfloat16") if bf16 else "float16"
    elif bf16 is None and fp16 is None:
        mixed = had(dtype)
    else:  # told not to mix
        mixed = "float32"
    weights = mixed if dtype == "auto" else had(dtype)
    compute = had(job.value(QUANTIZATION, "bnb_4bit_compute_dtype", mixed))
    return Precision(weights=weights, compute=compute, bf16=mixed == "bfloat16", fp16=mixed == "float16")


def quantization(job: Job, chosen: Precision) -> dict[str, Any] | None:
    """Answer the arguments of BitsAndBytesConfig, or nothing where the weights stay as they are."""
    said = _free(job, QUANTIZATION)
    four, eight = bool(said.get("load_in_4bit")), bool(said.get("load_in_8bit"))
    if job.method == LORA:
        if four or eight:
            key = "load_in_4bit" if four else "load_in_8bit"
            raise ProblemError(
                CONFIG_INVALID, f"{QUANTIZATION}.{key} is true; set tuning.method to {QLORA}, or leave it out"
            )
        return None
    if four and eight:
        raise ProblemError(CONFIG_INVALID, f"{QUANTIZATION} asks for 4 and for 8 bits; leave one out")
    if not eight:
        said["load_in_4bit"] = True
        said = _ours(QUANTIZATION) | said | {"bnb_4bit_compute_dtype": chosen.compute}
    said.pop("quant_method", None)
    if "llm_int8_threshold" in said:
        said["llm_int8_threshold"] = float(said["llm_int8_threshold"])  # JSON has 6 for 6.0, and the library minds
    return said


def lora(job: Job) -> dict[str, Any]:
    """Answer the arguments of LoraConfig."""
    said = _ours(LORA_SECTION) | _free(job, LORA_SECTION)
    return said | {"task_type": "CAUSAL_LM", "bias": "none"}


def steps(job: Job, rows: int) -> int:
    """Count the steps of a run, as the library will."""
    most = int(job.value(TRAINING, "max_steps", -1))
    if most > 0:
        return most
    batch = int(_said(job, "per_device_train_batch_size"))
    whole = rows // batch if job.value(TRAINING, "dataloader_drop_last", False) else math.ceil(rows / batch)
    if whole == 0:
        raise ProblemError(
            CONFIG_INVALID,
            f"{TRAINING}.dataloader_drop_last leaves none of the {rows} rows in a batch of {batch}; "
            f"set per_device_train_batch_size to at most {rows}, or leave dataloader_drop_last out",
        )
    an_epoch = math.ceil(whole / int(job.value(TRAINING, "gradient_accumulation_steps", 1)))
    return math.ceil(float(_said(job, "num_train_epochs")) * an_epoch)


def keep(job: Job) -> int:
    """Answer how many checkpoints stay."""
    return max(1, int(_said(job, "save_total_limit")))


def arguments(job: Job, machine: Machine, chosen: Precision, total: int) -> dict[str, Any]:
    """Answer the arguments of SFTConfig, the folder apart."""
    said = _free(job, TRAINING)
    for key in _DERIVED:
        said.pop(key, None)
    shuffled = bool(job.value("DatasetConfig", "shuffle_dataset", True))
    said.setdefault("per_device_train_batch_size", 2)
    said.setdefault("gradient_accumulation_steps", 1)
    said.setdefault("learning_rate", 2e-4)
    said.setdefault("warmup_steps", 0.03)
    said.setdefault("seed", 42)
    said.setdefault("data_seed", said["seed"])
    return said | {
        "bf16": chosen.bf16,
        "fp16": chosen.fp16,
        "use_cpu": machine.gpus == 0,
        "gradient_checkpointing": bool(job.value(TRAINING, "gradient_checkpointing", machine.gpus > 0)),
        "logging_steps": job.value(TRAINING, "logging_steps") or max(1, total // POINTS),
        "logging_nan_inf_filter": False,
        "save_steps": job.value(TRAINING, "save_steps") or max(1, math.ceil(total / CHECKPOINTS)),
        # Old checkpoints go when the new one is sealed, which the library cannot know.
        "save_total_limit": None,
        "train_sampling_strategy": job.value(
            TRAINING, "train_sampling_strategy", "random" if shuffled else "sequential"
        ),
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "max_length": None,
        "remove_unused_columns": False,
        "prediction_loss_only": True,
        "dataloader_pin_memory": machine.gpus > 0 and bool(said.get("dataloader_pin_memory", True)),
        "disable_tqdm": True,
        "report_to": "none",
        "push_to_hub": False,
    }


def remedy(job: Job, machine: Machine, longest: int) -> str:
    """Say what would need less memory, the cheapest first."""
    batch = int(_said(job, "per_device_train_batch_size"))
    gather = int(job.value(TRAINING, "gradient_accumulation_steps", 1))
    ways = []
    if batch > 1:
        ways.append(
            f"set {TRAINING}.per_device_train_batch_size to 1 (now {batch}) and gradient_accumulation_steps to "
            f"{batch * gather} for the same result"
        )
    if not job.value(TRAINING, "gradient_checkpointing", machine.gpus > 0):
        ways.append(f"set {TRAINING}.gradient_checkpointing to true")
    if longest > 1:
        ways.append(f"set {TRAINING}.max_length below the longest row's {longest} tokens")
    if job.method == LORA:
        ways.append(f"use method {QLORA}, which holds the weights in 4 bits")
    ways.append("choose an instance type with more memory")
    first, *others = ways
    return first[0].upper() + first[1:] + "".join(f", or {way}" for way in others)


def missing_modules(job: Job, linear: Sequence[str]) -> str:
    """Say which of the wanted modules the model lacks, or nothing."""
    wanted = job.value(LORA_SECTION, "target_modules", "all-linear")
    if not isinstance(wanted, list):
        return ""
    known = {name.rsplit(".", 1)[-1] for name in linear}
    lost = [name for name in wanted if not any(full == name or full.endswith("." + name) for full in linear)]
    if not lost:
        return ""
    return (
        f"{LORA_SECTION}.target_modules names {', '.join(map(repr, lost))}, which the model has not; "
        f"use all-linear or some of {', '.join(sorted(known))}"
    )


def _free(job: Job, section: str) -> dict[str, Any]:
    """Answer the settings of a section that are the user's and say something."""
    rules: Mapping[str, Any] = RULES[section]
    return {
        key: value
        for key, value in job.section(section).items()
        if value is not None and not (key in rules and rules[key].owned)
    }


def _ours(section: str) -> dict[str, Any]:
    """Answer our own defaults of a section; the operator has filled them in already."""
    return {
        key: rule.default
        for key, rule in RULES[section].items()
        if rule.has_default and rule.default is not None and not rule.owned
    }


def _said(job: Job, key: str) -> Any:
    """Answer a training argument, or our default of it."""
    return job.value(TRAINING, key, RULES[TRAINING][key].default)
