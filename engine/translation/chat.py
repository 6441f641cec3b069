"""What a model's chat template puts around texts, of which it never sees one itself."""

from __future__ import annotations

import json
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadRequest, ModelError
from engine.translation.templates import FIELDS, Template

_ROOT = Path(__file__).resolve().parents[2]
_TIME_LIMIT = 60.0  # seconds for the child, its start on a busy machine included; see sandbox.py


Conversation = list[dict[str, Any]]  # messages as chat templates take them


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The Jinja chat template of a model file and the spellings it may use."""

    source: str
    bos: str
    eos: str

    def wrap(self, message: Template) -> Template:
        """The whole prompt for `message` as the user's turn, up to where the model's turn begins.

        Marks stand in the places of the fields while the chat template is rendered. They are drawn
        anew each time, so that nothing else can spell them. Raises ModelError.
        """
        marks = {field: _mark() for field in FIELDS}
        content = message.fill(marks.__getitem__)
        try:
            prompt = self._render(_forms_of_message(content), [marks["text"]])
        except _Refused as refused:
            raise _unusable(str(refused)) from None
        fields = {mark: field for field, mark in marks.items()}
        # Literals and marks in turn, beginning and ending with a literal.
        pieces = re.split(f"({'|'.join(fields)})", prompt)
        places = [*(fields[mark] for mark in pieces[1::2]), None]
        wrapped = Template(tuple(zip(pieces[::2], places, strict=True)))
        if any(wrapped.count(field) != message.count(field) for field in FIELDS):
            raise ModelError("The model file's chat template does not give the message back once.")
        return wrapped

    def around(self, roles: Sequence[str]) -> tuple[str, ...]:
        """What stands before, between and after messages of these roles, up to the model's turn.

        Takes a child process some 0.2 s. Raises BadRequest for roles that the template refuses, in
        this order, also where what it has no role for goes into the user's turn.
        """
        marks = [_mark() for _ in roles]
        try:
            prompt = self._render(_forms_of_conversation(roles, marks), marks)
        except _Refused as refused:
            raise BadRequest(
                f"The model's chat template refuses these messages: {refused}.", "messages"
            ) from None
        return tuple(re.split("|".join(marks), prompt))

    def _render(self, conversations: list[Conversation], marks: list[str]) -> str:
        request = {
            "source": self.source,
            "bos": self.bos,
            "eos": self.eos,
            "conversations": conversations,
            "marks": marks,
        }
        try:
            child = subprocess.run(
                [sys.executable, "-m", "engine.translation.sandbox"],
                input=json.dumps(request),
                capture_output=True,
                encoding="utf-8",
                timeout=_TIME_LIMIT,
                cwd=_ROOT,
            )
        except subprocess.TimeoutExpired:
            raise _Refused("it takes too long") from None
        try:
            answer = json.loads(child.stdout)
        except ValueError:
            raise _Refused(_reason(child.returncode)) from None
        if "error" in answer:
            raise _Refused(str(answer["error"]).rstrip("."))
        return str(answer["prompt"])


class _Refused(Exception):
    """The template gives no prompt; the text says why."""


def _mark() -> str:
    return f"mark{secrets.token_hex(16)}"


def _forms_of_message(content: str) -> list[Conversation]:
    """The forms in which templates want one message, most of them the first."""
    user = {"role": "user", "content": content}
    return [
        [user],
        [{"role": "user", "content": [{"type": "text", "text": content}]}],
        [{"role": "system", "content": "You translate texts."}, user],
    ]


def _forms_of_conversation(roles: Sequence[str], contents: Sequence[str]) -> list[Conversation]:
    """The same for many: at last with turns that alternate, beginning with the user's."""
    plain = [
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=True)
    ]
    parts = [
        {"role": each["role"], "content": [{"type": "text", "text": each["content"]}]}
        for each in plain
    ]
    merged: list[dict[str, str]] = []
    for each in plain:
        role = "user" if each["role"] == "system" else each["role"]
        if merged and merged[-1]["role"] == role:
            merged[-1]["content"] += "\n\n" + each["content"]
        else:
            merged.append({"role": role, "content": each["content"]})
    return [plain, parts, merged]


def _unusable(reason: str) -> ModelError:
    return ModelError(
        f"The model file's chat template cannot be used: {reason}. Give the model's"
        " entry a prompt template of its own (chat: false)."
    )


def _reason(status: int) -> str:
    """Why a child that said nothing ended."""
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it takes too long"
    return f"its rendering ended with status {status}"
