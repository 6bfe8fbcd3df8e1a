"""When many things were tried: p values that account for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import Floats


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: below 0.05, the chance of even one false finding is below 5 % (Holm 1979)."""
    values, order = _ordered(p)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return _back(stepped, order)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: of those below 0.05, at most 5 % are expected to be false findings (Benjamini & Hochberg 1995)."""
    values, order = _ordered(p)
    steps = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _back(np.minimum.accumulate(steps[::-1])[::-1], order)


def _ordered(p: Sequence[float]) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    values = np.asarray(p, dtype=float)
    if not np.all((values >= 0) & (values <= 1)):
        raise InputError("A p value lies between 0 and 1", found=list(p))
    return values, np.argsort(values, kind="stable")


def _back(ordered: Floats, order: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[float]:
    adjusted = np.empty_like(ordered)
    adjusted[order] = np.minimum(ordered, 1)
    return [float(value) for value in adjusted]
