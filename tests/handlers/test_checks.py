"""What answers tell of their segments: in the JSON always, on a stream when asked."""

from __future__ import annotations

from typing import Any

import httpx

TEXT = "Hello.\n\nSee https://example.com/a now."


def test_the_json_answer_names_what_seems_wrong(client: httpx.Client) -> None:
    body = {"text": "The train leaves at 8:30.", "target_lang": "fr"}
    answer = client.post("/translate", json=body).json()
    for finding in answer["checks"]:
        assert finding.keys() == {"check", "message", "start", "end"}
        assert body["text"][finding["start"] : finding["end"]] == body["text"]
    assert [finding["check"] for finding in answer["checks"]] == ["numbers"], answer["translation"]


def test_each_text_of_a_list_has_its_own(client: httpx.Client) -> None:
    answer = client.post("/translate", json={"text": ["Hello.", "", "1"], "target_lang": "de"})
    assert answer.json()["checks"] == [[], [], []]


def test_a_stream_tells_segments_and_checks_when_asked(post: Any) -> None:
    asked = {"checks": True, "segment": True, "usage": True}
    stream = post(text=TEXT, target_lang="de", stream_options=asked)
    assert stream.done
    *segments, (checks, found), (usage, _) = stream.events
    assert (checks, usage) == ("checks", "usage")
    assert isinstance(found, list)
    places = [event for name, event in segments if name == "segment"]
    assert [TEXT[each["start"] : each["end"]] for each in places] == ["Hello.", "See", "now."]
    for each in places:
        part = stream.joined[each["translated_start"] : each["translated_end"]]
        assert part
        assert part == part.strip()
        assert "https" not in part


def test_a_stream_that_does_not_ask_tells_nothing(post: Any) -> None:
    plain = post(text=TEXT, target_lang="de", stream_options={})
    asked = post(text=TEXT, target_lang="de", stream_options={"segment": True, "checks": True})
    assert plain.events == []
    assert plain.texts == asked.texts


def test_a_segment_is_told_behind_its_last_text(client: httpx.Client) -> None:
    body = {"text": "Hello. Goodbye.", "target_lang": "de", "stream_options": {"segment": True}}
    raw = client.post("/translate/stream", json=body).text
    frames = [frame.partition("\n")[0] for frame in raw.split("\n\n")]
    first = frames.index("event: segment")
    assert frames[first + 1].startswith("data: ")
    assert frames[-3:] == ["event: segment", "data: [DONE]", ""]


def test_addresses_and_placeholders_come_out_unchanged(client: httpx.Client) -> None:
    text = "Dear {name}, see https://example.com/a?b=c#d or mail me@example.com: %s, {{ x }}, <0>."
    for target in ("ja", "de", "fr"):
        answer = client.post("/translate", json={"text": text, "target_lang": target}).json()
        for keep in ("{name}", "https://example.com/a?b=c#d", "me@example.com", "%s", "{{ x }}"):
            assert answer["translation"].count(keep) == 1
        assert not [c for c in answer["checks"] if c["check"] in ("placeholders", "tags", "urls")]
