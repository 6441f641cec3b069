"""What the translator is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.generation import NO_HINTS, Hints, Sampling
from engine.memory.memory import Memory
from engine.translation.glossary import Glossary
from engine.translation.origin import Origin
from engine.translation.parts import Part
from engine.translation.segments import Unit


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """What is to be translated, its languages already chosen among those of the model.

    `parts` are taken one by one as they are needed, and once; they are cut into segments of the
    model's own kind where no `unit` is given. `max_tokens` bounds the answer to each segment.
    """

    parts: Iterable[Part]
    origin: Origin
    target_lang: str
    unit: Unit | None = None
    hints: Hints = NO_HINTS
    earlier: int = 0  # segments before each one that the model is told, where it can be
    glossary: Glossary | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    ignore_eos: bool = False
    client: str = ""
    shared: bool = False
    unread: int | None = None  # bytes that the reader may be behind in each segment
    memory: Memory | None = None
    matches: int = 0  # segments of the memory to be told of, that are like each one
    matches_in_prompts: bool = False  # the model is told of them too, where it can be
    keep_source: bool = False  # a segment that cannot be translated stays as it is: no error
    report: bool = False  # check each segment and tell where it is, in `Translation.done`

    @property
    def source_lang(self) -> str | None:
        """None means unknown."""
        return self.origin.language
