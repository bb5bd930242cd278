"""The trainer's program without its libraries: lines, endings, exit codes."""

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaito_tuner import train
from kaito_tuner.job import Job, Places
from kaito_tuner.problem import CONFIG_INVALID, ProblemError, StoppedError
from kaito_tuner.progress import Reporter

TUNE = json.dumps({"runID": "0123456789ab", "method": "lora", "model": {"hubID": "org/model"}})
SUMMARY = {"steps": 3}


class Run:
    """A run that ends as a test says."""

    def __init__(self, outcome: Callable[[], dict[str, Any]]) -> None:
        self.outcome = outcome

    def remedy(self) -> str:
        return "Use less"

    def load(self) -> None:
        pass

    def train(self) -> dict[str, Any]:
        return self.outcome()


@pytest.fixture(name="places")
def _places(tmp_path: Path) -> Iterator[Places]:
    before = signal.getsignal(signal.SIGTERM)
    (tmp_path / "results").mkdir()
    yield Places(tmp_path / "rows.jsonl", tmp_path / "model", tmp_path / "results", tmp_path / "checkpoints")
    signal.signal(signal.SIGTERM, before)


def outcome(places: Places, made: Callable[..., Any], text: str = TUNE) -> tuple[int, list[dict[str, Any]]]:
    out = io.StringIO()
    code = train.run(text, places, out, made, lambda: 0.0)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def ends(cause: BaseException | None = None) -> Callable[..., Run]:
    def train_() -> dict[str, Any]:
        if cause is not None:
            raise cause
        return SUMMARY

    return lambda *_: Run(train_)


def test_a_run_that_ends_well_says_so_last_and_leaves_its_summary(places: Places) -> None:
    code, lines = outcome(places, ends())
    assert code == 0
    assert [line["event"] for line in lines] == ["loading", "remedy", "result"]
    assert lines[-1] == {"event": "result", "reason": "Done", "training": SUMMARY}
    assert json.loads(places.training.read_text(encoding="utf-8")) == SUMMARY


@pytest.mark.parametrize(
    ("cause", "code", "reason", "says"),
    [
        (ProblemError(CONFIG_INVALID, "LoraConfig is refused: r"), 2, "ConfigInvalid", "LoraConfig is refused: r"),
        (StoppedError("The trainer was told to stop after step 2 of 9"), 1, "Stopped", "after step 2 of 9"),
        (MemoryError(), 2, "OutOfMemory", "Use less"),
        (RuntimeError("odd"), 2, "TrainingFailed", "RuntimeError: odd"),
        (KeyboardInterrupt(), 2, "TrainingFailed", "KeyboardInterrupt"),
    ],
)
def test_a_run_that_fails_says_why_last(
    places: Places, cause: BaseException, code: int, reason: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    got, lines = outcome(places, ends(cause))
    assert (got, lines[-1]["event"], lines[-1]["reason"]) == (code, "result", reason)
    assert says in lines[-1]["message"]
    assert not places.training.exists()
    # The log has the place of what nobody foresaw, and of nothing else.
    assert ("Traceback" in capsys.readouterr().err) != isinstance(cause, ProblemError)


class Slow(Run):
    def load(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the run went on")


@pytest.mark.parametrize("slow", ["rows", "model"])
def test_a_stop_while_anything_is_loaded_ends_the_run_at_once(places: Places, slow: str) -> None:
    def make(*_: Any) -> Run:
        run = Slow(dict)
        if slow == "rows":
            run.load()
        return run

    code, lines = outcome(places, make)
    assert code == 1
    assert lines[-1]["reason"] == "Stopped"


def test_a_stop_while_training_only_asks(places: Places) -> None:
    def make(_job: Job, _places: Places, _reporter: Reporter, asked: Callable[[], bool]) -> Run:
        def train_() -> dict[str, Any]:
            assert not asked()
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked()
            return SUMMARY

        return Run(train_)

    assert outcome(places, make)[0] == 0


def test_a_job_that_cannot_be_read_is_the_configurations_fault(places: Places) -> None:
    code, lines = outcome(places, ends(), text="{}")
    assert (code, lines[-1]["reason"]) == (2, "ConfigInvalid")


def test_a_summary_that_cannot_be_written_is_no_success(places: Places) -> None:
    places.training.mkdir()  # nothing can be written in its place
    code, lines = outcome(places, ends())
    assert (code, lines[-1]["reason"]) == (2, "TrainingFailed")


def test_the_places_are_those_of_the_pod() -> None:
    said = train.options([])
    assert [str(place) for place in (said.job, said.rows, said.model, said.results, said.checkpoints)] == [
        "/etc/kaito/tune.json",
        "/data/rows.jsonl",
        "/weights/model",
        "/results",
        "/checkpoints",
    ]
