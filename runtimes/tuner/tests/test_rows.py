"""Prepared rows, and which of their tokens are trained."""

import json
import random

import pytest

from kaito_tuner import rows
from kaito_tuner.problem import TRAINING_FAILED, ProblemError


def line(ids: list[int], train: list[list[int]]) -> str:
    return json.dumps({"ids": ids, "train": train})


def test_rows_come_back_as_they_were_written() -> None:
    found = rows.read([line([1, 2, 3], [[1, 3]]), "\n", line([4, 5], [])], vocabulary=6)
    assert len(found) == 2
    assert found.longest == 3
    assert [(list(ids), list(ranges)) for ids, ranges in map(found.row, range(2))] == [
        ([1, 2, 3], [1, 3]),
        ([4, 5], []),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be trained on"),
        ('{"ids": [1]}', "'train'"),
        (line([], []), "ranges do not lie within its ids"),
        (line([1, 2], [[0, 3]]), "ranges do not lie within its ids"),
        (line([1, 2], [[-1, 1]]), "ranges do not lie within its ids"),
        (line([1, 2], [[1, 0]]), "no pairs in order"),
        (line([1, 2, 3, 4], [[2, 4], [0, 1]]), "no pairs in order"),
        (line([1, 2, 3], [[1]]), "no pairs in order"),
        (line([1, -2], []), "ranges do not lie within its ids"),
        (line([1, 6], []), "token 6 is not in the model's vocabulary of 6"),
        (line([1, 2**40], []), "cannot be trained on"),
        (line(["a"], []), "cannot be trained on"),  # type: ignore[list-item]
    ],
)
def test_a_row_that_cannot_be_trained_on_is_named_by_its_line(text: str, says: str) -> None:
    with pytest.raises(ProblemError, match=says) as caught:
        rows.read([line([1], []), text], vocabulary=6)
    assert caught.value.reason == TRAINING_FAILED
    assert "Line 2" in caught.value.message


def test_no_rows_are_no_training() -> None:
    with pytest.raises(ProblemError, match="There are no rows"):
        rows.read(["\n"], vocabulary=6)


def test_labels_are_the_trained_ranges_and_nothing_else() -> None:
    batch = rows.pad([([11, 12, 13, 14, 15], [1, 2, 3, 5]), ([21, 22], [0, 1])], pad_id=0, multiple=None)
    assert batch.ids == [[11, 12, 13, 14, 15], [21, 22, 0, 0, 0]]
    assert batch.labels == [[-100, 12, -100, 14, 15], [21, -100, -100, -100, -100]]
    assert batch.mask == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]


def test_padding_reaches_a_multiple() -> None:
    batch = rows.pad([([1, 2, 3, 4, 5], [0, 5])], pad_id=9, multiple=4)
    assert batch.ids == [[1, 2, 3, 4, 5, 9, 9, 9]]
    assert batch.labels == [[1, 2, 3, 4, 5, -100, -100, -100]]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_ranges_are_each_label_is_its_token_or_ignored(seed: int) -> None:
    chance = random.Random(seed)
    made = []
    for _ in range(chance.randint(1, 5)):
        ids = [chance.randint(0, 99) for _ in range(chance.randint(1, 30))]
        bounds = sorted(chance.sample(range(len(ids) + 1), 2 * chance.randint(0, (len(ids) + 1) // 2)))
        made.append((ids, bounds))
    batch = rows.pad(made, pad_id=0, multiple=chance.choice([None, 8]))
    for (ids, bounds), labels in zip(made, batch.labels, strict=True):
        trained = {i for begin, end in zip(bounds[::2], bounds[1::2], strict=True) for i in range(begin, end)}
        assert [label for i, label in enumerate(labels) if i in trained] == [ids[i] for i in sorted(trained)]
        assert {label for i, label in enumerate(labels) if i not in trained} <= {rows.IGNORED}


def test_a_split_holds_rows_out_and_is_the_same_each_time() -> None:
    trained, held_out = rows.split(10, 0.8, seed=42)
    assert (len(trained), len(held_out)) == (8, 2)
    assert sorted(trained + held_out) == list(range(10))
    assert (trained, held_out) == rows.split(10, 0.8, seed=42)
    assert trained != rows.split(10, 0.8, seed=43)[0]


def test_without_a_seed_the_order_stays() -> None:
    assert rows.split(4, 0.5, None) == ([0, 1], [2, 3])


def test_at_least_one_row_is_trained() -> None:
    assert rows.split(3, 0.01, None) == ([0], [1, 2])
