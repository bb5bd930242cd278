"""Say what is installed and whether it tokenises: ``python3 -m kaito_gate.doctor``.

The answer is one JSON object on stdout; the exit code is 0 when every check passed.
"""

import json
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Protocol, TextIO

PACKAGES = ("tokenizers", "Jinja2")
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARKS = ("<|user|>", "<|assistant|>", "<|end|>")
ROW = (("user", "the cat sat"), ("assistant", "on it"))
# Eight tokens, of which the last three are trained: two words and the end mark.
WANTED = [8, 5, 8]


class Text(Protocol):
    """What the doctor tries; the real one needs the libraries, tests have a fake."""

    def encode(self, template: str, marks: Sequence[str], row: Sequence[tuple[str, str]]) -> list[int]:
        """Answer the number of tokens of a conversation, and the range to train on."""


def versions(packages: Sequence[str], lookup: Callable[[str], str]) -> dict[str, str]:
    """Answer the version of each package; one that is missing says so."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = lookup(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def examine(text: Text) -> list[str]:
    """Answer what is wrong, which is nothing when the image is fit."""
    found = text.encode(TEMPLATE, MARKS, ROW)
    return [] if found == WANTED else [f"a conversation becomes {found}, want {WANTED}"]


def main(text: Text, out: TextIO) -> int:
    """Run the doctor and answer the exit code."""
    wrong = examine(text)
    print(
        json.dumps({"ok": not wrong, "versions": versions(PACKAGES, metadata.version), "wrong": wrong}, indent=2),
        file=out,
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    from kaito_gate.text import Libraries

    sys.exit(main(Libraries(), sys.stdout))
