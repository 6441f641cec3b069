"""XML files of people (TBX, TMX), read as defusedxml does, and without defaults of attributes.

defusedxml refuses entities. What it lets pass: a document type may declare attributes with
defaults, and each element then has all of them. Of ten thousand, 70 kB of XML become 500 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

from defusedxml import ElementTree

MOST_ATTRIBUTES = 1000  # that a document type may declare; each costs a moment for each element


class _TooManyAttributes(ValueError):
    def __str__(self) -> str:
        return f"its document type declares more than {MOST_ATTRIBUTES:,} attributes"


class _Parser(ElementTree.DefusedXMLParser):
    def __init__(self) -> None:
        super().__init__(target=TreeBuilder())
        expat: Any = self.parser
        expat.specified_attributes = True
        expat.AttlistDeclHandler = self._count_attribute
        self._declared = 0

    def _count_attribute(self, *_: object) -> None:
        self._declared += 1
        if self._declared > MOST_ATTRIBUTES:
            raise _TooManyAttributes


def read(text: str) -> Element:
    """The root element. Raises ParseError, and ValueError for what is dangerous."""
    parser = _Parser()
    parser.feed(text)
    root: Element = parser.close()
    return root


def iterate(path: Path) -> Iterator[Element]:
    """The elements of a file as they end; raises as `read` does."""
    for _, element in ElementTree.iterparse(path, parser=_Parser()):
        yield element
