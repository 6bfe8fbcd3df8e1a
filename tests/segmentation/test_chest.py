"""Where lesions are sought, and where they are believed."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.geometry import Geometry
from rt4d.phantom import make_4dct
from rt4d.segmentation.chest import find_chest
from rt4d.segmentation.space import Space, to_space
from rt4d.volumes import Volume

SPACE = Space(spacing_mm=2.5, window_hu=(-1000.0, 400.0))


@pytest.fixture(scope="module")
def upright() -> Volume:
    case = make_4dct(size=(96, 72, 44), spacing_mm=(4.0, 4.0, 6.0), phases=2)
    return to_space(case.ct.reference.volume, SPACE)


def test_the_chest_holds_lungs_mediastinum_and_a_margin_but_neither_air_nor_arms(upright: Volume) -> None:
    where = find_chest(upright).where
    assert where is not None
    lung = (upright.hu < -500) & where.inside
    assert lung.any()
    z, y, x = (int(n) for n in np.argwhere(lung).mean(axis=0))
    assert where.inside[z, y, x]  # between the lungs
    assert not where.inside[:, 0, :].any()  # the air in front of the patient
    assert where.volume_cm3 < 0.8 * np.prod(upright.geometry.size) * upright.geometry.voxel_volume_mm3 / 1000


def test_the_chest_is_as_wide_on_the_side_of_a_lung_that_is_filled(upright: Volume) -> None:
    chest = find_chest(upright)
    assert chest.middle_x_mm is not None
    hu = np.array(upright.hu, dtype=np.float32)
    x = upright.geometry.to_patient(np.stack([np.arange(upright.geometry.size[0]), *2 * [np.zeros(upright.geometry.size[0])]], axis=-1))[:, 0]
    hu[:, :, x < chest.middle_x_mm] = np.where(hu[:, :, x < chest.middle_x_mm] < -300, 30, hu[:, :, x < chest.middle_x_mm])
    body = hu > -300
    hu[~body & (upright.hu < -900)] = upright.hu[~body & (upright.hu < -900)]
    filled = find_chest(Volume(hu, upright.geometry))
    assert chest.where is not None
    assert filled.where is not None
    common = np.count_nonzero(chest.where.inside & filled.where.inside)
    assert common > 0.8 * np.count_nonzero(chest.where.inside)


def test_a_lungs_surface_lies_by_a_lung_and_the_spine_by_none(upright: Volume) -> None:
    chest = find_chest(upright)
    assert chest.by_lungs is not None
    z, y, x = np.argwhere(upright.hu < -500)[::1000].T
    in_lung = chest.where.inside[z, y, x]
    assert np.mean(chest.by_lungs.inside[z, y, x][in_lung]) > 0.95
    middle_z = upright.geometry.size[2] // 2
    lung_rows = np.flatnonzero((upright.hu[middle_z] < -500) & chest.where.inside[middle_z])
    back = int(np.unravel_index(lung_rows, upright.hu[middle_z].shape)[0].max())
    x_of_spine = round((chest.middle_x_mm - upright.geometry.origin_mm[0]) / 2.5)
    spine = upright.geometry.to_patient([x_of_spine, back, middle_z])[None]
    assert not chest.reaches_lung(spine)


def test_without_lungs_nothing_is_outside_the_chest() -> None:
    grid = Geometry((20, 20, 20), (2.5, 2.5, 2.5))
    chest = find_chest(Volume(np.zeros(grid.shape, np.int16), grid))
    assert chest.where is None
    assert chest.note
