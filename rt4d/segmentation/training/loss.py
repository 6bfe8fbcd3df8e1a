"""What the training lowers: Dice and cross-entropy against shares of voxels (soft labels), on each level of the network.

Cross-entropy twice: over all voxels, and over those that lie wholly inside a tumour, where each tumour counts as much as any other. A lesion of
1 cm³ is 64 of a patch's 262 144 voxels: in the mean over all of them it weighs nothing, beside a large one in the same patch neither, and Dice has
next to no slope where the network is sure of its miss.
"""

from __future__ import annotations

import torch
from torch.nn import functional

SMOOTH_VOXELS = 5.0
"""Added above and below in Dice: small against a lesion of 0.2 cm³ (13 voxels), and enough that false voxels cost where there is no lesion."""

INNER_WEIGHT = 0.75
"""What the mean over the tumours' insides counts beside Dice and the mean over all, which count 1 each."""


def loss(answers: torch.Tensor, share: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """The mean loss, float32, of answers (batch, level, 2, z, y, x) or (batch, 2, z, y, x) against shares (batch, 1, z, y, x).

    inner: what each voxel inside a tumour weighs, (batch, 1, z, y, x), at most 1 in all for a tumour.
    Voxels whose share is negative are unknown, and count nowhere. Each deeper level counts half as much as the one before it.
    """
    levels = answers.unbind(1) if answers.ndim == 6 else (answers,)
    weights = [0.5**depth for depth in range(len(levels))]
    each = [weight * _of_level(level, share, inner) for weight, level in zip(weights, levels, strict=True)]
    return torch.stack(each).sum() / sum(weights)


def foreground(answer: torch.Tensor) -> torch.Tensor:
    """How surely each voxel is GTV: the softmax of the two channels, float32, (batch, 1, z, y, x)."""
    return torch.sigmoid(_logit(answer))


def _logit(answer: torch.Tensor) -> torch.Tensor:
    """Of two channels, the softmax of the second is the sigmoid of their difference."""
    answer = answer.float()
    return answer[:, 1:] - answer[:, :1]


def _of_level(answer: torch.Tensor, share: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    known = (share >= 0).float()
    logit, share = _logit(answer), share * known
    surprise = functional.binary_cross_entropy_with_logits(logit, share, reduction="none") * known
    missed = (surprise * inner).flatten(1).sum(1) / inner.flatten(1).sum(1).clamp_min(1)
    everywhere = surprise.flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)
    return (everywhere + INNER_WEIGHT * missed).mean() + _dice_loss(torch.sigmoid(logit) * known, share)


def _dice_loss(sure: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """1 - Dice with squares below (Milletari et al., V-Net, 2016), which is least where the answer is the share itself."""
    sure, share = sure.flatten(1), share.flatten(1)
    overlap = 2 * (sure * share).sum(1) + SMOOTH_VOXELS
    return (1 - overlap / ((sure**2).sum(1) + (share**2).sum(1) + SMOOTH_VOXELS)).mean()
