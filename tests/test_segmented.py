"""The segmenter on every phase, for comparison with the GTV that is there: within each of its pieces, and those lesions only.

A stand-in answers for a network: tumour is what is denser than -300 HU.
"""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.agreement import dice
from rt4d.errors import GeometryError, InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.phases import FourDCT, Phase, SeriesIdentity
from rt4d.segmentation import inference, segmenting
from rt4d.segmented import SegmentedPhase, phase_agreement, segmented_phases
from rt4d.volumes import Mask
from tests.segmentation.make import a_bundle, balls, tissue

GRID = Geometry((60, 50, 40), (2.0, 2.0, 2.5), (-60.0, -50.0, -50.0))
RADIUS, STILL = 9.0, ((-30.0, 0.0, 0.0), 15.0)
PLACES = {"00": (30.0, 0.0, 8.0), "50": (30.0, 0.0, -8.0)}


def ball(place, radius=RADIUS, grid=GRID):
    """The voxels whose centres lie in a ball."""
    return Mask(np.linalg.norm(grid.centres() - place, axis=-1) <= radius, grid)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(inference, "members_of", lambda _: iter([tissue]))
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle())


@pytest.fixture(scope="module")
def ct():
    """Two phases of lung in which a ball moves by 16 mm; a larger one stays."""
    identity = SeriesIdentity("1", "2", "3", ("4",) * GRID.size[2])
    return FourDCT(tuple(Phase(balls(GRID, [(place, RADIUS), STILL]), identity, label) for label, place in PLACES.items()), "50")


def test_each_phase_gives_the_lesion_at_its_own_gtv_and_no_other(model, ct):
    found = segmented_phases(ct, {label: ball(place) for label, place in PLACES.items()})
    assert list(found) == ["00", "50"]
    for label, place in PLACES.items():
        assert found[label].geometry.is_same_grid(GRID)
        assert found[label].centroid_mm == pytest.approx(place, abs=0.5)
        assert found[label].volume_cm3 == pytest.approx(4 / 3 * np.pi * RADIUS**3 / 1000, rel=0.15)


def test_a_gtv_in_two_pieces_is_asked_about_in_both(model, ct):
    """The centroid of both lies between them, where there is only lung: nothing was found there."""
    both = ball(PLACES["50"]) | ball(*STILL)
    found = segmented_phases(ct, {"50": both})["50"]
    assert dice(found, both) > 0.9


@pytest.fixture
def asked(model, monkeypatch):
    """The points about which the segmenter is asked."""
    points = []

    def noted(*arguments, **more):
        points.append(more["point_mm"])
        return segmenting.segment(*arguments, **more)

    monkeypatch.setattr("rt4d.segmented.segment", noted)
    return points


def test_the_point_that_is_asked_about_lies_deep_within_the_mask(asked, ct):
    """The centroid of a shell does not lie in it."""
    place, radius = STILL
    shell = ball(place, 14.0) - ball(place, 8.0)
    found = segmented_phases(ct, {"50": shell})["50"]
    (point,) = asked
    assert 9 < np.linalg.norm(np.subtract(point, place)) < 13
    assert dice(found, ball(place, radius)) > 0.9


def test_specks_are_not_asked_about_nor_what_was_already_found(asked, ct):
    place, radius = STILL
    parts = ball(place, 4.0) | ball((place[0], place[1] + 10, place[2]), 3.0) | ball((10.0, -30.0, 20.0), 1.0)
    found = segmented_phases(ct, {"50": parts})["50"]
    assert len(asked) == 1
    assert found.volume_cm3 == pytest.approx(ball(place, radius).volume_cm3, rel=0.1)
    assert segmented_phases(ct, {"50": ball((10.0, -30.0, 20.0), 1.0)}) == {"50": None}
    assert len(asked) == 2


def test_where_there_is_no_lesion_there_is_no_mask(model, ct):
    """The GTV of phase 00 was carried to where there is only lung."""
    found = segmented_phases(ct, {"00": ball((30.0, 25.0, -30.0)), "50": ball(PLACES["50"])})
    assert found["00"] is None
    assert found["50"] is not None


def test_progress_goes_phase_by_phase(model, ct):
    told = []
    segmented_phases(ct, {label: ball(place) for label, place in PLACES.items()}, progress=lambda *one: told.append(one))
    assert told == [("segmenting phases", done, 2) for done in range(3)]


def test_a_model_that_cannot_be_used_is_not_taken_for_nothing_found(ct, monkeypatch):
    def broken(*_arguments, **_more):
        raise InputError("Weights of another network")

    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle())
    monkeypatch.setattr(segmenting, "probability", broken)
    with pytest.raises(InputError, match="another network"):
        segmented_phases(ct, {"50": ball(PLACES["50"])})


def test_masks_of_another_grid_or_phase_and_empty_ones_are_refused(model, ct):
    other = Geometry((60, 50, 40), (2.0, 2.0, 2.4), (-60.0, -50.0, -50.0))
    with pytest.raises(GeometryError):
        segmented_phases(ct, {"50": ball(PLACES["50"], grid=other)})
    with pytest.raises(NotFoundError, match="25"):
        segmented_phases(ct, {"25": ball(PLACES["50"])})
    with pytest.raises(InputError, match="empty mask"):
        segmented_phases(ct, {"50": ball((500.0, 0.0, 0.0))})


def test_agreement_of_shifted_boxes_is_what_counting_gives():
    """A box of 4 x 4 x 4 voxels against itself one voxel further on: 48 of 64 voxels in common, one spacing apart."""
    inside, further = np.zeros((2, *GRID.shape), dtype=bool)
    inside[10:14, 20:24, 30:34] = further[10:14, 20:24, 31:35] = True
    found = phase_agreement({"00": Mask(inside, GRID), "50": Mask(inside, GRID)}, {"00": Mask(further, GRID), "50": None})
    assert found == {"00": SegmentedPhase(volume_cm3=pytest.approx(0.64), dice=0.75, centroid_distance_mm=pytest.approx(2.0)), "50": None}
