"""Contours in and out: solids known by their formulas, and the clock beside rt-utils.

    python benchmarks/contours.py shapes    seven solids drawn by formula, written into a structure set and read back, on 1 mm and 3 mm slices:
                                            Dice against the sub-voxel truth beside the best that any binary mask on that grid can reach,
                                            95 % Hausdorff distance, and the mean error of volume over random placements
    python benchmarks/contours.py readers   the volume that rt4d, rt-utils and plastimatch read from one another's files and from contours by formula
    python benchmarks/contours.py speed     a structure set of 20 ROIs on 512×512×150 written and read, by rt4d and by rt-utils, in this run

Truth: the share of each voxel inside the formula, from 64 points (1 mm) or 192 (3 mm). Where flat faces run through voxel centres no binary
mask comes near it: the column 'best' says how near.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import rt4d
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from rt4d.rois import Roi
from rt4d.volumes import Mask, Volume
from tests.dicom.drawn import FRAME, Drawn, ct_image, grid, saved, structure_set, write_ct
from tests.dicom.shapes import HOLLOW, SOLID, best_dice, dice, filled, hd95_mm, placements, read_back, shape, shares

PLACES = {"on": (0.0, 0.0, 0.0), "between": (0.5, 0.5, 0.5), "off": (0.31, 0.77, 0.18)}
RADII_MM = dict.fromkeys(SOLID, (20.0, 40.0, 60.0)) | dict.fromkeys(HOLLOW, (30.0, 45.0, 60.0))  # hollow ones: of walls of 20 mm
RADII_MM["ellipsoid"] = (34.0, 47.0, 60.0)  # the longest of three: 1, 0.75 and 0.6 times this
T = TypeVar("T")


def shapes() -> bool:
    """Print the table; whether every figure is within its limit."""
    print(f"{'shape':<14}{'radius':>7}{'slices':>7}  {'centre':<9}{'DSC':>8}{'best':>8}{'HD95 mm':>9}{'volume':>9}")
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for name in (*SOLID, *HOLLOW):
            for step in (1.0, 3.0):
                for radius in RADII_MM[name]:
                    for place in PLACES:
                        fine &= _row(name, radius, step, place, Path(folder))
                fine &= _bias(name, step)
    return fine


def _row(name: str, radius: float, step: float, place: str, folder: Path) -> bool:
    solid = shape(name, radius)
    mask, centre = read_back(solid, (1.0, 1.0, step), np.array(PLACES[place]), folder)
    share = shares(solid, centre, mask.geometry, finer=(4, 4, 4 if step == 1 else 12))
    reached, best, hd95 = dice(mask.inside, share), best_dice(share), hd95_mm(mask, solid, centre)
    error = 1000 * mask.volume_cm3 / solid.volume_mm3 - 1
    limit = best - 0.01 if step == 3 else 0.98 if name in SOLID else 0.95
    fine = reached >= min(limit, best - 0.002) and hd95 <= step
    said = "" if fine and reached >= limit else f"  no mask reaches {limit}" if fine else "  MISSED"
    print(f"{name:<14}{radius:>4.0f} mm{step:>4.0f} mm  {place:<9}{reached:8.4f}{best:8.4f}{hd95:9.2f}{error:+9.2%}{said}", flush=True)
    return fine


def _bias(name: str, step: float, count: int = 48) -> bool:
    radius = RADII_MM[name][0]
    solid = shape(name, radius)
    volumes = [filled(solid, (1.0, 1.0, step), offset)[0].volume_cm3 for offset in placements(count, seed=0)]
    error = 1000 * float(np.mean(volumes)) / solid.volume_mm3 - 1
    spread = 1000 * float(np.std(volumes)) / solid.volume_mm3
    fine = abs(error) <= 0.005
    said = "" if fine else "  MISSED"
    print(f"{name:<14}{radius:>4.0f} mm{step:>4.0f} mm  mean of {count} random places: volume {error:+.3%} ± {spread:.2%}{said}", flush=True)
    return fine


def readers() -> bool:
    """Print how far each reader is off the volume that was written; whether rt4d is off nowhere."""
    geometry = Geometry((96, 96, 40), (1.0, 1.0, 3.0), (-48.0, -48.0, -60.0), frame_of_reference=FRAME)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(place)
        ct = rt4d.read_ct(write_ct(ct_image(geometry), folder / "CT"))
        rois = _balls(ct)
        drawn = {roi.name: roi.mask.inside for roi in rois}
        rt4d.write_rtstruct(folder / "rt4d.dcm", on=ct, rois=rois)
        rt4d.write_rtstruct(folder / "rt4d, smooth=False.dcm", on=ct, rois=rois, smooth=False)
        _with_rt_utils(folder / "CT", folder / "rt-utils.dcm", rois)
        _write_circles(folder / "circles by formula.dcm", ct)
        print(f"{'written by':<22}{'read by':<27}" + "".join(f"{name:>16}" for name in drawn))
        fine = True
        for name in ("rt4d", "rt4d, smooth=False", "rt-utils", "circles by formula"):
            fine &= _row_of_readers(folder / f"{name}.dcm", ct, drawn)
        return fine


def _balls(ct: CtImage) -> list[Roi]:
    z, y, x = np.ogrid[:40, :96, :96]
    away = (3 * (z - 20)) ** 2 + (y - 47.3) ** 2 + (x - 47.8) ** 2
    insides = {"ball 10 mm": away < 10**2, "ball 20 mm": away < 20**2, "ball 40 mm": away < 40**2, "hollow 20 mm": (away < 20**2) & (away >= 10**2)}
    box = (abs(z - 17) < 8) & (abs(y - 45) < 15) & (abs(x - 42) < 12)
    return [Roi(name, Mask(np.ascontiguousarray(inside), ct.geometry)) for name, inside in {**insides, "box": box}.items()]


def _write_circles(path: Path, ct: CtImage) -> None:
    """The same balls, their contours circles by formula, each naming its slice, as rt-utils needs it."""
    centre, slices = ct.geometry.to_patient([47.8, 47.3, 20.0]), ct.geometry.to_patient([[0.0, 0.0, z] for z in range(40)])[:, 2]
    dataset = structure_set(ct, *(Drawn(f"ball {r} mm", _circles(centre, r, slices), "", r) for r in (10, 20, 40)))
    for contour in (each for roi in dataset.ROIContourSequence for each in roi.ContourSequence):
        image = Dataset()
        image.ReferencedSOPInstanceUID = ct.identity.sop_instance_uids[int(np.abs(slices - float(contour.ContourData[2])).argmin())]
        contour.ContourImageSequence = [image]
    saved(dataset, path)


def _circles(centre: np.ndarray, radius: float, slices: np.ndarray) -> list[np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    halves = {z: radius**2 - (z - centre[2]) ** 2 for z in slices}
    return [np.array([centre[0], centre[1], z]) + np.sqrt(half) * ring for z, half in halves.items() if half > 0]


def _row_of_readers(path: Path, ct: CtImage, drawn: dict[str, np.ndarray]) -> bool:
    """Print the rows of one file; whether rt4d reads the volumes that were drawn, to a thousandth (circles are polygons of 200 corners)."""
    read = {"rt4d": _read(path, ct), "rt-utils": _by_rt_utils(path), "plastimatch": _by_plastimatch(path)}
    read["plastimatch --xor-contours"] = _by_plastimatch(path, "--xor-contours")
    for reader, masks in read.items():
        off = [f"{masks[name].sum() / inside.sum() - 1:+16.1%}" if name in masks else f"{'':>16}" for name, inside in drawn.items()]
        print(f"{path.stem:<22}{reader:<27}{''.join(off)}")
    return all(abs(inside.sum() / drawn[name].sum() - 1) < 1e-3 for name, inside in read["rt4d"].items())


def _by_rt_utils(path: Path) -> dict[str, np.ndarray]:
    from rt_utils import RTStructBuilder

    reader = RTStructBuilder.create_from(str(path.parent / "CT"), str(path))
    return {name: np.moveaxis(reader.get_roi_mask_by_name(name), 2, 0) for name in reader.get_roi_names()}


def _by_plastimatch(path: Path, *options: str) -> dict[str, np.ndarray]:
    if not shutil.which("plastimatch"):
        return {}
    with tempfile.TemporaryDirectory() as place:
        command = ["plastimatch", "convert", "--input", path, "--referenced-ct", path.parent / "CT", "--output-prefix", place]
        subprocess.run([*command, "--prefix-format", "nrrd", *options], capture_output=True, check=True)
        return {file.stem.replace("_", " "): sitk.GetArrayFromImage(sitk.ReadImage(str(file))) > 0 for file in Path(place).glob("*.nrrd")}


def speed(repeats: int) -> bool:
    """Print seconds and ratios; whether rt4d is five times as fast, both ways."""
    with tempfile.TemporaryDirectory() as folder:
        ct, rois = _twenty(Path(folder) / "CT")
        ours, theirs = Path(folder) / "rt4d.dcm", Path(folder) / "rt-utils.dcm"
        write = _least(lambda: rt4d.write_rtstruct(ours, on=ct, rois=rois), repeats)[1]
        masks, read = _least(lambda: _read(ours, ct), repeats)
        whole = _least(lambda: _read(ours, rt4d.read_ct(Path(folder) / "CT")), 1)[1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer_open, peer_write, peer_read, peer_masks = _with_rt_utils(Path(folder) / "CT", theirs, rois)
        rows = [("write", write, peer_write), ("read", read, peer_read), ("CT and structure set read", whole, peer_open + peer_read)]
        print(f"{'20 ROIs on 512×512×150':<28}{'rt4d s':>9}{'rt-utils s':>12}{'ratio':>8}")
        for what, mine, other in rows:
            print(f"{what:<28}{mine:9.2f}{other:12.2f}{other / mine:8.1f}")
        same = sum(bool(np.array_equal(masks[roi.name], roi.mask.inside)) for roi in rois)
        peers = sum(bool(np.array_equal(peer_masks[roi.name], roi.mask.inside)) for roi in rois)
        print(f"masks that come back the same: rt4d {same} of {len(rois)}, rt-utils {peers} of {len(rois)}")
        return same == len(rois) and min(other / mine for _, mine, other in rows) >= 5


def _twenty(folder: Path) -> tuple[CtImage, list[Roi]]:
    """A CT on disk and twenty ROIs: balls, every fourth of them hollow."""
    geometry = Geometry((512, 512, 150), (1.0, 1.0, 3.0), (-256.0, -256.0, -225.0), frame_of_reference=FRAME)
    small = ct_image(grid())
    hu = np.zeros(geometry.shape, np.int16)
    ct = CtImage(Volume(hu, geometry), replace(small.identity, sop_instance_uids=tuple(f"1.2.3.{z + 1}" for z in range(150))))
    write_ct(ct, folder)
    z, y, x = np.ogrid[:150, :512, :512]
    rois = []
    for n in range(20):
        away = (3 * (z - 75)) ** 2 + (y - (130 + 13 * n)) ** 2 + (x - 256) ** 2
        radius = 20 + 3 * n
        inside = (away < radius**2) & (away >= (radius / 2) ** 2 if n % 4 == 3 else True)
        rois.append(Roi(f"roi{n}", Mask(inside, geometry)))
    return rt4d.read_ct(folder), rois


def _read(path: Path, ct: CtImage) -> dict[str, np.ndarray]:
    contours = rt4d.read_rtstruct(path, on=ct)
    return {name: contours[name].inside for name in contours}


def _with_rt_utils(folder: Path, path: Path, rois: list[Roi]) -> tuple[float, float, float, dict[str, np.ndarray]]:
    """Seconds to open the series, to write and to read, and the masks that come back; its way of laying out arrays is not counted."""
    from rt_utils import RTStructBuilder

    arrays = {roi.name: np.ascontiguousarray(np.moveaxis(roi.mask.inside, 0, 2)) for roi in rois}
    builder, opened = _least(lambda: RTStructBuilder.create_new(str(folder)), 1)

    def write() -> None:
        for name, array in arrays.items():
            builder.add_roi(mask=array, name=name)
        builder.save(str(path))

    written = _least(write, 1)[1]
    reader = RTStructBuilder.create_from(str(folder), str(path))
    masks, read = _least(lambda: {name: np.moveaxis(reader.get_roi_mask_by_name(name), 2, 0) for name in reader.get_roi_names()}, 1)
    return opened, written, read, masks


def _least(work: Callable[[], T], repeats: int) -> tuple[T, float]:
    """What the work gives, and the least time that it took."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return result, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("shapes", "readers", "speed"))
    parser.add_argument("--repeats", type=int, default=1, help="of rt4d's part; the least time counts")
    arguments = parser.parse_args()
    passed = {"shapes": shapes, "readers": readers, "speed": lambda: speed(arguments.repeats)}[arguments.what]()
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
