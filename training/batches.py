"""Batches: examples of like length side by side, padded on the right, within a token budget."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORED = -1


@dataclass(frozen=True, slots=True)
class Row:
    """One example as token ids: the prompt, then the answer with its EOS."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer) - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs` and `targets`, int64 (rows, length); a target that is `IGNORED` has no loss."""

    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]

    @property
    def answer_tokens(self) -> int:
        """How many tokens carry loss."""
        return int((self.targets != IGNORED).sum())


def pad(rows: Sequence[Row]) -> Batch:
    """Lay rows out as next-token inputs and targets; the prompt's own tokens carry no loss."""
    length = max(len(row) for row in rows)
    inputs = np.zeros((len(rows), length), np.int64)
    targets = np.full((len(rows), length), IGNORED, np.int64)
    for number, row in enumerate(rows):
        tokens = [*row.prompt, *row.answer]
        inputs[number, : len(row)] = tokens[:-1]
        targets[number, len(row.prompt) - 1 : len(row)] = row.answer
    return Batch(inputs, targets)


def cut(lengths: Sequence[int], budget: int) -> list[slice]:
    """Cut ascending `lengths` into runs whose padded size, rows times longest, is in `budget`.

    A row longer than the budget makes a run of its own.

    >>> cut([2, 2, 3, 9], 6)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    borders = [0]
    for number, length in enumerate(lengths):
        if number > borders[-1] and (number + 1 - borders[-1]) * length > budget:
            borders.append(number)
    return [slice(a, b) for a, b in zip(borders, [*borders[1:], len(lengths)], strict=True)]


def bucket(rows: Sequence[Row], budget: int, rng: random.Random) -> list[Batch]:
    """Sort rows by length, cut them into padded batches of at most `budget` tokens, and shuffle."""
    if not rows:
        return []
    ordered = sorted(rows, key=len)
    batches = [pad(ordered[run]) for run in cut([len(row) for row in ordered], budget)]
    rng.shuffle(batches)
    return batches
