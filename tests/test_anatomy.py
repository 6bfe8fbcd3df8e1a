"""Body and lungs found on a CT: against the phantom's formulas, in every pose; refused where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from rt4d import anatomy
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phantom import make_4dct, thorax
from rt4d.volumes import Mask, Volume

COARSE = {"size": (96, 72, 52), "spacing_mm": (4.0, 4.0, 5.0), "phases": ("40", "50"), "tumours": (), "amplitude_mm": (0, 0, 1), "noise_hu": 15}


def truth(geometry: Geometry, formula) -> np.ndarray:
    return formula(*np.moveaxis(geometry.centres(), -1, 0)) < 0


def dice(found: Mask, true: np.ndarray) -> float:
    return 2 * np.count_nonzero(found.inside & true) / (np.count_nonzero(found.inside) + np.count_nonzero(true))


@pytest.mark.parametrize("direction", ["HFS", "FFP"])
def test_lungs_of_the_phantom_are_found(direction):
    volume = make_4dct(**COARSE, direction=direction).ct.reference.volume
    assert dice(anatomy.lungs(volume), truth(volume.geometry, thorax.lungs_mm)) >= 0.95


def test_the_body_is_found_without_the_table():
    volume = make_4dct(**COARSE).ct.reference.volume
    hu = volume.hu.copy()
    place = volume.geometry.centres()
    table = (np.abs(place[..., 1] - 132) < 2.1) & (np.abs(place[..., 0]) < 180)
    hu[table] = np.maximum(hu[table], 200)
    found = anatomy.body(Volume(hu, volume.geometry))
    assert dice(found, truth(volume.geometry, thorax.body_mm)) >= 0.97
    assert np.count_nonzero(found.inside & (place[..., 1] > 136)) == 0


def test_trachea_and_air_around_the_patient_are_not_lung():
    volume = make_4dct(**COARSE).ct.reference.volume
    index = volume.geometry.to_index([[0.0, 12.0, 90.0], [0.0, -130.0, 0.0], [-70.0, 20.0, 0.0]]).round().astype(int)
    found = anatomy.lungs(volume).inside
    assert [bool(found[z, y, x]) for x, y, z in index] == [False, False, True]


CUTS = {
    "front": np.s_[:, 20:],
    "back": np.s_[:, :50],
    "right": np.s_[:, :, 30:],
    "left": np.s_[:, :, :68],
    "sides": np.s_[:, :, 24:72],
    "all round": np.s_[:, 20:48, 26:70],
}


def cropped(volume: Volume, to: tuple[slice, ...]) -> Volume:
    hu = np.ascontiguousarray(volume.hu[to])
    corner = [axis.start or 0 for axis in (*to, slice(None))[:3]]
    return Volume(hu, volume.geometry.crop(corner[::-1], hu.shape[::-1]))


@pytest.mark.parametrize("cut", CUTS)
def test_lungs_that_the_field_of_view_cuts_are_found(cut):
    volume = cropped(make_4dct(**COARSE).ct.reference.volume, CUTS[cut])
    true = truth(volume.geometry, thorax.lungs_mm)
    edges = np.ones_like(true)
    edges[:, 1:-1, 1:-1] = False
    assert np.count_nonzero(true & edges) > 200

    assert dice(anatomy.lungs(volume), true) >= 0.95
    assert dice(anatomy.body(volume), truth(volume.geometry, thorax.body_mm)) >= 0.97


def test_vessels_in_a_lung_that_is_cut_are_no_wall():
    whole = make_4dct(**COARSE).ct.reference.volume
    _, y, x = np.indices(whole.hu.shape)
    deep = ndimage.binary_erosion(truth(whole.geometry, thorax.lungs_mm), iterations=2)
    hu = np.where(deep & (x % 8 < 2) & (y % 8 < 2), 40, whole.hu)[:, :, 30:]
    volume = Volume(np.ascontiguousarray(hu), whole.geometry.crop((30, 0, 0), hu.shape[::-1]))
    assert dice(anatomy.lungs(volume), truth(volume.geometry, thorax.lungs_mm)) >= 0.95


def test_lungs_that_a_round_field_of_view_cuts_are_found():
    volume = make_4dct(**COARSE).ct.reference.volume
    x, y, _ = np.moveaxis(volume.geometry.centres(), -1, 0)
    imaged = x**2 + (y - 10) ** 2 < 110**2
    true = truth(volume.geometry, thorax.lungs_mm)
    assert np.count_nonzero(true & ~imaged) > 0.03 * np.count_nonzero(true)

    found = anatomy.lungs(Volume(np.where(imaged, volume.hu, -3024).astype(np.int16), volume.geometry))

    assert dice(found, true & imaged) >= 0.95


def test_foam_of_a_couch_that_the_field_of_view_cuts_is_no_lung():
    volume = make_4dct(**COARSE).ct.reference.volume
    hu, y = volume.hu.copy(), volume.geometry.centres()[..., 1]
    hu[(y > 112) & (y < 132)] = -900
    hu[(np.abs(y - 112) < 2.1) | (np.abs(y - 132) < 2.1)] = -100
    assert dice(anatomy.lungs(Volume(hu, volume.geometry)), truth(volume.geometry, thorax.lungs_mm)) >= 0.95


@pytest.mark.parametrize("cut", ["nothing", *CUTS])
def test_a_cushion_moulded_around_the_patient_is_no_lung(cut):
    """A vacuum bag of -900 HU without a shell, that goes on to the image's edges."""
    whole = make_4dct(**COARSE).ct.reference.volume
    outside = ~truth(whole.geometry, thorax.body_mm)
    low = whole.geometry.centres()[..., 1] > -20
    volume = cropped(Volume(np.where(outside & low, np.int16(-900), whole.hu), whole.geometry), CUTS.get(cut, np.s_[:, :]))
    assert dice(anatomy.lungs(volume), truth(volume.geometry, thorax.lungs_mm)) >= 0.95
    assert dice(anatomy.body(volume), truth(volume.geometry, thorax.body_mm)) >= 0.97


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(("wall_mm", "gap_mm"), [(8, 0), (14, 0), (10, 3)])
def test_a_lung_behind_a_thin_chest_wall_is_found(side, wall_mm, gap_mm):
    """Thin patients: such a wall in front of one lung and beside it, that counts as air between two ribs."""
    whole = make_4dct(**COARSE | {"size": (150, 112, 52), "spacing_mm": (2.5, 2.5, 5.0)}).ct.reference.volume
    x, y, _ = np.moveaxis(whole.geometry.centres(), -1, 0)
    lungs = truth(whole.geometry, thorax.lungs_mm)
    off = ndimage.distance_transform_edt(~lungs, sampling=(5.0, 2.5, 2.5))
    gone = (off > wall_mm) & (side * x > 60) & (y < 20) & (thorax.body_mm(*np.moveaxis(whole.geometry.centres(), -1, 0)) > -45)
    thinner = ~lungs & (side * x > 60) & (np.abs(y + 20) < gap_mm / 2)
    volume = Volume(np.where(gone, np.int16(-1000), np.where(thinner, np.int16(-500), whole.hu)), whole.geometry)
    assert dice(anatomy.lungs(volume), lungs) >= 0.95
    assert dice(anatomy.body(volume), truth(volume.geometry, thorax.body_mm) & ~gone) >= 0.97


def test_a_lung_with_emphysema_is_lung():
    whole = make_4dct(**COARSE).ct.reference.volume
    lungs = truth(whole.geometry, thorax.lungs_mm)
    right = lungs & (whole.geometry.centres()[..., 0] < 0) & (whole.hu < -700)
    volume = Volume(np.where(right, np.int16(-965), whole.hu), whole.geometry)
    assert dice(anatomy.lungs(volume), lungs) >= 0.95


def test_air_between_arm_and_chest_is_no_lung():
    """The arm touches the chest below, and nearly above."""
    whole = make_4dct(**COARSE | {"size": (130, 72, 52)}).ct.reference.volume
    place = np.moveaxis(whole.geometry.centres(), -1, 0)
    (x, y, _), skin = place, thorax.body_mm(*place)
    arm = (skin > 30) & (skin < 55) & (x > 0) & (np.abs(y) < 70)
    held = (skin > 0) & (skin < 31) & (x > 0) & (y > 50) & (y < 70)
    nearly = (skin > 5) & (skin < 31) & (x > 0) & (y > -70) & (y < -50)
    volume = Volume(np.where(arm | held | nearly, np.int16(40), whole.hu), whole.geometry)
    assert dice(anatomy.lungs(volume), truth(volume.geometry, thorax.lungs_mm)) >= 0.95


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("least_hu", [-940, -900])
def test_air_that_a_scanner_shows_too_dense_is_no_body(least_hu, cut):
    """Cone-beam CTs and clipped ones: the air around the patient is no darker than this."""
    whole = make_4dct(**COARSE).ct.reference.volume
    volume = cropped(Volume(np.maximum(whole.hu, least_hu), whole.geometry), CUTS[cut])
    assert dice(anatomy.body(volume), truth(volume.geometry, thorax.body_mm)) >= 0.97
    assert dice(anatomy.lungs(volume), truth(volume.geometry, thorax.lungs_mm)) >= 0.95


def test_air_that_is_denser_than_what_pads_the_image_is_no_body():
    whole = make_4dct(**COARSE).ct.reference.volume
    hu = np.maximum(whole.hu, -965)
    hu[:, :3, 24:34] = -1024
    volume = cropped(Volume(hu, whole.geometry), CUTS["sides"])
    assert dice(anatomy.lungs(volume), truth(volume.geometry, thorax.lungs_mm)) >= 0.95


@pytest.mark.parametrize("slices", [slice(None), slice(20, 32)])
def test_air_within_a_field_of_view_that_is_padded_with_water_is_no_lung(slices):
    """0 HU outside a round field of view enclose the air around the patient, here none of the darkest: lungs of 23 litres were found."""
    whole = make_4dct(**COARSE | {"size": (120, 110, 52)}).ct.reference.volume
    x, y, _ = np.moveaxis(whole.geometry.centres(), -1, 0)
    padded = Volume(np.where(x**2 + y**2 < 205**2, np.maximum(whole.hu, -960), 0).astype(np.int16), whole.geometry)
    with pytest.raises(InputError, match=r"No lungs were found.*at most 12000 cm³.*not with 0"):
        anatomy.lungs(cropped(padded, (slices, slice(None), slice(None))))


@pytest.mark.parametrize("share", [0.8, 1.4])
def test_lungs_are_found_in_patients_of_other_sizes(share):
    """Up to 10.6 litres, as the tallest have them."""
    whole = make_4dct(**COARSE).ct.reference.volume
    geometry = replace(whole.geometry, spacing_mm=tuple(share * mm for mm in whole.geometry.spacing_mm))
    assert dice(anatomy.lungs(Volume(whole.hu, geometry)), truth(whole.geometry, thorax.lungs_mm)) >= 0.95


def test_water_without_lungs_is_refused():
    _, y, x = np.mgrid[-30:30, -30:30, -30:30]
    hu = np.where(x**2 + y**2 < 25**2, 0, -1000).astype(np.int16)
    with pytest.raises(InputError, match="No lungs were found"):
        anatomy.lungs(Volume(hu, Geometry((60, 60, 60), (4.0, 4.0, 4.0))))


def test_air_alone_has_no_body():
    with pytest.raises(InputError, match="No body was found"):
        anatomy.body(Volume(np.full((20, 30, 30), -1000, dtype=np.int16), Geometry((30, 30, 20), (5.0, 5.0, 5.0))))


@pytest.mark.slow
def test_lungs_of_a_real_planning_ct_agree_with_its_structure_set(real_data):
    from rt4d.dicom.series import read_ct
    from rt4d.dicom.structures import read_rtstruct

    ct = read_ct(real_data / "lung1_001" / "CT")
    drawn = read_rtstruct(real_data / "lung1_001" / "RTSTRUCT_XiO.dcm", on=ct)
    lungs = [drawn[name] for name in drawn if "lung" in name.lower() and "gtv" not in name.lower()]
    union = np.any([mask.inside for mask in lungs], axis=0)
    assert dice(anatomy.lungs(ct.volume), union) >= 0.93
