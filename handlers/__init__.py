"""HTTP: the route table, the one place to see the whole API."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPServerRequest

from engine.config import glossaries_path, models_folder
from engine.interface import Engine
from engine.memory import places
from engine.memory.memory import Memory
from engine.models.catalogue import Catalogue
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation.glossaries import Glossaries
from engine.translation.multilingual import MultilingualGlossaries
from handlers.activity import Activity
from handlers.auth import Gate
from handlers.base import UnknownPathHandler, log_access
from handlers.deepl import (
    DeepLLanguagesHandler,
    DeepLTranslateHandler,
    DeepLUsageHandler,
    Usage,
)
from handlers.deepl_glossary_handlers import (
    DictionariesV3Handler,
    EntriesV2Handler,
    EntriesV3Handler,
    GlossariesV2Handler,
    GlossariesV3Handler,
    GlossaryPairsHandler,
    GlossaryV2Handler,
    GlossaryV3Handler,
)
from handlers.detect import DetectHandler
from handlers.document_handlers import (
    DocumentResultHandler,
    DocumentStatusHandler,
    DocumentUploadHandler,
    DownloadHandler,
    TranslateFileHandler,
)
from handlers.documents import Documents
from handlers.events import EventsHandler
from handlers.feed import Feed
from handlers.files import FileHandler
from handlers.genai import GenAi
from handlers.glossaries import NAME_PATTERN, GlossariesHandler, GlossaryHandler
from handlers.http1 import Http1Application
from handlers.immersive import DeepLXHandler, ImmersiveHandler
from handlers.languages import LanguagesHandler
from handlers.libretranslate import FrontendSettingsHandler
from handlers.login import LoginHandler, LogoutHandler
from handlers.metrics import MemoryReadings, Metrics, RedisReading
from handlers.models import ModelsHandler, SelectHandler
from handlers.openai import ChatHandler, CompletionHandler
from handlers.openai_models import ModelHandler, ModelListHandler
from handlers.openapi import OpenApiHandler
from handlers.openapi import document as openapi_document
from handlers.ops import HealthHandler, MetricsHandler, ReadyHandler
from handlers.readings import Readings
from handlers.resume import ID_PATTERN, ResumableStreams, ResumeHandler
from handlers.translate import TranslateHandler, TranslateStreamHandler
from handlers.web import Site, WebHandler

logger = logging.getLogger("babelbrook.http")
Needs = dict[str, Any]  # what handlers that translate are given, by the names of `initialize`


class Api(Http1Application):
    """All routes, and what goes with them: the gate, the feed, once it is started, and streams."""

    gate: Gate
    metrics: Metrics
    feed: Feed
    streams: ResumableStreams
    memory: Memory | None

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Called when the head of a request is in."""
        self.gate.proxies.apply(request)
        return super().find_handler(request, **kwargs)


def make_application(
    engine: Engine, settings: Settings, activity: Activity, gate: Gate | None = None
) -> Api:
    """All routes with what their handlers need. A bare engine is a pool of one.

    Without a `gate` there is one for the loopback interface.
    """
    pool = engine if isinstance(engine, Pool) else Pool(engine)
    metrics = Metrics(pool)
    readings = Readings(pool, activity, metrics, settings.events.interval)
    feed = Feed(readings, metrics.dashboards, settings)
    streams = ResumableStreams(settings.streams)
    place = places.of_server(settings)
    memory = None if place is None else Memory(place)
    if memory is not None:
        metrics.registry.register(MemoryReadings(memory))
    translate: Needs = {
        "pool": pool,
        "settings": settings,
        "activity": activity,
        "metrics": metrics,
        "memory": memory,
        "glossaries": Glossaries(glossaries_path(settings)),
    }
    documents = Documents()
    routes = [
        *_pages(settings, feed),
        *_operations(translate, feed),
        *_knowledge(translate),
        *_translations(translate, streams),
        *_openai(translate),
        *_libretranslate(translate, documents),
        *_deepl(translate, documents),
    ]
    application = Api(
        routes,
        default_handler_class=UnknownPathHandler,
        log_function=_counter(routes, metrics, pool, settings),
        compress_response=False,
        serve_traceback=False,
    )
    application.metrics, application.feed, application.streams = metrics, feed, streams
    application.memory = memory
    application.gate = Gate(settings) if gate is None else gate
    if application.gate.redis is not None:
        metrics.registry.register(RedisReading(application.gate.redis))
    return application


def _counter(
    routes: list[Any], metrics: Metrics, pool: Pool, settings: Settings
) -> Callable[[Any], None]:
    """What is done when an answer has ended: the access log and the metrics."""
    paths = {pattern for pattern, *_ in routes}
    gen_ai = GenAi(metrics.registry) if settings.metrics.gen_ai else None

    def count(handler: Any) -> None:
        log_access(handler)
        path = handler.request.path if handler.request.path in paths else handler.route or "other"
        status = 499 if getattr(handler, "aborted", False) else handler.get_status()
        error = getattr(handler, "log_fields", {}).get("error")
        code = error or getattr(handler, "error_code", None)
        metrics.count(handler.request.method, path, status, error is not None, code)
        if gen_ai is not None:
            entry = getattr(handler, "engine", pool).entry
            gen_ai.count(entry.name, time.monotonic() - handler.begun, handler.log_fields)

    def log(handler: Any) -> None:
        try:  # an error would make Tornado answer once more
            count(handler)
        except Exception:
            logger.exception("A request could not be logged.")

    return log


def _only(needs: Needs, *names: str) -> Needs:
    return {name: needs[name] for name in names}


def _pages(settings: Settings, feed: Feed) -> list[Any]:
    """What browsers show, and the way in for them."""
    site = {"site": Site()}
    return [
        (r"/", WebHandler, site),
        (r"/dashboard", WebHandler, site),
        (r"/docs", WebHandler, site),
        (r"/web/(?:.+)", WebHandler, site),
        (r"/login", LoginHandler, {**site, "settings": settings}),
        (r"/logout", LogoutHandler, {"feed": feed}),
    ]


def _operations(needs: Needs, feed: Feed) -> list[Any]:
    """How the server is, and what it can do."""
    return [
        (r"/health", HealthHandler),
        (r"/ready", ReadyHandler, _only(needs, "pool", "activity")),
        (r"/metrics", MetricsHandler, _only(needs, "metrics")),
        (r"/events", EventsHandler, {"feed": feed}),
        (r"/openapi.json", OpenApiHandler, {"document": openapi_document()}),
    ]


def _knowledge(needs: Needs) -> list[Any]:
    """Models, languages and glossaries."""
    settings = needs["settings"]
    models = {
        "pool": needs["pool"],
        "catalogue": Catalogue(models_folder(settings), settings.models.entries),
    }
    work = _only(needs, "pool", "settings", "activity")
    return [
        (r"/models", ModelsHandler, models),
        (r"/models/select", SelectHandler, work),
        (r"/languages", LanguagesHandler, models),
        (r"/detect", DetectHandler, work),
        (r"/glossaries", GlossariesHandler, _only(needs, "glossaries")),
        (
            rf"/glossaries/({NAME_PATTERN})",
            GlossaryHandler,
            _only(needs, "glossaries", "settings"),
        ),
    ]


def _translations(needs: Needs, streams: ResumableStreams) -> list[Any]:
    """Our own API."""
    return [
        (r"/translate", TranslateHandler, needs),
        (r"/translate/file", FileHandler, needs),
        (r"/translate/stream", TranslateStreamHandler, {**needs, "streams": streams}),
        (
            rf"/translate/stream/({ID_PATTERN})",
            ResumeHandler,
            {"streams": streams, **_only(needs, "settings", "activity")},
        ),
    ]


def _openai(needs: Needs) -> list[Any]:
    """OpenAI's paths."""
    return [
        (r"/v1/chat/completions", ChatHandler, needs),
        (r"/v1/completions", CompletionHandler, needs),
        (r"/v1/models", ModelListHandler, _only(needs, "pool")),
        (r"/v1/models/(.+)", ModelHandler, _only(needs, "pool")),
    ]


def _libretranslate(needs: Needs, documents: Documents) -> list[Any]:
    """LibreTranslate's paths that are not ours as well, and those of browser extensions."""
    return [
        (r"/frontend/settings", FrontendSettingsHandler, _only(needs, "pool", "settings")),
        (r"/translate_file", TranslateFileHandler, {**needs, "documents": documents}),
        (r"/download_file/([^/]+)", DownloadHandler, {"documents": documents}),
        (r"/immersive", ImmersiveHandler, needs),
        (r"/deeplx/translate", DeepLXHandler, needs),
    ]


def _deepl(needs: Needs, documents: Documents) -> list[Any]:
    """DeepL's paths."""
    pool, settings = needs["pool"], needs["settings"]
    usage, known = Usage(), MultilingualGlossaries(glossaries_path(settings))
    deepl = {**needs, "usage": usage, "multilingual": known}
    glossaries = {"glossaries": known, "settings": settings}
    kept = {"documents": documents, "body_limit": settings.limits.body_bytes}
    return [
        (r"/v2/translate", DeepLTranslateHandler, deepl),
        (r"/v2/languages", DeepLLanguagesHandler, {"pool": pool}),
        (r"/v2/usage", DeepLUsageHandler, {"usage": usage}),
        (r"/v2/glossary-language-pairs", GlossaryPairsHandler, {"pool": pool}),
        (r"/v2/glossaries", GlossariesV2Handler, glossaries),
        (r"/v2/glossaries/([^/]+)", GlossaryV2Handler, glossaries),
        (r"/v2/glossaries/([^/]+)/entries", EntriesV2Handler, glossaries),
        (r"/v3/glossaries", GlossariesV3Handler, glossaries),
        (r"/v3/glossaries/([^/]+)", GlossaryV3Handler, glossaries),
        (r"/v3/glossaries/([^/]+)/entries", EntriesV3Handler, glossaries),
        (r"/v3/glossaries/([^/]+)/dictionaries", DictionariesV3Handler, glossaries),
        (r"/v2/document", DocumentUploadHandler, {**deepl, "documents": documents}),
        (r"/v2/document/([^/]+)", DocumentStatusHandler, kept),
        (r"/v2/document/([^/]+)/result", DocumentResultHandler, kept),
    ]
