"""Overlap on one grid, on crops of one, and on grids that have no voxel in common."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d import Geometry, Mask, compare
from rt4d.errors import GeometryError
from tests.agreement.shapes import FRAME, GRID, ball, blob, box, common_of_balls, nothing
from tests.conftest import rotation

CENTRE = np.array((30.2, 31.3, 46.1))
COARSE = Geometry((62, 62, 32), (1.0, 1.0, 3.0), frame_of_reference=FRAME)
SHIFTED = Geometry((92, 92, 52), (0.7, 0.7, 2.0), (-3.3, -2.2, 1.1), frame_of_reference=FRAME)


def tilted() -> Geometry:
    """SHIFTED, turned by 20° and some about the centre."""
    direction = rotation(5, 20, -10)
    origin = CENTRE - np.reshape(direction, (3, 3)) @ (np.array((91, 91, 51)) / 2 * (0.7, 0.7, 2.0))
    return Geometry((92, 92, 52), (0.7, 0.7, 2.0), tuple(origin), direction, FRAME)


@pytest.mark.parametrize("other", [SHIFTED, tilted()], ids=["shifted", "oblique"])
@pytest.mark.parametrize(("radius", "shift"), [(15, 2), (13, 0), (12, 4), (15, 5)])
def test_balls_on_different_grids_overlap_as_their_formula_says(other, radius, shift):
    physician, machine = ball(COARSE, CENTRE, 15), ball(other, CENTRE + np.array((shift, 0, 0)), radius)
    for found in (compare(machine, physician), compare(physician, machine)):
        truth = 2 * common_of_balls(15, radius, shift) / (4 / 3 * np.pi * (15**3 + radius**3))
        assert found.dice == pytest.approx(truth, abs=0.01)
        assert any("different grids" in note for note in found.notes)
    found = compare(machine, physician)
    assert found.volume_machine_cm3 == machine.volume_cm3 == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.02)
    assert found.volume_physician_cm3 == physician.volume_cm3
    common = common_of_balls(15, radius, shift) / 1000
    assert found.false_positive_cm3 == pytest.approx(machine.volume_cm3 - common, abs=0.02 * physician.volume_cm3)
    assert found.false_negative_cm3 == pytest.approx(physician.volume_cm3 - common, abs=0.02 * physician.volume_cm3)
    assert found.false_positive.geometry.is_same_grid(COARSE)
    assert found.centroid_shift_mm == pytest.approx((shift, 0, 0), abs=0.2)


@pytest.mark.parametrize("other", [SHIFTED, tilted()], ids=["shifted", "oblique"])
def test_one_ball_on_two_grids_is_nearly_itself(other):
    found = compare(ball(other, CENTRE, 25), ball(COARSE, CENTRE, 25))
    assert found.dice > 0.98
    assert found.mean_surface_distance_mm < 0.3
    assert found.hd95_mm < 1
    assert found.surface_dice > 0.999


def test_overlap_does_not_depend_on_where_voxels_of_another_grid_begin():
    fixed = Geometry((50, 50, 50), (2, 2, 2), (49, -49, 49), (-1, 0, 0, 0, 1, 0, 0, 0, -1), FRAME)
    machine, errors = ball(fixed, np.array((5.0, 0, 0)), 20), []
    truth = common_of_balls(20, 20, 5) / (4 / 3 * np.pi * 20**3)
    for shift in np.random.default_rng(0).uniform(-1, 1, (6, 3)):
        turned = Geometry((60, 60, 60), (1.5, 1.5, 1.5), tuple(np.add(shift, (-64, 0, -44))), tuple(rotation(0, 0, -45)), FRAME)
        errors.append(compare(machine, ball(turned, np.zeros(3), 20)).dice - truth)
    assert np.abs(errors).max() < 0.006
    assert np.std(errors) < 0.002


def test_one_box_on_two_grids_is_itself():
    """The voxels' outer faces are the same, so that nothing differs but the edges, which a signed distance rounds the more the thicker slices are."""
    coarse = Geometry((20, 20, 12), (1, 1, 3), (0.5, 0.5, 1.5), frame_of_reference=FRAME)
    fine = Geometry((40, 40, 72), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), frame_of_reference=FRAME)
    found = compare(box((10, 10, 18), (20, 20, 36), fine), box((5, 5, 3), (10, 10, 6), coarse))
    assert found.dice > 0.96
    assert found.volume_difference_cm3 == pytest.approx(0)
    assert found.centroid_shift_mm == pytest.approx((0, 0, 0), abs=1e-9)
    assert found.false_positive_voxels == found.false_negative_voxels == 0
    assert found.added_path_mm == 0


@pytest.mark.parametrize("size", [(1, 1, 1), (4, 1, 1), (1, 1, 3), (3, 3, 1)])
def test_tiny_regions_on_different_grids_are_neither_lost_nor_refused(size):
    machine, physician = box((30, 30, 20), size, SHIFTED), ball(COARSE, SHIFTED.to_patient((30, 30, 20)), 3)
    found = compare(machine, physician)
    assert 0 < found.dice < 1
    assert found.surface is not None


def test_a_crop_of_the_grid_counts_the_same_voxels_and_says_nothing():
    machine, physician = blob(np.random.default_rng(1), GRID), blob(np.random.default_rng(2), GRID)
    inner = Mask(machine.inside & box((4, 5, 6), (20, 18, 9)).inside, GRID)
    whole, part = compare(inner, physician), compare(inner.crop((4, 5, 6), (20, 18, 9)), physician)
    (told, known), shifts = (each.to_dict() for each in (part, whole)), (part.centroid_shift_mm, whole.centroid_shift_mm)
    assert shifts[0] == pytest.approx(shifts[1])
    nested = ("centroid_shift_mm", "notes", "machine", "physician")
    assert {k: v for k, v in told.items() if k not in nested} == pytest.approx({k: v for k, v in known.items() if k not in nested}, rel=1e-9)
    assert part.notes == whole.notes == ()
    assert np.array_equal(part.false_positive.inside, whole.false_positive.inside)
    assert whole.false_positive_voxels == np.count_nonzero(inner.inside & ~physician.inside)


def test_voxels_are_those_of_simpleitks_overlap_measures():
    sitk = pytest.importorskip("SimpleITK")
    machine, physician = blob(np.random.default_rng(1), GRID), blob(np.random.default_rng(2), GRID)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*(sitk.GetImageFromArray(each.inside.astype(np.uint8)) for each in (physician, machine)))
    found = compare(machine, physician)
    assert found.dice == pytest.approx(measures.GetDiceCoefficient(), abs=1e-12)
    assert found.jaccard == pytest.approx(measures.GetJaccardCoefficient(), abs=1e-12)
    assert found.false_negative_voxels / np.count_nonzero(physician.inside) == pytest.approx(measures.GetFalseNegativeError())


def test_what_lies_beyond_the_physicians_grid_counts_and_is_said():
    whole = Geometry((40, 30, 20), (1, 1, 3), frame_of_reference=FRAME)
    machine = box((10, 10, 5), (20, 10, 5), whole)
    physician = box((10, 10, 5), (10, 10, 5), whole).crop((0, 0, 0), (20, 30, 20))
    found = compare(machine, physician)
    assert found.dice == pytest.approx(2 / 3)
    assert found.volume_machine_cm3 == pytest.approx(3.0)
    assert found.false_positive_voxels == 0
    assert found.notes == ("1.50 cm³ of the machine's contour lie beyond the physician's grid: counted in its volume, no false-positive voxels",)
    elsewhere = Geometry((25, 30, 20), (1.0, 1.0, 3.0), (10.5, 0.5, 0.0), frame_of_reference=FRAME)
    between = compare(box((0, 10, 5), (20, 10, 5), elsewhere), physician)
    common, both = 9.5 * 9.5 * 5, (20 + 10) * 10 * 5
    assert between.dice == pytest.approx(2 * common / both, abs=0.02), "half a voxel beside one another"
    assert any("beyond the physician's grid" in note for note in between.notes)


def test_grids_apart_in_one_frame_have_nothing_in_common():
    far = Geometry((30, 30, 20), (1, 1, 3), (305.0, 5, 5), frame_of_reference=FRAME)
    off = Geometry((30, 30, 20), (1, 1, 3), (300.3, 5, 5), frame_of_reference=FRAME)
    for grid in (far, off):
        found = compare(box((5, 5, 5), (4, 4, 4), grid), box((5, 5, 5), (4, 4, 4)))
        assert found.dice == found.surface_dice == 0
        assert found.hausdorff_mm > 290
        assert any("beyond" in note for note in found.notes)


def test_frames_that_differ_are_refused_and_nameless_ones_taken_on_trust_where_they_overlap():
    named, other, nameless = (Geometry(GRID.size, GRID.spacing_mm, GRID.origin_mm, frame_of_reference=name) for name in (FRAME, "9.9", ""))
    region = [box((5, 5, 5), (6, 6, 6), grid) for grid in (named, other, nameless)]
    with pytest.raises(GeometryError, match=r"frames of reference.*9\.9|9\.9"):
        compare(region[1], region[0])
    assert compare(region[0], region[0]).notes == ()
    assert compare(region[2], region[0]).notes == ("The machine's contour names no frame of reference: taken on trust to lie in the other's",)
    assert "physician's" in compare(region[0], region[2]).notes[0]
    assert "Neither" in compare(region[2], region[2]).notes[0]
    apart = box((5, 5, 5), (6, 6, 6), Geometry(GRID.size, GRID.spacing_mm, (5, 5, 300)))
    for physician in (region[0], region[2]):
        with pytest.raises(GeometryError, match="overlap in space"):
            compare(apart, physician)


def test_uneven_slices_weigh_what_they_stand_for():
    grid = Geometry((20, 20, 5), (1, 1, 3), slice_offsets_mm=(0.0, 3.0, 6.0, 12.0, 18.0), frame_of_reference=FRAME)
    physician, machine = box((2, 2, 1), (10, 10, 3), grid), box((2, 2, 1), (10, 10, 2), grid)
    found = compare(machine, physician)
    assert found.volume_physician_cm3 == pytest.approx(0.1 * (3 + 4.5 + 6))
    assert found.dice == pytest.approx(2 * 7.5 / (7.5 + 13.5))
    assert found.false_negative_cm3 == pytest.approx(0.6)
    even = Geometry((20, 20, 7), (1, 1, 3), frame_of_reference=FRAME)
    assert compare(box((2, 2, 1), (10, 10, 4), even), physician).dice == pytest.approx(12 / 12.75, abs=0.06)


def test_a_single_slice_of_other_thickness_is_another_grid():
    thin, thick = (Geometry((20, 20, 1), (1, 1, dz), frame_of_reference=FRAME) for dz in (2, 6))
    found = compare(box((5, 5, 0), (10, 10, 1), thin), box((5, 5, 0), (10, 10, 1), thick))
    assert found.dice == pytest.approx(2 * 2 / (2 + 6), abs=0.01)


def test_empty_masks_on_different_grids_are_defined_too():
    region = box((20, 20, 10), (9, 9, 9), COARSE)
    assert compare(nothing(SHIFTED), nothing(COARSE)).dice is None
    for found in (compare(nothing(SHIFTED), region), compare(ball(SHIFTED, CENTRE, 9), nothing(COARSE))):
        assert found.dice == found.surface_dice == 0
        assert found.hd95_mm is None
        assert max(found.false_negative_cm3, found.false_positive_cm3) > 0.5


def test_a_contour_within_the_grid_is_not_said_to_lie_beyond_it_by_rounding():
    grid = Geometry((40, 40, 60), (0.977, 0.977, 3.0))
    drawn = np.zeros(grid.shape, bool)
    drawn[5:-3, 5:10, 7:9] = True
    for seed in (0, 49, 57):
        rng = np.random.default_rng(seed)
        inside = rng.random(grid.shape) < rng.random((60, 1, 1))
        inside[: seed % 20 + 1] = False
        assert not any("beyond" in note for note in compare(Mask(inside, grid), Mask(drawn, grid)).notes)
