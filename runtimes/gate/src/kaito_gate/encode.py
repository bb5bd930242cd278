"""Make tokens of rows: ``python3 -m kaito_gate.encode``, spoken to by the runner over pipes.

The first question names the model: ``{"folder", "template", "most"}``. Each further one is a
batch, ``{"shape", "rows"}``: texts, or conversations as lists of ``[role, content]``. The answer
has for each row ``[tokens, begin, end, begin, end ...]`` with the ranges to train on, or
``{"problem"}``, and behind it the ids of all rows that are not too long.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from kaito_gate import frames, model, template, turns

TEXT = "text"
COMPLETION = "prompt-completion"

# A row of more letters than this for each token that it may have is not tokenized: it is too long,
# and would need a hundred bytes of memory for each of its tokens.
LETTERS = 64
ALWAYS = 1 << 20


class Encoder:
    """One model's tokenizer and template."""

    def __init__(self, folder: Path, given: str, most: int) -> None:
        """Load the files; most is the number of tokens that a row may have."""
        from tokenizers import Tokenizer

        path = folder / model.TOKENIZER
        if not path.is_file():
            raise model.ModelError(f"The model has no {model.TOKENIZER}, without which rows cannot be tokenized")
        try:
            self._full = Tokenizer.from_file(str(path))
            self._plain = Tokenizer.from_file(str(path))
        except Exception as cause:  # the library knows no other
            raise model.ModelError(f"{model.TOKENIZER} of the model cannot be used: {cause}") from cause
        for tokenizer in (self._full, self._plain):
            tokenizer.no_truncation()
            tokenizer.no_padding()
        # Templates write special tokens themselves, and offsets must cover blanks too.
        self._plain.post_processor = None
        said = model.words(folder, given)
        added = self._full.get_added_tokens_decoder().values()
        self._marks = tuple(token.content for token in added if token.content.strip())
        named = said.names.get("eos_token")
        self._eos = said.eos_id if named is None else self._full.token_to_id(named)
        self._most = most
        self._letters = max(ALWAYS, most * LETTERS)
        self._render: template.Render | None = None
        if said.template:
            try:
                self._render = template.compiled(said.template, said.names)
            except template.TemplateError as cause:
                raise model.ModelError(f"The model's chat template cannot be read: {cause}") from cause

    @property
    def templated(self) -> bool:
        """Say whether there is a chat template."""
        return self._render is not None

    def batch(self, shape: str, rows: Sequence[Any]) -> tuple[list[Any], array[int]]:
        """Tokenize a batch; the answers are in the order of the rows."""
        prepared = [self._prepare(shape, row) for row in rows]
        specials = shape == TEXT or not self.templated
        tokenizer = self._full if specials else self._plain
        good = [p for p in prepared if isinstance(p, Prepared)]
        encoded = iter(tokenizer.encode_batch([p.text for p in good], add_special_tokens=specials))
        answers: list[Any] = []
        ids: array[int] = array("i")
        for p in prepared:
            if isinstance(p, Prepared):
                answers.append(self._finish(shape, p, next(encoded), ids))
            else:
                answers.append(p)
        return answers, ids

    def _prepare(self, shape: str, row: Any) -> Prepared | dict[str, str] | list[int]:
        """Make the text of a row, or say what is wrong with it."""
        if shape == TEXT:
            text, spans, open_end = str(row), [(0, sys.maxsize)], True
        elif self._render is not None:
            try:
                messages = [{"role": role, "content": content} for role, content in row]
                text, spans = turns.spans(self._render, messages, self._ends)
            except template.TemplateError as cause:
                return {"problem": f"the model's chat template refuses it: {cause}"}
            except turns.PrefixError as cause:
                return {"problem": f"the model's chat template cannot be trained with: {cause}"}
            open_end = not self._ends(text.rstrip())
        elif shape == COMPLETION and len(row) == 2:
            question, answer = row[0][1], row[1][1]
            text, spans, open_end = question + answer, [(len(question), sys.maxsize)], True
        else:
            return {"problem": "the model has no chat template, so it cannot be trained on conversations"}
        if len(text) > self._letters:
            return [self._most + 1]
        return Prepared(text, spans, open_end)

    def _ends(self, text: str) -> bool:
        """Say whether a text ends with a mark that no tokenizer takes apart."""
        return text.endswith(self._marks) if self._marks else False

    def _finish(self, shape: str, p: Prepared, encoding: Any, ids: array[int]) -> list[int]:
        """Find the tokens of the spans, and add ids unless there are too many."""
        row = encoding.ids
        ranges: list[int] = []
        if shape == TEXT:
            ranges = [0, len(row)]
        elif len(row) <= self._most:
            ranges = covered(encoding.offsets, p.spans, len(p.text))
        if p.open_end and self._eos is not None and (not row or row[-1] != self._eos):
            row.append(self._eos)
            if ranges:
                ranges[-1] = len(row)
        if len(row) > self._most:
            return [len(row)]
        ids.extend(row)
        return [len(row), *ranges]


class Prepared:
    """A text, the spans to train on, and whether an end mark is to be appended."""

    __slots__ = ("open_end", "spans", "text")

    def __init__(self, text: str, spans: Sequence[tuple[int, int]], open_end: bool) -> None:
        """Keep all three."""
        self.text, self.spans, self.open_end = text, spans, open_end


def covered(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]], length: int) -> list[int]:
    """Answer the ranges of tokens that cover spans of letters, flat.

    A token that begins before a span and reaches into it counts.
    """
    starts = [start for start, _ in offsets]
    ranges: list[int] = []
    for begin, end in spans:
        first = bisect_left(starts, begin)
        while first > 0 and offsets[first - 1][1] > begin:
            first -= 1
        last = len(starts) if end >= length else bisect_left(starts, end)
        ranges += [first, max(first, last)]
    return ranges


def serve(source: BinaryIO, out: BinaryIO) -> int:
    """Answer questions until there are none, and answer the exit code."""
    said = frames.read(source)
    if said is None:
        return 0
    try:
        encoder = Encoder(Path(said["folder"]), said.get("template", ""), said["most"])
    except model.ModelError as cause:
        frames.write(out, {"wrong": str(cause)})
        return 2
    frames.write(out, {"templated": encoder.templated})
    while (said := frames.read(source)) is not None:
        answers, ids = encoder.batch(said["shape"], said["rows"])
        frames.write(out, {"rows": answers}, ids)
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.stdin.buffer, sys.stdout.buffer))
