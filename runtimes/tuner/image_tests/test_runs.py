"""Whole runs of a small model: what is trained, and what is left behind."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from test_loss import by_hand
from transformers import AutoModelForCausalLM
from workbench import STEPS, Workbench, rows, tune

from kaito_tuner import trainer
from kaito_tuner.progress import Meter, Reporter

Bench = Callable[..., Workbench]


def quiet() -> Reporter:
    return Reporter(io.StringIO(), Meter(lambda: 0.0))


def loaded(made: Workbench) -> trainer.Trainer:
    run = trainer.Run(made.job, made.places, quiet(), lambda: False)
    run.load()
    return run.trainer


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_run_learns_its_rows_and_leaves_an_adapter_that_plain_peft_loads(
    bench: Bench, model: Path, method: str
) -> None:
    lines = rows(3)
    said = {"max_steps": 60, "learning_rate": 1e-2, "save_strategy": "no"}
    made = bench(tune(method, TrainingArguments=said, LoraConfig={"r": 4, "lora_alpha": 32}), lines)
    told = made.run().done()
    assert (told["steps"], told["rank"], told["resumedFrom"]) == (60, 4, 0)
    assert told["lastLoss"] < told["firstLoss"] - 1
    assert json.loads(made.places.training.read_text(encoding="utf-8")) == told

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        before, count = by_hand(base, lines)
        loaded = PeftModel.from_pretrained(base, str(made.places.adapter))
        after, _ = by_hand(loaded, lines)
        merged, _ = by_hand(loaded.merge_and_unload(), lines)
    assert float(after / count) < float(before / count) - 1
    assert float(merged) == pytest.approx(float(after), rel=1e-3)


def test_an_adapter_says_whose_it_is_and_nothing_of_this_machine(bench: Bench, tmp_path: Path) -> None:
    said = tune("qlora")
    said["model"] |= {"hubID": "HuggingFaceTB/SmolLM2-135M-Instruct", "revision": "12fd25f7"}
    made = bench(said)
    made.run().done()
    found = made.adapter()
    assert found.keys() == {"adapter_config.json", "adapter_model.safetensors"}
    config = json.loads(found["adapter_config.json"])
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (config["revision"], config["inference_mode"], config["r"]) == ("12fd25f7", True, 4)
    assert str(tmp_path).encode() not in found["adapter_config.json"] + found["adapter_model.safetensors"]
    assert {tensor.dtype for tensor in load_file(made.places.adapter / "adapter_model.safetensors").values()} == {
        torch.float32
    }
    assert {oct(file.stat().st_mode & 0o777) for file in made.places.adapter.iterdir()} == {"0o644"}
    # Nobody should ever unpickle what a run leaves.
    assert not [file for file in made.root.rglob("training_args.bin")]


def test_weights_from_an_image_have_no_revision_of_the_hub(bench: Bench) -> None:
    made = bench(tune("qlora"))
    made.run().done()
    assert json.loads(made.adapter()["adapter_config.json"])["revision"] is None


def test_two_runs_of_one_job_leave_the_same_bytes(bench: Bench) -> None:
    found = []
    for _ in range(2):
        made = bench(tune("qlora"))
        made.run().done()
        found.append(made.adapter())
    assert found[0] == found[1]


def test_qlora_holds_the_base_in_nf4_with_double_quantization(bench: Bench) -> None:
    import bitsandbytes

    made = bench(tune("qlora"))
    ready = loaded(made)
    base = ready.model.get_base_model()
    packed = [module for module in base.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert len(packed) == 2 * 7
    state = packed[0].weight.quant_state
    assert (state.quant_type, state.nested, state.dtype) == ("nf4", True, torch.float32)
    assert {packed.weight.dtype for packed in packed} == {torch.uint8}
    trained = {name: p.dtype for name, p in ready.model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 7 * 2
    assert set(trained.values()) == {torch.float32}
    assert all("lora_" in name for name in trained)


def test_the_base_stays_as_it_was(bench: Bench) -> None:
    made = bench(tune("lora"))
    ready = loaded(made)
    before = {name: p.clone() for name, p in ready.model.named_parameters() if not p.requires_grad}
    ready.train()
    after = dict(ready.model.named_parameters())
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_progress_has_every_step_and_the_way_to_the_end(bench: Bench) -> None:
    found = bench(tune("lora")).run()
    found.done()
    events = [line["event"] for line in found.lines]
    assert events[:3] == ["loading", "remedy", "training"]
    assert events[-1] == "result"
    told = found.of("progress")
    assert [line["step"] for line in told] == list(range(1, STEPS + 1))
    assert {line["totalSteps"] for line in told} == {STEPS}
    assert [line["step"] for line in found.of("checkpoint")] == list(range(2, STEPS + 1, 2))
    assert told[-1]["remainingSeconds"] == 0.0
    assert all(line["loss"] > 0 and line["tokensPerSecond"] > 0 for line in told)


def test_only_the_newest_checkpoints_stay_and_each_has_its_mark(bench: Bench) -> None:
    made = bench(tune("lora", TrainingArguments={"save_total_limit": 3}))
    made.run().done()
    assert made.checkpoints() == [f"checkpoint-{STEPS - back}" for back in (4, 2, 0)]
    for name in made.checkpoints():
        mark = json.loads((made.places.checkpoints / name / "kaito-complete.json").read_text(encoding="utf-8"))
        assert (mark["runID"], f"checkpoint-{mark['step']}") == (made.job.run_id, name)


def test_steps_that_were_foretold_are_those_that_are_done(bench: Bench) -> None:
    cases: list[tuple[int, dict[str, Any]]] = [
        (9, {"gradient_accumulation_steps": 2}),
        (9, {"dataloader_drop_last": True}),
        (2, {}),
    ]
    for count, said in cases:
        epochs: dict[str, Any] = {"max_steps": -1, "num_train_epochs": 1.5, "save_strategy": "no"}
        made = bench(tune("lora", TrainingArguments=epochs | said), rows(count))
        foretold = trainer.Run(made.job, made.places, quiet(), lambda: False).total
        assert made.run().done()["steps"] == foretold


SETTINGS: list[dict[str, dict[str, Any]]] = [
    {"TrainingArguments": {"gradient_checkpointing": True}},
    {"TrainingArguments": {"gradient_accumulation_steps": 3}},
    {"TrainingArguments": {"train_sampling_strategy": "group_by_length"}},
    {"TrainingArguments": {"neftune_noise_alpha": 5.0}},
    {"TrainingArguments": {"label_smoothing_factor": 0.1}},
    {"TrainingArguments": {"loss_type": "dft"}},
    {"TrainingArguments": {"save_strategy": "epoch"}},
    {"TrainingArguments": {"warmup_steps": 3, "lr_scheduler_type": "cosine"}},
    {
        "TrainingArguments": {"eval_strategy": "steps", "eval_steps": 2},
        "DatasetConfig": {"train_test_split": 0.8},
    },
    {"DatasetConfig": {"shuffle_dataset": False}},
    {"DataCollator": {"pad_to_multiple_of": 16}},
    {"LoraConfig": {"use_rslora": True, "lora_dropout": 0.1}},
    {"LoraConfig": {"init_lora_weights": "gaussian"}},
    {"LoraConfig": {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]}},
    {"QuantizationConfig": {"bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": False}},
    {"ModelConfig": {"torch_dtype": "bfloat16"}},
    {"TrainingArguments": {"bf16": True}},
]


@pytest.mark.parametrize("said", SETTINGS, ids=str)
def test_settings_that_the_operator_takes_train(bench: Bench, said: dict[str, dict[str, Any]]) -> None:
    said = {name: dict(keys) for name, keys in said.items()}
    said["TrainingArguments"] = {"max_steps": 4} | said.get("TrainingArguments", {})
    told = bench(tune("qlora", **said)).run().done()
    assert told["steps"] == 4


def choices(key: str) -> list[str]:
    from kaito_tuner.rules import TRAINING

    return [str(choice) for choice in TRAINING[key].choices or ()]


# What some schedules cannot do without.
ARGUMENTS = {"cosine_with_min_lr": {"min_lr_rate": 0.1}, "warmup_stable_decay": {"num_decay_steps": 1}}


@pytest.mark.parametrize("scheduler", choices("lr_scheduler_type"))
def test_every_schedule_of_the_table_trains(bench: Bench, scheduler: str) -> None:
    said = {"max_steps": 3, "save_strategy": "no", "lr_scheduler_type": scheduler}
    said["lr_scheduler_kwargs"] = ARGUMENTS.get(scheduler)
    assert bench(tune("lora", TrainingArguments=said)).run().done()["steps"] == 3


@pytest.mark.parametrize("optimizer", choices("optim"))
def test_every_optimizer_of_the_table_trains(bench: Bench, optimizer: str) -> None:
    said = {"max_steps": 3, "save_strategy": "no", "optim": optimizer}
    assert bench(tune("lora", TrainingArguments=said)).run().done()["steps"] == 3
