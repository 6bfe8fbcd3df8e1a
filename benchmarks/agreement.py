"""The clock and the definitions of contour comparison, beside named peers, in one run.

    python benchmarks/agreement.py speed [--pairs 3] [--repeats 5]   rt4d.compare with everything it tells, for a GTV of 200 cm³ on 512×512×150
                                                                    voxels of 0.977×0.977×3 mm and a machine's contour of it, beside
                                                                    surface-distance (distances, robust Hausdorff, surface Dice, average),
                                                                    MONAI (surface Dice and HD95) and SimpleITK (HausdorffDistanceImageFilter)
    python benchmarks/agreement.py speed --cohort                   also 400 such pairs on 2 processes

Times are medians of several runs in turns. Limits: 1.5 times surface-distance's time, a quarter of MONAI's, a twentieth of SimpleITK's, a minute
for the cohort. Below, what each says of the same pair: surface-distance's numbers must be ours to 1e-6.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import rt4d
from rt4d.geometry import Geometry
from rt4d.resampling import signed_distance_mm
from rt4d.volumes import Mask

GRID = Geometry((512, 512, 150), (0.977, 0.977, 3.0), frame_of_reference="1.2.3")
CENTRE_MM, RADIUS_MM, VOLUME_CM3 = (200.0, 260.0, 220.0), 36.0, 200.0
TOLERANCE_MM = 2.0
PAIRS, PROCESSES, DIFFERENT = 400, 2, 5
Pair = tuple[Mask, Mask]
Figures = dict[str, float]


@cache
def pair(seed: int) -> Pair:
    """A machine's contour of a lobulated GTV, and the GTV: its surface lies up to some millimetres in or out, in patches of 2 cm."""
    rng = np.random.default_rng(seed)
    corners = np.array([np.array(CENTRE_MM) - 2.2 * RADIUS_MM, np.array(CENTRE_MM) + 2.2 * RADIUS_MM])
    start, size = GRID.box_around(corners)
    crop = GRID.crop(start, size)
    radius = np.linalg.norm(crop.centres() - np.array(CENTRE_MM), axis=-1) / RADIUS_MM - 0.25 * _field(rng, crop, 8.0)
    drawn = _in_one_piece(radius < np.quantile(radius, 1000 * VOLUME_CM3 / crop.voxel_volume_mm3 / radius.size))
    moved = signed_distance_mm(Mask(drawn, crop)) - 3.0 * _field(rng, crop, 12.0)
    machine, physician = (np.zeros(GRID.shape, bool) for _ in range(2))
    box = tuple(slice(i, i + n) for i, n in zip(start[::-1], size[::-1], strict=True))
    machine[box], physician[box] = _in_one_piece(moved < 0.5), drawn
    return Mask(machine, GRID), Mask(physician, GRID)


def _field(rng: np.random.Generator, grid: Geometry, width_mm: float) -> np.ndarray:
    smooth = ndimage.gaussian_filter(rng.normal(size=grid.shape), [width_mm / step for step in grid.spacing_mm[::-1]])
    return smooth / smooth.std()


def _in_one_piece(inside: np.ndarray) -> np.ndarray:
    number, _ = ndimage.label(inside)
    return ndimage.binary_fill_holes(number == np.bincount(number.ravel())[1:].argmax() + 1)


def with_rt4d(machine: Mask, physician: Mask) -> Figures:
    found = rt4d.compare(machine, physician, tolerance_mm=TOLERANCE_MM)
    told = found.to_dict()
    return {
        "surface Dice 2 mm": told["surface_dice"],
        "HD95 mm": told["hd95_mm"],
        "HD mm": told["hausdorff_mm"],
        "mean to physician mm": None if found.surface is None else found.surface.mean_machine_to_physician_mm,
        "mean to machine mm": None if found.surface is None else found.surface.mean_physician_to_machine_mm,
        "mean by voxel faces mm": told["mean_surface_distance_mm"],
    }


def with_surface_distance(machine: Mask, physician: Mask) -> Figures:
    import surface_distance as peer

    found = peer.compute_surface_distances(machine.inside, physician.inside, GRID.spacing_mm[::-1])
    there, back = peer.compute_average_surface_distance(found)
    return {
        "surface Dice 2 mm": peer.compute_surface_dice_at_tolerance(found, TOLERANCE_MM),
        "HD95 mm": peer.compute_robust_hausdorff(found, 95),
        "mean to physician mm": there,
        "mean to machine mm": back,
    }


def with_monai(machine: Mask, physician: Mask) -> Figures:
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    both = [torch.from_numpy(np.array(each.inside))[None, None] for each in (machine, physician)]
    spacing = GRID.spacing_mm[::-1]
    near = compute_surface_dice(*both, [TOLERANCE_MM], include_background=True, spacing=spacing)
    hd95 = compute_hausdorff_distance(*both, include_background=True, percentile=95, spacing=spacing)
    return {"surface Dice 2 mm": float(near), "HD95 mm": float(hd95)}


def with_simpleitk(machine: Mask, physician: Mask) -> Figures:
    import SimpleITK as sitk

    images = [sitk.GetImageFromArray(each.inside.view(np.uint8)) for each in (machine, physician)]
    for image in images:
        image.SetSpacing(GRID.spacing_mm)
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*images)
    return {"HD mm": measure.GetHausdorffDistance()}


PEERS: dict[str, tuple[Callable[[Mask, Mask], Figures], float]] = {
    "rt4d, everything": (with_rt4d, 0.0),
    "surface-distance": (with_surface_distance, 1 / 1.5),
    "MONAI": (with_monai, 4.0),
    "SimpleITK": (with_simpleitk, 20.0),
}
"""By name: how it is called, and how many times rt4d's time it must take at least."""


def speed(pairs: int, repeats: int) -> bool:
    """Print seconds, ratios and figures; whether every limit is kept."""
    seconds: dict[str, list[float]] = {name: [] for name in PEERS}
    for seed in range(pairs):
        machine, physician = pair(seed)
        figures = {name: call(machine, physician) for name, (call, _) in PEERS.items()}  # and everything is loaded
        for _ in range(repeats):
            for name, (call, _) in PEERS.items():
                seconds[name].append(_clock(lambda call=call, machine=machine, physician=physician: call(machine, physician)))
    ours = statistics.median(seconds["rt4d, everything"])
    fine = _same(figures["rt4d, everything"], figures["surface-distance"])
    print(f"{'one pair':<20}{'median s':>10}{'ratio':>8}{'asked':>8}")
    for name, (_, least) in PEERS.items():
        median = statistics.median(seconds[name])
        fine &= median >= least * ours
        print(f"{name:<20}{median:10.3f}{median / ours:8.2f}{least:8.2f}{'' if median >= least * ours else '  MISSED'}")
    _print_figures(figures, machine, physician)
    return fine


def _clock(call: Callable[[], Figures]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _same(ours: Figures, theirs: Figures) -> bool:
    apart = max(abs(ours[name] - value) for name, value in theirs.items())
    print(f"largest difference from surface-distance, where definitions are equal: {apart:.1e}")
    return apart <= 1e-6


def _print_figures(figures: dict[str, Figures], machine: Mask, physician: Mask) -> None:
    names = list(figures["rt4d, everything"])
    print(f"\nthe last pair: {machine.volume_cm3:.0f} against {physician.volume_cm3:.0f} cm³")
    print(f"{'':<20}" + "".join(f"{name:>22}" for name in names))
    for peer, found in figures.items():
        print(f"{peer:<20}" + "".join(f"{found[name]:22.4f}" if name in found else f"{'–':>22}" for name in names))
    print(
        "HD95: rt4d and surface-distance weigh elements of surface by their area; MONAI gives each outermost voxel one vote and interpolates.\n"
        "Surface Dice: MONAI counts outermost voxels, as it does by default. HD: SimpleITK measures between voxel centres."
    )


def _numbered(number: int) -> float:
    return rt4d.compare(*pair(number % DIFFERENT)).to_dict()["dice"]


def _prepare() -> None:
    for seed in range(DIFFERENT):
        _numbered(seed)


def cohort() -> bool:
    """Print how long 400 pairs take on 2 processes that hold them in memory."""
    with get_context("spawn").Pool(PROCESSES, initializer=_prepare) as pool:
        pool.map(_numbered, range(PROCESSES * DIFFERENT), chunksize=DIFFERENT)
        seconds = _clock(lambda: {"dice": float(np.median(pool.map(_numbered, range(PAIRS), chunksize=5)))})
    print(f"\n{PAIRS} pairs on {PROCESSES} processes: {seconds:.1f} s (asked: 60)")
    return seconds <= 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed",))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cohort", action="store_true", help="also 400 pairs on 2 processes")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own, of scipy and of themselves
        fine = speed(arguments.pairs, arguments.repeats)
    if arguments.cohort:
        fine &= cohort()
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
