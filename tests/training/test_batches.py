"""Batches: rows of like length, in a budget, with loss on the answer alone."""

from __future__ import annotations

import random

import numpy as np

from training.batches import IGNORED, Row, bucket, cut, pad


def rows(count: int) -> list[Row]:
    rng = random.Random(1)
    return [Row([1] * rng.randint(3, 30), [7] * rng.randint(2, 40)) for _ in range(count)]


def test_targets_are_the_answer_and_its_end_one_step_ahead() -> None:
    batch = pad([Row([1, 4, 50, 9], [60, 61, 2]), Row([1, 4, 9], [70, 2])])
    none = IGNORED
    assert batch.inputs.tolist() == [[1, 4, 50, 9, 60, 61], [1, 4, 9, 70, 0, 0]]
    assert batch.targets.tolist() == [[none] * 3 + [60, 61, 2], [none, none, 70, 2, none, none]]
    assert batch.answer_tokens == 5


def test_no_batch_is_over_budget_and_no_row_is_lost() -> None:
    batches = bucket(rows(2000), 1024, random.Random(1))
    assert all(batch.inputs.size <= 1024 for batch in batches)
    assert sum(len(batch.inputs) for batch in batches) == 2000


def test_little_is_padding() -> None:
    some = rows(2000)
    laid_out = sum(batch.inputs.size for batch in bucket(some, 1024, random.Random(1)))
    assert laid_out < 1.04 * sum(map(len, some))


def test_a_row_longer_than_the_budget_is_alone() -> None:
    assert cut([3, 3, 50], 10) == [slice(0, 2), slice(2, 3)]


def test_batches_come_in_mixed_order() -> None:
    lengths = [batch.inputs.shape[1] for batch in bucket(rows(2000), 1024, random.Random(1))]
    assert lengths != sorted(lengths)
    assert bucket([], 1024, random.Random(1)) == []


def test_arrays_are_what_pytorch_takes_as_indices() -> None:
    assert pad(rows(3)).inputs.dtype == np.int64
