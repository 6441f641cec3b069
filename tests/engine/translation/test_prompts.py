"""Prompt forms: which template is taken, and how languages are named in it."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest, ModelError
from engine.generation import NO_HINTS, Hints
from engine.models.catalogue import EMBEDDED, PLAIN_CHAT, SHIPPED, ModelEntry, PromptSpec
from engine.translation.prompts import ChatTemplate, PromptForm

CHAT = ChatTemplate("{{ bos_token }}[INST] {{ messages[0].content }} [/INST]", "<s>", "</s>")


def test_the_embedded_model_is_asked_by_codes() -> None:
    assert PromptForm(EMBEDDED.prompt, None).around("en", "ja") == ("<2ja>", "<sep>")


def test_a_chat_model_is_asked_in_english() -> None:
    form = PromptForm(PLAIN_CHAT, CHAT)
    assert form.around("de", "pt-BR") == (
        "<s>[INST] Translate the following text from German into Portuguese (Brazil). Answer with"
        " the translation only, without notes or quotation marks.\n\n",
        " [/INST]",
    )


def test_a_text_of_unknown_language_has_a_template_of_its_own() -> None:
    before, _ = PromptForm(PLAIN_CHAT, CHAT).around(None, "ja")
    assert before.startswith("<s>[INST] Translate the following text into Japanese.")


def test_a_template_that_does_not_name_the_source_does_without_it() -> None:
    spec = PromptSpec(template="To {target_lang}: {text}")
    assert PromptForm(spec, None).around(None, "fr") == ("To French: ", "")


def test_a_source_that_the_template_names_is_required() -> None:
    form = PromptForm(PromptSpec(template="{source_lang}-{target_lang}: {text}"), None)
    with pytest.raises(BadRequest, match="'source_lang' is required"):
        form.around(None, "ja")


def test_the_chat_template_of_the_file_is_left_alone_where_the_entry_has_its_own() -> None:
    broken = ChatTemplate("{% if %}", "", "")
    assert PromptForm(EMBEDDED.prompt, broken).around("en", "de") == ("<2de>", "<sep>")


def test_a_file_without_the_chat_template_that_the_entry_wants_is_refused() -> None:
    with pytest.raises(ModelError, match="the model file has none"):
        PromptForm(PLAIN_CHAT, None)


def test_a_chat_template_that_fails_is_told_when_the_model_is_loaded() -> None:
    with pytest.raises(ModelError, match="chat template cannot be used"):
        PromptForm(PLAIN_CHAT, ChatTemplate("{% if %}", "", ""))


def test_a_prompt_may_name_languages_and_codes() -> None:
    spec = PromptSpec(template="{source_lang} ({source_code}), {target_code}: {text}")
    assert PromptForm(spec, None).around("de", "ja") == ("German (de), ja: ", "")
    with pytest.raises(BadRequest, match="source_lang"):
        PromptForm(PromptSpec(template="{source_code}: {text}"), None).around(None, "ja")


def test_hints_stand_before_the_request_and_users_strings_apart() -> None:
    shown = (("The bill!", "Die Rechnung!"),)
    hints = Hints("more", "A menu.", "Keep it short.", (("bill", "Rechnung"),), examples=shown)
    parts, after = PromptForm(PLAIN_CHAT, CHAT).parts("en", "de", hints)
    assert [part.text for part in parts if not part.trusted] == [
        "A menu.",
        "Keep it short.",
        "The bill!",
        "Die Rechnung!",
        "bill",
        "Rechnung",
    ]
    whole = "".join(part.text for part in parts)
    assert whole.startswith("<s>[INST] This is the context of the text below. Do not translate it:")
    assert ":\nThe bill! -> Die Rechnung!\n\nTranslate these terms" in whole
    assert "\nbill -> Rechnung\n\nUse a formal tone" in whole
    assert whole.index("formal tone") < whole.index("Translate the following text")
    assert after == " [/INST]"


def test_without_hints_a_prompt_is_one_part() -> None:
    parts, _ = PromptForm(PLAIN_CHAT, CHAT).parts("en", "de", NO_HINTS)
    assert len(parts) == 1


def test_a_form_without_a_place_for_hints_leaves_them_out() -> None:
    form = PromptForm(EMBEDDED.prompt, None)
    assert form.parts("en", "ja", Hints("less")) == form.parts("en", "ja", NO_HINTS)
    assert not EMBEDDED.prompt.carries_hints
    assert PLAIN_CHAT.carries_hints


@pytest.mark.parametrize("template", ["{hints}{hints}{text}", "{text}{hints}"])
def test_hints_stand_once_and_before_the_text(template: str) -> None:
    with pytest.raises(ValueError, match="hints"):
        PromptSpec(template=template)


CHATTING = {
    *("gemma-2-2b-it", "gemma-2-9b-it", "gemma-3-4b-it", "Llama-3.1-8B-Instruct"),
    *("Qwen3-4B-Instruct-2507", "Aya-Expanse-8B", "Hy-MT2-1.8B"),
}
"""Shipped models that are told hints; the others' makers document one form, which has no place."""


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: str(entry.name))
@pytest.mark.parametrize("source", ["en", None])
def test_a_shipped_model_is_told_hints_where_its_form_has_a_place(
    entry: ModelEntry, source: str | None
) -> None:
    """At the beginning of the user's turn, before what is asked and the text."""
    hints = Hints("less", "A menu.", "Keep it short.", (("bill", "Rechnung"),), emphatic=True)
    form = PromptForm(entry.prompt, CHAT)
    assert entry.prompt.carries_hints == (entry.name in CHATTING)
    if source is None and entry.prompt.needs_source:
        return
    plain, plain_after = form.parts(source, "de", NO_HINTS)
    told, after = form.parts(source, "de", hints)
    assert after == plain_after
    if entry.name not in CHATTING:
        assert told == plain
        return
    first, *between, last = [part.text for part in told]
    assert first + last == "".join(part.text for part in plain)
    assert first.endswith("[INST] ")
    assert last.startswith("Translate the following text")
    assert "".join(between) == (
        "This is the context of the text below. Do not translate it:\nA menu.\n\n"
        "Follow these instructions:\nKeep it short.\n\n"
        "You must translate these terms exactly like this, letter by letter:\n"
        "bill -> Rechnung\n\n"
        "Use an informal tone and informal forms of address.\n\n"
    )
    strings = [part.text for part in told if not part.trusted]
    assert strings == ["A menu.", "Keep it short.", "bill", "Rechnung"]
