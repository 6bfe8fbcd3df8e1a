"""A generated 4D-CT: truth against closed forms, the same anatomy in every pose, the same arrays for the same seed."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.dicom.fourdct import read_4dct
from rt4d.dicom.phase_labels import told_by_text
from rt4d.errors import InputError
from rt4d.images import read_mask
from rt4d.phantom import Phantom, Tumour, make_4dct
from rt4d.phantom.case import percentage_of
from rt4d.phantom.generated import POSITIONS
from rt4d.phantom.waveform import labels_of
from rt4d.phases import label_of
from tests.conftest import needs_program, rotation

CENTRE = (-78.0, 18.0, -22.0)
SMALL = {"size": (44, 44, 24), "spacing_mm": (2.5, 2.5, 4.0), "centre_mm": (-78.0, 14.0, -28.0), "phases": ("00", "30", "50", "80")}


@pytest.fixture(scope="module")
def case() -> Phantom:
    return make_4dct(**SMALL, tumours=[Tumour(CENTRE, 30.0)], amplitude_mm=(1.0, 4.0, 15.0), noise_hu=0)


def test_a_spheres_volume_is_its_closed_form():
    off_lattice = (CENTRE[0] + 0.13, CENTRE[1] + 0.29, CENTRE[2] + 0.41)
    fine = make_4dct(size=(50, 50, 50), spacing_mm=(1.0, 1.0, 1.0), centre_mm=off_lattice, phases=("40", "50"), amplitude_mm=(0, 0, 1))
    assert fine.reference_gtv.volume_cm3 == pytest.approx(np.pi / 6 * 3.0**3, rel=0.005)


def test_an_ellipsoids_volume_is_its_closed_form():
    tumour = Tumour(CENTRE, (20.0, 30.0, 26.0))
    fine = make_4dct(size=(50, 50, 50), spacing_mm=(1.0, 1.0, 1.0), centre_mm=CENTRE, phases=("40", "50"), tumours=[tumour], amplitude_mm=(0, 0, 1))
    assert fine.reference_gtv.volume_cm3 == pytest.approx(np.pi / 6 * 2.0 * 3.0 * 2.6, rel=0.01)


def test_the_truths_centroid_follows_the_motion(case):
    for label, place in case.trajectory_mm().items():
        assert np.abs(np.subtract(case.gtv(label).centroid_mm, place)).max() < 0.5


def test_the_amplitude_is_as_asked(case):
    assert np.ptp(np.array(list(case.trajectory_mm().values())), axis=0)[2] == pytest.approx(15.0, abs=1e-3)


def test_inhalation_moves_the_tumour_to_the_feet_in_image_and_truth(case):
    assert case.gtv("00").centroid_mm[2] < case.gtv("50").centroid_mm[2] - 14
    for label in ("00", "50"):
        inside = case.gtv(label).inside
        assert case.ct[label].volume.hu[inside].mean() > -30
        assert case.ct[label].volume.hu[~inside].mean() < -300


def test_points_go_there_and_back(case):
    points = np.random.default_rng(2).uniform([-120, -40, -60], [-40, 60, 10], size=(2, 5, 3))
    there = case.reference_to_phase("00", points)
    assert there.shape == points.shape
    assert np.abs(case.phase_to_reference("00", there) - points).max() < 1e-4


def test_the_itv_is_the_union_of_all_phases(case):
    union = np.any([case.gtv(label).inside for label in case.ct.labels], axis=0)
    assert np.array_equal(case.itv.inside, union)


@pytest.mark.parametrize("position", ["HFP", "FFS", "FFP"])
def test_every_patient_position_shows_the_same_anatomy(case, position):
    turned = make_4dct(**SMALL, direction=position, tumours=[Tumour(CENTRE, 30.0)], amplitude_mm=(1.0, 4.0, 15.0), noise_hu=0)
    assert turned.ct.reference.identity.patient_position == position
    there = turned.ct.geometry.to_index(case.ct.geometry.centres()).round().astype(int)
    x, y, z = np.moveaxis(there, -1, 0)
    for label in ("00", "50"):
        assert np.array_equal(turned.gtv(label).inside[z, y, x], case.gtv(label).inside)
        difference = np.abs(turned.ct[label].volume.hu[z, y, x].astype(float) - case.ct[label].volume.hu)
        assert difference.mean() < 12  # the raster lies a quarter of its step off the voxels, to another side


def test_an_oblique_grid_shows_the_tumour_where_the_truth_says():
    turned = make_4dct(**SMALL, direction=rotation(10, -15, 20), tumours=[Tumour(CENTRE, 24.0)], noise_hu=0)
    for label in ("00", "50"):
        expected = turned.reference_to_phase(label, CENTRE)
        assert np.abs(np.subtract(turned.gtv(label).centroid_mm, expected)).max() < 0.6
        assert turned.ct[label].volume.hu[turned.gtv(label).inside].mean() > -60


def test_the_same_seed_gives_the_same_arrays_on_any_number_of_cores():
    tiny = {"size": (24, 24, 12), "spacing_mm": (3.0, 3.0, 5.0), "centre_mm": CENTRE, "phases": 2, "tumours": [Tumour(CENTRE, 16.0)]}
    tiny |= {"amplitude_mm": (0.0, 1.0, 6.0)}
    one, two, other = make_4dct(**tiny, seed=5, workers=1), make_4dct(**tiny, seed=5, workers=3), make_4dct(**tiny, seed=6)
    for label in one.ct.labels:
        assert np.array_equal(one.ct[label].volume.hu, two.ct[label].volume.hu)
        assert not np.array_equal(one.ct[label].volume.hu, other.ct[label].volume.hu)
    assert one.ct.reference.identity.series_uid == two.ct.reference.identity.series_uid
    assert one.ct.reference.identity.series_uid != other.ct.reference.identity.series_uid


def test_noise_is_as_asked_and_independent_between_phases(case):
    noisy = make_4dct(**SMALL, tumours=[Tumour(CENTRE, 30.0)], amplitude_mm=(1.0, 4.0, 15.0), noise_hu=20)
    first, second = (noisy.ct[label].volume.hu.astype(float) - case.ct[label].volume.hu for label in ("00", "50"))
    free = (case.ct["00"].volume.hu > -950) & (case.ct["50"].volume.hu > -950)
    assert first[free].std() == pytest.approx(20, rel=0.03)
    assert abs(np.corrcoef(first[free], second[free])[0, 1]) < 0.03


def test_a_tumour_at_the_chest_wall_ends_there_and_keeps_its_volume_while_it_slides():
    at_wall = Tumour((-122.0, 0.0, -20.0), 34.0)
    wide = {"size": (48, 48, 30), "spacing_mm": (2.0, 2.0, 3.0), "centre_mm": (-110.0, 0.0, -26.0), "phases": ("00", "50")}
    made = make_4dct(**wide, tumours=[at_wall], amplitude_mm=(0.0, 2.0, 15.0), noise_hu=0)
    whole = np.pi / 6 * 3.4**3
    assert made.reference_gtv.volume_cm3 < 0.99 * whole
    assert made.gtv("00").volume_cm3 == pytest.approx(made.gtv("50").volume_cm3, rel=0.08)


def test_a_tumour_that_leaves_the_grid_is_refused():
    with pytest.raises(InputError, match="leaves the grid"):
        make_4dct(**SMALL, tumours=[Tumour((60.0, 0.0, 0.0), 20.0)])


def test_an_unknown_patient_position_is_refused_naming_those_known():
    with pytest.raises(InputError, match=", ".join(POSITIONS)):
        make_4dct(**SMALL, direction="HFX")


def test_the_written_case_reads_back_as_it_was_made(case, tmp_path):
    out = case.write(tmp_path / "case")
    for label in case.ct.labels:
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(out / "4dct" / label)))
        assert np.array_equal(sitk.GetArrayFromImage(image), case.ct[label].volume.hu)
        assert image.GetOrigin() == pytest.approx(case.ct.geometry.origin_mm)
        assert np.array_equal(read_mask(out / "truth" / f"gtv_{label}.nii.gz").inside, case.gtv(label).inside)
    truth = json.loads((out / "truth" / "truth.json").read_text())
    assert truth["reference"] == "50"
    assert truth["tumours"][0]["volume_cm3"]["ITV"] == pytest.approx(case.itv.volume_cm3, abs=1e-3)
    assert (out / "gtv.dcm").is_file()


@pytest.mark.parametrize("phases", [2, 3, 6, 7, 9, 10, 11, 12, 16, ("00Ex", "33p33In", "66p67Ex", "100In")])
def test_what_is_written_of_a_phase_is_read_back_as_its_label(phases):
    labels = labels_of(phases)
    told = [told_by_text(percentage_of(label)) for label in labels]
    assert [len(each) for each in told] == [1] * len(labels)
    assert tuple(label_of(percent, way) for [(percent, way, _)] in told) == labels


def test_a_phantom_of_three_phases_is_read_with_the_labels_of_its_truth(tmp_path):
    tiny = {"size": (16, 16, 8), "spacing_mm": (4.0, 4.0, 6.0), "centre_mm": CENTRE, "phases": 3, "tumours": [Tumour(CENTRE, 16.0)]}
    made = make_4dct(**tiny, amplitude_mm=(0.0, 1.0, 6.0))
    out = made.write(tmp_path / "case")
    read = read_4dct(out / "4dct", reference="33p33")
    assert read.labels == made.ct.labels == ("00", "33p33", "66p67")
    assert {path.name for path in (out / "truth").glob("gtv_*")} == {f"gtv_{label}.nii.gz" for label in read.labels}


@needs_program("dciodvfy")
def test_written_phases_are_valid_ct_images(case, tmp_path):
    out = case.write(tmp_path / "case")
    said = subprocess.run(["dciodvfy", str(out / "4dct" / "00" / "CT_0003.dcm")], capture_output=True, text=True, check=False).stderr
    assert "Error" not in said
