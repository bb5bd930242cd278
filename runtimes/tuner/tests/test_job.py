"""What the trainer takes from tune.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from kaito_tuner import job
from kaito_tuner.problem import CONFIG_INVALID, ProblemError

EXAMPLES = sorted((Path(__file__).parents[2] / "schema" / "examples" / "tune").glob("*.json"))


def tune(**more: Any) -> dict[str, Any]:
    return {
        "runID": "0123456789ab",
        "method": "qlora",
        "model": {"hubID": "org/model", "revision": "abc", "maxLength": 512},
        "threads": 2,
        "settings": {"LoraConfig": {"r": 8, "layers_pattern": None}},
    } | more


def test_a_run_is_read_with_all_that_training_needs() -> None:
    found = job.parse(json.dumps(tune()))
    assert (found.run_id, found.method, found.hub_id, found.max_length, found.threads) == (
        "0123456789ab",
        "qlora",
        "org/model",
        512,
        2,
    )
    assert found.value("LoraConfig", "r") == 8


@pytest.mark.parametrize("key", ["layers_pattern", "no_such_key"])
def test_null_is_as_good_as_nothing(key: str) -> None:
    assert job.parse(json.dumps(tune())).value("LoraConfig", key, "otherwise") == "otherwise"


@pytest.mark.parametrize(
    ("revision", "want"),
    [
        ("12fd25f77366fa6b3b4b768ec3050bf629380bac", "12fd25f77366fa6b3b4b768ec3050bf629380bac"),
        ("registry.local:5000/kaito/models/smollm2:hf", None),
        ("registry.example/models/smollm2@sha256:00", None),
        ("", None),
    ],
)
def test_only_a_revision_of_the_hub_is_one(revision: str, want: str | None) -> None:
    found = job.parse(json.dumps(tune(model={"hubID": "org/model", "revision": revision})))
    assert found.hub_revision == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "tune.json is no JSON"),
        ("[]", "tune.json has no model"),
        (json.dumps(tune(method="full")), "tuning.method is 'full'; use lora or qlora"),
        (json.dumps(tune(runID="")), "tune.json has no runID"),
        (json.dumps(tune(settings={"LoRA": {}})), "The configuration has no section LoRA; use ModelConfig"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_field(text: str, says: str) -> None:
    with pytest.raises(ProblemError, match=says) as caught:
        job.parse(text)
    assert caught.value.reason == CONFIG_INVALID


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_what_the_operator_writes_is_understood(file: Path) -> None:
    said = json.loads(file.read_text(encoding="utf-8"))
    found = job.parse(json.dumps(said))
    assert found.run_id == said["runID"]
    assert found.settings.keys() == said["settings"].keys()
