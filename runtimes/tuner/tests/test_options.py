"""The table of settings, without the libraries."""

import enum
import io
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from kaito_tuner import options, rules, settings


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Training:
    steps: int = 3
    rate: float = 0.5
    warm: bool | None = None
    modules: list[str] | str | None = None
    more: dict[str, str] | str | None = None
    colour: Colour | str = Colour.RED
    init: bool | Literal["gaussian"] = True
    pattern: dict[str, int] = field(default_factory=dict)


class Quantization:
    def __init__(self, four: Any = False, threshold: Any = 6.0, skip: Any = None, **kwargs: Any) -> None:
        """Take what the library's takes."""


@pytest.mark.parametrize(
    ("key", "want"),
    [
        ("steps", {"kind": "int", "default": 3}),
        ("rate", {"kind": "float", "default": 0.5}),
        ("warm", {"kind": "bool", "nullable": True, "default": None}),
        ("modules", {"kind": "list", "also": ["string"], "nullable": True, "default": None}),
        ("more", {"kind": "map", "nullable": True, "default": None}),
        ("colour", {"kind": "string", "default": "red", "choices": ["blue", "red"]}),
        ("init", {"kind": "bool", "also": ["string"], "default": True, "choices": ["gaussian"]}),
        ("pattern", {"kind": "map", "default": {}}),
    ],
)
def test_a_field_becomes_an_option_by_its_type(key: str, want: dict[str, object]) -> None:
    assert options.of_dataclass(Training, {})[key].json() == want


def test_a_constructor_without_types_is_read_by_its_defaults() -> None:
    found = options.of_function(Quantization.__init__, {"skip": rules.Rule(kinds=("list",))})
    assert {key: found[key].kind for key in found} == {"four": "bool", "threshold": "float", "skip": "list"}
    assert found["skip"].nullable


def test_our_word_goes_before_the_librarys() -> None:
    said = {
        "steps": rules.default(9, least=1, most=20),
        "warm": rules.Rule(owned="it is ours", ignored=True),
        "rate": rules.qlora(2.0),
    }
    found = options.of_dataclass(Training, said)
    assert found["steps"].json() == {"kind": "int", "default": 9, "least": 1, "most": 20}
    assert found["rate"].json() == {"kind": "float", "default": 0.5, "qlora": 2.0}
    assert found["warm"].json() == {
        "kind": "bool",
        "nullable": True,
        "default": None,
        "owned": True,
        "ignored": True,
        "reason": "it is ours",
    }


def test_a_rule_for_a_key_that_the_library_lost_is_told() -> None:
    classes = dict.fromkeys(rules.SECTIONS, Training)
    with pytest.raises(LookupError, match=r"Training has no .*cache_dir"):
        options.table(classes)


def test_our_own_sections_are_covered_by_their_rules() -> None:
    for section in (settings.ModelConfig, settings.DatasetConfig, settings.DataCollator):
        found = options.of_dataclass(section, rules.RULES[section.__name__])
        assert not set(rules.RULES[section.__name__]) - set(found)


def test_the_table_names_the_versions_that_it_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "RULES", {name: {"quant_method": rules.Rule()} for name in rules.SECTIONS})
    monkeypatch.setattr(options, "SECTIONS", ())
    out = io.StringIO()
    assert options.main(out, {}, lambda name: f"{name} 1") == 0
    assert json.loads(out.getvalue())["versions"]["trl"] == "trl 1"
