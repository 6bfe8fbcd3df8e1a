"""What holds of every pair of contours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt4d import Comparison, Geometry, Mask, compare
from tests.agreement.shapes import FRAME
from tests.conftest import rotation

SHAPE = (5, 6, 7)
SPACING = (0.7, 1.3, 3.0)
pairs = st.tuples(arrays(bool, SHAPE), arrays(bool, SHAPE))
laws = settings(max_examples=40, deadline=None)
NESTED = ("machine", "physician", "notes", "centroid_shift_mm")


def on(inside: np.ndarray, **where: object) -> Mask:
    grid = {"size": inside.shape[::-1], "spacing_mm": SPACING, "frame_of_reference": FRAME, **where}
    return Mask(np.ascontiguousarray(inside), Geometry(**grid))


def numbers(found: Comparison) -> dict:
    return {key: value for key, value in found.to_dict().items() if key not in NESTED}


def assert_same(found: Comparison, other: Comparison) -> None:
    known = numbers(other)
    for name, value in numbers(found).items():
        assert value is known[name] or value == pytest.approx(known[name], rel=1e-7, abs=1e-7), name


@laws
@given(pairs)
def test_swapping_them_swaps_what_has_a_side_and_nothing_else(pair):
    there, back = compare(*map(on, pair)), compare(*map(on, pair[::-1]))
    for name in ("dice", "jaccard", "surface_dice", "hd95_mm", "hausdorff_mm", "mean_surface_distance_mm", "slices_to_edit"):
        assert getattr(there, name) == pytest.approx(getattr(back, name)), name
    assert there.volume_difference_cm3 == pytest.approx(-back.volume_difference_cm3)
    assert there.false_positive_voxels == back.false_negative_voxels
    if there.centroid_shift_mm is not None:
        assert np.add(there.centroid_shift_mm, back.centroid_shift_mm) == pytest.approx((0, 0, 0))
        assert there.surface.mean_machine_to_physician_mm == pytest.approx(back.surface.mean_physician_to_machine_mm)


@laws
@given(arrays(bool, SHAPE))
def test_a_contour_agrees_with_itself(inside):
    assume(inside.any())
    found = compare(on(inside), on(inside))
    assert found.dice == found.jaccard == found.surface_dice == found.surface_dice_at(0) == 1
    assert found.hausdorff_mm == found.mean_surface_distance_mm == found.added_path_mm == found.slices_to_edit == 0
    assert found.centroid_shift_mm == (0, 0, 0)


@laws
@given(pairs, st.tuples(*[st.floats(-80, 80)] * 3), st.tuples(*[st.floats(-500, 500)] * 3))
def test_nothing_depends_on_where_the_patient_lies_and_how_turned(pair, degrees, origin):
    posed = [on(each, origin_mm=origin, direction=rotation(*degrees)) for each in pair]
    found, straight = compare(*posed), compare(*map(on, pair))
    assert_same(found, straight)
    if straight.centroid_shift_mm is not None:
        assert np.linalg.norm(found.centroid_shift_mm) == pytest.approx(np.linalg.norm(straight.centroid_shift_mm), abs=1e-6)


@laws
@given(pairs, st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 1, 2)]))
def test_nothing_depends_on_the_order_in_which_voxels_are_stored(pair, axes):
    assert_same(compare(*(on(np.flip(each, axes)) for each in pair)), compare(*map(on, pair)))


@laws
@given(pairs, st.tuples(*[st.integers(0, 3)] * 6))
def test_nothing_depends_on_the_room_about_them(pair, room):
    margin = tuple(zip(room[:3], room[3:], strict=True))
    assert_same(compare(*(on(np.pad(each, margin)) for each in pair)), compare(*map(on, pair)))


@laws
@given(pairs)
def test_a_crop_that_holds_the_machine_is_the_machine(pair):
    machine, physician = map(on, pair)
    wide = on(np.pad(machine.inside, 2), origin_mm=tuple(-2 * np.array(SPACING)))
    assert_same(compare(wide, physician), compare(machine, physician))


@laws
@given(pairs, st.lists(st.floats(0, 30), min_size=2, max_size=6))
def test_a_wider_tolerance_never_makes_it_worse(pair, tolerances):
    found = compare(*map(on, pair))
    assume(found.surface is not None)
    shares = [found.surface_dice_at(tolerance) for tolerance in sorted(tolerances)]
    assert shares == sorted(shares)
    assert found.surface_dice_at(found.hausdorff_mm) == pytest.approx(1)
    assert 0 <= found.surface.mean_mm <= found.hausdorff_mm
    assert 0 <= found.mean_surface_distance_mm <= found.faces.hausdorff_mm()  # elements may coincide where voxels differ
    assert found.hd95_mm <= found.hausdorff_mm


@laws
@given(pairs)
def test_overlap_and_what_only_one_holds_make_up_the_volumes(pair):
    found = compare(*map(on, pair))
    assume(found.dice is not None)
    common = found.volume_machine_cm3 - found.false_positive_cm3
    assert common == pytest.approx(found.volume_physician_cm3 - found.false_negative_cm3)
    assert found.dice * (found.volume_machine_cm3 + found.volume_physician_cm3) / 2 == pytest.approx(common)
    assert found.jaccard == pytest.approx(found.dice / (2 - found.dice))
