"""The learning curve of a run, drawn from its log."""

from __future__ import annotations

from pathlib import Path

from training import progress


def draw_curve(log: Path, picture: Path) -> None:
    """Draw training and dev losses (nats per answer token) over minutes into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    records = progress.read(log)
    names = sorted({key for record in records for key in record if key.startswith("dev ")})
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for name in ["loss", *names]:
        points = [(float(r["seconds"]) / 60, r[name]) for r in records if name in r]
        style = {"alpha": 0.4} if name == "loss" else {"marker": ".", "linewidth": 1.0}
        label = "training" if name == "loss" else name
        axes.plot(*zip(*points, strict=True), label=label, **style) if points else None
    axes.set(xlabel="minutes", ylabel="nats per answer token")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
