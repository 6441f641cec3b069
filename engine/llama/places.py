"""Which sequence id a sequence gets, and what the KV cache still holds under each.

In a split cache llama.cpp runs one graph for each run of neighbouring ids in a batch: eight rows on
ids with one hole took 64 ms where dense ones took 42 (0.5B parameters, Q4_0). So live ids are kept
dense: newcomers fill holes, and a hole that stays is filled by the highest sequence.

A finished sequence's prompt stays in the cache until its place is taken. A newcomer that begins
with the same tokens (the same instruction, or a text that is still being typed) takes it over.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.llama.context import Context
from engine.llama.sequence import Sequence

# A prefix outside of the dense ids is worth a later move of the sequence from so many tokens on.
_WORTH_A_MOVE = 64
# Steps that a hole must have lasted before it is closed: most are filled by a newcomer at once, and
# the copy costs about what the hole costs in two steps.
_PATIENCE = 4


class Places:
    """The sequence ids of one context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._slots: list[Sequence | None] = [None] * context.size.sequences
        self._cached: list[list[int]] = [[] for _ in self._slots]
        self._hole_age = 0
        self.live = 0

    def __iter__(self) -> Iterator[Sequence]:
        """The live sequences in ascending ids."""
        return (slot for slot in list(self._slots) if slot is not None)

    def kept(self, place: int) -> int:
        """How many tokens the cache holds under an id: a sequence's, or those of a past prompt."""
        slot = self._slots[place]
        return len(self._cached[place]) if slot is None else slot.length

    def take_back(self, place: int) -> None:
        """Remove what was decoded behind those tokens."""
        if self._context.truncate(place, self.kept(place)):
            return
        self._context.clear(place)
        self._cached[place] = []
        if (slot := self._slots[place]) is not None:
            slot.length = 0

    @property
    def full(self) -> bool:
        """No place is free."""
        return self.live == len(self._slots)

    def put(self, sequence: Sequence) -> int:
        """Give a sequence a free id; returns how many of its tokens the cache already holds."""
        place, common = self._choose(sequence.tokens)
        if common and not self._context.truncate(place, common):
            common = 0
        if not common:
            self._context.clear(place)
        self._cached[place] = []
        self._slots[place] = sequence
        self.live += 1
        sequence.id, sequence.length = place, common
        return common

    def _choose(self, tokens: list[int]) -> tuple[int, int]:
        """The free id that keeps ids dense and holds most of the prompt."""
        best, best_key = (-1, 0), (False, -1)
        for place, slot in enumerate(self._slots):
            if slot is not None:
                continue
            common = _common(self._cached[place], tokens)
            key = (place <= self.live or common >= _WORTH_A_MOVE, common)
            if key > best_key:
                best, best_key = (place, common), key
        return best

    def free(self, sequence: Sequence) -> None:
        """Take a sequence's id back; its prompt stays in the cache for whoever begins alike."""
        place, prompt = sequence.id, min(sequence.prompt, sequence.length)
        if self._context.truncate(place, prompt):
            self._cached[place] = sequence.tokens[:prompt]
        else:
            self._context.clear(place)
        self._slots[place] = None
        self.live -= 1
        sequence.id, sequence.length = -1, 0

    def close_hole(self) -> None:
        """Called once a step: move the highest sequence into the lowest hole that has lasted."""
        top = max((place for place, slot in enumerate(self._slots) if slot is not None), default=-1)
        if top < self.live:  # as many live ids as ids up to the highest: no hole
            self._hole_age = 0
            return
        self._hole_age += 1
        if self._hole_age <= _PATIENCE:
            return
        self._hole_age = 0
        hole = self._slots.index(None)
        sequence = self._slots[top]
        assert sequence is not None
        self._context.clear(hole)
        if sequence.length:
            self._context.copy(top, hole)
            self._context.clear(top)
        self._slots[hole], self._slots[top] = sequence, None
        self._cached[hole] = []
        sequence.id = hole


def _common(cached: list[int], tokens: list[int]) -> int:
    """How many tokens both begin with; at least one of `tokens` is left to be decoded."""
    most = min(len(cached), len(tokens) - 1)
    for index in range(most):
        if cached[index] != tokens[index]:
            return index
    return max(most, 0)
