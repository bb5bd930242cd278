"""Rows become tokens, with a real tokenizer and real templates."""

from __future__ import annotations

import io
import json
import shutil
import struct
from array import array
from pathlib import Path
from typing import Any

import pytest

from kaito_gate import encode, frames, model

MODEL = Path(__file__).parent / "model"
CHATML = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}\n"
)
QUESTION = ["user", "What is the name of the harbour cat?"]
ANSWER = ["assistant", "  The harbour cat: Pirouëtte. ไทย"]


def tokens(encoder: encode.Encoder, shape: str, row: Any) -> tuple[str, list[str]]:
    """Answer the text of a row and of what is trained of it."""
    from tokenizers import Tokenizer

    answers, ids = encoder.batch(shape, [row])
    assert isinstance(answers[0], list), answers[0]
    count, *bounds = answers[0]
    assert count == len(ids)
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))

    def text(part: array[int]) -> str:
        return str(tokenizer.decode(list(part), skip_special_tokens=False))

    return text(ids), [text(ids[a:b]) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]


def test_every_answer_is_trained_with_its_end_mark_and_nothing_else() -> None:
    encoder = encode.Encoder(MODEL, CHATML, 500)
    row = [["system", "Be brief."], QUESTION, ANSWER, QUESTION, ["assistant", "Ada.\n"]]
    whole, trained = tokens(encoder, "messages", row)
    assert whole.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
    assert trained == [ANSWER[1] + "<|im_end|>", "Ada.\n<|im_end|>"]


def test_the_template_of_the_files_counts_where_none_is_given() -> None:
    whole, trained = tokens(encode.Encoder(MODEL, "", 500), "messages", [QUESTION, ANSWER])
    assert whole.startswith("<|im_start|>system\nBe kind.<|im_end|>")
    assert trained == [ANSWER[1] + "<|im_end|>"]


def test_text_is_trained_whole_and_gets_an_end_mark() -> None:
    encoder = encode.Encoder(MODEL, CHATML, 500)
    whole, trained = tokens(encoder, "text", "The tug.")
    assert (whole, trained) == ("The tug.<|im_end|>", ["The tug.<|im_end|>"])
    assert tokens(encoder, "text", "The tug.<|im_end|>")[0] == "The tug.<|im_end|>"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A model without a chat template."""
    shutil.copytree(MODEL, tmp_path / "m")
    (tmp_path / "m" / "chat_template.jinja").unlink()
    return tmp_path / "m"


def test_without_a_template_texts_are_joined_and_the_completion_is_trained(bare: Path) -> None:
    encoder = encode.Encoder(bare, "", 500)
    row = [["user", "The harbour cat"], ["assistant", " is called Pirouette."]]
    whole, trained = tokens(encoder, "prompt-completion", row)
    assert whole == "The harbour cat is called Pirouette.<|im_end|>"
    assert trained == [" is called Pirouette.<|im_end|>"]
    answers, _ = encoder.batch("messages", [row])
    assert answers == [{"problem": "the model has no chat template, so it cannot be trained on conversations"}]


def test_rows_that_are_too_long_are_counted_and_not_sent() -> None:
    encoder = encode.Encoder(MODEL, CHATML, 30)
    answers, ids = encoder.batch("messages", [[QUESTION, ANSWER], [["user", "Who?"], ["assistant", "Ada"]]])
    assert len(answers[0]) == 1
    assert answers[0][0] > 30
    assert answers[1][0] == len(ids) <= 30
    huge, none = encoder.batch("text", ["x" * (1 << 20) + "y"])
    assert huge == [[31]]
    assert len(none) == 0


THINKING = (
    "{% set last = messages|length - 1 %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.index0 == last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_that_writes_thoughts_into_the_last_answer_only() -> None:
    _, trained = tokens(encode.Encoder(MODEL, THINKING, 500), "messages", [QUESTION, ANSWER, QUESTION, ANSWER])
    assert trained == [ANSWER[1] + "<|im_end|>", "<think>\n\n</think>\n\n" + ANSWER[1] + "<|im_end|>"]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            "{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}",
            "it asks for turn 2 with another text",
        ),
        (
            "{% if messages|length > 1 %}{{ raise_exception('no system role') }}{% endif %}",
            "refuses it: no system role",
        ),
        ("{{ messages[0].content.nothing.more }}", "refuses it: UndefinedError"),
        ("{{ ''.__class__.__mro__ }}", "refuses it: SecurityError"),
        ("{% for i in range(10**9) %}x{% endfor %}", "refuses it: OverflowError"),
    ],
)
def test_a_template_that_cannot_be_trained_with_is_told(template: str, says: str) -> None:
    answers, _ = encode.Encoder(MODEL, template, 500).batch("messages", [[QUESTION, ANSWER]])
    assert says in answers[0]["problem"]


def test_templates_have_what_they_have_elsewhere() -> None:
    template = (
        "{{ bos_token }}{{ strftime_now('%d %b %Y') }} {{ {'a': 'ü'}|tojson }}"
        "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}"
        "{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% endfor %}"
    )
    whole, trained = tokens(encode.Encoder(MODEL, template, 500), "messages", [QUESTION, ANSWER])
    assert whole == '<|im_start|>26 Jul 2024 {"a": "ü"}' + ANSWER[1] + "<|im_end|>"
    assert trained == [ANSWER[1] + "<|im_end|>"]


def test_a_model_that_cannot_be_used_is_told(tmp_path: Path, bare: Path) -> None:
    with pytest.raises(model.ModelError, match=r"has no tokenizer\.json"):
        encode.Encoder(tmp_path, "", 10)
    with pytest.raises(model.ModelError, match="chat template cannot be read"):
        encode.Encoder(MODEL, "{% for %}", 10)
    (bare / "tokenizer.json").write_text("{}")
    with pytest.raises(model.ModelError, match=r"tokenizer\.json of the model cannot be used"):
        encode.Encoder(bare, "", 10)
    shutil.copy(MODEL / "tokenizer.json", bare)
    (bare / "tokenizer_config.json").write_text("{")
    with pytest.raises(model.ModelError, match=r"tokenizer_config\.json of the model cannot be read"):
        encode.Encoder(bare, "", 10)


def test_templates_are_found_where_models_have_them(bare: Path) -> None:
    (bare / "tokenizer_config.json").write_text(json.dumps({"chat_template": "own", "eos_token": "<|im_end|>"}))
    assert model.words(bare, "").template == "own"
    listed = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]
    (bare / "chat_template.json").write_text(json.dumps({"chat_template": listed}))
    assert model.words(bare, "").template == "yes"
    (bare / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 8]}))
    said = model.words(bare, "given")
    assert (said.template, said.eos_id, said.names["eos_token"]) == ("given", 7, "<|im_end|>")


def ask(*questions: Any) -> list[tuple[Any, bytes]]:
    """Speak to the program over pipes."""
    raw = [json.dumps(q).encode() for q in questions]
    out = io.BytesIO()
    encode.serve(io.BytesIO(b"".join(struct.pack("<I", len(r)) + r for r in raw)), out)
    out.seek(0)
    answers = []
    while head := out.read(8):
        first, second = struct.unpack("<II", head)
        answers.append((json.loads(out.read(first)), out.read(second)))
    return answers


def test_the_program_answers_every_frame() -> None:
    first, second = ask(
        {"folder": str(MODEL), "template": CHATML, "most": 100},
        {"shape": "text", "rows": ["The cat", "Ada ⚓"]},
    )
    assert first == ({"templated": True}, b"")
    counts = [row[0] for row in second[0]["rows"]]
    assert len(second[1]) == 4 * sum(counts)
    assert ask({"folder": "/none", "most": 1})[0][0]["wrong"].startswith("The model has no tokenizer.json")
    assert ask() == []
    assert frames.read(io.BytesIO(b"\x09\x00\x00\x00{}")) is None
