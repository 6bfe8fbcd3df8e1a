"""Signed distance and resampling of masks: against closed forms and brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.resampling import evenly, resample_mask, signed_distance_mm
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES

UNEVEN = (0.0, 2.0, 5.0, 6.5, 9.5)


def grid(pose: str = "HFS", *, uneven: bool = False, frame: str = "1.2.3") -> Geometry:
    return Geometry((7, 6, 5), (1.0, 1.5, 3.0), (-20.0, 30.0, -100.0), POSES[pose], frame, UNEVEN if uneven else None)


def sphere(geometry: Geometry, centre: tuple[float, float, float], radius_mm: float) -> Mask:
    return Mask(((geometry.centres() - centre) ** 2).sum(axis=-1) <= radius_mm**2, geometry)


@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@settings(max_examples=40, deadline=None)
@given(inside=arrays(bool, (5, 6, 7)), pose=st.sampled_from(list(POSES)))
def test_resampling_onto_the_same_voxels_is_the_identity_for_any_mask(inside: np.ndarray, pose: str, uneven: bool) -> None:
    mask = Mask(inside, grid(pose, uneven=uneven))
    assert np.array_equal(resample_mask(mask, mask.geometry).inside, inside)
    nudged = replace(mask.geometry, origin_mm=tuple(np.array(mask.geometry.origin_mm) + 0.02))  # another grid, so that it is computed
    assert np.array_equal(resample_mask(mask, nudged).inside, inside)


@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
def test_distance_is_a_step_either_side_of_a_flat_face_and_grows_by_whole_steps(uneven: bool) -> None:
    inside = np.zeros((5, 6, 7), dtype=bool)
    inside[:, :, :4] = True
    distance = signed_distance_mm(Mask(np.pad(inside, ((20, 20), (20, 20), (20, 0)), mode="edge"), _wide(uneven)))
    assert np.allclose(distance[22, 22, 20:], [-4, -3, -2, -1, 1, 2, 3], atol=1e-5)


def _wide(uneven: bool) -> Geometry:
    offsets = tuple(np.cumsum(np.r_[0.0, np.tile([2.0, 4.0], 22)]))
    return Geometry((27, 46, 45), (1.0, 1.5, 3.0), slice_offsets_mm=offsets if uneven else None)


@settings(max_examples=25, deadline=None)
@given(inside=arrays(bool, (5, 6, 7)).filter(np.any))
def test_uneven_slices_that_happen_to_be_even_give_the_distances_of_even_ones(inside: np.ndarray) -> None:
    even = Geometry((7, 6, 5), (1.0, 1.5, 3.0))
    named = replace(even, slice_offsets_mm=(0.0, 3.0, 6.0, 9.0, 12.0))
    one, other = signed_distance_mm(Mask(inside, even)), signed_distance_mm(Mask(inside, named))
    assert np.array_equal(one < 0, inside)
    assert np.allclose(one, other, atol=1e-5)


def test_a_sphere_keeps_its_volume_and_centre_between_shifted_grids_of_any_pose() -> None:
    for seed, pose in enumerate(POSES):
        shift = np.random.default_rng(seed).uniform(-0.5, 0.5, 3)
        here = Geometry((60, 60, 30), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), POSES[pose])
        there = replace(here, origin_mm=tuple(here.to_patient(shift)), direction=POSES["HFS"] if pose == "HFS" else here.direction)
        centre = tuple(here.to_patient([29.3, 30.2, 15.1]))
        moved = resample_mask(sphere(here, centre, 20), there)
        assert moved.volume_cm3 == pytest.approx(4 / 3 * np.pi * 8, rel=0.015)
        assert np.linalg.norm(np.subtract(moved.centroid_mm, centre)) < 0.35, "a binary surface follows a part of a 2 mm slice only so far"


def test_a_sphere_goes_from_a_planning_grid_to_an_oblique_phase_grid() -> None:
    planning = Geometry((80, 80, 40), (1.0, 1.0, 2.0), (-40.0, -40.0, -40.0))
    phase = Geometry((50, 50, 40), (1.5, 1.5, 2.0), direction=POSES["oblique"])
    phase = replace(phase, origin_mm=tuple(-(phase.matrix @ np.array([37.0, 37.0, 39.0]))))
    moved = resample_mask(sphere(planning, (1.0, -2.0, 3.0), 20), phase)
    assert moved.geometry is phase
    assert moved.volume_cm3 == pytest.approx(4 / 3 * np.pi * 8, rel=0.02)
    assert np.linalg.norm(np.subtract(moved.centroid_mm, (1.0, -2.0, 3.0))) < 0.2


def test_a_shift_by_half_a_voxel_neither_grows_nor_shrinks_a_box() -> None:
    inside = np.zeros((12, 12, 12), dtype=bool)
    inside[3:8, 3:8, 3:8] = True
    here = Geometry((12, 12, 12), (1.0, 1.0, 1.0))
    there = replace(here, origin_mm=(0.5, 0.0, 0.0))
    assert resample_mask(Mask(inside, here), there).inside.sum() == pytest.approx(125, abs=2), "a corner voxel at most"


@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
@settings(max_examples=40, deadline=None)
@given(inside=arrays(bool, (5, 6, 7)), also=arrays(bool, (5, 6, 7)), seed=st.integers(0, 999))
def test_a_region_within_another_stays_within_it(inside: np.ndarray, also: np.ndarray, seed: int, uneven: bool) -> None:
    rng = np.random.default_rng(seed)
    here = grid(uneven=uneven)
    finer = Geometry((22, 26, 30), (0.7, 0.9, 1.1), tuple(np.array(here.origin_mm) - (4, 5, 8) + rng.uniform(-1, 1, 3)))
    try:
        gtv, itv = resample_mask(Mask(inside, here), finer), resample_mask(Mask(inside | also, here), finer)
    except GeometryError as error:
        assume("too small" not in str(error))
        raise
    assert not (gtv - itv).inside.any()


@pytest.mark.parametrize("uneven", [False, True], ids=["even", "uneven"])
def test_a_small_tumour_keeps_its_volume_on_thick_slices(uneven: bool) -> None:
    offsets = tuple(np.cumsum(np.r_[0.0, np.tile([2.5, 3.5], 10)])) if uneven else None
    here = Geometry((40, 40, 21), (1.0, 1.0, 3.0), slice_offsets_mm=offsets)
    for seed in range(5):
        shift = np.random.default_rng(seed).uniform(-0.4, 0.4, 3) * (1, 1, 2)
        there = replace(here, origin_mm=tuple(shift))
        drawn = sphere(here, (20.2, 19.7, 30.0), 6)
        assert resample_mask(drawn, there, keep_volume=True).volume_cm3 == pytest.approx(drawn.volume_cm3, rel=0.06)


@pytest.mark.parametrize(
    ("steps_mm", "slices", "from_mm", "to_mm"),
    [
        ([3.0] * 11 + [6.0] + [3.0] * 10, slice(7, 12), 19.5, 36.0),
        ([3.0] * 10 + [6.0] + [3.0] * 11, slice(11, 16), 33.0, 49.5),
        ([10.0] * 3 + [3.0] * 5 + [10.0] * 3, slice(3, 9), 25.0, 50.0),
    ],
    ids=["below a missing slice", "above a missing slice", "between thick slices"],
)
def test_a_region_beside_a_wider_gap_reaches_half_way_across_it(steps_mm: list[float], slices: slice, from_mm: float, to_mm: float) -> None:
    """So far do its outermost slices count; a repeated step of its own would end it sooner, and what it lost would go to the other end."""
    here = Geometry((40, 40, len(steps_mm) + 1), (1.0, 1.0, 3.0), slice_offsets_mm=tuple(np.cumsum([0.0, *steps_mm])))
    y, x = np.mgrid[:40, :40]
    inside = np.zeros(here.shape, dtype=bool)
    inside[slices] = (x - 20) ** 2 + (y - 20) ** 2 < 100
    drawn, onto = Mask(inside, here), Geometry((40, 40, int(here.offsets_mm[-1]) + 1), (1.0, 1.0, 1.0))
    for keep_volume in (False, True):
        moved = resample_mask(drawn, onto, keep_volume=keep_volume)
        z_mm = np.flatnonzero(moved.inside.any(axis=(1, 2)))
        assert [z_mm[0] - 0.5, z_mm[-1] + 0.5] == pytest.approx([from_mm, to_mm], abs=1.01)
    assert moved.volume_cm3 == pytest.approx(drawn.volume_cm3, rel=0.01)


def test_a_mask_at_the_edge_of_its_grid_keeps_its_volume() -> None:
    inside = np.zeros((5, 6, 7), dtype=bool)
    inside[:, :3, :4] = True
    wider = Geometry((11, 10, 9), (1.0, 1.5, 3.0), (-22.0, 27.0, -106.0), frame_of_reference="1.2.3")
    assert resample_mask(Mask(inside, grid()), wider).inside.sum() == inside.sum()


def test_another_frame_of_reference_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"expected 9\.9, found 1\.2\.3"):
        resample_mask(Mask(np.ones((5, 6, 7), dtype=bool), grid()), grid(frame="9.9"))


def test_a_mask_that_the_other_grid_would_cut_is_refused_with_the_share() -> None:
    mask = Mask(np.ones((5, 6, 7), dtype=bool), grid())
    with pytest.raises(GeometryError, match=r"20\.0 % of its voxels outside"):
        resample_mask(mask, mask.geometry.crop((0, 0, 0), (7, 6, 4)))


def test_a_mask_whose_last_slice_the_other_grid_would_halve_is_refused_and_one_that_ends_with_it_is_not() -> None:
    inside = np.zeros((6, 21, 21), dtype=bool)
    inside[2:] = True
    thick = Geometry((21, 21, 6), (1.0, 1.0, 5.0))
    centre_within = Geometry((21, 21, 28), (1.0, 1.0, 1.0), (0.0, 0.0, -2.0))
    with pytest.raises(GeometryError, match=r"25\.0 % of its voxels outside"):
        resample_mask(Mask(inside, thick), centre_within)
    same_extent = replace(centre_within, size=(21, 21, 30))
    assert resample_mask(Mask(inside, thick), same_extent).inside.any(axis=(1, 2)).nonzero()[0].tolist() == list(range(10, 30))
    slightly_short = replace(same_extent, origin_mm=(0.0, 0.0, -2.1))
    assert not resample_mask(Mask(inside, thick), slightly_short).is_empty, "less than a twentieth of a voxel"


def test_a_mask_without_a_centre_of_the_other_grid_is_refused_and_an_empty_one_stays_empty() -> None:
    inside = np.zeros((5, 6, 7), dtype=bool)
    coarse = Geometry((4, 4, 4), (9.0, 9.0, 9.0), (-25.0, 25.0, -105.0))
    assert resample_mask(Mask(inside, grid()), coarse).is_empty
    inside[2, 2, 2] = True
    with pytest.raises(GeometryError, match="too small"):
        resample_mask(Mask(inside, grid()), coarse)
    with pytest.raises(InputError, match="no surface"):
        signed_distance_mm(Mask(np.zeros((5, 6, 7), dtype=bool), grid()))


def test_uneven_slices_are_made_even_only_when_asked_and_keep_what_lies_on_slices() -> None:
    """An image that is linear along z comes out exactly, and a slice position that was there keeps its image."""
    here = grid(uneven=True)
    hu = np.broadcast_to((10 * here.offsets_mm - 500)[:, None, None], here.shape).astype(np.int16)
    even = evenly(Volume(hu, here), step_mm=0.5)
    assert even.geometry.is_even
    assert even.hu.dtype == np.int16
    assert even.geometry.size == (7, 6, 20)
    assert np.array_equal(even.hu[:, 0, 0], 10 * 0.5 * np.arange(20) - 500)
    assert np.allclose(even.geometry.to_patient((0.0, 0.0, 10.0)), here.to_patient((0.0, 0.0, 2.0)))
    assert evenly(Volume(hu, here)).geometry.spacing_mm[2] == 1.5
    with pytest.raises(InputError, match="above 0"):
        evenly(Volume(hu, here), step_mm=-1)
    same = Volume(hu, grid())
    assert evenly(same) is same
