"""`rt4d segment`: candidates as files on the CT's own grid, whole or not at all; a stand-in calls tissue tumour."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from rt4d import cli
from rt4d.geometry import Geometry
from rt4d.images import read_mask, write_volume
from rt4d.segmentation import inference, segmenting
from rt4d.segmentation.bundle import bundle_digest
from rt4d.volumes import Volume
from tests.segmentation.make import a_bundle, balls, tissue, write_bundle

CT = Geometry((110, 100, 36), (1.2, 1.2, 3.0), (-65.0, -60.0, -50.0))
BIG, SMALL, SPECK = ((30.0, 0.0, 0.0), 14.0), ((-40.0, 20.0, 10.0), 9.0), ((-30.0, -30.0, -20.0), 4.0)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(inference, "members_of", lambda _: iter([tissue]))
    monkeypatch.setattr(segmenting, "read_bundle", lambda _: a_bundle())
    monkeypatch.setattr("rt4d.segmentation.bundle.read_bundle", lambda _: a_bundle())


@pytest.fixture
def volume(tmp_path):
    return write_volume(tmp_path / "ct.nii.gz", balls(CT, [BIG, SMALL, SPECK]))


@pytest.fixture
def run(tmp_path, capsys):
    def call(image, *options):
        out = tmp_path / "out"
        code = cli.run(["segment", str(image), "--out", str(out), *map(str, options)])
        said = capsys.readouterr()
        return code, out, said.out, said.err

    return call


def test_the_contracts_files_lie_on_the_cts_grid(model, volume, run):
    code, out, said, progress = run(volume)
    assert code == 0
    assert {path.name for path in out.iterdir()} == {"gtv.nii.gz", "candidates.json", *(f"candidate_{n}.nii.gz" for n in (1, 2, 3))}
    whole, first, second = (read_mask(out / name) for name in ("gtv.nii.gz", "candidate_1.nii.gz", "candidate_2.nii.gz"))
    assert whole.geometry.is_same_grid(CT)
    assert np.array_equal(whole.inside, (first | second).inside)
    assert "2 of 3 candidates kept" in said
    assert "not kept: smaller than 0.2 cm³" in said
    assert "segmenting:" in progress
    assert "note: No" in progress


def test_json_is_all_that_stands_on_stdout_and_lists_every_candidate(model, volume, run):
    code, out, said, _ = run(volume, "--json")
    assert code == 0
    record = json.loads(said)
    assert record == json.loads((out / "candidates.json").read_text())
    assert record["schema"] == "rt4d.candidates/1"
    assert (record["on"], record["reference"]) == (None, None)
    assert record["bundle"] == {"name": "stand_in", "sha256": "0" * 64}
    assert [one["number"] for one in record["candidates"]] == [1, 2, 3]
    assert [one["kept"] for one in record["candidates"]] == [True, True, False]
    for one in record["candidates"]:
        assert read_mask(out / one["file"]).volume_cm3 == pytest.approx(one["volume_cm3"], abs=1e-3)


def test_specks_are_counted_and_stand_in_the_json(model, run, tmp_path, monkeypatch):
    monkeypatch.setattr("rt4d.segmentation.files.SPECK_CM3", 0.5)
    code, out, said, _ = run(write_volume(tmp_path / "ct.nii.gz", balls(CT, [BIG, SPECK])))
    assert code == 0
    assert "1 smaller than 0.5 cm³, not kept: candidates.json" in said
    listed = json.loads((out / "candidates.json").read_text())["candidates"]
    assert [one["file"] for one in listed] == ["candidate_1.nii.gz", None]
    assert not (out / "candidate_2.nii.gz").exists()


def test_candidates_of_low_scores_are_counted_for_a_reader_and_kept_ones_never(model, volume, run, monkeypatch):
    monkeypatch.setattr("rt4d.segmentation.files.LISTED", 1)
    code, out, said, _ = run(volume)
    assert code == 0
    listed = json.loads((out / "candidates.json").read_text())["candidates"]
    assert said.count(" kept\n") == 2
    assert "not kept: s" not in said
    assert f"1 more with scores from {listed[2]['score']:.2f} down, not kept: candidates.json" in said
    assert (out / "candidate_3.nii.gz").exists()


def test_keep_and_point_choose(model, volume, run, tmp_path):
    code, out, _, _ = run(volume, "--keep", "3")
    assert code == 0
    assert np.array_equal(read_mask(out / "gtv.nii.gz").inside, read_mask(out / "candidate_3.nii.gz").inside)
    at = tmp_path / "at"
    assert cli.run(["segment", str(volume), "--out", str(at), "--point=-38,21,9"]) == 0
    assert read_mask(at / "gtv.nii.gz").centroid_mm == pytest.approx(SMALL[0], abs=1)
    assert not (at / "candidate_2.nii.gz").exists()


def test_a_contour_beside_the_point_is_noted_on_the_terminal_and_in_the_json(model, volume, run):
    code, out, _, errors = run(volume, "--point=30,-20,0")
    assert code == 0
    (note,) = (one for one in json.loads((out / "candidates.json").read_text())["notes"] if "does not hold the point" in one)
    assert f"note: {note}\n" in errors


def test_that_the_ct_was_also_looked_at_turned_over_is_recorded(model, volume, tmp_path):
    """The numbers that --keep takes are those of the same look."""
    for name, options, said in (("plain", (), False), ("flips", ("--flips",), True)):
        assert cli.run(["segment", str(volume), "--out", str(tmp_path / name), *options]) == 0
        assert json.loads((tmp_path / name / "candidates.json").read_text())["flips"] is said


def test_of_a_4dct_the_reference_phase_is_taken(model, written, case, run):
    code, out, said, _ = run(written / "4dct", "--point=" + ",".join(f"{v:.1f}" for v in case.reference_gtv.centroid_mm), "--json")
    assert code == 0
    record = json.loads(said)
    assert (record["on"], record["reference"]) == ("reference", "50")
    assert read_mask(out / "gtv.nii.gz").geometry.is_same_grid(case.ct.geometry)


def test_of_a_4dct_the_average_is_taken_where_that_is_asked(model, written, case, run):
    """The tissue of the stand-in is where the mean of the phases, written down here as the formula says, is half-way to it."""
    place = "--point=" + ",".join(f"{v:.1f}" for v in case.reference_gtv.centroid_mm)
    code, out, said, _ = run(written / "4dct", place, "--on", "average")
    assert code == 0
    assert "on the average of the phases, by stand_in" in said
    record = json.loads((out / "candidates.json").read_text())
    assert (record["on"], record["reference"]) == ("average", None)
    mean = np.rint(np.mean([phase.volume.hu for phase in case.ct], axis=0, dtype=np.float64))
    expected = segmenting.segment(Volume(mean.astype(np.int16), case.ct.geometry), point_mm=case.reference_gtv.centroid_mm)
    drawn = read_mask(out / "gtv.nii.gz")
    assert np.array_equal(drawn.inside, expected.mask.inside)
    assert not np.array_equal(drawn.inside, segmenting.segment(case.ct.reference, point_mm=case.reference_gtv.centroid_mm).mask.inside)


def test_an_average_needs_no_phase_to_be_the_reference(model, patient, case, run):
    """Of phases without one at 50 % the average can be made as of any others."""
    shutil.rmtree(patient / "50")
    code, _, _, errors = run(patient)
    assert (code, "to be the reference" in errors) == (2, True)
    place = "--point=" + ",".join(f"{v:.1f}" for v in case.gtv("25").centroid_mm)
    assert run(patient, place, "--on", "average")[0] == 0


def test_an_average_of_no_4dct_is_refused_in_a_folder_as_in_a_file(model, written, volume, run):
    for image in (written / "4dct" / "50", volume):
        code, out, _, errors = run(image, "--on", "average")
        assert (code, "no 4D-CT whose phases could be averaged" in errors, out.exists()) == (2, True, False)


def test_an_average_and_a_reference_exclude_one_another(model, run, tmp_path):
    """Told before the CT is read: here there is none."""
    code, _, _, errors = run(tmp_path / "none", "--on", "average", "--reference", "50")
    assert code == 2
    assert "--reference names one phase, --on average takes all" in errors


def test_nothing_found_is_an_empty_mask_and_said(model, run, tmp_path):
    code, out, said, _ = run(write_volume(tmp_path / "none.nii.gz", balls(CT, [])))
    assert code == 0
    assert read_mask(out / "gtv.nii.gz").is_empty
    assert "No candidate was found" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep", "0"], "--keep takes numbers"),
        (["--keep", "1,1"], "--keep takes numbers"),
        (["--keep", "7"], "no candidate of that number"),
        (["--point", "1,2"], "--point takes three numbers"),
        (["--point=0,0,900"], "outside the CT"),
        (["--point=-38,-40,30"], "No lesion was found at the point"),
        (["--point=0,0,0", "--keep", "1"], "exclude one another"),
        (["--reference", "50"], "no 4D-CT of which --reference"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(model, volume, run, options, said):
    code, out, told, errors = run(volume, *options)
    assert (code, told) == (2, "")
    assert said in errors.splitlines()[-1]
    assert not out.exists()


def test_a_ct_without_its_intercept_is_refused(model, run, tmp_path):
    """0 to 4095, as the scanner stored it: it was segmented, with exit code 0."""
    hu = balls(CT, [BIG, SMALL]).hu + 1024
    hu[:, :30] = 24  # air in front
    hu[:, 70:] = 1064
    code, out, told, errors = run(write_volume(tmp_path / "ct.nii.gz", Volume(hu.astype(np.int16), CT)))
    assert (code, told, out.exists()) == (2, "", False)
    assert "not Hounsfield units" in errors
    assert "RescaleIntercept" in errors


def test_an_unknown_bundle_is_refused_before_the_ct_is_read(run, tmp_path):
    code, _, _, errors = run(tmp_path / "no_such_ct.nii.gz", "--bundle", "no_such_model")
    assert code == 2
    assert "No segmentation model of that name" in errors


def test_a_path_where_nothing_is_says_what_to_give(model, run, tmp_path):
    code, out, _, errors = run(tmp_path / "no_such_ct")
    assert (code, out.exists()) == (2, False)
    assert f"There is no such file or folder ({tmp_path / 'no_such_ct'}). Give the folder of a CT, or a file .nii.gz" in errors


def test_a_foreign_bundle_runs_where_it_is_named_with_its_digest(run, tmp_path):
    """A real network from a real folder, untrained: the whole way, whatever it finds."""
    folder = write_bundle(tmp_path / "mine")
    volume = write_volume(tmp_path / "small.nii.gz", balls(Geometry((40, 40, 30), (2.0, 2.0, 2.5)), [((40.0, 40.0, 35.0), 12.0)]))
    code, _, _, errors = run(volume, "--bundle", folder)
    assert code == 2
    assert f"{folder}@sha256:" in errors
    code, out, said, _ = run(volume, "--bundle", f"{folder}@sha256:{bundle_digest(folder, ['models/fold0.pt'])}", "--json")
    assert code == 0
    assert json.loads(said)["bundle"]["name"] == "mine"
    assert (out / "gtv.nii.gz").is_file()


def test_a_volume_that_does_not_fit_on_the_disk_leaves_nothing(model, volume, run, monkeypatch):
    import errno

    def full(*_arguments, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rt4d.segmentation.files.write_mask", full)
    code, out, _, errors = run(volume)
    assert code == 3
    assert "disk is full" in errors
    assert not out.exists()
