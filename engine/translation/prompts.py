"""How a model is asked: from its entry and its file to the parts around a user's text.

A user's text is never inside a part: parts are tokenised with control tokens recognised, the text
without, so no text can close the turn or forge a control token.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import BadRequest, ModelError
from engine.models.catalogue import PromptSpec
from engine.translation.languages import english_name

_FIELDS = {"source_lang", "target_lang", "text"}


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The Jinja chat template of a model file and the spellings it may use."""

    source: str
    bos: str
    eos: str


class PromptForm:
    """Renders what stands before and after the text for a pair of languages.

    Raises ModelError where the entry wants a chat template that the file lacks, or where a template
    cannot be used.
    """

    def __init__(self, spec: PromptSpec, chat: ChatTemplate | None) -> None:
        self._spec = spec
        if spec.chat and chat is None:
            raise ModelError(
                "The model's entry wants a chat template, but the model file has none. Give the"
                " entry a prompt template of its own (chat: false)."
            )
        self._chat = chat if spec.chat else None
        self._compiled = _compile(self._chat.source) if self._chat else None
        for template in (spec.template, spec.template_auto):
            _check_fields(template or "{text}")
        self.around("en", "ja")  # a template that cannot be rendered is told at start

    def around(self, source_lang: str | None, target_lang: str) -> tuple[str, str]:
        """The prompt before and after the text.

        Raises BadRequest where the form needs a source language and none is given.
        """
        spec = self._spec
        template = spec.template
        if source_lang is None and "{source_lang}" in template:
            if spec.template_auto is None:
                raise BadRequest("'source_lang' is required: this model's prompt names it.")
            template = spec.template_auto
        names = {"source_lang": source_lang or "", "target_lang": target_lang}
        if spec.languages == "name":
            names = {key: english_name(code) if code else "" for key, code in names.items()}
        before, after = (part.format(**names) for part in template.split("{text}"))
        if self._compiled is None or self._chat is None:
            return before, after
        return _render_chat(self._compiled, self._chat, before, after)


def _check_fields(template: str) -> None:
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise ModelError(f"The prompt template {template!r} is wrong: {error}") from None
    if unknown := fields - _FIELDS:
        raise ModelError(
            f"The prompt template {template!r} names {{{min(unknown)}}}; it may name"
            " {text}, {source_lang} and {target_lang}."
        )


def _compile(source: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise_exception
    try:
        return environment.from_string(source)
    except jinja2.TemplateError as error:
        raise ModelError(f"The model file's chat template cannot be read: {error}") from None


def _raise_exception(message: str) -> Any:
    raise jinja2.TemplateError(message)


def _render_chat(
    compiled: jinja2.Template, chat: ChatTemplate, before: str, after: str
) -> tuple[str, str]:
    """Render with a mark in the place of the text and cut there.

    The mark is drawn anew each time, so that nothing else can spell it.
    """
    mark = f"text-{secrets.token_hex(16)}"
    message = {"role": "user", "content": f"{before}{mark}{after}"}
    try:
        rendered = compiled.render(
            messages=[message],
            add_generation_prompt=True,
            bos_token=chat.bos,
            eos_token=chat.eos,
            enable_thinking=False,
        )
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise ModelError(f"The model file's chat template cannot be rendered: {error}") from None
    if rendered.count(mark) != 1:
        raise ModelError("The model file's chat template does not give the message back once.")
    head, _, tail = rendered.partition(mark)
    return head, tail
