"""The runner's contract as Python sees it: the schema and its golden examples."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

FOLDER = Path(__file__).parent.parent
EXAMPLES = sorted((FOLDER / "examples").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(name="schema")
def _schema() -> jsonschema.Draft7Validator:
    schema = read(FOLDER / "runner.json")
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_there_are_examples_of_both_sources() -> None:
    """An empty list of examples would prove nothing."""
    assert {"image", "hub"} <= {key for path in EXAMPLES for key in read(path).get("weights", {})}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_valid(schema: jsonschema.Draft7Validator, path: Path) -> None:
    """What Go reads, Python's validator accepts."""
    schema.validate(read(path))


@pytest.mark.parametrize(
    "weights",
    [
        {"dir": "/weights/model"},
        {"dir": "/weights/model", "image": {}},
        {"dir": "", "image": {"reference": "registry.local:5000/m:1"}},
        {
            "dir": "/weights/model",
            "image": {"reference": "registry.local:5000/m:1"},
            "hub": {"endpoint": "https://huggingface.co", "repository": "a/b", "revision": "main"},
        },
    ],
    ids=["from nowhere", "an image without a name", "into no folder", "from two places"],
)
def test_weights_that_go_refuses_are_refused(schema: jsonschema.Draft7Validator, weights: dict[str, Any]) -> None:
    """The schema refuses what contract.Parse refuses."""
    changed = copy.deepcopy(read(FOLDER / "examples" / "minimal.json"))
    changed["weights"] = weights
    assert not schema.is_valid(changed)
