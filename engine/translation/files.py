"""Files to translate: which format and encoding they are in, and how they are written again."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.errors import BadRequest

FORMAT_OF = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xml": "xml",
    ".srt": "srt",
    ".vtt": "vtt",
    ".json": "json",
    ".po": "po",
    ".pot": "po",
    ".xlf": "xliff",
    ".xliff": "xliff",
}
"""The format of files whose name ends so."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Of Python alone, some of them slow or unpacking what they read; and UTF-7, which no browser reads.
_NO_ENCODINGS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
_DECLARED = re.compile(rb"""(?:encoding|charset)=["']?([A-Za-z0-9][\w.:-]{0,40})""")
_HEAD = 2048  # bytes in which a declaration stands
_LONGEST_NAME = 120  # characters


@dataclass(frozen=True, slots=True)
class Document:
    """A file as text, and what else is needed to write it again."""

    name: str
    format: str
    text: str
    charset: str
    bom: bytes = b""

    def name_in(self, language: str) -> str:
        """The name of its translation: `page.html` becomes `page.de.html`."""
        path = PurePosixPath(self.name)
        return f"{path.stem}.{language}{path.suffix}"

    def encoded(self, text: str) -> tuple[bytes, str]:
        """A translation in the encoding that the file had, or in UTF-8 where that cannot be."""
        marked_up = self.format in ("html", "xml", "xliff", "markdown")
        try:
            data = text.encode(self.charset, "xmlcharrefreplace" if marked_up else "strict")
        except UnicodeEncodeError:
            return text.encode(), "utf-8"
        return self.bom + data, self.charset


def read(name: str, data: bytes, format_: str | None = None) -> Document:
    """A file's text. Raises BadRequest for what is no text or of no format that is known.

    Takes some tenths of a second where the encoding must be guessed.
    """
    name = plain_name(name)
    if format_ is None:
        format_ = FORMAT_OF.get(PurePosixPath(name).suffix.lower())
    if format_ is None:
        raise BadRequest(
            f"The format of '{name}' is not known. Name one in 'format', or use a name that ends in"
            f" {', '.join(FORMAT_OF)}.",
            "format",
        )
    for bom, charset in _BOMS:
        if data.startswith(bom):
            text = _decoded(data[len(bom) :], charset)
            if text is None:
                raise BadRequest(f"The file begins as {charset} does, but is not.", "file")
            return Document(name, format_, text, charset, bom)
    text, charset = _guessed(data)
    return Document(name, format_, text, charset)


def plain_name(name: str) -> str:
    """The last part of a path in any system's way, without what no name should hold."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip(" .")
    stem, dot, suffix = (shown or "document").rpartition(".")
    return f"{stem[:_LONGEST_NAME]}{dot}{suffix[:_LONGEST_NAME]}"


def _guessed(data: bytes) -> tuple[str, str]:
    """The text and its encoding: UTF-8, what the file declares, or what it looks like."""
    declared = [found[1].decode() for found in _DECLARED.finditer(data[:_HEAD])]
    for charset in ("utf-8", *declared):
        if (text := _decoded(data, charset)) is not None:
            return text, charset
    from charset_normalizer import from_bytes

    best = None if b"\0" in data else from_bytes(data).best()
    if best is None:
        raise BadRequest("The file is no text in an encoding that is known. Use UTF-8.", "file")
    return str(best), best.encoding


def _decoded(data: bytes, charset: str) -> str | None:
    try:
        if codecs.lookup(charset).name in _NO_ENCODINGS:
            return None
        # `bytes.decode` refuses codecs that are no encodings: `zlib` would unpack gigabytes.
        return data.decode(charset)
    except (LookupError, UnicodeError, ValueError):
        return None
