"""A conversation as a prompt in the form of the model's own chat template."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from engine.generation import PromptPart
from engine.translation.chat import ChatTemplate

_KEPT = 256  # shapes of conversations
_AT_ONCE = 2  # child processes that render templates


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: `role` is "system", "user" or "assistant"."""

    role: str
    text: str


class ChatForm:
    """Puts texts between what the template writes around messages of their roles.

    The template is rendered with marks in place of the texts, so none of them can look like a part
    of it. Conversations of equal roles share a rendering.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._around: OrderedDict[tuple[str, ...], tuple[str, ...]] = OrderedDict()
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def prompt(self, messages: Sequence[Message]) -> tuple[PromptPart, ...]:
        """The prompt up to where the model's turn begins.

        Raises BadRequest for roles that the template refuses in this order.
        """
        first, *others = await self._literals(tuple(message.role for message in messages))
        parts = [PromptPart(first, trusted=True)]
        for message, literal in zip(messages, others, strict=True):
            parts += [PromptPart(message.text), PromptPart(literal, trusted=True)]
        return tuple(part for part in parts if part.text)

    async def _literals(self, roles: tuple[str, ...]) -> tuple[str, ...]:
        if roles not in self._around:
            async with self._free:
                loop = asyncio.get_running_loop()
                around = await loop.run_in_executor(None, self._template.around, roles)
            self._around[roles] = around
            if len(self._around) > _KEPT:
                self._around.popitem(last=False)
            return around
        self._around.move_to_end(roles)
        return self._around[roles]
