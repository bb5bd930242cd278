"""How a run ends other than well: a reason that the operator knows, and words for the user."""

import errno
import os
from collections.abc import Callable

# Reasons, as internal/runner/ending has them.
CONFIG_INVALID = "ConfigInvalid"
DISK_FULL = "DiskFull"
OUT_OF_MEMORY = "OutOfMemory"
STOPPED = "Stopped"
TRAINING_FAILED = "TrainingFailed"
DONE = "Done"

# Exit codes: final until somebody changes something, and what may pass.
CODE_FINAL = 2
CODE_STOPPED = 1

# How little room counts as none, where a library says only that writing failed.
NEARLY_FULL = 16 << 20


class ProblemError(Exception):
    """An end with its reason; the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.reason = reason
        self.message = message


class StoppedError(ProblemError):
    """The pod was told to stop; the next one goes on."""

    def __init__(self, message: str) -> None:
        """Give it its reason."""
        super().__init__(STOPPED, message)


def free_bytes(folder: str) -> int:
    """Answer how much an ordinary user can still write there."""
    said = os.statvfs(folder)
    return said.f_bavail * said.f_frsize


def explain(cause: BaseException, remedy: str, folders: dict[str, str], free: Callable[[str], int]) -> ProblemError:
    """Find the reason of whatever was raised while training.

    remedy says what would need less memory; folders are those that are written to, with
    the name under which the user knows them.
    """
    if isinstance(cause, ProblemError):
        return cause
    text = " ".join(str(cause).split())
    if _out_of_memory(cause, text):
        return ProblemError(OUT_OF_MEMORY, f"Training needs more memory than there is. {remedy}")
    full = _full(cause, text, folders, free)
    if full:
        return ProblemError(DISK_FULL, f"There is no room left for {full}; give the node or the volume more")
    return ProblemError(TRAINING_FAILED, f"{type(cause).__name__}: {text[:600]}")


def _out_of_memory(cause: BaseException, text: str) -> bool:
    if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
        return True
    said = text.lower()
    return isinstance(cause, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said or "cublas_status_alloc_failed" in said
    )


def _full(cause: BaseException, text: str, folders: dict[str, str], free: Callable[[str], int]) -> str:
    """Answer the name of the folder that is full, or nothing."""
    sure = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
    sure = sure or "No space left on device" in text or "os error 28" in text
    maybe = sure or "PytorchStreamWriter" in text or "writing file" in text
    if not maybe:
        return ""
    for folder, name in folders.items():
        if free(folder) < NEARLY_FULL:
            return name
    return " or ".join(folders.values()) if sure else ""
