"""A prompt template inside a model's chat template: rendered once, when the model is loaded."""

from __future__ import annotations

import json
import re
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError
from engine.translation.templates import FIELDS, Template

_ROOT = Path(__file__).resolve().parents[2]
_TIME_LIMIT = 60.0  # seconds for the child, its start on a busy machine included; see sandbox.py


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
        marks = {field: f"mark{secrets.token_hex(16)}" for field in FIELDS}
        prompt = self._render(message.fill(marks.__getitem__), marks["text"])
        fields = {mark: field for field, mark in marks.items()}
        # Literals and marks in turn, beginning and ending with a literal.
        pieces = re.split(f"({'|'.join(fields)})", prompt)
        places = [*(fields[mark] for mark in pieces[1::2]), None]
        wrapped = Template(tuple(zip(pieces[::2], places, strict=True)))
        if any(wrapped.count(field) != message.count(field) for field in FIELDS):
            raise ModelError("The model file's chat template does not give the message back once.")
        return wrapped

    def _render(self, content: str, mark: str) -> str:
        request = {
            "source": self.source,
            "bos": self.bos,
            "eos": self.eos,
            "content": content,
            "mark": mark,
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
            raise _unusable("it takes too long") from None
        try:
            answer = json.loads(child.stdout)
        except ValueError:
            raise _unusable(_reason(child.returncode)) from None
        if "error" in answer:
            raise _unusable(str(answer["error"]))
        return str(answer["prompt"])


def _unusable(reason: str) -> ModelError:
    return ModelError(
        f"The model file's chat template cannot be used: {reason.rstrip('.')}. Give the model's"
        " entry a prompt template of its own (chat: false)."
    )


def _reason(status: int) -> str:
    """Why a child that said nothing ended."""
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it takes too long"
    return f"its rendering ended with status {status}"
