"""A 4D-CT with its truth: the known motion and, from it, every phase's GTV and the ITV, finer than a voxel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rt4d import __version__
from rt4d.errors import NotFoundError
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.phantom.breathing import Breathing
from rt4d.phantom.soft import Array
from rt4d.phases import FourDCT, Phase, parse_label
from rt4d.rois import Progress
from rt4d.volumes import Mask, Volume


class Target(Protocol):
    """A region at the reference phase by a formula that is negative inside."""

    @property
    def name(self) -> str: ...

    @property
    def centre_mm(self) -> Triple: ...

    @property
    def mask(self) -> Mask | None:
        """As a physician drew it on the reference phase; None where it is a formula."""

    def distance_mm(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm, negative inside, exactly zero on the surface; of a drawn region only near it."""

    def shell_points_mm(self) -> Floats:
        """Points, shape (n, 3), whose box in a phase holds the region in it."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Phantom:
    """A 4D-CT whose motion is known.

    Truth masks hold the voxel centres whose place at the reference lies inside the target's formula (or the rounded solid of a drawn mask, which
    is itself the truth on the reference phase): no voxel is carried as a block. `parameters`: what it was made with, as it stands in truth.json.
    """

    ct: FourDCT
    motion: Breathing
    targets: tuple[Target, ...]
    parameters: dict[str, Any]
    _made: dict[tuple[str, int], Mask] = field(default_factory=dict)

    def gtv(self, label: str, tumour: int = 0) -> Mask:
        """The tumour as it lies in a phase, on the 4D-CT's grid."""
        self.ct[label]
        if (label, tumour) not in self._made:
            target = self._target(tumour)
            drawn = target.mask if label == self.ct.reference_label else None
            self._made[label, tumour] = drawn or truth_mask(target, self.motion, label, self.ct.geometry)
        return self._made[label, tumour]

    @property
    def reference_gtv(self) -> Mask:
        """The first tumour on the reference phase: what a physician would draw."""
        return self.gtv(self.ct.reference_label)

    @property
    def itv(self) -> Mask:
        """The union of the first tumour's masks over all phases."""
        return self.itv_of(0)

    def itv_of(self, tumour: int) -> Mask:
        """The union of one tumour's masks over all phases."""
        return reduce(Mask.__or__, (self.gtv(label, tumour) for label in self.ct.labels))

    def phase_to_reference(self, label: str, points_mm: npt.ArrayLike) -> Floats:
        """Where at the reference lies what points of a phase show, shape (..., 3)."""
        points = np.asarray(points_mm, dtype=float)
        return np.stack(np.broadcast_arrays(*self.motion.pull_back(label, *np.moveaxis(points, -1, 0))), axis=-1)

    def reference_to_phase(self, label: str, points_mm: npt.ArrayLike) -> Floats:
        """Where points of the reference lie in a phase, shape (..., 3): the numerical inverse, to 1e-4 mm."""
        points = np.asarray(points_mm, dtype=float)
        return self.motion.push(label, points.reshape(-1, 3)).reshape(points.shape)

    def trajectory_mm(self, tumour: int = 0) -> dict[str, Triple]:
        """Where the tumour's centre lies in each phase."""
        centre = np.array([self._target(tumour).centre_mm])
        places = {label: self.reference_to_phase(label, centre)[0] for label in self.ct.labels}
        return {label: (float(x), float(y), float(z)) for label, (x, y, z) in places.items()}

    def write(self, folder: str | Path, *, progress: Progress | None = None) -> Path:
        """The case as files: 4dct/<label>/*.dcm, gtv.dcm (on the reference), truth/ (gtv_<label>.nii.gz, itv.nii.gz, truth.json).

        With several tumours the first has these names and the others gtv2_<label>.nii.gz, itv2.nii.gz … The folder appears whole or not at all.
        """
        from rt4d.outputs import require_new_folder, whole_folder

        out = require_new_folder(folder)
        with whole_folder(out) as inside:
            self._write_images(inside, progress)
            self._write_contours(inside / "gtv.dcm")
            self._write_truth(inside / "truth")
        return out

    def _target(self, tumour: int) -> Target:
        if not 0 <= tumour < len(self.targets):
            raise NotFoundError("No tumour of that number", expected=f"0 to {len(self.targets) - 1}", found=tumour)
        return self.targets[tumour]

    def _write_images(self, folder: Path, progress: Progress | None) -> None:
        from rt4d.dicom.ct_writer import write_ct_series

        for number, phase in enumerate(self.ct, start=1):
            told = percentage_of(phase.label)
            write_ct_series(phase, folder / "4dct" / phase.label, series_description=told, image_comments=told, series_number=number)
            if progress is not None:
                progress("writing", number, len(self.ct))

    def _write_contours(self, path: Path) -> None:
        from rt4d.dicom.structures import write_rtstruct
        from rt4d.rois import COLOURS, Roi

        names = _names([target.name for target in self.targets])
        masks = [self.gtv(self.ct.reference_label, i) for i in range(len(self.targets))]
        rois = [Roi(name, mask, "GTV", "", COLOURS["GTV"]) for name, mask in zip(names, masks, strict=True)]
        if rois:
            write_rtstruct(path, on=self.ct.reference, rois=rois, label="rt4d phantom")

    def _write_truth(self, folder: Path) -> None:
        from rt4d.images import write_mask

        folder.mkdir()
        for i in range(len(self.targets)):
            suffix = "" if i == 0 else str(i + 1)
            for label in self.ct.labels:
                write_mask(folder / f"gtv{suffix}_{label}.nii.gz", self.gtv(label, i))
            write_mask(folder / f"itv{suffix}.nii.gz", self.itv_of(i))
        (folder / "truth.json").write_text(json.dumps(self.summary(), indent=2) + "\n", encoding="utf8")

    def summary(self) -> dict[str, Any]:
        """The truth in numbers: volumes, centroids of the masks, the centres' exact places and amplitudes, and what the case was made with."""
        from rt4d.provenance import versions

        return {
            "reference": self.ct.reference_label,
            "phases": list(self.ct.labels),
            "tumours": [self._tumour_summary(i) for i in range(len(self.targets))],
            "parameters": self.parameters,
            "versions": versions(),
        }

    def _tumour_summary(self, i: int) -> dict[str, Any]:
        masks = {label: self.gtv(label, i) for label in self.ct.labels}
        trajectory = self.trajectory_mm(i)
        x, y, z = np.ptp(np.array(list(trajectory.values())), axis=0).round(4).tolist()
        return {
            "name": _names([target.name for target in self.targets])[i],
            "volume_cm3": {label: round(mask.volume_cm3, 4) for label, mask in masks.items()} | {"ITV": round(self.itv_of(i).volume_cm3, 4)},
            "centroid_mm": {label: None if mask.is_empty else _rounded(mask.centroid_mm) for label, mask in masks.items()},
            "centre_mm": {label: _rounded(place) for label, place in trajectory.items()},
            "amplitude_mm": {"x": x, "y": y, "z": z},
        }

    def __repr__(self) -> str:
        return f"Phantom({self.ct!r}, {len(self.targets)} tumours)"


def truth_mask(target: Target, motion: Breathing, label: str, geometry: Geometry) -> Mask:
    """The voxel centres whose place at the reference lies inside the target."""
    start, size = box_in_phase(target, motion, label, geometry)
    inside = np.zeros(geometry.shape, dtype=bool)
    centres = geometry.crop(start, size).centres()
    back = motion.pull_back(label, *np.moveaxis(centres, -1, 0))
    (x, y, z), (nx, ny, nz) = start, size
    inside[z : z + nz, y : y + ny, x : x + nx] = target.distance_mm(*back) < 0
    return Mask(inside, geometry)


def box_in_phase(target: Target, motion: Breathing, label: str, geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Start and size of the part of the grid that holds the target in a phase."""
    return geometry.box_around(motion.push(label, target.shell_points_mm()), 4.0 + max(geometry.spacing_mm))


def _names(names: Sequence[str]) -> list[str]:
    """GTV, GTV2, GTV3 … where names repeat."""
    return [name if names.index(name) == i else f"{name}{i + 1}" for i, name in enumerate(names)]


def percentage_of(label: str) -> str:
    """A phase as scanners write it, with as many decimals as its label has but one at least: '50.0%', '33.33% In'."""
    percent, way = parse_label(label)
    return f"{percent:.{1 if percent == round(percent, 1) else 2}f}% {way}".rstrip()


def _rounded(point: Triple) -> list[float]:
    return [round(float(v), 4) for v in point]


def phases_with_identity(
    volumes: Mapping[str, npt.NDArray[np.int16]], geometry: Geometry, parameters: dict[str, Any], *, patient_position: str
) -> tuple[Phase, ...]:
    """Phases of one study and one frame of reference. Their UIDs come from the parameters: the same case has the same ones."""
    from rt4d.dicom.ct_writer import new_identity, uid

    origin = json.dumps([parameters, __version__], sort_keys=True)
    grid = geometry if geometry.frame_of_reference else replace(geometry, frame_of_reference=uid(f"{origin} frame"))
    made = []
    for label, hu in volumes.items():
        identity = new_identity(
            grid,
            patient_id="RT4D-PHANTOM",
            description=f"rt4d phantom {label}",
            study_uid=uid(f"{origin} study"),
            patient_position=patient_position,
            seed=f"{origin} {label}",
        )
        made.append(Phase(Volume(hu, grid), identity, label=label))
    return tuple(made)
