"""`rt4d.segment`: from a CT to candidates, kept ones and one mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rt4d
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.segmentation import inference, segmenting
from rt4d.segmentation.chest import Chest
from rt4d.volumes import Mask
from tests.segmentation.make import a_bundle, balls, tissue

CT = Geometry((150, 140, 50), (1.0, 1.0, 3.0), (-70.0, -65.0, -70.0), frame_of_reference="1.2.3")
BIG, SMALL = ((30.0, 0.0, 0.0), 14.0), ((-40.0, 20.0, 10.0), 9.0)


@pytest.fixture
def model(members, monkeypatch):
    """Tissue is tumour, whichever bundle is asked for."""
    members(tissue)
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle())


def volume_cm3(*radii: float) -> float:
    return sum(4 / 3 * np.pi * radius**3 / 1000 for radius in radii)


def test_every_lesion_is_found_and_kept(model):
    found = rt4d.segment(balls(CT, [BIG, SMALL]))
    assert isinstance(found, rt4d.Segmentation)
    assert len(found.kept) == 2
    assert found.mask.volume_cm3 == pytest.approx(volume_cm3(14.0, 9.0), rel=0.05)
    assert found.mask.geometry == CT
    assert np.array_equal(found.primary.inside, found.candidates[0].mask.inside)
    assert (found.bundle, found.bundle_sha256) == ("stand_in", "0" * 64)
    assert any("all of the image" in note for note in found.notes)


def test_one_may_be_chosen_by_number_or_by_point(model):
    volume = balls(CT, [BIG, SMALL])
    second = rt4d.segment(volume, keep=[2])
    assert [one.number for one in second.kept] == [2]
    at = rt4d.segment(volume, point_mm=(-38.0, 21.0, 8.0))
    assert at.mask.volume_cm3 == pytest.approx(volume_cm3(9.0), rel=0.08)  # 2.5 mm voxels round a small ball off
    with pytest.raises(InputError, match="exclude one another"):
        rt4d.segment(volume, keep=[1], point_mm=(0.0, 0.0, 0.0))


def test_a_faint_lesion_that_is_chosen_is_noted(members, monkeypatch):
    members(tissue)
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle(faint_threshold=0.05))
    volume = balls(CT, [BIG, SMALL], hu=-340.0)  # of a probability of some 0.2 in the stand-in
    assert rt4d.segment(volume).kept == ()
    for found in (rt4d.segment(volume, keep=[1]), rt4d.segment(volume, point_mm=BIG[0])):
        assert 0.6 < found.mask.volume_cm3 / volume_cm3(BIG[1]) < 1
        assert [note for note in found.notes if "candidate 1 is faint (score 0." in note]


def test_what_is_chosen_and_would_not_be_kept_by_itself_is_noted(members, monkeypatch):
    """By a number misread, or a point whose sign was mistaken. What nobody chose is listed with its reason, and not noted."""
    members(tissue)
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle(candidate_score=1.0))
    volume = balls(CT, [BIG, SMALL])
    for found in (rt4d.segment(volume, keep=[2]), rt4d.segment(volume, point_mm=SMALL[0])):
        (note,) = (one for one in found.notes if "would not be kept by itself" in one)
        assert note.startswith(f"candidate {found.kept[0].number} ")
        assert "(score below 1)" in note
    assert not any("by itself" in note for note in rt4d.segment(volume).notes)


def test_a_point_far_from_the_lungs_is_noted(members, monkeypatch):
    members(tissue)
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle())
    volume = balls(CT, [BIG, SMALL])
    far = Chest((0, 0, 0), CT.size, 0.0, by_lungs=Mask(np.zeros(CT.shape, dtype=bool), CT))
    monkeypatch.setattr(inference, "find_chest", lambda upright: replace(far, size=upright.geometry.size))
    found = rt4d.segment(volume, point_mm=BIG[0])
    assert [note for note in found.notes if "more than 10 mm from the lungs" in note]


@pytest.mark.parametrize(("off_mm", "told"), [(0.0, None), (12.0, None), (16.2, 3), (21.0, 8)])
def test_a_contour_that_does_not_hold_the_point_is_noted(model, off_mm, told):
    """The radius is 14 mm, the last voxel centre within lies at 13 mm."""
    x, y, z = BIG[0]
    found = rt4d.segment(balls(CT, [BIG, SMALL]), point_mm=(x, y - off_mm, z))
    assert found.first.centroid_mm == pytest.approx(BIG[0], abs=0.5)
    notes = [note for note in found.notes if "does not hold the point" in note]
    assert notes == ([] if told is None else [f"the contour does not hold the point ({told} mm away): check that it is the lesion"])


def test_where_nothing_is_found_the_mask_is_empty_and_the_primary_says_how_to_go_on(model):
    found = rt4d.segment(balls(CT, [((0.0, 0.0, 0.0), 3.0)]))
    assert found.mask.is_empty
    assert len(found.candidates) == 1
    with pytest.raises(InputError, match=r"No lesion was found on this CT.*smaller than.*--point") as refused:
        found.primary
    assert "--gtv" in str(refused.value)


def test_the_phantoms_tumour_comes_out_of_a_4dct(members, monkeypatch):
    """Soft tissue inside the lungs, seen by a stand-in that knows them: the whole way on anatomy, with sides told."""
    import torch

    from rt4d.phantom import make_4dct

    case = make_4dct(size=(96, 72, 44), spacing_mm=(4.0, 4.0, 6.0), phases=4)
    truth = case.reference_gtv

    def near_the_click(patches: torch.Tensor) -> torch.Tensor:
        logit = torch.where(patches[:, 1:] > 1e-4, 40 * (patches[:, :1].float() - 0.5), torch.tensor(-9.0))
        return torch.cat([-logit / 2, logit / 2], dim=1)

    members(near_the_click)
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle())
    found = rt4d.segment(case.ct.reference, point_mm=truth.centroid_mm)
    (one,) = found.candidates
    assert np.linalg.norm(np.subtract(one.centroid_mm, truth.centroid_mm)) < 4
    assert one.side == ("left" if truth.centroid_mm[0] > 0 else "right")
    assert found.notes == ()
