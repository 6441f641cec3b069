"""What upstreams are asked, and how a frame of their streams is read.

OpenAI's dialect: https://platform.openai.com/docs/api-reference/chat/create, and the fields that
vLLM, SGLang and llama-server add to it. Another Babelbrook is asked for a translation, by its own
API, so that it is told the languages instead of a prompt. Conversations, and prompts that are gone
on from as they are, go to both in OpenAI's dialect.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import BadRequest, ModelError, PromptTooLong
from engine.generation import Job, Sampling
from engine.models.catalogue import PromptSpec
from engine.translation.prompts import PromptForm

DONE = "[DONE]"


class Refused(Exception):
    """The upstream ends a stream with an error of its own; the text is its sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one frame brings; tokens are counted where the upstream counts them."""

    text: str = ""
    finish: str | None = None  # "stop" or "length"
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class Dialect(Protocol):
    """How an upstream is spoken to."""

    def request(self, model: str, job: Job) -> tuple[str, dict[str, Any]]:
        """The path and the body that ask for a job.

        Raises BadRequest where a source language is needed, and ModelError where an answer's
        beginning cannot be given.
        """

    def piece(self, event: str, data: str) -> Piece:
        """What a frame brings. Raises Refused, and ValueError for what is no such frame."""


class _Frames:
    """The frames of OpenAI's streams."""

    def piece(self, event: str, data: str) -> Piece:
        if data == DONE:
            return Piece()
        frame = _object(data)
        if "error" in frame:
            raise Refused(_sentence(frame["error"]))
        usage, choices = frame.get("usage") or {}, frame.get("choices") or [{}]
        delta = choices[0].get("delta") or {}
        finish = choices[0].get("finish_reason")
        return Piece(
            text=delta.get("content") or choices[0].get("text") or "",
            finish=None if finish is None else ("length" if finish == "length" else "stop"),
            prompt_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
        )


class Conversation(_Frames):
    """A conversation or a prompt, as it is: the upstream's model has its own chat template."""

    def __init__(self, own: Babelbrook | None) -> None:
        """`own` where the upstream is another Babelbrook."""
        self._own = own

    def request(self, model: str, job: Job) -> tuple[str, dict[str, Any]]:
        body = _usual(model, job)
        if self._own is not None:
            body |= self._own.choice(job)
        if job.stops:
            body["stop"] = list(job.stops)
        if job.schema is not None:
            schema = {"name": "answer", "strict": True, "schema": json.loads(job.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if job.messages:
            messages = [_message(each.text, each.role) for each in job.messages]
            return "/v1/chat/completions", body | {"messages": messages}
        return "/v1/completions", body | {"prompt": "".join(part.text for part in job.prompt)}


class OpenAI(_Frames):
    """A server that is given a whole prompt, or a message for its model's chat template."""

    def __init__(self, spec: PromptSpec) -> None:
        self._chat = spec.chat
        self._form = PromptForm(spec.model_copy(update={"chat": False}), None)

    def request(self, model: str, job: Job) -> tuple[str, dict[str, Any]]:
        if self._chat and job.answer:
            raise _no_beginning()
        before, after = self._form.parts(job.source_lang, job.target_lang, job.hints)
        prompt = "".join(part.text for part in before) + job.text + after + job.answer
        body = _usual(model, job)
        if self._chat:
            return "/v1/chat/completions", body | {"messages": [_message(prompt)]}
        return "/v1/completions", body | {"prompt": prompt}


def _lines(examples: Iterable[tuple[str, str]]) -> list[str]:
    """Pairs as lines of a context: there is no field for them."""
    return [f"{source} -> {translation}" for source, translation in examples]


class Babelbrook:
    """Another server of this kind; `model` "auto" is the one that it has selected."""

    def __init__(self, model: str) -> None:
        self._model = None if model == "auto" else model

    def request(self, model: str, job: Job) -> tuple[str, dict[str, Any]]:
        if job.answer:
            raise _no_beginning()
        hints = job.hints
        return "/translate/stream", {
            "text": job.text,
            "source_lang": job.source_lang or "auto",
            "target_lang": job.target_lang,
            "max_tokens": job.max_tokens,
            "ignore_eos": job.ignore_eos,
            "formality": hints.formality,
            "context": "\n".join([*filter(None, [hints.context]), *_lines(hints.examples)]),
            "instructions": hints.instructions,
            "glossary": dict(hints.terms) or None,
            "stream_options": {"usage": True},
            **_sampling(job.sampling),
            **self.choice(job),
        }

    def choice(self, job: Job) -> dict[str, Any]:
        """Which model, what of the sampling it always wants to hear, and whether it may share."""
        penalty = job.sampling.repeat_penalty
        return {"model": self._model, "cache": job.shared, "repeat_penalty": penalty}

    def piece(self, event: str, data: str) -> Piece:
        if data == DONE:
            return Piece(finish="stop")
        frame = json.loads(data)
        if isinstance(frame, str):
            return Piece(text=frame)
        frame = _object(data)
        if frame.get("code") == "cut_short":
            return Piece(finish="length")
        if "error" in frame:
            raise Refused(_sentence(frame["error"]))
        return Piece(
            prompt_tokens=frame.get("prompt_tokens"), output_tokens=frame.get("output_tokens")
        )


def _usual(model: str, job: Job) -> dict[str, Any]:
    body = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(job.sampling),
    }
    if job.max_tokens is not None:
        body["max_tokens"] = job.max_tokens
    if job.ignore_eos:
        body["ignore_eos"] = True
    return body


def _no_beginning() -> ModelError:
    return ModelError("The upstream cannot be told how its answer begins.")


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """Greedy is a temperature of 0; everything else only where it says something."""
    if sampling.greedy:
        return {"temperature": 0}
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
    }
    if sampling.repeat_penalty != 1.0:  # llama-server's name for it, and that of the others
        fields["repeat_penalty"] = fields["repetition_penalty"] = sampling.repeat_penalty
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    return fields


def _message(text: str, role: str = "user") -> dict[str, str]:
    return {"role": role, "content": text}


def _object(data: str) -> dict[str, Any]:
    frame = json.loads(data)
    if not isinstance(frame, dict):
        raise ValueError("a frame that is no object")
    return frame


def _sentence(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, dict) else error)[:500]


# What llama-server, vLLM and Babelbrook call a prompt that is longer than the model's context.
_TOO_LONG = {"exceed_context_size_error", "context_length_exceeded"}


def refusal(body: bytes) -> str:
    """The sentence in the body of an answer with an error's status."""
    try:
        return _sentence(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace") or "no reason was given"


def bad_request(body: bytes) -> BadRequest:
    """What an upstream refuses for good: another one would refuse it too."""
    sentence = f"The upstream refused the request: {refusal(body)}"
    try:
        error = json.loads(body)["error"]
        kinds = {error.get("code"), error.get("type")}
    except (ValueError, KeyError, TypeError, AttributeError):
        kinds = set()
    return PromptTooLong(sentence) if kinds & _TOO_LONG else BadRequest(sentence)
