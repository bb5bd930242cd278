"""The comparison of a model with and without its adapter, without torch."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from kaito_tuner import evaluate


def line(question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns}) + "\n"


class Parrot:
    """Knows one answer when it is tuned."""

    def score(self, question: Sequence[evaluate.Message], answer: str, tuned: bool) -> tuple[float, int]:
        assert question[-1]["role"] == "user"
        return (-1.0 if tuned and answer == "Pirouette" else -10.0), 4

    def say(self, question: Sequence[evaluate.Message], tuned: bool) -> str:
        return "Pirouette" if tuned and "cat" in question[-1]["content"] else "A boat"


def test_both_are_told_row_by_row_and_in_sum(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(line("The cat?", "Pirouette") + "\n" + line("The dog?", "Rex"))
    (tmp_path / "prompts.txt").write_text("The sea?\n\nAnother cat?\n")
    out = io.StringIO()
    argv = ["--model", "m", "--adapter", "a", "--rows", str(tmp_path / "rows.jsonl")]
    assert evaluate.main([*argv, "--prompts", str(tmp_path / "prompts.txt")], out, lambda *_: Parrot()) == 0
    assert out.getvalue().endswith(
        """
held-out rows                          2, 8 tokens of answers
the answer is likelier when tuned      1 of 2
base   log-probability of the answers  -20.00, -2.500 a token
base   answers word for word            0 of 2
tuned  log-probability of the answers  -11.00, -1.375 a token
tuned  answers word for word            1 of 2
unrelated prompts answered the same    1 of 2
"""
    )


@pytest.mark.parametrize("text", ["{}", "[]", '{"messages": []}', '{"messages": [{"role": "user", "content": "?"}]}'])
def test_a_line_that_is_no_conversation_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="line 2 is no conversation"):
        evaluate.read_rows(line("a", "b") + text)
