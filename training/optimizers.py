"""What turns gradients into steps: Muon for the layers' matrices, AdamW for all else."""

from __future__ import annotations

import torch
from torch import nn


def make_optimizers(
    model: nn.Module, peak: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a decoder, which take the same learning rate.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) steps by the orthogonal
    matrix nearest to the gradient's running mean, scaled to the size of AdamW's steps (Liu et al.
    2025, arXiv:2502.16982). It is for matrices between hidden states; the embedding, which is the
    output matrix too, and the norms take AdamW, weight decay on the embedding alone.
    """
    named = dict(model.named_parameters())
    embedding = [named.pop("embedding.weight")]
    matrices = [weight for weight in named.values() if weight.ndim == 2]
    vectors = [weight for weight in named.values() if weight.ndim < 2]
    groups = [
        {"params": embedding, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(
            matrices, peak, weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(groups, peak, betas=(0.9, 0.98), fused=True),
    ]
