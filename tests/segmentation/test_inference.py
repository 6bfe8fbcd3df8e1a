"""The probability map: patches leave no trace, members are averaged, the chest is not cut, a point's window grows with its lesion."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from rt4d.anatomy import lungs
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phantom import make_4dct
from rt4d.segmentation import inference
from rt4d.segmentation.bundle import bundle_digest, read_bundle
from rt4d.segmentation.chest import MARGIN_MM, find_chest
from rt4d.segmentation.inference import members_of, probability
from rt4d.segmentation.space import Space, normalised, to_space
from rt4d.volumes import Mask, Volume
from tests.segmentation.make import a_bundle, a_coarser_look, a_finer_look, always, balls, tissue, write_bundle

SPACE = Space(spacing_mm=2.5, window_hu=(-1000.0, 400.0))
GRID = Geometry((60, 56, 50), (2.5, 2.5, 2.5), (-70.0, -65.0, -60.0))


def test_patches_leave_no_trace(members):
    """A network that looks at each voxel alone gives what it gives without patches."""
    members(tissue)
    volume = balls(GRID, [((10.0, 5.0, 0.0), 20.0)])
    found = probability(volume, a_bundle())
    logit = 40 * (normalised(to_space(volume, SPACE).hu, SPACE) - 0.5)
    assert found.values == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)


def test_a_large_lesion_of_which_the_first_look_sees_a_part_is_seen_whole_at_the_second_also_at_a_point(members):
    def in_part(patches):
        import torch

        answer = tissue(patches)
        answer[..., : answer.shape[-1] * 13 // 24] = torch.tensor([9.0, -9.0]).reshape(1, 2, 1, 1, 1)
        return answer

    members(in_turn([in_part, tissue]))
    grid = Geometry((80, 80, 80), (2.5, 2.5, 2.5), (-100.0, -100.0, -100.0))
    volume = balls(grid, [((0.0, 0.0, 0.0), 50.0)])
    bundle = a_bundle(patch_voxels=(96, 96, 96), threshold=0.4, threshold_at_point=0.4, coarse=a_coarser_look(from_cm3=10.0, score_share=0.0))
    for point in (None, (0.0, 0.0, 0.0)):
        found = probability(volume, bundle, point_mm=point)
        cm3 = np.count_nonzero(found.values >= 0.4) * 2.5**3 / 1000
        assert cm3 == pytest.approx(volume_cm3(50.0), rel=0.12)  # a rim less: the one look must be sure where the other says nothing
        assert any("check its borders" in note for note in found.notes)


def test_the_second_look_is_laid_on_the_grid_of_the_first(members):
    """A network that looks at each voxel alone says the same at larger voxels, but for the rim."""
    members(tissue)
    volume = balls(GRID, [((10.0, 5.0, 0.0), 20.0)])
    found = probability(volume, a_bundle(coarse=a_coarser_look(from_cm3=1e6, score_share=1.0)))
    off = np.linalg.norm(found.geometry.centres() - (10.0, 5.0, 0.0), axis=-1)
    assert found.scores[np.abs(off - 20.0) > 6.0] == pytest.approx(found.values[np.abs(off - 20.0) > 6.0], abs=0.01)
    assert found.geometry.centres()[found.scores > 0.5].mean(axis=0) == pytest.approx((10.0, 5.0, 0.0), abs=0.3)


def test_the_second_look_has_its_part_in_scores_and_none_in_outlines_of_what_is_not_large(members):
    members(in_turn([always(0.2), always(0.8)]))
    bundle = a_bundle(patch_voxels=(96, 96, 96), coarse=a_coarser_look(from_cm3=1e6, score_share=0.25))
    found = probability(balls(GRID, []), bundle)
    assert found.values == pytest.approx(0.2, abs=1e-5)
    assert found.scores == pytest.approx(0.75 * 0.2 + 0.25 * 0.8, abs=1e-5)


def test_the_finer_look_has_its_part_in_what_is_small_and_none_in_what_is_large(members):
    """The own look is hardly sure of either ball, the finer one of both."""
    small, large = ((-30.0, 5.0, 5.0), 7.0), ((25.0, 0.0, 0.0), 20.0)
    members(hardly_and_surely())
    bundle = a_bundle(patch_voxels=(96, 96, 96), threshold=0.4, faint_threshold=0.15, fine=a_finer_look(to_cm3=8.0, share=0.5))
    found = probability(balls(GRID, [small, large]), bundle)
    at = found.geometry.centres()
    inside = [np.linalg.norm(at - centre, axis=-1) < radius - 3 for centre, radius in (small, large)]
    assert found.values[inside[0]] == pytest.approx(0.5 * 0.3 + 0.5, abs=0.01)
    assert found.values[inside[1]] == pytest.approx(0.3, abs=0.01)
    assert at[found.values > 0.4].mean(axis=0) == pytest.approx(small[0], abs=0.3)
    assert found.scores == pytest.approx(found.values)


def test_what_the_finer_look_is_less_sure_of_is_outlined_by_both_and_scored_by_the_surer(members):
    members(hardly_and_surely(surely_first=True))
    small = (-30.0, 5.0, 5.0), 7.0
    bundle = a_bundle(patch_voxels=(96, 96, 96), threshold=0.4, faint_threshold=0.15, fine=a_finer_look(to_cm3=8.0, share=0.5))
    found = probability(balls(GRID, [small]), bundle)
    inside = np.linalg.norm(found.geometry.centres() - small[0], axis=-1) < small[1] - 3
    assert found.values[inside] == pytest.approx(0.5 + 0.5 * 0.3, abs=0.01)
    assert found.scores[inside] == pytest.approx(1.0, abs=0.01)


def test_the_coarser_look_has_its_part_in_scores_beside_the_surer_of_the_other_two(members):
    members(in_turn([always(0.6), always(0.2), always(0.1)]))
    looks = {"coarse": a_coarser_look(from_cm3=1e6, score_share=0.25), "fine": a_finer_look(to_cm3=1e6, share=0.5)}
    found = probability(balls(GRID, []), a_bundle(patch_voxels=(128, 128, 128), threshold=0.4, faint_threshold=0.15, **looks))
    assert found.values == pytest.approx(0.5 * 0.6 + 0.5 * 0.1, abs=1e-5)
    assert found.scores == pytest.approx(0.75 * 0.6 + 0.25 * 0.2, abs=1e-5)


def test_at_a_point_the_finer_look_is_one_patch_and_elsewhere_the_own_look_stands(members):
    members(hardly_and_surely())
    there, off = ((0.0, 0.0, 0.0), 7.0), ((68.0, 0.0, 0.0), 7.0)
    volume = balls(Geometry((80, 80, 80), (2.5, 2.5, 2.5), (-100.0, -100.0, -100.0)), [there, off])
    told = []
    bundle = a_bundle(patch_voxels=(64, 64, 64), threshold=0.4, threshold_at_point=0.4, faint_threshold=0.15, fine=a_finer_look())
    found = probability(volume, bundle, point_mm=there[0], progress=lambda *each: told.append(each))
    assert told[-1][1:] == (2, 2)
    at = found.geometry.centres()
    values = [found.values[np.linalg.norm(at - centre, axis=-1) < radius - 3] for centre, radius in (there, off)]
    assert values[0] == pytest.approx(0.65, abs=0.01)
    assert values[1] == pytest.approx(0.3, abs=0.01)


def test_the_finer_look_sees_the_lungs_and_ten_millimetres_around(members, monkeypatch):
    members(always(0.1))
    seen = []

    def noted(volume, space):
        made = to_space(volume, space)
        seen.append((space.spacing_mm, made.geometry))
        return made

    monkeypatch.setattr(inference, "to_space", noted)
    volume = make_4dct(size=(96, 72, 52), spacing_mm=(4.0, 4.0, 5.0), phases=("40", "50"), tumours=(), amplitude_mm=(0, 0, 1)).ct.reference.volume
    probability(volume, a_bundle(patch_voxels=(64, 64, 64), fine=a_finer_look()))
    points = lungs(volume).points_mm
    (finer,) = [geometry for spacing_mm, geometry in seen if spacing_mm == 1.8]
    first, last = np.array(finer.origin_mm), finer.to_patient(np.array(finer.size) - 1.0)
    assert first[:2] == pytest.approx(points.min(axis=0)[:2] - 10, abs=5)  # above, the CT ends earlier
    assert last[:2] == pytest.approx(points.max(axis=0)[:2] + 10, abs=5)


def in_turn(looks):
    """What looks of one patch each say, one after the other."""
    each = itertools.cycle(looks)

    def answer(patches):
        return next(each)(patches)

    return answer


def hardly_and_surely(*, surely_first=False):
    """What a look through the own voxels says, and then one through finer ones, of one patch each: 0.3 and 1 of tissue; or the other way round."""

    def hardly(patches):
        import torch

        sure = torch.softmax(tissue(patches), dim=1)[:, 1:]
        return torch.cat([1 - 0.3 * sure, 0.3 * sure + 1e-6], dim=1).log()

    return in_turn([hardly, tissue][:: -1 if surely_first else 1])


def volume_cm3(radius: float) -> float:
    return float(4 / 3 * np.pi * radius**3 / 1000)


def test_members_are_averaged_and_their_spread_is_told(members):
    members(always(0.2), always(0.6))
    found = probability(balls(GRID, []), a_bundle())
    assert found.values == pytest.approx(0.4, abs=1e-5)
    assert found.spread == pytest.approx(0.2, abs=1e-5)


def test_one_member_has_no_spread(members):
    members(always(0.3))
    assert probability(balls(GRID, []), a_bundle()).spread is None


def test_flips_look_from_four_sides_and_come_back(members):
    """What a network says of the first voxel along z, y or x it says, of the CT turned over, of the last: a quarter each."""
    import torch

    def first_layer(patches):
        chance = torch.full((1, 1, *patches.shape[2:]), 1e-6)
        chance[:, :, 0] = 1 - 1e-6
        return torch.cat([torch.log1p(-chance), torch.log(chance)], dim=1)

    members(first_layer)
    small = Geometry((32, 32, 32), (2.5, 2.5, 2.5))
    found = probability(balls(small, []), a_bundle(), flips=True).values
    assert found[0].mean() == pytest.approx(0.75, abs=1e-4)
    assert found[-1].mean() == pytest.approx(0.25, abs=1e-4)
    assert found[1:-1].max() < 1e-4


def test_without_lungs_everything_is_looked_at_and_that_is_said(members):
    members(tissue)
    found = probability(balls(GRID, [((0.0, 0.0, 0.0), 15.0)]), a_bundle())
    assert found.geometry.size == to_space(balls(GRID, []), SPACE).geometry.size
    assert any("sought in all of the image" in note for note in found.notes)


COARSE = {"size": (96, 72, 52), "spacing_mm": (4.0, 4.0, 5.0), "phases": ("40", "50"), "tumours": (), "amplitude_mm": (0, 0, 1), "noise_hu": 15}


@pytest.fixture(scope="module")
def thorax():
    return make_4dct(**COARSE).ct.reference.volume


def box_mm(volume: Volume) -> np.ndarray:
    """The corners of the box in which lesions are sought, in mm: lowest and highest x y z."""
    upright = to_space(volume, SPACE)
    chest = find_chest(upright)
    return upright.geometry.to_patient(np.array([chest.start, np.add(chest.start, chest.size) - 1]))


def test_the_chest_holds_the_lungs_and_some_room_around_as_far_as_the_ct_goes(thorax):
    from rt4d import anatomy

    points = anatomy.lungs(thorax).points_mm
    low, high = box_mm(thorax)
    edge = to_space(thorax, SPACE).geometry.to_patient([[0, 0, 0], np.subtract(to_space(thorax, SPACE).geometry.size, 1)])
    assert np.all((low <= points.min(axis=0) - MARGIN_MM + 5) | (low <= edge[0] + 0.1))
    assert np.all((high >= points.max(axis=0) + MARGIN_MM - 5) | (high >= edge[1] - 0.1))


def test_a_lung_filled_by_tumour_is_within_the_chest(thorax):
    """The left lung is solid: where it was is looked at all the same."""
    hu = thorax.hu.copy()
    left = thorax.geometry.centres()[..., 0] > 5
    lung = left & (hu < -400) & (np.abs(thorax.geometry.centres()[..., 1] - 10) < 90)
    hu[lung] = 40
    whole, half = box_mm(thorax), box_mm(Volume(hu, thorax.geometry))
    assert half[1][0] >= whole[1][0] - 15
    assert half[1][2] >= whole[1][2] - 15


def _sampled_at(volume: Volume, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    index = volume.geometry.to_index(np.stack([x, y, z], axis=-1))[..., ::-1]
    return ndimage.map_coordinates(volume.hu, np.moveaxis(index, -1, 0), order=1, mode="nearest")


@pytest.mark.parametrize("turned", [False, True])
def test_lungs_that_the_field_of_view_cuts_are_lungs_to_the_segmenter(thorax, members, turned):
    """A round field of view, padded; or the edge of a CT that is turned in the patient."""
    members(tissue)
    x, y, _ = np.moveaxis(thorax.geometry.centres(), -1, 0)
    if turned:
        cut = Geometry((44, 60, 52), (4.0, 4.0, 5.0), (-110.0, -40.0, -127.5), (0.906, -0.423, 0.0, 0.423, 0.906, 0.0, 0.0, 0.0, 1.0))
        x, y, z = np.moveaxis(cut.centres(), -1, 0)
        volume = Volume(_sampled_at(thorax, x, y, z), cut)
        points = lungs(thorax).points_mm
        points = points[cut.contains(points)]
    else:
        imaged = x**2 + (y - 10) ** 2 < 110**2
        volume = Volume(np.where(imaged, thorax.hu, -3024).astype(np.int16), thorax.geometry)
        points = Mask(lungs(thorax).inside & imaged, thorax.geometry).points_mm

    chest = probability(volume, a_bundle()).chest

    assert chest.holds(points)
    index = chest.by_lungs.geometry.to_index(points).round().astype(int).T[::-1]
    assert chest.by_lungs.inside[tuple(index)].mean() >= 0.98


def test_sides_are_the_patients(thorax):
    chest = find_chest(to_space(thorax, SPACE))
    assert [chest.side(x) for x in (70.0, -70.0, 3.0)] == ["left", "right", "middle"]


def test_around_a_point_one_patch_is_looked_at(members):
    members(tissue)
    found = probability(balls(GRID, [((0.0, 0.0, 0.0), 12.0), ((60.0, 60.0, 50.0), 9.0)]), a_bundle(), point_mm=(2.0, -1.0, 0.0))
    assert max(found.geometry.size) == 32
    assert found.geometry.contains((0.0, 0.0, 0.0))


def test_the_window_grows_until_the_lesion_is_whole_or_the_ct_ends(members):
    members(tissue)
    long_ball = balls(GRID, [((0.0, 0.0, 0.0), 50.0)])
    found = probability(long_ball, a_bundle(), point_mm=(0.0, 0.0, 0.0))
    whole = np.count_nonzero(to_space(long_ball, SPACE).hu > -300)
    assert np.count_nonzero(found.values > 0.5) == pytest.approx(whole, rel=0.01)
    filled = Volume(np.zeros(GRID.shape, np.int16), GRID)
    assert probability(filled, a_bundle(), point_mm=(0.0, 0.0, 0.0)).geometry.size == to_space(filled, SPACE).geometry.size


def test_the_click_reaches_the_network(members):
    import torch

    seen = []

    def watching(patches):
        seen.append(patches[0, 1].clone())
        return torch.zeros(1, 2, *patches.shape[2:])

    members(watching)
    probability(balls(GRID, []), a_bundle(threshold_at_point=0.9, faint_threshold=0.9), point_mm=(0.0, 0.0, 0.0))
    assert len(seen) == 1
    assert float(seen[0].max()) > 0.9
    seen.clear()
    probability(balls(GRID, []), a_bundle())
    assert not any(bool(one.any()) for one in seen)


@pytest.mark.parametrize("point", [None, (-20.0, 5.0, 0.0)])
def test_values_that_are_no_hounsfield_units_are_refused(thorax, point):
    """A CT without its intercept was segmented all the same; a single NaN hid the real tumour."""
    with pytest.raises(InputError, match="not Hounsfield units"):
        probability(Volume((thorax.hu.astype(np.int32) + 1024).astype(np.uint16), thorax.geometry), a_bundle(), point_mm=point)
    hu = thorax.hu.astype(np.float32)
    hu[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        probability(Volume(hu, thorax.geometry), a_bundle(), point_mm=point)


def test_a_point_outside_the_ct_is_refused():
    with pytest.raises(InputError, match="outside the CT"):
        probability(balls(GRID, []), a_bundle(), point_mm=(500.0, 0.0, 0.0))


def test_a_point_outside_the_patient_is_refused(thorax):
    with pytest.raises(InputError, match=r"The point lies outside the patient.*found 0\.0, -135\.0, 0\.0"):
        probability(thorax, a_bundle(), point_mm=(0.0, -135.0, 0.0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = write_bundle(tmp_path_factory.mktemp("bundle") / "tiny", members=2)
    return read_bundle(f"{folder}@sha256:{bundle_digest(folder, ['models/fold0.pt', 'models/fold1.pt'])}")


def test_a_real_network_says_what_it_says_when_asked_directly(tiny, monkeypatch):
    import torch

    monkeypatch.setattr(inference, "_number_type", lambda: torch.float32)
    volume = balls(Geometry((32, 32, 32), (2.5, 2.5, 2.5)), [((40.0, 40.0, 40.0), 15.0)])
    image = torch.from_numpy(np.stack([normalised(volume.hu, SPACE), np.zeros(volume.geometry.shape, np.float32)]))[None]
    with torch.inference_mode():
        direct = [torch.softmax(member(image), dim=1)[0, 1].numpy() for member in members_of(tiny)]
    found = probability(volume, tiny)
    assert found.values == pytest.approx((direct[0] + direct[1]) / 2, abs=1e-4)
    assert found.spread == pytest.approx(np.abs(direct[0] - direct[1]) / 2, abs=1e-4)


def test_the_same_answer_every_time_and_on_any_number_of_cores(tiny):
    import torch

    volume = balls(Geometry((45, 45, 33), (2.5, 2.5, 2.5)), [((50.0, 50.0, 40.0), 20.0)])
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(probability(volume, tiny).values)
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(found[0], one) for one in found[1:])


def test_progress_ends_where_it_said(members):
    members(tissue, tissue)
    told = []
    small = Geometry((40, 40, 30), (2.5, 2.5, 2.5))
    probability(balls(small, []), a_bundle(members=(None, None)), flips=True, progress=lambda *each: told.append(each))
    assert {stage for stage, _, _ in told} == {"segmenting"}
    assert len({total for _, _, total in told}) == 1
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert told[-1][1] == told[-1][2] > 20


def test_progress_of_several_looks_is_one(members):
    members(tissue)
    told = []
    bundle = a_bundle(coarse=a_coarser_look(from_cm3=10.0, score_share=0.0), fine=a_finer_look())
    probability(balls(GRID, []), bundle, progress=lambda *each: told.append(each))
    assert len({total for _, _, total in told}) == 1
    assert told[-1][1] == told[-1][2]


def test_import_of_rt4d_loads_no_torch():
    code = "import sys, rt4d, rt4d.segmentation.segmenting; sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
