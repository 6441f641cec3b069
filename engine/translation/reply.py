"""What has come of the answer to one segment, and what of it may go out already."""

from __future__ import annotations

from engine.translation.answer import Answer
from engine.translation.loops import LoopWatch


class Reply:
    """Takes the pieces of an answer and gives back texts that can go out.

    Pieces that repeat what came before wait until the model says something else; a loop never gets
    out. With `hold` all texts wait for the end. Without a watch no loop is looked for.
    """

    def __init__(self, watch: LoopWatch | None, *, hold: bool) -> None:
        self._watch = watch
        self._hold = hold
        self._answer = Answer()
        self._good: list[str] = []  # pieces that went through `_answer`
        self._doubtful: list[str] = []
        self._held: list[str] = []
        self.looping = False

    def take(self, pieces: list[str]) -> list[str]:
        """Texts that can go out now, none of them empty. Where it loops: those before the loop."""
        if self._watch is None:
            return self._texts(pieces)
        good: list[str] = []
        for piece in pieces:  # one by one: what gets out must not depend on how they come
            self._doubtful.append(piece)
            if not self._watch.see(piece):
                good += self._doubtful
                self._doubtful.clear()
            elif self._watch.looping:
                self.looping = True
                break
        return self._texts(good)

    def _texts(self, pieces: list[str]) -> list[str]:
        self._good += pieces
        texts = [text for text in map(self._answer.take, pieces) if text]
        if not self._hold:
            return texts
        self._held += texts
        return []

    def end(self) -> list[str]:
        """The texts that have waited; the answer has ended well."""
        self._hold = False
        held, self._held = self._held, []
        doubtful, self._doubtful = self._doubtful, []
        return held + self._texts(doubtful)

    @property
    def good(self) -> list[str]:
        """The pieces so far, those of a loop left out."""
        return self._good

    @property
    def text(self) -> str:
        """The translation, without white space around it."""
        return "".join(self._good).strip()

    def restart(self, watch: LoopWatch) -> None:
        """Forget the loop: the pieces to come follow the good ones."""
        self._watch, self.looping = watch, False
        self._doubtful.clear()

    @property
    def empty(self) -> bool:
        """The model has said nothing yet."""
        return self._answer.empty
