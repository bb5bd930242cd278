"""Say what is installed and whether it tokenises: ``python3 -m kaito_gate.doctor``.

The answer is one JSON object on stdout; the exit code is 0 when every check passed.
"""

import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Protocol, TextIO

PACKAGES = ("tokenizers", "Jinja2")
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
MESSAGES = ({"role": "user", "content": "the cat sat"},)
WANTED_TEXT = "<|user|>the cat sat"
WANTED_TOKENS = 3


class Text(Protocol):
    """What the doctor tries; the real one needs the libraries, tests have a fake."""

    def render(self, template: str, messages: Sequence[Mapping[str, str]]) -> str:
        """Fill a chat template."""

    def count(self, text: str) -> int:
        """Count the tokens of a text with a tokenizer of whole words."""


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
    wrong = []
    rendered = text.render(TEMPLATE, MESSAGES)
    if rendered != WANTED_TEXT:
        wrong.append(f"the chat template gives {rendered!r}, want {WANTED_TEXT!r}")
    tokens = text.count(MESSAGES[0]["content"])
    if tokens != WANTED_TOKENS:
        wrong.append(f"the tokenizer counts {tokens}, want {WANTED_TOKENS}")
    return wrong


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
