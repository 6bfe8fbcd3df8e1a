"""The gross tumour volume on a CT without anybody's contour: `segment`, and what it found (`Segmentation`). A physician chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rt4d.errors import InputError, NoLesionError
from rt4d.geometry import Geometry, Triple
from rt4d.phases import CtImage
from rt4d.rois import Progress
from rt4d.segmentation.bundle import DEFAULT, read_bundle
from rt4d.segmentation.candidates import Candidate, candidate_at, find_candidates, only, why_not
from rt4d.segmentation.inference import probability
from rt4d.volumes import Mask, Volume

HOW_TO_GO_ON = "Name a point in the lesion (--point=X,Y,Z), choose among the candidates (--keep N,N), or give a contour (--gtv RTSTRUCT)"
FAINT = "candidate {} is faint (score {:.2f}): it is outlined from half of its highest probability; check its outline"
BESIDE = "the contour does not hold the point ({:.0f} mm away): check that it is the lesion"
CHOSEN = "candidate {} would not be kept by itself ({}): check that it is the lesion"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Segmentation:
    """The candidates on a CT, kept ones first, each group by falling score; and the model that found them, by name and digest.

    flips: whether it also looked at the CT turned over.
    """

    candidates: tuple[Candidate, ...]
    geometry: Geometry
    bundle: str
    bundle_sha256: str
    notes: tuple[str, ...] = ()
    flips: bool = False

    @property
    def kept(self) -> tuple[Candidate, ...]:
        return tuple(one for one in self.candidates if one.kept)

    @property
    def primary(self) -> Mask:
        """The mask of the highest-scored candidate that is kept. NoLesionError where none is, saying what was found."""
        return self.first.mask

    @property
    def first(self) -> Candidate:
        """The highest-scored candidate that is kept. NoLesionError where none is, saying what was found."""
        if not self.kept:
            others = "; ".join(f"{one.number}: {one.volume_cm3:.2f} cm³, score {one.score:.2f}, {one.why_not}" for one in self.candidates[:3])
            found = f"only candidates that are not kept ({others})" if others else ""
            raise NoLesionError("No lesion was found on this CT", found=found, do=HOW_TO_GO_ON)
        return self.kept[0]

    @property
    def mask(self) -> Mask:
        """All candidates that are kept, as one; empty where none is."""
        inside = np.zeros(self.geometry.shape, dtype=bool)
        for one in self.kept:
            one.add_to(inside)
        return Mask(inside, self.geometry)

    def __repr__(self) -> str:
        return f"Segmentation({len(self.kept)} of {len(self.candidates)} candidates kept, by {self.bundle} {self.bundle_sha256[:12]})"


def segment(
    image: Volume | CtImage,
    *,
    bundle: str | Path | None = None,
    point_mm: Triple | None = None,
    keep: Sequence[int] | None = None,
    flips: bool = False,
    progress: Progress | None = None,
) -> Segmentation:
    """The lesions on a CT as candidates, those of sufficient score and size kept; or the one at a point, whatever its score.

    bundle: a name, or '/path/to/bundle@sha256:<hex>'; rt4d's own where not given. point_mm: patient coordinates (LPS). keep: the numbers of
    the candidates to be kept instead, as an earlier call on the same CT gave them. flips: also look at the CT turned over, four times as long.
    Raises InputError: no lesion at the point (NoLesionError), a point outside CT or patient, no candidate of a number, a bundle that is unusable.
    """
    if point_mm is not None and keep:
        raise InputError("A point and numbers of candidates exclude one another", do="Give one of them")
    volume = image.volume if isinstance(image, CtImage) else image
    model = read_bundle(DEFAULT if bundle is None else bundle)
    found = probability(volume, model, point_mm=point_mm, flips=flips, progress=progress)
    if point_mm is not None:
        threshold = model.threshold_at_point
        candidates: tuple[Candidate, ...] = (candidate_at(found, model, volume.geometry, point_mm),)
    else:
        threshold = model.threshold
        candidates = find_candidates(found, model, volume.geometry)
    if keep:
        candidates = only(candidates, keep)
    kept = [one for one in candidates if one.kept]
    faint = (FAINT.format(one.number, one.score) for one in kept if one.outlined_from < threshold)
    chosen = (CHOSEN.format(one.number, why) for one in kept if (why := why_not(one, model, found.chest)))
    beside = () if point_mm is None else tuple(BESIDE.format(max(mm, 1.0)) for one in kept if (mm := _off(one.part, point_mm)))
    return Segmentation(candidates, volume.geometry, model.name, model.sha256, (*found.notes, *beside, *faint, *chosen), flips=flips)


def _off(part: Mask, point_mm: Triple) -> float:
    """How far a point lies from the nearest voxel centre of a mask, in mm; 0 where a voxel of it holds the point."""
    x, y, z = np.round(part.geometry.to_index(np.array(point_mm))).astype(int)
    held = part.geometry.contains(np.array(point_mm)) and part.inside[z, y, x]
    return 0.0 if held else float(np.linalg.norm(part.points_mm - point_mm, axis=1).min())
