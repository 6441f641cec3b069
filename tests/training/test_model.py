"""The decoder and its loss, against plain definitions."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs pip install -r training/requirements.txt")

from training.decode import greedy, greedy_all  # noqa: E402
from training.loss import BLOCK_ROWS, smoothed_loss  # noqa: E402
from training.model import Decoder, Past, Shape, rope_table, rotate  # noqa: E402

TINY = Shape(vocab=50, width=32, layers=2, heads=2, hidden=32, context=64)


@pytest.fixture
def model() -> Decoder:
    """A decoder with weights large enough that everything matters."""
    torch.manual_seed(1)
    made = Decoder(TINY).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return made


@pytest.mark.parametrize("sizes", [{"width": 48}, {"hidden": 100}, {"width": 64, "heads": 3}])
def test_sizes_that_cannot_be_exported_are_refused_at_once(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must divide"):
        Shape(**sizes)


def tokens(*shape: int) -> torch.Tensor:
    """Random tokens, the same ones in every test."""
    return torch.randint(3, 50, shape, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_decoding_token_by_token_equals_the_whole_at_once(model: Decoder) -> None:
    text = tokens(3, 12)
    past = [Past() for _ in range(TINY.layers)]
    steps = [model(text[:, :5], past), *(model(text[:, n : n + 1], past) for n in range(5, 12))]
    torch.testing.assert_close(torch.cat(steps, 1), model(text))


@torch.no_grad()
def test_what_comes_later_and_padding_change_nothing_before(model: Decoder) -> None:
    text = tokens(1, 9)
    other = text.clone()
    other[:, 6:] = 0
    torch.testing.assert_close(model(text)[:, :6], model(other)[:, :6])
    assert not torch.allclose(model(text)[:, 6:], model(other)[:, 6:])


def test_rotary_products_depend_on_distance_alone() -> None:
    rotation = rope_table(TINY, 20)
    q, k = torch.randn(2, TINY.head, generator=torch.Generator().manual_seed(3))

    def product(a: int, b: int) -> torch.Tensor:
        return rotate(q, rotation[a]) @ rotate(k, rotation[b])

    torch.testing.assert_close(product(3, 7), product(11, 15))
    assert not torch.allclose(product(3, 7), product(3, 8))


def test_answers_of_mixed_lengths_come_in_order(model: Decoder) -> None:
    prompts = [tokens(n).tolist() for n in (4, 7, 4, 5)]
    assert greedy_all(model, prompts) == [greedy(model, [prompt])[0] for prompt in prompts]


@pytest.mark.parametrize("rows", [7, BLOCK_ROWS["cpu"] + 5])
def test_the_loss_in_blocks_equals_pytorch_s_with_its_gradients(rows: int) -> None:
    torch.manual_seed(4)
    hidden, matrix = torch.randn(rows, 16), torch.randn(50, 16)
    targets = torch.randint(0, 50, (rows,))
    results = []
    for ours in (True, False):
        h, m = hidden.clone().requires_grad_(), matrix.clone().requires_grad_()
        if ours:
            loss, plain = smoothed_loss(h, m, targets, 0.1)
        else:
            loss = torch.nn.functional.cross_entropy(
                h @ m.T, targets, label_smoothing=0.1, reduction="sum"
            )
            plain = torch.nn.functional.cross_entropy(h @ m.T, targets, reduction="sum")
        (loss * 3).backward()
        results.append((loss.detach(), plain.detach(), h.grad, m.grad))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-3)
