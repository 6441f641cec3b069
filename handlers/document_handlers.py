"""Documents: DeepL's `/v2/document` and LibreTranslate's `/translate_file`."""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tornado.httputil import HTTPFile

from engine.errors import BabelbrookError, BadRequest
from engine.translation import files
from handlers.auth import PUBLIC, TRANSLATE
from handlers.base import BaseHandler, BodyHandler
from handlers.deepl import DeepLHandler, DeepLTranslating
from handlers.deepl_schemas import DocumentRequest, parse_deepl
from handlers.documents import Document, Documents
from handlers.libretranslate import LibreTranslating
from handlers.libretranslate_schemas import parse_libretranslate
from handlers.schemas import TranslateRequest
from handlers.translating import Translating


class _FileTranslating(Translating):
    """A handler that translates the file of a form."""

    keeps_source = True
    documents: Documents  # set by `initialize`

    async def read(self, uploads: dict[str, list[HTTPFile]], name: str | None) -> files.Document:
        """The one file of the form. Raises BadRequest and TextTooLong."""
        if len(uploads.get("file", ())) != 1:
            raise BadRequest("Invalid request: missing file parameter", "file")
        [upload] = uploads["file"]
        read = await asyncio.to_thread(files.read, name or upload.filename, upload.body)
        self.check_size([read.text])
        return read

    async def translate_into(
        self, document: Document, wanted: TranslateRequest, read: files.Document
    ) -> None:
        """Translate; the document tells what became of it."""
        document.status = "translating"
        async with self.pool.lease(None) as self.engine:
            await self.check(wanted)
            [result] = await self.translate_all(wanted, [read.text])
        self.usage()
        self.activity.go_on()
        document.content, document.status = read.encoded(result.text)[0], "done"
        document.untranslated = len(result.untranslated)


class DocumentUploadHandler(DeepLTranslating, _FileTranslating):
    """`POST /v2/document`: takes a document and translates it in the background."""

    def initialize(self, documents: Documents, **shared: Any) -> None:  # type: ignore[override]
        super().initialize(**shared)
        self.documents = documents

    async def post(self) -> None:
        self.activity.check()
        fields, uploads = self.form()
        request: DocumentRequest = parse_deepl(DocumentRequest, fields)
        read = await self.read(uploads, request.filename)
        wanted = await self.wanted(request, format=read.format)
        async with self.pool.lease(None) as self.engine:
            await self.check(wanted)  # told at once
        document = _kept(read, self.client)
        self.documents.add(document)
        self.outlived = True
        self.documents.run(self._work(document, wanted, read))
        self.write_json({"document_id": document.id, "document_key": document.key})

    async def _work(
        self, document: Document, wanted: TranslateRequest, read: files.Document
    ) -> None:
        try:
            with self.activity.request(self.cancel, self.progress):
                await self.translate_into(document, wanted, read)
            self.characters.add(self.client, document.characters)
        except Exception as failure:
            if not isinstance(failure, BabelbrookError):
                self.log_exception(*sys.exc_info())
                failure = BabelbrookError("The translation failed. Please try again.")
            document.status, document.error = "error", failure.sentence


class _DocumentHandler(DeepLHandler, BodyHandler):
    access = TRANSLATE

    def initialize(self, documents: Documents, body_limit: int) -> None:
        self.documents, self.body_limit = documents, body_limit

    def found(self, document_id: str) -> Document:
        """The document, by the key in the body. Raises NotFound."""
        return self.documents.find(document_id, self.json_or_form().get("document_key"))


class DocumentStatusHandler(_DocumentHandler):
    """`POST /v2/document/{id}`."""

    route = "/v2/document/{id}"

    def post(self, document_id: str) -> None:
        document = self.found(document_id)
        answer: dict[str, Any] = {"document_id": document.id, "status": document.status}
        if document.status == "translating":
            answer["seconds_remaining"] = 1
        if document.status == "done":
            answer["billed_characters"] = document.characters
            answer |= _beside(document)
        if document.status == "error":
            answer["error_message"] = document.error
        self.write_json(answer)


class DocumentResultHandler(_DocumentHandler):
    """`POST /v2/document/{id}/result`: once, then it is forgotten."""

    route = "/v2/document/{id}/result"

    def post(self, document_id: str) -> None:
        document = self.found(document_id)
        if document.status == "error":
            raise BadRequest(document.error)
        if document.status != "done":
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
            self.write_json({"message": "The document is not translated yet."})
            return
        self.documents.forget(document)
        _send(self, document)


class TranslateFileHandler(LibreTranslating, _FileTranslating):
    """`POST /translate_file`: translates a document and tells where it lies then."""

    def initialize(self, documents: Documents, **shared: Any) -> None:  # type: ignore[override]
        super().initialize(**shared)
        self.documents = documents

    async def post(self) -> None:
        with self.activity.request(self.cancel, self.progress):
            fields, uploads = self.form()
            await self.take_key(fields)
            read = await self.read(uploads, None)
            wanted = self.wanted(parse_libretranslate({**fields, "q": "-"}), read.format)
            document = _kept(read, self.client)
            await self.translate_into(document, wanted, read)
            if self.aborted:
                return
            self.documents.add(document)
            host = f"{self.request.protocol}://{self.request.host}"
            path = f"/download_file/{document.id}.{document.key}"
            self.write_json({"translatedFileUrl": host + path, **_beside(document)})


class DownloadHandler(BaseHandler):
    """`GET /download_file/...`, as `/translate_file` told; who knows the address may have it."""

    access = PUBLIC
    route = "/download_file/{id}"

    def initialize(self, documents: Documents) -> None:
        self.documents = documents

    def get(self, name: str) -> None:
        document_id, _, key = name.partition(".")
        _send(self, self.documents.find(document_id, key))


def _kept(read: files.Document, owner: str) -> Document:
    """What is kept of a file that was read; its translation may be some times as long."""
    size = 3 * len(read.text.encode())
    return Document(read.name, size=size, owner=owner, characters=len(read.text))


def _beside(document: Document) -> dict[str, int]:
    """A field of our own where segments came back as their source."""
    return {"untranslated_segments": document.untranslated} if document.untranslated else {}


def _send(handler: BaseHandler, document: Document) -> None:
    """The document as a download: no browser takes it for a page of this server."""
    handler.set_header("Content-Type", "application/octet-stream")
    name = quote(document.name, safe="")
    handler.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{name}")
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.write(document.content)
