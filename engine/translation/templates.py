"""Prompt templates: `{text}`, `{hints}` and the languages in a text of the model's own."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FIELDS = ("text", "hints", "source_lang", "target_lang", "source_code", "target_code")


@dataclass(frozen=True, slots=True)
class Template:
    """A template taken apart: literal text, each piece with the field behind it (None at the end).

    Braces that are meant as such are doubled, as in `str.format`.

    >>> Template.parse("To {target_lang}: {text}").around({"target_lang": "Japanese"})
    ('To Japanese: ', '')
    """

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, source: str) -> Template:
        """Raises ValueError, with a sentence, for what is no template with `{text}` once."""
        found = list(string.Formatter().parse(source))
        for _, field, form, conversion in found:
            if field is not None and (field not in FIELDS or form or conversion):
                raise ValueError(
                    f"the template may hold {{{'}, {'.join(FIELDS)}}} just so, but it holds"
                    f" {{{field[:40]}}} or a name with something behind it"
                )
        template = cls(tuple((literal, field) for literal, field, _, _ in found))
        if template.count("text") != 1:
            raise ValueError("the template must hold {text} exactly once")
        if template.count("hints") > 1 or "hints" in template._behind_text():
            raise ValueError("the template may hold {hints} once, before {text}")
        return template

    def count(self, field: str) -> int:
        """How often a field occurs."""
        return sum(1 for _, name in self.parts if name == field)

    @property
    def names_source(self) -> bool:
        """Whether it tells the language of the text."""
        return bool(self.count("source_lang") or self.count("source_code"))

    def fill(self, value: Callable[[str], str]) -> str:
        """The text with every field replaced by its value."""
        return "".join(
            literal + ("" if field is None else value(field)) for literal, field in self.parts
        )

    def _behind_text(self) -> list[str | None]:
        fields = [field for _, field in self.parts]
        return fields[fields.index("text") :]

    def around(self, names: Mapping[str, str]) -> tuple[str, str]:
        """What stands before the text and after it, where there are no hints."""
        head, before, after = self.split(names)
        return head + before, after

    def split(self, names: Mapping[str, str]) -> tuple[str, str, str]:
        """What stands before the hints, between them and the text, and after the text."""
        found, side = {"hints": "", "text": ""}, ""
        for literal, field in self.parts:
            side += literal
            if field in found:
                found[field], side = side, ""
            elif field is not None:
                side += names[field]
        return found["hints"], found["text"], side
