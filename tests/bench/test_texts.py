"""What the clients send."""

from __future__ import annotations

from itertools import islice

from bench.texts import long_texts, sentences, short_texts, token_counts
from engine.translation.segments import segments


def test_texts_are_all_different() -> None:
    texts = list(islice(short_texts(), 5000))
    assert len(set(texts)) == len(texts)


def test_texts_that_begin_alike_are_far_apart() -> None:
    apart = len(sentences())
    beginnings = [text[:20] for text in islice(short_texts(), apart)]
    assert len(set(beginnings)) > 0.95 * apart


def test_a_text_is_one_segment() -> None:
    for text in (*islice(short_texts(), 300), *islice(long_texts(), 20)):
        cut = segments(text, None, "paragraph", lambda _: True)
        assert [segment.text for segment in cut] == [text]


def test_a_run_goes_on_with_other_texts() -> None:
    assert list(islice(short_texts(7), 3)) == list(islice(short_texts(), 10))[7:]


def test_staggered_counts_keep_their_mean_and_repeat() -> None:
    counts = token_counts(48, 0.5, 4000)
    assert abs(sum(counts) / len(counts) - 48) < 1
    assert min(counts) >= 24
    assert max(counts) <= 72
    assert counts == token_counts(48, 0.5, 4000)
