"""Which prompt is read next, and how much of it, between the steps of the running streams."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass

from engine.llama.pace import LEAST, Pace
from engine.llama.sequence import Sequence

SHORT = 64
"""Tokens. Prompts of up to so many are read whole, whatever the pace, and so many tokens of short
prompts between two steps of the running streams: sixteen newcomers at once would else all wait for
the last one's prompt, and then go on in step, so that their next prompts come at once again."""

EXACT = 60
"""Tokens. From 64 on, llama.cpp's flash attention on a CPU takes another way, whose logits differ
(by 0.07 with the embedded model). Chunks stay below, or an answer would depend on how its prompt
was cut, and so on whoever else was there."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of one prompt, decoded by itself: in a split cache llama.cpp makes a graph of its own
    for it anyway. `output` where it holds the last token, whose logits are wanted."""

    sequence: Sequence
    tokens: int
    output: bool


class PromptReader:
    """Takes turns with the running streams. A prompt's last token goes with their next step: it
    costs next to nothing there, where the output matrix is read anyway."""

    def __init__(self, pace: Pace, capacity: int) -> None:
        self._pace = pace
        self._capacity = capacity  # tokens of one decode
        self._read = 0  # tokens since the last step of the running streams
        self._read_long = False  # a long prompt had its turn since then

    def stepped(self) -> None:
        """The running streams had their step."""
        self._read, self._read_long = 0, False

    def next(self, live: Items[Sequence]) -> Chunk | None:
        """What to read now; None where it is the running streams' turn, or nothing is to be read.

        Short prompts go before long ones, then those that came first; but every time at least a
        little of a long one is read.
        """
        prompts = [each for each in live if each.pending > 1]
        if not prompts:
            return None
        prompts.sort(key=lambda each: (each.pending > SHORT, each.decoding.submitted))
        first = prompts[0]
        if len(prompts) == len(live):
            most = SHORT if first.pending <= SHORT else self._pace.chunk_alone()
            return self._chunk(first, min(first.pending, most))
        if first.pending <= SHORT and self._read < SHORT:
            return self._chunk(first, first.pending - 1)
        long = next((each for each in prompts if each.pending > SHORT), None)
        if long is None or self._read_long:
            return None
        self._read_long = True
        most = max(LEAST, self._pace.chunk_beside_streams() - self._read)
        return self._chunk(long, min(long.pending - 1, most))

    def _chunk(self, sequence: Sequence, tokens: int) -> Chunk:
        tokens = min(tokens, self._capacity)
        self._read += tokens
        return Chunk(sequence, tokens, output=tokens == sequence.pending)
