"""Matching of lesions by each rule: found, missed, false, split and merged."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from rt4d.agreement.lesions import lesions_in, lesions_of
from rt4d.agreement.matching import Centroid, DiceAtLeast, IouAtLeast, Overlap, match
from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from tests.agreement.make import box, empty, together

TUMOUR = box((5, 5, 5), (10, 8, 6))
ALL_RULES = [Overlap(), Overlap(0.1, 0.1), DiceAtLeast(0.5), IouAtLeast(0.1), Centroid(), Centroid(5)]


def counts(matching):
    return len(matching.found), len(matching.missed), len(matching.true_positive), len(matching.false_positive)


@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
def test_the_same_lesions_all_find_each_other(rule):
    both = lesions_in(together(TUMOUR, box((25, 20, 10), (4, 4, 4))))
    assert counts(match(both, both, rule=rule)) == (2, 0, 2, 0)


@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
def test_either_observer_may_have_no_lesion(rule):
    drawn = lesions_in(TUMOUR)
    assert counts(match((), drawn, rule=rule)) == (0, 1, 0, 0)
    assert counts(match(drawn, lesions_in(empty()), rule=rule)) == (0, 0, 0, 1)
    assert counts(match((), (), rule=rule)) == (0, 0, 0, 0)


@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
def test_a_lesion_elsewhere_is_false_and_the_drawn_one_is_missed(rule):
    assert counts(match(lesions_in(box((30, 20, 10), (5, 5, 5))), lesions_in(TUMOUR), rule=rule)) == (0, 1, 0, 1)


def test_a_split_lesion_is_found_once_and_no_part_is_false_under_any_overlap():
    split = lesions_in(together(box((5, 5, 5), (4, 8, 6)), box((11, 5, 5), (4, 8, 6))))
    assert counts(match(split, lesions_in(TUMOUR), rule=Overlap())) == (1, 0, 2, 0)
    assert counts(match(split, lesions_in(TUMOUR), rule=Centroid())) == (1, 0, 2, 0)


def test_of_a_split_lesion_one_part_is_false_where_one_goes_with_one():
    split = lesions_in(together(box((5, 5, 5), (6, 8, 6)), box((12, 5, 5), (3, 8, 6))))
    matching = match(split, lesions_in(TUMOUR), rule=DiceAtLeast(0.2))
    assert counts(matching) == (1, 0, 1, 1)
    assert matching.true_positive[0].number == 1


def test_merged_lesions_are_both_found_and_one_true_positive_under_any_overlap():
    two = lesions_in(together(box((5, 5, 5), (4, 8, 6)), box((11, 5, 5), (4, 8, 6))))
    assert counts(match(lesions_in(TUMOUR), two, rule=Overlap())) == (2, 0, 1, 0)
    assert counts(match(lesions_in(TUMOUR), two, rule=IouAtLeast(0.1))) == (1, 1, 1, 0)


def test_overlap_by_one_voxel_counts_unless_a_share_is_asked_for():
    corner = lesions_in(box((14, 12, 10), (10, 8, 6)))
    drawn = lesions_in(TUMOUR)
    assert counts(match(corner, drawn, rule=Overlap())) == (1, 0, 1, 0)
    assert counts(match(corner, drawn, rule=Overlap(of_machine=0.1))) == (0, 1, 0, 1)
    assert counts(match(corner, drawn, rule=Overlap(of_physician=0.1))) == (0, 1, 1, 0)


def test_parts_find_a_lesion_together_where_each_alone_would_not():
    parts = [box((5, 5, 5), (1, 8, 6)), box((9, 5, 5), (1, 8, 6))]
    assert counts(match(lesions_of(parts), lesions_in(TUMOUR), rule=Overlap(of_physician=0.2))) == (1, 0, 2, 0)
    twice = lesions_of([parts[0], parts[0]])
    assert counts(match(twice, lesions_in(TUMOUR), rule=Overlap(of_physician=0.2))) == (0, 1, 2, 0)


def test_dice_and_iou_at_their_thresholds():
    """Shifted by 2 of 10 voxels: DSC 0.8, IoU 8/12."""
    shifted, drawn = lesions_in(box((7, 5, 5), (10, 8, 6))), lesions_in(TUMOUR)
    assert counts(match(shifted, drawn, rule=DiceAtLeast(0.8)))[0] == 1
    assert counts(match(shifted, drawn, rule=DiceAtLeast(0.81)))[0] == 0
    assert counts(match(shifted, drawn, rule=IouAtLeast(8 / 12)))[0] == 1
    assert counts(match(shifted, drawn, rule=IouAtLeast(0.67)))[0] == 0


def test_a_centroid_beside_the_lesion_counts_within_the_distance():
    """The machine's centroid lies 12 mm from the physician's, which reaches 4.5 mm."""
    beside, drawn = lesions_in(box((17, 5, 5), (10, 8, 6))), lesions_in(TUMOUR)
    assert counts(match(beside, drawn, rule=Centroid()))[0] == 0
    assert counts(match(beside, drawn, rule=Centroid(11.9)))[0] == 0
    assert counts(match(beside, drawn, rule=Centroid(12.0)))[0] == 1


def test_one_centroid_finds_one_lesion_the_nearest():
    two = lesions_in(together(box((5, 5, 5), (4, 4, 4)), box((12, 5, 5), (3, 4, 4))))
    between = lesions_in(box((10, 5, 5), (1, 4, 4)))
    matching = match(between, two, rule=Centroid(30))
    assert [one.number for one in matching.found] == [2]


def test_one_to_one_is_the_best_of_all_assignments():
    """Against every assignment tried out: as many pairs as can be, then the highest sum of IoU."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        masks = [[box(rng.integers(3, 14, 3), rng.integers(3, 6, 3)) for _ in range(4)] for _ in range(2)]
        machine, physician = (lesions_of(each) for each in masks)
        matching = match(machine, physician, rule=IouAtLeast(0.05))
        iou = np.array([[(a & b).volume_cm3 / (a.volume_cm3 + b.volume_cm3 - (a & b).volume_cm3) for b in masks[1]] for a in masks[0]])
        passing = np.where(iou >= 0.05, 10 + iou, 0)
        best = max(sum(passing[m, n] for m, n in enumerate(order)) for order in permutations(range(4)))
        assert passing[matching.pairs].sum() == pytest.approx(best)
        assert matching.pairs.sum(axis=0).max() <= 1
        assert matching.pairs.sum(axis=1).max() <= 1


def test_fewer_lesions_are_matched_anew_where_only_high_scores_are_kept():
    better, worse = box((5, 5, 5), (10, 8, 6)), box((8, 5, 5), (10, 8, 6))
    machine = lesions_of([better, worse, box((30, 20, 10), (2, 2, 2))], scores=[0.3, 0.6, 0.6])
    matching = match(machine, lesions_in(TUMOUR), rule=IouAtLeast(0.3))
    assert [one.number for one in matching.true_positive] == [1]
    assert counts(matching) == (1, 0, 1, 2)
    assert [one.number for one in matching.at_least(0.6).true_positive] == [2]
    assert counts(matching.at_least(0.61)) == (0, 1, 0, 0)
    with pytest.raises(InputError, match="score"):
        match(lesions_in(better), lesions_in(TUMOUR), rule=Overlap()).at_least(0.5)


def test_the_rule_and_every_lesion_are_printed():
    machine = lesions_in(together(TUMOUR, box((30, 20, 10), (2, 2, 2))))
    physician = lesions_in(together(TUMOUR, box((20, 2, 2), (2, 2, 2))))
    text = str(match(machine, physician, rule=Centroid(5)))
    assert "A lesion is found by: the machine's centroid in the physician's lesion or at most 5 mm from its centroid" in text
    assert "found: machine 1 (DSC 1.00)" in text
    assert "missed" in text
    assert "false positive" in text


def test_rules_say_themselves():
    assert [str(rule) for rule in ALL_RULES] == [
        "any overlap",
        "overlap of at least 10 % of the machine's lesion and together 10 % of the physician's",
        "DSC of at least 0.5, one to one",
        "IoU of at least 0.1, one to one",
        "the machine's centroid in the physician's lesion",
        "the machine's centroid in the physician's lesion or at most 5 mm from its centroid",
    ]


@pytest.mark.parametrize(("rule", "value"), [(DiceAtLeast, 0), (IouAtLeast, 1.1), (Overlap, -0.1), (Centroid, -1), (Centroid, np.nan)])
def test_impossible_rules_are_refused(rule, value):
    with pytest.raises(InputError):
        rule(value)


def test_lesions_on_two_grids_are_refused():
    other = Geometry((40, 30, 20), (1.0, 2.0, 3.0))
    with pytest.raises(GeometryError, match="one grid"):
        match(lesions_in(TUMOUR), lesions_in(box((1, 1, 1), (2, 2, 2), other)), rule=Overlap())
