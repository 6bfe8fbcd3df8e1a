"""Candidates against balls whose size and place are known: on grids in every pose, none dropped in silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.segmentation.candidates import candidate_at, find_candidates, only
from rt4d.segmentation.chest import Chest
from rt4d.segmentation.probabilities import Probability
from rt4d.volumes import Mask
from tests.conftest import POSES
from tests.segmentation.make import a_bundle

GRID = Geometry((60, 50, 44), (2.5, 2.5, 2.5), (-75.0, -60.0, -55.0))
CHEST = Chest((0, 0, 0), GRID.size, 0.0)
CT = Geometry((150, 125, 37), (1.0, 1.0, 3.0), (-75.0, -60.0, -55.0), frame_of_reference="1.2.3")


def said(*balls, spread=None, chest=CHEST) -> Probability:
    """Balls (centre, radius, height) whose probability falls from `height` to half of it on their surface, 1.5 mm/0.1 around it."""
    values = np.zeros(GRID.shape)
    for centre, radius, height in balls:
        off = np.linalg.norm(GRID.centres() - centre, axis=-1) - radius
        values = np.maximum(values, height / (1 + np.exp(np.clip(off, -50, 50))))
    return Probability(values.astype(np.float32), spread, GRID, chest)


def volume_cm3(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3 / 1000


@pytest.mark.parametrize("pose", POSES)
def test_a_balls_measures_are_told_in_every_pose(pose):
    matrix = np.array(POSES[pose]).reshape(3, 3)
    middle = GRID.to_patient((np.array(GRID.size) - 1) / 2)
    size, spacing = np.array([160, 150, 40]), np.array([1.0, 1.0, 3.0])
    ct = Geometry(tuple(size), tuple(spacing), tuple(middle - matrix @ (size * spacing / 2)), POSES[pose])
    centre = (-20.0, 8.0, 4.0)
    (one,) = find_candidates(said((centre, 18.0, 1.0)), a_bundle(), ct)
    assert one.kept
    assert one.volume_cm3 == pytest.approx(volume_cm3(18.0), rel=0.03)
    assert one.centroid_mm == pytest.approx(centre, abs=0.3)
    assert one.longest_axis_mm == pytest.approx(36.0, abs=1.5)
    assert one.side == "right"
    assert one.score == pytest.approx(1.0, abs=0.02)
    assert one.mask.geometry == ct
    assert one.mask.volume_cm3 == pytest.approx(one.volume_cm3)
    assert not one.at_edge


def test_the_surface_is_finer_than_the_networks_voxels():
    """On half-millimetre voxels the mask is a ball to a tenth of the network's voxel, not steps of it."""
    fine = Geometry((100, 100, 100), (0.5, 0.5, 0.5), (-25.0, -25.0, -25.0))
    (one,) = find_candidates(said(((0.0, 0.0, 0.0), 15.0, 1.0)), a_bundle(), fine)
    off = np.linalg.norm(fine.centres(), axis=-1) - 15.0
    wrong = one.mask.inside != (off < 0)
    assert np.abs(off[wrong]).max() < 0.6


def test_candidates_are_ordered_by_score_and_what_is_not_kept_is_told_why():
    balls = [((-50.0, 0.0, 0.0), 8.0, 0.8), ((0.0, 0.0, 0.0), 10.0, 1.0), ((40.0, 0.0, 0.0), 12.0, 0.6), ((0.0, 45.0, 20.0), 2.5, 1.0)]
    found = find_candidates(said(*balls), a_bundle(threshold=0.3, candidate_score=0.7), CT)
    assert [one.number for one in found] == [1, 2, 3, 4]
    assert [one.kept for one in found] == [True, True, False, False]
    assert [one.side for one in found[:2]] == ["middle", "right"]
    assert {one.why_not for one in found[2:]} == {"smaller than 0.2 cm³", "score below 0.7"}
    assert found[0].score > found[1].score


def test_lesions_that_touch_at_a_corner_are_one_and_masks_never_overlap():
    values = np.zeros(GRID.shape, np.float32)
    values[10:14, 10:14, 10:14] = values[14:18, 14:18, 14:18] = 0.9
    values[10:14, 30:34, 10:14] = values[10:14, 35:39, 10:14] = 0.9
    found = find_candidates(Probability(values, None, GRID, CHEST), a_bundle(), CT)
    assert len(found) == 3
    together = np.sum([one.mask.inside for one in found], axis=0)
    assert together.max() == 1


def test_a_faint_lesion_is_a_candidate_outlined_at_half_its_peak_and_not_kept():
    sure, faint, fainter = ((-50.0, 0.0, 0.0), 8.0, 1.0), ((0.0, 0.0, 0.0), 10.0, 0.3), ((45.0, 0.0, 0.0), 10.0, 0.12)
    found = find_candidates(said(sure, faint, fainter), a_bundle(faint_threshold=0.15), CT)
    assert [one.kept for one in found] == [True, False]
    assert found[0].volume_cm3 == pytest.approx(volume_cm3(8.0), rel=0.07)
    assert found[1].volume_cm3 == pytest.approx(volume_cm3(10.0), rel=0.07)
    assert found[1].centroid_mm == pytest.approx((0.0, 0.0, 0.0), abs=0.3)
    assert found[1].why_not == "score below 0.5"
    assert [one.outlined_from for one in found] == [0.5, pytest.approx(0.15, abs=0.01)]


def test_a_lesion_is_scored_by_both_looks_and_outlined_by_one():
    found = said(((0.0, 0.0, 0.0), 10.0, 1.0))
    both = replace(found, scores=found.values * np.float32(0.6))
    (one,), (other,) = (find_candidates(each, a_bundle(), CT) for each in (found, both))
    assert other.score == pytest.approx(0.6 * one.score)
    assert np.array_equal(one.mask.inside, other.mask.inside)


def test_a_faint_lesion_that_both_looks_do_not_bear_out_is_no_candidate_and_a_sure_one_still_is():
    for share, left in ((0.3, 0), (1.0, 1)):
        found, bundle = said(((0.0, 0.0, 0.0), 10.0, share)), a_bundle(faint_threshold=0.15)
        assert len(find_candidates(found, bundle, CT)) == 1
        assert len(find_candidates(replace(found, scores=found.values * np.float32(0.1)), bundle, CT)) == left


def test_the_lesser_of_two_faint_peaks_that_hang_together_is_not_outlined_with_the_other():
    values = np.zeros(GRID.shape, np.float32)
    values[10:14, 10:14, 10:30] = 0.15
    values[10:14, 10:14, 10:15], values[10:14, 10:14, 25:30] = 0.45, 0.35
    (one,) = find_candidates(Probability(values, None, GRID, CHEST), a_bundle(faint_threshold=0.1), GRID)
    assert one.part.inside.sum() < 200
    assert one.centroid_mm[0] == pytest.approx(GRID.to_patient([12.0, 0.0, 0.0])[0], abs=1.3)


def test_at_a_point_a_faint_lesion_is_found_where_no_other_is_near():
    found = said(((0.0, 0.0, 0.0), 10.0, 0.3), ((18.0, 0.0, 0.0), 3.0, 0.95))
    bundle = a_bundle(faint_threshold=0.15)
    assert candidate_at(found, bundle, CT, (-8.0, 0.0, 0.0)).volume_cm3 == pytest.approx(volume_cm3(10.0), rel=0.1)
    assert candidate_at(found, bundle, CT, (13.0, 6.0, 0.0)).centroid_mm[0] == pytest.approx(18.0, abs=1.0)
    with pytest.raises(InputError, match=r"at least 0\.4 within 10 mm, found 0\.30 at most"):
        candidate_at(found, a_bundle(faint_threshold=0.4), CT, (-8.0, 0.0, 0.0))


def test_at_a_point_the_faint_lesion_that_holds_it_is_taken_before_a_sure_one_beside_it():
    found = said(((0.0, 0.0, 0.0), 10.0, 0.3), ((18.0, 0.0, 0.0), 3.0, 0.95))
    for x in (0.0, 8.0):
        one = candidate_at(found, a_bundle(faint_threshold=0.15), CT, (x, 0.0, 0.0))
        assert one.volume_cm3 == pytest.approx(volume_cm3(10.0), rel=0.1)
        assert one.centroid_mm == pytest.approx((0.0, 0.0, 0.0), abs=0.5)


def linked(*, haze, faint=0.38, sure=0.9, holes=()):
    """A faint block of 9 voxels' sides about x = -40 mm, a sure one about x = 35 mm, and a haze from one to the other."""
    values = np.zeros(GRID.shape, np.float32)
    values[20:25, 20:25, 10:48] = haze
    values[18:27, 18:27, 10:19], values[18:27, 18:27, 40:49] = faint, sure
    for part, value in holes:
        values[part] = value
    return Probability(values, None, GRID, CHEST)


@pytest.mark.parametrize("haze", [0.16, 0.25, 0.29])
def test_at_a_point_a_faint_lesion_that_a_haze_links_to_a_sure_one_is_found(haze):
    """It was said that 0.38 was found and at least 0.15 expected."""
    place = tuple(GRID.to_patient([14.0, 22.0, 22.0]))
    bundle = a_bundle(threshold=0.4, threshold_at_point=0.4, faint_threshold=0.15)
    one = candidate_at(linked(haze=haze), bundle, GRID, place)
    assert one.centroid_mm == pytest.approx(place, abs=1.0)
    assert one.volume_cm3 == pytest.approx(9**3 * 2.5**3 / 1000, rel=0.3)
    assert haze < one.outlined_from < 0.31
    beside = tuple(GRID.to_patient([12.0, 22.0, 29.0]))
    assert candidate_at(linked(haze=haze), bundle, GRID, beside).centroid_mm == pytest.approx(place, abs=1.0)


def test_at_a_point_in_the_haze_alone_there_is_no_lesion_and_the_reason_is_told():
    place = tuple(GRID.to_patient([29.0, 22.0, 22.0]))
    bundle = a_bundle(threshold=0.4, threshold_at_point=0.4, faint_threshold=0.15)
    with pytest.raises(InputError, match=r"found 0\.20 at most, none of it a lesion of its own"):
        candidate_at(linked(haze=0.2), bundle, GRID, place)


def test_at_a_point_on_a_bump_of_a_sure_lesions_slope_that_lesion_is_taken():
    """Noise on the rim is no lesion; and so is a bump where the network has seen the click."""
    bump = (np.s_[20:25, 20:25, 36:40], 0.3), (np.s_[22, 22, 38], 0.35)
    one = candidate_at(linked(haze=0.2, holes=bump), a_bundle(threshold=0.4, threshold_at_point=0.4, faint_threshold=0.15), GRID, spot(38))
    assert one.centroid_mm == pytest.approx(spot(44), abs=1.0)


def test_at_a_point_in_a_faint_lesion_with_a_sure_speck_in_its_rim_all_of_it_is_taken():
    """Outlined was the speck, 9 mm from the point, which lay in the middle of what was nearly as sure."""
    values = np.zeros(GRID.shape, np.float32)
    values[18:27, 18:27, 18:27], values[22, 22, 26] = 0.39, 0.45
    one = candidate_at(Probability(values, None, GRID, CHEST), a_bundle(threshold_at_point=0.4, faint_threshold=0.15), GRID, spot(22))
    assert one.part.inside.sum() == pytest.approx(9**3, rel=0.02)
    assert one.outlined_from == pytest.approx(0.225)


def test_at_a_point_in_a_hollow_of_a_sure_lesion_that_lesion_is_taken():
    """A necrosis in its middle."""
    hollow = (np.s_[20:25, 20:25, 42:47], 0.05), (np.s_[22, 22, 44], 0.2)
    one = candidate_at(linked(haze=0.0, holes=hollow), a_bundle(threshold=0.4, threshold_at_point=0.4, faint_threshold=0.15), GRID, spot(44))
    assert one.outlined_from == 0.4
    assert one.volume_cm3 > 0.6 * 9**3 * 2.5**3 / 1000


def spot(x):
    return tuple(GRID.to_patient([float(x), 22.0, 22.0]))


def test_at_a_point_the_lesser_of_two_faint_peaks_that_hang_together_is_found():
    values = np.zeros(GRID.shape, np.float32)
    values[10:14, 10:14, 10:30] = 0.15
    values[10:14, 10:14, 10:15], values[10:14, 10:14, 25:30] = 0.45, 0.35
    found, bundle = Probability(values, None, GRID, CHEST), a_bundle(faint_threshold=0.1)
    for x in (12.0, 27.0):
        place = tuple(GRID.to_patient([x, 11.5, 11.5]))
        assert candidate_at(found, bundle, GRID, place).centroid_mm == pytest.approx(place, abs=1.0)


def test_what_has_no_score_is_not_kept():
    found = said(((0.0, 0.0, 0.0), 10.0, 1.0))
    (one,) = find_candidates(replace(found, scores=np.full(GRID.shape, np.nan, np.float32)), a_bundle(), CT)
    assert one.why_not == "score below 0.5"


def test_numbers_that_are_asked_for_are_kept_and_no_others():
    found = find_candidates(said(((-50.0, 0.0, 0.0), 8.0, 0.8), ((0.0, 0.0, 0.0), 10.0, 1.0), ((40.0, 0.0, 0.0), 3.0, 1.0)), a_bundle(), CT)
    chosen = only(found, [2, 3])
    assert [one.number for one in chosen if one.kept] == [2, 3]
    assert chosen[0].why_not == "not asked for"
    with pytest.raises(NotFoundError, match=r"expected 1 to 3, found .*rt4d segment lists"):
        only(found, [4])


def test_members_that_disagree_are_told():
    spread = np.full(GRID.shape, 0.25, np.float32)
    (one,) = find_candidates(said(((0.0, 0.0, 0.0), 10.0, 1.0), spread=spread), a_bundle(), CT)
    assert one.spread == pytest.approx(0.25)


def test_a_lesion_at_the_cts_edge_says_so():
    (one,) = find_candidates(said(((0.0, 0.0, -52.0), 10.0, 1.0)), a_bundle(), CT)
    assert one.at_edge


def test_what_no_voxel_of_the_ct_holds_is_listed_without_a_mask():
    thick = Geometry((30, 25, 3), (5.0, 5.0, 50.0), (-75.0, -60.0, -55.0))
    (one,) = find_candidates(said(((0.0, 0.0, 20.0), 4.0, 1.0)), a_bundle(), thick)
    assert one.why_not == "too small for the CT's voxels"
    assert one.mask.is_empty
    with pytest.raises(InputError, match="too small"):
        only([one], [1])


def test_without_lungs_no_side_is_told():
    (one,) = find_candidates(said(((0.0, 0.0, 0.0), 10.0, 1.0), chest=Chest((0, 0, 0), GRID.size, None, "none")), a_bundle(), CT)
    assert one.side is None


def test_at_a_point_there_is_the_lesion_there_and_only_that_one():
    found = said(((-40.0, 0.0, 0.0), 8.0, 1.0), ((30.0, 10.0, 0.0), 10.0, 0.55))
    one = candidate_at(found, a_bundle(threshold_at_point=0.2, candidate_score=0.9), CT, (32.0, 12.0, 3.0))
    assert one.kept
    assert one.centroid_mm == pytest.approx((30.0, 10.0, 0.0), abs=0.5)


def test_a_point_beside_a_lesion_finds_it_within_10_mm_and_not_beyond():
    found = said(((0.0, 0.0, 0.0), 12.0, 1.0))
    assert candidate_at(found, a_bundle(), CT, (19.0, 0.0, 0.0)).centroid_mm == pytest.approx((0.0, 0.0, 0.0), abs=0.5)
    with pytest.raises(InputError, match=r"No lesion was found at the point.*--gtv"):
        candidate_at(found, a_bundle(), CT, (26.0, 0.0, 0.0))


def test_nothing_found_is_no_candidate():
    assert find_candidates(said(), a_bundle(), CT) == ()


def test_what_lies_outside_the_chest_is_listed_but_not_kept():
    """On real planning CTs the network marked parts of the couch, with high scores."""
    inside = np.linalg.norm(GRID.centres()[..., :2], axis=-1) < 40
    chest = Chest((0, 0, 0), GRID.size, 0.0, where=Mask(inside, GRID))
    within, beside, across = ((0.0, 0.0, 0.0), 8.0, 1.0), ((-60.0, -40.0, 0.0), 8.0, 1.0), ((0.0, 40.0, 30.0), 10.0, 1.0)
    found = find_candidates(said(within, beside, across, chest=chest), a_bundle(), CT)
    assert [one.why_not for one in found] == ["", "outside the chest", "outside the chest"]
    assert candidate_at(said(beside, chest=chest), a_bundle(), CT, (-60.0, -40.0, 0.0)).kept


def test_what_lies_far_from_both_lungs_is_listed_but_not_kept():
    """On real planning CTs the network marked parts of the spine and the heart."""
    chest = Chest((0, 0, 0), GRID.size, 0.0, by_lungs=Mask(GRID.centres()[..., 0] < -20, GRID))
    beside, far = ((-16.0, 0.0, 0.0), 8.0, 1.0), ((10.0, 0.0, 0.0), 8.0, 1.0)
    found = find_candidates(said(beside, far, chest=chest), a_bundle(), CT)
    assert [one.why_not for one in found] == ["", "more than 10 mm from the lungs"]
    assert candidate_at(said(far, chest=chest), a_bundle(), CT, (10.0, 0.0, 0.0)).kept
