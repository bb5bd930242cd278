"""The files of a model that tokenize."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKENIZER = "tokenizer.json"


class ModelError(Exception):
    """A model whose files cannot be used."""


@dataclass(frozen=True)
class Words:
    """What a tokenizer's files say beside the vocabulary."""

    template: str = ""
    # Special tokens by the names that templates use: bos_token, eos_token and others.
    names: Mapping[str, str] = field(default_factory=dict)
    # The id of the end mark where only config.json tells it.
    eos_id: int | None = None


def _json(path: Path) -> dict[str, Any]:
    """Answer a file's object; a file that is not there has none."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as cause:
        raise ModelError(f"{path.name} of the model cannot be read: {cause}") from cause
    return said if isinstance(said, dict) else {}


def _text(value: Any) -> str | None:
    """Answer a special token, which is text or an object with its content."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _template(folder: Path, config: Mapping[str, Any]) -> str:
    """Answer the template: of its own file, else of the configuration."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    for said in (_json(folder / "chat_template.json").get("chat_template"), config.get("chat_template")):
        if isinstance(said, str):
            return said
        if isinstance(said, list):
            named = {t.get("name"): t.get("template") for t in said if isinstance(t, dict)}
            if isinstance(named.get("default"), str):
                return str(named["default"])
    return ""


def words(folder: Path, template: str) -> Words:
    """Read what stands beside the vocabulary; a template that is given goes before that of the files."""
    config = _json(folder / "tokenizer_config.json")
    names: dict[str, str] = {}
    for source in (_json(folder / "special_tokens_map.json"), config):
        for key, value in source.items():
            if key.endswith("_token") and (text := _text(value)) is not None:
                names[key] = text
    return Words(template or _template(folder, config), names, _eos_id(folder))


def _eos_id(folder: Path) -> int | None:
    """Answer the id that ends a text, as the model's configuration has it."""
    for name in ("generation_config.json", "config.json"):
        said = _json(folder / name).get("eos_token_id")
        if isinstance(said, list) and said:
            said = said[0]
        if isinstance(said, int):
            return said
    return None
