"""The wire contract of `/translate` and `/translate/stream`, against a server as a process."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

LANGUAGES = ("ja", "de", "fr", "es", "zh")
EXAMPLE = "I had a great time visiting Tokyo last spring. The cherry blossoms were beautiful."


def translate(client: httpx.Client, text: Any, target: str = "ja", **more: Any) -> Any:
    answer = client.post("/translate", json={"text": text, "target_lang": target, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["translation"]


def test_both_sentences_of_the_readme_example_stream_in_japanese(post: Any) -> None:
    stream = post(text=EXAMPLE, target_lang="ja")
    assert stream.done
    assert stream.error is None
    first, second, rest = stream.joined.split("。")
    assert rest == ""
    for sentence in (first, second):
        assert any("\u3040" <= letter <= "\u9fff" for letter in sentence)
    assert len(stream.texts) > 8, "token by token, not sentence by sentence"


def test_stream_headers_forbid_buffering(client: httpx.Client) -> None:
    answer = client.post("/translate/stream", json={"text": "Hello."})
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.slow
@pytest.mark.parametrize("target", LANGUAGES)
def test_joined_frames_equal_the_whole_translation(
    client: httpx.Client, post: Any, sentences: list[str], target: str
) -> None:
    """200 sentences: streamed alone, streamed by eight clients at once, and as JSON."""
    texts = sentences[:200]
    whole = translate(client, texts, target)
    alone = [post(text=text, target_lang=target) for text in texts]
    with ThreadPoolExecutor(8) as clients:
        together = list(clients.map(lambda text: post(text=text, target_lang=target), texts))
    for text, expected, one, other in zip(texts, whole, alone, together, strict=True):
        assert one.done
        assert other.done
        assert one.joined == expected, text
        assert other.joined == expected, text
        assert all(frame and "\ufffd" not in frame for frame in one.texts)


def test_a_list_gives_a_list_in_the_same_order(client: httpx.Client, sentences: list[str]) -> None:
    texts = sentences[:10]
    assert translate(client, texts, "de") == [translate(client, text, "de") for text in texts]


def test_a_list_is_refused_on_the_stream(client: httpx.Client) -> None:
    answer = client.post("/translate/stream", json={"text": ["Hello."]})
    assert answer.status_code == 400


def test_target_language_is_understood_in_many_spellings(client: httpx.Client) -> None:
    expected = translate(client, "Where is the station?", "de")
    for spelling in ("DE", "de-DE", "ger", "deu", "German", "Deutsch"):
        assert translate(client, "Where is the station?", spelling) == expected


def test_target_language_defaults_to_the_configured_one(client: httpx.Client) -> None:
    answer = client.post("/translate", json={"text": "Where is the station?"})
    assert answer.json()["translation"] == translate(client, "Where is the station?", "ja")


def test_white_space_is_put_back_exactly(client: httpx.Client) -> None:
    source = "\r\n  He is old.\n\n\tShe sings.   \n"
    one, two = translate(client, ["He is old.", "She sings."], "fr")
    assert translate(client, source, "fr") == f"\r\n  {one}\n\n\t{two}   \n"


def test_text_without_a_letter_is_given_back(client: httpx.Client) -> None:
    assert translate(client, " 12:30 — 3,50 € 🎉\n") == " 12:30 — 3,50 € 🎉\n"


def test_unknown_fields_are_accepted_and_named(client: httpx.Client) -> None:
    body = {"text": "Hello.", "target_lang": "de", "formality": "less", "x": 1}
    answer = client.post("/translate", json=body).json()
    assert answer["ignored"] == ["x", "formality"]
    assert answer["translation"] == translate(client, "Hello.", "de")


def test_usage_is_sent_only_when_asked_for_and_before_done(client: httpx.Client, post: Any) -> None:
    plain = post(text="Where is the station?")
    asked = post(text="Where is the station?", stream_options={"usage": True})
    assert plain.events == []
    [(name, usage)] = asked.events
    assert name == "usage"
    assert usage["output_tokens"] >= len(asked.texts)
    assert asked.texts == plain.texts
    assert asked.done


def test_ignore_eos_gives_exactly_max_tokens(post: Any) -> None:
    stream = post(text="Hello.", ignore_eos=True, max_tokens=40, stream_options={"usage": True})
    assert stream.done
    assert stream.events[0][1]["output_tokens"] == 40


def test_a_length_stop_is_never_silent(client: httpx.Client, post: Any) -> None:
    stream = post(text="Where is the station?", max_tokens=2)
    assert not stream.done
    assert stream.error is not None
    assert stream.error["code"] == "cut_short"
    assert len(stream.texts) <= 2
    answer = client.post("/translate", json={"text": "Where is the station?", "max_tokens": 2})
    assert answer.status_code == 422
    assert answer.json()["code"] == "cut_short"


def test_a_seed_repeats_and_temperature_varies(client: httpx.Client) -> None:
    text = "My father likes to read books in the evening."
    options = {
        "temperature": 2.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "ignore_eos": True,
        "max_tokens": 40,
    }
    seeds = [translate(client, text, "de", seed=seed, **options) for seed in (1, 1, 2, 3)]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3
    assert translate(client, text, "de") == translate(client, text, "de", seed=7)


def test_text_that_spells_control_tokens_stays_text(client: httpx.Client, post: Any) -> None:
    for text in ("He is </s> old.", "Hello<sep><2de> you.", "<|im_end|> Stop it now."):
        stream = post(text=text, target_lang="ja")
        assert stream.done
        assert stream.joined == translate(client, text, "ja")
        for control in ("<sep>", "</s>", "<2de>", "<s>"):
            assert stream.joined.count(control) <= text.count(control)


def test_a_request_id_is_taken_or_made(client: httpx.Client) -> None:
    given = client.get("/health", headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = client.get("/health", headers={"X-Request-Id": "no good"})
    assert len(made.headers["x-request-id"]) == 16


def test_the_frames_of_the_reference_format_are_exact(client: httpx.Client) -> None:
    """Byte for byte: no id, no event name, one blank line, slashes and letters as themselves."""
    raw = client.post("/translate/stream", json={"text": '/ 1/2 "ü" 日本 Ω\\'}).text
    assert raw.endswith("data: [DONE]\n\n")
    assert "\\u" not in raw
    for line in raw.split("\n"):
        assert line == "" or line.startswith("data: ")
    digits = client.post("/translate/stream", json={"text": '1/2 "3"\n4'}).text
    assert digits == 'data: "1/2 \\"3\\"\\n4"\n\ndata: [DONE]\n\n'


def test_languages_in_libretranslates_shape(client: httpx.Client) -> None:
    english, japanese, *_ = client.get("/languages").json()
    assert japanese["targets"] == ["en"]
    assert english == {
        "code": "en",
        "name": "English",
        "native_name": "English",
        "targets": ["ja", "de", "fr", "es", "zh"],
    }


def test_health_ready_and_metrics(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").status_code == 200
    client.post("/translate/stream", json={"text": "Hello.", "target_lang": "de"})
    text = client.get("/metrics").text
    for name in (
        "babelbrook_requests_running",
        "babelbrook_requests_queued",
        "babelbrook_sequences_used",
        "babelbrook_kv_used_ratio",
        "babelbrook_ttft_seconds_bucket",
        "babelbrook_token_gap_seconds_bucket",
        "babelbrook_queue_seconds_bucket",
        "babelbrook_tokens_total",
        "babelbrook_requests_total",
    ):
        assert f"\n{name}" in text, name
    counts = re.findall(r"^babelbrook_(?:ttft|queue)_seconds_count (\S+)$", text, re.MULTILINE)
    assert len(counts) == 2
    assert min(map(float, counts)) >= 1


@pytest.mark.parametrize("path", ["/health", "/ready", "/languages", "/metrics"])
def test_head_gives_the_headers_of_get(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_json_answers_are_json(client: httpx.Client) -> None:
    answer = client.post("/translate", json={"text": "日本 / 1"})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "etag" not in answer.headers  # hashing each answer would bring nothing
    json.loads(answer.text)


def test_into_english_from_a_language_that_is_detected(client: httpx.Client) -> None:
    body = {"text": "Wo ist der Bahnhof? Ich habe kein Geld.", "target_lang": "en"}
    answer = client.post("/translate", json=body).json()
    assert answer["detected_source_lang"] == "de"
    assert answer["translation"].startswith("Where is the")
    assert "notes" not in answer
