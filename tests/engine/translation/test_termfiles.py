"""Files of terms, read and refused."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest
from engine.translation.termfiles import checked, read_table, read_tbx

BASIC = """<?xml version="1.0"?><!DOCTYPE martif SYSTEM "TBXcoreStructV02.dtd">
<martif type="TBX"><text><body>
<termEntry><langSet xml:lang="en-US"><tig><term>bill</term></tig>
<tig><term>invoice</term></tig></langSet>
<langSet xml:lang="de"><tig><term>Rechnung</term></tig>
<tig><term>Faktura</term></tig></langSet></termEntry>
<termEntry><langSet xml:lang="en"><tig><term>dog</term></tig></langSet>
<langSet xml:lang="fr"><tig><term>chien</term></tig></langSet></termEntry>
</body></text></martif>"""
VERSION_3 = """<tbx xmlns="urn:iso:std:iso:30042:ed-2" type="TBX-Basic"><text><body>
<conceptEntry id="1">
<langSec xml:lang="en"><termSec><term>dog</term></termSec></langSec>
<langSec xml:lang="de"><termSec><term>Hund</term></termSec></langSec>
</conceptEntry></body></text></tbx>"""


def test_tables_are_read_by_their_first_two_columns() -> None:
    assert read_table('bill,Rechnung,x\r\n\r\n"a, b","c ""d"""\n', ",", 9) == [
        ("bill", "Rechnung"),
        ("a, b", 'c "d"'),
    ]
    assert read_table("due date\tFälligkeit\n", "\t", 9) == [("due date", "Fälligkeit")]


def test_a_line_with_one_column_is_refused_by_its_number() -> None:
    with pytest.raises(BadRequest, match="Line 2"):
        read_table("a,b\nc\n", ",", 9)


def test_tbx_of_both_kinds_is_read() -> None:
    assert read_tbx(BASIC, "en", "de-DE", 9) == [("bill", "Rechnung"), ("invoice", "Rechnung")]
    assert read_tbx(VERSION_3, "en-GB", "de", 9) == [("dog", "Hund")]


@pytest.mark.parametrize("text", ["", "<tbx>", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_what_is_no_xml_or_declares_entities_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read_tbx(text, "en", "de", 9)


@pytest.mark.parametrize("terms", ["a", 1, [1], [["a"]], {"a": None}, {"": "b"}, {"a": "b" * 201}])
def test_terms_of_another_form_are_refused(terms: object) -> None:
    with pytest.raises(ValueError, match="terms"):
        checked(terms, 10)


def test_too_many_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="10 terms"):
        checked([["a", "b"]] * 11, 10)
