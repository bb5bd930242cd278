"""The doctor with a fake and with the real libraries."""

import io
import json
from collections.abc import Sequence

from kaito_gate import doctor
from kaito_gate.text import Libraries


class Fake:
    def __init__(self, answer: list[int]) -> None:
        self.answer = answer

    def encode(self, template: str, marks: Sequence[str], row: Sequence[tuple[str, str]]) -> list[int]:
        assert (template, marks, row) == (doctor.TEMPLATE, doctor.MARKS, doctor.ROW)
        return self.answer


def test_a_fit_image_answers_ok() -> None:
    out = io.StringIO()
    assert doctor.main(Libraries(), out) == 0
    assert json.loads(out.getvalue())["ok"] is True


def test_another_count_is_told_with_both() -> None:
    out = io.StringIO()
    assert doctor.main(Fake([7, 5, 7]), out) == 1
    assert json.loads(out.getvalue())["wrong"] == ["a conversation becomes [7, 5, 7], want [8, 5, 8]"]
