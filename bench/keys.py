"""Whether the time of a key's check tells anything of the key: `python -m bench.keys`.

Guesses of four kinds are checked in turns, in blocks: with an id that nobody has, with a right id
and a secret that is wrong from its first letter on, with all letters right but the last, and the
key itself.
"""

from __future__ import annotations

import random
import time

from bench.figures import quantile
from engine.access.keys import KeyRing, Role, generate

_BLOCKS = 2000
_CALLS = 50  # in a block


def _other(letter: str) -> str:
    return "A" if letter != "A" else "B"


def main() -> None:
    """Measure and print: microseconds a check by kind, median and quartiles over the blocks."""
    made = [generate(f"key {n}", frozenset({Role.TRANSLATE}), None, None) for n in range(100)]
    ring, text = KeyRing(key for _, key in made), made[50][0]
    start = len(text) - 32  # of the secret
    guesses = {
        "an id that nobody has": text[: start - 9] + "00000000" + text[start - 1 :],
        "wrong from the first letter on": text[:start] + "".join(map(_other, text[start:])),
        "wrong in the last letter": text[:-1] + _other(text[-1]),
        "the key": text,
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in guesses}
    kinds = list(guesses)
    for _ in range(_BLOCKS):
        random.shuffle(kinds)
        for kind in kinds:
            guess, find = guesses[kind], ring.find
            begun = time.perf_counter()
            for _ in range(_CALLS):
                find(guess)
            seconds[kind].append((time.perf_counter() - begun) / _CALLS)
    for kind, found in seconds.items():
        median, low, high = (quantile(found, share) * 1e6 for share in (0.5, 0.25, 0.75))
        right = "accepted" if ring.find(guesses[kind]) else "refused"
        print(f"{kind:32} {median:.3f} us ({low:.3f} to {high:.3f})  {right}")


if __name__ == "__main__":
    main()
