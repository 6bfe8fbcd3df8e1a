"""A machine against physicians: found non-inferior where it is one of them, not where it is biased, and rarely by chance."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from rt4d.agreement.consensus import majority, staple
from rt4d.agreement.correlation import intraclass
from rt4d.agreement.non_inferiority import against_physicians, intra_observer
from rt4d.agreement.observer_volumes import volume_agreement, volumes_by_observer
from rt4d.agreement.observers import Observer, all_pairs, leave_one_out
from rt4d.agreement.paired import compare_paired
from rt4d.errors import InputError, NotFoundError
from tests.agreement.make import ball
from tests.agreement.test_observers import GRID, NET, PHYSICIANS, study

LENGTH, SPREAD = 20.0, 2.0


def rows_of(positions):
    """Rows of segments of 20 mm whose middles are given, shape (patients, observers), the machine last: their DSC is 1 - distance/20."""
    names = [*"ABCDE", "net"]
    rows = []
    for n, middles in enumerate(positions):
        for i, j in combinations(range(6), 2):
            pair = ("net", names[i], "machine-physician") if j == 5 else (names[i], names[j], "physician-physician")
            dice = max(0.0, 1 - abs(middles[i] - middles[j]) / LENGTH)
            rows.append({"patient": f"P{n}", "machine": pair[0], "physician": pair[1], "pair": pair[2], "dice": dice})
    return rows


def drawn(patients, *, bias_mm, seed):
    """Middles of five physicians and of a machine that lies a bias off, to either side."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, SPREAD, (patients, 6))
    positions[:, 5] += bias_mm * rng.choice([-1, 1], patients)
    return positions


def true_difference(bias_mm):
    """The pseudo-median, over patients, of the machine's median DSC less the physicians'."""
    positions = drawn(8000, bias_mm=bias_mm, seed=1)
    gaps = np.abs(positions[:, :, None] - positions[:, None, :]) / LENGTH
    i, j = np.triu_indices(5, 1)
    between = np.median(gaps[:, i, j], axis=1)
    differences = between - np.median(gaps[:, 5, :5], axis=1)
    return np.median((differences[:4000] + differences[4000:]) / 2)


def test_a_machine_that_is_one_of_the_physicians_is_non_inferior():
    found = against_physicians(rows_of(drawn(40, bias_mm=0, seed=4)), machine="net")
    assert found.non_inferior
    assert found.p < 0.025
    assert found.statement.startswith("net is non-inferior to physicians in DSC: at most 0.0")
    assert "margin 0.05" in found.statement
    assert "40 patients" in found.statement


def test_a_biased_machine_is_not():
    found = against_physicians(rows_of(drawn(40, bias_mm=5, seed=3)), machine="net")
    assert not found.non_inferior
    assert found.p > 0.5
    assert "not shown to be non-inferior" in found.statement
    assert found.comparison.direction.startswith("net significantly lower than physicians")


def test_a_machine_that_is_one_of_the_physicians_differs_by_far_less_than_the_margin():
    assert abs(true_difference(0.0)) < 0.01


def test_the_bound_and_p_say_the_same():
    for seed in range(20):
        found = against_physicians(rows_of(drawn(12, bias_mm=2.5, seed=seed)), machine="net")
        assert found.non_inferior == (found.p <= 0.025)


def test_a_machine_worse_by_the_margin_is_called_non_inferior_as_rarely_as_said():
    """The bias at which the true difference is the margin; of 200 studies of 20 patients at most 2.5 % and its chance error."""
    biases = np.linspace(1, 5, 9)
    at_margin = float(np.interp(0.05, [-true_difference(bias) for bias in biases], biases))
    called = sum(against_physicians(rows_of(drawn(20, bias_mm=at_margin, seed=100 + n)), machine="net").non_inferior for n in range(200))
    assert 0 < called <= 12


@pytest.fixture(scope="module")
def smaller():
    """A machine that draws 2 mm smaller than four physicians, on 12 patients."""
    return all_pairs(study(12, physicians=PHYSICIANS[:4], shrink_mm=2))


def test_masks_of_simulated_observers_say_the_same(smaller):
    assert against_physicians(all_pairs(study(12, physicians=PHYSICIANS[:4])), machine="net").non_inferior
    assert not against_physicians(smaller, machine="net").non_inferior
    mine = against_physicians(smaller, machine="net", measure="hd95_mm", margin=1.0)
    assert not mine.non_inferior
    assert mine.bound > 0
    assert "bound +" in mine.statement
    volumes = volumes_by_observer(smaller.rows)
    found = compare_paired(volumes["net"], volumes["A"], quantity="GTV volume", unit="cm³", labels=("net", "A"))
    assert found.direction.startswith("net significantly smaller than A")


def test_against_consensus_each_physician_takes_the_machines_place():
    found = against_physicians(leave_one_out(study(12, physicians=PHYSICIANS[:4]), consensus=majority), machine="net", margin=0.1)
    assert found.non_inferior
    assert found.pair == "machine-consensus"
    assert str(found).startswith("machine-consensus against physician-consensus")


def against_consensus(number, method):
    """So many physicians who draw about a ball of 8 mm, that ball as one machine's contour, and one smaller by 0.6 mm, left out one by one."""
    contours = study(6, physicians=PHYSICIANS[:number], seed=2)
    for drawn_there in contours.values():
        drawn_there[Observer("true", "machine")] = ball((0, 0, 0), 8, GRID)
        drawn_there[Observer("small", "machine")] = ball((0, 0, 0), 7.4, GRID)
    return leave_one_out(contours, consensus=method)


@pytest.mark.parametrize("method", [staple, majority])
def test_leave_one_out_of_three_physicians_flatters_a_small_machine_and_says_so(method):
    """The consensus of two is smaller than what either drew: the machine that draws too small is closer to it than the one that is right."""
    better = {}
    for number in (3, 4):
        found = against_consensus(number, method)
        judged = {name: against_physicians(found, machine=name) for name in ("true", "small")}
        true, small = (np.median(each.comparison.pairs.first) for each in judged.values())
        better[number] = small > true
        for text in (str(found), str(judged["small"]), "\n".join(judged["small"].to_dict()["notes"])):
            assert ("consensus of two physicians in 6 of 6 patients" in text) == (number == 3)
            assert ("flatters a machine that draws small" in text) == (number == 3)
    assert better == {3: True, 4: False}
    assert not against_physicians(all_pairs(study(6, physicians=PHYSICIANS[:3])), machine="net").notes


def test_patients_and_pairs_that_lack_are_named():
    contours = study(8, physicians=PHYSICIANS[:3])
    contours["P1"][PHYSICIANS[0]] = None
    contours["P2"][NET] = None
    contours["P3"] = {PHYSICIANS[0]: contours["P3"][PHYSICIANS[0]]}
    found = against_physicians(all_pairs(contours), machine="net")
    assert len(found.comparison.pairs.patients) == 6
    assert dict(found.comparison.pairs.left_out) == {"P2": "no median DSC of net"}
    text = str(found)
    for said in ("left out: P2", "left out: P3 (1 contour: no pair)", "P1 has no pair net – A"):
        assert said in text
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_missed_tumour_counts_in_dsc_and_is_named_where_distances_are_undefined():
    rows = rows_of(drawn(8, bias_mm=0, seed=3))
    for row in rows:
        row["hd95_mm"] = None if (row["patient"], row["machine"]) == ("P0", "net") else 10 * (1 - row["dice"])
    found = against_physicians(rows, machine="net", measure="hd95_mm", margin=2)
    assert found.comparison.pairs.left_out == {"P0": "no median HD95 of net"}
    assert "P0: HD95 of net – A is undefined" in found.notes


def test_five_patients_are_too_few():
    found = against_physicians(rows_of(drawn(5, bias_mm=0, seed=3)), machine="net")
    assert found.bound is None
    assert not found.non_inferior
    assert "5 patients are too few" in found.statement


def test_rows_that_cannot_be_judged_are_refused():
    rows = rows_of(drawn(8, bias_mm=0, seed=3))
    with pytest.raises(NotFoundError, match="net"):
        against_physicians(rows, machine="other")
    with pytest.raises(NotFoundError, match="surface_dice"):
        against_physicians(rows, machine="net", measure="volume_ratio")
    with pytest.raises(InputError, match="own margin"):
        against_physicians(rows, machine="net", measure="hd95_mm")
    with pytest.raises(InputError, match="above 0"):
        against_physicians(rows, machine="net", margin=0)
    with pytest.raises(InputError, match="one roi"):
        against_physicians([{**row, "roi": row["physician"]} for row in rows], machine="net")
    with pytest.raises(InputError, match="separately"):
        against_physicians([*rows, {**rows[0], "pair": "physician-consensus"}], machine="net")


def test_repeated_contours_are_summarised_by_observer():
    contours = study(4, physicians=PHYSICIANS[:2])
    other = study(4, seed=5)
    for patient, drawn_there in contours.items():
        drawn_there[Observer("A", repeat=2)] = other[patient][PHYSICIANS[0]]
        drawn_there[Observer("B", repeat=2)] = drawn_there[PHYSICIANS[1]]
    first, second = intra_observer(all_pairs(contours))
    assert (first.observer, second.observer) == ("A", "B")
    assert second.median == 1
    assert first.median < 1
    assert first.interval[0] <= first.median <= first.interval[1]
    assert "A against A: median DSC 0." in str(first)
    assert "4 pairs of 4 patients" in str(first)
    with pytest.raises(InputError, match="twice"):
        intra_observer([])


def test_volumes_of_every_pair_have_limits_of_agreement_and_physicians_a_correlation(smaller):
    rows = smaller.rows
    found = volume_agreement(rows)
    assert len(found) == 10
    net = [each for each in found if each.pairs.labels[0] == "net"]
    assert len(net) == 4
    assert all(each.bias < 0 for each in net)
    volumes = volumes_by_observer(rows)
    assert net[0].pairs.first.tolist() == list(volumes["net"].values())
    assert intraclass({name: volumes[name] for name in "ABCD"}, quantity="volume").patients == tuple(f"P{n}" for n in range(12))
    with pytest.raises(InputError, match="one roi"):
        volume_agreement([{**row, "roi": row["physician"]} for row in rows])
