"""Where false positives and negatives lie."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from rt4d import compare
from rt4d.agreement import locate
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from tests.agreement.shapes import ball, blob, box, nothing

GRID = Geometry((40, 40, 20), (1.0, 1.0, 3.0), (-20, -20, -30), frame_of_reference="1.2.3")
DRAWN = box((15, 15, 7), (10, 10, 6), GRID)


def added_up(parts) -> float:
    return sum(parts.values())


@pytest.mark.parametrize(
    ("start", "size", "direction"),
    [
        ((5, 18, 9), (4, 4, 2), "right"),
        ((31, 18, 9), (4, 4, 2), "left"),
        ((18, 5, 9), (4, 4, 2), "anterior"),
        ((18, 31, 9), (4, 4, 2), "posterior"),
        ((18, 18, 1), (4, 4, 2), "inferior"),
        ((18, 18, 17), (4, 4, 2), "superior"),
    ],
)
def test_a_piece_lies_in_its_direction(start, size, direction):
    found = locate(compare(DRAWN | box(start, size, GRID), DRAWN).false_positive, DRAWN)
    assert found.by_direction_cm3[direction] == found.total_cm3 == pytest.approx(0.096)


def test_directions_are_the_patients_in_every_position(posed_geometry):
    drawn = box((5, 4, 3), (2, 2, 2), posed_geometry)
    centre = np.array(drawn.centroid_mm)
    for axis, names in enumerate((("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))):
        for sign, name in zip((-1, 1), names, strict=True):
            index = np.round(posed_geometry.to_index(centre + sign * 4.5 * np.eye(3)[axis])).astype(int)
            found = locate(box(index, (1, 1, 1), posed_geometry), drawn)
            assert found.by_direction_cm3[name] == found.total_cm3


def test_shells_about_a_plate_lie_at_their_distances():
    grid = Geometry((60, 60, 20), (1.0, 1.0, 3.0), frame_of_reference="1.2.3")
    drawn = box((20, 20, 9), (20, 20, 2), grid)
    strip = box((40, 20, 9), (15, 20, 2), grid)  # fifteen layers to the left: at 0.5, 1.5 … 14.5 mm
    by_distance = locate(strip, drawn).by_distance_cm3
    layer = 20 * 2 * 3 / 1000
    assert by_distance == pytest.approx({"0–2 mm": 2 * layer, "2–5 mm": 3 * layer, "5–10 mm": 5 * layer, "over 10 mm": 5 * layer})
    above = box((20, 20, 11), (20, 20, 5), grid)  # five slices above: at 1.5, 4.5, 7.5, 10.5, 13.5 mm
    slab = 20 * 20 * 3 / 1000
    assert list(locate(above, drawn).by_distance_cm3.values()) == pytest.approx([slab, slab, slab, 2 * slab])


def test_what_was_missed_lies_as_deep_as_it_lies():
    drawn = box((8, 8, 2), (24, 24, 16), GRID)
    centre = locate(box((19, 19, 9), (2, 2, 2), GRID), drawn).by_distance_cm3  # 11 to 12 mm from the sides
    assert centre["over 10 mm"] == pytest.approx(0.024)
    rim = locate(drawn - box((10, 10, 3), (20, 20, 14), GRID), drawn).by_distance_cm3
    assert rim["0–2 mm"] == pytest.approx(added_up(rim))


def test_inside_and_outside_the_lung_add_up():
    lung = box((0, 0, 0), (20, 40, 20), GRID)
    region = box((15, 15, 7), (10, 10, 6), GRID)
    found = locate(region, ball(GRID, (0, 0, 0), 9), lung=lung)
    assert (found.inside_lung_cm3, found.outside_lung_cm3) == (pytest.approx(0.9), pytest.approx(0.9))
    assert locate(region, DRAWN).inside_lung_cm3 is None


@pytest.mark.parametrize("seed", range(4))
def test_every_division_adds_up_to_the_whole(seed):
    rng = np.random.default_rng(seed)
    offsets = tuple(np.r_[0.0, np.cumsum(rng.uniform(1, 6, 11))])
    grid = Geometry((14, 15, 12), (0.9, 1.1, 3.0), slice_offsets_mm=offsets if seed % 2 else None, frame_of_reference="1.2.3")
    machine, drawn, lung = (blob(rng, grid) for _ in range(3))
    compared = compare(machine, drawn)
    for region in (compared.false_positive, compared.false_negative):
        found = locate(region, drawn, lung=lung)
        assert found.total_cm3 == pytest.approx(region.volume_cm3, rel=1e-12)
        for total in (found.inside_lung_cm3 + found.outside_lung_cm3, added_up(found.by_direction_cm3), added_up(found.by_distance_cm3)):
            assert total == pytest.approx(found.total_cm3, rel=1e-12)
        json.dumps(found.to_dict(), allow_nan=False)


def test_nowhere_is_nothing_and_without_a_contour_there_is_no_from():
    nowhere = locate(nothing(GRID), DRAWN, lung=DRAWN)
    assert nowhere.total_cm3 == nowhere.inside_lung_cm3 == added_up(nowhere.by_direction_cm3) == added_up(nowhere.by_distance_cm3) == 0
    found = locate(DRAWN, nothing(GRID))
    assert found.total_cm3 == pytest.approx(1.8)
    assert found.by_direction_cm3 is found.by_distance_cm3 is None


def test_other_grids_and_parts_that_do_not_add_up_are_refused():
    elsewhere = nothing(Geometry((40, 40, 20), (1, 1, 3)))
    with pytest.raises(GeometryError):
        locate(elsewhere, DRAWN)
    with pytest.raises(GeometryError, match="lung"):
        locate(DRAWN, DRAWN, lung=elsewhere)
    with pytest.raises(InputError, match="add up"):
        dataclasses.replace(locate(DRAWN, DRAWN), inside_lung_cm3=1.0, outside_lung_cm3=0.1)
