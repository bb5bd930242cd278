"""Checkpoints on disk."""

import json
from pathlib import Path

import pytest

from kaito_tuner import checkpoints

RUN = "0123456789ab"


def whole(root: Path, step: int, run_id: str = RUN) -> Path:
    folder = root / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "optimizer.pt").write_bytes(b"moments")
    checkpoints.seal(checkpoints.Checkpoint(folder, step, seconds=1.5, tokens=10 * step), run_id)
    return folder


def names(root: Path) -> set[str]:
    return {file.name for file in root.iterdir()}


def test_a_sealed_checkpoint_is_found_with_what_was_done(tmp_path: Path) -> None:
    folder = whole(tmp_path, 20)
    assert checkpoints.sweep(tmp_path, RUN) == checkpoints.Checkpoint(folder, 20, 1.5, 200)


def test_the_newest_counts_by_its_step_not_by_its_name(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        whole(tmp_path, step)
    found = checkpoints.sweep(tmp_path, RUN)
    assert found is not None
    assert found.step == 100


@pytest.mark.parametrize(
    "mark",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"runID": "another", "step": 30}),
        json.dumps({"runID": RUN, "step": 29}),
        json.dumps({"runID": RUN, "step": 30, "tokens": "many"}),
    ],
    ids=["none", "empty", "cut", "a list", "no keys", "another run's", "another step's", "no number"],
)
def test_what_has_no_good_mark_is_removed_and_the_one_before_counts(tmp_path: Path, mark: str | None) -> None:
    whole(tmp_path, 20)
    torn = tmp_path / "checkpoint-30"
    torn.mkdir()
    if mark is not None:
        (torn / checkpoints.MARK).write_text(mark, encoding="utf-8")
    found = checkpoints.sweep(tmp_path, RUN)
    assert found is not None
    assert found.step == 20
    assert names(tmp_path) == {"checkpoint-20"}


def test_a_mark_that_was_being_written_does_not_count(tmp_path: Path) -> None:
    folder = whole(tmp_path, 20)
    (folder / checkpoints.MARK).rename(folder / (checkpoints.MARK + ".new"))
    assert checkpoints.sweep(tmp_path, RUN) is None


def test_what_is_no_checkpoint_stays(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "checkpoint-x").mkdir()
    (tmp_path / "checkpoint-7").write_text("a file", encoding="utf-8")
    assert checkpoints.sweep(tmp_path, RUN) is None
    assert names(tmp_path) == {"lost+found", "checkpoint-x", "checkpoint-7"}


def test_old_checkpoints_go(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        whole(tmp_path, step)
    checkpoints.rotate(tmp_path, 2)
    assert names(tmp_path) == {"checkpoint-10", "checkpoint-100"}


def test_a_checkpoint_loses_its_mark_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = whole(tmp_path, 5)

    def killed(_folder: Path) -> None:
        raise InterruptedError

    monkeypatch.setattr(checkpoints.shutil, "rmtree", killed)  # type: ignore[attr-defined]
    with pytest.raises(InterruptedError):
        checkpoints.remove(folder)
    assert names(folder) == {"optimizer.pt"}


def test_the_mark_is_written_when_all_else_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    flush = checkpoints.flush

    def noted(path: Path) -> None:
        flushed.append(path.name)
        flush(path)

    monkeypatch.setattr(checkpoints, "flush", noted)
    folder = whole(tmp_path, 5)
    assert flushed == ["optimizer.pt", checkpoints.MARK + ".new", folder.name, tmp_path.name]
