"""How alike two images are: normalised cross-correlation before and after registration."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rt4d.motion.quality.check import Check, at_least, of

Array = npt.NDArray[np.float32]


def correlation(a: Array, b: Array) -> float:
    """Normalised cross-correlation (Pearson's); 0 where either is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64)))
    return float((a * b).sum(dtype=np.float64)) / size if size > 0 else 0.0


def similar(label: str, before: float, after: float, limit: float, *, where: str = "around the target") -> Check:
    """The similarity after registration, which must reach the limit."""
    said = f"{of(label)}similarity {where} {after:.3f}, {before:.3f} before registration (limit {limit:g})"
    return Check(label, "similarity", after, limit, "pass" if after >= limit else "fail", said)


def gained(label: str, before: float, after: float, limit: float) -> Check:
    """By how much registration raised the similarity. The limit lies below zero: where there is next to no motion there is none to gain."""
    return at_least(label, "similarity_gain", after - before, limit, "registration changed the similarity by {:+.3f}")
