"""The command line: `python -m training STAGE ...`; each stage has its own `--help`."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from training.corpus import read_pairs
from training.files import Files
from training.progress import show

if TYPE_CHECKING:
    from training.evaluate import Translator

# Stages import what they need: preparing wants no PyTorch, training no llama.cpp.


def prepare_stage(args: argparse.Namespace) -> None:
    """Clean the corpus, put dev pairs apart, make the tokenizer."""
    from training.prepare import prepare

    prepare(Files(args.run), args.corpus, args.dev, args.tokenizer, args.vocab)


def fit_stage(args: argparse.Namespace) -> None:
    """Train within the budget, or go on where an interruption was."""
    from training.devset import dev_batches
    from training.mixture import Mixture
    from training.model import Shape
    from training.tokenizer import Tokenizer
    from training.trainer import Settings, Trainer
    from training.weights import check_pieces

    files = Files(args.run)
    tokenizer = Tokenizer(files.tokenizer)
    if args.warm_start:
        check_pieces(args.warm_start, tokenizer)
    shape = Shape(len(tokenizer), args.width, args.layers, args.heads, args.hidden)
    settings = Settings(
        minutes=args.minutes,
        peak=args.peak,
        dropout=args.dropout,
        workers=args.workers,
        mixture=Mixture(batch_tokens=args.batch_tokens, into_english=args.into_english),
    )
    dev = dev_batches(files.dev, tokenizer, args.dev_rows)
    if not Trainer(files, settings, shape, args.warm_start, dev).fit():
        raise SystemExit("stopped and saved; the same command goes on from here")


def export_stage(args: argparse.Namespace) -> None:
    """Write the newest checkpoint as GGUF, f16 and Q8_0."""
    from training.checkpoint import load
    from training.export import FORMATS, export_gguf
    from training.model import Shape
    from training.tokenizer import Tokenizer
    from training.weights import blend, read_weights

    files = Files(args.run)
    state = load(files.checkpoint)
    shape, tokenizer = Shape(**state["shape"]), Tokenizer(files.tokenizer)
    weights = state["model"]
    if args.warm_start and args.blend < 1:
        weights = blend(weights, read_weights(args.warm_start)[1], args.blend)
    for kind in FORMATS:
        path = files.gguf(args.name, kind)
        export_gguf(path, shape, weights, tokenizer, kind, args.name)
        show(f"{path}  {path.stat().st_size:,} bytes")


def parity_stage(args: argparse.Namespace) -> None:
    """Check that llama.cpp and PyTorch give the same greedy tokens; exit 1 if not."""
    from training.parity import check_parity
    from training.tokenizer import Tokenizer

    files = Files(args.run)
    pairs = list(read_pairs(files.dev))
    chosen = random.Random(1).sample(pairs, min(args.sentences, len(pairs)))
    result = check_parity(files.gguf(args.name, "f16"), Tokenizer(files.tokenizer), chosen)
    show(str(result))
    if not result.holds:
        raise SystemExit("llama.cpp and PyTorch disagree: the export is wrong")


def pick_translator(args: argparse.Namespace) -> tuple[str, Translator]:
    """Return what `evaluate` is to measure, and its name: a server, llama.cpp or PyTorch."""
    from training.tokenizer import Tokenizer

    if args.server:
        from training.server import ServerTranslator

        return "server", ServerTranslator(args.server)
    files = Files(args.run)
    gguf, tokenizer = args.gguf or files.gguf(args.name, "q8_0"), Tokenizer(files.tokenizer)
    if args.llama:
        from training.llama import LlamaTranslator

        return f"{gguf.stem}-llama", LlamaTranslator(gguf, tokenizer)
    from training.decode import TorchTranslator
    from training.weights import load_decoder

    return gguf.stem, TorchTranslator(load_decoder(gguf), tokenizer)


def evaluate_stage(args: argparse.Namespace) -> None:
    """Score a GGUF in PyTorch or llama.cpp, or a running server, in every direction."""
    from training.evaluate import directions, score, table, translate, unseen

    files = Files(args.run)
    name, translator = pick_translator(args)
    corpus = list(read_pairs(files.corpus))
    scores = []
    for (source, target), examples in directions(read_pairs(files.dev)).items():
        if args.only and f"{source}-{target}" not in args.only:
            continue
        rows = unseen(examples, corpus)
        if not rows:
            continue
        scores.append(score(rows, translate(rows, translator)))
        show(f"{source}-{target}  chrF2 {scores[-1].chrf:.1f}  BLEU {scores[-1].bleu:.1f}")
    files.scores(name).write_text(table(scores) + "\n", encoding="utf-8")
    show(f"written: {files.scores(name)}")


def split_stage(args: argparse.Namespace) -> None:
    """Cut a file into parts of at most 15 MiB."""
    from training.parts import split

    for part in split(args.file, args.folder):
        show(str(part))


def join_stage(args: argparse.Namespace) -> None:
    """Join the parts of a file and check them."""
    from training.parts import join

    show(str(join(args.parts, args.folder)))


def train_stage(args: argparse.Namespace) -> None:
    """Prepare, fit, export, check parity and evaluate: all of it, or what is left of it."""
    if not find_spec("llama_cpp"):
        raise SystemExit("llama-cpp-python is missing; the last stages need it: install it first")
    for stage in (prepare_stage, fit_stage, export_stage, parity_stage, evaluate_stage):
        stage(args)


def add_prepare(options: argparse.ArgumentParser) -> None:
    """Declare what `prepare` takes."""
    options.add_argument(
        "--corpus",
        type=Path,
        required=True,
        help="pairs: a TSV, a TSV.xz or a folder of deu.txt ...",
    )
    options.add_argument("--dev", type=Path, help="pairs to measure on; else some are held out")
    options.add_argument("--tokenizer", type=Path, help="a SentencePiece model to take over")
    options.add_argument("--vocab", type=int, default=12_000, help="pieces of a new tokenizer")


def add_fit(options: argparse.ArgumentParser) -> None:
    """Declare what `fit` takes."""
    options.add_argument("--minutes", type=float, default=60.0, help="wall-clock budget")
    options.add_argument(
        "--peak", type=float, default=5e-4, help="highest learning rate; from scratch: 1.5e-3"
    )
    options.add_argument("--batch-tokens", type=int, default=4096, help="padded tokens a step")
    options.add_argument("--into-english", type=float, default=0.5, help="share of the examples")
    options.add_argument("--dropout", type=float, default=0.0, help="for many passes: 0.1")
    options.add_argument("--workers", type=int, default=1, help="processes that make batches")
    options.add_argument("--dev-rows", type=int, default=48, help="rows a direction on the curve")
    for size, value in (("width", 320), ("layers", 6), ("heads", 5), ("hidden", 896)):
        options.add_argument(f"--{size}", type=int, default=value, help="of a model from scratch")


def add_start(options: argparse.ArgumentParser) -> None:
    """Declare what `fit` and `export` take alike."""
    options.add_argument("--warm-start", type=Path, help="GGUF to take the first weights from")


def add_export(options: argparse.ArgumentParser) -> None:
    """Declare what `export` takes."""
    options.add_argument(
        "--blend", type=float, default=1.0, help="share of the new weights; rest: --warm-start's"
    )


def add_name(options: argparse.ArgumentParser) -> None:
    """Declare what every stage from `export` on takes."""
    options.add_argument("--name", default="tatoeba-mini", help="the model's name")


def add_parity(options: argparse.ArgumentParser) -> None:
    """Declare what `parity` takes beside the name."""
    options.add_argument("--sentences", type=int, default=300, help="how many to compare")


def add_evaluate(options: argparse.ArgumentParser) -> None:
    """Declare what `evaluate` takes beside the name."""
    options.add_argument("--server", help="URL of a running Babelbrook to measure")
    options.add_argument("--llama", action="store_true", help="measure in llama.cpp")
    options.add_argument("--gguf", type=Path, help="another model file than the run's own")
    options.add_argument("--only", nargs="*", help="directions such as en-de")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    stages = top.add_subparsers(required=True, metavar="STAGE")
    everything = (
        *(add_prepare, add_start, add_fit, add_export),
        *(add_name, add_parity, add_evaluate),
    )
    for name, stage, groups in (
        ("prepare", prepare_stage, (add_prepare,)),
        ("fit", fit_stage, (add_start, add_fit)),
        ("export", export_stage, (add_start, add_export, add_name)),
        ("parity", parity_stage, (add_name, add_parity)),
        ("evaluate", evaluate_stage, (add_name, add_evaluate)),
        ("train", train_stage, everything),
    ):
        options = stages.add_parser(name, help=stage.__doc__, description=stage.__doc__)
        options.add_argument("--run", type=Path, default=Path("training-run"), help="its folder")
        for add in groups:
            add(options)
        options.set_defaults(stage=stage)
    add_parts(stages.add_parser)
    return top


def add_parts(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare `split` and `join`."""
    split = add_parser("split", help=split_stage.__doc__)
    split.add_argument("file", type=Path)
    split.set_defaults(stage=split_stage)
    join = add_parser("join", help=join_stage.__doc__)
    join.add_argument("parts", type=Path, nargs="+")
    join.set_defaults(stage=join_stage)
    for options in (split, join):
        options.add_argument("--folder", type=Path, default=Path("."), help="where to write")


def main() -> None:
    """Run the stage that the command line names."""
    args = parser().parse_args()
    args.stage(args)


if __name__ == "__main__":
    main()
