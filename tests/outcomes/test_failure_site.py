"""Where a recurrence lies relative to what only the machine drew, and whether that is more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.outcomes.failure_site import failure_site, nearer_than_chance
from rt4d.volumes import Mask

GRID = Geometry((40, 40, 40), (1.0, 1.0, 1.0), (-20.0, -20.0, -20.0), frame_of_reference="1.2.3")


def ball(centre: tuple[float, float, float], radius: float, grid: Geometry = GRID) -> Mask:
    z, y, x = np.indices(grid.shape)
    points = grid.to_patient(np.stack([x, y, z], axis=-1).reshape(-1, 3))
    return Mask((np.linalg.norm(points - centre, axis=1) <= radius).reshape(grid.shape), grid)


PHYSICIAN = ball((0, 0, 0), 8)
MACHINE = PHYSICIAN | ball((9, 0, 0), 4)
"""It draws beyond the physician towards the patient's left."""


def test_a_point_in_what_only_the_machine_drew_is_inside_and_nearer_than_chance() -> None:
    found = failure_site((11, 0, 0), machine=MACHINE, physician=PHYSICIAN)
    assert (found.share_inside, found.distance_mm) == (1.0, 0.0)
    assert found.nearer_by_chance < 0.1


def test_a_point_on_the_other_side_is_farther_than_chance_with_its_distance() -> None:
    found = failure_site((-9, 0, 0), machine=MACHINE, physician=PHYSICIAN)
    assert found.share_inside == 0
    nearest = np.linalg.norm((MACHINE - PHYSICIAN).points_mm - (-9, 0, 0), axis=1).min()
    assert found.distance_mm == pytest.approx(nearest)
    assert found.nearer_by_chance > 0.9


def test_a_contour_counts_by_the_part_of_it_that_lies_inside() -> None:
    recurrence = ball((12, 0, 0), 3)
    found = failure_site(recurrence, machine=MACHINE, physician=PHYSICIAN)
    common = (recurrence & (MACHINE - PHYSICIAN)).volume_cm3 / recurrence.volume_cm3
    assert found.share_inside == pytest.approx(common)
    assert 0.2 < common < 0.95


def test_the_contour_of_a_later_ct_may_have_its_own_grid() -> None:
    fine = Geometry((80, 80, 80), (0.5, 0.5, 0.5), (-20.0, -20.0, -20.0), frame_of_reference="1.2.3")
    assert failure_site(ball((11, 0, 0), 1, fine), machine=MACHINE, physician=PHYSICIAN).share_inside == 1


def test_recurrences_anywhere_on_the_surface_are_what_chance_gives() -> None:
    """Uniform directions: the share is uniform, so its mean is one half; towards the machine's voxels it is small."""
    chance = np.random.default_rng(0)
    directions = chance.normal(size=(60, 3))
    places = 8.5 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    shares = [failure_site((x, y, z), machine=MACHINE, physician=PHYSICIAN).nearer_by_chance for x, y, z in places.tolist()]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.12)
    assert nearer_than_chance(shares) > 0.05
    assert nearer_than_chance([share * 0.4 for share in shares]) < 1e-6


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="nothing that the physician did not"):
        failure_site((9, 0, 0), machine=PHYSICIAN, physician=PHYSICIAN)
    with pytest.raises(GeometryError, match="outside the CT"):
        failure_site((900, 0, 0), machine=MACHINE, physician=PHYSICIAN)
    with pytest.raises(InputError, match="empty"):
        failure_site(PHYSICIAN - PHYSICIAN, machine=MACHINE, physician=PHYSICIAN)
    with pytest.raises(InputError, match="several patients"):
        nearer_than_chance([0.1, 0.2])
