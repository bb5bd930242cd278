"""Rows of the demo's data set as the trainer gets them, made here by transformers' own tokenizer."""

import json
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "schema" / "examples" / "tune" / "smollm2-qlora.json"


def tune() -> dict[str, Any]:
    """Answer what the operator writes for the demo."""
    said: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return said


def rows(parquet: Path, model: Path) -> list[dict[str, Any]]:
    """Tokenize conversations of one question and one answer; the answer and its end mark are trained."""
    import pyarrow.parquet
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = tune()["model"]["chatTemplate"]
    made = []
    for said in pyarrow.parquet.read_table(parquet).to_pylist():
        *question, answer = said["messages"]
        text = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
        before = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        wanted = [*tokenizer(answer["content"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        made.append({"ids": before + wanted, "train": [[len(before), len(before) + len(wanted)]]})
    return made


def write(lines: list[dict[str, Any]], file: Path) -> None:
    """Write rows.jsonl."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    import sys

    write(rows(Path(sys.argv[1]), Path("/model")), Path(sys.argv[2]))
