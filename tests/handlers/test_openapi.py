"""`/openapi.json` names every path, and every answer is as it declares."""

from __future__ import annotations

import re

import httpx
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from handlers.openapi import document
from tests.conftest import ServerProcess

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Pages and their files are no API; the feed has no end.
NO_API = {"/", "/docs", "/dashboard", "/login", "/logout", "/web/{id}"}
WITHOUT_END = "^/events$"


schema = schemathesis.openapi.from_dict(document()).exclude(path_regex=WITHOUT_END)


@schema.parametrize()
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_declared(case: schemathesis.Case, server: ServerProcess) -> None:
    case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)


def test_every_path_is_described(client: httpx.Client) -> None:
    from engine.echo import EchoEngine
    from engine.settings import Settings
    from handlers import make_application
    from handlers.activity import Activity

    application = make_application(EchoEngine(), Settings(), Activity())
    rules = application.wildcard_router.rules
    paths = {re.sub("%s", "{id}", rule.matcher._path or "/web/{id}") for rule in rules}  # type: ignore[attr-defined]
    described = set(client.get("/openapi.json").json()["paths"])
    assert paths - NO_API == described


def test_the_document_is_openapi_3_1(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    body = document["paths"]["/v2/translate"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-www-form-urlencoded"}
    assert "target_lang" in document["components"]["schemas"]["DeepLRequest"]["required"]
