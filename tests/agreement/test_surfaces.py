"""Surfaces and their distances: closed forms, and surface-distance and MONAI as oracles."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from rt4d.agreement import compare, surface, surface_distances
from rt4d.agreement.surfaces import SurfaceDistances, close_up
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.shapes import FRAME, ball, blob, box, nothing

SPACINGS = [(1.0, 1.0, 1.0), (0.977, 0.977, 3.0), (2.5, 0.7, 1.3)]


def theirs(machine: Mask, physician: Mask) -> dict:
    oracle = pytest.importorskip("surface_distance")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return oracle.compute_surface_distances(machine.inside, physician.inside, machine.geometry.spacing_mm[::-1])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(6))
def test_every_metric_equals_that_of_surface_distance(spacing, seed):
    oracle = pytest.importorskip("surface_distance")
    rng = np.random.default_rng(seed)
    grid = Geometry((17, 15, 11), spacing, (3, -70, 8))
    rough, share = [(0, 0.02), (0, 0.5), (1, 0.1), (1.5, 0.3), (2, 0.3), (0.7, 0.7)][seed]
    machine, physician = (blob(rng, grid, roughness=rough, share=share) for _ in range(2))
    mine, known = surface_distances(machine, physician), theirs(machine, physician)
    assert mine.machine_mm2.sum() == pytest.approx(known["surfel_areas_gt"].sum(), abs=1e-6)
    np.testing.assert_allclose(np.sort(mine.machine_to_physician_mm), np.sort(known["distances_gt_to_pred"]), atol=1e-6)
    np.testing.assert_allclose(np.sort(mine.physician_to_machine_mm), np.sort(known["distances_pred_to_gt"]), atol=1e-6)
    means = mine.mean_machine_to_physician_mm, mine.mean_physician_to_machine_mm
    assert means == pytest.approx(oracle.compute_average_surface_distance(known), abs=1e-6)
    for percentile in (50, 90, 95, 99, 100):
        assert mine.hausdorff_mm(percentile) == pytest.approx(oracle.compute_robust_hausdorff(known, percentile), abs=1e-6), percentile
    for tolerance in (0.0, 0.4, 1.1, 2.2, 5.05):
        assert mine.surface_dice(tolerance) == pytest.approx(oracle.compute_surface_dice_at_tolerance(known, tolerance), abs=1e-6), tolerance


def test_surface_of_a_box_is_its_own_less_the_edges_and_corners_that_are_cut():
    found = surface(box((5, 5, 5), (10, 8, 4)))
    dx, dy, dz = 1, 1, 3
    faces = 2 * (9 * 7 * dx * dy + 9 * 3 * dx * dz + 7 * 3 * dy * dz)
    edges = 4 * (9 * dx * np.hypot(dy, dz) / 2 + 7 * dy * np.hypot(dx, dz) / 2 + 3 * dz * np.hypot(dx, dy) / 2)
    corners = 8 * np.linalg.norm(np.cross([-dx / 2, dy / 2, 0], [-dx / 2, 0, dz / 2])) / 2
    assert found.areas_mm2.sum() == pytest.approx(faces + edges + corners)
    assert found.points_mm.min(axis=0) == pytest.approx((9.5, 9.5, 18.5))
    assert found.points_mm.max(axis=0) == pytest.approx((19.5, 17.5, 30.5))


def test_a_shift_across_a_plate_is_its_distance_everywhere():
    grid = Geometry((40, 40, 12), (1, 1, 3), frame_of_reference=FRAME)
    found = surface_distances(box((2, 2, 3), (36, 36, 1), grid), box((2, 2, 7), (36, 36, 1), grid))
    assert found.hausdorff_mm() == pytest.approx(12)
    assert found.hausdorff_mm(30) == pytest.approx(9)  # the lower face of one is 9 mm from the upper face of the other
    assert 9 < found.mean_mm < 12
    assert found.surface_dice(8.9) == 0
    assert found.surface_dice(9) == pytest.approx(0.5)
    assert found.surface_dice(12) == 1


def test_concentric_balls_are_as_far_apart_as_their_radii_the_more_so_the_finer_the_grid():
    """A surface of voxels has steps, within which elements of both may lie nearer: the mean falls short by about half a voxel."""
    errors = []
    for step in (1.0, 0.5, 0.35):
        n = round(34 / step)
        grid = Geometry((n, n, n), (step, step, step), frame_of_reference=FRAME)
        centre = np.full(3, 16.9)
        found = surface_distances(ball(grid, centre, 14), ball(grid, centre, 10))
        errors.append(4 - found.mean_mm)
        assert 0 < errors[-1] < 0.6 * step
        assert found.hausdorff_mm(95) == pytest.approx(4, abs=0.2 * step)
        assert found.hausdorff_mm() == pytest.approx(4, abs=0.7 * step)
    assert errors == sorted(errors, reverse=True)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")
def test_hd95_is_the_percentile_of_area_where_monai_counts_voxels():
    """Ours is surface-distance's. MONAI gives the outermost voxels a vote each: of a plate nearly all of them, of two posts on it a few.

    The posts are a tenth of the physician's surface, so that the machine, which left them out, is wrong by more than a tolerance there.
    """
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    oracle = pytest.importorskip("surface_distance")
    grid = Geometry((34, 34, 18), (1, 1, 3), frame_of_reference=FRAME)
    machine = box((2, 2, 2), (30, 30, 1), grid)
    physician = machine | box((10, 10, 3), (1, 1, 12), grid) | box((20, 20, 3), (1, 1, 12), grid)
    mine = surface_distances(machine, physician)
    pair = [torch.from_numpy(each.inside.copy())[None, None] for each in (machine, physician)]
    same = {"include_background": True, "spacing": (3.0, 1.0, 1.0)}
    monai95, monai100 = (metrics.compute_hausdorff_distance(*pair, percentile=p, **same).item() for p in (95, None))
    assert monai95 == 0
    assert mine.hausdorff_mm(95) == pytest.approx(oracle.compute_robust_hausdorff(theirs(machine, physician), 95), abs=1e-6)
    assert 10 < mine.hausdorff_mm(95) < 30
    assert mine.hausdorff_mm() == pytest.approx(monai100) == 36
    assert compare(machine, physician).dice == pytest.approx(metrics.compute_dice(*pair, include_background=True).item(), abs=1e-6)
    for tolerance in (0.5, 2.0, 10.0):
        monai_dice = metrics.compute_surface_dice(*pair, [tolerance], use_subvoxels=True, **same).item()
        assert mine.surface_dice(tolerance) == pytest.approx(monai_dice, abs=1e-6), "MONAI's sub-voxel elements are these"


def test_hausdorff_of_boxes_is_simpleitks_to_which_a_surface_is_voxel_centres():
    sitk = pytest.importorskip("SimpleITK")
    grid = Geometry((40, 40, 16), (1, 1, 3), frame_of_reference=FRAME)
    one, other = box((5, 5, 3), (20, 20, 8), grid), box((9, 5, 3), (20, 20, 8), grid)
    images = []
    for each in (one, other):
        images.append(sitk.GetImageFromArray(each.inside.astype(np.uint8)))
        images[-1].SetSpacing(grid.spacing_mm)
    filter_ = sitk.HausdorffDistanceImageFilter()
    filter_.Execute(*images)
    assert surface_distances(one, other).hausdorff_mm() == pytest.approx(filter_.GetHausdorffDistance()) == 4


@pytest.mark.parametrize("size", [(1, 1, 1), (5, 1, 1), (1, 1, 4), (6, 6, 1)])
def test_the_smallest_regions_have_a_surface_all_round(size):
    grid = Geometry((12, 12, 9), (1, 1, 3), frame_of_reference=FRAME)
    region, moved = box((2, 2, 2), size, grid), box((4, 2, 2), size, grid)
    found = surface_distances(region, moved)
    assert len(surface(region).areas_mm2) == np.prod(np.array(size) + 1) - np.prod(np.maximum(np.array(size) - 1, 0))
    assert found.hausdorff_mm() == pytest.approx(min(2, size[0] + 1))
    assert surface_distances(region, region).hausdorff_mm() == 0


def test_a_region_that_fills_its_grid_is_closed_at_the_edges():
    grid = Geometry((6, 5, 4), (1, 1, 3), frame_of_reference=FRAME)
    larger = Geometry((8, 7, 6), (1, 1, 3), (-1, -1, -3), frame_of_reference=FRAME)
    whole, within = box((0, 0, 0), (6, 5, 4), grid), box((1, 1, 1), (6, 5, 4), larger)
    assert surface(whole).areas_mm2.sum() == pytest.approx(surface(within).areas_mm2.sum())
    assert surface_distances(whole, within).hausdorff_mm() == pytest.approx(0, abs=1e-9)


def test_distances_are_the_same_on_an_oblique_grid(posed_geometry):
    rng = np.random.default_rng(4)
    pair = [blob(rng, posed_geometry) for _ in range(2)]
    straight = Geometry(posed_geometry.size, posed_geometry.spacing_mm)
    here, there = surface_distances(*pair), surface_distances(*(Mask(each.inside, straight) for each in pair))
    np.testing.assert_allclose(here.machine_to_physician_mm, there.machine_to_physician_mm, atol=1e-9)
    np.testing.assert_allclose(here.physician_mm2, there.physician_mm2, atol=1e-9)


def test_between_two_grids_elements_are_compared_where_they_are():
    fine = Geometry((60, 60, 60), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), frame_of_reference=FRAME)
    coarse = Geometry((30, 30, 30), (1, 1, 1), (0.5, 0.5, 0.5), frame_of_reference=FRAME)
    one, other = box((10, 10, 10), (30, 20, 20), fine), box((5, 5, 5), (17, 10, 10), coarse)  # equal faces, but one 2 mm farther
    found = surface_distances(other, one)
    assert 2 <= found.hausdorff_mm() <= np.hypot(2, np.hypot(0.5, 0.5)) + 1e-9  # elements of the coarse face are 1 mm apart
    same = surface_distances(box((5, 5, 5), (15, 10, 10), coarse), one)
    assert same.hausdorff_mm() < 0.8
    assert same.mean_machine_to_physician_mm < 0.05  # every coarse element away from the rims is also a fine one


def test_uneven_slices_count_where_they_are():
    offsets = (0.0, 3.0, 6.0, 12.0, 15.0, 18.0)
    grid = Geometry((20, 20, 6), (1, 1, 3), slice_offsets_mm=offsets, frame_of_reference=FRAME)
    plate = box((2, 2, 1), (16, 16, 3), grid)  # slices at 3, 6, 12: from 1.5 to 13.5 mm
    height = surface(plate).points_mm[:, 2]
    assert (height.min(), height.max()) == (1.5, 13.5)
    assert set(np.round(height, 6)) == {1.5, 4.5, 9.0, 13.5}
    even = Geometry((20, 20, 10), (1, 1, 3), frame_of_reference=FRAME)
    same = box((2, 2, 1), (16, 16, 4), even)  # slices at 3, 6, 9, 12: from 1.5 to 13.5 mm
    assert surface_distances(plate, same).hausdorff_mm() == pytest.approx(1.5)  # 9.0 lies half-way between 7.5 and 10.5
    sides = surface(plate)
    middle = (np.abs(sides.points_mm[:, 2] - 9) < 1e-6) & (np.abs(sides.points_mm[:, 0] - 1.5) < 1e-6) & (np.abs(sides.points_mm[:, 1] - 9) < 4)
    assert sides.areas_mm2[middle] == pytest.approx(6.0)  # the long layer counts with its height


def test_a_close_up_has_the_same_surface_volume_and_centroid():
    offsets = (0.0, 3.0, 6.0, 12.0, 15.0, 18.0)
    for grid in (Geometry((20, 20, 6), (1, 1, 3), slice_offsets_mm=offsets), Geometry((20, 20, 6), (1, 1, 3))):
        for region in (box((2, 3, 2), (5, 6, 2), grid), box((0, 0, 0), (20, 20, 6), grid), box((4, 4, 5), (3, 3, 1), grid)):
            near = close_up(region)
            assert near.volume_cm3 == pytest.approx(region.volume_cm3)
            assert near.centroid_mm == pytest.approx(region.centroid_mm)
            np.testing.assert_allclose(surface(near).points_mm, surface(region).points_mm)
            np.testing.assert_allclose(surface(near).areas_mm2, surface(region).areas_mm2)
    assert close_up(nothing()).is_empty


def test_what_has_no_surface_and_no_percentile_is_refused():
    region = box((5, 5, 5), (4, 4, 4))
    with pytest.raises(InputError, match="empty"):
        surface(nothing())
    with pytest.raises(InputError, match="empty"):
        surface_distances(nothing(), region)
    elsewhere = Geometry(region.geometry.size, (1, 1, 3), frame_of_reference="9.9")
    with pytest.raises(GeometryError, match="frame"):
        surface_distances(region, box((5, 5, 5), (4, 4, 4), elsewhere))
    found = surface_distances(region, region)
    for percentile in (0, -5, 101, float("nan")):
        with pytest.raises(InputError, match="percentile"):
            found.hausdorff_mm(percentile)
    for tolerance in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="tolerance"):
            found.surface_dice(tolerance)
    with pytest.raises(InputError, match="elements"):
        SurfaceDistances(np.empty(0), np.empty(0), np.ones(2), np.ones(2))
