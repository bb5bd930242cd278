"""Rows of the demo's data set, made by the code that makes them in a pod."""

import json
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "schema" / "examples" / "tune" / "smollm2-qlora.json"


def tune() -> dict[str, Any]:
    """Answer what the operator writes for the demo."""
    said: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return said


def rows(parquet: Path, model: Path) -> list[dict[str, Any]]:
    """Tokenize conversations as the check does."""
    import pyarrow.parquet

    from kaito_gate.encode import Encoder

    said = tune()["model"]
    encoder = Encoder(model, said["chatTemplate"], said["maxLength"])
    table = pyarrow.parquet.read_table(parquet).to_pylist()
    answers, ids = encoder.batch("messages", [[(m["role"], m["content"]) for m in row["messages"]] for row in table])
    made, at = [], 0
    for length, *bounds in answers:
        pairs = [list(pair) for pair in zip(bounds[::2], bounds[1::2], strict=True)]
        made.append({"ids": list(ids[at : at + length]), "train": pairs})
        at += length
    return made


def write(lines: list[dict[str, Any]], file: Path) -> None:
    """Write rows.jsonl."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    import sys

    write(rows(Path(sys.argv[1]), Path("/model")), Path(sys.argv[2]))
