"""PO and XLIFF: translations that are missing are filled in, everything else stays as it is."""

from __future__ import annotations

import lxml.etree
import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.translation import formats
from tests.engine.translation.formats.documents import CUTS, hostile, put_together, texts

PO = r"""# A comment "with" quotes
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"

#: main.c:12
#, c-format, fuzzy
msgctxt "menu"
msgid "Open \"%s\"\n"
msgstr ""

msgid ""
"First line\n"
"second line that is "
"wrapped\n"
msgstr ""

msgid "Done"
msgstr "Fertig"

msgid "One file"
msgid_plural "%d files"
msgstr[0] ""
msgstr[1] ""
#~ msgid "Old"
#~ msgstr ""
"""

LITERALS = st.lists(
    st.sampled_from(["word ", "Two words. ", '\\"', "\\n", "\\\\", "\\t", "é", "日本", "%s", " "]),
    min_size=1,
    max_size=8,
).map("".join)
STRINGS = st.lists(LITERALS, min_size=1, max_size=3).map(
    lambda all_: "\n".join(f'"{s}"' for s in all_)
)
ENTRIES = st.tuples(
    st.sampled_from(["", "# note\n", "#: a.c:1\n#, fuzzy\n", "\n", 'msgctxt "c"\n']),
    STRINGS,
    st.sampled_from(['""', '""\n""', '"done"', '"a "\n"b"']),
)


@given(st.lists(ENTRIES, max_size=5), st.sampled_from(["\n", "\r\n"]), CUTS)
def test_each_empty_translation_gets_its_message(
    entries: list[tuple[str, str, str]], line_end: str, cuts: list[int]
) -> None:
    def written(fill: bool) -> str:
        return "\n".join(
            f"{before}msgid {source}\nmsgstr {source if fill and empty(old, source) else old}\n"
            for before, source, old in entries
        ).replace("\n", line_end)

    assert put_together(formats.parts("po", written(False)), cuts=cuts) == written(True)


def empty(translation: str, source: str) -> bool:
    """Whether a translation says nothing where its source says something."""
    return not translation.strip('"\n ') and bool(source.strip('"\n '))


def test_messages_are_read_as_they_are_meant() -> None:
    assert texts("po", PO) == [
        'Open "%s"\n',
        "First line\nsecond line that is wrapped\n",
        "One file",
        "%d files",
    ]
    translated = polib.pofile(put_together(formats.parts("po", PO), lambda text: f'"{text}\\'))
    assert [entry.msgstr or entry.msgstr_plural for entry in translated if not entry.obsolete] == [
        '"Open "%s"\n\\',
        '"First line\nsecond line that is wrapped\n\\',
        "Fertig",
        {0: '"One file\\', 1: '"%d files\\'},
    ]
    assert [entry.msgid for entry in translated] == [entry.msgid for entry in polib.pofile(PO)]
    assert translated.metadata == polib.pofile(PO).metadata


def test_a_line_of_no_catalogue_is_refused_with_its_number() -> None:
    with pytest.raises(BadRequest, match="cannot be read as a PO file: line 3"):
        formats.parts("po", 'msgid "a"\nmsgstr ""\nmsgstr no quotes\n')


XLIFF_1 = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
 <file source-language="en" target-language="de" datatype="plaintext" original="x"><body>
  <trans-unit id="1">
    <source>Hello <g id="1">big</g> world<x id="2"/> &amp; all</source>
    <note>Not this</note>
  </trans-unit>
  <trans-unit id="2"><source>Press <ph id="1">&lt;br&gt;</ph> now</source><target/></trans-unit>
  <trans-unit id="3"><source>Done</source><target state="final">Fertig</target></trans-unit>
  <trans-unit id="4" translate="no"><source>Babelbrook</source></trans-unit>
  <trans-unit id="5"><source>Mine <mrk mtype="protected">Brand</mrk></source>
    <target state="new"> </target><alt-trans><target>Meins</target></alt-trans></trans-unit>
  <trans-unit id="6"><source/></trans-unit>
 </body></file>
</xliff>
"""
XLIFF_2 = """<x:xliff version="2.0" xmlns:x="urn:oasis:names:tc:xliff:document:2.0" srcLang="en">
<x:file id="f"><x:unit id="u"><x:segment><x:source>One <x:pc id="1">two</x:pc></x:source>
</x:segment></x:unit><x:unit id="v" translate="no"><x:segment><x:source>No</x:source></x:segment>
</x:unit></x:file></x:xliff>
"""


def test_missing_and_empty_targets_get_their_source() -> None:
    filled = put_together(formats.parts("xliff", XLIFF_1))
    first = '<source>Hello <g id="1">big</g> world<x id="2"/> &amp; all</source>'
    expected = (
        XLIFF_1.replace(first, f"{first}\n    {first.replace('source>', 'target>')}")
        .replace(
            "now</source><target/>",
            'now</source><target>Press <ph id="1">&lt;br&gt;</ph> now</target>',
        )
        .replace("> </target>", '>Mine <mrk mtype="protected">Brand</mrk></target>')
    )
    assert filled == expected
    assert texts("xliff", XLIFF_1) == [
        'Hello <g id="1">big</g> world<x id="2"/> & all',
        'Press <ph id="1">&lt;br&gt;</ph> now',
        'Mine <mrk mtype="protected">Brand</mrk>',
    ]
    assert put_together(formats.parts("xliff", XLIFF_2)) == XLIFF_2.replace(
        "two</x:pc></x:source>\n",
        'two</x:pc></x:source><x:target>One <x:pc id="1">two</x:pc></x:target>\n',
    )


@pytest.mark.parametrize("document", [XLIFF_1, XLIFF_2])
def test_the_tree_is_the_same_whatever_the_translation_says(document: str) -> None:
    trees = [
        [(node.tag, dict(node.attrib)) for node in lxml.etree.fromstring(text.encode()).iter()]
        for text in (
            put_together(formats.parts("xliff", document)),
            put_together(formats.parts("xliff", document), hostile),
        )
    ]
    assert trees[0] == trees[1]


def test_what_is_no_xliff_is_refused() -> None:
    with pytest.raises(BadRequest, match="its first element is not 'xliff'"):
        formats.parts("xliff", "<html><source>x</source></html>")
    with pytest.raises(BadRequest, match="mismatched tag, line 1"):
        formats.parts("xliff", "<xliff><source></xliff>")
