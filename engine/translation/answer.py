"""What to make of a model's answer to one segment, while it is still coming."""

from __future__ import annotations


class Answer:
    """Drops the white space around a model's answer; the segment's own stands there already.

    White space around the answer (a tokenizer's leading blank, a chat model's last newline) is
    dropped, inside it is kept. Trailing white space waits until it is known to be inside.
    """

    def __init__(self) -> None:
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
        out = f"{self._held}{body}"
        self._held = piece[len(body) :]
        self.empty = False
        return out
