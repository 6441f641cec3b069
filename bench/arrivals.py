"""When requests come and how long they are, for the simulation and for real servers alike."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.simulation import Request
from bench.texts import sentences

DAY = 86400.0
_MOST_SENTENCES = 3  # of a text: what an engine decodes as one segment


_GOES_ON = 0.4  # of the texts have one more sentence


@dataclass(frozen=True)
class Lengths:
    """Tokens by characters: `prompt` and `output` for each, `around` for the rest of the prompt."""

    prompt: float
    output: float
    around: float = 0.0

    def request(self, now: float, text: str) -> Request:
        """What a text asks of an engine."""
        size = len(text)
        prompt = max(1, round(self.around + size * self.prompt))
        return Request(now, prompt, max(1, round(size * self.output)), size)


def texts(draw: random.Random) -> Iterator[str]:
    """Endless texts of one to three real sentences."""
    known = sentences()
    while True:
        count = 1
        while count < _MOST_SENTENCES and draw.random() < _GOES_ON:
            count += 1
        yield " ".join(draw.choice(known) for _ in range(count))


def poisson(rate: float, draw: random.Random) -> Iterator[float]:
    """Times (seconds) of independent arrivals, `rate` a second on average."""
    now = 0.0
    while True:
        now += draw.expovariate(rate)
        yield now


def varying(most: float, share: Callable[[float], float], draw: random.Random) -> Iterator[float]:
    """Times of independent arrivals at `most * share(time)` a second; a share is 0 to 1.

    By thinning: Lewis and Shedler, Naval Research Logistics Quarterly 26 (1979), 403-413.
    """
    for now in poisson(most, draw):
        if draw.random() < share(now):
            yield now


def bursts(
    rate: float, draw: random.Random, *, factor: float = 3.0, seconds: float = 10.0
) -> Iterator[float]:
    """`rate` on average, `factor` times as much for a tenth of the time, `seconds` on end."""
    calm = (1 - 0.1 * factor) / 0.9 / factor

    def share(now: float) -> float:
        lap, phase = divmod(now, 10 * seconds)
        start = random.Random(int(lap)).uniform(0, 9 * seconds)
        return 1.0 if start <= phase < start + seconds else calm

    return varying(rate * factor, share, draw)


def daily(most: float, draw: random.Random, *, least: float = 0.1) -> Iterator[float]:
    """A day's curve: `most` a second at its noon, `least` times as much twelve hours later."""

    def share(now: float) -> float:
        return least + (1 - least) * (1 - math.cos(2 * math.pi * now / DAY)) / 2

    return varying(most, share, draw)


def requests(
    times: Iterator[float], lengths: Lengths, draw: random.Random, until: float
) -> Iterator[Request]:
    """A request with a text at each of the times before `until` (seconds)."""
    for now, text in zip(times, texts(draw), strict=False):
        if now >= until:
            return
        yield lengths.request(now, text)
