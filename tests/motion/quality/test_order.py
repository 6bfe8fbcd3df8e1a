"""The cycle as a whole: sound breaths pass, exchanged, strayed and missing phases are named, and too few phases say so."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from rt4d.motion.quality.order import Breath, order_checks, places_in_cycle
from tests.motion.quality.make import TEN, breath, cycle, exchanged, named, with_field

ODDS, DEVIATIONS = 0.7, 5.0


@pytest.fixture(scope="module")
def ten():
    _, _, motion, gtv = cycle()
    return motion, gtv


def positions(places, amplitude_mm, *, lag=0.08, power=4.0, inhale=0.5, noise_mm=0.0, seed=0):
    """A trajectory with hysteresis: along x, y, z, in mm. inhale: the share of the cycle in which the breath is drawn."""
    rng = np.random.default_rng(seed)

    def drawn(t):
        t = np.mod(t, 1)
        warped = np.where(t < 1 - inhale, 0.5 * t / (1 - inhale), 0.5 + 0.5 * (t - 1 + inhale) / inhale)
        return np.abs(np.cos(np.pi * warped)) ** power

    way = np.stack([0.1 * drawn(places - lag / 2), 0.4 * drawn(places - lag), -drawn(places)], axis=-1) * amplitude_mm
    return way + rng.normal(scale=noise_mm, size=way.shape)


def test_a_sound_cycle_passes(ten):
    found = order_checks(*ten)
    assert {check.name for check in found} == {"phase_order", "trajectory_outlier_mm", "cycle_gap_percent"}
    assert {check.verdict for check in found} == {"pass"}
    assert named(found, "phase_order").value == 0


@pytest.mark.parametrize(("one", "other"), [("20", "30"), ("00", "40"), ("10", "70"), ("80", "60")])
def test_two_phases_that_are_exchanged_are_named(ten, one, other):
    motion, gtv = ten
    check = named(order_checks(exchanged(motion, one, other), gtv), "phase_order")
    assert check.verdict == "fail"
    assert check.phase in (one, other)
    assert f"{one} and {other}" in check.sentence or f"{other} and {one}" in check.sentence


def test_all_phases_shuffled_fail(ten):
    motion, gtv = ten
    order = np.random.default_rng(4).permutation(sorted(motion.fields))
    shuffled = replace(motion, fields=dict(zip(sorted(motion.fields), (motion.fields[label] for label in order), strict=True)))
    check = named(order_checks(shuffled, gtv), "phase_order")
    assert check.verdict == "fail"
    assert check.value > 3


@pytest.mark.parametrize("off_mm", [(0, 0, 7), (-4, 3, 0), (0, 0, -12)])
def test_a_phase_beside_the_way_of_the_others_is_named_with_its_distance(ten, off_mm):
    motion, gtv = ten
    found = order_checks(with_field(motion, "60", motion.fields["60"].vectors_mm + np.array(off_mm)), gtv)
    check = named(found, "trajectory_outlier_mm")
    assert (check.phase, check.verdict) == ("60", "fail")
    assert check.value == pytest.approx(np.linalg.norm(off_mm), rel=0.35)
    assert "Phase 60" in check.sentence


@pytest.mark.parametrize("amplitude_mm", [0.0, 1.0, 3.0, 12.0, 30.0])
@pytest.mark.parametrize("count", [4, 5, 6, 8, 10])
def test_sound_cycles_of_every_kind_pass(count, amplitude_mm):
    places = np.arange(count) / count
    for seed, (power, inhale, lag) in enumerate([(2, 0.5, 0.0), (4, 0.5, 0.1), (6, 0.5, 0.05), (3, 0.35, 0.08), (4, 0.4, 0.14)]):
        found = Breath.of(positions(places, amplitude_mm, power=power, inhale=inhale, lag=lag, noise_mm=0.25, seed=seed), places)
        assert found.better_order()[1] <= ODDS
        assert found.outliers()[1].max() <= DEVIATIONS


def test_exchanges_that_do_harm_are_seen_in_ten_phases_almost_always():
    places, seen = np.arange(10) / 10, []
    for seed, amplitude_mm in enumerate((6.0, 12.0, 25.0)):
        way = positions(places, amplitude_mm, inhale=0.4, noise_mm=0.2, seed=seed)
        for i, j in combinations(range(10), 2):
            if np.linalg.norm(way[i] - way[j]) >= 3:
                wrong = way.copy()
                wrong[[i, j]] = wrong[[j, i]]
                seen.append(Breath.of(wrong, places).better_order()[1] > ODDS)
    assert len(seen) > 60
    assert np.mean(seen) > 0.97


def test_too_few_phases_are_no_failure_and_said():
    _, _, motion, gtv = cycle(("00", "50", "80"))
    found = order_checks(motion, gtv)
    assert {(check.name, check.value, check.verdict) for check in found} == {
        ("phase_order", None, "pass"),
        ("trajectory_outlier_mm", None, "pass"),
    }
    assert "too few" in found[0].sentence


def test_a_missing_phase_is_named():
    _, _, motion, gtv = cycle(tuple(label for label in TEN if label != "20"))
    check = named(order_checks(motion, gtv), "cycle_gap_percent")
    assert (check.phase, check.verdict, check.value) == ("10", "fail", 20)
    assert "is a phase missing?" in check.sentence


def test_phases_around_a_gate_are_no_failure_and_said():
    _, _, motion, gtv = cycle(("30", "40", "50", "60", "70"))
    check = named(order_checks(motion, gtv), "cycle_gap_percent")
    assert (check.value, check.verdict) == (None, "pass")
    assert "only part of the cycle" in check.sentence


def test_of_a_motion_that_was_drawn_throughout_the_gaps_of_the_cycle_are_checked(ten):
    motion, gtv = ten
    (check,) = order_checks(replace(motion, fields={}, skipped=frozenset(motion.fields)), gtv)
    assert check.name == "cycle_gap_percent"


def test_a_phase_that_was_drawn_hides_no_stray_one(ten):
    """Registered for another target, it is left out of the way, where it would stick out most."""
    motion, gtv = ten
    stray, worse = (replace(motion.fields[label], vectors_mm=motion.fields[label].vectors_mm + mm) for label, mm in (("20", 8), ("80", 16)))
    motion = replace(motion, fields={**motion.fields, "20": stray, "80": worse})
    for drawn, label in (((), "80"), (("80",), "20")):
        outlier = next(check for check in order_checks(motion, gtv, drawn=drawn) if check.name == "trajectory_outlier_mm")
        assert (outlier.phase, outlier.verdict) == (label, "fail")


def test_phases_told_by_depth_stand_in_their_order():
    labels = ("00", "30In", "70In", "100", "70Ex", "30Ex")
    np.testing.assert_allclose(places_in_cycle(labels, list(labels)), np.arange(6) / 6)
    np.testing.assert_allclose(places_in_cycle(TEN, ["00", "30"]), [0, 0.3])


def test_where_a_phase_stands_does_not_depend_on_how_the_patient_lies():
    from tests.conftest import rotation

    places = np.arange(10) / 10
    way = positions(places, 12.0, noise_mm=0.2)
    way[3] += (2, -4, 1)
    turned = way @ np.array(rotation(30, -50, 70)).reshape(3, 3) + 40
    np.testing.assert_allclose(Breath.of(way, places).outliers()[1], Breath.of(turned, places).outliers()[1], rtol=1e-6)


def test_the_breath_of_these_tests_is_a_breath():
    assert breath(0) == 1
    assert breath(0.5) < 1e-30
