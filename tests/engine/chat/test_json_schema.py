"""JSON schemas as grammars: what is made by them fits, and none ends the process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jsonschema_rs
import pytest

from engine.chat.json_schema import grammar
from engine.errors import BadRequest
from tests.conftest import ROOT

COUNT = 120


@pytest.fixture(scope="module")
def walks() -> list[dict[str, Any]]:
    """What random tokens made of random schemas, in a process that came to its end."""
    command = [sys.executable, "-m", "tests.engine.chat.walk", "1000", str(COUNT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=100)
    assert done.returncode == 0, f"{done.stdout[-1000:]} {done.stderr[-2000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_schema_ends_the_process(walks: list[dict[str, Any]]) -> None:
    assert len(walks) == COUNT
    assert sum("refused" in walk for walk in walks) > COUNT / 10
    assert sum("text" in walk for walk in walks) > COUNT / 2


def test_what_a_grammar_makes_fits_its_schema(walks: list[dict[str, Any]]) -> None:
    looked_at = 0
    for walk in walks:
        # Half a character, which only random tokens make, counts as none for llama.cpp.
        if not walk.get("ended") or "\ufffd" in walk["text"]:
            continue
        schema = json.loads(json.dumps(walk["schema"]).replace('"oneOf"', '"anyOf"'))
        try:
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        except jsonschema_rs.ValidationError:
            continue  # something wrong among the definitions that are not used
        validator.validate(json.loads(walk["text"]))
        looked_at += 1
    assert looked_at > COUNT / 4


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = {"type": "object", "properties": {"a": inner}}
    return inner


def lists(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def doubling(levels: int) -> dict[str, Any]:
    """Each definition refers to the next one twice."""
    definitions: dict[str, Any] = {f"d{levels}": {"type": "null"}}
    for level in range(levels):
        one, two = ({"$ref": f"#/$defs/d{level + 1}"} for _ in range(2))
        definitions[f"d{level}"] = {"type": "object", "properties": {"a": one, "b": two}}
    return {"$ref": "#/$defs/d0", "$defs": definitions}


TWICE_ITSELF = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (nested(40, {"type": "null"}), "deep"),
        (doubling(14), "large"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "nothing but itself"),
        ({"anyOf": [TWICE_ITSELF, TWICE_ITSELF]}, "too much alike"),
        ({"enum": list(range(201))}, "200 values"),
        ({"enum": ["x" * 30_000]}, "characters"),
        ({"properties": {str(number): {} for number in range(101)}}, "at most 100"),
        ({"type": "array", "maxItems": 10**6}, "0 to 200"),
        ({"type": "string", "minLength": 2000}, "0 to 1000"),
        ({"type": "string", "pattern": "^a+$"}, "'pattern' is not supported"),
        ({"type": "integer", "minimum": 3}, "'minimum' is not supported"),
        ({"type": "string", "format": "email"}, "a format must"),
        ({"type": "array", "prefixItems": []}, "'prefixItems' is not supported"),
        ({"$ref": "https://example.org/schema"}, "references go to"),
        ({"$ref": "#", "type": "object"}, "cannot stand beside"),
        ({"const": lists(1100)}, "too deep"),
    ],
)
def test_what_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest) as refused:
        grammar(schema)
    assert reason in refused.value.sentence


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [nested(1, {}), nested(2, {})]},
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {"title": "T", "type": ["string", "null"], "maxLength": 10, "default": None},
        {"allOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": {"type": "integer"}}},
    ],
)
def test_what_libraries_write_is_accepted(schema: dict[str, Any]) -> None:
    assert grammar(schema).startswith("root ::= ")
