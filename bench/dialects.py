"""How each server is asked for a stream, and how its answer is read.

All of them are asked greedily, for a fixed number of output tokens and past the end token, with
their caches of answers and prompts off.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """One server's way of streaming.

    `marker` begins every frame that brings new text and occurs nowhere else: inside a JSON string
    its quote would be escaped. `usage` reads the counts of prompt and output tokens from a whole
    answer; output tokens are None where the server does not count them, and then frames
    are. It raises ValueError for a stream that did not end well.
    """

    path: str
    marker: bytes
    body: Callable[[str, int], Body]
    usage: Callable[[bytes], tuple[int, int | None]]


def _babelbrook_body(text: str, tokens: int) -> Body:
    return {
        "text": text,
        "max_tokens": tokens,
        "ignore_eos": True,
        "cache": False,
        "stream_options": {"usage": True},
    }


def _babelbrook_usage(answer: bytes) -> tuple[int, int | None]:
    if b"data: [DONE]" not in answer:
        raise ValueError(_ending(answer))
    usage = _last_object(answer, b"event: usage\ndata: ")
    return usage["prompt_tokens"], usage["output_tokens"]


def _llama_server_body(prompt: str, tokens: int) -> Body:
    # One sampler: the default chain of nine would sort a whole vocabulary for nothing.
    return {
        "prompt": prompt,
        "n_predict": tokens,
        "stream": True,
        "temperature": 0,
        "samplers": ["top_k"],
        "top_k": 1,
        "ignore_eos": True,
        "cache_prompt": False,
    }


def _llama_server_usage(answer: bytes) -> tuple[int, int | None]:
    last = _last_object(answer, b"data: ")
    if last.get("stop") is not True:
        raise ValueError(_ending(answer))
    return last["tokens_evaluated"], last["tokens_predicted"]


def _llama_cpp_server_body(prompt: str, tokens: int) -> Body:
    # It knows no ignore_eos. It is measured on the embedded model only, whose end token is 2.
    bias = {"2": -100}
    return {
        "prompt": prompt,
        "max_tokens": tokens,
        "stream": True,
        "temperature": 0,
        "logit_bias": bias,
    }


def _llama_cpp_server_usage(answer: bytes) -> tuple[int, int | None]:
    if b"data: [DONE]" not in answer:
        raise ValueError(_ending(answer))
    return 0, None


def _last_object(answer: bytes, prefix: bytes) -> Body:
    """The JSON object of the last line that begins with `prefix`."""
    start = answer.rfind(prefix + b"{")
    if start < 0:
        raise ValueError(_ending(answer))
    line = answer[start + len(prefix) :].split(b"\n", 1)[0]
    parsed: Body = json.loads(line)
    return parsed


def _ending(answer: bytes) -> str:
    return f"the stream ended with {answer[-300:].decode('utf-8', 'replace')!r}"


DIALECTS = {
    "babelbrook": Dialect("/translate/stream", b'data: "', _babelbrook_body, _babelbrook_usage),
    "llama-server": Dialect(
        "/completion", b'"stop":false', _llama_server_body, _llama_server_usage
    ),
    "llama_cpp.server": Dialect(
        "/v1/completions", b'"finish_reason": null', _llama_cpp_server_body, _llama_cpp_server_usage
    ),
}
