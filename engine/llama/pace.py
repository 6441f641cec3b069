"""How many prompt tokens a step may take beside the tokens of running streams."""

from __future__ import annotations

_WEIGHT = 0.2  # of the newest measurement in a running mean
_FIRST = 64  # prompt tokens in a step as long as their cost is not known
_LEAST = 16  # prompt tokens in a step, however slow they are: a prompt must come to its end


class Pace:
    """Learns from each step's time what prompts cost, so that they may double a step and no more.

    Running streams then see gaps of at most about twice the usual while long prompts arrive.
    """

    def __init__(self) -> None:
        self._decode = 0.0  # seconds of a step without prompts
        self._per_token = 0.0  # seconds that one more prompt token takes

    def note(self, seconds: float, rows: int, prompt_tokens: int) -> None:
        """Learn from a step of `rows` decoding sequences and `prompt_tokens`."""
        if not prompt_tokens:
            self._decode = _mean(self._decode, seconds)
        elif prompt_tokens >= _LEAST:
            extra = max(seconds - (self._decode if rows else 0.0), 0.0)
            self._per_token = _mean(self._per_token, extra / prompt_tokens)

    def prompt_budget(self, rows: int, room: int) -> int:
        """Prompt tokens for the next step beside `rows` decoding sequences, `room` at most."""
        if not rows:
            return room
        if not self._decode or not self._per_token:  # nothing is known yet
            return min(room, _FIRST)
        return min(room, max(_LEAST, int(self._decode / self._per_token)))


def _mean(old: float, new: float) -> float:
    return new if not old else old + _WEIGHT * (new - old)
