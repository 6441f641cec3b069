"""How a model is asked: from its entry and its file to what stands around a user's text.

A user's text is never inside a part: parts are tokenised with control tokens recognised, the text
and what else users give without, so none of it can close the turn or forge a control token.
"""

from __future__ import annotations

from engine.errors import BadRequest, ModelError
from engine.generation import NO_HINTS, Hints, PromptPart
from engine.models.catalogue import PromptSpec
from engine.translation import hints as wording
from engine.translation.chat import ChatTemplate
from engine.translation.languages import english_name
from engine.translation.templates import Template

__all__ = ["ChatTemplate", "PromptForm"]


class PromptForm:
    """Gives what stands before and after the text for a pair of languages.

    With `chat`, the chat template is rendered here, which takes a child process some 0.2 s. Raises
    ModelError where the entry wants a chat template that the file lacks, or that cannot be used.
    """

    def __init__(self, spec: PromptSpec, chat: ChatTemplate | None) -> None:
        self._as_names = spec.languages == "name"
        self._template = _prompt(spec, spec.template, chat)
        self._auto: Template | None = None
        if spec.template_auto is not None:
            self._auto = _prompt(spec, spec.template_auto, chat)

    def around(self, source_lang: str | None, target_lang: str) -> tuple[str, str]:
        """The prompt before and after the text, without hints; raises as `parts` does."""
        before, after = self.parts(source_lang, target_lang, NO_HINTS)
        return "".join(part.text for part in before), after

    def parts(
        self, source_lang: str | None, target_lang: str, hints: Hints
    ) -> tuple[list[PromptPart], str]:
        """The prompt before and after the text.

        Raises BadRequest where the form needs a source language and none is given. Hints are left
        out where the form has no place for them.
        """
        template = self._template
        if source_lang is None and template.names_source:
            if self._auto is None:
                raise BadRequest("'source_lang' is required: this model's prompt names it.")
            template = self._auto
        names = {"target_lang": self._name(target_lang), "target_code": target_lang}
        if source_lang is not None:
            names |= {"source_lang": self._name(source_lang), "source_code": source_lang}
        head, before, after = template.split(names)
        if not hints or not template.count("hints"):
            return [PromptPart(head + before, trusted=True)], after
        first, last = PromptPart(head, trusted=True), PromptPart(before, trusted=True)
        return [first, *wording.parts(hints), last], after

    def _name(self, code: str) -> str:
        return english_name(code) if self._as_names else code


def _prompt(spec: PromptSpec, source: str, chat: ChatTemplate | None) -> Template:
    template = Template.parse(source)
    if not spec.chat:
        return template
    if chat is None:
        raise ModelError(
            "The model's entry wants a chat template, but the model file has none. Give the entry a"
            " prompt template of its own (chat: false)."
        )
    return chat.wrap(template)
