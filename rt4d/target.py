"""The internal target volume: the union of the GTV over the phases, what moves in it, and the margins around it (ICRU 62 and 83)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
import numpy.typing as npt

from rt4d import geometry as grids
from rt4d.errors import ContourError, GeometryError, InputError
from rt4d.geometry import Geometry, Triple
from rt4d.motion import PhaseMasks
from rt4d.phases import FourDCT
from rt4d.rois import COLOURS, Roi
from rt4d.volumes import Mask, Volume

UNVERIFIED = "_UNVERIFIED"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ITV:
    """The union of one target's GTV over the phases of the breathing cycle, on the reference phase's grid.

    phases: the GTV of each phase that is in the union, in cycle order. centroid_mm: of each, LPS; where it was carried, finer than its voxels.
    failed: phases that are not in it, and why. drawn: phases as a physician drew them. number: which target of several, None for the only one.
    margin_mm: what was added for the PTV along patient x, y, z. verified: whether all checks passed; the ROI names tell.
    source: how the reference phase's GTV came to be, for the ROIs' descriptions.
    """

    phases: Mapping[str, Mask]
    mask: Mask
    centroid_mm: Mapping[str, Triple]
    failed: Mapping[str, str] = field(default_factory=dict)
    drawn: frozenset[str] = frozenset()
    reference_label: str | None = None
    number: int | None = None
    ptv: Mask | None = None
    margin_mm: Triple | None = None
    verified: bool = True
    source: str = "drawn"

    @property
    def name(self) -> str:
        return self._named("ITV")

    @property
    def volume_cm3(self) -> dict[str, float]:
        """By phase label, 'ITV', and 'PTV' where there is one."""
        volumes = {label: mask.volume_cm3 for label, mask in self.phases.items()} | {"ITV": self.mask.volume_cm3}
        return volumes | ({"PTV": self.ptv.volume_cm3} if self.ptv is not None else {})

    @property
    def amplitude_mm(self) -> dict[str, float]:
        """Peak-to-peak travel of the GTV's centroid along patient x, y, z."""
        travel = np.ptp(list(self.centroid_mm.values()), axis=0)
        return dict(zip("xyz", travel.tolist(), strict=True))

    @property
    def occupancy(self) -> npt.NDArray[np.float32]:
        """The fraction of the phases in which a voxel belongs to the GTV, shape z y x: > 0 in the ITV, 1 where the GTV always is."""
        counted = np.zeros(self.mask.inside.shape, np.uint8)
        for mask in self.phases.values():
            counted += mask.inside
        return (counted / np.float32(len(self.phases))).astype(np.float32)

    @property
    def adds_cm3(self) -> dict[str, float]:
        """What each phase alone adds: the volume that the ITV would lose without it."""
        only_once = np.rint(self.occupancy * len(self.phases)) == 1
        return {label: Mask(mask.inside & only_once, mask.geometry).volume_cm3 for label, mask in self.phases.items()}

    @property
    def mid_ventilation(self) -> str:
        """The phase whose centroid lies nearest to the mean over the cycle (Wolthaus et al., IJROBP 2008)."""
        centroids = np.array(list(self.centroid_mm.values()))
        nearest = int(np.linalg.norm(centroids - centroids.mean(axis=0), axis=1).argmin())
        return list(self.phases)[nearest]

    @property
    def rois(self) -> list[Roi]:
        """Phase GTVs, ITV and PTV, named as planning systems are to show them ('GTV_T50', 'ITV', 'PTV_5mm')."""
        count = f" {self.number}" if self.number else ""
        shades = np.linspace(1.0, 0.55, len(self.phases))
        rois = [self._phase_roi(label, float(shade), f"GTV{count}") for label, shade in zip(self.phases, shades, strict=True)]
        rois.append(Roi(self.name + self._suffix, self.mask, "ITV", f"Union of GTV{count} over {self._said()}", COLOURS["ITV"]))
        if self.ptv is not None and self.margin_mm is not None:
            said = f"{self.name} + {' / '.join(f'{m:g}' for m in self.margin_mm)} mm (x / y / z)"
            rois.append(Roi(self._named("PTV") + f"_{_margin_name(self.margin_mm)}{self._suffix}", self.ptv, "PTV", said, COLOURS["PTV"]))
        return rois

    def with_verdict(self, *, verified: bool) -> ITV:
        """The same volumes under names that say whether every check passed."""
        return replace(self, verified=verified)

    def on(self, geometry: Geometry) -> ITV:
        """The same target on another grid of the same frame of reference (a planning CT), resampled at sub-voxel accuracy.

        Every piece keeps its volume, also between thick slices; each phase's GTV lies within the ITV, and that within the PTV.
        """
        from rt4d.resampling import resample_mask

        masks = {label: resample_mask(mask, geometry, keep_volume=True) for label, mask in self.phases.items()}
        whole = reduce(Mask.__or__, masks.values(), resample_mask(self.mask, geometry, keep_volume=True))
        ptv = resample_mask(self.ptv, geometry, keep_volume=True) | whole if self.ptv is not None else None
        return replace(self, phases=masks, mask=whole, ptv=ptv)

    def _named(self, kind: str) -> str:
        return f"{kind}{self.number or ''}"

    @property
    def _suffix(self) -> str:
        return "" if self.verified and not self.failed else UNVERIFIED

    def _phase_roi(self, label: str, shade: float, what: str) -> Roi:
        origin = self.source if label in self.drawn or label == self.reference_label else f"carried from phase {self.reference_label}"
        red, green, blue = (int(shade * part) for part in COLOURS["GTV"])
        return Roi(f"{self._named('GTV')}_T{label}", self.phases[label], "GTV", f"{what} at phase {label}, {origin}", (red, green, blue))

    def _said(self) -> str:
        said = f"phases {' '.join(self.phases)}"
        if self.failed:
            said += f". NOT INCLUDED, registration failed: {' '.join(self.failed)}"
        return said if self.verified else f"{said}. A check failed: see the report"

    def __repr__(self) -> str:
        travel = " ".join(f"{axis} {mm:.1f}" for axis, mm in self.amplitude_mm.items())
        failed = f", failed: {' '.join(self.failed)}" if self.failed else ""
        return f"ITV({self.mask.volume_cm3:.2f} cm³ of {len(self.phases)} phases, amplitude {travel} mm{failed})"


def itv(masks: Mapping[str, Mask], *, margin_mm: float | Triple | None = None, number: int | None = None) -> ITV:
    """The ITV of one target from its GTV in each phase (`motion.carry(gtv)`), with a PTV where a margin is given.

    Raises ContourError where a phase's GTV is empty, GeometryError where the phases lie on different grids or the PTV would leave the CT.
    """
    if not masks:
        raise InputError("An ITV needs the GTV of at least one phase", do="No phase could be registered: see the failures in motion.failed")
    for label, mask in masks.items():
        if mask.is_empty:
            raise ContourError("The GTV of a phase is empty", where=f"phase {label}")
        if mask.touches_edge:
            raise GeometryError("The GTV of a phase reaches the edge of the CT, where part of it may be missing", where=f"phase {label}")
    union = reduce(Mask.__or__, masks.values())
    margin = None if margin_mm is None else _triple(margin_mm)
    centroids = masks.centroid_mm if isinstance(masks, PhaseMasks) else {label: mask.centroid_mm for label, mask in masks.items()}
    target = ITV(dict(masks), union, centroids, number=number, ptv=None if margin is None else expand(union, margin), margin_mm=margin)
    if isinstance(masks, PhaseMasks):
        return replace(target, failed=dict(masks.failed), drawn=frozenset(masks.drawn), reference_label=masks.reference_label)
    return target


def expand(mask: Mask, margin_mm: float | Triple) -> Mask:
    """The mask and all voxels whose centre lies within an ellipsoid of half axes `margin_mm` (patient x, y, z) of its surface.

    Exact on the voxels' own boxes: a surface lies half a voxel beyond the outermost centres, so that 5 mm on 3 mm slices add two slices (6 mm), not
    one. Raises GeometryError where the result would leave the grid, where margins differ between the axes of an oblique grid, or slices are uneven.
    """
    margin = _along_index_axes(mask.geometry, _triple(margin_mm))
    grids.require_even(mask.geometry, what="A margin")
    if min(margin) < 0:
        raise InputError("A margin cannot be negative", expected="millimetres ≥ 0", found=margin_mm)
    if mask.is_empty:
        return mask
    start, size = mask.box()
    steps = [int(np.floor(m / s + 0.5 + 1e-9)) for m, s in zip(margin, mask.geometry.spacing_mm, strict=True)]
    if any(i < n or i + have + n > whole for i, have, n, whole in zip(start, size, steps, mask.geometry.size, strict=True)):
        raise GeometryError("The margin reaches beyond the CT", expected="the whole PTV inside the image", do="Give a smaller margin or a longer CT")
    z, y, x = (slice(i - n, i + have + n) for i, have, n in reversed(list(zip(start, size, steps, strict=True))))
    squared = np.where(mask.inside[z, y, x], np.float32(0), np.float32(np.inf))
    for axis in range(3):
        squared = _nearest_along(squared, 2 - axis, spacing=mask.geometry.spacing_mm[axis], margin=margin[axis], steps=steps[axis])
    inside = mask.inside.copy()
    inside[z, y, x] |= squared <= 1 + 1e-6
    return Mask(inside, mask.geometry)


def _nearest_along(squared: npt.NDArray[np.float32], axis: int, *, spacing: float, margin: float, steps: int) -> npt.NDArray[np.float32]:
    """The least of `squared` plus the squared way along one axis to a voxel's face, in units of the margin: one pass of a separable distance."""
    nearest = squared.copy()
    for step in range(1, steps + 1):
        way = np.float32(((step - 0.5) * spacing / margin) ** 2)
        ahead, behind = _shifted(nearest.ndim, axis, step)
        nearest[behind] = np.minimum(nearest[behind], squared[ahead] + way)
        nearest[ahead] = np.minimum(nearest[ahead], squared[behind] + way)
    return nearest


def _shifted(ndim: int, axis: int, step: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    whole = [slice(None)] * ndim
    ahead, behind = list(whole), list(whole)
    ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
    return tuple(ahead), tuple(behind)


def average(ct: FourDCT) -> Volume:
    """The mean of all phases voxel by voxel, int16 HU on the phases' grid."""
    total = np.zeros(ct.geometry.shape, np.int32)
    for phase in ct:
        total += phase.volume.hu
    return Volume(np.rint(total / np.float32(len(ct))).astype(np.int16), ct.geometry)


def projections(ct: FourDCT) -> dict[str, Volume]:
    """'average', 'MIP' and 'minimum' of all phases voxel by voxel, int16 HU on the phases' grid."""
    highest, lowest = ct.phases[0].volume.hu.copy(), ct.phases[0].volume.hu.copy()
    for phase in ct.phases[1:]:
        np.maximum(highest, phase.volume.hu, out=highest)
        np.minimum(lowest, phase.volume.hu, out=lowest)
    return {"average": average(ct), "MIP": Volume(highest, ct.geometry), "minimum": Volume(lowest, ct.geometry)}


@dataclass(frozen=True, slots=True)
class MipCrossCheck:
    """An ITV drawn by a threshold on the MIP, beside the one from registration: independent of any registration.

    applies: only where the target lies in lung on all sides. volume_cm3 and dice against the ITV; None where it does not apply (`why`).
    """

    applies: bool
    why: str
    threshold_hu: float | None = None
    volume_cm3: float | None = None
    dice: float | None = None


def mip_cross_check(ct: FourDCT, target: ITV) -> MipCrossCheck:
    """The connected region above the middle between tumour and lung on the MIP, within 5 mm of the ITV, against the ITV.

    Where other tissue stands beside the target on the MIP (chest wall, diaphragm, mediastinum) it does not apply. Vessels within the 5 mm count.
    """
    from scipy import ndimage

    start, size = target.mask.box(15.0)
    inside = target.mask.crop(start, size)
    near = expand(_padded(inside), 5.0)
    far = expand(_padded(inside), 10.0)
    mip = np.maximum.reduce([phase.volume.crop(start, size).hu for phase in ct]).astype(np.float32)
    window = _unpadded(near.inside), _unpadded(far.inside)
    ring = mip[window[1] & ~window[0]]
    share = float(np.mean(ring > NOT_LUNG_HU)) if ring.size else 1.0
    if share > 0.1:
        return MipCrossCheck(applies=False, why=f"{share:.0%} of the ring 5–10 mm around the ITV is not lung on the MIP")
    tumour, lung = float(np.median(mip[inside.inside])), float(np.median(ring))
    threshold = (tumour + lung) / 2
    parts, _ = ndimage.label((mip > threshold) & window[0])
    touched = np.unique(parts[inside.inside & (parts > 0)])
    drawn = Mask(np.isin(parts, touched[touched > 0]), inside.geometry)
    total = drawn.volume_cm3 + inside.volume_cm3
    return MipCrossCheck(
        applies=True, why="", threshold_hu=threshold, volume_cm3=drawn.volume_cm3, dice=2 * (drawn & inside).volume_cm3 / total if total else None
    )


NOT_LUNG_HU = -400
PAD = 24
"""Voxels around a crop, enough for a margin of 10 mm on 0.5 mm voxels."""


def _padded(mask: Mask) -> Mask:
    grid = mask.geometry
    x, y, z = (n + 2 * PAD for n in grid.size)
    return Mask(np.pad(mask.inside, PAD), replace(grid, size=(x, y, z), origin_mm=tuple(grid.to_patient([-PAD] * 3))))


def _unpadded(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return inside[PAD:-PAD, PAD:-PAD, PAD:-PAD]


def _triple(margin_mm: float | Sequence[float]) -> Triple:
    values = np.broadcast_to(np.asarray(margin_mm, dtype=float), 3)
    return float(values[0]), float(values[1]), float(values[2])


def _along_index_axes(geometry: Geometry, margin_mm: Triple) -> Triple:
    """Margins along patient axes as margins along the grid's own; on an oblique grid they must all be the same."""
    turned = np.abs(geometry.matrix)
    if len(set(margin_mm)) > 1 and not np.allclose(turned, np.rint(turned), atol=1e-3):
        raise GeometryError("Margins that differ between the patient's axes need a grid along these axes", found=f"direction {geometry.direction}")
    if len(set(margin_mm)) == 1:
        return margin_mm
    return _triple(np.rint(turned).T @ np.array(margin_mm))


def _margin_name(margin_mm: Triple) -> str:
    same = len(set(margin_mm)) == 1
    return "x".join(f"{m:g}".replace(".", "p") for m in (margin_mm[:1] if same else margin_mm)) + "mm"
