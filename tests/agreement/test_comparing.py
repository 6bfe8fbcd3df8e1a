"""`rt4d.compare`: what it says of a pair, and what of none."""

from __future__ import annotations

import dataclasses
import json
import pickle
import tracemalloc

import numpy as np
import pytest

import rt4d
from rt4d.errors import InputError
from tests.agreement.shapes import GRID, box, nothing


def test_a_shifted_box_has_the_numbers_of_its_formula():
    physician, machine = box((5, 5, 5), (10, 10, 5)), box((7, 5, 5), (10, 10, 5))
    found = rt4d.compare(machine, physician, machine_label="net", physician_label="Dr A")
    assert (found.machine, found.physician, found.tolerance_mm) == ("net", "Dr A", 2.0)
    assert found.dice == pytest.approx(0.8)
    assert found.jaccard == pytest.approx(8 / 12)
    assert found.volume_machine_cm3 == found.volume_physician_cm3 == pytest.approx(1.5)
    assert found.volume_difference_cm3 == found.volume_difference_percent == 0
    assert found.volume_ratio == 1
    assert found.centroid_shift_mm == pytest.approx((2, 0, 0))
    assert found.hausdorff_mm == found.hd95_mm == pytest.approx(2)
    assert found.surface_dice == found.surface_dice_at(2) == 1
    assert 0 < found.surface_dice_at(1) < 1
    assert found.false_positive_voxels == found.false_negative_voxels == 100
    assert found.false_positive_cm3 == found.false_negative_cm3 == pytest.approx(0.3)
    assert found.voxel_volume_mm3 == pytest.approx(3)
    assert np.array_equal(found.false_positive.inside, machine.inside & ~physician.inside)
    assert np.array_equal(found.false_negative.inside, physician.inside & ~machine.inside)


def test_both_empty_agree_in_nothing_and_miss_nothing():
    found = rt4d.compare(nothing(), nothing())
    assert (found.dice, found.jaccard, found.surface_dice, found.surface_dice_at(5)) == (None,) * 4
    assert (found.surface, found.hausdorff_mm, found.hd95_mm, found.mean_surface_distance_mm, found.centroid_shift_mm) == (None,) * 5
    assert (found.false_positive_voxels, found.false_negative_voxels, found.added_path_mm, found.slices_to_edit, found.slice_count) == (0,) * 5
    assert found.volume_difference_cm3 == 0
    assert found.volume_ratio is found.volume_difference_percent is None
    assert "undefined" in str(found)


def test_without_a_physicians_contour_all_is_false_positive():
    found = rt4d.compare(box((5, 5, 5), (10, 10, 5)), nothing())
    assert found.dice == found.jaccard == found.surface_dice == 0
    assert found.surface is found.hd95_mm is found.centroid_shift_mm is found.volume_ratio is None
    assert (found.false_positive_voxels, found.false_negative_voxels) == (500, 0)
    assert (found.added_path_mm, found.slices_to_edit, found.slice_count) == (0, 5, 0)


def test_without_a_machines_contour_all_is_false_negative_and_to_be_drawn():
    found = rt4d.compare(nothing(), box((5, 5, 5), (10, 10, 5)))
    assert found.dice == found.jaccard == found.surface_dice == found.volume_ratio == 0
    assert found.volume_difference_percent == -100
    assert (found.false_positive_voxels, found.false_negative_voxels) == (0, 500)
    assert found.added_path_mm == pytest.approx(5 * (4 * 9 + 4 * np.sqrt(0.5)))
    assert (found.slices_to_edit, found.slice_count) == (5, 5)


DRAWN = box((5, 5, 5), (4, 4, 4))


@pytest.mark.parametrize("pair", [(box((7, 5, 5), (4, 4, 4)), DRAWN), (nothing(), DRAWN), (DRAWN, nothing()), (nothing(), nothing())])
def test_json_has_the_promised_keys_and_null_where_undefined(pair):
    told = json.loads(json.dumps(rt4d.compare(*pair).to_dict(), allow_nan=False))
    promised = {
        *("machine", "physician", "dice", "surface_dice", "tolerance_mm", "hd95_mm", "mean_surface_distance_mm", "volume_machine_cm3"),
        *("volume_physician_cm3", "false_positive_cm3", "false_positive_voxels", "voxel_volume_mm3", "false_negative_cm3"),
    }
    assert promised <= set(told)
    assert (told["hd95_mm"] is None) == any(each.is_empty for each in pair)


def test_printed_it_reads_as_a_table_with_its_notes():
    nameless = rt4d.Geometry(GRID.size, GRID.spacing_mm)
    found = rt4d.compare(box((7, 5, 5), (10, 10, 5), nameless), box((5, 5, 5), (10, 10, 5), nameless), machine_label="unet", physician_label="GTV_A")
    text = str(found)
    assert text.startswith("unet against GTV_A\n")
    for word in ("0.800", "2.00 mm", "x +2.0", "0.30 cm³, 100 voxels", "note: Neither contour names a frame"):
        assert word in text


def test_a_comparison_is_a_value():
    found = rt4d.compare(box((5, 5, 5), (4, 4, 4)), box((7, 5, 5), (4, 4, 4)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.dice = 1.0
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
    with pytest.raises(InputError, match="surface"):
        dataclasses.replace(found, surface=None)
    with pytest.raises(InputError, match="Dice"):
        dataclasses.replace(found, dice=None)
    for tolerance in (-1.0, float("nan")):
        with pytest.raises(InputError, match="tolerance"):
            rt4d.compare(nothing(), nothing(), tolerance_mm=tolerance)


def test_inputs_are_left_as_they_were():
    machine, physician = box((7, 5, 5), (4, 4, 4)), box((5, 5, 5), (4, 4, 4))
    before = machine.inside.copy(), physician.inside.copy()
    rt4d.compare(machine, physician)
    assert np.array_equal(machine.inside, before[0])
    assert np.array_equal(physician.inside, before[1])


def test_a_whole_body_is_compared_without_a_list_of_its_voxels():
    """A list of the coordinates of all voxels takes 24 bytes for each, several times over."""
    grid = rt4d.Geometry((160, 120, 60), (2.5, 2.5, 3.0), frame_of_reference=GRID.frame_of_reference)
    machine, physician = box((4, 4, 4), (150, 110, 50), grid), box((6, 4, 4), (150, 110, 50), grid)
    rt4d.compare(machine, physician)
    tracemalloc.start()
    try:
        rt4d.compare(machine, physician)
        assert tracemalloc.get_traced_memory()[1] < 24 * np.count_nonzero(physician.inside)
    finally:
        tracemalloc.stop()
