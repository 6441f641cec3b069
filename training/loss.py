"""The training loss: output matrix, softmax and label smoothing in one pass over row blocks.

The vocabulary's softmax is a large share of the work of a small model, and most of that is memory
traffic. So a block of rows goes through matrix, softmax and gradient while it is in the cache, and
no (rows, vocab) tensor is ever kept for the way back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Rows in a block: on a CPU what the caches hold, on a GPU what keeps it busy.
BLOCK_ROWS = {"cpu": 512, "cuda": 16_384}


class _SmoothedLoss(torch.autograd.Function):
    """Sum over rows of the smoothed cross entropy; gradients are made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, matrix: Tensor, targets: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        half = torch.bfloat16 if torch.is_autocast_enabled(hidden.device.type) else matrix.dtype
        rows, weights = hidden.to(half), matrix.to(half)
        hidden_grad = torch.empty_like(rows)
        matrix_grad = torch.zeros_like(matrix, dtype=torch.float32)
        smoothed = matrix.new_zeros((), dtype=torch.float32)
        plain = smoothed.clone()
        size = BLOCK_ROWS[hidden.device.type]
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            wanted = targets[start : start + size, None]
            logits = (block @ weights.T).float()
            log_sum = logits.logsumexp(-1, keepdim=True)
            nats = log_sum - logits.gather(1, wanted)
            spread = log_sum - logits.mean(-1, keepdim=True)
            plain += nats.sum()
            smoothed += (1 - smoothing) * nats.sum() + smoothing * spread.sum()
            # d loss / d logits = softmax - smoothed one-hot; in place, for it is the large one.
            grad = logits.sub_(log_sum).exp_().sub_(smoothing / logits.shape[1])
            grad.scatter_add_(1, wanted, grad.new_full(wanted.shape, smoothing - 1))
            grad = grad.to(half)
            hidden_grad[start : start + size] = grad @ weights
            matrix_grad += grad.T @ block
        ctx.save_for_backward(hidden_grad.to(hidden.dtype), matrix_grad.to(matrix.dtype))
        ctx.mark_non_differentiable(plain)
        return smoothed, plain

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_grad, matrix_grad = ctx.saved_tensors
        return hidden_grad * grads[0], matrix_grad * grads[0], None, None


def smoothed_loss(
    hidden: Tensor, matrix: Tensor, targets: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Return two sums in nats over all rows: the smoothed loss, and the plain one without gradient.

    `hidden` is (rows, width), `matrix` (vocab, width), `targets` (rows,) int64. The smoothed
    target is `1 - smoothing` on the wanted token plus `smoothing / vocab` on every token
    (Szegedy et al. 2016, arXiv:1512.00567).
    """
    apply: Any = _SmoothedLoss.apply
    result: tuple[Tensor, Tensor] = apply(hidden, matrix, targets, smoothing)
    return result
