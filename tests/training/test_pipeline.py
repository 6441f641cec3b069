"""The whole way on a made-up corpus: prepare, fit, interrupt, go on, export, check, score."""

from __future__ import annotations

import signal
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

for needed in ("torch", "sentencepiece", "sacrebleu", "matplotlib", "opencc", "llama_cpp"):
    pytest.importorskip(needed, reason="needs pip install -r training/requirements.txt")

import torch  # noqa: E402

from training import progress  # noqa: E402
from training.batches import Batch  # noqa: E402
from training.corpus import Pair, read_pairs, write_pairs  # noqa: E402
from training.decode import TorchTranslator  # noqa: E402
from training.devset import dev_batches  # noqa: E402
from training.evaluate import directions, score, translate, unseen  # noqa: E402
from training.export import export_gguf  # noqa: E402
from training.files import Files  # noqa: E402
from training.mixture import Mixture  # noqa: E402
from training.model import Decoder, Shape  # noqa: E402
from training.parity import check_parity  # noqa: E402
from training.prepare import prepare  # noqa: E402
from training.stream import Stream  # noqa: E402
from training.tokenizer import Tokenizer, train_tokenizer  # noqa: E402
from training.trainer import Settings, Trainer  # noqa: E402
from training.weights import WeightsError, blend, check_pieces, load_decoder, read_weights  # noqa: E402

WORDS = {
    "en": (("The dog", "The cat", "My friend", "Tom"), ("sees", "likes"), ("a house", "a tree")),
    "de": (
        ("Der Hund", "Die Katze", "Mein Freund", "Tom"),
        ("sieht", "mag"),
        ("ein Haus", "einen Baum"),
    ),
    "ja": (("犬は", "猫は", "友達は", "トムは"), ("見ます", "好みます"), ("家を", "木を")),
}
ADVERBS = {"en": ("", " today", " now"), "de": ("", " heute", " jetzt"), "ja": ("", "今日", "今")}
TINY = {"width": 64, "layers": 2, "heads": 2, "hidden": 96}


def sentences(lang: str) -> list[str]:
    """Every combination of the words, in an order that is the same in all languages."""
    subjects, verbs, things = WORDS[lang]
    found = []
    for subject, verb, thing, adverb in product(subjects, verbs, things, ADVERBS[lang]):
        japanese = f"{adverb}{subject}{thing}{verb}。"
        found.append(japanese if lang == "ja" else f"{subject} {verb} {thing}{adverb}.")
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A prepared run on a corpus of a hundred pairs."""
    folder = tmp_path_factory.mktemp("run")
    pairs = [
        Pair(lang, english, other)
        for lang in ("de", "ja")
        for english, other in zip(sentences("en"), sentences(lang), strict=True)
    ]
    write_pairs(folder / "corpus.tsv", pairs)
    files = Files(folder)
    prepare(files, folder / "corpus.tsv", None, None, 420)
    return files


def trainer(files: Files, seconds: float, warm_start: Path | None = None) -> Trainer:
    """A trainer of a tiny model with a budget of seconds."""
    tokenizer = Tokenizer(files.tokenizer)
    settings = Settings(
        minutes=seconds / 60,
        peak=5e-3,
        warmup_steps=20,
        log_seconds=0.5,
        save_seconds=1.0,
        dev_seconds=2.0,
        mixture=Mixture(chunk=2048, batch_tokens=1024, templates=0.1),
    )
    shape = Shape(vocab=len(tokenizer), **TINY)
    return Trainer(files, settings, shape, warm_start, dev_batches(files.dev, tokenizer, 20))


@pytest.fixture(scope="module")
def trained(files: Files) -> Trainer:
    """A run that was interrupted once and went on."""
    # Threads that wait for one another make a tiny model slow wherever something else runs.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    first = trainer(files, 12)
    first.budget = 6.0
    first.fit()
    second = trainer(files, 12)
    assert second.position.step == first.position.step > 0
    assert 5 < second.seconds < 12
    second.fit()
    torch.set_num_threads(threads)
    assert second.position.step > first.position.step
    return second


@pytest.fixture(scope="module")
def gguf(files: Files, trained: Trainer) -> Path:
    """The trained model as an f16 GGUF."""
    path = files.gguf("tiny", "f16")
    tokenizer = Tokenizer(files.tokenizer)
    export_gguf(path, trained.shape, trained.model.state_dict(), tokenizer, "f16", "tiny")
    return path


def test_nothing_of_dev_is_trained_on(files: Files) -> None:
    apart = {pair.english for pair in read_pairs(files.dev)}
    assert apart
    assert not apart & {pair.english for pair in read_pairs(files.corpus)}


def test_a_chunk_depends_on_seed_and_number_alone(files: Files) -> None:
    mixture = Mixture(chunk=256, batch_tokens=512)
    first, second = (Stream(files.corpus, files.tokenizer, mixture, 1) for _ in range(2))
    other = Stream(files.corpus, files.tokenizer, mixture, 2)

    def tokens(batches: list[Batch]) -> list[list[list[int]]]:
        return [batch.inputs.tolist() for batch in batches]

    assert tokens(first.chunk(3)) == tokens(second.chunk(3))
    assert tokens(first.chunk(3)) != tokens(first.chunk(4))
    assert tokens(first.chunk(3)) != tokens(other.chunk(3))


def test_both_directions_of_every_language_are_drawn(files: Files) -> None:
    stream = Stream(files.corpus, files.tokenizer, Mixture(chunk=1024), 1)
    targets = Counter(int(row[1]) for batch in stream.chunk(0) for row in batch.inputs)
    controls = stream.tokenizer.controls
    assert set(targets) == {controls["en"], controls["de"], controls["ja"]}
    assert 0.4 < targets[controls["en"]] / targets.total() < 0.6


def test_the_tokenizer_gives_every_text_back(files: Files) -> None:
    tokenizer = Tokenizer(files.tokenizer)
    assert [*tokenizer.controls.values(), tokenizer.separator] == list(range(3, 10))
    for text in ("The dog sees a tree.", "犬は家を見ます。", "Zürich 2024 €5 🙂"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert not set(tokenizer.encode("<2de> <sep> </s>")) & set(range(10))


def test_the_loss_falls_and_is_logged_and_drawn(files: Files, trained: Trainer) -> None:
    last = progress.read(files.log)[-1]
    losses = {key: float(value) for key, value in last.items() if key.startswith("dev ")}
    assert set(losses) == {"dev en-de", "dev de-en", "dev en-ja", "dev ja-en"}
    # Guessing among 420 pieces costs 6 nats.
    assert max(losses.values()) < 3.0
    assert any("tokens_per_second" in record for record in progress.read(files.log))
    assert files.curve.read_bytes().startswith(b"\x89PNG")


def test_a_signal_saves_and_ends_the_run_early(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Files(tmp_path)
    for path in (files.corpus, files.dev, files.tokenizer):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    # The first line of progress is the sign that the run has begun.
    monkeypatch.setattr(progress, "show", lambda text: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert trainer(stopped, 300).fit() is False
    assert stopped.checkpoint.exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_parity_holds_where_every_weight_and_position_matters(files: Files, tmp_path: Path) -> None:
    torch.manual_seed(1)
    tokenizer = Tokenizer(files.tokenizer)
    model = Decoder(Shape(vocab=len(tokenizer), **TINY))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    path = tmp_path / "random-f16.gguf"
    export_gguf(path, model.shape, model.state_dict(), tokenizer, "f16", "random")
    result = check_parity(path, tokenizer, list(read_pairs(files.dev)))
    assert result.holds, result


def test_llama_cpp_and_pytorch_give_the_same_tokens(files: Files, gguf: Path) -> None:
    pairs = list(read_pairs(files.dev)) + list(read_pairs(files.corpus))[:20]
    result = check_parity(gguf, Tokenizer(files.tokenizer), pairs)
    assert result.holds, result
    assert result.equal >= 0.9 * result.sentences


def test_the_gguf_starts_another_run_where_this_one_is(
    files: Files, trained: Trainer, gguf: Path, tmp_path: Path
) -> None:
    shape, weights = read_weights(gguf)
    assert shape == trained.shape
    for name, weight in trained.model.state_dict().items():
        assert abs(weights[name] - weight.cpu()).max() < 2e-3 * (1 + abs(weight).max())
    warm = Files(tmp_path)
    for path in (files.corpus, files.dev, files.tokenizer):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    measured, before = trainer(warm, 5, gguf).measure(), trained.measure()
    assert measured == pytest.approx(before, abs=0.02)


def test_blended_weights_lie_between(trained: Trainer) -> None:
    weights = trained.model.state_dict()
    nothing = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    mixed = blend(weights, nothing, 0.75)
    torch.testing.assert_close(mixed["norm.weight"], 0.75 * weights["norm.weight"])
    assert mixed.keys() == weights.keys()


def test_q8_0_is_smaller_and_translates_alike(files: Files, trained: Trainer, gguf: Path) -> None:
    small = files.gguf("tiny", "q8_0")
    tokenizer = Tokenizer(files.tokenizer)
    export_gguf(small, trained.shape, trained.model.state_dict(), tokenizer, "q8_0", "tiny")
    assert small.stat().st_size < gguf.stat().st_size
    scores = []
    for path in (gguf, small):
        translator = TorchTranslator(load_decoder(path), tokenizer)
        for examples in directions(read_pairs(files.dev)).values():
            scores.append(score(examples, translate(examples, translator)))
    half = len(scores) // 2
    for full, quantised in zip(scores[:half], scores[half:], strict=True):
        assert abs(full.chrf - quantised.chrf) < 20
        assert "nc:6" in full.chrf_signature


def test_rows_whose_source_was_trained_on_are_not_scored(files: Files) -> None:
    seen = next(read_pairs(files.corpus))
    examples = directions([seen, *read_pairs(files.dev)])[("en", seen.lang)]
    left = unseen(examples, read_pairs(files.corpus))
    assert len(left) == len(examples) - 1
    assert seen.english not in {example.source for example in left}


def test_a_warm_start_with_another_vocabulary_is_refused(
    files: Files, gguf: Path, tmp_path: Path
) -> None:
    check_pieces(gguf, Tokenizer(files.tokenizer))
    other = tmp_path / "other.model"
    train_tokenizer((pair.other for pair in read_pairs(files.corpus)), other, 410)
    with pytest.raises(WeightsError, match="another vocabulary"):
        check_pieces(gguf, Tokenizer(other))


def test_a_gguf_of_another_kind_is_refused(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    path = tmp_path / "other.gguf"
    writer = GGUFWriter(path, "gemma")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(WeightsError, match="llama-architecture"):
        read_weights(path)
