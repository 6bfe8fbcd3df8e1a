"""Patches: where they lie, what is clicked, what is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from rt4d.geometry import Geometry
from rt4d.segmentation.cases import Case
from rt4d.segmentation.space import Space
from rt4d.segmentation.training import patches as module
from rt4d.segmentation.training.augmentation import Pose, other_contrast, other_scanner, random_pose, straight, taken
from rt4d.segmentation.training.patches import UNKNOWN, Patches, buried_lesions, lesion_patch, random_patch
from tests.segmentation.training.make import balls, write_balls

SPACE = Space(spacing_mm=2.5, window_hu=(-1000, 400))


@pytest.fixture
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches as they lie in the case, as the scanner gave them."""
    monkeypatch.setattr(module, "random_pose", lambda _rng: straight())
    monkeypatch.setattr(module, "other_scanner", lambda hu, _rng, *, spacing_mm: hu)
    monkeypatch.setattr(module, "other_contrast", lambda image, _rng: image)


@pytest.mark.usefixtures("_plain")
def test_a_click_asks_for_the_clicked_lesion_alone_and_no_click_for_all() -> None:
    case = balls(3, lesions=4)
    clicked = 0
    for seed in range(60):
        patch = random_patch(case, np.random.default_rng(seed), space=SPACE, edge=16)
        where = patch.image[0] > 0.45  # tissue: -370 HU
        if not patch.is_clicked:
            assert not patch.image[1].any()
            assert abs(int((patch.label[0] > 0.5).sum()) - int(where.sum())) <= 0.1 * where.sum() + 3
            continue
        clicked += 1
        at = np.unravel_index(patch.image[1].argmax(), patch.image[1].shape)
        parts, _ = ndimage.label(where)
        near = parts[tuple(slice(max(i - 1, 0), i + 2) for i in at)]
        own = np.isin(parts, near[near > 0])
        assert patch.image[1].max() > 0.8
        assert abs(int((patch.label[0] > 0.5).sum()) - int(own.sum())) <= 0.15 * own.sum() + 3
        assert not (patch.label[0] > 0.6)[where & ~own].any()
    assert 8 < clicked < 40


@pytest.mark.usefixtures("_plain")
def test_a_lesion_within_soft_tissue_is_unknown_without_a_click_and_asked_for_with_one() -> None:
    case = balls(3, lesions=4)
    hu = case.hu.copy()
    hu[:14] = np.random.default_rng(0).normal(40, 15, hu[:14].shape)
    buried = buried_lesions(replace(case, hu=hu))
    deep = [n for n in range(1, 5) if np.argwhere(case.owner == n)[:, 0].mean() < 12]
    assert buried == tuple(deep)
    assert 0 < len(deep) < 4
    seen = set()
    for seed in range(60):
        patch = random_patch(case, np.random.default_rng(seed), space=SPACE, edge=16, buried=buried)
        plain = random_patch(case, np.random.default_rng(seed), space=SPACE, edge=16)
        np.testing.assert_array_equal(patch.image, plain.image)
        unknown = patch.label == UNKNOWN
        seen.add((patch.is_clicked, bool(unknown.any())))
        np.testing.assert_array_equal(patch.label[~unknown], plain.label[~unknown])
        assert not (patch.is_clicked and unknown.any())
    assert (False, True) in seen


def test_a_third_of_the_patches_with_tumour_is_clicked_and_most_hold_some(tmp_path: Path) -> None:
    patches = Patches(write_balls(tmp_path, 4), space=SPACE, edge=16, seed=5)
    made = [patches[number] for number in range(200)]
    full = [patch for patch in made if patch.label.max() > 0.5]
    assert len(full) > 2 / 3 * 200 * 0.85
    assert 0.25 < np.mean([patch.is_clicked for patch in full]) < 0.45
    assert not any(patch.is_clicked for patch in made if patch.label.max() < 0.5)
    for patch in made:
        assert patch.image.shape == (2, 16, 16, 16)
        assert patch.image.dtype == patch.label.dtype == np.float32
        assert 0 <= patch.image.min() <= patch.image.max() <= 1
        assert 0 <= patch.label.min() <= patch.label.max() <= 1


def test_small_lesions_are_centred_on_more_often_than_large_ones() -> None:
    grid = Geometry((40, 40, 40), (2.5, 2.5, 2.5))
    lesions, owner = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    owner[2:4, 2:4, 2:4], owner[20:38, 20:38, 20:38] = 1, 2
    lesions[owner > 0] = 255
    case = Case(hu=np.full(grid.shape, -800, np.int16), lesions=lesions, owner=owner, geometry=grid, patient="P")
    centres = [module._centre(case, np.random.default_rng(seed), 8, straight()) for seed in range(300)]
    small = sum(bool((np.abs(centre - 3) < 4).all()) for centre in centres)
    assert 140 < small < 190  # 168 expected


def test_patch_number_n_is_always_the_same_and_no_two_are_alike(tmp_path: Path) -> None:
    paths = write_balls(tmp_path, 3)
    one, other = (Patches(paths, space=SPACE, edge=16, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one[7].image, [other[n] for n in (9, 7)][1].image)
    assert not np.array_equal(one[7].image, one[10].image)


def test_every_case_comes_once_before_any_comes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_balls(tmp_path, 3)
    seen: list[str] = []
    monkeypatch.setattr(module, "random_patch", lambda case, *_, **__: seen.append(case.patient))
    patches = Patches(paths, space=SPACE, edge=16, seed=1)
    for number in range(9):
        _ = patches[number]
    assert [sorted(seen[i : i + 3]) for i in (0, 3, 6)] == [["P0", "P1", "P2"]] * 3


def test_beyond_the_case_is_air_and_no_lesion() -> None:
    case = balls(1)
    patch = lesion_patch(case, 1, clicked=False, seed=0, space=SPACE, edge=64)
    assert patch.image[0][0].max() == 0
    assert patch.label[0][0].max() == 0
    assert patch.label.sum() == pytest.approx(sum(case.volumes_cm3) / 0.015625, rel=1e-3)


def test_a_turned_patch_is_what_the_turned_coordinates_say() -> None:
    """The oracle is the closed form: a linear ramp stays linear."""
    z, y, x = (axis.astype(np.float32) for axis in np.indices((40, 40, 40)))
    ramp = 3 * z - 2 * y + x
    rng = np.random.default_rng(0)
    pose, centre = next(made for made in (random_pose(rng) for _ in range(50)) if not made.is_straight), np.array([20.0, 19.0, 21.0])
    found = taken(ramp, centre, pose, edge=8, outside=0)
    at = np.stack(np.indices((8, 8, 8)), axis=-1) - 3.5
    places = at @ pose.matrix.T + centre
    np.testing.assert_allclose(found, places @ [3, -2, 1], atol=1e-3)


def test_a_flipped_patch_is_the_patch_flipped() -> None:
    values = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    flipped = taken(values, np.array([10.0, 10, 10]), Pose(np.diag([1.0, 1.0, -1.0])), edge=8, outside=0)
    np.testing.assert_array_equal(flipped[:, :, ::-1], taken(values, np.array([10.0, 10, 10]), straight(), edge=8, outside=0))


def test_a_patch_seen_from_afar_shows_more_of_the_case_through_larger_voxels_and_the_click_in_mm() -> None:
    case = balls(3, lesions=4)
    far = Pose(np.diag([1.6, 1.6, 1.6]), 1.6)
    centre = np.argwhere(case.owner == 1).mean(axis=0)
    near_share, far_share = (taken(case.lesions, centre, pose, edge=32, outside=0.0).sum() for pose in (straight(), far))
    assert far_share * 1.6**3 == pytest.approx(case.lesions.sum(dtype=float), rel=0.05)
    assert far_share < near_share
    clicks = []
    for pose in (straight(), far):
        hu = taken(case.hu, centre, pose, edge=32, outside=-1000.0)
        clicks.append(module._patch(case, hu, centre, pose, lesion=1, rng=np.random.default_rng(0), space=SPACE).image[1])
    assert clicks[1].sum() * 1.6**3 == pytest.approx(clicks[0].sum(), rel=0.05)


def test_three_patches_in_ten_are_seen_from_afar() -> None:
    poses = [random_pose(np.random.default_rng(seed)) for seed in range(400)]
    far = [pose for pose in poses if pose.voxel > 1]
    assert 0.2 < len(far) / len(poses) < 0.4
    assert all(1.3 <= pose.voxel <= 2 and np.allclose(np.abs(pose.matrix), np.eye(3) * pose.voxel) for pose in far)


def test_another_scanner_keeps_shape_and_mean() -> None:
    hu = np.random.default_rng(0).normal(-400, 100, (16, 16, 16)).astype(np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        changed = other_scanner(hu, rng, spacing_mm=2.5)
        assert changed.dtype == np.float32
        assert changed.shape == hu.shape
        assert abs(float(changed.mean()) + 400) < 120
        image = other_contrast(np.clip(changed / 1400 + 0.7, 0, 1), rng)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
