"""The cases of the end-to-end test: generated thoraxes in several poses, a clinic's own CT made to breathe, and one that is wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rt4d.dicom.series import read_ct
from rt4d.dicom.structures import read_rtstruct
from rt4d.errors import InputError
from rt4d.phantom import Phantom, Tumour, breathe, make_4dct
from rt4d.phases import CtImage, FourDCT, Phase
from rt4d.resampling import evenly, resample_mask
from rt4d.volumes import Mask, Volume

SEED = 4013
NOISE_HU = 20.0
AMPLITUDES_MM = (5.0, 10.0, 20.0)
"""How far the clinic's own GTV is made to travel to the feet, peak to peak; a third of it to the front, a tenth outwards."""
STYLE = 2
"""The spatial pattern of the motion of the clinic's own CT."""
COUCH_MM = 30.0
"""How far the couch moves, unannounced, in the case that is wrong on purpose."""
PHASES = ("00", "20", "50", "70")
GRID: dict[str, Any] = {"size": (120, 90, 60), "spacing_mm": (2.5, 2.5, 3.0)}
OBLIQUE = (0.907673, -0.379057, -0.180124, 0.330366, 0.910045, -0.250352, 0.258819, 0.167731, 0.951251)
"""A grid turned by 10 to 20° about each axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One case: its name, what it is for, and how it is made. sabotaged: the phases that are wrong on purpose, which the checks must flag."""

    name: str
    purpose: str
    make: Callable[[], Phantom]
    kind: Literal["generated", "own CT", "sabotaged"] = "generated"
    sabotaged: tuple[str, ...] = ()


def generated_cases() -> tuple[Case, ...]:
    """The cases that need no patient's data; some minutes on two cores."""

    def case(name: str, purpose: str, centre_mm: tuple[float, float, float], **more: Any) -> Case:
        shape = {key: more.pop(key) for key in ("diameter_mm", "lobulation", "spicules") if key in more}
        usual: dict[str, Any] = {**GRID, "phases": PHASES, "noise_hu": NOISE_HU, "seed": SEED}
        return Case(name, purpose, partial(make_4dct, tumours=[Tumour(centre_mm, **shape)], **(usual | more)))

    fine = {"size": (168, 120, 76), "spacing_mm": (1.8, 1.8, 2.5)}
    thick = {"size": (150, 110, 36), "spacing_mm": (2.0, 2.0, 5.0)}
    whole = {"size": (130, 110, 70)}
    left, right, wall = (70.0, 15.0, -5.0), (-77.3, 18.4, -21.1), (-105.0, 20.0, 10.0)
    return (
        case("small, in lung", "few voxels, much to lose", left, diameter_mm=16.0, amplitude_mm=(1.0, 3.0, 10.0), **fine),
        case("at the chest wall", "tissue that stays beside it", wall, diameter_mm=(40.0, 45.0, 50.0), lobulation=0.1, amplitude_mm=(1.0, 3.0, 10.0)),
        case("thick slices", "5 mm slices", right, diameter_mm=32.0, lobulation=0.2, amplitude_mm=(1.0, 4.0, 12.0), **thick),
        case("large motion", "25 mm to the feet", left, diameter_mm=34.0, spicules=5, amplitude_mm=(2.5, 7.5, 25.0)),
        case("feet first", "never flipped", right, diameter_mm=30.0, direction="FFS", amplitude_mm=(1.0, 4.0, 12.0)),
        case("oblique", "a tilted grid", (70.0, 10.0, -10.0), diameter_mm=28.0, direction=OBLIQUE, amplitude_mm=(1.0, 4.0, 12.0), **whole),
        sabotaged_case(),
    )


def sabotaged_case(**more: Any) -> Case:
    """A generated case with two errors that no clinic may see pass: another patient in a phase, and a couch that moved. more: for make_4dct."""
    usual: dict[str, Any] = {**GRID, "phases": ("00", "20", "50"), "noise_hu": NOISE_HU, "amplitude_mm": (1.0, 3.0, 10.0), **more}

    def make() -> Phantom:
        sound = make_4dct(tumours=[Tumour((70.0, 15.0, -5.0), 30.0)], seed=SEED + 1, **usual)
        other = make_4dct(tumours=[Tumour((-60.0, 30.0, 30.0), 22.0, lobulation=0.2)], seed=SEED + 2, **usual)
        slices = round(COUCH_MM / sound.ct.geometry.spacing_mm[2])
        moved = np.roll(sound.ct["20"].volume.hu, slices, axis=0)
        return with_images(sound, {"00": other.ct["00"].volume.hu, "20": moved})

    return Case("wrong on purpose", "phase 00 is another patient's, in 20 the couch moved", make, "sabotaged", ("00", "20"))


def with_images(case: Phantom, images: dict[str, npt.NDArray[Any]]) -> Phantom:
    """The case with other images in some phases, under the same identities; its truth stays."""
    changed = tuple(_with_image(phase, images) for phase in case.ct)
    return replace(case, ct=FourDCT(changed, case.ct.reference_label, told_by=case.ct.told_by))


def own_cases(ct: CtImage, roi: str, gtv: Mask, *, amplitudes_mm: Sequence[float] = AMPLITUDES_MM) -> tuple[Case, ...]:
    """The clinic's own CT and contour, breathed by known motions of several amplitudes."""
    return tuple(
        Case(
            f"own CT, {amplitude:g} mm",
            f"{amplitude:g} mm to the feet",
            partial(
                breathe, ct, {roi: gtv}, amplitude_mm=(0.1 * amplitude, 0.3 * amplitude, amplitude), phases=PHASES, style=STYLE, seed=SEED
            ),
            "own CT",
        )
        for amplitude in amplitudes_mm
    )


def read_own(folder: Path, contours: Path, roi: str, *, assume_same_frame: bool = False, resample: bool = False) -> tuple[CtImage, Mask]:
    """A clinic's CT and GTV; both on even slices where `resample`. Refused like all reading: another frame, an ROI that is not there or empty."""
    ct = read_ct(folder)
    gtv = read_rtstruct(contours, on=ct, assume_same_frame=assume_same_frame)[roi]
    if gtv.is_empty:
        raise InputError("The GTV is empty on this CT", where=roi)
    if resample:
        ct = replace(ct, volume=evenly(ct.volume))
        gtv = resample_mask(gtv, ct.geometry, keep_volume=True)
    return ct, gtv


def _with_image(phase: Phase, images: dict[str, npt.NDArray[Any]]) -> Phase:
    return replace(phase, volume=Volume(images[phase.label], phase.geometry)) if phase.label in images else phase
