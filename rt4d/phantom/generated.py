"""A generated 4D-CT: the thorax of thorax.py with its trees, breathing as breathing.py says, on any grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from rt4d.errors import InputError
from rt4d.geometry import IDENTITY, Geometry, Triple
from rt4d.phantom.breathing import Breathing, breathing_for
from rt4d.phantom.case import Phantom, phases_with_identity
from rt4d.phantom.imaging import Noise, phase_image
from rt4d.phantom.scene import reference_raster
from rt4d.phantom.tumours import Tumour
from rt4d.phantom.waveform import Waveform, cosine, labels_of, nearest_to_exhale, travel_of
from rt4d.phases import FourDCT
from rt4d.rois import Progress

RIGHT_LOWER_LOBE = (-77.3, 18.4, -21.1)
POSITIONS = {
    "HFS": IDENTITY,
    "HFP": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "FFS": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "FFP": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0),
}
"""Directions of a CT grid by patient position (DICOM PS3.3 C.7.3.1.1.2)."""


def make_4dct(
    *,
    size: tuple[int, int, int] = (128, 96, 64),
    spacing_mm: Triple = (3.0, 3.0, 4.0),
    direction: str | Sequence[float] = "HFS",
    centre_mm: Triple = (0.0, 0.0, 0.0),
    phases: int | Sequence[str] = 10,
    reference: str | None = None,
    tumours: Sequence[Tumour] = (Tumour(RIGHT_LOWER_LOBE, 30.0),),
    amplitude_mm: Triple = (1.0, 4.0, 15.0),
    waveform: Waveform | None = None,
    lag: float = 0.08,
    sliding_mm: float = 2.5,
    noise_hu: float = 15.0,
    noise_smooth_mm: float = 0.0,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Phantom:
    """A breathing thorax with its truth.

    size, spacing_mm, centre_mm: the grid along its own axes and the patient coordinates of its middle (the chest's middle is 0, 0, 0).
    direction: 'HFS', 'HFP', 'FFS', 'FFP', or nine numbers row by row. phases: how many, or their labels.
    reference: a label, None for the phase nearest to 50 %. amplitude_mm: how far the first tumour's centre travels between its extreme phases
    along x y z; at inhalation to the feet, to the front, outwards. lag: how much later, in breathing cycles, it moves to the front than to the feet
    (hysteresis). sliding_mm: thickness of the layer in which the lung slides along the chest wall. noise_hu: standard deviation, independent
    in each phase; noise_smooth_mm: of a Gaussian kernel over it. seed: of vessels, texture and noise. Same arguments, same arrays, bit for bit,
    on any number of cores.
    Refused (InputError): a motion that would fold, a tumour that leaves the grid in a phase.
    """
    geometry = _grid(size, spacing_mm, direction, centre_mm)
    labels = labels_of(phases)
    reference = nearest_to_exhale(labels) if reference is None else reference
    tumours = tuple(tumours)
    point = tumours[0].centre_mm if tumours else RIGHT_LOWER_LOBE
    travel = travel_of(labels, reference, amplitude_mm, waveform or cosine(), lag=lag, outwards=1.0 if point[0] >= 0 else -1.0)
    motion = breathing_for(point, travel, radius_mm=tumours[0].reach_mm if tumours else 0.0, sliding_mm=sliding_mm)
    for tumour in tumours:
        _require_on_grid(tumour, motion, labels, geometry)
    raster = reference_raster(geometry, tumours, seed=seed, reach_mm=_reach_mm(motion), workers=workers)
    parameters = {
        "kind": "generated thorax", "size": list(geometry.size), "spacing_mm": list(geometry.spacing_mm), "direction": list(geometry.direction),
        "centre_mm": list(centre_mm), "phases": list(labels), "reference": reference, "tumours": [asdict(tumour) for tumour in tumours],
        "amplitude_mm": list(amplitude_mm), "lag": lag, "sliding_mm": sliding_mm, "noise_hu": noise_hu, "noise_smooth_mm": noise_smooth_mm,
        "seed": seed, "strength_mm": {label: list(numbers) for label, numbers in motion.strength.items()},
    }  # fmt: skip
    volumes = {}
    for number, label in enumerate(labels):
        noise = Noise(noise_hu, noise_smooth_mm / spacing_mm[0], (seed, 1, number))
        volumes[label] = phase_image(raster, motion, label, geometry, tumours, noise, workers=workers)
        if progress is not None:
            progress("phases", number + 1, len(labels))
    position = direction if isinstance(direction, str) else "HFS"
    made = phases_with_identity(volumes, geometry, parameters, patient_position=position)
    return Phantom(FourDCT(made, reference, told_by="rt4d.phantom"), motion, tumours, parameters)


def _grid(size: tuple[int, int, int], spacing_mm: Triple, direction: str | Sequence[float], centre_mm: Triple) -> Geometry:
    if isinstance(direction, str):
        if direction not in POSITIONS:
            raise InputError("Not a patient position", expected=f"one of {', '.join(POSITIONS)}", found=direction)
        direction = POSITIONS[direction]
    half = (np.array(size) - 1) / 2 * np.array(spacing_mm)
    x, y, z = np.array(centre_mm) - np.array(direction).reshape(3, 3) @ half
    return Geometry(size, spacing_mm, (x, y, z), tuple(direction))


def _require_on_grid(tumour: Tumour, motion: Breathing, labels: Sequence[str], geometry: Geometry) -> None:
    for label in labels:
        if not geometry.contains(motion.push(label, tumour.shell_points_mm())).all():
            where = f"{tumour.name} at {tumour.centre_mm} mm, phase {label}"
            do = "Make the grid larger or move the tumour or centre_mm"
            raise InputError("A tumour leaves the grid", where=where, expected=f"all of it within {geometry.size} voxels", do=do)


def _reach_mm(motion: Breathing) -> float:
    """How far beyond the grid a phase may look: the largest strength of any axis."""
    strength = getattr(motion, "strength", {})
    return 2.0 + max((abs(v) for numbers in strength.values() for v in numbers), default=0.0)
