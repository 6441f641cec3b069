"""The answer to a prompt, read as a translation is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from engine.errors import CutShort
from engine.generation import Generation


class Reply:
    """One generation of a prompt of its own (see `engine.translation.translator.Translation`)."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._cancelled = False
        self.first_text: float | None = None  # when the first text came (monotonic seconds)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        return self._generation.prompt_tokens

    @property
    def output_tokens(self) -> int:
        """Tokens decoded so far."""
        return self._generation.output_tokens

    @property
    def queue_seconds(self) -> float | None:
        """How long it waited for a place; None while it does."""
        generation = self._generation
        return (
            None if generation.started is None else max(0, generation.started - generation.joined)
        )

    def cancel(self) -> None:
        """End it: the engine frees its sequence at its next step and `pieces` returns."""
        self._cancelled = True
        self._generation.cancel()
        self.poke()

    def poke(self) -> None:
        """Let `pieces` yield now, an empty list if there is nothing (used for heartbeats)."""
        self._generation.poke()

    async def pieces(self) -> AsyncIterator[list[str]]:
        """New text, one string for each token that completed some; an empty list after `poke`.

        Raises CutShort where the answer was not finished, and what the engine raises.
        """
        generation = self._generation
        while (pieces := await generation.read()) or not generation.ended:
            if self._cancelled:
                return
            if pieces and self.first_text is None:
                self.first_text = time.monotonic()
            yield pieces
        if generation.finish == "length":
            raise CutShort(f"The answer was not finished within {self.output_tokens} tokens.")
