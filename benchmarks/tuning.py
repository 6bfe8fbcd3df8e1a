"""The cases on which registration recipes are chosen; no case of benchmarks/itv.py is among them.

    python benchmarks/tuning.py DATA RECIPE…     a row per case and recipe (names or folders; DATA: the folder with lung1_001 and thorax_no_tumour)

Generated thoraxes with other tumours, seeds and motion than those reported on, and `lung1_001` breathing in another way, at 20 mm: its GTV, and four
spheres set into its mediastinum, where soft tissue hardly differs and a field lags most. And `thorax_no_tumour`, at 10 and 20 mm: eight spheres in
soft tissue next to both lungs, over some centimetres: their common centroid shifts where their volumes err (column `volume`).
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from itv import against_truth, plain_ct, real_ct
from scipy import ndimage

import rt4d
from rt4d import phantom
from rt4d.anatomy import lungs
from rt4d.geometry import Floats
from rt4d.motion import Motion
from rt4d.motion.quality import checks
from rt4d.phantom import Phantom, Tumour
from rt4d.phases import CtImage
from rt4d.resampling import pieces
from rt4d.volumes import Mask

AMPLITUDE_MM = (2.0, 6.0, 20.0)
PHASES = ("00", "20", "50")
NODES = (((10, -215, -480), 12), ((-25, -205, -455), 9), ((30, -190, -500), 8), ((-5, -230, -440), 7))
"""Spheres in lung1_001's mediastinum: centre and radius in mm."""
NODE_RADII_MM, APART_MM = (8, 5, 7, 6, 8, 5, 7, 6), 20.0
HEADER = f"{'case':<22}{'recipe':<18}{'GTV DSC':>9}{'ITV DSC':>9}{'centroid':>10}{'surface':>9}{'error':>8}{'p95':>7}{'volume':>8}{'s':>7}"


def cases(data: Path) -> Iterator[tuple[str, Callable[[], Phantom]]]:
    """Every case by name, made when its turn comes."""
    grid = {"size": (360, 280, 80), "spacing_mm": (1.0, 1.0, 3.0), "noise_hu": 20.0, "seed": 11, "phases": PHASES, "amplitude_mm": AMPLITUDE_MM}
    for name, tumour in {
        "generated, small": Tumour((-70.0, 20.0, 10.0), (12.0, 11.0, 13.0)),
        "generated, in lung": Tumour((-70.0, 0.0, 5.0), (24.0, 28.0, 22.0), lobulation=0.2, spicules=4),
        "generated, at the wall": Tumour((100.0, 30.0, 15.0), (44.0, 40.0, 48.0), lobulation=0.15),
    }.items():
        yield name, functools.partial(phantom.make_4dct, tumours=[tumour], **grid)
    ct, gtv = real_ct(data / "lung1_001", "GTV-1")
    for name, mask, style in (("lung1_001 GTV-1", gtv, 1), ("lung1_001 mediastinum", spheres(ct), 2)):
        yield name, functools.partial(phantom.breathe, ct, {name: mask}, amplitude_mm=AMPLITUDE_MM, style=style, seed=5, noise_hu=10.0, phases=PHASES)
    chest = plain_ct(data / "thorax_no_tumour")
    mask = beside_the_lungs(chest)
    for along in (10.0, 20.0):
        travel = (0.1 * along, 0.3 * along, along)
        make = functools.partial(phantom.breathe, chest, {"nodes": mask}, amplitude_mm=travel, style=4, seed=6, noise_hu=10.0, phases=PHASES)
        yield f"beside lungs, {along:g} mm", make


def spheres(ct: CtImage) -> Mask:
    grid = ct.volume.geometry
    centres = grid.centres()
    return Mask(np.any([((centres - np.array(centre)) ** 2).sum(-1) < r * r for centre, r in NODES], axis=0), grid)


def beside_the_lungs(ct: CtImage) -> Mask:
    """Eight spheres in soft tissue between the lungs, their centres 3 to 9 mm from one, at least APART_MM apart, by chance."""
    found = lungs(ct.volume)
    grid = ct.volume.geometry
    (i, j, k), (nx, ny, nz) = found.box()
    box = grid.crop((i, j, k), (nx, ny, nz))
    inside = found.crop((i, j, k), (nx, ny, nz)).inside
    off_mm = ndimage.distance_transform_edt(~inside, sampling=box.spacing_mm[::-1])
    hu = ndimage.uniform_filter(ct.volume.hu[k : k + nz, j : j + ny, i : i + nx].astype(np.float32), 5)
    wanted = (off_mm > 3) & (off_mm < 9) & (hu > 0) & (hu < 120)
    wanted[: nz // 3] = wanted[-nz // 4 :] = wanted[:, :, : nx // 3] = wanted[:, :, -nx // 3 :] = wanted[:, : ny // 4] = wanted[:, -ny // 4 :] = False
    places = box.to_patient(np.random.default_rng(12).permutation(np.argwhere(wanted)[:, ::-1]))
    chosen: list[Floats] = []
    for place in places:
        if len(chosen) < len(NODE_RADII_MM) and all(np.linalg.norm(place - other) >= APART_MM for other in chosen):
            chosen.append(place)
    centres = grid.centres()
    spots = [((centres - place) ** 2).sum(-1) < r * r for place, r in zip(chosen, NODE_RADII_MM, strict=True)]
    return Mask(np.any(spots, axis=0), grid)


def volume_error(motion: Motion, case: Phantom) -> float:
    """By how many percent the volume of a piece errs, root mean square over pieces and phases; the true one from the motion's own slopes."""
    off = []
    for label in motion.fields:
        for piece in pieces(case.reference_gtv):
            points = piece.points_mm
            slopes = [case.reference_to_phase(label, points + step) - case.reference_to_phase(label, points - step) for step in 0.5 * np.eye(3)]
            true = np.linalg.det(np.stack(slopes, axis=-1)).mean()
            index = np.moveaxis(motion.region.to_index(points), -1, 0)[::-1]
            off.append(ndimage.map_coordinates(motion.jacobian(label), index, order=1).mean() / true - 1)
    return 100 * float(np.sqrt(np.mean(np.square(off))))


def row(name: str, case: Phantom, recipe: str) -> None:
    """One case by one recipe; the error is that of the field in the GTV, mean and 95th percentile of the worst phase, in mm."""
    gtv = case.reference_gtv
    began = time.perf_counter()
    motion = rt4d.track(case.ct, focus=gtv, recipe=recipe)
    seconds = time.perf_counter() - began
    masks = motion.carry(gtv)
    target = rt4d.itv(masks)
    figures = against_truth(target.phases, target.mask, {label: case.gtv(label) for label in case.ct.labels}, case.itv)
    points = gtv.points_mm
    off = [np.linalg.norm(motion.reference_to_phase(at, points) - case.reference_to_phase(at, points), axis=-1) for at in motion.fields]
    mean, p95 = np.max([(each.mean(), np.percentile(each, 95)) for each in off], axis=0)
    failed = [f"{check.phase}:{check.name}={check.value:.3g}" for check in checks(motion, case.ct, gtv, masks=masks) if check.verdict == "fail"]
    numbers = "".join(f"{value:{width}.{places}f}" for value, width, places in zip(figures, (9, 9, 10, 9), (3, 3, 2, 2), strict=True))
    errors = f"{mean:8.2f}{p95:7.2f}{volume_error(motion, case):8.2f}"
    print(f"{name:<22}{Path(recipe).name:<18}{numbers}{errors}{seconds:7.1f}  {' '.join(failed)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    given = parser.parse_args()
    print(HEADER, flush=True)
    for name, make in cases(given.data):
        if given.only in name:
            case = make()
            for recipe in given.recipes:
                row(name, case, recipe)


if __name__ == "__main__":
    main()
