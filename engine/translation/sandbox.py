"""Renders a model file's chat template, in a process that `engine.translation.chat` starts.

A chat template is a program that comes with a file from anywhere. Jinja's sandbox keeps it away
from Python's insides, but neither bounds its time nor its memory, and nothing can interrupt a
`"x" * 10**10` in a thread. So it runs in a child with limits. The child reads a JSON object with
`source`, `bos`, `eos`, `conversations` and `marks` and writes one with `prompt` or `error`.

What templates may use is what `transformers` gives them:
https://huggingface.co/docs/transformers/chat_templating_writing
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import jinja2
from jinja2.ext import Extension
from jinja2.nodes import CallBlock, Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

_CPU_SECONDS = 2  # a real template takes some milliseconds
_MEMORY = 512 << 20  # bytes of address space
_LONGEST = 100_000  # characters of a prompt with marks for texts; most have some hundreds

# A translation should repeat, so the day in the prompt is always the same.
_TODAY = datetime(2024, 7, 26)


def main() -> None:
    """Answer the one request on stdin."""
    request = json.load(sys.stdin)
    _limit_time_and_memory()
    try:
        answer = {"prompt": render(**request)}
    except Exception as error:  # whatever a template does, it is the template that failed
        answer = {"error": f"{type(error).__name__} {error}"[:500].strip()}
    json.dump(answer, sys.stdout)


def _limit_time_and_memory() -> None:
    seconds = math.ceil(time.process_time()) + _CPU_SECONDS
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: _MEMORY,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with suppress(OSError, ValueError):  # macOS refuses a limit of the address space
            resource.setrlimit(limit, (value, value))


def render(
    source: str, bos: str, eos: str, conversations: list[list[dict[str, Any]]], marks: list[str]
) -> str:
    """The prompt for the first of some conversations that the template takes.

    Up to where the model's answer begins. `marks` are parts of the messages that tell whether the
    template gives each of them back once and in order. Raises what the template raises.
    """
    template = _environment().from_string(source)
    failures: list[Exception] = []
    for messages in conversations:
        try:
            prompt = template.render(
                messages=messages,
                bos_token=bos,
                eos_token=eos,
                add_generation_prompt=True,
                tools=None,
                documents=None,
                enable_thinking=False,
            )
        except Exception as error:
            failures.append(error)
            continue
        if _gives_back(prompt, marks):
            return prompt
        failures.append(ValueError("it does not give the message back once"))
    raise failures[0]


def _gives_back(prompt: str, marks: list[str]) -> bool:
    places = [prompt.find(mark) for mark in marks]
    once = all(prompt.count(mark) == 1 for mark in marks)
    return once and places == sorted(places) and len(prompt) <= _LONGEST


def _environment() -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _Generation],
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _TODAY.strftime
    environment.filters["tojson"] = _to_json
    return environment


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, **options: Any) -> str:
    """Jinja's own escapes for HTML, which is not meant here."""
    return json.dumps(value, ensure_ascii=False, **options)


class _Generation(Extension):
    """`{% generation %}...{% endgeneration %}` marks what was generated, for training only."""

    tags = {"generation"}  # noqa: RUF012 (Jinja declares it as a plain set)

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Any) -> str:
        return str(caller())


if __name__ == "__main__":
    main()
