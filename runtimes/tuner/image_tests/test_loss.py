"""What the loss is computed on, and that our short way to it is TRL's long one."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from workbench import Workbench, rows, tune

from kaito_tuner import trainer
from kaito_tuner.progress import Meter, Reporter

Bench = Callable[..., Workbench]


def ready(bench: Workbench) -> trainer.Trainer:
    """Load a run up to its first step."""
    run = trainer.Run(bench.job, bench.places, Reporter(io.StringIO(), Meter(lambda: 0.0)), lambda: False)
    run.load()
    run.trainer.model.train()
    return run.trainer


def by_hand(model: Any, lines: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, int]:
    """Sum the negative log-probability of each trained token, row by row, without any padding."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for line in lines:
        ids = line["ids"]
        chances = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), dim=-1)
        for begin, end in line["train"]:
            for place in range(max(1, begin), end):  # nothing foretells the first token
                total = total - chances[place - 1, ids[place]]
                count += 1
    return total, count


def collated(made: trainer.Trainer, lines: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    flat = [{"input_ids": line["ids"], "train": [b for pair in line["train"] for b in pair]} for line in lines]
    batch: dict[str, torch.Tensor] = made.data_collator(flat)
    return batch


def gradients(made: trainer.Trainer, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    made.model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in made.model.named_parameters() if p.grad is not None}


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Answer how far gradients are from each other, as a share of their length."""
    assert one.keys() == other.keys()
    apart = sum(float((one[name] - other[name]).double().pow(2).sum()) for name in one)
    whole = sum(float(other[name].double().pow(2).sum()) for name in other)
    assert whole > 0
    return float((apart / whole) ** 0.5)


def nudge(made: trainer.Trainer) -> None:
    """Let adapters say something: new ones change nothing, and half of their gradients are zero."""
    torch.manual_seed(3)
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.05 * torch.randn_like(parameter)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_loss_is_the_mean_over_trained_tokens_and_nothing_else(bench: Bench, method: str) -> None:
    made = ready(bench(tune(method)))
    nudge(made)
    lines = rows(5)
    assert made.lean
    loss = made.compute_loss(made.model, collated(made, lines))
    total, count = by_hand(made.model, lines)
    assert float(loss.detach()) == pytest.approx(float(total / count), rel=1e-5)
    assert difference(gradients(made, loss), gradients(made, total / count)) < 1e-4


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("items", [None, 40], ids=["a batch alone", "a part of a step"])
def test_our_short_way_is_trls(bench: Bench, method: str, items: int | None) -> None:
    made = ready(bench(tune(method)))
    nudge(made)
    batch = collated(made, rows(6))
    found = {}
    for lean in (True, False):
        made.lean = lean
        loss = made.compute_loss(made.model, dict(batch), num_items_in_batch=items)
        found[lean] = float(loss), gradients(made, loss)
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-6)
    assert difference(found[True][1], found[False][1]) < 1e-5


def test_rows_without_a_trained_token_have_no_loss_and_break_nothing(bench: Bench) -> None:
    made = ready(bench(tune("lora")))
    loss = made.compute_loss(made.model, collated(made, [{"ids": [1, 2, 3], "train": []}]))
    loss.backward()
    assert float(loss) == 0.0


def test_the_head_is_computed_in_stretches_as_at_once(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    from kaito_tuner import head

    made = ready(bench(tune("lora")))
    nudge(made)
    batch, found = collated(made, rows(6)), []
    for room in (head.LOGITS, 4 * 300 * 3):  # three rows of logits at a time
        monkeypatch.setattr(head, "LOGITS", room)
        loss = made.compute_loss(made.model, dict(batch))
        found.append((float(loss), gradients(made, loss)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert difference(found[1][1], found[0][1]) < 1e-5


@pytest.mark.parametrize(
    ("said", "lean"),
    [({}, True), ({"label_smoothing_factor": 0.1}, False), ({"loss_type": "dft"}, False)],
)
def test_a_loss_that_is_another_takes_the_librarys_way(bench: Bench, said: dict[str, Any], lean: bool) -> None:
    made = ready(bench(tune("lora", TrainingArguments=said)))
    assert made.lean == lean
    assert bool(torch.isfinite(made.compute_loss(made.model, collated(made, rows(2)))))


def test_a_whole_run_is_the_same_either_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = []
    for lean in (True, False):
        if not lean:
            monkeypatch.setattr(trainer, "add_lean_loss", lambda _: False)
        made = ready(bench(tune("qlora", TrainingArguments={"gradient_accumulation_steps": 2, "save_strategy": "no"})))
        assert made.lean == lean
        made.train()
        curves.append([entry["loss"] for entry in made.state.log_history if "loss" in entry])
    assert len(curves[0]) == 12
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)


def test_the_first_loss_that_is_told_is_the_base_models(bench: Bench, model: Path) -> None:
    lines = rows(4)
    said = tune("lora", TrainingArguments={"per_device_train_batch_size": 4, "max_steps": 1})
    told = bench(said, lines).run().done()
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        total, count = by_hand(base, lines)
    assert told["firstLoss"] == pytest.approx(float(total / count), abs=1e-4)


def test_our_short_way_is_trls_with_the_development_model(tmp_path: Path) -> None:
    lines = [{"ids": [(7 * i + 13 * j) % 49152 for i in range(40)], "train": [[20, 40]]} for j in range(2)]
    made = ready(Workbench.make(tmp_path / "run", Path("/model"), tune("qlora"), lines))
    nudge(made)
    batch, found = collated(made, lines), {}
    for lean in (True, False):
        made.lean = lean
        loss = made.compute_loss(made.model, dict(batch))
        found[lean] = float(loss), gradients(made, loss)
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-4)
    assert difference(found[True][1], found[False][1]) < 1e-3
