"""Train an adapter: ``python3 -m kaito_tuner.train --job /etc/kaito/tune.json``.

One JSON object a line on stdout: ``loading``, ``resumed``, ``training``, ``progress``,
``checkpoint`` and at last ``result``, whose reason is Done or that of the problem. All
that libraries print goes to stderr.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from kaito_tuner import checkpoints, problem
from kaito_tuner import job as job_module
from kaito_tuner.problem import CODE_FINAL, CODE_STOPPED, DONE, STOPPED, ProblemError, StoppedError
from kaito_tuner.progress import Meter, Reporter

# What makes the run of a job; the real one needs torch, tests have a fake.
Maker = Callable[[job_module.Job, job_module.Places, Reporter, Callable[[], bool]], Any]


class Stop:
    """Whether the pod was told to stop."""

    def __init__(self) -> None:
        """Begin with a run that loads and may be left at any time."""
        self.asked, self.patient = False, False

    def __call__(self, *_: Any) -> None:
        """Take the signal: while nothing is trained the run ends at once, later after its step."""
        self.asked = True
        if not self.patient:
            raise StoppedError("The trainer was told to stop before its first step")


def run(text: str, places: job_module.Places, out: TextIO, make: Maker, clock: Callable[[], float]) -> int:
    """Train, tell the result, and answer the exit code."""
    reporter = Reporter(out, Meter(clock))
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    remedy = ""
    try:
        job = job_module.parse(text)
        places.checkpoints.mkdir(parents=True, exist_ok=True)
        reporter.say("loading")
        made = make(job, places, reporter, lambda: stop.asked)
        remedy = made.remedy()
        reporter.say("remedy", message=remedy)
        made.load()
        stop.patient = True
        training = made.train()
        checkpoints.write_whole(places.training, json.dumps(training))
    except (Exception, KeyboardInterrupt) as cause:  # noqa: BLE001 - every end has a reason
        folders = {str(places.checkpoints): "checkpoints", str(places.results): "the adapter"}
        end = problem.explain(cause, remedy, folders, problem.free_bytes)
        if not isinstance(cause, ProblemError):
            sys.excepthook(type(cause), cause, cause.__traceback__)
        reporter.say("result", reason=end.reason, message=end.message)
        return CODE_STOPPED if end.reason == STOPPED else CODE_FINAL
    reporter.say("result", reason=DONE, training=training)
    return 0


def private_stdout() -> TextIO:
    """Take stdout for our own lines, and send what anybody else prints there to stderr."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return ours


def options(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="kaito_tuner.train", description=__doc__)
    parser.add_argument("--job", type=Path, default=Path("/etc/kaito/tune.json"), metavar="FILE")
    parser.add_argument("--rows", type=Path, default=Path("/data/rows.jsonl"), metavar="FILE")
    parser.add_argument("--model", type=Path, default=Path("/weights/model"), metavar="DIR")
    parser.add_argument("--results", type=Path, default=Path("/results"), metavar="DIR")
    parser.add_argument("--checkpoints", type=Path, default=Path("/checkpoints"), metavar="DIR")
    return parser.parse_args(argv)


def with_torch(job: job_module.Job, places: job_module.Places, reporter: Reporter, asked: Callable[[], bool]) -> Any:
    """Make the real run."""
    from kaito_tuner.trainer import Run

    return Run(job, places, reporter, asked)


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    said = options(argv)
    places = job_module.Places(said.rows, said.model, said.results, said.checkpoints)
    return run(said.job.read_text(encoding="utf-8"), places, private_stdout(), with_torch, time.monotonic)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
