"""From settings, rows and machine to what the libraries are told."""

from typing import Any

import pytest

from kaito_tuner import plan
from kaito_tuner.job import LORA, QLORA, Job
from kaito_tuner.problem import CONFIG_INVALID, ProblemError

CPU, CPU_BF16 = plan.Machine(0, False), plan.Machine(0, True)
GPU, OLD_GPU = plan.Machine(1, True), plan.Machine(1, False)


def job(method: str = QLORA, **sections: dict[str, Any]) -> Job:
    return Job("0123456789ab", method, "org/model", "", 512, 1, sections)


def numbers(found: plan.Precision) -> tuple[str, str, bool, bool]:
    return found.weights, found.compute, found.bf16, found.fp16


@pytest.mark.parametrize(
    ("machine", "said", "want"),
    [
        # Nothing said: what the machine is good at.
        (GPU, {}, ("bfloat16", "bfloat16", True, False)),
        (OLD_GPU, {}, ("float16", "float16", False, True)),
        (CPU, {}, ("float32", "float32", False, False)),
        (CPU_BF16, {}, ("bfloat16", "bfloat16", True, False)),
        # bfloat16 by name is held to what the machine has.
        (GPU, {"ModelConfig": {"torch_dtype": "bfloat16"}}, ("bfloat16", "bfloat16", True, False)),
        (OLD_GPU, {"ModelConfig": {"torch_dtype": "bfloat16"}}, ("float16", "float16", False, True)),
        (CPU, {"ModelConfig": {"torch_dtype": "bfloat16"}}, ("float32", "float32", False, False)),
        (CPU, {"TrainingArguments": {"bf16": True}}, ("float32", "float32", False, False)),
        (OLD_GPU, {"TrainingArguments": {"bf16": True}}, ("float16", "float16", False, True)),
        (
            OLD_GPU,
            {"QuantizationConfig": {"bnb_4bit_compute_dtype": "bfloat16"}},
            ("float16", "float16", False, True),
        ),
        # What else is said is done.
        (GPU, {"TrainingArguments": {"fp16": True}}, ("float16", "float16", False, True)),
        (GPU, {"ModelConfig": {"torch_dtype": "float32"}}, ("float32", "float32", False, False)),
        (CPU_BF16, {"ModelConfig": {"torch_dtype": "float32"}}, ("float32", "float32", False, False)),
        (GPU, {"TrainingArguments": {"bf16": False}}, ("float32", "float32", False, False)),
        (
            GPU,
            {"ModelConfig": {"torch_dtype": "bfloat16"}, "TrainingArguments": {"bf16": False}},
            ("bfloat16", "float32", False, False),
        ),
        (
            GPU,
            {"QuantizationConfig": {"bnb_4bit_compute_dtype": "float32"}},
            ("bfloat16", "float32", True, False),
        ),
    ],
)
def test_numbers_are_those_that_the_machine_computes_in(
    machine: plan.Machine, said: dict[str, Any], want: tuple[str, str, bool, bool]
) -> None:
    assert numbers(plan.precision(job(**said), machine)) == want


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"TrainingArguments": {"fp16": True}}, r"TrainingArguments\.fp16 asks for float16"),
        ({"ModelConfig": {"torch_dtype": "float16"}}, r"ModelConfig\.torch_dtype asks for float16"),
        ({"TrainingArguments": {"fp16": True, "bf16": True}}, "are both true; leave one out"),
    ],
)
def test_what_a_cpu_cannot_train_in_is_refused_with_its_key(said: dict[str, Any], says: str) -> None:
    with pytest.raises(ProblemError, match=says) as caught:
        plan.precision(job(**said), CPU)
    assert caught.value.reason == CONFIG_INVALID


def test_qlora_is_nf4_with_double_quantization_unless_said_otherwise() -> None:
    found = plan.quantization(job(), plan.precision(job(), CPU))
    assert found == {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "float32",
    }


def test_what_the_user_says_of_4_bits_goes_before_ours() -> None:
    said = job(QuantizationConfig={"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "quant_method": "bitsandbytes"})
    found = plan.quantization(said, plan.precision(said, GPU))
    assert found is not None
    assert (found["bnb_4bit_quant_type"], found["bnb_4bit_compute_dtype"]) == ("fp4", "bfloat16")
    assert "quant_method" not in found


def test_8_bits_are_left_to_the_library() -> None:
    said = job(QuantizationConfig={"load_in_8bit": True, "load_in_4bit": False, "llm_int8_threshold": 5})
    found = plan.quantization(said, plan.precision(said, GPU))
    assert found == {"load_in_8bit": True, "load_in_4bit": False, "llm_int8_threshold": 5.0}
    assert isinstance(found["llm_int8_threshold"], float)


@pytest.mark.parametrize(
    ("method", "said", "says"),
    [
        (LORA, {"load_in_4bit": True}, "load_in_4bit is true; set tuning.method to qlora"),
        (LORA, {"load_in_8bit": True}, "load_in_8bit is true; set tuning.method to qlora"),
        (QLORA, {"load_in_4bit": True, "load_in_8bit": True}, "asks for 4 and for 8 bits"),
    ],
)
def test_bits_that_do_not_fit_the_method_are_refused(method: str, said: dict[str, Any], says: str) -> None:
    with pytest.raises(ProblemError, match=says):
        plan.quantization(job(method, QuantizationConfig=said), plan.precision(job(method), CPU))


def test_lora_alone_quantizes_nothing() -> None:
    assert plan.quantization(job(LORA), plan.precision(job(LORA), CPU)) is None


def test_an_adapter_is_for_a_causal_model_and_without_bias() -> None:
    found = plan.lora(job(LoraConfig={"r": 4, "lora_dropout": 0.1, "layers_pattern": None, "use_dora": True}))
    assert found == {
        "r": 4,
        "lora_alpha": 32,
        "lora_dropout": 0.1,
        "target_modules": "all-linear",
        "task_type": "CAUSAL_LM",
        "bias": "none",
    }


@pytest.mark.parametrize(
    ("said", "rows", "want"),
    [
        ({}, 100, 150),
        ({}, 99, 150),
        ({"max_steps": 7}, 100, 7),
        ({"max_steps": -1, "num_train_epochs": 1}, 100, 50),
        ({"num_train_epochs": 0.5}, 100, 25),
        ({"gradient_accumulation_steps": 4}, 100, 39),  # 50 batches are 13 steps, the last of two
        ({"dataloader_drop_last": True, "num_train_epochs": 1}, 99, 49),
        ({"per_device_train_batch_size": 200}, 100, 3),
    ],
)
def test_steps_are_counted_as_the_library_will(said: dict[str, Any], rows: int, want: int) -> None:
    assert plan.steps(job(TrainingArguments=said), rows) == want


def test_rows_that_fill_no_batch_are_told_with_what_would() -> None:
    said = {"dataloader_drop_last": True, "per_device_train_batch_size": 8}
    with pytest.raises(ProblemError, match="none of the 5 rows in a batch of 8; set per_device_train_batch_size to"):
        plan.steps(job(TrainingArguments=said), 5)


def test_arguments_keep_a_run_quiet_offline_and_on_answers_only() -> None:
    found = plan.arguments(job(), CPU, plan.precision(job(), CPU), 150)
    want = {
        "use_cpu": True,
        "bf16": False,
        "fp16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_steps": 15,
        "save_total_limit": None,
        "train_sampling_strategy": "random",
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "max_length": None,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "report_to": "none",
        "push_to_hub": False,
        "dataloader_pin_memory": False,
    }
    assert found.items() >= want.items()


def test_a_gpu_recomputes_and_pins_and_a_user_may_say_otherwise() -> None:
    found = plan.arguments(job(), GPU, plan.precision(job(), GPU), 1000)
    assert (found["gradient_checkpointing"], found["dataloader_pin_memory"], found["logging_steps"]) == (True, True, 5)
    said = job(TrainingArguments={"gradient_checkpointing": False, "logging_steps": 50, "save_steps": 10})
    found = plan.arguments(said, GPU, plan.precision(said, GPU), 1000)
    assert (found["gradient_checkpointing"], found["logging_steps"], found["save_steps"]) == (False, 50, 10)


def test_rows_that_are_not_shuffled_are_trained_in_their_order() -> None:
    said = job(DatasetConfig={"shuffle_dataset": False})
    assert plan.arguments(said, CPU, plan.precision(said, CPU), 1)["train_sampling_strategy"] == "sequential"


def test_keys_that_are_ours_never_reach_the_library() -> None:
    said = job(TrainingArguments={"output_dir": "/mnt/results", "push_to_hub": True, "report_to": "wandb"})
    found = plan.arguments(said, CPU, plan.precision(said, CPU), 1)
    assert "output_dir" not in found
    assert (found["push_to_hub"], found["report_to"]) == (False, "none")


@pytest.mark.parametrize(
    ("method", "machine", "said", "want"),
    [
        (
            LORA,
            CPU,
            {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2},
            "Set TrainingArguments.per_device_train_batch_size to 1 (now 4) and gradient_accumulation_steps to 8 for "
            "the same result, or set TrainingArguments.gradient_checkpointing to true, or set "
            "TrainingArguments.max_length below the longest row's 300 tokens, or use method qlora, which holds the "
            "weights in 4 bits, or choose an instance type with more memory",
        ),
        (
            QLORA,
            GPU,
            {"per_device_train_batch_size": 1},
            "Set TrainingArguments.max_length below the longest row's 300 tokens, or choose an instance type with "
            "more memory",
        ),
    ],
)
def test_a_remedy_names_what_has_not_been_done_yet(
    method: str, machine: plan.Machine, said: dict[str, Any], want: str
) -> None:
    assert plan.remedy(job(method, TrainingArguments=said), machine, 300) == want


def test_a_layer_that_the_model_has_not_is_told_with_those_that_it_has() -> None:
    linear = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"]
    assert plan.missing_modules(job(LoraConfig={"target_modules": ["q_proj", "mlp.up_proj"]}), linear) == ""
    assert plan.missing_modules(job(LoraConfig={"target_modules": "all-linear"}), linear) == ""
    said = plan.missing_modules(job(LoraConfig={"target_modules": ["q_proj", "Wqkv"]}), linear)
    assert said == (
        "LoraConfig.target_modules names 'Wqkv', which the model has not; use all-linear or some of q_proj, up_proj"
    )
