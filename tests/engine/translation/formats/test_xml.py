"""XML: text of any vocabulary is translated, everything else comes out byte for byte."""

from __future__ import annotations

import lxml.etree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BadRequest
from engine.translation import formats
from tests.engine.translation.formats.documents import CUTS, check, hostile, put_together, texts

NODES = st.recursive(
    st.sampled_from(
        ["word", "Some text. ", " a &amp; b ", "5 > 4", "&#233;t&#xE9; &apos;x&apos;", "<br/>",
         "<code>x = 1</code>", "<!-- no -->", "<![CDATA[a <b>c</b>]]>", "<![CDATA[x  > y]]>",
         "\n  ", "\r\n\t", "<?pi x?>", '<a b="c>d" e=\'"\'/>', "é", "日本語。"]
    ),
    lambda inner: st.builds(
        lambda name, children: f"<{name}>{''.join(children)}</{name.split()[0]}>",
        st.sampled_from(["p", "b", "item", "x:y xmlns:x='u'", 'z translate="no"',
                         'z translate="yes"', "title  a = '1'"]),
        st.lists(inner, max_size=5),
    ),
)  # fmt: skip
FRAGMENTS = st.lists(NODES, max_size=5).map("".join)
HEADS = st.sampled_from(
    [
        "",
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n',
        "\ufeff<?xml version='1.0'?><!DOCTYPE r SYSTEM 'r.dtd' [<!ELEMENT r ANY>]>\n<!-- x -->",
    ]
)


@given(HEADS, FRAGMENTS, CUTS)
def test_every_document_comes_back_byte_for_byte(head: str, body: str, cuts: list[int]) -> None:
    check("xml", f"{head}<r>{body}</r>\n", cuts)


@given(FRAGMENTS)
def test_a_fragment_is_a_document_too(fragment: str) -> None:
    check("xml", fragment)


@given(FRAGMENTS)
def test_the_tree_is_the_same_whatever_the_translation_says(fragment: str) -> None:
    document = f"<r>{fragment}</r>"
    for change in (str.upper, hostile):
        translated = put_together(formats.parts("xml", document), change)
        assert skeleton(translated) == skeleton(document)


def skeleton(document: str) -> list[tuple[str, dict[str, str]]]:
    """The elements with their attributes as lxml reads them, comments among them."""
    tree = lxml.etree.fromstring(document, lxml.etree.XMLParser(resolve_entities=False))
    return [(str(node.tag), dict(node.attrib)) for node in tree.iter()]


def test_an_element_beside_text_is_part_of_its_sentence() -> None:
    document = "<book><title>One</title><para>Press <key>Go</key> now.</para></book>"
    assert texts("xml", document) == ["One", "Press <key>Go</key> now."]
    assert texts("xml", "Press <i>Go</i> now.") == ["Press <i>Go</i> now."]


def test_what_is_to_be_left_alone_is() -> None:
    document = '<r><a translate="no">x <b>y</b></a><code>z</code><w>Word</w>\n<v>Text</v></r>'
    assert [
        part.text for part in formats.parts("xml", document, frozenset({"w"})) if part.text
    ] == ["Text"]


def test_cdata_is_text_or_html() -> None:
    document = "<r><d><![CDATA[<p>A <b>page</b></p>]]></d><d><![CDATA[1 < 2, he said]]></d></r>"
    assert texts("xml", document) == ["A <b>page</b>", "1 < 2, he said"]
    changed = put_together(formats.parts("xml", document), lambda text: text + "]]>")
    assert [d.text for d in lxml.etree.fromstring(changed)] == [
        "<p>A ]]&gt;<b>page]]&gt;</b></p>",
        "1 < 2, he said]]>",
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("<r>\n <a></b>\n</r>", "mismatched tag, line 2, column 7"),
        ("<r>&nbsp;</r>", "undefined entity, line 1, column 4"),
        ("a <b>c", "an element is not closed"),
        ("a & b", "line 1, column 4"),
        ("<?xml version='1.0'?>", "no element found"),
        ("<a b=c/>", "line 1, column 6"),
        ("\x00", "line 1, column 1"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_place(document: str, said: str) -> None:
    with pytest.raises(BadRequest, match="The text cannot be read as XML: ") as refusal:
        formats.parts("xml", document)
    assert said in refusal.value.sentence


def test_no_entity_is_declared_expanded_or_fetched() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    document = f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]><r>&l9;</r>'
    with pytest.raises(BadRequest, match="entity declarations are not accepted, line 1"):
        formats.parts("xml", document)
    with pytest.raises(BadRequest, match="entity declarations are not accepted, line 1"):
        formats.parts("xml", '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>')
    with pytest.raises(BadRequest, match="entity declarations are not accepted, line 1"):
        formats.parts("xml", '<!DOCTYPE r [<!ENTITY % x SYSTEM "http://localhost/">%x;]><r/>')


def test_depth_is_no_matter() -> None:
    document = "<a>" * 50_000 + "deep" + "</a>" * 50_000
    assert texts("xml", document) == ["deep"]
