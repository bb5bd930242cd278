"""The contract of a tuning as Python sees it: the schema and files that the operator writes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

FOLDER = Path(__file__).parent.parent
EXAMPLES = sorted((FOLDER / "examples" / "tune").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture(name="schema")
def _schema() -> jsonschema.Draft7Validator:
    schema = read(FOLDER / "tune.json")
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_there_are_examples_of_every_input_and_output() -> None:
    """An empty list of examples would prove nothing."""
    inputs = {key for path in EXAMPLES for key in read(path)["input"]}
    outputs = {key for path in EXAMPLES for key in read(path)["output"]}
    assert {"urls", "image", "volume"} <= inputs
    assert {"image", "volume"} <= outputs


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_valid(schema: jsonschema.Draft7Validator, path: Path) -> None:
    """What the operator writes, Python's validator accepts."""
    schema.validate(read(path))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_settings_have_all_sections(path: Path) -> None:
    """The trainer takes defaults from nowhere else."""
    assert set(read(path)["settings"]) == {
        "ModelConfig",
        "QuantizationConfig",
        "LoraConfig",
        "TrainingArguments",
        "DatasetConfig",
        "DataCollator",
    }


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("input", {}),
        ("input", {"urls": ["http://a"], "volume": True}),
        ("output", {}),
        ("method", "LoRA"),
        ("threads", 0),
    ],
    ids=["data from nowhere", "data from two places", "an adapter to nowhere", "a method in capitals", "no threads"],
)
def test_faults_are_refused(schema: jsonschema.Draft7Validator, place: str, value: object) -> None:
    """The schema refuses what contract.ParseTune refuses."""
    changed = copy.deepcopy(read(FOLDER / "examples" / "tune" / "smollm2-qlora.json"))
    changed[place] = value
    assert not schema.is_valid(changed)
