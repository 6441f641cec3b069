"""What steps cost on this machine, learned as it goes: how much of a prompt to read between two
steps of the running streams, and with how many rows a decode had better be filled up.

llama.cpp's matrix kernels for repacked weights work on four rows at a time, and on the one to three
that are left over one by one: 15 rows of a 0.5B-parameter Q4_0 model took 51 ms where 16 took 35,
and a prompt of 31 tokens 59 ms where 32 took 48 (bench/rows.py). Other kernels know no such steps,
so both ways are tried and the faster one is kept.
"""

from __future__ import annotations

_TILE = 4  # rows that the kernels take together
_WEIGHT = 0.2  # of the newest measurement in a running mean
_TRIES = 3  # measurements before a cost counts as known; the first may hold llama.cpp's allocations
_LOOK_AGAIN = 200  # steps after which the way that was slower is tried once more
_FIRST = 64  # prompt tokens beside running streams as long as their cost is not known
_LEAST = 16  # prompt tokens at a time, however slow they are: a prompt must come to its end
_ALONE = 0.2  # seconds of a prompt's chunk while nobody decodes: a newcomer waits no longer


class Cost:
    """A running mean of seconds."""

    __slots__ = ("mean", "tries")

    def __init__(self) -> None:
        self.mean, self.tries = 0.0, 0

    @property
    def known(self) -> bool:
        """Enough was measured to go by it."""
        return self.tries >= _TRIES

    def note(self, seconds: float) -> None:
        """Take in a measurement; of the first ones the least counts."""
        if self.known:
            self.mean += _WEIGHT * (seconds - self.mean)
        else:
            self.mean = min(self.mean, seconds) if self.tries else seconds
            self.tries += 1


class Pace:
    """Costs of decodes over up to `sequences` sequences. Seconds are those of llama_decode."""

    def __init__(self, sequences: int) -> None:
        self._sequences = sequences
        self._by_rows = [Cost() for _ in range(sequences + 1)]
        self._by_rest = [Cost() for _ in range(_TILE)]  # a token of a chunk, by what is left over
        self._step = Cost()  # of whatever rows
        self._token = Cost()  # of a prompt, in chunks of whatever length
        self._choices = 0

    def note_rows(self, rows: int, seconds: float) -> None:
        """Learn from a decode of one token for each of `rows` sequences."""
        self._step.note(seconds)
        self._by_rows[rows].note(seconds)

    def note_chunk(self, tokens: int, seconds: float, *, first: bool) -> None:
        """Learn from a decode of `tokens` of one prompt; `first` where nothing is cached before."""
        if tokens < _LEAST:
            return
        self._token.note(seconds / tokens)
        if first:
            self._by_rest[tokens % _TILE].note(seconds / tokens)

    def filled(self, rows: int) -> int:
        """How many rows a step of `rows` had better have."""
        full = _filled(rows)
        # Up to two rows the kernels for single rows are far ahead.
        if full == rows or full > self._sequences or rows < _TILE - 1:
            return rows
        unfilled, filled = self._by_rows[rows], self._by_rows[full]
        better = filled.mean <= unfilled.mean
        return full if self._choose(better, filled, unfilled) else rows

    def padded(self, tokens: int) -> int:
        """With how many tokens a chunk of `tokens` had better be decoded."""
        full = _filled(tokens)
        if full == tokens:
            return tokens
        unfilled, filled = self._by_rest[tokens % _TILE], self._by_rest[0]
        better = full * filled.mean <= tokens * unfilled.mean
        return full if self._choose(better, filled, unfilled) else tokens

    def _choose(self, better: bool, filled: Cost, unfilled: Cost) -> bool:
        """Whether to fill: what is not known yet is tried, and now and then what was slower."""
        if not (filled.known and unfilled.known):
            return not filled.known
        self._choices += 1
        return better is (self._choices % _LOOK_AGAIN != 0)

    def chunk_beside_streams(self) -> int:
        """Prompt tokens that take about as long as a step of the running streams."""
        if not (self._step.known and self._token.known):
            return _FIRST
        return _whole(self._step.mean / self._token.mean)

    def chunk_alone(self) -> int:
        """Prompt tokens at a time while nobody decodes."""
        return _whole(_ALONE / self._token.mean) if self._token.known else _FIRST


def _filled(rows: int) -> int:
    return -(-rows // _TILE) * _TILE


def _whole(tokens: float) -> int:
    return max(_LEAST, int(tokens) // _TILE * _TILE)
