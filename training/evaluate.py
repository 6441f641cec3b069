"""Scores of a translator on the dev pairs: sacreBLEU's chrF2 and BLEU for every direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from training.corpus import Pair
from training.example import Example, directed
from training.languages import ENGLISH, OTHERS

_TOKENIZE = {"ja": "char", "zh": "zh"}


class Translator(Protocol):
    """Anything that translates texts, in order, from one language to another."""

    def __call__(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        """Translate `texts`."""


@dataclass(frozen=True)
class Score:
    """Scores of one direction on `rows` rows, from 0 to 100, with sacreBLEU's signatures."""

    direction: str
    rows: int
    chrf: float
    bleu: float
    chrf_signature: str
    bleu_signature: str


def directions(pairs: Iterable[Pair]) -> dict[tuple[str, str], list[Example]]:
    """Read the pairs in both directions, by (source, target) language."""
    rows = list(pairs)
    result = {}
    for into_english in (False, True):
        for lang in OTHERS:
            examples = [directed(pair, into_english) for pair in rows if pair.lang == lang]
            key = (lang, ENGLISH) if into_english else (ENGLISH, lang)
            result[key] = examples
    return {key: examples for key, examples in result.items() if examples}


def unseen(examples: Sequence[Example], corpus: Iterable[Pair]) -> list[Example]:
    """Leave out examples whose source sentence, in its language, stands in the training corpus."""
    sources = {(e.source_lang, e.source) for e in examples}
    for pair in corpus:
        sources.discard((ENGLISH, pair.english))
        sources.discard((pair.lang, pair.other))
    return [e for e in examples if (e.source_lang, e.source) in sources]


def translate(examples: Sequence[Example], translator: Translator) -> list[str]:
    """Translate every source once, however many rows it has; answers are in the rows' order."""
    texts = list(dict.fromkeys(example.source for example in examples))
    first = examples[0]
    answers = translator(texts, first.source_lang, first.target_lang)
    known = dict(zip(texts, answers, strict=True))
    return [known[example.source] for example in examples]


def score(examples: Sequence[Example], answers: Sequence[str]) -> Score:
    """Score the answers of one direction, each row against its own reference."""
    first = examples[0]
    references = [[example.target for example in examples]]
    chrf, bleu = CHRF(), BLEU(tokenize=_TOKENIZE.get(first.target_lang, "13a"))
    found_chrf, found_bleu = (
        metric.corpus_score(list(answers), references) for metric in (chrf, bleu)
    )
    return Score(
        f"{first.source_lang}-{first.target_lang}",
        len(examples),
        found_chrf.score,
        found_bleu.score,
        str(chrf.get_signature()),
        str(bleu.get_signature()),
    )


def table(scores: Sequence[Score]) -> str:
    """Lay scores out as a Markdown table, with the signatures below."""
    lines = ["| direction | rows | chrF2 | BLEU |", "|---|---|---|---|"]
    lines += [f"| {s.direction} | {s.rows} | {s.chrf:.1f} | {s.bleu:.1f} |" for s in scores]
    signatures = dict.fromkeys(
        s for one in scores for s in (one.chrf_signature, one.bleu_signature)
    )
    return "\n".join([*lines, "", *(f"`{signature}`  " for signature in signatures)])
