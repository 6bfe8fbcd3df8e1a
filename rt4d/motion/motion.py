"""What the registrations of a 4D-CT found: where every point of the reference phase lies in each phase, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.errors import ContourError, GeometryError, InputError, NotFoundError, RegistrationError
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.motion.fields import DisplacementField
from rt4d.motion.recipe import Recipe
from rt4d.resampling import level_that_keeps_volume, pieces, rounded_distance_mm
from rt4d.volumes import Mask

ROUND_MM = 5.0
"""So far around a mask its signed distance is computed; whatever comes from further away is outside."""
ROUNDED = 0.5
"""Of the largest voxel spacing: the Gaussian that rounds a mask's flat faces, which else move from slice to slice in steps."""
INVERSE_LIMIT_MM = 0.1
"""A point whose way back misses by more has none: the field is folded there."""


class PhaseMasks(Mapping[str, Mask]):
    """One anatomy as it lies in each phase: masks by label, in the order of the breathing cycle, all on the 4D-CT's grid.

    reference_label: the phase whose mask is the one that was given. failed: why, by label, of phases that are therefore absent.
    drawn: the labels of phases taken as a physician drew them. finer_mm: centroids that are known finer than by the mask's voxels, LPS, by label.
    """

    __slots__ = ("_finer_mm", "_masks", "drawn", "failed", "reference_label")

    def __init__(
        self,
        masks: Mapping[str, Mask],
        *,
        reference_label: str,
        failed: Mapping[str, str] | None = None,
        drawn: frozenset[str] = frozenset(),
        finer_mm: Mapping[str, Triple] | None = None,
    ) -> None:
        self._masks = MappingProxyType(dict(masks))
        self._finer_mm = dict(finer_mm or {})
        self.reference_label = reference_label
        self.failed: Mapping[str, str] = MappingProxyType(dict(failed or {}))
        self.drawn = drawn

    @property
    def centroid_mm(self) -> dict[str, Triple]:
        """By phase label, LPS: of a carried phase that of the anatomy, finer than its voxels; else that of the mask."""
        return {label: self._finer_mm.get(label) or mask.centroid_mm for label, mask in self.items()}

    def __getitem__(self, label: str) -> Mask:
        if label in self._masks:
            return self._masks[label]
        why = f"its registration failed: {self.failed[label]}" if label in self.failed else f"there are {', '.join(self._masks)}"
        raise NotFoundError("No mask of that phase", where=label, found=why)

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __contains__(self, label: object) -> bool:
        return label in self._masks

    def __repr__(self) -> str:
        volumes = ", ".join(f"{label} {mask.volume_cm3:.2f}" for label, mask in self.items())
        failed = f"; FAILED: {', '.join(self.failed)}" if self.failed else ""
        return f"PhaseMasks({volumes} cm³{failed})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Motion:
    """Where the points of the reference phase lie in each phase, from one registration per phase.

    labels: all phases in the order of the cycle. fields: by label, of the registered phases, all on one grid (`region`); the reference
    has none, it does not move. failed: why, by label, of phases without one; nothing stands in for them. geometry: the 4D-CT's grid.
    seconds: by label, how long each registration took. skipped: phases that were not to be registered; drawn ones may take their place.
    back: from a phase to the reference, by a quicker registration of its own around the target; only for the check that both agree. back_failed: why
    there is none.
    """

    reference_label: str
    labels: tuple[str, ...]
    fields: Mapping[str, DisplacementField]
    failed: Mapping[str, str]
    geometry: Geometry
    region: Geometry
    recipe: Recipe
    seconds: Mapping[str, float] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    back: Mapping[str, DisplacementField] = field(default_factory=dict)
    back_failed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("fields", "failed", "seconds", "back", "back_failed"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        if {self.reference_label, *self.fields, *self.failed, *self.skipped} != set(self.labels):
            found = f"{', '.join(self.fields)}; failed {', '.join(self.failed)}; skipped {', '.join(self.skipped)}"
            raise NotFoundError("Each phase has a field or a reason for its lack", expected=", ".join(self.labels), found=found)
        for each in self.fields.values():
            grids.require(self.region, each.geometry, what="The fields of one motion lie on one grid")

    @property
    def looked_at(self) -> tuple[str, ...]:
        """The phases but the reference that count for a target: registered, or drawn in their place."""
        return tuple(label for label in self.labels if label in self.fields or label in self.skipped)

    def reference_to_phase(self, label: str, points_mm: npt.ArrayLike) -> Floats:
        """Where points of the reference phase lie in that phase, LPS mm, shape (..., 3): x + u(x). GeometryError outside the region."""
        points = np.array(points_mm, dtype=float)
        return points if label == self.reference_label else self._field(label).map(points)

    def phase_to_reference(self, label: str, points_mm: npt.ArrayLike) -> Floats:
        """Where points of that phase lie in the reference phase, LPS mm, shape (..., 3).

        GeometryError where they come from outside the region; RegistrationError where the field is folded and they have no single place.
        """
        points = np.array(points_mm, dtype=float)
        if label == self.reference_label:
            return points
        x, miss_mm, within = self._field(label).inverse(points)
        if not within.all():
            found = f"{np.count_nonzero(~within)} of {within.size} points"
            raise GeometryError("Points of a phase come from outside the registered region", where=f"phase {label}", found=found, do=_WIDER)
        if miss_mm.max(initial=0.0) > INVERSE_LIMIT_MM:
            found = f"{np.count_nonzero(miss_mm > INVERSE_LIMIT_MM)} points, up to {miss_mm.max():.1f} mm off"
            raise RegistrationError("The field is folded: points have no way back", where=f"phase {label}", found=found)
        return x

    def jacobian(self, label: str) -> npt.NDArray[np.float32]:
        """Volume in that phase per volume in the reference at each voxel of `region`, shape (z, y, x); ≤ 0 is folded."""
        if label == self.reference_label:
            return np.ones(self.region.shape, dtype=np.float32)
        return self._field(label).jacobian()

    def trajectory(self, mask: Mask) -> dict[str, Triple]:
        """The centroid of the mask's anatomy in each phase that could be registered, LPS mm: finer than its voxels.

        Each voxel of the reference counts for the volume that it takes up in the phase.
        """
        self._require_within(mask)
        points = mask.points_mm
        centroids = {}
        for label in self.labels:
            if label in self.failed or label in self.skipped:
                continue
            weights = np.ones(len(points)) if label == self.reference_label else np.clip(self._jacobian_at(label, points), 1e-6, None)
            x, y, z = np.average(self.reference_to_phase(label, points), axis=0, weights=weights)
            centroids[label] = (float(x), float(y), float(z))
        return centroids

    def carry(self, mask: Mask, *, drawn: Mapping[str, Mask] | None = None) -> PhaseMasks:
        """The anatomy of `mask` (drawn on the reference phase) as it lies in each phase, on the 4D-CT's grid.

        A voxel of a phase is inside where its centre comes from inside the mask's surface (signed distance, finer than a voxel). The surface of
        each piece is moved by up to a voxel so that its volume is what the field says: flat faces between thick slices would lose some,
        and small pieces more than large ones. In the reference it is the mask itself; phases in `drawn` are taken as they are drawn. A phase of which
        no voxel comes from the mask, or from a piece of it, is among the failed ones. A mask that reaches beyond the region is refused.
        """
        drawn = dict(drawn or {})
        for label, each in ((self.reference_label, mask), *drawn.items()):
            grids.require(self.geometry, each.geometry, what=f"The mask of phase {label} lies on another grid than the 4D-CT")
            if label not in self.labels:
                raise NotFoundError("A drawn mask belongs to no phase", expected=", ".join(self.labels), found=label)
        if lacking := sorted(self.skipped - set(drawn)):
            what = "A phase was neither registered nor drawn"
            raise InputError(what, where=f"phase {lacking[0]}", do=f"Track again without skip={lacking[0]!r}, or give its drawn mask")
        if mask.is_empty:
            raise ContourError("An empty mask cannot be carried", where=f"phase {self.reference_label}")
        self._require_within(mask)
        masks = {self.reference_label: mask} | drawn
        parts = [(piece, *_distance_around(piece)) for piece in pieces(mask)]
        vanished: dict[str, str] = {}
        for label in self.fields:
            if label not in masks:
                carried = [self._carried(label, *part) for part in parts]
                masks[label] = reduce(Mask.__or__, carried)
                if lost := [piece for (piece, *_), one in zip(parts, carried, strict=True) if one.is_empty]:
                    what = "the target" if len(lost) == len(parts) else f"a piece of the target of {max(p.volume_cm3 for p in lost):.2g} cm³"
                    vanished[label] = VANISHED.format(what)
        failed = vanished | {label: reason for label, reason in self.failed.items() if label not in drawn}
        ordered = {label: masks[label] for label in self.labels if label in masks and label not in vanished}
        finer = {label: centroid for label, centroid in self.trajectory(mask).items() if label in self.fields and label not in drawn}
        return PhaseMasks(ordered, reference_label=self.reference_label, failed=failed, drawn=frozenset(drawn), finer_mm=finer)

    def _carried(self, label: str, mask: Mask, distance: npt.NDArray[np.float32], around: Geometry) -> Mask:
        from scipy import ndimage

        points = mask.points_mm
        room = float(np.linalg.norm(self.geometry.spacing_mm))
        start, size = self.geometry.box_around(self._field(label).map(points), room)
        window = self.geometry.crop(start, size)
        x, _, _ = self._field(label).inverse(window.centres())
        index = np.moveaxis(around.to_index(x), -1, 0)[::-1]
        sampled = ndimage.map_coordinates(distance, index, order=1, mode="constant", cval=ROUND_MM)
        volume_mm3 = 1000 * mask.volume_cm3 * float(np.clip(self._jacobian_at(label, points), 0, None).mean())
        level = level_that_keeps_volume(sampled, window, volume_mm3, reach_mm=max(self.geometry.spacing_mm))
        inside = np.zeros(self.geometry.shape, dtype=bool)
        inside[tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))] = sampled < level
        return Mask(inside, self.geometry)

    def _field(self, label: str) -> DisplacementField:
        if label in self.fields:
            return self.fields[label]
        if label in self.failed:
            raise RegistrationError("The registration of this phase failed", where=f"phase {label}", found=self.failed[label])
        if label in self.skipped:
            raise NotFoundError("This phase was not registered", where=f"phase {label}", do="Track again without skipping it")
        raise NotFoundError("No phase of that label", expected=f"one of {', '.join(self.labels)}", found=label)

    def _jacobian_at(self, label: str, points: Floats) -> Floats:
        from scipy import ndimage

        index = np.moveaxis(self.region.to_index(points), -1, 0)[::-1]
        return np.asarray(ndimage.map_coordinates(self.jacobian(label), index, order=1, mode="nearest", output=np.float64))

    def _require_within(self, mask: Mask) -> None:
        grids.require(self.geometry, mask.geometry, what="A mask lies on another grid than the 4D-CT")
        within = self.region.contains(mask.points_mm)
        if not within.all():
            share = 100 * np.count_nonzero(~within) / within.size
            raise GeometryError("A mask reaches beyond the region that was registered", found=f"{share:.0f} % of its voxels outside", do=_WIDER)

    def __repr__(self) -> str:
        largest = {label: float(np.linalg.norm(each.vectors_mm, axis=-1).max()) for label, each in self.fields.items()}
        moved = ", ".join(f"{label} {largest[label]:.1f}" for label in self.labels if label in largest)
        failed = f"; FAILED: {', '.join(self.failed)}" if self.failed else ""
        failed += f"; skipped: {', '.join(label for label in self.labels if label in self.skipped)}" if self.skipped else ""
        return f"Motion({self.recipe.name}, reference {self.reference_label}; up to mm: {moved}{failed})"


VANISHED = "{} vanishes: no voxel of this phase comes from inside it"
_WIDER = "Track again with this mask as the focus, or with whole_lung=True"


def _distance_around(mask: Mask) -> tuple[npt.NDArray[np.float32], Geometry]:
    """The mask's signed distance in its box and some room, its flat faces rounded, and that box' grid."""
    start, size = mask.box(ROUND_MM + max(mask.geometry.spacing_mm))
    around = mask.crop(start, size)
    return rounded_distance_mm(around, rounded=ROUNDED), around.geometry
