"""`POST /translate/file`: a file comes back translated, at once or behind its progress."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from tornado.httputil import HTTPFile, HTTPInputError, parse_body_arguments

from engine.errors import BadRequest
from engine.translation import files
from engine.translation.files import Document
from engine.translation.translator import Translation
from handlers import answers, sse
from handlers.base import json_value
from handlers.presence import watched
from handlers.schemas import TranslateRequest, parse
from handlers.translating import TextStreaming

_FIELDS = frozenset(TranslateRequest.model_fields) - {"text", "ignore_tags", "stream_options"}
_OWN = {"ignore_tags", "api_key"}  # fields of a form that are read by themselves
_MOST_PLACES, _MOST_IGNORED, _LONGEST_NAME = 50, 20, 50  # of what headers have room for
_CONTENT_TYPES = {
    "text": "text/plain",
    "markdown": "text/markdown",
    "html": "text/html",
    "xml": "application/xml",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "json": "application/json",
    "po": "text/x-gettext-translation",
    "xliff": "application/xliff+xml",
}


class FileHandler(TextStreaming):
    """Takes a form with a `file`, whose answer is the file or, where they are asked for, events."""

    key_in_body = True
    keeps_source = True

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            request, upload, unknown = await self._read_form()
            name, data = upload.filename, upload.body
            document = await asyncio.to_thread(files.read, name, data, request.format or None)
            self.check_size([document.text])
            request = request.model_copy(update={"format": document.format})
            async with self.pool.lease(request.model) as self.engine:
                await self.check(request)
                ignored = unknown + self.without_effect(request)
                parts = await self.take_apart(request, document.text)
                translation = self.begin(request, document.text, parts=parts)
                try:
                    await self._answer(translation, document, ignored)
                finally:
                    self.end(translation)
                    self.usage()
            if not self.aborted:
                await self.end_stream(self.config.streams.stall_timeout)

    def without_effect(self, request: TranslateRequest) -> list[str]:
        """A file has one translation."""
        alone = ["alternatives"] if request.alternatives else []
        return super().without_effect(request) + alone

    async def _read_form(self) -> tuple[TranslateRequest, HTTPFile, list[str]]:
        """The fields, the file, and names of fields that nobody knows. Raises BadRequest."""
        kind = self.request.headers.get("Content-Type", "")
        if not kind.lower().startswith("multipart/form-data"):
            raise BadRequest("Send a form (multipart/form-data) with the file in 'file'.")
        arguments: dict[str, list[bytes]] = {}
        uploads: dict[str, list[HTTPFile]] = {}
        try:
            parse_body_arguments(kind, self.take_body(), arguments, uploads)
            fields = {name: [v.decode() for v in values] for name, values in arguments.items()}
        except (HTTPInputError, ValueError):
            raise BadRequest("Invalid form") from None
        await self.take_key({name: values[-1] for name, values in fields.items()})
        unknown = [*(fields.keys() - _FIELDS - _OWN), *(uploads.keys() - {"file"})]
        if len(uploads.get("file", ())) != 1:
            raise BadRequest("'file' is required, and just one.", "file")
        return _request(fields), uploads["file"][0], sorted(unknown)

    async def _answer(
        self, translation: Translation, document: Document, ignored: list[str]
    ) -> None:
        if "text/event-stream" in self.request.headers.get("Accept", ""):
            await self._stream(translation, document, ignored)
            return
        with watched(self):
            text = await translation.joined()
        if not self.aborted:
            self.activity.go_on()
            self._tell(translation, ignored)
            self._send_file(document, text, translation.target_lang)

    def _tell(self, translation: Translation, ignored: list[str]) -> None:
        """In headers, what an answer that is nothing but a file has no other place for."""
        if ignored:
            names = (quote(name[:_LONGEST_NAME], safe="") for name in ignored[:_MOST_IGNORED])
            self.set_header("Ignored-Fields", ", ".join(names))
        if kept := translation.untranslated:
            places = [f"{e.code};start={e.start};end={e.end}" for e in kept[:_MOST_PLACES]]
            more = [f"more;count={len(kept) - _MOST_PLACES}"] if len(kept) > _MOST_PLACES else []
            self.set_header("Untranslated-Segments", ", ".join(places + more))

    def _send_file(self, document: Document, text: str, language: str) -> None:
        data, charset = document.encoded(text)
        name = document.name_in(language)
        kind = _CONTENT_TYPES.get(document.format, "text/plain")
        self.set_header("Content-Type", f"{kind}; charset={charset}")
        # Always to be saved: a page from elsewhere must not run as one of ours.
        ascii_name = name.encode("ascii", "replace").decode().translate({34: "_", 63: "_", 92: "_"})
        self.set_header(
            "Content-Disposition",
            f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}",
        )
        self.set_header("X-Content-Type-Options", "nosniff")
        self.write(data)

    async def _stream(
        self, translation: Translation, document: Document, ignored: list[str]
    ) -> None:
        stream = self.event_stream()
        stream.open()
        try:
            frames = self._frames(translation, document, ignored)
            await stream.run(frames, translation.poke, _seen, str)
        except sse.ReaderGone:
            self.aborted = True

    async def _frames(
        self, translation: Translation, document: Document, ignored: list[str]
    ) -> AsyncIterator[list[str]]:
        """A frame for each per cent that is done, then one with the file's text."""
        texts: list[str] = []
        told = -1
        try:
            async for pieces in translation.pieces():
                if pieces:
                    self.observe(translation)
                    texts += pieces
                percent = min(99, 100 * translation.position // max(1, len(document.text)))
                news = {"status": "translating", "progress": percent}
                yield [sse.data(news)] if percent > told else []
                told = max(told, percent)
            self.activity.go_on()
            end = {
                "status": "done",
                "filename": document.name_in(translation.target_lang),
                "format": document.format,
                **_content(document, "".join(texts)),
                **answers.told(translation),
                **({"matches": found} if (found := answers.matches(translation.matches)) else {}),
                **({"ignored": ignored} if ignored else {}),
            }
            frames = [sse.data(end)]
        except Exception as failure:
            frames = [self.failure_frame(self.told(failure))]
        yield frames


def _content(document: Document, text: str) -> dict[str, str]:
    """A translation as text, and the bytes of its file where they are not that text in UTF-8."""
    data, charset = document.encoded(text)
    other = {} if data == text.encode() else {"base64": b64encode(data).decode()}
    return {"text": text, "charset": charset, **other}


def _request(fields: dict[str, list[str]]) -> TranslateRequest:
    """What the form asks for; of a field that comes twice the last counts. Raises BadRequest."""
    names = ",".join(fields.get("ignore_tags", ())).split(",")
    body: dict[str, Any] = {name: fields[name][-1] for name in _FIELDS & fields.keys()}
    if body.get("glossary", "").lstrip().startswith(("{", "[")):  # terms, not a name
        body["glossary"] = json_value(body["glossary"])
    body["ignore_tags"] = [name.strip() for name in names if name.strip()]
    return parse(TranslateRequest, {"format": "", **body, "text": "-"}, strict=False)


def _seen(_: list[str]) -> None:
    """Texts are observed before they become frames."""
