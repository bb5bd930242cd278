"""Both images have the libraries that the operator's table of settings was made from."""

import json
import re
from pathlib import Path

TUNER = Path(__file__).parents[1]
OPTIONS = TUNER.parents[1] / "internal" / "tuning" / "options.json"


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)(?:^|\s)([a-z][a-z0-9-]*)==(\S+)", text))


def test_the_image_for_gpus_has_the_versions_of_the_table() -> None:
    found = pinned(re.sub(r"(?m)^#.*$", "", (TUNER / "requirements-gpu.txt").read_text(encoding="utf-8")))
    want: dict[str, str] = json.loads(OPTIONS.read_text(encoding="utf-8"))["versions"]
    assert {name: found.get(name) for name in want} == want


def test_both_images_pin_the_same_of_pypi() -> None:
    cpu = pinned((TUNER / "Dockerfile").read_text(encoding="utf-8"))
    gpu = pinned((TUNER / "requirements-gpu.txt").read_text(encoding="utf-8"))
    assert cpu
    assert {name: gpu.get(name) for name in cpu} == cpu
