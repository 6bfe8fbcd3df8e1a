"""Generated observers err by as much as they are told to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rt4d.errors import InputError
from rt4d.phantom import Phantom, Tumour, make_4dct, redraw
from rt4d.volumes import Mask

CENTRE = (-77.3, 18.4, -21.1)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    tumours = [Tumour(CENTRE, 32.0)]
    return make_4dct(size=(48, 48, 40), spacing_mm=(1.5, 1.5, 2.0), centre_mm=CENTRE, phases=2, tumours=tumours, amplitude_mm=(0, 0, 8), workers=1)


def test_a_steady_hand_draws_the_truth_in_every_phase(phantom: Phantom) -> None:
    for label in phantom.ct.labels:
        assert np.array_equal(redraw(phantom, label, spread_mm=0, seed=1).inside, phantom.gtv(label).inside)


@pytest.mark.parametrize("larger_mm", [-3.0, 2.0])
def test_a_sphere_drawn_larger_has_the_volume_of_the_larger_sphere(phantom: Phantom, larger_mm: float) -> None:
    drawn = redraw(phantom, phantom.ct.reference_label, spread_mm=0, larger_mm=larger_mm, seed=1)
    assert drawn.volume_cm3 == pytest.approx(4 / 3 * np.pi * (1.6 + larger_mm / 10) ** 3, rel=0.02)


def radii_mm(mask: Mask) -> np.ndarray:
    """How far the mask reaches from the tumour's centre in 200 directions."""
    towards = np.random.default_rng(0).normal(size=(200, 1, 3))
    points = np.array(CENTRE) + towards / np.linalg.norm(towards, axis=2, keepdims=True) * np.arange(0, 30, 0.1)[:, None]
    index = np.moveaxis(mask.geometry.to_index(points)[..., ::-1], -1, 0)
    return np.asarray(ndimage.map_coordinates(mask.inside.astype(float), index, order=1).sum(axis=1) * 0.1)


def test_the_spread_is_that_of_the_radius(phantom: Phantom) -> None:
    drawn = [radii_mm(redraw(phantom, phantom.ct.reference_label, spread_mm=1.5, larger_mm=-1, seed=seed)) for seed in range(20)]
    assert np.mean(drawn) == pytest.approx(16 - 1, abs=0.3)
    assert np.std(drawn) == pytest.approx(1.5, rel=0.15)


def test_a_seed_is_one_observer(phantom: Phantom) -> None:
    one, again, other = (redraw(phantom, "00", spread_mm=2.0, seed=seed).inside for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_mistakes_move_with_the_tumour(phantom: Phantom) -> None:
    away = [np.subtract(redraw(phantom, each, spread_mm=2.0, seed=3).centroid_mm, phantom.gtv(each).centroid_mm) for each in phantom.ct.labels]
    assert away[0] == pytest.approx(away[1], abs=0.25)


def test_a_tumour_drawn_smaller_than_nothing_is_missed(phantom: Phantom) -> None:
    assert redraw(phantom, "00", spread_mm=0, larger_mm=-20, seed=1).is_empty


def test_a_spread_below_nothing_is_refused(phantom: Phantom) -> None:
    with pytest.raises(InputError, match="spread"):
        redraw(phantom, "00", spread_mm=-1, seed=1)
