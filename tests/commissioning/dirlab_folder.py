"""A folder as DIR-Lab gives it out, made from a generated 4D-CT: raw images of HU + 1024, the first slice the highest, and landmarks at voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rt4d.anatomy import lungs
from rt4d.commissioning.dirlab import PublishedCase
from rt4d.phantom import Phantom, make_4dct

SIZE, SPACING_MM = (84, 60, 42), (4.0, 4.0, 6.0)
PHASES = ("00", "10", "20", "30", "40", "50")


@dataclass(frozen=True)
class FakeCase:
    """What was written: the phantom, the published facts of such a case, and its landmarks as 0-based voxels of the phantom's own grid."""

    phantom: Phantom
    published: PublishedCase
    voxels: dict[str, npt.NDArray[np.int_]]


def make_case(number: int = 1) -> FakeCase:
    """300 voxels in the lungs at T00, and the voxel nearest to where the known motion takes each of them."""
    phantom = make_4dct(size=SIZE, spacing_mm=SPACING_MM, phases=PHASES, reference="00", amplitude_mm=(1.0, 3.0, 12.0), seed=number, sliding_mm=6.0)
    grid = phantom.ct.geometry
    inside = np.argwhere(lungs(phantom.ct.reference.volume).inside)[:, ::-1]
    at = np.sort(np.random.default_rng(number).choice(len(inside), 300, replace=False))
    points = grid.to_patient(inside[at])
    voxels = {label: np.rint(grid.to_index(phantom.reference_to_phase(label, points))).astype(int) for label in PHASES}
    before = float(np.linalg.norm((voxels["50"] - voxels["00"]) * np.array(SPACING_MM), axis=1).mean())
    return FakeCase(phantom, PublishedCase(number, SIZE, SPACING_MM, round(before, 2)), voxels)


def write_case(case: FakeCase, folder: Path, *, sampled: bool = False) -> Path:
    """As the archives of cases 1 to 5 unpack (`Case1Pack/Images/case1_T00_s.img`) for odd numbers, as those of 6 to 10 for even ones."""
    number, odd = case.published.number, case.published.number % 2 == 1
    pack = folder / (f"Case{number}Pack" if odd else f"Case{number}Deploy")
    for label in ("00", "50"):
        raw = case.phantom.ct[label].volume.hu[::-1].astype("<i2") + np.int16(1024)
        raw[:, 0, 0] = -2000  # what lies outside the scanner's circle in some cases
        _write(pack / "Images" / f"case{number}_T{label}{'_s' if odd else ''}.img", raw.tobytes())
        name = f"Case{number}_300_T{label}_xyz.txt" if odd else f"case{number}_dirLab300_T{label}_xyz.txt"
        _write(pack / ("ExtremePhases" if odd else "extremePhases") / name, _lines(case.voxels[label]).encode())
    for label in PHASES if sampled else ():
        _write(pack / "Sampled4D" / f"case{number}_4D-75_T{label}.txt", _lines(case.voxels[label][:75]).encode())
    return folder


def renumbered(case: FakeCase, number: int) -> FakeCase:
    """The same case under another number."""
    return replace(case, published=replace(case.published, number=number))


def _lines(voxels: npt.NDArray[np.int_]) -> str:
    """1-based, tabs between, a tab at the end, the third number counted from the highest slice."""
    return "".join(f"{x + 1}\t{y + 1}\t{SIZE[2] - z}\t\r\n" for x, y, z in voxels)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
