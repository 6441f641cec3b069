"""Every operation of the API, with what it takes and gives, for `/openapi.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from handlers.deepl_glossaries import (
    DictionaryRequest,
    GlossaryPatch,
    GlossaryV2Request,
    GlossaryV3Request,
)
from handlers.deepl_schemas import DeepLRequest
from handlers.immersive import DeepLXRequest, ImmersiveRequest
from handlers.libretranslate_schemas import LibreTranslateRequest
from handlers.openai_schemas import ChatRequest, CompletionRequest
from handlers.schemas import TranslateRequest

Value = dict[str, Any]
Method = Literal["get", "post", "put", "patch", "delete"]

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_MULTIPART, _FILE = "multipart/form-data", "application/octet-stream"
_STREAM, _TEXT = "text/event-stream", "text/plain"


def _object(**properties: Value) -> Value:
    """An object that has at least these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: Value) -> Value:
    return {"type": "array", "items": items}


def _or(*schemas: Value) -> Value:
    return {"anyOf": list(schemas)}


STRING, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}
BOOLEAN, ANYTHING = {"type": "boolean"}, {"type": "object"}
OWN_ERROR = _object(error=STRING, code=STRING)
OPENAI_ERROR = _object(
    error=_object(message=STRING, type=STRING, param=_or(STRING, {"type": "null"}), code=STRING)
)
DEEPL_ERROR = _object(message=STRING)
DEEPLX_ERROR = _object(code=INTEGER, message=STRING)


# A stream's schema is that of each of its events (OpenAPI before 3.2 has no other place for it).
_EVENT = _object(data=STRING) | {"description": "An event; its data is JSON, or [DONE]."}


@dataclass(frozen=True)
class Answer:
    """An answer that is no error; `kind` is its media type, None where it has no body.

    `streamed` where the request may ask for events instead.
    """

    meaning: str
    kind: str | None = _JSON
    schema: Value | None = None
    streamed: bool = False


@dataclass(frozen=True)
class Operation:
    """A method of a path.

    The body is one of the models, or a JSON value by a schema, or a form with a file by one.
    """

    method: Method
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    models: Sequence[type[BaseModel]] = ()
    takes: Sequence[str] = (_JSON,)
    body: Value | None = None
    parameters: Sequence[Value] = field(default=())
    error: Value = field(default_factory=lambda: OWN_ERROR)


def _in_path(name: str) -> Value:
    return {"name": name, "in": "path", "required": True, "schema": {**STRING, "minLength": 1}}


def _in_query(name: str, schema: Value = STRING) -> Value:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _ok(schema: Value | None = None, kind: str | None = _JSON) -> dict[int, Answer]:
    return {200: Answer("Done.", kind, schema)}


def _made(schema: Value) -> dict[int, Answer]:
    return {201: Answer("Made.", _JSON, schema)}


_DONE = {204: Answer("Done.", None)}
_USAGE = _object(prompt_tokens=INTEGER, completion_tokens=INTEGER, total_tokens=INTEGER)
_ID = (_in_path("id"),)
_TRANSLATED = _or(
    _object(translation=_or(STRING, _array(STRING)), usage=ANYTHING),
    _object(translatedText=_or(STRING, _array(STRING))),
)


def _own(
    method: Method, path: str, summary: str, answers: Mapping[int, Answer], **more: Any
) -> Operation:
    return Operation(method, path, "Babelbrook", summary, answers, **more)


def _openai(
    method: Method, path: str, summary: str, answers: Mapping[int, Answer], **more: Any
) -> Operation:
    return Operation(method, path, "OpenAI", summary, answers, error=OPENAI_ERROR, **more)


def _deepl(
    method: Method, path: str, summary: str, answers: Mapping[int, Answer], **more: Any
) -> Operation:
    return Operation(method, path, "DeepL", summary, answers, error=DEEPL_ERROR, **more)


def _file_form(**fields: Value) -> Value:
    return _object(file={**STRING, "contentMediaType": _FILE}, **fields)


_GLOSSARY = _object(glossary_id=STRING, name=STRING, creation_time=STRING)
_DICTIONARY = _object(source_lang=STRING, target_lang=STRING, entry_count=INTEGER)
_PAIR = (*_ID, _in_query("source_lang"), _in_query("target_lang"))
_BOTH = (_JSON, _FORM)
_LANGUAGES = _array(_object(code=STRING, name=STRING, targets=_array(STRING)))
_MODEL = _object(id=STRING, object=STRING, created=INTEGER, owned_by=STRING)
_WORDS = _object(text=_or(STRING, _array(STRING)))
_DOCUMENT: Value = {"body": _object(document_key=STRING), "takes": _BOTH, "parameters": _ID}
_CHOICES = _object(id=STRING, object=STRING, choices=_array(ANYTHING), usage=_USAGE)

OPERATIONS: tuple[Operation, ...] = (
    # Our own.
    _own(
        *("post", "/translate", "Translate a text, a list of texts or a LibreTranslate request"),
        _ok(_TRANSLATED),
        models=(TranslateRequest, LibreTranslateRequest),
        takes=_BOTH,
    ),
    _own(
        *("post", "/translate/stream", "Translate a text, token by token"),
        _ok(_EVENT, _STREAM),
        models=(TranslateRequest,),
    ),
    _own(
        *("get", "/translate/stream/{id}", "The rest of a stream that can be resumed"),
        {**_ok(_EVENT, _STREAM), 204: Answer("There is no more.", None)},
        parameters=(*_ID, _in_query("last_id")),
    ),
    _own("delete", "/translate/stream/{id}", "Cancel such a stream", _DONE, parameters=_ID),
    _own(
        *("post", "/detect", "The language of a text, or of each text of a list"),
        _ok(_or(ANYTHING, _array(ANYTHING))),
        body=_or(_WORDS, _object(q=STRING)),
        takes=_BOTH,
    ),
    _own(
        *("get", "/languages", "What a model translates", _ok(_LANGUAGES)),
        parameters=(_in_query("model"),),
    ),
    _own(
        *("post", "/translate/file", "Translate a file, which comes back in its format"),
        _ok(None, "*/*"),
        takes=(_MULTIPART,),
        body=_file_form(target_lang=STRING),
    ),
    _own("get", "/glossaries", "Glossaries by name", _ok(_object(glossaries=_array(ANYTHING)))),
    _own("get", "/glossaries/{id}", "One, with its terms", _ok(ANYTHING), parameters=_ID),
    _own(
        *("put", "/glossaries/{id}", "Keep one under a name"),
        {**_ok(ANYTHING), **_made(ANYTHING)},
        body=ANYTHING,
        parameters=_ID,
    ),
    _own("delete", "/glossaries/{id}", "Forget one", _DONE, parameters=_ID),
    _own("get", "/models", "The models that are known", _ok(_object(models=_array(ANYTHING)))),
    _own(
        *("post", "/models/select", "Let a model answer; a stream tells how it goes"),
        _ok(_EVENT, _STREAM),
        body=_object(model=STRING),
    ),
    _own("get", "/health", "200 while the process lives", _ok(_object(status=STRING))),
    _own("get", "/ready", "200 when a model can answer", _ok(ANYTHING)),
    _own("get", "/metrics", "For Prometheus", _ok(STRING, _TEXT)),
    _own("get", "/events", "Snapshots for dashboards, without end", _ok(_EVENT, _STREAM)),
    _own("get", "/openapi.json", "This document", _ok(ANYTHING)),
    # OpenAI's.
    _openai(
        *("post", "/v1/chat/completions", "Answer a conversation, or translate its last message"),
        {200: Answer("Done.", _JSON, _CHOICES, streamed=True)},
        models=(ChatRequest,),
    ),
    _openai(
        *("post", "/v1/completions", "Go on from a prompt, or translate it"),
        {200: Answer("Done.", _JSON, _CHOICES, streamed=True)},
        models=(CompletionRequest,),
    ),
    _openai(
        *("get", "/v1/models", "What can answer now"),
        _ok(_object(object=STRING, data=_array(_MODEL))),
    ),
    _openai("get", "/v1/models/{id}", "One of them", _ok(_MODEL), parameters=_ID),
    # LibreTranslate's.
    _own("get", "/frontend/settings", "What its clients ask before they begin", _ok(ANYTHING)),
    _own(
        *("post", "/translate_file", "Translate a file"),
        _ok(_object(translatedFileUrl=STRING)),
        takes=(_MULTIPART,),
        body=_file_form(source=STRING, target=STRING),
    ),
    _own(
        *("get", "/download_file/{id}", "The translated file", _ok(None, _FILE)),
        parameters=_ID,
    ),
    # DeepL's.
    _deepl(
        *("post", "/v2/translate", "Translate texts"),
        _ok(_object(translations=_array(_object(detected_source_language=STRING, text=STRING)))),
        models=(DeepLRequest,),
        takes=_BOTH,
    ),
    _deepl(
        *("get", "/v2/languages", "Its sources or targets"),
        _ok(_array(_object(language=STRING, name=STRING))),
        parameters=(_in_query("type", {"enum": ["source", "target"]}),),
    ),
    _deepl(
        *("get", "/v2/usage", "What the client has had translated"),
        _ok(_object(character_count=INTEGER, character_limit=INTEGER)),
    ),
    _deepl(
        *("post", "/v2/document", "Translate a document in the background"),
        _ok(_object(document_id=STRING, document_key=STRING)),
        takes=(_MULTIPART,),
        body=_file_form(target_lang=STRING),
    ),
    _deepl(
        *("post", "/v2/document/{id}", "How it goes"),
        _ok(_object(document_id=STRING, status=STRING)),
        **_DOCUMENT,
    ),
    _deepl("post", "/v2/document/{id}/result", "The document", _ok(None, _FILE), **_DOCUMENT),
    _deepl(
        *("get", "/v2/glossary-language-pairs", "Pairs of languages that may have glossaries"),
        _ok(_object(supported_languages=_array(ANYTHING))),
    ),
    _deepl("get", "/v2/glossaries", "All", _ok(_object(glossaries=_array(_GLOSSARY)))),
    _deepl(
        *("post", "/v2/glossaries", "Make one", _made(_GLOSSARY)),
        models=(GlossaryV2Request,),
        takes=_BOTH,
    ),
    _deepl("get", "/v2/glossaries/{id}", "One", _ok(_GLOSSARY), parameters=_ID),
    _deepl("delete", "/v2/glossaries/{id}", "Delete one", _DONE, parameters=_ID),
    _deepl(
        *("get", "/v2/glossaries/{id}/entries", "Its terms"),
        _ok(STRING, "text/tab-separated-values"),
        parameters=_ID,
    ),
    _deepl("get", "/v3/glossaries", "All", _ok(_object(glossaries=_array(_GLOSSARY)))),
    _deepl(
        *("post", "/v3/glossaries", "Make one", _made(_GLOSSARY)),
        models=(GlossaryV3Request,),
    ),
    _deepl("get", "/v3/glossaries/{id}", "One", _ok(_GLOSSARY), parameters=_ID),
    _deepl(
        *("patch", "/v3/glossaries/{id}", "Another name, more terms", _ok(_GLOSSARY)),
        models=(GlossaryPatch,),
        parameters=_ID,
    ),
    _deepl("delete", "/v3/glossaries/{id}", "Delete one", _DONE, parameters=_ID),
    _deepl(
        *("get", "/v3/glossaries/{id}/entries", "The terms of a pair of languages"),
        _ok(_object(dictionaries=_array(_object(entries=STRING)))),
        parameters=_PAIR,
    ),
    _deepl(
        *("put", "/v3/glossaries/{id}/dictionaries", "Replace them", _ok(_DICTIONARY)),
        models=(DictionaryRequest,),
        parameters=_ID,
    ),
    _deepl(
        *("delete", "/v3/glossaries/{id}/dictionaries", "Delete them", _DONE),
        parameters=_PAIR,
    ),
    # For browser extensions.
    _own(
        *("post", "/immersive", "Immersive Translate's custom API"),
        _ok(_object(translations=_array(_object(detected_source_lang=STRING, text=STRING)))),
        models=(ImmersiveRequest,),
    ),
    Operation(
        *("post", "/deeplx/translate", "Babelbrook", "DeepLX"),
        _ok(_object(code=INTEGER, data=STRING, source_lang=STRING, target_lang=STRING)),
        models=(DeepLXRequest,),
        error=DEEPLX_ERROR,
    ),
)
