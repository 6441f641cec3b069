"""Which prompt is read next, and how much of it, between the steps of the running streams."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass

from engine.llama.pace import Pace
from engine.llama.sequence import Sequence

SHORT = 64
"""Tokens. Prompts of up to so many are read whole, whatever the pace, and so many tokens of short
prompts between two steps of the running streams: sixteen newcomers at once would else all wait for
the last one's prompt, and then go on in step, so that their next prompts come at once again."""

_PUT_OFF = 2
"""Times in a row that a long prompt lets a short one go first. No gap holds both, or two short
ones: the longest gaps of eight streams were 1.3 to 2.2 times those without prompts of 2,000 tokens,
and 2.5 times with both (`python -m bench.gaps`; docs/performance.md)."""

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
        self._put_off = 0  # steps since a long prompt had its turn, with short ones before each

    def stepped(self) -> None:
        """The running streams had their step."""
        self._put_off = 0 if self._read_long or not self._read else self._put_off + 1
        self._read, self._read_long = 0, False

    def next(self, live: Items[Sequence]) -> Chunk | None:
        """What to read now; None where it is the running streams' turn, or nothing is to be read.

        Short prompts go before long ones, then those that came first; but every few times part of
        a long one is read in their stead.
        """
        prompts = [each for each in live if each.pending > 1]
        if not prompts:
            return None
        prompts.sort(key=lambda each: (each.pending > SHORT, each.decoding.submitted))
        first = prompts[0]
        if len(prompts) == len(live):
            most = SHORT if first.pending <= SHORT else self._pace.chunk_alone()
            return self._chunk(first, min(first.pending, most))
        if self._read_long:
            return None
        long = next((each for each in prompts if each.pending > SHORT), None)
        its_turn = long is not None and self._put_off >= _PUT_OFF and not self._read
        if first.pending <= SHORT and not its_turn:
            # Beside a long prompt steps are rarer and more newcomers wait for each: one at a time.
            room = self._read < SHORT if long is None else not self._read
            return self._chunk(first, first.pending - 1) if room else None
        if long is None or self._read:
            return None
        self._read_long = True
        return self._chunk(long, min(long.pending - 1, self._pace.chunk_beside_streams()))

    def _chunk(self, sequence: Sequence, tokens: int) -> Chunk:
        tokens = min(tokens, self._capacity)
        self._read += tokens
        return Chunk(sequence, tokens, output=tokens == sequence.pending)
