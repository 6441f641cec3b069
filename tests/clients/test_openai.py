"""The official clients of OpenAI for Python and Node.js."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import openai
import pytest

from tests.clients.conftest import NODE, needs_node
from tests.conftest import ServerProcess

MODEL = "babelbrook/translate-de"
TEXT = "Where is the station? She sings."
MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": TEXT}]


@pytest.fixture(scope="module")
def api(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_chat_whole_and_as_a_stream(api: openai.OpenAI) -> None:
    whole = api.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    pieces, usage = [], None
    for chunk in api.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage or usage
    assert len(pieces) > 6
    assert "".join(pieces) == whole.choices[0].message.content
    assert usage == whole.usage


def test_the_stream_helper_follows_the_events(api: openai.OpenAI) -> None:
    with api.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds[-1] == "content.done"
    assert final.choices[0].finish_reason == "stop"
    assert final.choices[0].message.content


def test_plain_completions(api: openai.OpenAI) -> None:
    whole = api.completions.create(model=MODEL, prompt=TEXT)
    parts = api.completions.create(model=MODEL, prompt=TEXT, stream=True)
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text


def test_models(api: openai.OpenAI) -> None:
    names = [model.id for model in api.models.list()]
    assert names[0] == "tatoeba-mini"
    assert api.models.retrieve(MODEL).id == MODEL


def test_errors_are_told_apart(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        api.chat.completions.create(model="none", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        api.chat.completions.create(model=MODEL, messages=MESSAGES, n=99)
    assert wrong.value.param == "n"


def test_the_client_of_node(server: ServerProcess) -> None:
    needs_node()
    done = subprocess.run(
        ["node", "openai.mjs", f"{server.url}/v1", MODEL, TEXT],
        cwd=NODE,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert "".join(got["pieces"]) == got["whole"]
    assert got["usage"]["total_tokens"] > got["usage"]["completion_tokens"] > 0
    assert got["failure"] == ["NotFoundError", 404, "model_not_found"]
    assert got["models"][0] == "tatoeba-mini"
