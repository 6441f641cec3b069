"""HTTP: the route table, the one place to see the whole API."""

from __future__ import annotations

import logging
import time
from typing import Any

from tornado.httputil import HTTPServerRequest

from engine.config import data_folder, memory_path, models_folder
from engine.interface import Engine
from engine.memory.memory import Memory
from engine.models.catalogue import Catalogue
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation.glossaries import Glossaries
from handlers.activity import Activity
from handlers.auth import Gate
from handlers.base import UnknownPathHandler, log_access
from handlers.deepl import (
    DeepLLanguagesHandler,
    DeepLTranslateHandler,
    DeepLUsageHandler,
    Usage,
)
from handlers.deepl_glossaries import DeepLGlossaries
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
from handlers.metrics import MemoryReadings, Metrics
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
    engine = pool = engine if isinstance(engine, Pool) else Pool(engine)
    metrics = Metrics(engine)
    gen_ai = GenAi(metrics.registry) if settings.metrics.gen_ai else None
    catalogue = Catalogue(models_folder(settings), settings.models.entries)
    readings = Readings(pool, activity, metrics, settings.events.interval)
    feed = Feed(readings, metrics.dashboards, settings)
    streams = ResumableStreams(settings.streams)
    path = memory_path(settings)
    glossaries = Glossaries(data_folder(settings) / "glossaries.sqlite")
    memory = None if path is None else Memory(path, settings.memory.room)
    if memory is not None:
        metrics.registry.register(MemoryReadings(memory))
    translate = {
        "pool": pool,
        "settings": settings,
        "activity": activity,
        "metrics": metrics,
        "memory": memory,
        "glossaries": glossaries,
    }
    site = {"site": Site()}
    documents = Documents()
    routes: list[Any] = [
        (r"/", WebHandler, site),
        (r"/dashboard", WebHandler, site),
        (r"/web/(?:.+)", WebHandler, site),
        (r"/health", HealthHandler),
        (r"/ready", ReadyHandler, {"pool": pool, "activity": activity}),
        (r"/metrics", MetricsHandler, {"metrics": metrics}),
        (r"/events", EventsHandler, {"feed": feed}),
        (r"/languages", LanguagesHandler, {"pool": pool, "catalogue": catalogue}),
        (r"/glossaries", GlossariesHandler, {"glossaries": glossaries}),
        (
            rf"/glossaries/({NAME_PATTERN})",
            GlossaryHandler,
            {"glossaries": glossaries, "settings": settings},
        ),
        (r"/detect", DetectHandler, {"pool": pool, "settings": settings, "activity": activity}),
        (r"/models", ModelsHandler, {"pool": pool, "catalogue": catalogue}),
        (
            r"/models/select",
            SelectHandler,
            {"pool": pool, "settings": settings, "activity": activity},
        ),
        (r"/login", LoginHandler, {**site, "settings": settings}),
        (r"/logout", LogoutHandler),
        (r"/translate", TranslateHandler, translate),
        (r"/translate/file", FileHandler, translate),
        (r"/translate/stream", TranslateStreamHandler, {**translate, "streams": streams}),
        (
            rf"/translate/stream/({ID_PATTERN})",
            ResumeHandler,
            {"streams": streams, "settings": settings, "activity": activity},
        ),
        *_deepl(translate, documents),
        (r"/frontend/settings", FrontendSettingsHandler, {"pool": pool, "settings": settings}),
        (r"/translate_file", TranslateFileHandler, {**translate, "documents": documents}),
        (r"/download_file/([^/]+)", DownloadHandler, {"documents": documents}),
        (r"/openapi.json", OpenApiHandler, {"document": openapi_document()}),
        (r"/docs", WebHandler, site),
        (r"/immersive", ImmersiveHandler, translate),
        (r"/deeplx/translate", DeepLXHandler, translate),
        (r"/v1/chat/completions", ChatHandler, translate),
        (r"/v1/completions", CompletionHandler, translate),
        (r"/v1/models", ModelListHandler, {"pool": pool}),
        (r"/v1/models/(.+)", ModelHandler, {"pool": pool}),
    ]
    paths = {pattern for pattern, *_ in routes}

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
        """Called when an answer has ended; an error would make Tornado answer once more."""
        try:
            count(handler)
        except Exception:
            logger.exception("A request could not be logged.")

    application = Api(
        routes,
        default_handler_class=UnknownPathHandler,
        log_function=log,
        compress_response=False,
        serve_traceback=False,
    )
    application.metrics, application.feed, application.streams = metrics, feed, streams
    application.memory = memory
    application.gate = Gate(settings) if gate is None else gate
    return application


def _deepl(translate: dict[str, Any], documents: Documents) -> list[Any]:
    """DeepL's paths; `translate` is what all handlers that translate need."""
    pool, settings = translate["pool"], translate["settings"]
    usage, known = Usage(), DeepLGlossaries()
    deepl = {**translate, "usage": usage, "deepl_glossaries": known}
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
