"""Where lesions are sought, and where they are believed."""

from __future__ import annotations

import numpy as np
import pytest

from rt4d.errors import NoLesionError
from rt4d.geometry import Geometry
from rt4d.phantom import make_4dct
from rt4d.segmentation.chest import find_chest, require_in_patient
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


def at(upright: Volume, x: float, y: float, z: float = 0.0) -> None:
    require_in_patient(upright, find_chest(upright), (x, y, z))


def test_a_point_outside_the_patient_is_refused(upright: Volume) -> None:
    """Air in front, behind, on both sides, and beyond the shoulders: a lesion of air was outlined there."""
    for x, y in ((0.0, -140.0), (150.0, -130.0), (-185.0, 0.0), (187.0, 40.0)):
        with pytest.raises(NoLesionError, match=r"The point lies outside the patient: expected DICOM's .*LPS.*\(RAS\): turn the signs"):
            at(upright, x, y)


def test_a_point_in_lung_tissue_or_near_the_skin_is_within_the_patient(upright: Volume) -> None:
    front = -110.0
    for x, y in ((70.0, 10.0), (-70.0, 10.0), (0.0, 0.0), (0.0, front + 3), (0.0, front - 5)):
        at(upright, x, y)


def test_a_point_in_a_lung_that_was_taken_for_none_is_within_the_patient(upright: Volume) -> None:
    """As dark as the room."""
    hu = np.array(upright.hu)
    x, y, _ = np.moveaxis(upright.geometry.centres(), -1, 0)
    hu[(x > 20) & (hu < -300) & (upright.geometry.centres()[..., 1] > -90) & (x < 130) & (y < 90)] = -1000
    at(Volume(hu, upright.geometry), 70.0, 10.0)


def test_a_point_in_tissue_is_never_refused(upright: Volume) -> None:
    """Also where it belongs to nothing that was found: a lesion in a lung that the edge of the image cuts off."""
    hu = np.array(upright.hu)
    hu[np.linalg.norm(upright.geometry.centres() - (0.0, -140.0, 0.0), axis=-1) < 8] = 30
    at(Volume(hu, upright.geometry), 0.0, -140.0)


@pytest.mark.parametrize("hu", [-1000.0, -850.0, -960.0])
def test_where_no_body_is_found_no_point_is_refused(hu: float) -> None:
    grid = Geometry((40, 40, 40), (2.5, 2.5, 2.5))
    at(Volume(np.full(grid.shape, hu, np.float32), grid), 50.0, 50.0, 50.0)


def test_in_a_crop_of_lung_with_a_vessel_no_point_of_the_lung_is_refused() -> None:
    """The vessel is the largest tissue there is, and lies to one side."""
    grid = Geometry((40, 40, 40), (2.5, 2.5, 2.5))
    hu = np.full(grid.shape, -930, np.float32)
    hu[:, :14, :14] = 40
    at(Volume(hu, grid), 80.0, 80.0, 50.0)


def test_without_lungs_a_point_in_the_room_is_refused() -> None:
    """An abdomen."""
    grid = Geometry((60, 60, 30), (5.0, 5.0, 5.0), (-150.0, -150.0, 0.0))
    x, y, _ = np.moveaxis(grid.centres(), -1, 0)
    volume = Volume(np.where(x**2 / 120**2 + y**2 / 90**2 < 1, 40.0, -1000.0).astype(np.float32), grid)
    at(volume, 0.0, 0.0, 70.0)
    at(volume, 0.0, -95.0, 70.0)
    with pytest.raises(NoLesionError, match="outside the patient"):
        at(volume, 0.0, -130.0, 70.0)
