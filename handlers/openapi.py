"""`GET /openapi.json`: the whole API as OpenAPI 3.1, by the models that requests are checked with.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import models_json_schema

import engine
from handlers.auth import PUBLIC
from handlers.base import GetHandler
from handlers.openapi_operations import OPERATIONS, Operation

Value = dict[str, Any]
_MODELS = "#/components/schemas/{model}"


class OpenApiHandler(GetHandler):
    """The document; it is made once."""

    access = PUBLIC

    def initialize(self, document: Value) -> None:
        self.document = document

    def get(self) -> None:
        self.write_json(self.document)


def document() -> Value:
    """The document of all operations."""
    models = {model for each in OPERATIONS for model in each.models}
    names, schemas = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=_MODELS,
    )
    references = {model.__name__: schema for (model, _), schema in names.items()}
    paths: dict[str, Value] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Babelbrook",
            "version": engine.__version__,
            "description": "A self-hosted translation server.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "."}],
        "security": [{}, {"key": []}, {"header": []}],
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "paths": paths,
    }


def _operation(operation: Operation, references: dict[str, Value]) -> Value:
    described: Value = {
        "operationId": f"{operation.method}{re.sub('[^a-z0-9]+', '_', operation.path)}",
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.parameters:
        described["parameters"] = [*operation.parameters]
    schemas = [references[model.__name__] for model in operation.models]
    if operation.body is not None:
        schemas.append(operation.body)
    if schemas:
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        content = {kind: {"schema": schema} for kind in operation.takes}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(operation: Operation) -> Value:
    """What is declared for the operation, and its errors."""
    error = {"application/json": {"schema": operation.error}}
    responses: Value = {}
    for status, answer in operation.answers.items():
        responses[str(status)] = {"description": answer.meaning}
        if answer.kind is not None:
            content: Value = {"schema": answer.schema} if answer.schema is not None else {}
            responses[str(status)]["content"] = {answer.kind: content}
            if answer.streamed:
                responses[str(status)]["content"]["text/event-stream"] = {}
    return responses | {
        "4XX": {"description": "The request is refused; the sentence says why.", "content": error},
        "5XX": {"description": "It cannot be answered now, or it failed.", "content": error},
    }
