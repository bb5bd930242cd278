"""How a run fails: the reason that the operator knows, and words that help."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench, little_memory, rows, tune

Bench = Callable[..., Workbench]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (
            {"LoraConfig": {"target_modules": ["q_proj", "Wqkv"]}},
            "LoraConfig.target_modules names 'Wqkv', which the model has not; use all-linear or some of down_proj",
        ),
        (
            {"LoraConfig": {"target_modules": ["embed_tokens", "q_proj"]}},
            "LoraConfig.target_modules names 'embed_tokens'",
        ),
        (
            {"LoraConfig": {"target_modules": ".*(q_proj|embed_tokens)"}},
            "LoraConfig.target_modules names 'embed_tokens', whose adapter no engine serves",
        ),
        ({"LoraConfig": {"layers_to_transform": [77]}}, "LoraConfig is refused: "),
        ({"LoraConfig": {"init_lora_weights": "sideways"}}, "LoraConfig is refused: "),
        ({"TrainingArguments": {"lr_scheduler_type": "sawtooth"}}, "TrainingArguments is refused: "),
        ({"TrainingArguments": {"lr_scheduler_type": "warmup_stable_decay"}}, "TrainingArguments is refused: "),
        ({"TrainingArguments": {"no_such_key": 1}}, "TrainingArguments is refused: "),
        ({"QuantizationConfig": {"llm_int8_skip_modules": "lm_head"}}, "QuantizationConfig is refused: "),
        ({"QuantizationConfig": {"load_in_8bit": True}}, "QuantizationConfig asks for 4 and for 8 bits"),
        ({"TrainingArguments": {"fp16": True}}, "TrainingArguments.fp16 asks for float16"),
    ],
    ids=str,
)
def test_a_value_that_a_library_refuses_is_told_with_its_section(bench: Bench, said: Any, says: str) -> None:
    made = bench(tune("qlora", **said))
    code, reason, message = made.run().problem()
    assert (code, reason) == (2, "ConfigInvalid")
    assert message.startswith(says)
    assert not made.places.adapter.exists()


def test_a_loss_that_is_no_number_ends_the_run_before_anything_of_it_is_kept(bench: Bench) -> None:
    made = bench(tune("lora", TrainingArguments={"learning_rate": 1e30, "save_steps": 1}))
    found = made.run()
    code, reason, message = found.problem()
    assert (code, reason) == (2, "TrainingFailed")
    assert message.startswith("The loss is no number at step ")
    assert message.endswith("lower TrainingArguments.learning_rate (now 1e+30)")
    assert "NaN" not in "".join(map(str, found.lines))
    assert not made.places.adapter.exists()


def test_memory_that_is_too_little_is_told_with_what_would_need_less(bench: Bench) -> None:
    long = [{"ids": [1] * 4000, "train": [[1, 4000]]} for _ in range(8)]
    said = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "gradient_checkpointing": False}
    made = bench(tune("lora", TrainingArguments=said), long)
    code, reason, message = made.run(partial(little_memory, 16 << 20)).problem()
    assert (code, reason) == (2, "OutOfMemory")
    assert message.startswith(
        "Training needs more memory than there is. Set TrainingArguments.per_device_train_batch_size to 1 (now 8) and "
        "gradient_accumulation_steps to 16 for the same result, or set TrainingArguments.gradient_checkpointing to "
        "true, or set TrainingArguments.max_length below the longest row's 4000 tokens"
    )


@pytest.mark.parametrize(("folder", "says"), [("checkpoints", "checkpoints"), ("results", "the adapter")])
def test_a_disk_that_is_full_is_told_by_what_was_on_it(bench: Bench, tmp_path: Path, folder: str, says: str) -> None:
    small = Path("/small")  # hack/tuner.sh mounts it: room for next to nothing
    made = bench(tune("qlora", LoraConfig={"r": 64}))
    (small / folder).mkdir(exist_ok=True)
    place = getattr(made.places, folder)
    if place.exists():
        place.rmdir()
    place.symlink_to(small / folder)
    code, reason, message = made.run().problem()
    assert (code, reason) == (2, "DiskFull"), message
    assert message == f"There is no room left for {says}; give the node or the volume more"


def test_a_row_that_the_model_cannot_read_is_told_with_its_line(bench: Bench) -> None:
    code, reason, message = bench(tune("lora"), [*rows(2), {"ids": [300], "train": []}]).run().problem()
    assert (code, reason) == (2, "TrainingFailed")
    assert message == (
        "Line 3 of the prepared rows cannot be trained on: token 300 is not in the model's vocabulary of 300"
    )


def test_a_model_that_is_not_there_is_told(bench: Bench, tmp_path: Path) -> None:
    made = bench(tune("lora"))
    moved = Workbench.make(tmp_path / "moved", tmp_path / "nothing", tune("lora"), rows(1))
    assert made.run().code == 0
    code, reason, message = moved.run().problem()
    assert (code, reason) == (2, "TrainingFailed")
    assert str(tmp_path / "nothing") in message


def test_a_run_that_failed_and_is_mended_begins_anew(bench: Bench) -> None:
    made = bench(tune("lora", TrainingArguments={"learning_rate": 1e30}))
    assert made.run().code == 2
    # Other settings are another run.
    made.tell(tune("lora") | {"runID": "ba9876543210"})
    assert made.run().done()["resumedFrom"] == 0
