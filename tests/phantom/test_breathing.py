"""The generated thorax's motion as a formula: reference, amplitude, inverse, no folding."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.errors import InputError, NotFoundError
from rt4d.phantom import from_trace
from rt4d.phantom.breathing import ThoraxBreathing, breathing_for, jacobian
from rt4d.phantom.waveform import cosine, labels_of, place_in_cycle, travel_of

TUMOUR = (-78.0, 18.0, -22.0)
LABELS = labels_of(10)


@pytest.fixture(scope="module")
def motion() -> ThoraxBreathing:
    return breathing_for(TUMOUR, travel_of(LABELS, "50", (2.0, 5.0, 20.0), cosine(), lag=0.08, outwards=-1.0))


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(1).uniform([-170, -110, -150], [170, 115, 150], size=(3000, 3))


def pulled(motion: ThoraxBreathing, label: str, points: np.ndarray) -> np.ndarray:
    return np.stack(motion.pull_back(label, *points.T), axis=-1)


def test_the_reference_phase_does_not_move(motion, points):
    assert np.array_equal(pulled(motion, "50", points), points)
    assert np.array_equal(motion.push("50", points), points)


def test_pushing_inverts_pulling_back_also_within_the_sliding_layer(motion, points):
    for label in ("00", "20", "80"):
        assert np.abs(motion.push(label, pulled(motion, label, points)) - points).max() < 1e-4
        assert np.abs(pulled(motion, label, motion.push(label, points)) - points).max() < 1e-4


def test_the_tumours_centre_travels_exactly_the_amplitude_asked_for(motion):
    places = np.concatenate([motion.push(label, np.array([TUMOUR])) for label in LABELS])
    assert np.ptp(places, axis=0) == pytest.approx([2.0, 5.0, 20.0], abs=1e-6)


def test_inhalation_moves_the_tumour_to_the_feet_to_the_front_and_outwards(motion):
    moved = motion.push("00", np.array([TUMOUR]))[0] - TUMOUR
    assert moved[0] < 0
    assert moved[1] < 0
    assert moved[2] == pytest.approx(-20.0, abs=1e-6)


def test_ways_in_and_out_differ_by_hysteresis(motion):
    breathing_in, breathing_out = (motion.push(label, np.array([TUMOUR]))[0] for label in ("80", "20"))
    assert breathing_in[2] == pytest.approx(breathing_out[2], abs=1e-6)
    assert abs(breathing_in[1] - breathing_out[1]) > 1.0


def test_no_phase_folds_the_anatomy(motion, points):
    for label in LABELS:
        assert jacobian(motion, label, points).min() > 0.1


def test_the_lung_slides_along_a_chest_wall_that_stays(motion):
    lung, wall = np.array([[-115.0, 0.0, -40.0]]), np.array([[-142.0, 0.0, -40.0]])
    assert motion.push("00", lung)[0, 2] - lung[0, 2] < -15
    assert abs(motion.push("00", wall)[0, 2] - wall[0, 2]) < 0.01


def test_a_motion_that_would_fold_is_refused_naming_the_point():
    with pytest.raises(InputError, match=r"fold the anatomy.*\(-78, 18, -22\)"):
        breathing_for(TUMOUR, {"00": (0.0, 0.0, -120.0)})


def test_an_unknown_phase_is_refused_naming_those_there(motion):
    with pytest.raises(NotFoundError, match="one of 00, 10"):
        motion.pull_back("05", *np.zeros((3, 1)))


def test_phases_told_in_and_out_lie_on_either_side_of_exhalation():
    assert cosine()(np.array(place_in_cycle("30In"))) == pytest.approx(0.3)
    assert place_in_cycle("30Ex") < 0.5 < place_in_cycle("30In")


def test_a_recorded_trace_gives_its_mean_breath():
    t = np.arange(0, 60, 0.1)
    breath = from_trace(64 + 8 * np.cos(np.pi * t / 4.0) ** 4, seconds=t)
    at = np.linspace(0, 1, 21)
    assert np.abs(breath(at) - np.cos(np.pi * at) ** 4).max() < 0.03


def test_a_trace_without_breaths_is_refused():
    with pytest.raises(InputError, match="two whole breaths"):
        from_trace(np.linspace(0, 1, 50))


def test_phases_at_one_depth_of_the_breath_cannot_carry_an_amplitude():
    with pytest.raises(InputError, match="one depth"):
        travel_of(("30", "70"), "30", (0.0, 0.0, 5.0), cosine(), lag=0.0, outwards=1.0)
