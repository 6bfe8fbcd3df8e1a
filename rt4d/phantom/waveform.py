"""Where in the breath a phase stands: 1 at the end of inhalation, 0 at the end of exhalation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Floats, Triple
from rt4d.phases import label_of, parse_label

Waveform = Callable[[Floats], Floats]
"""From the place in the breathing cycle (0 to 1 and on, end of inhalation at 0) to how far the breath is drawn (1 at its deepest)."""


def cosine(power: int = 4) -> Waveform:
    """cos^power(πt): longer at exhalation the higher the (even) power (Lujan et al., Med Phys 26 (1999) 715)."""
    if power < 2 or power % 2:
        raise InputError("The waveform's power is an even number", expected="2, 4, 6 …", found=power)
    return lambda t: np.asarray(np.cos(np.pi * np.asarray(t)) ** power)


def from_trace(position: npt.ArrayLike, *, seconds: npt.ArrayLike | None = None) -> Waveform:
    """The mean breath of a recorded trace, any unit, larger when inhaled: its cycles cut at the maxima and averaged phase by phase.

    position: shape (n,), at even times unless `seconds` (n,) tells them. Its real irregularity stays as asymmetry of the mean cycle
    and as a depth below 1. Refused: fewer than two whole breaths, or numbers that are not finite.
    """
    values = np.asarray(position, dtype=float)
    times = np.arange(values.size, dtype=float) if seconds is None else np.asarray(seconds, dtype=float)
    if values.ndim != 1 or times.shape != values.shape or not (np.isfinite(values).all() and np.isfinite(times).all()):
        raise InputError("A breathing trace is a row of finite numbers, each with its time", found=f"{values.shape} and {times.shape}")
    peaks = _peaks(values)
    if len(peaks) < 3:
        raise InputError("A breathing trace needs at least two whole breaths", found=f"{max(len(peaks) - 1, 0)}")
    cycle = np.linspace(0, 1, 101)
    breaths = [np.interp(times[first] + cycle * (times[last] - times[first]), times, values) for first, last in pairwise(peaks)]
    mean = np.mean(breaths, axis=0)
    mean = (mean - mean.min()) / (mean.max() - mean.min())
    return lambda t: np.asarray(np.interp(np.mod(t, 1), cycle, mean))


def _peaks(values: Floats) -> npt.NDArray[np.intp]:
    """The ends of inhalation: maxima that stand out by a third of the trace's range (5th to 95th percentile)."""
    from scipy.signal import find_peaks

    low, high = np.percentile(values, [5, 95])
    found, _ = find_peaks(values, prominence=(high - low) / 3)
    return np.asarray(found)


def labels_of(phases: int | Sequence[str]) -> tuple[str, ...]:
    """Phase labels, evenly spread over the cycle where only their number is given."""
    if not isinstance(phases, int):
        return tuple(phases)
    if phases < 2:
        raise InputError("A 4D-CT has at least two phases", found=phases)
    return tuple(label_of(round(100 * i / phases, 2)) for i in range(phases))


def place_in_cycle(label: str, *, power: int = 4) -> float:
    """From 0 (end of inhalation) to 1. '30In' and '30Ex' are 30 % of a cosine breath's depth, drawn in and let out."""
    percent, way = parse_label(label)
    if not way:
        return percent / 100
    t = float(np.arccos((percent / 100) ** (1 / power)) / np.pi)
    return t if way == "Ex" else 1 - t


def nearest_to_exhale(labels: Sequence[str]) -> str:
    """The phase nearest to 50 %, the usual reference."""
    return min(labels, key=lambda label: abs(place_in_cycle(label) - 0.5))


def travel_of(
    labels: Sequence[str], reference: str, amplitude_mm: Triple, waveform: Waveform, *, lag: float, outwards: float
) -> dict[str, Triple]:
    """How far a point travels from the reference to each phase, x y z: to the feet, to the front (`lag` cycles later) and outwards (half as late).

    Over these phases the travel along each axis is exactly the amplitude asked for.
    """
    if reference not in labels:
        raise NotFoundError("The reference phase is not among the phases", expected=f"one of {', '.join(labels)}", found=reference)
    at = np.array([place_in_cycle(label) for label in labels])
    columns = []
    for amplitude, sign, late in zip(amplitude_mm, (outwards, -1.0, -1.0), (lag / 2, lag, 0.0), strict=True):
        drawn = waveform(at - late)
        if amplitude and np.ptp(drawn) < 1e-3:
            raise InputError("The phases lie at one depth of the breath, so nothing can travel between them", found=", ".join(labels))
        columns.append(sign * amplitude * (drawn - drawn[labels.index(reference)]) / max(float(np.ptp(drawn)), 1e-3))
    return {label: (float(x), float(y), float(z)) for label, x, y, z in zip(labels, *columns, strict=True)}
