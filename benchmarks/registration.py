"""rt4d's recipes beside plastimatch, convexAdam, SimpleITK's demons and ANTsPy's SyN: the same pairs, in the same run.

    pip install -c constraints.txt -e .[test,peers]     (and Debian's plastimatch)
    python benchmarks/registration.py DATA [--pairs TEXT] [--engines NAME,NAME]

DATA: the folder with lung1_002, lung1_007 and 4dct_philips. Pairs: generated 4D-CTs, real CTs made to breathe in a way that no recipe was tuned on
(benchmarks/tuning.py has those), a generated scan on another couch and grid, and two phases of a real 4D-CT, of which there is no truth.
Planning CTs are averaged to about 2 mm in plane, so that the slow engines end within minutes.

Printed per pair and engine: target registration error in mm (mean, median, 95th percentile, largest) at 2,000 points in the lungs, and its mean in
the GTV; DSC of the phase's true GTV pulled onto the reference with the reference's; share of the lungs that is folded; seconds and GiB of the whole
process, start-up and files included. `focus` registers the GTV's surroundings alone, so it has no error in the lungs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from itv import STYLE, real_ct, watched

import rt4d
from rt4d import phantom
from rt4d.agreement import dice
from rt4d.anatomy import lungs
from rt4d.geometry import Floats
from rt4d.images import read_field, write_mask, write_volume
from rt4d.motion import DisplacementField
from rt4d.motion.jobs import averaged, coarser
from rt4d.phantom import Phantom, Tumour
from rt4d.phases import CtImage
from rt4d.resampling import signed_distance_mm
from rt4d.volumes import Mask, Volume

ENGINES = ("focus", "lungs", "pair", "plastimatch", "convexadam", "simpleitk_demons", "ants_syn")
POINTS = 2000
COUCH_MM = np.array([25.0, -15.0, 35.0])
"""How far the second scan of the pair 'another couch' lies from the first."""
SEED = 41
HEADER = f"{'pair':<26}{'engine':<18}{'mean':>7}{'median':>8}{'p95':>7}{'max':>7}{'in GTV':>8}{'GTV DSC':>9}{'folded %':>10}{'s':>8}{'GiB':>7}"


@dataclass(frozen=True)
class Pair:
    """A reference and a phase, what is known of the way from one to the other, and the target in both."""

    reference: Volume
    phase: Volume
    gtv: Mask
    gtv_in_phase: Mask | None = None
    truth: Callable[[Floats], Floats] | None = None


def pairs(data: Path) -> Iterator[tuple[str, Callable[[], Pair]]]:
    """Every pair by name, made when its turn comes."""
    yield "generated, 10 mm", lambda: of(generated(10.0, seed=SEED))
    yield "generated, 25 mm", lambda: of(generated(25.0, seed=SEED + 1))
    for patient, roi, amplitude in (("lung1_002", "gtv-1", 15.0), ("lung1_007", "gtv-1", 25.0)):
        yield f"{patient}, {amplitude:g} mm", lambda patient=patient, roi=roi, amplitude=amplitude: of(breathed(data / patient, roi, amplitude))
    yield "another couch, 15 mm", lambda: on_another_couch(generated(15.0, seed=SEED + 2))
    yield "4dct_philips, 50 to 00", lambda: philips(data)


def of(case: Phantom) -> Pair:
    return Pair(
        case.ct.reference.volume, case.ct["00"].volume, case.reference_gtv, case.gtv("00"), lambda points: case.reference_to_phase("00", points)
    )


def generated(amplitude: float, *, seed: int) -> Phantom:
    travel, tumour = (0.1 * amplitude, 0.3 * amplitude, amplitude), Tumour((72.0, 10.0, 0.0), (30.0, 26.0, 28.0), lobulation=0.2, spicules=4)
    return phantom.make_4dct(
        size=(200, 150, 110), spacing_mm=(2.0, 2.0, 2.5), tumours=[tumour], amplitude_mm=travel, phases=("00", "50"), noise_hu=20.0, seed=seed
    )


def breathed(folder: Path, roi: str, amplitude: float) -> Phantom:
    ct, mask = real_ct(folder, roi)
    small, target = smaller(ct, mask)
    travel = (0.1 * amplitude, 0.3 * amplitude, amplitude)
    return phantom.breathe(small, {roi: target}, amplitude_mm=travel, style=STYLE, seed=SEED, noise_hu=10.0, phases=("00", "50"))


def smaller(ct: CtImage, mask: Mask) -> tuple[CtImage, Mask]:
    """A CT and a mask on it averaged to voxels of about 2 mm in plane."""
    by = (*(max(1, round(2.0 / spacing)) for spacing in ct.geometry.spacing_mm[:2]), 1)
    grid = coarser(ct.geometry, by)
    hu = np.rint(averaged(ct.volume.hu.astype(np.float32), by)).astype(np.int16)
    return CtImage(Volume(hu, grid), ct.identity), Mask(averaged(mask.inside.astype(np.float32), by) >= 0.5, grid)


def on_another_couch(case: Phantom) -> Pair:
    """The phase as a scan of its own: shifted by COUCH_MM, on voxels of another size."""
    phase = case.ct["00"].volume
    grid = phase.geometry
    x, y, z = grid.size
    spacing = (2.4, 2.4, 3.0)
    size = tuple(int(n * old / new) for n, old, new in zip((x, y, z), grid.spacing_mm, spacing, strict=True))
    image = sitk.GetImageFromArray(phase.hu)
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    there = sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, grid.origin_mm, spacing, grid.direction, -1000)
    ox, oy, oz = np.array(grid.origin_mm) + COUCH_MM
    moved = Volume(sitk.GetArrayFromImage(there), replace(grid, size=size, spacing_mm=spacing, origin_mm=(ox, oy, oz)))
    return Pair(case.ct.reference.volume, moved, case.reference_gtv, truth=lambda points: case.reference_to_phase("00", points) + COUCH_MM)


def philips(data: Path) -> Pair:
    ct = rt4d.read_4dct(data / "4dct_philips", reference="50")
    gtv = rt4d.read_rtstruct(data / "4dct_philips_gtv.dcm", on=ct.reference)["GTV"]
    return Pair(ct.reference.volume, ct["00"].volume, gtv)


def row(name: str, pair: Pair, engine: str, folder: Path, points: Floats) -> None:
    """One engine on one pair, printed."""
    seconds, gib, code = watched([sys.executable, str(Path(__file__).with_name("engines.py")), engine, str(folder)])
    begin = f"{name:<26}{engine:<18}"
    result = folder / f"{engine}.mha"
    if code or not result.is_file():
        print(f"{begin}   failed (exit {code}) after {seconds:.0f} s", flush=True)
        return
    field = read_field(result)
    whole = engine != "focus"
    found = figures(pair, field, points if whole else None)
    cells = "".join(f"{found[key]:{width}.{places}f}" if key in found else " " * (width - 1) + "-" for key, width, places in COLUMNS)
    print(f"{begin}{cells}{seconds:8.1f}{gib:7.2f}{similarity(pair, field) if pair.truth is None else ''}", flush=True)
    result.unlink()


COLUMNS = (("mean", 7, 2), ("median", 8, 2), ("p95", 7, 2), ("max", 7, 2), ("gtv", 8, 2), ("dice", 9, 3), ("folded", 10, 2))


def figures(pair: Pair, field: DisplacementField, points: Floats | None) -> Mapping[str, float]:
    found: dict[str, float] = {}
    if pair.truth and points is not None:
        off = np.linalg.norm(points + field.near(points) - pair.truth(points), axis=-1)
        found |= {"mean": off.mean(), "median": float(np.median(off)), "p95": float(np.percentile(off, 95)), "max": off.max()}
    if pair.truth:
        inside = pair.gtv.points_mm
        found["gtv"] = np.linalg.norm(inside + field.near(inside) - pair.truth(inside), axis=-1).mean()
    if pair.gtv_in_phase is not None:
        found["dice"] = dice(pulled(pair.gtv_in_phase, field, pair.gtv), pair.gtv)
    known = field.geometry.to_index(lungs(pair.reference).points_mm)
    index = np.rint(known).astype(int)
    x, y, z = index[np.all((index >= 0) & (index < field.geometry.size), axis=1)].T
    found["folded"] = 100 * float(np.mean(field.jacobian()[z, y, x] <= 0))
    return found


def pulled(mask: Mask, field: DisplacementField, like: Mask) -> Mask:
    """The mask of the phase on the reference's grid: its signed distance looked up where the field says, around the target."""
    from scipy import ndimage

    start, size = like.box(15.0)
    grid = like.geometry.crop(start, size)
    index = mask.geometry.to_index(grid.centres() + field.near(grid.centres()))
    distance = ndimage.map_coordinates(signed_distance_mm(mask), np.moveaxis(index, -1, 0)[::-1], order=1, mode="nearest")
    inside = np.zeros(like.geometry.shape, dtype=bool)
    inside[tuple(slice(a, a + n) for a, n in zip(start[::-1], size[::-1], strict=True))] = distance < 0
    return Mask(inside, like.geometry)


def similarity(pair: Pair, field: DisplacementField) -> str:
    """How alike both images are around the target, before and after: all that can be said without a truth."""
    from scipy import ndimage

    points = pair.gtv.geometry.crop(*pair.gtv.box(15.0)).centres().reshape(-1, 3)

    def looked_up(volume: Volume, at: Floats) -> Floats:
        return ndimage.map_coordinates(volume.hu.astype(np.float32), volume.geometry.to_index(at).T[::-1], order=1, mode="nearest")

    here = looked_up(pair.reference, points)
    before, after = (float(np.corrcoef(here, looked_up(pair.phase, at))[0, 1]) for at in (points, points + field.near(points)))
    return f"   no truth: correlation within 15 mm of the GTV {before:.3f} before, {after:.3f} after"


def before(name: str, pair: Pair, points: Floats) -> None:
    if pair.truth:
        off = np.linalg.norm(points - pair.truth(points), axis=-1)
        print(f"{name:<26}{'(none)':<18}{off.mean():7.2f}{np.median(off):8.2f}{np.percentile(off, 95):7.2f}{off.max():7.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", default="", help="pairs whose name contains this")
    parser.add_argument("--engines", default=",".join(ENGINES))
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores. Errors in the lungs and in the GTV in mm.\n{HEADER}", flush=True)
    for name, make in pairs(given.data):
        if given.pairs not in name:
            continue
        pair = make()
        inside = lungs(pair.reference).points_mm
        points = inside[np.random.default_rng(SEED).choice(len(inside), POINTS, replace=False)]
        before(name, pair, points)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_volume(folder / "reference.mha", pair.reference)
            write_volume(folder / "phase.mha", pair.phase)
            write_mask(folder / "gtv.mha", pair.gtv)
            for engine in given.engines.split(","):
                if pair.phase.geometry == pair.reference.geometry or engine not in ("focus", "lungs"):
                    row(name, pair, engine, folder, points)


if __name__ == "__main__":
    main()
