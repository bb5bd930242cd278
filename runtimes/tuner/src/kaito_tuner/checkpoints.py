"""Checkpoints on disk: which is whole, which goes, how one is sealed.

A checkpoint is a folder ``checkpoint-<step>``. It is whole once its mark is there: the
mark is written last, after everything else has reached the disk.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

# As internal/runner/contract has it.
MARK = "kaito-complete.json"
PREFIX = "checkpoint-"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    step: int
    # What the run had done by then, over all its pods.
    seconds: float = 0.0
    tokens: int = 0


def step_of(folder: Path) -> int | None:
    """Answer the step in a folder's name, or nothing where it is no checkpoint."""
    digits = folder.name.removeprefix(PREFIX)
    return int(digits) if folder.name.startswith(PREFIX) and digits.isascii() and digits.isdigit() else None


def read(folder: Path, run_id: str) -> Checkpoint | None:
    """Answer the checkpoint in a folder, or nothing where it is not whole or of another run."""
    step = step_of(folder)
    try:
        said = json.loads((folder / MARK).read_text(encoding="utf-8"))
        if step is None or said["runID"] != run_id or said["step"] != step:
            return None
        return Checkpoint(folder, step, float(said.get("seconds", 0)), int(said.get("tokens", 0)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sweep(root: Path, run_id: str) -> Checkpoint | None:
    """Remove what is not whole or of another run, and answer the newest that is left."""
    newest: Checkpoint | None = None
    for folder in sorted(root.iterdir()):
        if step_of(folder) is None or not folder.is_dir():
            continue
        found = read(folder, run_id)
        if found is None:
            remove(folder)
        elif newest is None or found.step > newest.step:
            newest = found
    return newest


def remove(folder: Path) -> None:
    """Remove a checkpoint: its mark first, so that no half of it ever counts as whole."""
    (folder / MARK).unlink(missing_ok=True)
    shutil.rmtree(folder)


def rotate(root: Path, keep: int) -> None:
    """Remove all but the newest."""
    steps = sorted((step, folder) for folder in root.iterdir() if (step := step_of(folder)) is not None)
    for _, folder in steps[: max(0, len(steps) - keep)]:
        remove(folder)


def seal(checkpoint: Checkpoint, run_id: str) -> None:
    """Bring a folder to the disk, and then its mark."""
    for file in sorted(checkpoint.folder.rglob("*")):
        flush(file)
    said = {
        "runID": run_id,
        "step": checkpoint.step,
        "seconds": round(checkpoint.seconds, 3),
        "tokens": checkpoint.tokens,
    }
    write_whole(checkpoint.folder / MARK, json.dumps(said))
    flush(checkpoint.folder.parent)


def write_whole(file: Path, text: str) -> None:
    """Write a file so that it is whole or not there at all, and on the disk."""
    new = file.with_name(file.name + ".new")
    new.write_text(text, encoding="utf-8")
    flush(new)
    new.replace(file)
    flush(file.parent)


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
