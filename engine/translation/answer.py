"""What to make of a model's answer to one segment, while it is still coming."""

from __future__ import annotations


class Answer:
    """Puts the segment's own white space where the model's was.

    White space around the answer is dropped (a tokenizer's leading blank, a chat model's last
    newline); inside it is kept. Trailing white space waits until it is known to be inside.
    """

    def __init__(self, gap: str) -> None:
        self._before = gap
        self._held = ""
        self.empty = True  # the model has said nothing yet

    def take(self, piece: str) -> str:
        """The part of `piece` that can go out now, with what waited before it; often all of it."""
        if self.empty:
            piece = piece.lstrip()
        body = piece.rstrip()
        if not body:
            self._held += piece
            return ""
        out = f"{self._before}{self._held}{body}"
        self._before, self._held = "", piece[len(body) :]
        self.empty = False
        return out
