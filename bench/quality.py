"""How well a running server translates: chrF2 and BLEU over a file of sentence pairs.

    python -m bench.quality FILE.tsv --url http://127.0.0.1:8080 --pair en-ja --model NAME

A row of FILE holds language, English sentence and its translation into that language, and is asked
in both directions; or source language, target language, source and translation. What the server
refuses to finish counts as an empty translation and is told. Memory and shared decodes are off.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.error import HTTPError

from tqdm import tqdm

from training.evaluate import Score, score, table, translate
from training.example import Example
from training.server import TEXTS_PER_REQUEST, ServerTranslator

_SEED = 7
_NOT_FINISHED = 422


def read(lines: Iterable[str]) -> Iterator[Example]:
    """The examples of all rows. Raises ValueError that names the first bad one."""
    for number, line in enumerate(lines, 1):
        match line.rstrip("\n").split("\t"):
            case [lang, english, other]:
                yield Example("en", lang, english, other)
                yield Example(lang, "en", other, english)
            case [source_lang, target_lang, source, target]:
                yield Example(source_lang, target_lang, source, target)
            case fields:
                raise ValueError(f"line {number} has {len(fields)} fields instead of 3 or 4")


def by_pair(examples: Iterable[Example], wanted: Sequence[str], rows: int) -> list[list[Example]]:
    """The examples of each wanted pair (all where none is named), `rows` of them at most."""
    found: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        found[f"{example.source_lang}-{example.target_lang}"].append(example)
    if missing := [pair for pair in wanted if pair not in found]:
        raise ValueError(f"no rows for {', '.join(missing)}; there are {', '.join(found)}")
    chosen = (found[pair] for pair in wanted or found)
    return [random.Random(_SEED).sample(own, min(rows, len(own))) for own in chosen]


class Asking:
    """A translator that goes on where the server gives a text up, and tells how far it is."""

    def __init__(self, server: ServerTranslator, on_progress: Callable[[int], object]) -> None:
        self._server = server
        self._on_progress = on_progress
        self.given_up = 0

    def __call__(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        """Translate texts; those that are given up become empty."""
        answers: list[str] = []
        for start in range(0, len(texts), TEXTS_PER_REQUEST):
            some = texts[start : start + TEXTS_PER_REQUEST]
            answers += self._some(some, source_lang, target_lang)
            self._on_progress(len(some))
        return answers

    def _some(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        try:
            return self._server(texts, source_lang, target_lang)
        except HTTPError as refusal:
            if refusal.code != _NOT_FINISHED:
                raise
            refusal.close()
        if len(texts) == 1:
            self.given_up += 1
            return [""]
        return [self._some([text], source_lang, target_lang)[0] for text in texts]


def measure(pairs: list[list[Example]], server: ServerTranslator) -> tuple[list[Score], int]:
    """The scores of all pairs, and how many texts were given up."""
    scores: list[Score] = []
    total = sum(len({example.source for example in examples}) for examples in pairs)
    with tqdm(total=total, unit=" texts", file=sys.stderr) as bar:
        asking = Asking(server, bar.update)
        for examples in pairs:
            bar.set_description(f"{examples[0].source_lang}-{examples[0].target_lang}")
            scores.append(score(examples, translate(examples, asking)))
    return scores, asking.given_up


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("file", type=Path, help="TSV, as the module says")
    options.add_argument("--url", default="http://127.0.0.1:8080", help="the server")
    options.add_argument("--model", help="one of its models; the selected one where none is named")
    options.add_argument("--pair", action="append", default=[], help="such as en-ja; all if none")
    options.add_argument("--rows", type=int, default=1_000_000, help="most rows for each pair")
    args = options.parse_args()
    try:
        with args.file.open(encoding="utf-8") as lines:
            pairs = by_pair(read(lines), args.pair, args.rows)
    except ValueError as wrong:
        options.error(f"{args.file}: {wrong}")
    try:
        scores, given_up = measure(pairs, ServerTranslator(args.url, args.model))
    except HTTPError as refusal:
        with refusal:
            sys.exit(f"The server refuses: {refusal.read().decode()}")
    print(table(scores))
    if given_up:
        print(f"\n{given_up} texts were not finished and count as empty.")


if __name__ == "__main__":
    main()
