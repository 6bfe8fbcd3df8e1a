from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from rt4d import geometry as grids
from rt4d.errors import GeometryError
from rt4d.geometry import Geometry
from tests.conftest import POSES, rotation


def test_index_to_patient_agrees_with_itk(posed_geometry):
    image = sitk.Image(posed_geometry.size, sitk.sitkUInt8)
    image.SetSpacing(posed_geometry.spacing_mm)
    image.SetOrigin(posed_geometry.origin_mm)
    image.SetDirection(posed_geometry.direction)
    for index in [(0, 0, 0), (3.5, 2.25, 1.0), (11, 9, 7)]:
        assert posed_geometry.to_patient(index) == pytest.approx(image.TransformContinuousIndexToPhysicalPoint(index))
        assert posed_geometry.to_index(image.TransformContinuousIndexToPhysicalPoint(index)) == pytest.approx(index)


@given(
    angles=st.tuples(*[st.floats(-80, 80)] * 3),
    index=st.tuples(*[st.floats(-5, 20)] * 3),
    steps=st.lists(st.floats(0.5, 9), min_size=5, max_size=5),
)
def test_index_and_patient_round_trip_on_any_grid(angles, index, steps):
    uneven = Geometry((4, 5, 6), (0.9, 1.1, 3), (-7, 8, 100), rotation(*angles), slice_offsets_mm=tuple(np.r_[0, np.cumsum(steps)]))
    even = Geometry((4, 5, 6), (0.9, 1.1, 3), (-7, 8, 100), rotation(*angles))
    for grid in (uneven, even):
        assert grid.to_index(grid.to_patient(index)) == pytest.approx(index, abs=1e-9)


def test_uneven_slices_keep_their_own_positions():
    grid = Geometry((2, 2, 4), (1, 1, 3), slice_offsets_mm=(0, 3, 9, 12))
    assert grid.to_patient([0, 0, 2])[2] == 9
    assert grid.to_patient([0, 0, 1.5])[2] == 6
    assert grid.crop((0, 0, 1), (2, 2, 3)).slice_offsets_mm == (0, 6, 9)
    assert list(grid.slice_volumes_mm3) == [3, 4.5, 4.5, 3]
    with pytest.raises(GeometryError, match=r"6\.00 mm between slices 2 and 3"):
        grids.require_even(grid, what="Registration")


def test_crop_keeps_voxels_where_they_were(posed_geometry):
    part = posed_geometry.crop((2, 3, 1), (4, 4, 5))
    assert part.to_patient([0, 0, 0]) == pytest.approx(posed_geometry.to_patient([2, 3, 1]))
    assert part.centres()[-1, -1, -1] == pytest.approx(posed_geometry.to_patient([5, 6, 5]))
    with pytest.raises(GeometryError, match="inside its grid"):
        posed_geometry.crop((0, 0, 5), (2, 2, 4))


def test_box_around_holds_points_and_margin_and_stays_on_the_grid(posed_geometry):
    inner = posed_geometry.to_patient([[5, 5, 4], [6, 6, 4]])
    start, size = posed_geometry.box_around(inner, 3.0)
    assert (start, size) == ((2, 3, 3), (8, 6, 3))
    assert posed_geometry.box_around(inner, 1000.0) == ((0, 0, 0), posed_geometry.size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (4, 5, 7)}, "size"),
        ({"origin_mm": (0, 0, 0.5)}, r"0\.50 mm apart"),
        ({"spacing_mm": (1, 1, 2.9)}, "spacing"),
        ({"direction": POSES["HFP"]}, "apart"),
        ({"frame_of_reference": "9.9"}, "frame of reference 1.2 against 9.9"),
        ({"slice_offsets_mm": (0, 3, 6, 9, 12, 18)}, "apart"),
    ],
)
def test_two_different_grids_never_meet_silently(change, message):
    known = {"size": (4, 5, 6), "spacing_mm": (1, 1, 3), "origin_mm": (0, 0, 0), "frame_of_reference": "1.2"}
    mine, other = Geometry(**known), Geometry(**(known | change))
    assert not mine.is_same_grid(other)
    with pytest.raises(GeometryError, match=message):
        grids.require(mine, other)


def test_a_grid_without_a_frame_of_reference_is_taken_on_trust():
    grids.require(Geometry((4, 5, 6), (1, 1, 3), frame_of_reference="1.2"), Geometry((4, 5, 6), (1, 1, 3)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 5, 6)},
        {"spacing_mm": (1, 1, 0)},
        {"spacing_mm": (1, 1, float("nan"))},
        {"direction": (1, 0, 0, 0, 1, 0, 0, 0, -1)},
        {"direction": (1, 0.2, 0, 0, 1, 0, 0, 0, 1)},
        {"slice_offsets_mm": (0, 3, 6, 6, 9, 12)},
        {"slice_offsets_mm": (0, 3)},
    ],
)
def test_an_impossible_grid_is_not_born(wrong):
    with pytest.raises(GeometryError):
        Geometry(**({"size": (4, 5, 6), "spacing_mm": (1, 1, 3)} | wrong))
