"""Missing planes and partial volumes: against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt4d.dicom.rasterise import area_fractions
from rt4d.dicom.structures import StructureSet, read_rtstruct
from rt4d.errors import ContourError
from rt4d.geometry import Geometry
from rt4d.phases import CtImage
from tests.dicom.drawn import FRAME, Drawn, box, ct_image, grid, polygon, saved, structure_set

ANGLES = np.linspace(0, 2 * np.pi, 180, endpoint=False)


@pytest.fixture
def ct() -> CtImage:
    return ct_image(Geometry((50, 48, 30), (1.0, 1.0, 2.0), (-25.0, -24.0, -30.0), frame_of_reference=FRAME))


def circle(on: CtImage, radius_mm: float, z: float, *, centre: tuple[float, float] = (0.3, -0.2)) -> np.ndarray:
    """A circle in the plane of the fractional slice z, in patient coordinates of an upright grid."""
    height = on.geometry.to_patient([0.0, 0.0, z])[2]
    x, y = centre[0] + radius_mm * np.cos(ANGLES), centre[1] + radius_mm * np.sin(ANGLES)
    return np.column_stack([x, y, np.full(len(ANGLES), height)])


def read(tmp_path: Path, on: CtImage, contours: list[np.ndarray], **kwargs: object) -> StructureSet:
    return read_rtstruct(saved(structure_set(on, Drawn("GTV", contours)), tmp_path / "RS.dcm"), on=on, **kwargs)


def ball(on: CtImage, radius_mm: float, slices: np.ndarray) -> list[np.ndarray]:
    """The cross-sections of a ball in the middle of the grid."""
    middle = on.geometry.to_patient([0, 0, (on.geometry.size[2] - 1) / 2])[2]
    off = np.array([on.geometry.to_patient([0.0, 0.0, z])[2] - middle for z in slices])
    return [circle(on, float(np.sqrt(radius_mm**2 - d**2)), float(z)) for z, d in zip(slices, off, strict=True) if abs(d) < radius_mm]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_a_ball_drawn_on_every_second_slice_comes_back_when_interpolation_is_asked_for(tmp_path: Path, ct: CtImage) -> None:
    whole = read(tmp_path, ct, ball(ct, 20, np.arange(30)))["GTV"]
    drawn = ball(ct, 20, np.arange(1, 30, 2))
    asked = read(tmp_path, ct, drawn, interpolate_missing=True)
    assert dice(asked["GTV"].inside[5:24], whole.inside[5:24]) > 0.98
    assert any("interpolated on" in note for note in asked.notes)
    untold = read(tmp_path, ct, drawn)
    assert untold["GTV"].inside.any(axis=(1, 2)).sum() == len(drawn)
    assert "no contour on" in untold.notes[0]


def test_a_cone_is_interpolated_to_the_circles_between(tmp_path: Path, ct: CtImage) -> None:
    mask = read(tmp_path, ct, [circle(ct, 20, 5), circle(ct, 8, 11)], interpolate_missing=True)["GTV"]
    for z in range(5, 12):
        radius = 20 - 2 * (z - 5)
        assert np.count_nonzero(mask.inside[z]) == pytest.approx(np.pi * radius**2, rel=0.03)
    assert not mask.inside[[4, 12]].any()


def test_a_hole_is_interpolated_as_a_hole(tmp_path: Path, ct: CtImage) -> None:
    ring = [circle(ct, radius, z) for z in (5, 8) for radius in (18, 9)]
    mask = read(tmp_path, ct, ring, interpolate_missing=True)["GTV"]
    for z in (6, 7):
        assert np.array_equal(mask.inside[z], mask.inside[5])


def test_a_traced_region_is_interpolated_with_the_voxels_that_were_traced(tmp_path: Path) -> None:
    ct = ct_image(grid())
    trace = [[3.0, 2], [4, 2], [5, 3], [5, 4], [4, 5], [3, 5], [2, 4], [2, 3]]
    mask = read(tmp_path, ct, [polygon(ct.geometry, trace, z) for z in (2, 5)], interpolate_missing=True)["GTV"]
    assert mask.inside.sum(axis=(1, 2)).tolist() == [0, 0, 12, 12, 12, 12, 0, 0]


@pytest.mark.parametrize("shift", [0.2, 0.5, 0.8])
def test_planes_between_slices_are_interpolated_onto_them_when_asked_and_keep_their_volume(tmp_path: Path, ct: CtImage, shift: float) -> None:
    drawn = ball(ct, 20, np.arange(30) + shift)
    with pytest.raises(ContourError, match=r"between the slices.*--interpolate"):
        read(tmp_path, ct, drawn)["GTV"]
    mask = read(tmp_path, ct, drawn, interpolate_missing=True)["GTV"]
    assert mask.volume_cm3 == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.02)


def test_a_cylinder_drawn_on_planes_of_another_distance_keeps_its_volume(tmp_path: Path, ct: CtImage) -> None:
    """Nine planes 5 mm apart stand for 45 mm."""
    drawn = [circle(ct, 15, z) for z in 4.25 + 2.5 * np.arange(9)]
    mask = read(tmp_path, ct, drawn, interpolate_missing=True)["GTV"]
    assert mask.volume_cm3 == pytest.approx(np.pi * 15**2 * 45 / 1000, rel=0.03)


def test_what_is_beyond_the_image_is_refused_with_interpolation_too(tmp_path: Path, ct: CtImage) -> None:
    with pytest.raises(ContourError, match="partly outside the image"):
        read(tmp_path, ct, [circle(ct, 15, z) for z in (26, 28, 32)], interpolate_missing=True)["GTV"]
    with pytest.raises(ContourError, match="partly outside the image"):
        read(tmp_path, ct, [circle(ct, 15, z, centre=(18, 0)) for z in (4.5, 6.5)], interpolate_missing=True)["GTV"]


def test_the_fractions_of_a_box_are_the_products_of_its_overlaps() -> None:
    x0, x1, y0, y1 = 1.2, 6.7, 2.3, 4.9
    sides = ((9, x0, x1), (7, y0, y1))
    overlap = [np.clip(np.minimum(np.arange(n) + 0.5, high) - np.maximum(np.arange(n) - 0.5, low), 0, 1) for n, low, high in sides]
    found = area_fractions([np.array(box(x0, y0, x1, y1))], (7, 9))
    assert found.dtype == np.float32
    assert np.abs(found - np.outer(overlap[1], overlap[0])).max() < 0.02
    assert found.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_fractions_of_a_polygon_sum_to_its_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 40)))
    points = 15 + rng.uniform(0, 2, 2) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(2, 12, (len(angles), 1))
    if np.diff(np.r_[angles, angles[0] + 2 * np.pi]).max() < np.pi:
        x, y = points.T
        area = 0.5 * abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))
        found = area_fractions([points], (32, 32))
        assert found.sum() == pytest.approx(area, abs=0.05)
        assert -1e-6 <= found.min() <= found.max() <= 1 + 1e-6


def test_a_triangle_covers_half_of_each_voxel_on_its_slope() -> None:
    found = area_fractions([np.array([[-0.5, -0.5], [5.5, 5.5], [-0.5, 5.5]])], (6, 6))
    assert np.abs(np.diag(found) - 0.5).max() < 1e-3
    assert np.abs(found - np.tril(np.ones((6, 6)), -1) - 0.5 * np.eye(6)).max() < 1e-3


def test_holes_repeats_and_what_lies_beyond_the_slice_do_not_count() -> None:
    outer, hole = np.array(box(-3.25, 1.25, 6.75, 6.25)), np.array(box(1.5, 2.5, 3.5, 4.5))
    found = area_fractions([outer, hole[::-1], outer[::-1]], (8, 8))
    assert found.sum() == pytest.approx((6.75 + 0.5) * 5 - 4, rel=0.005)
    assert found[3, 2] == 0
    assert found[3, 0] == pytest.approx(1)
    assert not area_fractions([], (3, 4)).any()
    assert not area_fractions([np.array([[1.0, 1.0], [2.0, 2.0]])], (3, 4)).any()


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("at", [(0.0, 0.0), (0.5, 0.5), (0.21, -0.37)])
def test_a_region_of_few_voxels_has_the_volume_of_its_formula_wherever_it_lies(
    tmp_path: Path, ct: CtImage, radius: float, at: tuple[float, float]
) -> None:
    contours = read(tmp_path, ct, [circle(ct, radius, z, centre=at) for z in (4, 5, 6)])
    part = contours.partial_volume("GTV")
    assert part.fraction.shape == ct.geometry.shape
    assert part.fraction.dtype == np.float32
    assert part.volume_cm3 == pytest.approx(np.pi * radius**2 * 6 / 1000, rel=0.005)
    assert not part.fraction.flags.writeable


def test_a_traced_region_consists_of_whole_voxels(tmp_path: Path) -> None:
    ct = ct_image(grid())
    trace = [[3.0, 2], [4, 2], [5, 3], [5, 4], [4, 5], [3, 5], [2, 4], [2, 3]]
    contours = read(tmp_path, ct, [polygon(ct.geometry, trace, 2)])
    assert np.array_equal(contours.partial_volume("GTV").fraction, contours["GTV"].inside.astype(np.float32))


def test_interpolated_planes_have_fractions_too(tmp_path: Path, ct: CtImage) -> None:
    part = read(tmp_path, ct, [circle(ct, 3, 5), circle(ct, 3, 7)], interpolate_missing=True).partial_volume("GTV")
    assert part.fraction[6].sum() == pytest.approx(np.pi * 9, rel=0.02)


def test_partial_volume_of_a_region_that_the_image_cuts_is_refused(tmp_path: Path, ct: CtImage) -> None:
    with pytest.raises(ContourError, match="partly outside the image"):
        read(tmp_path, ct, [circle(ct, 10, 5, centre=(20, 0))]).partial_volume("GTV")
