"""One contour of many: by majority, and by STAPLE, which weighs observers by how often they seem to be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Floats, Geometry
from rt4d.volumes import Mask

Bools = npt.NDArray[np.bool_]
MARGIN_MM = 10.0
"""STAPLE's prior, and every specificity, is counted in the box of all contours together and so much all round, also where the grid ends before:
they depend on how much empty space is looked at (Warfield 2004), so it is always the same."""
MOST_ITERATIONS = 1000
OF_TWO = (
    "what both drew (STAPLE: where one contour holds the other, perhaps the larger), so smaller than either drew: "
    "it flatters a machine that draws small"
)
"""What a consensus of two comes to: by majority always, by STAPLE in all of 39 pairs of simulated contours that crossed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Consensus:
    """What observers together drew, on their grid.

    method: in words, with ties and prior. votes: how many observers hold each voxel, shape z y x. sensitivity, specificity: of each observer,
    STAPLE's estimates, or counted against the majority; voxels count alike, slices even or not. None where there is nothing to be counted.
    """

    mask: Mask
    method: str
    observers: tuple[str, ...]
    votes: npt.NDArray[np.uint16]
    sensitivity: Mapping[str, float | None]
    specificity: Mapping[str, float | None]

    def held_by_at_least(self, number: int) -> Mask:
        """The voxels that at least so many observers drew: 1 is the union, all of them the intersection."""
        if not 1 <= number <= len(self.observers):
            raise InputError("So many observers there are not", expected=f"1 to {len(self.observers)}", found=number)
        return Mask(self.votes >= number, self.mask.geometry)

    def __str__(self) -> str:
        lines = [f"Consensus of {len(self.observers)} observers: {self.method}", f"{self.mask.volume_cm3:.2f} cm³"]
        for name in self.observers:
            both = (self.sensitivity[name], self.specificity[name])
            told = ("undefined" if value is None else f"{value:.3f}" for value in both)
            lines.append(f"{name:<20} sensitivity {next(told)}, specificity {next(told)}")
        return "\n".join([*lines, *([f"note: A consensus of two contours is {OF_TWO}"] if len(self.observers) == 2 else [])])


def majority(masks: Mapping[str, Mask]) -> Consensus:
    """The voxels that more than half of the observers drew; held by exactly half, a voxel is outside, so that of two it is what both drew.

    Refused: no masks, and different grids.
    """
    votes, geometry = _votes(masks)
    inside = votes > len(masks) / 2
    mask = Mask(inside, geometry)
    window = _window(votes)
    if window is None:
        return _nothing(masks, mask, votes, "majority (more than half); nobody drew anything")
    truth = _with_margin(inside[window], geometry)
    drawn = {name: _with_margin(each.inside[window], geometry) for name, each in masks.items()}
    return Consensus(
        mask=mask,
        method="majority (more than half)",
        observers=tuple(masks),
        votes=votes,
        sensitivity={name: _share(each, truth) for name, each in drawn.items()},
        specificity={name: _share(~each, ~truth) for name, each in drawn.items()},
    )


def staple(masks: Mapping[str, Mask]) -> Consensus:
    """The voxels that are inside with a probability above one half by STAPLE (Warfield, Zou, Wells 2004; SimpleITK's filter).

    The prior is the mean share of the box of all contours and 10 mm all round that observers drew. What nobody drew is outside. Of two
    observers who differ neither can be told to be right: three or more are wanted. Refused: fewer than two, and different grids.
    """
    import SimpleITK as sitk

    if len(masks) < 2:
        raise InputError("STAPLE weighs observers against one another", expected="at least two", found=len(masks))
    votes, geometry = _votes(masks)
    window = _window(votes)
    if window is None:
        return _nothing(masks, Mask(votes > 0, geometry), votes, "STAPLE; nobody drew anything")
    drawn = [_with_margin(each.inside[window], geometry) for each in masks.values()]
    staple_filter = sitk.STAPLEImageFilter()
    staple_filter.SetForegroundValue(1.0)
    staple_filter.SetMaximumIterations(MOST_ITERATIONS)
    probability = sitk.GetArrayFromImage(staple_filter.Execute([sitk.GetImageFromArray(each.astype(np.uint8)) for each in drawn]))
    inside = np.zeros(geometry.shape, dtype=bool)
    inside[window] = _without_margin(probability, geometry) > 0.5
    caution = "" if staple_filter.GetElapsedIterations() < MOST_ITERATIONS else "; not converged"
    caution += "; of two observers neither can be told to be right" if len(masks) == 2 else ""
    return Consensus(
        mask=Mask(inside & (votes > 0), geometry),
        method=f"STAPLE (probability above 0.5; prior {np.mean(drawn):.3f}, the box of all contours and {MARGIN_MM:g} mm{caution})",
        observers=tuple(masks),
        votes=votes,
        sensitivity=dict(zip(masks, map(float, staple_filter.GetSensitivity()), strict=True)),
        specificity=dict(zip(masks, map(float, staple_filter.GetSpecificity()), strict=True)),
    )


def _votes(masks: Mapping[str, Mask]) -> tuple[npt.NDArray[np.uint16], Geometry]:
    """How many hold each voxel, and the grid of all; refused where there are several, naming whose differs."""
    if not masks:
        raise InputError("A consensus needs contours", expected="at least one", found="none")
    first, *others = masks.items()
    votes = first[1].inside.astype(np.uint16)
    for name, mask in others:
        if differences := first[1].geometry.differences(mask.geometry):
            raise GeometryError(
                "A consensus needs contours on one grid",
                where=f"{first[0]} and {name}",
                found=differences,
                do="Resample first (rt4d.resampling.resample_mask)",
            )
        votes += mask.inside
    return votes, first[1].geometry


def _window(votes: npt.NDArray[np.uint16]) -> tuple[slice, slice, slice] | None:
    """The box of all contours together; None where there are none."""
    found = [np.flatnonzero(votes.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not found[0].size:
        return None
    z, y, x = (slice(int(each[0]), int(each[-1]) + 1) for each in found)
    return z, y, x


def _margin(geometry: Geometry) -> list[int]:
    """10 mm in voxels z y x, rounded up."""
    return [int(np.ceil(MARGIN_MM / step - 1e-6)) for step in geometry.spacing_mm[::-1]]


def _with_margin(inside: Bools, geometry: Geometry) -> Bools:
    return np.pad(inside, [(n, n) for n in _margin(geometry)])


def _without_margin(values: Floats, geometry: Geometry) -> Floats:
    z, y, x = _margin(geometry)
    return values[z:-z, y:-y, x:-x]


def _share(drawn: Bools, truth: Bools) -> float | None:
    there = int(np.count_nonzero(truth))
    return np.count_nonzero(drawn & truth) / there if there else None


def _nothing(masks: Mapping[str, Mask], mask: Mask, votes: npt.NDArray[np.uint16], method: str) -> Consensus:
    none: dict[str, float | None] = dict.fromkeys(masks)
    return Consensus(mask=mask, method=method, observers=tuple(masks), votes=votes, sensitivity=none, specificity=none)
