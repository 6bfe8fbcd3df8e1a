from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt4d.errors import ContourError, GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.motion import PhaseMasks
from rt4d.phases import FourDCT, Phase, SeriesIdentity
from rt4d.target import average, expand, itv, mip_cross_check, projections
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES

GRID = Geometry((40, 36, 30), (1.0, 1.5, 3.0), (-20.0, 0.0, 50.0), frame_of_reference="1.2")


def ball(centre_mm, radius_mm, grid=GRID):
    return Mask(np.linalg.norm(grid.centres() - np.array(centre_mm), axis=-1) <= radius_mm, grid)


def cycle():
    return {"00": ball((0, 27, 92), 8), "30": ball((0, 28, 95), 8), "50": ball((1, 27, 104), 8)}


def test_itv_contains_gtv_of_every_phase_and_nothing_else():
    target = itv(cycle())
    union = np.zeros(GRID.shape, bool)
    for mask in cycle().values():
        assert (mask - target.mask).is_empty
        union |= mask.inside
    assert np.array_equal(union, target.mask.inside)


@given(st.permutations(["00", "30", "50"]), st.sets(st.sampled_from(["00", "30", "50"]), min_size=1))
@settings(max_examples=20, deadline=None)
def test_union_does_not_depend_on_order_and_grows_with_phases(order, some):
    whole = itv({label: cycle()[label] for label in order}).mask
    assert np.array_equal(whole.inside, itv(cycle()).mask.inside)
    assert (itv({label: cycle()[label] for label in some}).mask - whole).is_empty


def test_amplitude_is_the_peak_to_peak_travel_of_the_centroid():
    assert itv(cycle()).amplitude_mm == pytest.approx({"x": 1, "y": 1, "z": 12}, abs=0.25)


def test_occupancy_is_the_fraction_of_phases():
    target = itv(cycle())
    assert set(np.unique(np.rint(target.occupancy * 3))) <= {0, 1, 2, 3}
    assert np.array_equal(target.occupancy > 0, target.mask.inside)
    assert target.occupancy.mean() * GRID.voxel_volume_mm3 * np.prod(GRID.size) / 1000 == pytest.approx(
        np.mean([mask.volume_cm3 for mask in cycle().values()]), rel=1e-5
    )


def test_what_a_phase_adds_is_what_the_itv_loses_without_it():
    target = itv(cycle())
    for label in cycle():
        others = itv({other: mask for other, mask in cycle().items() if other != label})
        assert target.adds_cm3[label] == pytest.approx(target.mask.volume_cm3 - others.mask.volume_cm3)


def test_mid_ventilation_is_the_phase_nearest_to_the_mean_position():
    assert itv(cycle()).mid_ventilation == "30"


def test_rois_are_named_as_the_contract_says():
    names = [roi.name for roi in itv(cycle(), margin_mm=5).rois]
    assert names == ["GTV_T00", "GTV_T30", "GTV_T50", "ITV", "PTV_5mm"]
    assert [roi.name for roi in itv(cycle(), margin_mm=(5, 5, 8), number=2).rois] == ["GTV2_T00", "GTV2_T30", "GTV2_T50", "ITV2", "PTV2_5x5x8mm"]
    assert [roi.name for roi in itv(cycle(), margin_mm=2.5).with_verdict(verified=False).rois][-2:] == ["ITV_UNVERIFIED", "PTV_2p5mm_UNVERIFIED"]


def test_a_failed_phase_is_not_in_the_union_and_is_named_in_the_roi():
    masks = {label: mask for label, mask in cycle().items() if label != "30"}
    target = itv(PhaseMasks(masks, reference_label="50", failed={"30": "diverged"}))
    roi = next(roi for roi in target.rois if roi.kind == "ITV")
    assert roi.name == "ITV_UNVERIFIED"
    assert "NOT INCLUDED, registration failed: 30" in roi.description
    assert set(target.phases) == {"00", "50"}


def test_empty_and_cut_gtvs_are_refused():
    with pytest.raises(ContourError, match="phase 30"):
        itv(cycle() | {"30": Mask(np.zeros(GRID.shape, bool), GRID)})
    with pytest.raises(GeometryError, match="edge of the CT"):
        itv(cycle() | {"30": ball((0, 27, 50), 8)})
    with pytest.raises(InputError, match="at least one phase"):
        itv({})


def true_margin(mask, margin_mm):
    """By brute force: voxel centres within the ellipsoid of the nearest point of any voxel box of the mask, along patient axes."""
    centres = mask.geometry.centres().reshape(-1, 3)
    half = np.abs(mask.geometry.matrix) @ (np.array(mask.geometry.spacing_mm) / 2)
    inside = np.zeros(len(centres), bool)
    for box in mask.points_mm:
        way = np.maximum(np.abs(centres - box) - half, 0)
        inside |= ((way / margin_mm) ** 2).sum(axis=1) <= 1 + 1e-6
    return inside.reshape(mask.inside.shape)


@pytest.mark.parametrize("pose", ["HFS", "HFP", "FFS"])
@pytest.mark.parametrize("margin", [(5.0, 5.0, 5.0), (3.0, 7.0, 5.0), (0.4, 2.0, 10.0)])
def test_margin_is_exact_and_along_the_patients_axes(pose, margin):
    grid = Geometry((34, 30, 22), (1.0, 1.5, 3.0), (0, 0, 0), POSES[pose])
    inside = np.zeros(grid.shape, bool)
    inside[9:12, 14:16, 15:18] = inside[12, 15, 19] = True
    mask = Mask(inside, grid)
    assert np.array_equal(expand(mask, margin).inside, true_margin(mask, np.array(margin)))


def test_margin_follows_the_patients_axes_when_the_grid_is_turned():
    grid = Geometry((30, 30, 30), (1, 1, 1), (0, 0, 0), (0, 0, 1, 1, 0, 0, 0, 1, 0))
    inside = np.zeros(grid.shape, bool)
    inside[15, 15, 15] = True
    grown = Mask(inside, grid)
    assert np.ptp(expand(grown, (2.0, 4.0, 9.0)).points_mm, axis=0) == pytest.approx((4, 8, 18))


def test_a_margin_of_nothing_changes_nothing_and_a_cut_one_is_refused():
    mask = ball((0, 27, 92), 8)
    assert np.array_equal(expand(mask, 0.0).inside, mask.inside)
    with pytest.raises(GeometryError, match="beyond the CT"):
        expand(mask, 40.0)
    with pytest.raises(InputError, match="negative"):
        expand(mask, -1.0)


def test_anisotropic_margin_on_an_oblique_grid_is_refused():
    grid = Geometry((40, 40, 40), (1, 1, 1), (0, 0, 0), POSES["oblique"])
    mask = ball(grid.to_patient([20, 20, 20]), 6, grid)
    assert expand(mask, 4.0).volume_cm3 > mask.volume_cm3
    with pytest.raises(GeometryError, match="along these axes"):
        expand(mask, (4.0, 4.0, 8.0))


def lung_4dct(beside_hu=-850):
    """A solid ball that moves in even lung, on a wall of `beside_hu`."""
    phases = []
    for label, mask in cycle().items():
        hu = np.full(GRID.shape, -850, np.int16)
        hu[:, :12] = beside_hu
        hu[mask.inside] = 30
        phases.append(Phase(Volume(hu, GRID), SeriesIdentity("1", f"1.{label}", "2", ("3",) * 30), label))
    return FourDCT(tuple(phases), "50")


def test_projections_are_average_maximum_and_minimum():
    ct = lung_4dct()
    stack = np.stack([phase.volume.hu for phase in ct]).astype(float)
    made = projections(ct)
    assert np.array_equal(made["MIP"].hu, stack.max(axis=0))
    assert np.array_equal(made["minimum"].hu, stack.min(axis=0))
    assert np.abs(made["average"].hu - stack.mean(axis=0)).max() <= 0.5
    assert {volume.hu.dtype for volume in made.values()} == {np.dtype(np.int16)}
    assert np.array_equal(average(ct).hu, made["average"].hu)


def test_mip_threshold_gives_the_itv_of_a_tumour_in_lung():
    check = mip_cross_check(lung_4dct(), itv(cycle()))
    assert check.applies
    assert check.dice == pytest.approx(1.0)


def test_mip_threshold_does_not_apply_beside_the_chest_wall():
    check = mip_cross_check(lung_4dct(beside_hu=40), itv(cycle()))
    assert not check.applies
    assert "not lung" in check.why


@pytest.mark.parametrize("offset", [0.0, 1.0, 2.5, 4.0])
def test_on_a_planning_ct_of_thick_slices_every_piece_keeps_its_volume_and_lies_within_the_next(offset):
    """A node of 5 mm beside a tumour: between slices of 5 mm it was lost, and the tumour shrank by a third."""
    grid = Geometry((90, 60, 60), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), frame_of_reference="1.2")
    thick = Geometry((90, 60, 22), (1.0, 1.0, 5.0), (0.0, 0.0, offset), frame_of_reference="1.2")
    nodes, tumours = ({label: ball((x + dx, 30, 57.5), r, grid) for label, dx in (("00", 0), ("50", 2))} for x, r in ((70, 2.6), (30, 6)))
    there = itv({label: nodes[label] | tumours[label] for label in nodes}, margin_mm=1).on(thick)
    node = Mask(np.indices(thick.shape)[2] > 50, thick)
    for label, mask in there.phases.items():
        assert (mask & node).volume_cm3 == pytest.approx(nodes[label].volume_cm3, abs=1.01 * thick.voxel_volume_mm3 / 1000)
        assert (mask - node).volume_cm3 == pytest.approx(tumours[label].volume_cm3, rel=0.02)
        assert (mask - there.mask).is_empty
    assert (there.mask - there.ptv).is_empty
    assert there.mask.volume_cm3 == pytest.approx((nodes["00"] | nodes["50"] | tumours["00"] | tumours["50"]).volume_cm3, rel=0.12)
