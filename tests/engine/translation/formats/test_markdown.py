"""Markdown: prose is translated, everything else comes out byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engine.translation import formats
from tests.conftest import ROOT
from tests.engine.translation.formats.documents import CUTS, check, hostile, put_together, texts
from tests.engine.translation.test_retries import ScriptedEngine, translate

PIECES = st.sampled_from(
    [
        "# ", "## ", "> ", "- ", "1. ", "* ", "    ", "\t", "```\n", "~~~\n", "`", "``", "*",
        "**", "_", "~~", "[", "](u)", "][r]", "![", '(t "x")', "\n[r]: http://r\n", "<b>",
        "</b>", "<br>", "<div>", "\n</div>\n", "<!-- x -->", "<http://a.b>", "http://a.b/c_d",
        "&amp;", "&", "&eacute;", "&#0;", "\\", "\\*", "\\\n", "  \n", "\n", "\n\n", "\r\n",
        "| a | b |\n|---|---|\n| c | d |\n", "|", "---\n", "===\n", "+++\n", "- [ ] ", "[^1]",
        "[^1]: ", "$x$", "$$", " ", "  ", "a", "word. ", "Two words ", "é", "日本語。", "1.", "<",
        "< b", "<code>", "</code>", "<span translate=no>", "</span>", "# T {#i}\n", "\xa0",
        "\u2028", "\x00", "[r]", "[x][]", ":::", "> [!NOTE]\n> ",
    ]
)  # fmt: skip
DOCUMENTS = st.lists(PIECES, max_size=25).map("".join)

INLINE = st.recursive(
    st.sampled_from(["word", "Some text.", "5 \\* 4", "caf&eacute; & co", "`x = 1`", "<b>bold</b>",
                     "two\nlines", "![pic](a.png)", "<http://a.b>", "R&D", "1986. A year",
                     "a_b_c"]),
    lambda inner: st.builds(
        lambda form, children: form % " ".join(children),
        st.sampled_from(["*%s*", "**%s**", "[%s](http://x.y \"t\")", "(%s)"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip
BLOCKS = st.builds(
    lambda form, inner: form % inner,
    st.sampled_from(
        ["%s", "# %s #", "> %s", "- %s", "1. %s\n2. next", "- [ ] %s", "%s\n===", "~~gone~~ %s",
         "| %s | b |\n|--|--|\n"]
    ),
    INLINE.map(lambda text: text.replace("\n", " ")),
) | st.sampled_from(
    ["```py\nprint('*')\n```", "    indented code", "<div>\nHTML <i>text</i>\n</div>", "---",
     "[ref]: http://foo.bar", "> quoted\n> lines *with\n> emphasis*", "- a\n  b\n\n  c"]
)  # fmt: skip
STRUCTURED = st.lists(BLOCKS, max_size=5).map("\n\n".join)


@given(DOCUMENTS, CUTS)
def test_every_document_comes_back_byte_for_byte(document: str, cuts: list[int]) -> None:
    check("markdown", document, cuts)


@given(st.text(max_size=80), CUTS)
def test_so_does_any_text(document: str, cuts: list[int]) -> None:
    check("markdown", document, cuts)


@given(STRUCTURED)
def test_the_structure_is_the_same_whatever_the_translation_says(document: str) -> None:
    for change in (str.upper, hostile_between):
        translated = put_together(formats.parts("markdown", document), change)
        assert skeleton(translated) == skeleton(document), translated


def hostile_between(text: str) -> str:
    """Whether `*` is markup depends on its neighbours, so the first and last character stay."""
    return f"{text[0]}{hostile(text)}{text[-1]}"


def skeleton(document: str) -> list[Any]:
    """Blocks, inline markup, targets and code, as markdown-it reads them; no text."""
    found: list[Any] = []
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in parser.parse(document):
        code = token.content if token.type in ("fence", "code_block") else ""
        found.append((token.type, token.tag, token.info, code))
        for inline in token.children or ():
            if inline.type in ("text", "softbreak", "text_special"):
                continue
            kept = inline.content if inline.type in ("code_inline", "html_inline") else ""
            found.append((inline.type, {k: v for k, v in inline.attrs.items() if k != "alt"}, kept))
    return found


@example("- [ ] ```\n  \n- [ ] ")
@given(DOCUMENTS)
def test_nothing_is_told_twice(document: str) -> None:
    assert "".join(part.raw for part in formats.parts("markdown", document)) == document


def test_a_wrapped_paragraph_is_one_text() -> None:
    document = "> One *long*\n> paragraph.  \n> And `code`\n> here.\n\n- item\n  goes on\n"
    assert texts("markdown", document) == [
        "One *long* paragraph.",
        "And `code` here.",
        "item goes on",
    ]


@pytest.mark.parametrize(
    "document",
    [
        "---\ntitle: x\n---\n",
        "```py\nprint('Hello')\n```\n",
        "    indented\n",
        "[ref]: http://x.y 'title'\n",
        "`code`",
        "<!-- no -->",
        "[ref]\n\n[ref]: http://x.y\n",
        "<http://x.y> https://example.com/a_b",
        "<div translate=no>\nno\n</div>\n",
        "<kbd>Ctrl *C*</kbd>",
        "$x = y$",
    ],
)
def test_what_is_no_text_stays(document: str) -> None:
    assert texts("markdown", document) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1. x", "1\\. x"),
        ("- x", "\\- x"),
        ("# x", "\\# x"),
        ("a # b", "a \\# b"),
        ("a *b* _c_ [d](e) `f`", "a \\*b\\* \\_c\\_ \\[d\\](e) \\`f\\`"),
        ("<b> & c", "\\<b> &amp; c"),
        ("C# 1.5 - x + y = z", "C# 1.5 - x + y = z"),
        ("a\n\nb", "a  b"),
    ],
)
def test_new_text_is_no_markup(text: str, written: str) -> None:
    assert put_together(formats.parts("markdown", "Hello"), lambda _: text) == written


def test_new_text_breaks_where_the_source_did_and_begins_no_block_there() -> None:
    document = "> one\n> two\n> three\n"
    assert put_together(formats.parts("markdown", document), lambda _: "a 1. -") == (
        "> a\n> 1\\.\n> \\-\n"
    )


def test_html_between_is_read_as_html() -> None:
    document = (
        '<p align="center">\n  <img src="a" alt="A cat">\n</p>\n\nA <br> *b* <img alt="Dog">\n'
    )
    assert texts("markdown", document) == ["A cat", "A", "b", "Dog"]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/api.md", "models/README.md"]
)
def test_a_page_of_our_own_keeps_its_structure(page: str) -> None:
    document = (ROOT / page).read_bytes().decode()
    assert put_together(formats.parts("markdown", document)) == document
    for change in (str.upper, hostile_between):
        translated = put_together(formats.parts("markdown", document), change)
        assert skeleton(translated) == skeleton(document)


@pytest.mark.parametrize(
    "piece", ["> ", "*a ", "[", "`", "<", "a\n", "- ", "![", "&amp;", "**a _b "]
)
def test_long_nonsense_takes_no_longer_than_it_is_long(piece: str) -> None:
    """With anything quadratic in it this test would go on for many minutes."""
    document = piece * (100_000 // len(piece))
    assert put_together(formats.parts("markdown", document)) == document


def scripted(document: str, answers: dict[str, str], **entry: Any) -> str:
    """What comes of a document where the model has these answers; what has none is copied."""
    engine = ScriptedEngine(lambda job: [*answers.get(job.text, job.text)], **entry)
    seen, failure = translate(engine, list(formats.parts("markdown", document)))
    assert failure is None
    return "".join(seen)


PIECES_IN_JAPANESE = {
    "bold": "太字。", "text": "テキスト", "over": "「上", "link": "リンク。", "then": "そして、"
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "answer", "written"),
    [
        ("**bold** text", "**太字。**テキスト", "**太字。** テキスト"),
        ("text **over** text", "テキスト**「上**テキスト", "テキスト **「上** テキスト"),
        ("*bold* text *text*", "*太字。*テキスト*「上*", "*太字。* テキスト *テキスト*"),
        ("_bold_ text", "_太字_テキスト", "_太字。_ テキスト"),
        (
            "text **[link](u)** text",
            "テキスト**[リンク](u)**。",
            "テキスト **[リンク。](u)** テキスト",
        ),
        ("- ~~bold~~ text\n", "~~太字。~~テキスト", "- ~~太字。~~ テキスト\n"),
    ],
)
def test_markers_that_a_model_copies_to_where_they_are_none_are_kept_by_the_server(
    document: str, answer: str, written: str
) -> None:
    whole = document.removeprefix("- ").strip()
    translated = scripted(document, {whole: answer, **PIECES_IN_JAPANESE})
    assert translated == written
    assert skeleton(translated) == skeleton(document) != skeleton(document.replace(whole, answer))


def test_markers_that_a_model_copies_well_stay_where_it_puts_them() -> None:
    answer = "テキスト**太字**です。"
    assert scripted("**bold** text", {"**bold** text": answer}) == answer


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ("text**bold**text", "テキスト**太字。** テキスト"),
        ("text**over**text", "テキスト **「上**テキスト"),
        ("then**text**then", "そして、**テキスト**そして、"),
        ("text**bold**5", "テキスト**太字。** 5"),
        ("text**bold** text", "テキスト**太字。** テキスト"),
        ("**bold**, text", "**太字。**, テキスト"),
        ("text**bold *text*text**text", "テキスト**太字。 *テキスト*テキスト**テキスト"),
        ("**a*b*** **bold**text", "**a*b*** **太字。** テキスト"),
        ("text*bold*\ntext", "テキスト*太字。*\nテキスト"),
        ("text**bold**" * 60 + "text", "テキスト**太字。** " * 60 + "テキスト"),
    ],
)
def test_between_a_marker_and_new_text_is_a_blank_where_it_would_be_none_without(
    document: str, written: str
) -> None:
    translated = scripted(document, PIECES_IN_JAPANESE, copies_keeps=False)
    assert translated == written
    assert skeleton(translated) == skeleton(document)
