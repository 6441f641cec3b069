"""Conversations with a real model file that has a chat template."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from engine.chat.conversation import Message
from engine.errors import BadRequest
from engine.generation import Job, PromptPart
from engine.llama.engine import LocalEngine
from engine.models.catalogue import ModelEntry
from engine.translation.chat import ChatTemplate
from tests.engine.translation.conftest import plain_entry, running  # noqa: F401 (fixtures)

STRICT = """\
{%- for message in messages %}
  {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('Roles must alternate') }}
  {%- endif %}
  {{- '[' + message.role + ']' + message.content + '[/]' }}
{%- endfor %}
{%- if add_generation_prompt %}[assistant]{% endif %}"""
TEMPLATE = ChatTemplate(STRICT, "<s>", "</s>")


def test_what_stands_around_a_conversation() -> None:
    around = TEMPLATE.around(("user", "assistant", "user"))
    assert around == ("[user]", "[/][assistant]", "[/][user]", "[/][assistant]")


def test_what_a_template_has_no_role_for_goes_into_the_users_turn() -> None:
    around = TEMPLATE.around(("system", "user", "assistant", "user", "user"))
    assert around[:3] == ("[user]", "\n\n", "[/][assistant]")
    assert around[3:] == ("[/][user]", "\n\n", "[/][assistant]")


def test_roles_that_a_template_refuses_are_a_bad_request() -> None:
    with pytest.raises(BadRequest) as refused:
        TEMPLATE.around(("assistant", "user"))
    assert "Roles must alternate" in refused.value.sentence


def test_a_model_without_a_chat_form_says_so(
    plain_entry: ModelEntry,  # noqa: F811
    running: Callable[[ModelEntry], AbstractAsyncContextManager[LocalEngine]],  # noqa: F811
) -> None:
    async def main() -> None:
        async with running(plain_entry) as engine:
            with pytest.raises(BadRequest) as refused:
                await engine.compose([Message("user", "Hello.")])
            assert "no chat form" in refused.value.sentence
            loaded = engine._loaded
            assert loaded is not None
            trusted, text = (
                loaded.tokens.prepare(
                    Job("", None, "", prompt=(PromptPart("<2de>Hello.<sep></s>", trusted),))
                )[1]
                for trusted in (True, False)
            )
            assert [token for token in trusted if token < 10] == [1, 5, 9, 2]
            assert [token for token in text if token < 10] == [1]

    asyncio.run(main())
