"""HTML: what a browser shows is translated, everything else comes out byte for byte."""

from __future__ import annotations

import re

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.translation import formats
from engine.translation.formats.tags import scan
from tests.conftest import ROOT
from tests.engine.translation.formats.documents import CUTS, check, hostile, put_together, texts

WORDS = """
    <p> </p> <div> </div> <b> </b> <i> </i> <ul> <li> </li> </ul> <br> <br/> <hr> <td> <table>
    </table> <tr> <script> </script> <style> </style> <pre> </pre> <code> </code> <title> </title>
    <textarea> </textarea> <svg> </svg> <p/> <!--x--> <!-- <!doctype> <![CDATA[ ]]> <?x?> </x> </
    <x-y> </x-y> <> </> < << > & &amp; &lt; &eacute; &eacute &#39; &#x27; &#0; &#10; &nbsp; &foo;
    &notit; &NotEqualTilde; &zwj; <3 a word. Two words?"""
PIECES = st.sampled_from(
    [
        *WORDS.split(),
        " ", "  ", "\n", "\r\n", "\t", "\n    ", "é", "日本語。", "\x00", "\u2028",
        '<a href="x>y" title=\'say "hi"\'>', "</a>", '<img alt="a  cat &amp; co" src=x>',
        "<img src=x>", '<input placeholder="Type <b>">', "<b translate=no>", "<p translate='no'>",
        '<i class="x notranslate">', '<b translate="yes">', "<a b='c", '<meta name=description '
        'content="About us">', '<p a="1" a="2" / b= c =d>', "<P>", "</P>", "<SCRIPT>",
    ]
)  # fmt: skip
DOCUMENTS = st.lists(PIECES, max_size=30).map("".join)

BALANCED = st.recursive(
    st.sampled_from(["word", "Some text. ", " a &amp; b ", "5 > 4", "&eacute;t&eacute;", "<br>",
                     "<code>x = 1</code>", "<!-- no -->", '<img src="a.png">', "\n  ", "<hr>"]),
    lambda inner: st.builds(
        lambda name, children: f"<{name} class='a>b'>{''.join(children)}</{name.split()[0]}>",
        st.sampled_from(["div", "b", "i", "span", "ul", "a href='u'", "em", "blockquote", "h1"]),
        st.lists(inner, max_size=4),
    ),
)  # fmt: skip


@given(DOCUMENTS, CUTS)
def test_every_document_comes_back_byte_for_byte(document: str, cuts: list[int]) -> None:
    check("html", document, cuts)


@given(st.text(alphabet=st.sampled_from("<>/!-?&;#='\" \nax"), max_size=60))
def test_everything_is_scanned_without_gaps(document: str) -> None:
    items = list(scan(document))
    ends = [0, *(item.end for item in items)]
    assert [item.start for item in items] == ends[:-1]
    assert ends[-1] == len(document)
    check("html", document)


@given(BALANCED)
def test_the_tree_is_the_same_whatever_the_translation_says(document: str) -> None:
    for change in (str.upper, hostile):
        translated = put_together(formats.parts("html", document), change)
        assert skeleton(translated) == skeleton(document)


def test_nasty_markup_comes_out_as_it_was() -> None:
    """Without text both are the same: no tag, comment or reference is lost, added or moved."""
    document = (ROOT / "tests" / "data" / "nasty.html").read_bytes().decode()
    check("html", document, [1, 7])
    translated = put_together(formats.parts("html", document), lambda text: " ")
    markup = re.findall(r"<[a-zA-Z/!?][^<>]*>|&NotEqualTilde;|<pre>.*?</pre>", document)
    read = re.compile("content=|placeholder=|label=|title=Go")  # attributes that are translated
    for kept in (tag for tag in markup if not read.search(tag)):
        assert translated.count(kept) == document.count(kept), kept


def skeleton(document: str) -> list[tuple[str, dict[str, str]]]:
    """The elements with their attributes as lxml reads them, comments among them."""
    tree = lxml.html.fragment_fromstring(document, create_parent="main")
    return [(str(node.tag), dict(node.attrib)) for node in tree.iter()]


def test_sentences_keep_their_markup_and_blocks_end_them() -> None:
    page = "<h1>Title</h1><p>One <b>bold</b>\n  word.<br>Next.</p><ul><li><i>All</i></ul>"
    assert texts("html", page) == ["Title", "One <b>bold</b> word.", "Next.", "All"]


def test_entities_are_read_and_written_as_they_were_or_as_they_must_be() -> None:
    page = "<p>It&#39;s &quot;caf&eacute;&quot; &amp; AT&T</p>"
    assert texts("html", page) == ['It\'s "café" & AT&T']
    assert put_together(formats.parts("html", page), lambda text: '1 < 2 & "é" \'') == (
        "<p>1 &lt; 2 &amp; &quot;&eacute;&quot; &#39;</p>"
    )


@pytest.mark.parametrize(
    "page",
    [
        "<script>if (a<b) 'Hello'</script>",
        "<style>p > a {color: red}</style>",
        "<pre>two  lines\nof text</pre>",
        "<!-- a comment --><!doctype html>",
        "<p translate=no>not <b>this</b></p>",
        "<p class='big notranslate'>nor this</p>",
        "<code>print</code>",
        "<svg><text>mark</text></svg>",
        "<textarea>mine</textarea>",
        "<p translate='NO'>an unclosed <b>one",
        "<a href='never closed>text",
    ],
)
def test_what_is_no_text_stays(page: str) -> None:
    assert texts("html", page) == []


def test_what_stays_ends_where_browsers_end_it() -> None:
    page = "<ul><li translate=no>no <b>x<li>one</ul><p class=notranslate>no<p>two<div>three</div>"
    assert texts("html", page) == ["one", "two", "three"]
    page = "<div translate=no>no <b translate=yes>yes</b> no</div>after"
    assert texts("html", page) == ["<b translate=yes>yes</b> no", "after"]


def test_what_stays_inside_a_sentence_is_one_keep_of_it() -> None:
    [part] = formats.parts("html", "Type <code>a <b>c</b></code> in <x>Word</x>!", frozenset({"x"}))
    assert part.text is not None
    assert [part.text[slice(*keep)] for keep in part.keeps] == [
        "<code>a <b>c</b></code>",
        "<x>Word</x>",
    ]


def test_attributes_that_people_read_are_translated_between_sentences() -> None:
    page = (
        '<meta name="description" content="About"><meta name="viewport" content="width=1">'
        '<img src="a.png" alt="A cat"><p title=\'Say "hi"\'>Text <a title="stays">link</a> end</p>'
        '<input type="submit" value="Send"><input value="mine" placeholder="Name">'
        '<p title="no" translate="no">no</p>'
    )
    sentence = 'Text <a title="stays">link</a> end'
    assert texts("html", page) == ["About", "A cat", 'Say "hi"', sentence, "Send", "Name"]
    changed = put_together(formats.parts("html", page), lambda _: "'\"<")
    assert "<p title='&#39;\"&lt;'>" in changed
    assert 'alt="\'&quot;&lt;"' in changed


@pytest.mark.parametrize(
    "piece",
    ["<!--", "<a ", "<a x='", "<", "&", "<![CDATA[", "</", "<?", "<p>x", "</b>", "<b></i>", "&#99;",
     "<a b=c d='", "<title>", "<p translate=no>", "<ul><li>", "<b>x ", "a "],
)  # fmt: skip
def test_long_nonsense_takes_no_longer_than_it_is_long(piece: str) -> None:
    """With anything quadratic in it this test would go on for many minutes."""
    page = piece * (200_000 // len(piece))
    assert put_together(formats.parts("html", page)) == page
