"""Rows that are tokenized already, and how they become batches. Nothing here needs torch."""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kaito_tuner.problem import TRAINING_FAILED, ProblemError

# What the loss is not computed on.
IGNORED = -100


@dataclass
class Rows:
    """All rows, flat: a row is the stretch of ids between two offsets."""

    ids: array[int] = field(default_factory=lambda: array("i"))
    offsets: array[int] = field(default_factory=lambda: array("q", [0]))
    # Ranges to train on, begin and end in turn, counted within the row.
    ranges: array[int] = field(default_factory=lambda: array("i"))
    range_offsets: array[int] = field(default_factory=lambda: array("q", [0]))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.offsets) - 1

    def add(self, ids: Sequence[int], train: Iterable[Sequence[int]]) -> None:
        """Append a row; what is no row raises ValueError."""
        flat = [bound for pair in train for bound in pair]
        if len(flat) % 2 or any(later < sooner for sooner, later in pairwise(flat)):
            raise ValueError("its ranges are no pairs in order")
        if not ids or min(ids) < 0 or (flat and not 0 <= flat[0] <= flat[-1] <= len(ids)):
            raise ValueError("its ranges do not lie within its ids")
        self.ids.extend(ids)
        self.offsets.append(len(self.ids))
        self.ranges.extend(flat)
        self.range_offsets.append(len(self.ranges))

    def length(self, row: int) -> int:
        """Count the tokens of a row."""
        return self.offsets[row + 1] - self.offsets[row]

    def row(self, row: int) -> tuple[array[int], array[int]]:
        """Answer the ids of a row and its flat ranges."""
        ids = self.ids[self.offsets[row] : self.offsets[row + 1]]
        return ids, self.ranges[self.range_offsets[row] : self.range_offsets[row + 1]]

    @property
    def longest(self) -> int:
        """The tokens of the longest row."""
        return max((self.length(row) for row in range(len(self))), default=0)


def read(lines: Iterable[str], vocabulary: int) -> Rows:
    """Read rows.jsonl and refuse what this model cannot take."""
    rows = Rows()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            rows.add(said["ids"], said["train"])
            if max(said["ids"]) >= vocabulary:
                raise ValueError(f"token {max(said['ids'])} is not in the model's vocabulary of {vocabulary}")
        except (ValueError, KeyError, TypeError, OverflowError) as cause:
            message = f"Line {number} of the prepared rows cannot be trained on: {cause}"
            raise ProblemError(TRAINING_FAILED, message) from cause
    if not len(rows):
        raise ProblemError(TRAINING_FAILED, "There are no rows to train on")
    return rows


def split(count: int, share: float, seed: int | None) -> tuple[list[int], list[int]]:
    """Choose the rows to train on, in their order, and those that are held out.

    The same seed gives the same order everywhere; without one the order stays.
    """
    order = list(range(count))
    if seed is not None:
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, no secret
    trained = max(1, min(count, round(count * share)))
    return order[:trained], order[trained:]


@dataclass(frozen=True)
class Batch:
    """Rows of one length, padded on the right."""

    ids: list[list[int]]
    labels: list[list[int]]
    mask: list[list[int]]


def pad(rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad_id: int, multiple: int | None) -> Batch:
    """Make a batch of ids and flat ranges; only what a range covers keeps its label."""
    width = max(len(ids) for ids, _ in rows)
    if multiple:
        width = -(-width // multiple) * multiple
    batch = Batch([], [], [])
    for ids, ranges in rows:
        length, labels = len(ids), [IGNORED] * width
        for begin, end in zip(ranges[::2], ranges[1::2], strict=True):
            labels[begin:end] = ids[begin:end]
        batch.ids.append([*ids, *[pad_id] * (width - length)])
        batch.labels.append(labels)
        batch.mask.append([1] * length + [0] * (width - length))
    return batch
