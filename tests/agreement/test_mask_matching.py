"""Lesions of two masks are matched on whatever grids of one frame of reference they lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rt4d.agreement.lesions import lesions_in
from rt4d.agreement.mask_matching import match_candidates, match_masks
from rt4d.agreement.matching import Centroid, DiceAtLeast, IouAtLeast, Overlap
from rt4d.candidate_files import ScoredMask
from rt4d.errors import GeometryError
from rt4d.geometry import Geometry
from rt4d.volumes import Mask
from tests.agreement.make import GRID, ball, box, empty, together

DRAWN = together(box((5, 5, 5), (10, 8, 6)), box((25, 20, 10), (4, 4, 4)), box((2, 25, 2), (1, 1, 1)))
FOUND = together(box((6, 5, 5), (10, 8, 6)), box((25, 20, 10), (4, 4, 3)), box((34, 2, 15), (2, 2, 2)))
UNEVEN = replace(GRID, slice_offsets_mm=(*(3.0 * k for k in range(10)), *(30.0 + 5.0 * k for k in range(10))))
ALL_RULES = [Overlap(), Overlap(0.1, 0.1), DiceAtLeast(0.5), IouAtLeast(0.3), Centroid(10)]


def on(mask: Mask, grid: Geometry) -> Mask:
    return Mask(mask.inside, grid)


@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
def test_pieces_are_found_missed_and_false(rule):
    matching = match_masks(FOUND, DRAWN, rule=rule)
    assert [one.number for one in matching.found] == [1, 2]
    assert [one.volume_cm3 for one in matching.missed] == [pytest.approx(0.006)]
    assert [one.volume_cm3 for one in matching.false_positive] == [pytest.approx(0.048)]


@pytest.mark.parametrize("grid", [GRID, UNEVEN], ids=["even", "uneven"])
def test_crops_of_one_grid_give_what_the_whole_grid_gives(grid):
    whole = match_masks(on(FOUND, grid), on(DRAWN, grid), rule=DiceAtLeast(0.5))
    machine, drawn = on(FOUND, grid).crop((3, 1, 4), (35, 27, 15)), on(DRAWN, grid).crop((1, 3, 1), (34, 25, 14))
    matching = match_masks(machine, drawn, rule=DiceAtLeast(0.5))
    assert np.allclose(matching.common_cm3, whole.common_cm3)
    assert np.array_equal(matching.pairs, whole.pairs)
    assert [one.centroid_mm for one in matching.physician] == [pytest.approx(one.centroid_mm) for one in whole.physician]


def test_a_mask_stored_along_other_axes_is_the_same():
    turned = Geometry(GRID.size, GRID.spacing_mm, tuple(GRID.to_patient((39, 29, 0))), (-1, 0, 0, 0, -1, 0, 0, 0, 1), "1.2.3")
    flipped = Mask(FOUND.inside[:, ::-1, ::-1], turned)
    assert np.allclose(match_masks(flipped, DRAWN, rule=Overlap()).common_cm3, match_masks(FOUND, DRAWN, rule=Overlap()).common_cm3)


def test_spheres_on_different_grids_share_what_spheres_share():
    coarse = Geometry((40, 40, 20), (2.0, 2.0, 3.0), (-40.0, -40.0, -30.0))
    s = np.sqrt(0.5)
    oblique = Geometry((70, 70, 70), (1.2, 1.2, 1.2), (-45.0, 0.0, -42.0), (s, s, 0, -s, s, 0, 0, 0, 1))
    radius, shift = 12.0, 6.0
    machine = Mask(ball((shift, 0, 0), radius, oblique).inside, oblique)
    matching = match_masks(machine, ball((0, 0, 0), radius, coarse), rule=DiceAtLeast(0.5))
    lens = np.pi / 12 * (4 * radius + shift) * (2 * radius - shift) ** 2 / 1000
    assert matching.common_cm3[0, 0] == pytest.approx(lens, rel=0.03)
    assert len(matching.found) == 1
    assert matching.machine[0].volume_cm3 == pytest.approx(machine.volume_cm3), "its size is its own grid's"
    assert matching.machine[0].longest_axis_mm == pytest.approx(2 * radius, abs=2)


def test_a_single_voxel_on_a_grid_of_its_own_is_found():
    thick = Geometry((9, 9, 5), (4.0, 4.0, 6.0), (-17.3, -16.4, -13.1))
    fine = Geometry((40, 40, 30), (1.0, 1.0, 1.0), (-20.0, -20.0, -15.0))
    voxel = np.zeros(thick.shape, bool)
    voxel[2, 4, 4] = True
    matching = match_masks(Mask(voxel, thick), ball(thick.to_patient((4, 4, 2)), 3.0, fine), rule=Overlap())
    assert (len(matching.found), len(matching.false_positive)) == (1, 0)


def test_what_two_lesions_share_is_never_more_than_either():
    thick = Geometry((9, 9, 5), (4.0, 4.0, 6.0), (-17.3, -16.4, -13.1))
    fine = Geometry((40, 40, 30), (1.0, 1.0, 1.0), (-20.0, -20.0, -15.0))
    voxel = np.zeros(thick.shape, bool)
    voxel[2, 4, 4] = True
    for machine, drawn in ((Mask(voxel, thick), ball((0, 0, 0), 9.0, fine)), (ball((0, 0, 0), 9.0, fine), Mask(voxel, thick))):
        matching = match_masks(machine, drawn, rule=Overlap())
        smaller = min(matching.machine[0].volume_cm3, matching.physician[0].volume_cm3)
        assert 0.5 * smaller < matching.common_cm3[0, 0] <= smaller


@pytest.mark.parametrize(("machine", "physician"), [(FOUND, empty()), (empty(), DRAWN), (empty(), empty())])
def test_either_mask_may_be_empty(machine, physician):
    matching = match_masks(machine, physician, rule=Overlap())
    assert (len(matching.missed), len(matching.false_positive)) == (0 if physician.is_empty else 3, 0 if machine.is_empty else 3)


def test_another_frame_of_reference_is_refused():
    with pytest.raises(GeometryError, match="frames of reference"):
        match_masks(FOUND, on(DRAWN, replace(GRID, frame_of_reference="9.9")), rule=Overlap())


def test_a_matching_is_told_in_plain_values():
    said = match_masks(FOUND, DRAWN, rule=Overlap()).to_dict()
    assert (said["rule"], said["drawn"], said["found"], said["missed"], said["false_positive"]) == ("any overlap", 3, 2, 1, 1)
    first = said["lesions"][0]
    assert (first["observer"], first["number"], first["outcome"], first["with"]) == ("physician", 1, "found", [1])
    assert first["volume_cm3"] == pytest.approx(2.88)
    outcomes = [(one["observer"], one["outcome"]) for one in said["lesions"]]
    assert outcomes == [
        ("physician", "found"),
        ("physician", "found"),
        ("physician", "missed"),
        ("machine", "true positive"),
        ("machine", "true positive"),
        ("machine", "false positive"),
    ]


FINER = Geometry((80, 60, 40), (0.5, 1.0, 1.5), (-20.25, 9.5, -30.75), frame_of_reference="1.2.3")


@pytest.mark.parametrize("drawn", [DRAWN, DRAWN.crop((1, 3, 1), (34, 27, 14)), Mask(DRAWN.inside.repeat(2, 0).repeat(2, 1).repeat(2, 2), FINER)])
def test_candidates_that_are_the_pieces_of_a_mask_are_matched_as_it_is(drawn: Mask) -> None:
    """And each keeps its score, whichever grid the physician drew on."""
    known = match_masks(FOUND, drawn, rule=Overlap())
    candidates = [ScoredMask(piece.mask, 0.9 - 0.1 * n) for n, piece in enumerate(lesions_in(FOUND))]
    found = match_candidates(candidates, drawn, rule=Overlap())
    assert np.array_equal(found.pairs, known.pairs)
    assert found.common_cm3 == pytest.approx(known.common_cm3)
    assert [one.score for one in found.machine] == pytest.approx([0.9, 0.8, 0.7])
    none = match_candidates([], drawn, rule=Overlap())
    assert (none.machine, len(none.missed)) == ((), len(known.physician))
    with pytest.raises(GeometryError, match="frame"):
        match_candidates(candidates, on(DRAWN, replace(GRID, frame_of_reference="9.9")), rule=Overlap())
