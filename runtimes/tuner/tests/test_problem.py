"""From what a library raises to a reason and words."""

import errno

import pytest

from kaito_tuner import problem
from kaito_tuner.problem import ProblemError

REMEDY = "Set TrainingArguments.per_device_train_batch_size to 1"
FOLDERS = {"/checkpoints": "checkpoints", "/results": "the adapter"}
ROOM = {"/checkpoints": 1 << 30, "/results": 1 << 30}


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("cause", "room", "reason", "says"),
    [
        (MemoryError(), {}, problem.OUT_OF_MEMORY, f"Training needs more memory than there is. {REMEDY}"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), {}, problem.OUT_OF_MEMORY, REMEDY),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
            {},
            problem.OUT_OF_MEMORY,
            REMEDY,
        ),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), {}, problem.OUT_OF_MEMORY, REMEDY),
        (ValueError("out of memory is a phrase"), {}, problem.TRAINING_FAILED, "ValueError: out of memory is a phrase"),
        (OSError(errno.ENOSPC, "No space left"), {"/results": 0}, problem.DISK_FULL, "no room left for the adapter"),
        (OSError(errno.EDQUOT, "quota"), {}, problem.DISK_FULL, "no room left for checkpoints or the adapter"),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"),
            {"/checkpoints": 4096},
            problem.DISK_FULL,
            "no room left for checkpoints; give the node or the volume more",
        ),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"),
            {},
            problem.TRAINING_FAILED,
            "RuntimeError: PytorchStreamWriter",
        ),
        (
            type("SafetensorError", (Exception,), {})("I/O error: No space left on device (os error 28)"),
            {"/checkpoints": 0},
            problem.DISK_FULL,
            "checkpoints",
        ),
        (KeyError("nothing we know"), {}, problem.TRAINING_FAILED, "KeyError: 'nothing we know'"),
        (ProblemError("Known", "As it was said"), {}, "Known", "As it was said"),
    ],
)
def test_each_cause_has_its_reason(cause: BaseException, room: dict[str, int], reason: str, says: str) -> None:
    found = problem.explain(cause, REMEDY, FOLDERS, lambda folder: (ROOM | room)[folder])
    assert found.reason == reason
    assert says in found.message


def test_a_long_text_of_a_library_is_cut_to_one_line() -> None:
    found = problem.explain(ValueError("one\n  two " + "x" * 2000), "", {}, lambda _: 0)
    assert found.message.startswith("ValueError: one two xxx")
    assert len(found.message) < 700
