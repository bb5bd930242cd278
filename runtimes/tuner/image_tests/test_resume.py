"""A run that was interrupted goes on and leaves the same bytes as one that was not."""

import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from workbench import STEPS, Workbench, kill_at_touch, signal_after_step, signal_while_loading, tune

Bench = Callable[..., Workbench]

# Dropout draws from the generators that a checkpoint has to bring back.
SAID = {"LoraConfig": {"r": 4, "lora_dropout": 0.1}}


@pytest.fixture(scope="session", name="unbroken")
def _unbroken(tmp_path_factory: pytest.TempPathFactory, model: Any) -> Callable[[str], dict[str, bytes]]:
    """Answer the adapter of a run that nothing interrupts; once for each method."""
    from workbench import rows

    found: dict[str, dict[str, bytes]] = {}

    def unbroken(method: str) -> dict[str, bytes]:
        if method not in found:
            made = Workbench.make(tmp_path_factory.mktemp("unbroken"), model, tune(method, **SAID), rows())
            made.run().done()
            found[method] = made.adapter()
        return found[method]

    return unbroken


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_that_is_killed_after_any_step_goes_on(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]], method: str, seed: int
) -> None:
    step = random.Random(seed).randint(1, STEPS - 1)
    made = bench(tune(method, **SAID))
    assert made.run(partial(signal_after_step, signal.SIGKILL, step)).code == -signal.SIGKILL
    found = made.run()
    # A kill comes before the checkpoint of its step.
    whole = (step - 1) // 2 * 2
    assert found.done()["resumedFrom"] == whole
    assert found.of("training")[0]["step"] == whole
    assert made.adapter() == unbroken(method)


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
def test_a_run_that_is_killed_while_it_writes_goes_on(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]], seed: int
) -> None:
    counted = bench(tune("qlora", **SAID))
    watched = str(counted.places.checkpoints)
    counted.run(partial(kill_at_touch, watched, 0, str(counted.root / "touches"))).done()
    touches = int((counted.root / "touches").read_text(encoding="utf-8"))
    made = bench(tune("qlora", **SAID))
    which = random.Random(seed).randint(1, touches)
    kill = partial(kill_at_touch, str(made.places.checkpoints), which, str(made.root / "touches"))
    assert made.run(kill).code == -signal.SIGKILL
    made.run().done()
    assert made.adapter() == unbroken("qlora")
    assert len(made.checkpoints()) <= 2


def test_a_run_that_is_killed_again_and_again_gets_there(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]]
) -> None:
    made = bench(tune("qlora", **SAID))
    for step in (3, 6, 11):
        assert made.run(partial(signal_after_step, signal.SIGKILL, step)).code == -signal.SIGKILL
    found = made.run()
    told = found.done()
    assert told["resumedFrom"] == 10
    # The curve and the work of earlier pods count.
    assert [point["step"] for point in told["losses"]] == list(range(1, STEPS + 1))
    assert [point["step"] for point in found.of("resumed")[0]["losses"]] == list(range(1, 11))
    assert made.adapter() == unbroken("qlora")


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("step", [1, 5])
def test_a_run_that_is_told_to_stop_leaves_a_checkpoint_of_that_step(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]], method: str, step: int
) -> None:
    made = bench(tune(method, **SAID))
    code, reason, message = made.run(partial(signal_after_step, signal.SIGTERM, step)).problem()
    assert (code, reason) == (1, "Stopped")
    assert message == f"The trainer was told to stop after step {step} of {STEPS}"
    assert made.checkpoints()[-1] == f"checkpoint-{step}"
    assert made.run().done()["resumedFrom"] == step
    assert made.adapter() == unbroken(method)


def test_a_run_that_is_told_to_stop_from_outside_stops(bench: Bench) -> None:
    made = bench(tune("lora", TrainingArguments={"max_steps": 1_000_000, "save_steps": 1_000_000}))
    started = made.start()
    told = made.root / "stdout"
    while not told.exists() or '"progress"' not in told.read_text(encoding="utf-8"):
        started.join(0.05)
        assert started.exitcode is None, (made.root / "stderr").read_text(encoding="utf-8")
    started.terminate()
    found = made.outcome(started)
    code, reason, _ = found.problem()
    assert (code, reason) == (1, "Stopped")
    step = found.of("checkpoint")[-1]["step"]
    assert made.checkpoints() == [f"checkpoint-{step}"]


def test_a_run_that_is_told_to_stop_at_its_last_step_is_done(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]]
) -> None:
    made = bench(tune("lora", **SAID))
    made.run(partial(signal_after_step, signal.SIGTERM, STEPS)).done()
    assert made.adapter() == unbroken("lora")


def test_a_run_that_is_told_to_stop_while_it_loads_ends_at_once(bench: Bench) -> None:
    made = bench(tune("lora"))
    code, reason, message = made.run(partial(signal_while_loading, signal.SIGTERM)).problem()
    assert (code, reason, message) == (1, "Stopped", "The trainer was told to stop before its first step")


def test_a_run_that_had_only_its_adapter_left_to_write_writes_it(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]]
) -> None:
    made = bench(tune("qlora", **SAID))
    before = made.run().done()
    shutil.rmtree(made.places.results)
    made.places.results.mkdir()
    found = made.run()
    assert found.done()["resumedFrom"] == STEPS
    assert not found.of("progress")
    assert found.done()["losses"] == before["losses"]
    assert made.adapter() == unbroken("qlora")


@pytest.mark.parametrize("torn", ["no mark", "cut", "another run's"])
def test_a_checkpoint_that_is_not_whole_is_passed_over(
    bench: Bench, unbroken: Callable[[str], dict[str, bytes]], torn: str
) -> None:
    made = bench(tune("qlora", **SAID))
    made.run(partial(signal_after_step, signal.SIGKILL, 7))
    assert made.checkpoints() == ["checkpoint-4", "checkpoint-6"]
    newest = made.places.checkpoints / "checkpoint-6"
    mark = newest / "kaito-complete.json"
    if torn == "another run's":
        mark.write_text(mark.read_text(encoding="utf-8").replace(made.job.run_id, "ba9876543210"), encoding="utf-8")
    else:
        (newest / "optimizer.pt").write_bytes(b"")
        if torn == "no mark":
            mark.unlink()
        else:
            mark.write_text("", encoding="utf-8")
    assert made.run().done()["resumedFrom"] == 4
    assert made.adapter() == unbroken("qlora")


def test_checkpoints_of_another_run_are_not_gone_on_from(bench: Bench) -> None:
    made = bench(tune("qlora"))
    made.run(partial(signal_after_step, signal.SIGKILL, 7))
    made.tell(tune("qlora") | {"runID": "ba9876543210"})
    assert made.run().done()["resumedFrom"] == 0
