"""Print the settings that a run takes, as JSON: ``python3 -m kaito_tuner.options``.

Section, key, then ``kind`` (bool, int, float, string, list, map), ``also`` (further
kinds), ``nullable``, ``default``, ``qlora`` (the default with that method, where it is
another), ``choices``, ``least`` and ``most``. ``owned`` keys are not the user's, for
``reason``: only their default may be written; those that are also ``ignored`` are taken
without effect, since existing configurations carry them. The classes are those of the
libraries in this image.
"""

import dataclasses
import enum
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, TextIO

from kaito_tuner import settings
from kaito_tuner.rules import JSON, RULES, SECTIONS, Option, Rule

SCALARS: Mapping[type, str] = {bool: "bool", int: "int", float: "float", str: "string"}
ORDER = ("bool", "int", "float", "string", "list", "map")
LIBRARIES = ("transformers", "trl", "peft", "bitsandbytes")


def kinds(hint: Any) -> tuple[set[str], bool, list[JSON]]:
    """Answer the kinds of a type, whether it may be null, and its choices."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint))
    if hint is type(None):
        return set(), True, []
    if origin is typing.Literal:
        values = list(typing.get_args(hint))
        return {SCALARS[type(value)] for value in values if value is not None}, False, values
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"string"}, False, list(sorted(str(member.value) for member in hint))
    if hint in SCALARS:
        return {SCALARS[hint]}, False, []
    if hint is list or origin is list:
        return {"list"}, False, []
    return {"map"}, False, []  # dicts, and the libraries' own configurations


def _union(parts: tuple[Any, ...]) -> tuple[set[str], bool, list[JSON]]:
    found: set[str] = set()
    nullable, choices = False, list[JSON]()
    for part in parts:
        more, null, named = kinds(part)
        found, nullable, choices = found | more, nullable or null, choices + named
    if {"map", "string"} <= found and not choices:
        found.discard("string")  # a path to a file, or JSON on a command line
    return found, nullable, choices


def option(hint: Any, default: Any, rule: Rule) -> Option:
    """Join what the library says about a key with what we say."""
    found, nullable, choices = kinds(hint)
    names = rule.kinds or tuple(sorted(found, key=ORDER.index)) or ("string",)
    if "list" in names and "string" in names:
        names = ("list", *(name for name in names if name != "list"))
    value = rule.default if rule.has_default else _plain(default)
    return Option(
        kind=names[0],
        also=list(names[1:]),
        nullable=nullable or value is None,
        default=value,
        qlora=rule.qlora,
        has_qlora=rule.has_qlora,
        choices=list(rule.choices) if rule.choices is not None else choices,
        least=rule.least,
        most=rule.most,
        owned=bool(rule.owned),
        ignored=rule.ignored,
        reason=rule.owned,
    )


def _plain(value: Any) -> JSON:
    """Turn a default into JSON; what is no plain value has none that a user could write."""
    if isinstance(value, enum.Enum):
        return str(value.value)
    if value is None or isinstance(value, (bool, int, float, str, list, dict)):
        return value
    return None


def of_dataclass(cls: Any, rules: Mapping[str, Rule]) -> dict[str, Option]:
    """Read the fields of a dataclass."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        default = field.default
        if default is dataclasses.MISSING:
            default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
        found[field.name] = option(hints[field.name], default, rules.get(field.name, Rule()))
    return found


def of_function(function: Callable[..., Any], rules: Mapping[str, Rule]) -> dict[str, Option]:
    """Read the parameters of a constructor that names no types: their defaults tell."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self" or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        found[name] = option(type(parameter.default), parameter.default, rules.get(name, Rule()))
    return found


def table(classes: Mapping[str, Any]) -> dict[str, dict[str, Option]]:
    """Make the table of all sections, and refuse a rule for a key that no class has."""
    found = {}
    for section in SECTIONS:
        cls, rules = classes[section], RULES[section]
        if dataclasses.is_dataclass(cls) and section != "QuantizationConfig":
            found[section] = of_dataclass(cls, rules)
        else:
            found[section] = of_function(cls.__init__, rules)
        if section == "QuantizationConfig":
            found[section]["quant_method"] = option(str, None, rules["quant_method"])
        unknown = sorted(set(rules) - set(found[section]))
        if unknown:
            raise LookupError(
                f"{cls.__name__} has no {', '.join(unknown)}: the library has changed, and so must rules.py"
            )
    return found


def installed() -> dict[str, Any]:
    """Import the classes behind the sections."""
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig
    from trl import SFTConfig

    return {
        "ModelConfig": settings.ModelConfig,
        "QuantizationConfig": BitsAndBytesConfig,
        "LoraConfig": LoraConfig,
        "TrainingArguments": SFTConfig,
        "DatasetConfig": settings.DatasetConfig,
        "DataCollator": settings.DataCollator,
    }


def main(out: TextIO, classes: Mapping[str, Any], version: Callable[[str], str]) -> int:
    """Print the table and answer the exit code."""
    sections = {name: {key: options[key].json() for key in sorted(options)} for name, options in table(classes).items()}
    said = {"versions": {name: version(name) for name in LIBRARIES}, "sections": sections}
    print(json.dumps(said, indent=1), file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdout, installed(), metadata.version))
