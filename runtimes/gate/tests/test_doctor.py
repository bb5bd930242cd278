"""The doctor without tokenizers."""

import io
import json
from collections.abc import Mapping, Sequence

from kaito_gate import doctor


class Fake:
    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def render(self, template: str, messages: Sequence[Mapping[str, str]]) -> str:
        assert template == doctor.TEMPLATE
        return "".join(f"<|{m['role']}|>{m['content']}" for m in messages)

    def count(self, text: str) -> int:
        assert text
        return self.tokens


def test_a_fit_image_answers_ok() -> None:
    out = io.StringIO()
    assert doctor.main(Fake(doctor.WANTED_TOKENS), out) == 0
    assert json.loads(out.getvalue())["ok"] is True


def test_a_wrong_count_is_told_with_both_numbers() -> None:
    out = io.StringIO()
    assert doctor.main(Fake(7), out) == 1
    assert json.loads(out.getvalue())["wrong"] == ["the tokenizer counts 7, want 3"]
