"""Say what is installed and whether it trains: ``python3 -m kaito_tuner.doctor``.

The answer is one JSON object on stdout; the exit code is 0 when every check passed.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Protocol, TextIO

from kaito_tuner.report import Report

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "safetensors",
    "tokenizers",
    "gguf",
    "peft",
    "trl",
    "datasets",
    "bitsandbytes",
    "pyarrow",
    "pandas",
)


class Prober(Protocol):
    """What the doctor tries; the real one needs torch, tests have a fake."""

    def forward_backward(self) -> str:
        """Train a matrix for one step."""

    def qlora_step(self) -> str:
        """Train adapters on a small 4-bit model for one step with TRL."""


def versions(packages: Sequence[str], lookup: Callable[[str], str]) -> Mapping[str, str]:
    """Answer the version of each package; one that is missing says so."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = lookup(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def examine(prober: Prober, found: Mapping[str, str], clock: Callable[[], float]) -> Report:
    """Run every check."""
    report = Report(found)
    report.run("forward and backward", prober.forward_backward, clock)
    report.run("a QLoRA step", prober.qlora_step, clock)
    return report


def main(argv: Sequence[str], out: TextIO) -> int:
    """Run the doctor and answer the exit code."""
    parser = argparse.ArgumentParser(prog="kaito_tuner.doctor", description=__doc__)
    parser.add_argument("--versions", action="store_true", help="print versions only, import nothing heavy")
    options = parser.parse_args(argv)
    found = versions(PACKAGES, metadata.version)
    if options.versions:
        report = Report(found)
    else:
        from kaito_tuner.probe import TorchProber

        report = examine(TorchProber(), found, time.monotonic)
    print(report.json(), file=out)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout))
