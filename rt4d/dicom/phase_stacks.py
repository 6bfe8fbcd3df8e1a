"""The phases of a 4D-CT as stacks of slices, all on one grid and in one frame of reference, or refused by file name."""

from __future__ import annotations

import numpy as np

from rt4d.dicom.grouping import Grouping
from rt4d.dicom.headers import Slice
from rt4d.dicom.pixels import require_readable
from rt4d.dicom.stacking import require_no_gap, stack
from rt4d.errors import GeometryError, PhaseError
from rt4d.geometry import Geometry

Stacks = dict[str, tuple[Geometry, tuple[Slice, ...]]]
"""By label: the grid, and the slices in its order."""


def stack_phases(grouping: Grouping) -> Stacks:
    """Each phase as a stack of even slices, all on one grid."""
    stacks: Stacks = {}
    for label, slices in grouping.phases.items():
        require_readable(slices)
        stacks[label] = stack(slices, what=f"phase {label}")
        require_no_gap(*stacks[label], what=f"phase {label}")
    _require_one_frame(stacks)
    _require_one_position(stacks)
    _require_one_grid(stacks)
    first = next(iter(stacks.values()))[0]
    return {label: (first, ordered) for label, (_, ordered) in stacks.items()}


def _require_one_frame(stacks: Stacks) -> None:
    frames = {label: (geometry.frame_of_reference, ordered[0]) for label, (geometry, ordered) in stacks.items()}
    (first, (expected, one)), *others = frames.items()
    for label, (found, other) in others:
        if found != expected:
            raise PhaseError(
                f"Phases {first} and {label} lie in different frames of reference",
                where=f"{one.name} and {other.name}",
                expected=expected or "none",
                found=found or "none",
                do="Keep one 4D-CT, from one scan, in the folder",
            )


def _require_one_position(stacks: Stacks) -> None:
    """One patient position in all phases that name one: head first beside feet first is another setup, or a wrong header."""
    named = {label: ordered[0] for label, (_, ordered) in stacks.items() if ordered[0].file.patient_position}
    for label, other in named.items():
        first, one = next(iter(named.items()))
        if other.file.patient_position != one.file.patient_position:
            raise PhaseError(
                f"Phases {first} and {label} were taken in different patient positions",
                where=f"{one.name} and {other.name}",
                expected=one.file.patient_position,
                found=other.file.patient_position,
                do="Keep one 4D-CT, from one scan, in the folder",
            )


def _require_one_grid(stacks: Stacks) -> None:
    """All phases on the grid that most of them have; slices that are missing at an end are named."""
    grids = {label: geometry for label, (geometry, _) in stacks.items()}
    usual = max(grids, key=lambda label: sum(grids[label].is_same_grid(other) for other in grids.values()))
    for label, (geometry, ordered) in stacks.items():
        if geometry.is_same_grid(grids[usual]):
            continue
        missing = _missing(stacks[usual], geometry)
        raise GeometryError(
            f"Phase {label} lies on another grid than phase {usual}",
            where=f"{ordered[0].name} … {ordered[-1].name} against {stacks[usual][1][0].name}",
            found=geometry.differences(grids[usual]) + missing,
            do="Reconstruct all phases on one grid, with all their slices",
        )


def _missing(usual: tuple[Geometry, tuple[Slice, ...]], geometry: Geometry) -> str:
    """Which slices of the usual grid a phase lacks."""
    whole, ordered = usual
    if whole.size[2] <= geometry.size[2]:
        return ""
    along = np.array([one.position_mm for one in ordered]) @ whole.normal
    mine = geometry.offsets_mm + np.array(geometry.origin_mm) @ whole.normal
    lacking = [one for one, z in zip(ordered, along, strict=True) if np.abs(mine - z).min() > whole.spacing_mm[2] / 2]
    return f"; it lacks the slices of {', '.join(one.name for one in lacking[:3])}{' …' if len(lacking) > 3 else ''}" if lacking else ""
