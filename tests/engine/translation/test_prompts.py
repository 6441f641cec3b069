"""Prompt forms: which template is taken, and how languages are named in it."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest, ModelError
from engine.generation import NO_HINTS, Hints
from engine.models.catalogue import EMBEDDED, PLAIN_CHAT, PromptSpec
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
    hints = Hints("more", "A menu.", "Keep it short.", (("bill", "Rechnung"),))
    parts, after = PromptForm(PLAIN_CHAT, CHAT).parts("en", "de", hints)
    assert [part.text for part in parts if not part.trusted] == [
        "A menu.",
        "Keep it short.",
        "bill",
        "Rechnung",
    ]
    whole = "".join(part.text for part in parts)
    assert whole.startswith("<s>[INST] This is the context of the text below. Do not translate it:")
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
