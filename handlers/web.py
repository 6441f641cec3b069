"""The pages for browsers, and the files below `web/` that they are made of.

All of it is read once, when the server starts, and served from memory: a page always fits the
server that it came from, and no path of a request ever reaches the file system. The files stand
below a name that is made from what they hold, so browsers may keep them for ever; only the page
itself is asked for again, and mostly not sent again.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from pathlib import Path
from typing import NamedTuple

from handlers.auth import PUBLIC
from handlers.base import GetHandler, NotFound

FOLDER = Path(__file__).resolve().parents[1] / "web"
_PAGES = {
    "/": "index.html",
    "/docs": "docs.html",
    "/dashboard": "dashboard.html",
    "/login": "login.html",
}
_INCLUDE = re.compile(rb"[ \t]*<!-- include ([a-z]+\.html) -->\n")  # what all pages share
_PAGES_WITH_KEY = _PAGES.keys() - {"/login"}
_TYPES = {".js": "text/javascript", ".woff2": "font/woff2"}  # whatever the system believes
_PACKED = (".css", ".html", ".js", ".svg")
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"

_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types babelbrook",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _File(NamedTuple):
    """A file as it goes out."""

    body: bytes
    packed: bytes | None  # by gzip, where that makes it smaller
    type: str
    etag: str
    lifetime: str


class Site:
    """All files by the path at which they are served."""

    def __init__(self, folder: Path = FOLDER) -> None:
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        everything = hashlib.sha256()
        for name, body in contents.items():
            everything.update(f"{name} {len(body)} ".encode() + body)
        place = f"web/{everything.hexdigest()[:12]}/"
        self._files = {
            f"/{place}{name}": _file(name, body, _FOR_EVER)
            for name, body in contents.items()
            if not name.endswith(".html")
        }
        for path, name in _PAGES.items():
            page = _INCLUDE.sub(
                lambda found: contents[f"parts/{found[1].decode()}"], contents[name]
            )
            body = page.replace(b'"./', f'"{place}'.encode())
            self._files[path] = _file(name, body, _ASK_AGAIN)

    def __getitem__(self, path: str) -> _File:
        """What is served at `path`. Raises NotFound."""
        if (file := self._files.get(path)) is None:
            raise NotFound("There is no such file. Please load the page again.")
        return file


def _file(name: str, body: bytes, lifetime: str) -> _File:
    suffix = Path(name).suffix
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"
    text = kind.startswith("text/") or suffix == ".svg"
    packed = gzip.compress(body, mtime=0) if suffix in _PACKED else None
    return _File(
        body,
        packed if packed is not None and len(packed) < len(body) else None,
        f"{kind}; charset=utf-8" if text else kind,
        f'W/"{hashlib.sha256(body).hexdigest()[:24]}"',  # weak: one for both encodings
        lifetime,
    )


class WebHandler(GetHandler):
    """Serves a file of the site, or 304 to who has it."""

    access = PUBLIC

    def initialize(self, site: Site) -> None:
        self._site = site

    async def get(self) -> None:
        if self.request.path in _PAGES_WITH_KEY and await self.gate.asks_for_key(self.request):
            self.set_header("Cache-Control", "no-store")
            self.redirect(f"login?next={self.request.path[1:]}")
            return
        self._file = file = self._site[self.request.path]
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Type", file.type)
        self.set_header("Cache-Control", file.lifetime)
        if file.packed is not None:
            self.set_header("Vary", "Accept-Encoding")
        if file.packed is not None and self._takes_gzip():
            self.set_header("Content-Encoding", "gzip")
            self.write(file.packed)
        else:
            self.write(file.body)

    def _takes_gzip(self) -> bool:
        wanted = self.request.headers.get("Accept-Encoding", "").lower().split(",")
        return any(each.partition(";")[0].strip() == "gzip" for each in wanted)

    def compute_etag(self) -> str | None:
        """The file's, by which Tornado tells a 304."""
        file = getattr(self, "_file", None)
        return file.etag if file is not None else None
